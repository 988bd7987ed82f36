"""fork(): the child has none of its parent's threads, says so, and works."""

from __future__ import annotations

import os
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

HEAD = """
import os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: fork with threads
import osthread
from osthread import LuaState, OSThread, run

started = threading.Event()

def start(code, **options):
    options.setdefault("globals", {})["started"] = started.set
    thread = OSThread("started() " + code, grace=0.05, **options)
    started.wait(30)
    started.clear()
    return thread

def in_child(function):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        function()
        sys.exit(7)
    _, status = os.waitpid(pid, 0)
    print("child", os.waitstatus_to_exitcode(status))
"""


def test_parents_threads_are_lost_in_the_child(run_script) -> None:
    script = f"""{HEAD}
running = start("while true do end")
sleeping = start("require('osthread').sleep(1e9)")
suspended = OSThread("return 1", suspended=True)
finished = OSThread("return 5")
finished.join()

def child():
    for thread in (running, sleeping, suspended):
        print(thread.status, thread.is_alive(), thread.done(), thread.interrupt(), thread.request_stop())
        for call in (thread.result, thread.exception, lambda: thread.result(0.1)):
            try:
                call()
            except RuntimeError as error:
                print("fork" in str(error))
        print(thread.join(), thread.terminate(), thread.stack(), repr(thread).endswith("lost>"))
    try:
        suspended.start()
    except RuntimeError as error:
        print("fork" in str(error))
    print(osthread.enumerate(), osthread.current(), finished.status, finished.result())

in_child(child)
print(running.status, sleeping.status, suspended.status)
for thread in (running, sleeping, suspended):
    print(thread.terminate())
"""
    lost = ["lost False True False False", "True", "True", "True", "True lost [] True"]
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stderr) == (0, "")
    assert stdout.splitlines() == [
        *lost * 3,
        "True",
        "[] None finished 5",
        "child 7",
        "running running suspended",
        "stopped",
        "stopped",
        "stopped",
    ]


def test_the_child_uses_the_module(run_script) -> None:
    script = f"""{HEAD}
thread = start("while true do end", on_exit="terminate")
state = LuaState()
state["x"] = 5

def child():
    print(run("return 6 * 7"))
    t = start("while true do end")
    t.interrupt()
    print(t.join(30), t.status)
    print(type(OSThread("while true do end", time_limit=0.02).exception(30)).__name__)
    s = start("require('osthread').sleep(1e9)")
    print(s.terminate())
    print([OSThread("return ...", i).result(30) for i in range(3)])
    print(state.eval("x + 1"), LuaState().eval("1 + 1"))
    with OSThread("return 8") as block:
        pass
    print(block.result())

in_child(child)
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stderr) == (0, "")
    assert stdout.splitlines() == [
        "42",
        "True stopped",
        "LuaTimeout",
        "stopped",
        "[0, 1, 2]",
        "6 2",
        "8",
        "child 7",
    ]


@pytest.mark.parametrize(
    "code",
    [
        "t = start('while true do end', on_exit='terminate')",
        "t = start('require(\"osthread\").sleep(1e9)', on_exit='terminate')",
        "t = OSThread('', suspended=True)",
        "start('while true do end', on_exit='detach')",
        "t = start('while true do f() end', on_exit='terminate', globals={'f': lambda: None})",
        "t = start('error(1)')",
    ],
)
@pytest.mark.parametrize("drop", ["", "global t; t = None"])
def test_the_child_ends_cleanly(code, drop, run_script) -> None:
    script = f"""{HEAD}
t = None
{code}

def child():
    {drop or "pass"}

in_child(child)
if t is not None:
    t.exception(0) if t.done() else t.terminate()
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stdout) == (0, "child 7\n"), stderr
    if "error" not in code:
        assert stderr == ""


def test_blocks_in_the_child_around_a_parents_thread_are_left(run_script) -> None:
    script = f"""{HEAD}
def child():
    print(thread.status)

with start("while true do end", on_exit="terminate") as thread:
    pid = os.fork()
    if pid == 0:
        child()
if pid == 0:
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), thread.status)
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stderr) == (0, "")
    assert stdout.splitlines() == ["7 stopped"] or "lost" in stdout


@pytest.mark.parametrize(
    "life",
    [
        "run('return 1')",
        "OSThread('while true do end', grace=0).terminate(0)",
        "OSThread('for i = 1, 100 do end while true do pcall(error) end', time_limit=0.01).exception()",
        "osthread.run('return ...', lambda: None)",
    ],
)
def test_forks_at_random_moments_of_starts_and_ends(life, run_script) -> None:
    """Locks may be held by threads that are not there any more."""
    script = f"""{HEAD}
ending = threading.Event()

def churn():
    while not ending.is_set():
        {life}

churners = [threading.Thread(target=churn) for _ in range(2)]
for churner in churners:
    churner.start()

def child():
    assert run("return 6 * 7") == 42
    t = OSThread("while true do end")
    t.interrupt()
    assert t.join(30)
    error = OSThread("for i = 1, 100 do pcall(error) end error('mine', 0)").exception(30)
    assert error.message == "mine"
    os._exit(3)

