"""What a kill, or a look at a thread, must not meet: each was a defect once."""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import osthread
import pytest
from osthread import LuaState, LuaTimeout, OSThread

PATIENCE = 30
LOOPING = "getmetatable(newproxy(true)).__gc = function() while true do end end"

pytestmark = pytest.mark.skipif(not osthread.features().kill, reason="this build has no kill")
RunScript = Callable[..., Any]


@pytest.mark.parametrize(
    ("call", "check"),
    [
        ("os.time({year = 2020, month = 1, day = 1})", "time.mktime(time.localtime())"),
        ("io.stderr:write('')", "sys.stderr.write('')"),
        ("os.date('%c', 0)", "time.strftime('%c')"),
    ],
)
@pytest.mark.parametrize("where", ["OSThread", "main thread", "Python thread"])
def test_an_overflow_inside_the_c_library_leaves_none_of_its_locks_taken(
    call: str, check: str, where: str, run_script: RunScript
) -> None:
    code = f"local function f() {call} return coroutine.wrap(f)() end f()"
    script = f"""
import sys, threading, time
import osthread

def overflow():
    for _ in range(3):
        try:
            if {where == "OSThread"}:
                osthread.run({code!r})
            else:
                osthread.LuaState().execute({code!r})
        except osthread.LuaError as error:
            print(error.message)

if {where == "Python thread"}:
    thread = threading.Thread(target=overflow)
    thread.start()
    thread.join()
else:
    overflow()
{check}
print(osthread.run("return os.time() > 0"))
"""
    assert run_script(script) == (0, "C stack overflow\n" * 3 + "True\n", "")


@pytest.mark.parametrize("end", ["close", "kill"])
def test_a_state_takes_its_profiler_along(end: str, run_script: RunScript) -> None:
    script = f"""
import threading
import osthread
for _ in range(5):
    state = osthread.LuaState()
    state.execute("require('jit.profile').start('i1', function() end)")
    if {end == "kill"}:
        threading.Timer(0.01, state.kill).start()
        try:
            state.execute("while true do end")
        except osthread.Killed:
            pass
    state.close()
for _ in range(20):
    osthread.run("for i = 1, 1e7 do end")
print("fine")
"""
    assert run_script(script) == (0, "fine\n", "")


@pytest.mark.parametrize("use", ["set", "compile"])
def test_finalizers_outside_of_a_call_are_bounded_too(use: str) -> None:
    state = LuaState(time_limit=0.2, grace=0.01)
    state.execute(LOOPING)

    def collect() -> None:
        for _ in range(10_000):
            if use == "set":
                state["x"] = list(range(1000))
            else:
                state.execute("local t = {" + "{}, " * 5_000 + "}")

    with pytest.raises(LuaTimeout):
        collect()
    with pytest.raises(RuntimeError, match="time limit"):
        state.eval("1")


def test_a_file_belongs_to_the_state_that_opened_it() -> None:
    """A finalizer of one state opens it while another's thread calls Python."""
    state = LuaState()
    state.execute("getmetatable(newproxy(true)).__gc = function() file = io.tmpfile() end")

    def collect() -> None:
        for _ in range(3000):
            state["x"] = list(range(200))

    osthread.run("(...)()", collect)
    assert state.eval("file ~= nil and file:write('x') ~= nil") is True
    state.close()


def test_a_time_limit_counts_though_an_interrupt_came_before(started: Any) -> None:
    code = "getmetatable(newproxy(true)).__gc = function() started() while true do end end collectgarbage()"
    thread = OSThread(code, time_limit=0.3, grace=0.01, globals={"started": started})
    started.wait()
    assert thread.interrupt()
    assert thread.join(PATIENCE)


@pytest.mark.parametrize("where", ["%s", "coroutine.wrap(function() %s end)()"], ids=["main", "coroutine"])
def test_a_callback_that_an_error_has_skipped_is_over_deeper_in_the_stack_too(where: str) -> None:
    code = """
        local ffi = require 'ffi'
        ffi.cdef 'void qsort(void *, size_t, size_t, int (*)(const void *, const void *));'
        local a = ffi.new('int[2]')
        pcall(function() ffi.C.qsort(a, 2, 4, function() error('skips qsort') end) end)
        local x = (('x'):gsub('.', function() while true do end end))
    """
    thread = OSThread(where % code, time_limit=0.1, grace=0.01)
    with pytest.raises(LuaTimeout):
        thread.result(PATIENCE)


