"""Ctrl-C: KeyboardInterrupt at once, and of the thread or the state what is said of it."""

from __future__ import annotations

import os

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")

# `started` is called by Lua once it runs, and lets the test press Ctrl-C when the main thread is in the call that
# the test is about.
HEAD = """
import os, signal, sys, threading, time
import osthread
from osthread import LuaState, OSThread, run

def say(*words):
    print(*words, flush=True)

WAITS = {"join", "result", "exception", "execute", "call", "eval", "__getitem__", "close", "__exit__"}

def waits():
    frame = sys._current_frames()[threading.main_thread().ident]
    while frame and not (frame.f_code.co_name in WAITS and "osthread" in frame.f_code.co_filename):
        frame = frame.f_back
    return frame is not None

def started():
    # Lua that the main thread runs calls this from where Ctrl-C is to come.
    while threading.current_thread() is not threading.main_thread() and not waits():
        time.sleep(0.001)
    say("started")

LOOP = "started() while true do end"
SLEEP = "started() require('osthread').sleep(1e9)"
"""

ENDED = {"loop": "LOOP", "sleep": "SLEEP"}
codes = pytest.mark.parametrize("code", ENDED.values(), ids=ENDED)


def press(start_script, body, times=1):
    """Run the body, press Ctrl-C when it says so; its output without that."""
    script = start_script(HEAD + body)
    for _ in range(times):
        script.wait_for("started")
        script.interrupt()
    finished = script.finish()
    assert (finished.returncode, finished.stderr) == (0, "")
    return [line for line in finished.stdout.splitlines() if line != "started"]


@codes
@pytest.mark.parametrize("wait", ["join()", "result()", "exception()", "join(1e6)", "result(1e6)"])
def test_ctrl_c_ends_the_wait_not_the_thread(wait, code, start_script) -> None:
    body = f"""
thread = OSThread({code}, globals={{"started": started}})
try:
    thread.{wait}
except KeyboardInterrupt:
    say(thread.status)
say(thread.join(0), thread.terminate())
"""
    assert press(start_script, body) == ["running", "False stopped"]


@codes
def test_a_second_ctrl_c_ends_the_second_wait(code, start_script) -> None:
    body = f"""
thread = OSThread({code}, globals={{"started": started}})
try:
    thread.join()
except KeyboardInterrupt:
    say(thread.status)
threading.Thread(target=started).start()
try:
    thread.join()
except KeyboardInterrupt:
    say(thread.status)
say(thread.terminate())
"""
    assert press(start_script, body, times=2) == ["running", "running", "stopped"]


@codes
def test_ctrl_c_in_run_ends_the_chunk_too(code, start_script) -> None:
    body = f"""
try:
    run({code}, globals={{"started": started}})
except KeyboardInterrupt:
    say("interrupted")
say(osthread.enumerate())
"""
    assert press(start_script, body) == ["interrupted", "[]"]


@codes
@pytest.mark.parametrize("call", ["execute", "call"])
def test_ctrl_c_in_a_state_ends_the_code_and_the_state_goes_on(call, code, start_script) -> None:
    body = f"""
state = LuaState(globals={{"started": started}})
state.execute("function f() " + {code} + " end")
try:
    state.execute({code}) if {call == "execute"} else state.call("f")
except KeyboardInterrupt as error:
    say("interrupted", type(error.__context__).__name__)
say(state.eval("6 * 7"))
"""
    assert press(start_script, body) == ["interrupted NoneType", "42"]


def test_ctrl_c_ends_a_call_whose_callback_has_set_a_handler(start_script) -> None:
    body = """
def set_handler():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # now it stands before ours

state = LuaState(globals={"started": started, "set_handler": set_handler})
state.execute("function f() set_handler() started() while true do end end")
for _ in range(3):
    try:
        state.call("f")
    except KeyboardInterrupt:
        say("interrupted")
say(state.eval("6 * 7"))
"""
    assert press(start_script, body, times=3) == ["interrupted"] * 3 + ["42"]


def test_ctrl_c_between_two_quick_calls_ends_the_next_long_one(start_script) -> None:
    body = """
state = LuaState(globals={"started": started})
state.execute("function nothing() end function f() started() while true do end end")
for _ in range(20):
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    state.call("nothing")
    signal.signal(signal.SIGINT, old)
    state.call("nothing")
try:
    state.call("f")
except KeyboardInterrupt:
    say("interrupted")
say(state.eval("6 * 7"))
"""
    assert press(start_script, body) == ["interrupted", "42"]