codes = set()
for _ in range(100):
    pid = os.fork()
    if pid == 0:
        child()
    codes.add(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
ending.set()
for churner in churners:
    churner.join()
print(codes)
"""
    assert run_script(script) == (0, "{3}\n", "")


def test_forks_at_the_first_moments_of_a_process(run_script) -> None:
    """Whatever is made once, on first use, may be half made by a thread that the child does not have."""
    script = f"""{HEAD}
start("f(...) error('mine')", on_exit="detach", globals={{"f": lambda: None}})
in_child(lambda: os._exit(run("return 6 * 7")))
sys.stdout.flush()
os._exit(0)
"""
    for _ in range(20):
        returncode, stdout, _ = run_script(script)
        assert (returncode, stdout) == (0, "child 42\n")


def test_state_in_use_at_the_fork_says_so_and_others_work(run_script) -> None:
    script = f"""{HEAD}
inside, leave = threading.Event(), threading.Event()
busy, idle, quick = LuaState(), LuaState(), LuaState(time_limit=2)
busy["x"] = idle["x"] = 5
quick.eval("1")

def use():
    busy.execute("(...)()", lambda: (inside.set(), leave.wait(30)) and None)

def look_on():
    while not leave.is_set():
        quick.eval("2")  # asks for deadlines all the time

users = [threading.Thread(target=use), threading.Thread(target=look_on)]
for user in users:
    user.start()
inside.wait(30)

def child():
    for call in (lambda: busy.eval("x"), lambda: busy["x"]):
        try:
            call()
        except RuntimeError as error:
            print("fork" in str(error))
    busy.close()
    print(idle.eval("x"))
    idle.time_limit = 0.02
    try:
        idle.execute("while true do end")
    except osthread.LuaTimeout:
        print(idle.eval("x + 1"))
    del globals()["quick"], globals()["idle"]

in_child(child)
leave.set()
for user in users:
    user.join()
print(busy.eval("x"))
"""
    assert run_script(script) == (0, "True\nTrue\n5\n6\nchild 7\n5\n", "")


def test_states_of_the_child_have_seeds_of_their_own(run_script) -> None:
    script = f"""{HEAD}
run("return 1")

def child():
    print(run("return math.random()"))

in_child(child)
print(run("return math.random()"))
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stderr) == (0, "")
    of_child, _, of_parent = stdout.splitlines()
    assert of_child != of_parent


def test_a_grandchild_works_too(run_script) -> None:
    script = f"""{HEAD}
thread = start("while true do end", on_exit="terminate")

def grandchild():
    print(thread.status, run("return 2"))

def child():
    print(thread.status, run("return 1"))
    in_child(grandchild)

in_child(child)
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stderr) == (0, "")
    assert stdout.splitlines() == ["lost 1", "lost 2", "child 7", "child 7"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(method, tmp_path, run_script) -> None:
    """From a file, as spawn imports the main module."""
    program = tmp_path / "program.py"
    program.write_text(f"""{HEAD}
import multiprocessing

def work(n):
    return osthread.run("return ... * 2", n), len(osthread.enumerate())

if __name__ == "__main__":
    thread = start("while true do end", on_exit="terminate")
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        print(pool.map(work, range(4)))
        pool.close()
        pool.join()
    print(thread.status)
""")
    script = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, {str(program)!r}]))"
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stderr) == (0, "")
    assert stdout.splitlines() == ["[(0, 0), (2, 0), (4, 0), (6, 0)]", "running"]


def test_subprocesses_are_none_of_its_business(run_script) -> None:
    script = f"""{HEAD}
import subprocess
thread = start("while true do end", on_exit="terminate")
print(subprocess.run([sys.executable, "-c", "print(5)"], capture_output=True, text=True).stdout.strip())
thread.interrupt()
print(thread.join(30))
"""
    assert run_script(script) == (0, "5\nTrue\n", "")
    assert sys.executable


def test_future_of_a_lost_thread_is_an_error(run_script) -> None:
    script = f"""{HEAD}
thread = start("while true do end", on_exit="terminate")
future = thread.future

def child():
    try:
        future.result(30)
    except RuntimeError as error:
        print("fork" in str(error), future.done())

in_child(child)
print(future.done())
"""
    assert run_script(script) == (0, "True True\nchild 7\nFalse\n", "")


def test_done_callbacks_are_the_parent_s(run_script) -> None:
    script = f"""{HEAD}
thread = start("while true do end", on_exit="terminate")
thread.add_done_callback(lambda t: print("called", t.status, flush=True))

def child():
    global thread
    del thread

in_child(child)
thread.terminate()
"""
    assert run_script(script) == (0, "child 7\ncalled stopped\n", "")


def test_fork_in_a_done_callback(run_script) -> None:
    script = f"""{HEAD}
thread = OSThread("return 1")
thread.join()
pids = []
thread.add_done_callback(lambda t: pids.append(os.fork()))
if pids[0] == 0:
    sys.exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]))
"""
    assert run_script(script) == (0, "7\n", "")
