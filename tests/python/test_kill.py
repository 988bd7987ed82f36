"""kill(): the thread leaves Lua for good, from wherever it is, and nothing is left over."""

from __future__ import annotations

import gc
import os
import random
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import osthread
import pytest
from osthread import Killed, LuaError, LuaState, LuaTimeout, OSThread

PATIENCE = 30
ENDLESS = "while true do end"
# Nothing but a kill ends these, once they have called started().
BOMB = "started() return (('a'):rep(40)):find(('.-'):rep(20) .. 'b')"
LOOPING_FINALIZER = (
    "getmetatable(newproxy(true)).__gc = function() started() while true do end end collectgarbage()"
)
UNSTOPPABLE = {
    "pattern": BOMB,
    "finalizer": LOOPING_FINALIZER,
    "finalizer at the end": LOOPING_FINALIZER.replace(" collectgarbage()", ""),
    "pattern in a finalizer": f"getmetatable(newproxy(true)).__gc = function() {BOMB} end collectgarbage()",
    "hook": "debug.sethook(function() started() while true do end end, '', 1) while true do end",
    "error text": "error(setmetatable({}, {__tostring = function() " + BOMB + " end}))",
    "print": "print(setmetatable({}, {__tostring = function() " + BOMB + " end}))",
    "module": "package.preload.m = function() " + BOMB + " end require 'm'",
}
unstoppable = pytest.mark.parametrize("code", UNSTOPPABLE.values(), ids=UNSTOPPABLE.keys())

pytestmark = pytest.mark.skipif(not osthread.features().kill, reason="this build has no kill")


def start(code: str, **options: Any) -> OSThread:
    """A thread that has come to where only a kill ends it."""
    started = threading.Event()
    thread = OSThread(code, globals={"started": started.set}, **options)
    assert started.wait(PATIENCE)
    return thread


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# --- What it does -------------------------------------------------------------------------------------


def test_it_ends_the_thread_and_says_so() -> None:
    thread = OSThread(ENDLESS)
    assert thread.kill() is True
    assert thread.join(PATIENCE)
    assert thread.status == "killed"
    with pytest.raises(Killed) as caught:
        thread.result()
    assert caught.value.stage == "kill"
    assert caught.value.thread == thread.name
    assert thread.kill() is False, "there is nothing to do any more"


@unstoppable
def test_it_ends_what_nothing_else_ends(code: str) -> None:
    chance = random.Random(1)
    for _ in range(10):
        thread = OSThread(code, globals={"started": lambda: None})
        time.sleep(chance.random() / 200)
        thread.kill()
        assert thread.join(PATIENCE)
        assert thread.status == "killed"


@unstoppable
def test_terminate_comes_to_it(code: str) -> None:
    thread = start(code, grace=0.01)
    assert thread.terminate() == "killed"
    assert isinstance(thread.exception(), Killed)


@unstoppable
def test_a_time_limit_holds_by_it(code: str) -> None:
    thread = start(code, time_limit=0.02, grace=0.01)
    with pytest.raises(LuaTimeout, match=r"0\.02 s"):
        thread.result(PATIENCE)
    assert thread.status == "failed"


@unstoppable
def test_a_block_left_by_an_exception_ends_it(code: str) -> None:
    thread = start(code, grace=0.01)
    with pytest.raises(ZeroDivisionError), thread:
        raise ZeroDivisionError
    assert thread.status == "killed"


@unstoppable
def test_the_garbage_collector_ends_it(code: str) -> None:
    thread = start(code, grace=0.01)
    ended = threading.Event()
    thread.add_done_callback(lambda _: ended.set())
    thread._fetched = True  # type: ignore[assignment]  # nobody wants to be told
    with pytest.warns(ResourceWarning):
        del thread
    assert ended.wait(PATIENCE)


def test_before_the_start_and_after_the_end() -> None:
    thread = OSThread(ENDLESS, suspended=True)
    assert thread.kill() is True
    assert thread.status == "stopped", "discarded: it never ran"
    done = OSThread("return 1")
    done.join()
    assert done.kill() is False
    assert done.result() == 1


def test_by_the_thread_itself() -> None:
    """By a function that it calls: it is left when that returns."""
    here: list[OSThread] = []
    made = threading.Event()

    def kill() -> None:
        made.wait(PATIENCE)
        here[0].kill()

    here.append(OSThread("local f = ... f() while true do end", kill))
    made.set()
    assert here[0].join(PATIENCE)
    assert here[0].status == "killed"
    here.clear()


def test_from_many_threads_at_once() -> None:
    for _ in range(20):
        thread = start(BOMB)
        killers = [threading.Thread(target=thread.kill) for _ in range(8)]
        for killer in killers:
            killer.start()
        for killer in killers:
            killer.join()
        assert thread.join(PATIENCE)
        assert thread.status == "killed"