@pytest.mark.parametrize("handler", ["as before", "set anew"])
def test_ctrl_c_again_and_again_ends_a_call_that_reaches_no_instruction(handler, run_script) -> None:
    body = f"""
over = threading.Event()

def press():
    while not over.wait(0.2):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

state = LuaState()
if {handler == "set anew"}:
    signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Thread(target=press).start()
try:
    state.call("string.find", "a" * 3000, ".-.-.-.-.-.-.-b")
except KeyboardInterrupt:
    over.set()
    say("interrupted")
"""
    assert run_script(HEAD + body) == (0, "interrupted\n", "")


def test_ctrl_c_again_and_again_loses_nothing_if_the_handler_goes_on(run_script) -> None:
    """In a finalizer no hook runs: the second one would leave the state, if the handler were Python's own."""
    body = """
over = threading.Event()
pressed = []

def press():
    while not over.wait(0.15):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

state = LuaState()
state.execute('''
    function f()
        getmetatable(newproxy(true)).__gc = function()
            local till = os.clock() + 1
            while os.clock() < till do end
        end
        collectgarbage()
        return "went on"
    end
''')
signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
presser = threading.Thread(target=press)
presser.start()
said = state.call("f")
over.set()
presser.join()
say(said, len(pressed) > 0, state.eval("6 * 7"))
"""
    assert run_script(HEAD + body) == (0, "went on True 42\n", "")


def test_ctrl_c_ends_a_call_before_which_another_thread_has_made_a_call(run_script) -> None:
    """That one's handler comes in front after the Ctrl-C, so that it looks as if there had been none."""
    body = """
state, other = LuaState(), LuaState()
state.execute("function f() inside() while true do end end")

def press(inside):
    inside.wait(30)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    other.execute("return 1")

for _ in range(10):
    inside = threading.Event()
    state["inside"] = inside.set
    presser = threading.Thread(target=press, args=[inside])
    presser.start()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        state.call("f")
    except KeyboardInterrupt:
        presser.join()
say("interrupted", state.eval("6 * 7"))
"""
    assert run_script(HEAD + body) == (0, "interrupted 42\n", "")


@pytest.mark.parametrize("read", ["*a", "*l", 5])
def test_looking_for_ctrl_c_cuts_no_reading_short(read, run_script) -> None:
    body = f"""
state = LuaState()
state.execute("function f(what) return assert(io.popen('sleep 0.2; echo hello')):read(what) end")
signal.signal(signal.SIGINT, signal.default_int_handler)
say(state.call("f", {read!r}).strip())
"""
    assert run_script(HEAD + body) == (0, "hello\n", "")


def test_ctrl_c_ends_a_call_that_reads_again_and_again(run_script) -> None:
    body = """
over = threading.Event()

def press():
    while not over.wait(0.2):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

state = LuaState()
state.execute("function f() local p = io.popen('exec sleep 1000') while true do p:read() end end")
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Thread(target=press).start()
try:
    state.call("f")
except KeyboardInterrupt:
    over.set()
    say("interrupted", state.eval("6 * 7"))
"""
    assert run_script(HEAD + body) == (0, "interrupted 42\n", "")


def test_ctrl_c_in_a_state_whose_code_swallows_it(start_script) -> None:
    body = """
state = LuaState(globals={"started": started}, grace=0.01)
try:
    state.execute("started() while true do pcall(function() while true do end end) end")
except KeyboardInterrupt:
    say("interrupted")
say(state.eval("6 * 7"))
"""
    assert press(start_script, body) == ["interrupted", "42"]


def test_ctrl_c_in_a_state_twice_in_a_row(start_script) -> None:
    body = """
state = LuaState(globals={"started": started})
for _ in range(2):
    try:
        state.execute(LOOP)
    except KeyboardInterrupt:
        say("interrupted")
"""
    assert press(start_script, body, times=2) == ["interrupted", "interrupted"]


@codes
def test_ctrl_c_at_a_blocks_end_ends_the_chunk_too(code, start_script) -> None:
    body = f"""
try:
    with OSThread({code}, globals={{"started": started}}) as thread:
        pass
except KeyboardInterrupt:
    say(thread.status)
"""
    assert press(start_script, body) == ["stopped"]


@codes
def test_ctrl_c_at_the_end_of_a_pools_block_ends_its_tasks_too(code, start_script) -> None:
    body = f"""
try:
    with osthread.LuaPool(1, grace=0.05, globals={{"started": started}}) as pool:
        future = pool.submit({code})
except KeyboardInterrupt:
    say(type(future.exception(0)).__name__)
"""
    assert press(start_script, body) == ["Stopped"]


def test_ctrl_c_within_a_block_ends_the_chunk_too(start_script) -> None:
    body = """
try:
    with OSThread("while true do end") as thread:
        say("started")
        time.sleep(1e6)
except KeyboardInterrupt:
    say(thread.status)
"""
    assert press(start_script, body) == ["stopped"]


