"""The program's end, with threads in every state: it comes, in time, without a word from the C++ runtime."""

from __future__ import annotations

import os
import signal
import time

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="looks at POSIX exit statuses")

HEAD = """
import os, signal, sys, threading, time
from osthread import OSThread, LuaState, run

started = threading.Event()

def start(code, **options):
    options.setdefault("globals", {})["started"] = started.set
    thread = OSThread("started() " + code, grace=0.05, **options)
    started.wait(30)
    started.clear()
    return thread
"""
LOOP = "while true do end"
SLEEP = "require('osthread').sleep(1e9)"

# What there is at the end. None of them ends by itself.
ENDLESS = {
    "running": f"t = start({LOOP!r}, on_exit='terminate')",
    "swallowing": "t = start('while true do pcall(load(\"while true do end\")) end', on_exit='terminate')",
    "sleeping": f"t = start({SLEEP!r}, on_exit='terminate')",
    "suspended": f"t = OSThread({LOOP!r}, suspended=True)",
    "suspended terminate": f"t = OSThread({LOOP!r}, suspended=True, on_exit='terminate')",
    "detached": f"t = start({LOOP!r}); t.detach(); del t",
    "detached by option": f"start({LOOP!r}, on_exit='detach')",
    "detached, calling Python": "start('while true do f() end', on_exit='detach', globals={'f': list})",
    "calling Python": "t = start('while true do f() end', on_exit='terminate', globals={'f': lambda: None})",
    "printing": "t = start('while true do print(1) end', on_exit='terminate', stdout=lambda text: None)",
    "in a cycle": f"t = [start({LOOP!r}, on_exit='terminate')]; t.append(t)",
    "many": f"t = [start({LOOP!r}, on_exit='terminate') for _ in range(20)]",
}
JOINED = {
    "running": "t = start('for i = 1, 1e7 do end print(\"ended\")')",
    "sleeping": 't = start(\'require("osthread").sleep(0.1) print("ended")\')',
    "calling Python": "t = start('for i = 1, 1e4 do f() end print(\"ended\")', globals={'f': lambda: None})",
    "waiting in Python": "t = start('f() print(\"ended\")', globals={'f': lambda: time.sleep(0.1)})",
}
ENDINGS = {
    "normal": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "exception": ("raise KeyError('mine')", 1),
    "SystemExit with a message": ("sys.exit('message')", 1),
}
BAD = ("terminate called", "Fatal Python error", "Segmentation", "core dumped", "pybind11", "std::")


def clean(stderr: str) -> None:
    """Nothing of the C++ runtime, nothing of an interpreter in trouble."""
    assert not [words for words in BAD if words in stderr], stderr


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("state", ENDLESS)
def test_endless_threads_do_not_keep_the_program(state, ending, run_script) -> None:
    code, status = ENDINGS[ending]
    before = time.monotonic()
    returncode, _, stderr = run_script(f"{HEAD}\n{ENDLESS[state]}\n{code}")
    assert returncode == status, stderr
    assert time.monotonic() - before < 20
    clean(stderr)
    lines = [line for line in stderr.splitlines() if "KeyError" in line or line == "message"]
    if ending in ("normal", "sys.exit"):
        assert stderr == ""
    else:
        assert len(lines) == 1


@pytest.mark.parametrize("ending", ["normal", "sys.exit"])
@pytest.mark.parametrize("state", JOINED)
def test_joined_threads_are_waited_for(state, ending, run_script) -> None:
    code, status = ENDINGS[ending]
    returncode, stdout, stderr = run_script(f"{HEAD}\n{JOINED[state]}\n{code}")
    assert (returncode, stderr) == (status, "")
    assert stdout == "ended\n"


@pytest.mark.parametrize("code", [LOOP, SLEEP])
def test_after_an_uncaught_exception_joined_threads_are_terminated(code, run_script) -> None:
    returncode, _, stderr = run_script(f"{HEAD}\nt = start({code!r})\nraise KeyError('mine')")
    assert returncode == 1
    assert stderr.splitlines()[-1] == "KeyError: 'mine'"
    clean(stderr)


def test_a_suspended_thread_never_runs(run_script) -> None:
    script = f"{HEAD}\nt = OSThread('print(1)', suspended=True)"
    assert run_script(script) == (0, "", "")


def test_a_thread_in_a_python_callable_that_never_returns_is_left_behind(run_script) -> None:
    """It asks for the GIL of an interpreter that is no more: nothing may come of it."""
    script = f"""{HEAD}
t = start("f()", on_exit="terminate", globals={{"f": lambda: time.sleep(1e6)}})
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stdout) == (0, "")
    clean(stderr)


def test_a_thread_that_comes_back_from_python_during_the_end(run_script) -> None:
    script = f"""{HEAD}
def f():
    time.sleep(0.01)