def test_cleanup_does_not_run(started: Any) -> None:
    seen: list[str] = []
    code = """
        local started, note = ...
        getmetatable(newproxy(true)).__gc = function() note('finalizer') end
        pcall(function() started() while true do end end)
        note('after')
    """
    thread = OSThread(code, started, seen.append)
    started.wait()
    thread.kill()
    assert thread.join(PATIENCE)
    assert seen == []


def test_code_in_a_python_function_ends_when_that_returns(gate: Any) -> None:
    seen: list[str] = []
    thread = OSThread("local gate, note = ... gate() note('after')", gate, seen.append)
    gate.entered.wait()
    thread.kill()
    assert not thread.join(0.05)
    gate.open()
    assert thread.join(PATIENCE)
    assert thread.status == "killed"
    assert seen == []


def test_the_python_objects_it_held_are_given_back(started: Any) -> None:
    class Callable:
        def __call__(self) -> None: ...

    held = Callable()
    reference = weakref.ref(held)
    thread = OSThread(
        "local t = {} for i = 1, 100 do t[i] = f end started() while true do end",
        globals={"f": held, "started": started},
    )
    del held
    started.wait()
    thread.kill()
    assert thread.join(PATIENCE)
    del thread  # whose options hold it, too
    deadline = time.monotonic() + PATIENCE
    while reference() is not None and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.001)
    assert reference() is None


# --- What it closes -----------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")
def test_files_are_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    code = """
        local path, started = ...
        files = {io.open(path), io.open(path .. '2', 'w'), io.tmpfile()}
        commands = {io.popen('exec sleep 60'), io.popen('cat', 'w')}
        files[2]:write('lost')
        for line in io.lines(path) do started() while true do end end
    """
    before = open_descriptors()
    for _ in range(10):
        here = threading.Event()
        thread = OSThread(code, str(path), here.set)
        assert here.wait(PATIENCE)
        thread.kill()
        assert thread.join(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while open_descriptors() > before and time.monotonic() < deadline:
        time.sleep(0.001)
    assert open_descriptors() <= before


# --- Runs nest ----------------------------------------------------------------------------------------


def test_runs_inside_are_left_first_each_by_its_own_landing(started: Any) -> None:
    seen: list[str] = []

    def inner() -> None:
        with LuaState() as state:
            state["started"] = started
            try:
                state.execute(BOMB)
            except Killed:
                seen.append("killed inside")
                raise
            finally:
                seen.append("Python goes on")

    thread = OSThread("local f, note = ... pcall(f) note('after')", inner, seen.append)
    started.wait()
    thread.kill()
    assert thread.join(PATIENCE)
    assert thread.status == "killed"
    assert seen == ["killed inside", "Python goes on"]


def test_code_that_c_calls_back_is_not_left_in_the_middle() -> None:
    """C's qsort would be skipped otherwise; it is a foreign frame like any that holds a lock."""
    code = """
        local started, over = ...
        local ffi = require 'ffi'
        ffi.cdef 'void qsort(void *, size_t, size_t, int (*)(const void *, const void *));'
        local a = ffi.new('int[2]')
        ffi.C.qsort(a, 2, 4, function() started() repeat until over() return 0 end)
        while true do end
    """
    for stop in ("kill", "interrupt", "terminate"):
        over, here = threading.Event(), threading.Event()
        thread = OSThread(code, here.set, over.is_set, grace=0.01)
        assert here.wait(PATIENCE)
        if stop == "terminate":
            with pytest.warns(osthread.ThreadAbandonedWarning):
                assert thread.terminate() == "abandoned"
            over.set()
            continue
        getattr(thread, stop)()
        assert not thread.join(0.1)
        over.set()
        assert thread.join(PATIENCE)
        assert thread.status == {"kill": "killed", "interrupt": "stopped"}[stop]


def test_an_error_that_skips_a_callback_leaves_the_thread_killable(started: Any) -> None:
    code = """
        local started = ...
        local ffi = require 'ffi'
        ffi.cdef 'void qsort(void *, size_t, size_t, int (*)(const void *, const void *));'
        local a = ffi.new('int[2]')
        local call = ffi.cast('int (*)(const void *, const void *)', function() error('skips qsort') end)
        pcall(function() ffi.C.qsort(a, 2, 4, call) end)
        started() while true do end
    """
    thread = OSThread(code, started)
    started.wait()
    thread.kill()
    assert thread.join(PATIENCE)


# --- A LuaState ---------------------------------------------------------------------------------------


@unstoppable
def test_a_state_obeys_its_time_limit_and_is_closed_then(code: str) -> None:
    state = LuaState(time_limit=0.02, grace=0.01, globals={"started": lambda: None})
    if code == UNSTOPPABLE["finalizer at the end"]:
        state.execute(code)
        with pytest.raises(LuaTimeout):
            state.close()
        return
    with pytest.raises(LuaTimeout) as caught:
        state.execute(code)
    assert caught.value.stage == "kill"
    with pytest.raises(RuntimeError, match="closed: only a kill could enforce its time limit"):
        state.eval("1")
    state.close()


def test_a_state_that_ordinary_code_overran_goes_on() -> None:
    with LuaState(time_limit=0.01, grace=0.0) as state:
        for code in ("while true do end", "while true do pcall(function() while true do end end) end"):
            for _ in range(10):
                with pytest.raises(LuaTimeout) as caught:
                    state.execute(code)
                assert caught.value.stage == "interrupt"
        state.time_limit = None
        assert state.eval("6 * 7") == 42


def test_a_state_in_which_python_overran_goes_on() -> None:
    """An interrupt is enough when the function returns, however late."""
    with LuaState(time_limit=0.01, grace=0.01) as state:
        state["slow"] = lambda: time.sleep(0.3)
        with pytest.raises(LuaTimeout):
            state.execute("slow() while true do end")
        state.time_limit = None
        assert state.eval("6 * 7") == 42


def test_a_state_is_killed_from_another_thread(started: Any) -> None:
    state = LuaState()
    state["started"] = started
    killed: list[bool] = []

    def kill() -> None:
        started.wait()
        killed.append(state.kill())

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(Killed):
        state.execute(BOMB)
    killer.join()
    assert killed == [True]
    with pytest.raises(RuntimeError, match=r"closed: kill\(\) ended it"):
        state.eval("1")
    assert state.kill() is False


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ({}, r"closed: kill\(\) ended the code that had called it"),
        ({"time_limit": 0.05, "grace": 0.01}, "the time limit of the code that had called it"),
    ],
    ids=["kill", "time_limit"],
)
def test_a_state_that_went_with_the_thread_that_called_it_says_so(
    stop: dict[str, float], reason: str
) -> None:
    started = threading.Event()
    state = LuaState(globals={"started": started.set})
    thread = OSThread("(...)()", lambda: state.execute(BOMB), **stop)
    assert started.wait(PATIENCE)
    if not stop:
        thread.kill()
    assert isinstance(thread.exception(PATIENCE), LuaError)
    with pytest.raises(RuntimeError, match=reason):
        state.eval("1")