def test_ctrl_c_at_the_end_of_nested_blocks_ends_both(start_script) -> None:
    body = """
try:
    with OSThread("while true do end") as outer, OSThread(LOOP, globals={"started": started}) as inner:
        pass
except KeyboardInterrupt:
    say(outer.status, inner.status)
"""
    assert press(start_script, body) == ["stopped stopped"]


def test_ctrl_c_while_the_code_of_run_is_in_python(start_script) -> None:
    """The callable waits on the Lua thread, which takes no signals; run() goes on once it has returned."""
    body = """
released = threading.Event()
def hold():
    started()
    released.wait(30)

try:
    run("hold() while true do end", globals={"hold": hold}, grace=30)
except KeyboardInterrupt:
    say("interrupted")
"""
    script = start_script(HEAD + body.replace("try:", "threading.Timer(0.3, released.set).start()\ntry:", 1))
    script.wait_for("started")
    script.interrupt()
    assert script.finish() == (0, "started\ninterrupted\n", "")


def test_a_second_ctrl_c_ends_the_wait_for_a_chunk_that_does_not_end(start_script) -> None:
    body = """
threading.Timer(2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()  # had the first not sufficed
def hold():
    started()
    time.sleep(1e6)

try:
    with OSThread("hold()", globals={"hold": hold}, grace=1e6):
        pass
except KeyboardInterrupt:
    say("interrupted")
os._exit(0)
"""
    assert press(start_script, body) == ["interrupted"]


def test_a_handler_of_the_users_is_called_instead(start_script) -> None:
    body = """
calls = []
signal.signal(signal.SIGINT, lambda number, frame: (calls.append(number), say("handled")))
thread = OSThread("started() require('osthread').sleep(0.3) return 42", globals={"started": started})
say(thread.result(), len(calls), thread.status)
"""
    assert press(start_script, body) == ["handled", "42 1 finished"]


def test_a_handler_of_the_users_is_called_while_a_state_runs_and_the_code_goes_on(start_script) -> None:
    body = """
calls = []
signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
state = LuaState(globals={"started": started, "called": lambda: len(calls)})
say(state.execute("started() while true do if called() > 0 then return 'went on' end end"))
say(state.execute("local o = require('osthread') o.sleep(0.01) return 1"))
"""
    assert press(start_script, body) == ["went on", "1"]


def test_a_handler_that_raises_something_else_ends_the_code_with_that(start_script) -> None:
    body = """
class Mine(Exception):
    pass

def handler(number, frame):
    raise Mine

signal.signal(signal.SIGINT, handler)
state = LuaState(globals={"started": started})
try:
    state.execute(LOOP)
except Mine:
    say("mine")
thread = OSThread(LOOP, globals={"started": started})
try:
    thread.join()
except Mine:
    say("mine", thread.terminate())
"""
    assert press(start_script, body, times=2) == ["mine", "mine stopped"]


def test_ignored_ctrl_c_stays_ignored(start_script) -> None:
    body = """
signal.signal(signal.SIGINT, signal.SIG_IGN)
say(run("started() require('osthread').sleep(0.2) return 42", globals={"started": started}))
"""
    assert press(start_script, body) == ["42"]


def test_ctrl_c_does_not_reach_a_state_in_another_python_thread(start_script) -> None:
    """Python raises KeyboardInterrupt in the main thread alone."""
    body = """
state = LuaState(globals={"started": lambda: say("started")})
interrupted, finished = threading.Event(), threading.Event()
results = []

def other():
    try:
        results.append(state.execute("started() while not interrupted() do end return 'undisturbed'"))
    except BaseException as error:
        results.append(error)
    finished.set()

state["interrupted"] = interrupted.is_set
try:
    threading.Thread(target=other).start()
    finished.wait(30)
except KeyboardInterrupt:
    say("interrupted")
interrupted.set()
finished.wait(30)
say(*results)
"""
    assert press(start_script, body) == ["interrupted", "undisturbed"]


@pytest.mark.parametrize("code", ["while true do end", "require('osthread').sleep(1e9)"])
def test_ctrl_c_while_the_program_waits_at_its_end_terminates(code, start_script) -> None:
    script = start_script(
        HEAD
        + f"""
def at_the_end():
    main = threading.main_thread().ident
    while True:
        frame = sys._current_frames()[main]
        while frame and not frame.f_code.co_filename.endswith("_exit.py"):
            frame = frame.f_back
        if frame:
            return say("started")
        time.sleep(0.001)

thread = OSThread("at_the_end() " + {code!r}, globals={{"at_the_end": at_the_end}})
"""
    )
    script.wait_for("started")
    script.interrupt()
    _, _, stderr = script.finish()
    assert "KeyboardInterrupt" in stderr
    assert "Fatal" not in stderr
    assert "terminate called" not in stderr