threads = [start("while true do pcall(f) end", on_exit="detach", globals={{"f": f}}) for _ in range(10)]
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stdout) == (0, "")
    clean(stderr)


def test_threads_started_by_atexit_functions_are_ended_too(run_script) -> None:
    script = f"""{HEAD}
import atexit

def late():
    global t
    t = start({LOOP!r}, on_exit="terminate")
    print(run("return 42"))

atexit.register(late)
"""
    assert run_script(script) == (0, "42\n", "")


def test_threads_that_python_threads_wait_for(run_script) -> None:
    """A non-daemon Python thread joins an OSThread: the program ends after both."""
    script = f"""{HEAD}
t = start("require('osthread').sleep(0.1) return 42")
threading.Thread(target=lambda: print(t.result())).start()
"""
    assert run_script(script) == (0, "42\n", "")


def test_daemon_threads_in_lua_calls_at_the_end(run_script) -> None:
    script = f"""{HEAD}
state = LuaState(globals={{"started": started.set}})
threading.Thread(target=lambda: state.execute("started() while true do end"), daemon=True).start()
started.wait(30)
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stdout) == (0, "")
    clean(stderr)


def test_an_error_nobody_asked_for_is_reported_at_the_end(run_script) -> None:
    returncode, stdout, stderr = run_script(f"{HEAD}\nt = start('error(\"mine\", 0)')")
    assert (returncode, stdout) == (0, "")
    assert "mine" in stderr
    assert "nobody asked for" in stderr
    clean(stderr)


@pytest.mark.parametrize("state", ["running", "sleeping", "suspended", "detached", "calling Python"])
def test_sigterm_ends_the_process_as_it_always_does(state, start_script) -> None:
    script = start_script(f"{HEAD}\n{ENDLESS[state]}\nprint('ready', flush=True)\ntime.sleep(1e6)")
    script.wait_for("ready")
    script.process.terminate()
    returncode, _, stderr = script.finish()
    assert (returncode, stderr) == (-signal.SIGTERM, "")


@pytest.mark.parametrize("state", ["running", "sleeping", "detached", "calling Python"])
def test_sigterm_turned_into_sys_exit(state, start_script) -> None:
    script = start_script(
        f"{HEAD}\n{ENDLESS[state]}\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('ready', flush=True)\ntime.sleep(1e6)"
    )
    script.wait_for("ready")
    script.process.terminate()
    returncode, _, stderr = script.finish()
    assert (returncode, stderr) == (7, "")


@pytest.mark.parametrize("state", ENDLESS)
def test_os_exit_ends_the_process_at_once(state, run_script) -> None:
    returncode, _, stderr = run_script(f"{HEAD}\n{ENDLESS[state]}\nos._exit(5)")
    assert (returncode, stderr) == (5, "")


def test_no_callback_runs_after_the_end(run_script) -> None:
    """What Python would be called for by a thread that was left behind is not called."""
    script = f"""{HEAD}
import atexit
ended = []

def f():
    if ended:
        os.write(2, b"called after the end")

class Last:
    def __del__(self, ended=ended):
        ended.append(1)

sys.last = Last()
start("while true do f() end", on_exit="detach", globals={{"f": f}})
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stdout, stderr) == (0, "", "")


def test_modules_that_hold_threads_in_globals_and_callables_end_cleanly(run_script) -> None:
    script = f"""{HEAD}
class Node:
    def __call__(self):
        return self.thread.status

node = Node()
node.thread = start("while true do node() end", on_exit="terminate", globals={{"node": node}})
finished = [OSThread("return 1") for _ in range(10)]
state = LuaState(globals={{"node": node}})
"""
    assert run_script(script) == (0, "", "")


@pytest.mark.parametrize(
    "call",
    [
        "run('return 1')",
        "state.execute('return 1')",
        "OSThread('return 1').result()",
        "run('(...)()', lambda: None)",
    ],
)
def test_daemon_threads_that_come_back_to_python_during_the_end(call, run_script) -> None:
    script = f"""{HEAD}
at_work = threading.Barrier(4)

def work():
    state = LuaState()
    {call}
    at_work.wait()
    while True:
        {call}

for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
at_work.wait()
"""
    for _ in range(3):
        returncode, _, stderr = run_script(script)
        assert returncode == 0
        clean(stderr)  # but the threads may say that what they waited for was stopped


def test_daemon_threads_that_are_being_told_errors_during_the_end(run_script) -> None:
    """Errors are made by Python code, in which the interpreter may end the thread."""
    script = """
import threading
from osthread import ConversionError, LuaState

at_work = threading.Barrier(4)

def work():
    state = LuaState()
    state.execute("function f() end")
    at_work.wait()
    while True:
        try:
            state.call("f", object())
        except ConversionError:
            pass

for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
at_work.wait()
"""
    for _ in range(5):
        assert run_script(script) == (0, "", "")