# --- Commands -----------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="children are counted in /proc")
@pytest.mark.parametrize("stop", ["interrupt", "terminate", "kill", "time_limit"])
@pytest.mark.parametrize(
    "code",
    [
        "os.execute('{0}')",
        "io.popen('{0}'):read('*a')",
        "io.popen('{0}'):close()",
        "os.execute('trap \"\" TERM; {0}')",
        "os.execute('{0} & {0} & wait')",
    ],
    ids=["execute", "read", "close", "that ignores SIGTERM", "with children"],
)
def test_commands_are_stopped_with_their_children(code: str, stop: str, tmp_path: Path) -> None:
    seconds = f"{random.randrange(10**5, 10**6)}"  # known by it
    code = code.format(f"sleep {seconds}")

    def sleeping() -> int:
        found = 0
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                found += words[:2] == [b"sleep", seconds.encode()]
            except OSError:
                continue
        return found

    thread = OSThread(code, grace=0.05, time_limit=0.2 if stop == "time_limit" else None)
    deadline = time.monotonic() + PATIENCE
    while sleeping() == 0 and time.monotonic() < deadline:
        time.sleep(0.001)
    if stop != "time_limit":
        getattr(thread, stop)()
    assert thread.join(PATIENCE)
    assert thread.status in ("stopped", "killed", "failed")
    assert thread.exception() is not None
    while sleeping() != 0 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert sleeping() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell's commands")
def test_commands_work_as_always(tmp_path: Path) -> None:
    path = tmp_path / "out"
    code = """
        local path = ...
        local results = {os.execute(), os.execute('exit 3'), os.execute('kill -9 $$'), os.execute('true')}
        local out = io.popen('echo one; echo two')
        results[5] = out:read('*a')
        results[6] = out:close()
        local to = io.popen('cat > ' .. path, 'w')
        to:write('three')
        to:close()
        results[7] = io.open(path):read('*a')
        results[8] = pcall(io.popen, 'true', 'x')
        return results
    """
    results = osthread.run(code, str(path))
    assert results == [1, 3 << 8, 9, 0, "one\ntwo\n", True, "three", True]


# --- Nothing is left over -----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in /proc")
def test_memory_is_where_it_was_after_many_kills() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    code = "local t = {} for i = 1, 1e5 do t[i] = ('x'):rep(100) end s = ('x'):rep(2^20) while true do end"
    for i in range(300):
        thread = OSThread(code)
        time.sleep(0.001)
        thread.kill()
        assert thread.join(PATIENCE)
        if i == 100:
            before = resident()
    assert resident() < before + 4 * 2**20