def wait_until_it_reads(thread: OSThread) -> None:
    """Return when the kernel has the thread in read() of a pipe."""
    where = Path(f"/proc/self/task/{thread.native_id}/syscall")
    deadline = time.monotonic() + PATIENCE
    while not where.read_text().startswith("0 "):  # x86-64's number of read
        assert time.monotonic() < deadline, where.read_text()
        time.sleep(0.001)


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="the kernel is asked")
@pytest.mark.parametrize("look", ["stack", "pause"])
def test_looking_at_a_thread_does_not_cut_its_reading_short(look: str, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    thread = OSThread("local p = io.popen('cat ' .. ...) return p:read('*l'), p:close()", str(fifo))
    wait_until_it_reads(thread)
    if look == "stack":
        assert thread._stack(0.05) is None, "it reads, and answers nobody meanwhile"
    else:
        assert thread.pause(0.05) is False
        thread.resume()
    fifo.write_text("hi\n")
    assert thread.result(PATIENCE) == ("hi", True)


def test_reading_what_has_no_end_is_ended() -> None:
    for read in ("io.open('/dev/zero'):read('*l')", "io.popen(\"yes ''\"):read('*n')"):
        here = threading.Event()
        thread = OSThread(f"(...)() return {read}", here.set, grace=0.01)
        assert here.wait(PATIENCE)
        assert thread.terminate() in ("stopped", "killed")


def test_waiting_for_a_pause_can_be_stopped(started: Any) -> None:
    held = threading.Event()

    def wait_for_the_pause() -> None:
        started()
        other.pause(None)

    other = OSThread("(...)() while true do end", lambda: held.wait(PATIENCE), grace=0.01)
    waiting = OSThread("(...)()", wait_for_the_pause, grace=0.01)
    started.wait()
    while sys._current_frames()[waiting.ident].f_code.co_name != "pause":
        time.sleep(0.001)
    assert waiting.terminate() == "stopped"
    held.set()
    assert other.terminate() == "stopped"


def test_a_second_ctrl_c_ends_what_no_hook_reaches(start_script: Callable[..., Any]) -> None:
    script = start_script("""
import threading, time
import osthread

entered = threading.Event()

def tell():
    entered.wait()
    clock = time.pthread_getcpuclockid(threading.main_thread().ident)
    before = time.clock_gettime(clock)
    while time.clock_gettime(clock) < before + 0.02:  # it is in the loop, and no more in the function it called
        time.sleep(0.001)
    print("looping", flush=True)

threading.Thread(target=tell, daemon=True).start()
state = osthread.LuaState()
state["entered"] = entered.set
try:
    state.execute("getmetatable(newproxy(true)).__gc = function() entered() while true do end end collectgarbage()")
except KeyboardInterrupt:
    print("ended")
""")
    script.wait_for("looping")
    script.interrupt()
    time.sleep(0.3)  # a second one means something if it comes a tenth of a second later, or more
    script.interrupt()
    assert script.finish() == (0, "looping\nended\n", "")


def test_a_handler_of_the_program_s_own_that_returns_costs_no_state(start_script: Callable[..., Any]) -> None:
    """Not with several presses either, while C functions run in which no hook is heard."""
    script = start_script("""
import signal, threading, time
import osthread

pressed = []
signal.signal(signal.SIGINT, lambda *_: pressed.append(1))
entered = threading.Event()

def tell():
    entered.wait()
    print("inside", flush=True)

threading.Thread(target=tell, daemon=True).start()
state = osthread.LuaState()
state["entered"] = entered.set
state.execute('''
  getmetatable(newproxy(true)).__gc = function() entered() local t = os.clock() while os.clock() < t + 1 do end end
  collectgarbage()''')
print(len(pressed) > 0, state.eval("6 * 7"))
""")
    script.wait_for("inside")
    for _ in range(3):
        time.sleep(0.15)
        script.interrupt()
    assert script.finish() == (0, "inside\nTrue 42\n", "")


def test_a_state_that_is_killed_below_another_one_s_call_is_left_when_that_returns() -> None:
    """Not under its own call, though what asks is a run of its own."""

    def live() -> None:
        outer, inner = LuaState(), LuaState()
        seen: list[Any] = []

        def kill_outer() -> None:
            seen.append(outer.kill())
            seen.append(outer["x"])
            outer["x"] = 6

        outer["x"] = 5
        outer["f"] = lambda: inner.execute("g()")
        inner["g"] = kill_outer
        with pytest.raises(osthread.Killed):
            outer.execute("f() while true do end")
        assert seen == [True, 5]
        with pytest.raises(RuntimeError, match="closed"):
            outer.eval("1")

    for _ in range(20):
        live()


def test_a_kill_that_says_it_had_something_to_do_has_closed_the_state() -> None:
    state = LuaState()
    killed: list[bool] = []
    ending = threading.Event()

    def kill() -> None:
        while not ending.is_set():
            killed.append(state.kill())

    other = threading.Thread(target=kill)
    other.start()
    for _ in range(200):
        try:
            while True:
                state["x"] = [1, 2, 3]
                assert state["x"] == [1, 2, 3]
        except (osthread.Killed, RuntimeError):
            with pytest.raises(RuntimeError, match="closed"):
                state.eval("1")
        state = LuaState()
    ending.set()
    other.join()
    assert killed.count(True) >= 200


def test_ctrl_c_that_python_has_handled_twice_kills_nothing(run_script: RunScript) -> None:
    script = """
import os, signal, time
import osthread
caught = []

def callback(_):
    if len(caught) < 3:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
        except KeyboardInterrupt:
            caught.append(1)
    return "y"

state = osthread.LuaState()
state["f"] = callback
print(state.execute("return (('xxxxx'):gsub('.', f))"), len(caught))
"""
    assert run_script(script) == (0, "yyyyy 3\n", "")