def test_uncaught_ctrl_c_ends_the_process_by_sigint(start_script) -> None:
    script = start_script(
        HEAD
        + """
thread = OSThread(LOOP, globals={"started": started})
thread.join()
"""
    )
    script.wait_for("started")
    script.interrupt()
    returncode, _, stderr = script.finish()
    assert returncode == -2
    assert stderr.splitlines()[-1] == "KeyboardInterrupt"


@pytest.mark.parametrize(
    "wait",
    [
        "OSThread(\"require('osthread').sleep(1e9)\").result(1)",
        "LuaState(time_limit=1).execute('while true do end')",
    ],
    ids=["result", "LuaState"],
)
@pytest.mark.parametrize(("runs", "count"), [(1, 20_000), (20, 40)], ids=["many", "the first"])
def test_no_ctrl_c_is_lost_where_a_wait_begins(wait, runs, count, run_script) -> None:
    """Another process presses it at any moment around the beginning; a lost one is a wait of a second."""
    if os.environ.get("OSTHREAD_STRESS") == "1":
        runs, count = runs * 10, count * 10
    made, call = wait.rsplit(".", 1)
    script = f"""{HEAD}
import random

mine, main = os.pipe(), os.getpid()

def spin(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass

if os.fork() == 0:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.close(mine[1])
    while os.read(mine[0], 1):
        spin(random.random() * 60e-6)
        os.kill(main, signal.SIGINT)
    os._exit(0)
made = {made}
lost = 0
for _ in range({count}):
    before = time.perf_counter()
    try:
        os.write(mine[1], b"x")
        spin(random.random() * 150e-6)
        made.{call}
        lost += 1
        time.sleep(30)
    except (TimeoutError, osthread.LuaTimeout):
        lost += 1
    except KeyboardInterrupt:
        lost += time.perf_counter() - before > 0.9
    if lost:
        break
print(lost)
os._exit(0)
"""
    for _ in range(runs):
        assert run_script(script) == (0, "0\n", "")


@pytest.mark.parametrize(
    "function",
    ["lambda: (started(), time.sleep(60))", "lambda: LuaState().execute(LOOP, globals_started)"],
    ids=["Python", "another state"],
)
def test_ctrl_c_in_a_function_that_a_state_calls_ends_the_state_s_code_too(function, start_script) -> None:
    body = f"""
LOOP = "(...)() while true do end"
globals_started = started
state = LuaState()
try:
    state.execute("local f = ... pcall(f) while true do pcall(f) end", {function})
except KeyboardInterrupt:
    say("interrupted", state.eval("1 + 1"))
"""
    assert press(start_script, body) == ["interrupted 2"]


@pytest.mark.parametrize("call", ["state.eval('1')", "state['x']", "state.close()"])
def test_ctrl_c_while_a_call_waits_its_turn(call, start_script) -> None:
    body = f"""
state = LuaState()
inside = threading.Event()
other = threading.Thread(target=lambda: state.execute("(...)()", lambda: (inside.set(), end.wait(60)) and None))
end = threading.Event()
other.start()
inside.wait(30)
threading.Thread(target=started).start()
try:
    {call}
except KeyboardInterrupt:
    say("interrupted")
end.set()
other.join()
say(state.eval("2"))
"""
    assert press(start_script, body) == ["interrupted", "2"]


def test_two_ctrl_c_at_the_end_end_a_program_whose_threads_do_not(start_script) -> None:
    script = start_script(
        HEAD
        + """
def at_the_end():
    main = threading.main_thread().ident
    for word, function in [("started", "_end_threads"), ("again", "_terminate_all")]:
        while True:
            frame = sys._current_frames()[main]
            while frame and not (frame.f_code.co_filename.endswith("_exit.py") and frame.f_code.co_name == function):
                frame = frame.f_back
            if frame:
                break
            time.sleep(0.001)
        say(word)

threading.Thread(target=at_the_end, daemon=True).start()
thread = OSThread("while true do pcall(function() while true do end end) end", grace=1)
"""
    )
    for line in ("started", "again"):
        script.wait_for(line)
        script.interrupt()
    assert "Fatal" not in script.finish().stderr


def test_ctrl_c_in_what_a_state_prints_to_ends_its_code(start_script) -> None:
    body = """
def out(text):
    started()
    time.sleep(60)

state = LuaState(stdout=out)
try:
    state.execute("while true do pcall(print, 'x') end")
except KeyboardInterrupt:
    say("interrupted")
"""
    assert press(start_script, body) == ["interrupted"]