def test_python_code_of_the_programs_own_that_a_conversion_runs_at_the_end(run_script) -> None:
    script = f"""{HEAD}
import codecs
import osthread

entered = threading.Semaphore(0)

def go_on(*args):
    entered.release()
    while True:
        time.sleep(0.0001)  # others have the GIL meanwhile

class Number:
    __index__ = go_on

class Liar:
    __class__ = property(go_on)

class Key(int):
    __repr__ = go_on

class Mortal:
    __index__ = lambda self: 1
    __del__ = go_on

class Wrong(Exception):
    __str__ = go_on

class WrongClass(Exception):
    __class__ = property(go_on)

class Meta(type):
    __name__ = property(go_on)

class WrongName(Exception, metaclass=Meta):
    pass

def fail(error):
    raise error

codecs.register(lambda name: codecs.CodecInfo(lambda *_: (b"", 0), go_on, name=name) if name == "slow" else None)
options = {{"on_exit": "terminate", "grace": 0.05}}
threads = [
    OSThread("(...)()", lambda: Number(), **options),
    OSThread("(...)()", lambda: {{Key(2**60): 1}}, **options),
    OSThread("(...)()", lambda: Mortal(), **options),
    OSThread("(...)()", lambda: [Mortal()], **options),
    OSThread("pcall(...)", lambda: fail(Wrong), **options),
    OSThread("local f = ... f(1 .. 2)", print, encoding="slow", **options),
]
for _ in threads:
    assert entered.acquire(timeout=30)
# These are not asked.
assert isinstance(OSThread("(...)()", lambda: Liar(), **options).exception(30), osthread.ConversionError)
for error in WrongClass, WrongName:
    OSThread("pcall(...)", lambda: fail(error), **options).result(30)
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stdout) == (0, "")
    clean(stderr)


def test_a_warning_that_is_being_shown_at_the_end(run_script) -> None:
    script = f"""{HEAD}
import warnings

def show(*args, **named):
    started.set()
    while True:
        time.sleep(0.0001)

warnings.simplefilter("always")
warnings.showwarning = show
code = "require('osthread').OSThread('while true do end') collectgarbage() collectgarbage()"
t = OSThread(code, on_exit="terminate", grace=0.05)
assert started.wait(30)
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stdout) == (0, "")
    clean(stderr)


def test_exception_that_somebody_has_only_noted_is_no_uncaught_one(run_script) -> None:
    """As code.InteractiveInterpreter and tkinter do."""
    script = f"""{HEAD}
try:
    1 / 0
except ZeroDivisionError as error:
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    sys.last_exc = error
t = start("require('osthread').sleep(0.05) print('ended')")
"""
    assert run_script(script) == (0, "ended\n", "")


def test_many_threads_that_do_not_answer_are_given_up_at_once(run_script) -> None:
    script = f"""{HEAD}
threads = [start("f()", on_exit="terminate", globals={{"f": lambda: time.sleep(60)}}) for _ in range(6)]
begin = time.monotonic()
import atexit
atexit.register(lambda: print(time.monotonic() - begin < 5))
"""
    returncode, stdout, _ = run_script(script)
    assert (returncode, stdout) == (0, "True\n")


def test_done_callbacks_come_to_their_end(run_script) -> None:
    script = f"""{HEAD}
t = start("require('osthread').sleep(0.05)")
t.add_done_callback(lambda t: (time.sleep(1.5), print("called")))
"""
    assert run_script(script) == (0, "called\n", "")


@pytest.mark.parametrize(
    "end",
    [
        "1 / 0",
        "try:\n    1 / 0\nfinally:\n    pass",
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise",
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise",
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError from error",
        "with threading.Lock():\n    1 / 0",
    ],
)
def test_uncaught_exception_however_it_leaves_the_program(end, run_script) -> None:
    returncode, _, stderr = run_script(f"{HEAD}\nt = start({LOOP!r})\n{end}\n")
    assert returncode == 1
    assert "Error" in stderr
    clean(stderr)


@pytest.mark.parametrize("owner", ["on_exit='terminate'", "on_exit='detach'"])
def test_threads_that_lua_code_owns_end_with_their_owner(owner, run_script) -> None:
    code = f"""
        local o, threads = require 'osthread', {{}}
        for i = 1, 3 do threads[i] = o.OSThread [[{LOOP}]] end
        all_are_there()
        {SLEEP}"""
    started = time.monotonic()
    returncode, _, stderr = run_script(f"""{HEAD}
all_are_there = threading.Event()
t = OSThread({code!r}, globals={{"all_are_there": all_are_there.set}}, {owner})
all_are_there.wait()
""")
    assert returncode == 0, stderr
    assert time.monotonic() - started < 15
    clean(stderr)
