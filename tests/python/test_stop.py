"""Stopping: whatever Lua code does, interrupt(), a time limit and a block left by an exception end it."""

from __future__ import annotations

import os
import signal
import threading
import time

import osthread
import pytest
from osthread import LuaState, OSThread, Stopped

PATIENCE = 30.0
ENDLESS = "while true do end"

posix_only = pytest.mark.skipif(os.name != "posix", reason="takes POSIX signals")

# Each calls started() and never ends by itself; FOREVER makes up for those that swallow the first stop.
FOREVER = " while true do end"
LOOPS = {
    "while": "started() while true do end",
    "while counting": "started() local n = 0 while true do n = n + 1 end",
    "numeric for": "started() for i = 1, math.huge do end",
    "numeric for, inner loops": "started() while true do for i = 1, 1000 do local x = i * i end end",
    "repeat": "started() repeat until false",
    "goto": "started() ::again:: goto again",
    "ipairs": "local t = {1, 2, 3} started() while true do for i, v in ipairs(t) do end end",
    "pairs": "local t = {a = 1, b = 2} started() while true do for k in pairs(t) do end end",
    "next": "local t, k = {a = 1, b = 2} started() while true do k = next(t, k) end",
    "tail recursion": "started() local function f(n) return f(n + 1) end f(1)",
    "mutual recursion": (
        "started() local f local function g() return f() end f = function() return g() end f()"
    ),
    "deep recursion": (
        "started() local function f(n) if n > 0 then f(n - 1) end return n end while true do f(100) end"
    ),
    "ffi array": (
        "local a = require('ffi').new('double[?]', 1000) started() "
        "while true do for i = 0, 999 do a[i] = a[i] + 1 end end"
    ),
    "ffi call": (
        "local ffi = require('ffi') ffi.cdef('int abs(int);') started() "
        "local n = 0 while true do n = n + ffi.C.abs(-1) end"
    ),
    "fast C functions": "started() while true do local n = math.floor(1.5) + ('x'):byte() + bit.bnot(1) end",
    "slow C functions": "started() while true do local s = os.time() .. string.format('%d', 1) end",
    "string building": "started() while true do local s = ('x'):rep(100) .. 'y' end",
    "tables for the collector": "started() while true do local t = {{}, {}} end",
    "collector": "started() while true do collectgarbage() end",
    "loadstring": "started() while true do loadstring('return 1')() end",
    "coroutine": "coroutine.resume(coroutine.create(function() started() while true do end end))" + FOREVER,
    "coroutine swallowing": (
        "local function f() while true do end end "
        "started() while true do coroutine.resume(coroutine.create(f)) end"
    ),
    "coroutine switches": (
        "local c = coroutine.wrap(function() while true do coroutine.yield() end end) "
        "started() while true do c() end"
    ),
    "chain of wraps": (
        "local function f(n) if n == 0 then started() while true do end end coroutine.wrap(f)(n - 1) end "
        "f(20)"
    ),
    "pcall once": "pcall(function() started() while true do end end)" + FOREVER,
    "pcall loop": "started() while true do pcall(function() while true do end end) end",
    "pcall tight loop": "local f = function() end started() while true do pcall(f) end",
    "pcall in pcall": (
        "local function f() pcall(f) while true do pcall(function() while true do end end) end end "
        "started() f()"
    ),
    "pcall of error": "started() while true do pcall(error, 'x') end",
    "xpcall handler": "xpcall(error, function() started() while true do end end)" + FOREVER,
    "xpcall loop": "local function f() while true do end end started() while true do xpcall(f, f) end",
    "without hooks": "debug.sethook() started() while true do end",
    "removing hooks": "started() while true do debug.sethook() end",
    "with a hook of its own": "debug.sethook(function() end, '', 1) started() while true do end",
    "sort comparator": (
        "local t = {} for i = 1, 100 do t[i] = -i end "
        "table.sort(t, function(a, b) started() while true do end end)"
    ),
    "gsub callback": "(('x'):rep(100)):gsub('.', function() started() while true do end end)",
    "gsub loop": (
        "local function f() while true do end end started() while true do pcall(string.gsub, 'x', 'x', f) end"
    ),
    "__index": "return setmetatable({}, {__index = function() started() while true do end end}).x",
    "__newindex": "setmetatable({}, {__newindex = function() started() while true do end end}).x = 1",
    "__add": "return setmetatable({}, {__add = function() started() while true do end end}) + 1",
    "__concat": "return setmetatable({}, {__concat = function() started() while true do end end}) .. 1",
    "__lt": (
        "local m = {__lt = function() started() while true do end end} "
        "return setmetatable({}, m) < setmetatable({}, m)"
    ),
    "__call": "setmetatable({}, {__call = function() started() while true do end end})()",
    "__tostring": "tostring(setmetatable({}, {__tostring = function() started() while true do end end}))",
    "iterator": "local function n() return 1 end started() for x in n do end",
    "print": "started() while true do print('') end",
    "sleep": "started() require('osthread').sleep(1e9)",
    "sleep loop": "local o = require('osthread') started() while true do o.sleep(0.001) end",
    "sleep, swallowing": "local o = require('osthread') started() while true do pcall(o.sleep, 1e9) end",
    "asking the clock": "local o = require('osthread') started() while true do o.now() end",
    "asking for its stop": "local o = require('osthread') started() while true do o.stop_requested() end",
    "calling Python": "while true do started() end",
    "calling Python, swallowing": "while true do pcall(started) end",
}
every_loop = pytest.mark.parametrize("code", LOOPS.values(), ids=LOOPS)


def quiet(_):
    """An output that shows nothing."""


@pytest.fixture
def options(started):
    """What a loop needs."""
    return {"globals": {"started": started}, "grace": 0.01, "stdout": quiet}


@every_loop
@pytest.mark.parametrize("jit", [True, False], ids=["jit", "interpreted"])
def test_interrupt_ends_it(code, jit, started, options) -> None:
    thread = OSThread(code, jit=jit, **options)
    started.wait()
    assert thread.interrupt() is True
    assert thread.join(PATIENCE), thread.stack()
    assert thread.status == "stopped"
    error = thread.exception()
    assert type(error) is Stopped
    assert error.stage == "interrupt"
    assert error.thread == thread.name


@every_loop
def test_time_limit_ends_it(code, options) -> None:
    thread = OSThread(code, time_limit=0.02, **options)
    with pytest.raises(osthread.LuaTimeout, match=r"0\.02 s") as caught:
        thread.result(PATIENCE)
    assert not isinstance(caught.value, (TimeoutError, Stopped))
    assert thread.status == "failed"


@every_loop
def test_a_block_left_by_an_exception_ends_it(code, started, options) -> None:
    thread = OSThread(code, **options)

    def block():
        with thread:
            started.wait()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        block()
    assert thread.status == "stopped"
    assert caught.value.__context__ is None


@every_loop
def test_a_state_is_usable_after_its_code_was_stopped(code, options) -> None:
    with LuaState(time_limit=0.02, **options) as state:
        with pytest.raises(osthread.LuaTimeout):
            state.execute(code)
        state.time_limit = None
        assert state.eval("6 * 7") == 42


@pytest.mark.parametrize("jit", [True, False], ids=["jit", "interpreted"])
def test_a_loop_that_has_run_for_a_while_is_stopped_too(jit, started) -> None:
    """Compiled long since, with side traces."""
    code = "local n = 0 for i = 1, 1e7 do n = n + i % 7 end started() while true do n = n + n % 7 end"
    thread = OSThread(code, jit=jit, globals={"started": started})
    started.wait()
    assert thread.interrupt()
    assert thread.join(PATIENCE)
    assert thread.status == "stopped"


# --- Blocked ------------------------------------------------------------------------------------------


@posix_only
def test_interrupt_ends_a_poll_for_ever(started) -> None:
    code = """
        local ffi = require('ffi')
        ffi.cdef('int poll(void *, unsigned long, int);')
        started()
        ffi.C.poll(nil, 0, -1)
    """
    thread = OSThread(code, globals={"started": started})
    started.wait()
    assert thread.interrupt()
    assert thread.join(PATIENCE)
    assert thread.status == "stopped"


@posix_only
@pytest.mark.parametrize("end", ["thread.interrupt()", "thread.terminate()"])
def test_interrupt_ends_a_read_from_an_empty_pipe(end, start_script) -> None:
    script = start_script(f"""
import threading
from osthread import OSThread

started = threading.Event()
thread = OSThread("started() return io.read()", globals={{"started": started.set}})
started.wait(30)
while thread.join(0.05):  # it waits for input
    raise SystemExit("it has ended")
{end}
print(thread.join(30), thread.status)
""")
    script.process.stdin.flush()
    script.wait_for("True stopped")  # while its standard input is still open
    finished = script.finish()
    assert (finished.returncode, finished.stderr) == (0, "")


@posix_only
def test_time_limit_ends_a_read_from_an_empty_pipe(start_script) -> None:
    script = start_script("""
from osthread import OSThread
thread = OSThread("return io.read()", time_limit=0.1)
print(type(thread.exception(30)).__name__, thread.status)
""")
    script.wait_for("LuaTimeout failed")
    finished = script.finish()
    assert (finished.returncode, finished.stderr) == (0, "")


def test_code_in_a_python_callable_ends_when_that_returns(gate) -> None:
    with OSThread("hold() " + ENDLESS, globals={"hold": gate}) as thread:
        gate.entered.wait()
        assert thread.interrupt() is True
        assert thread.join(0.1) is False
        gate.open()
        assert thread.join(PATIENCE)
    assert thread.status == "stopped"


def test_a_sleep_whose_stop_comes_before_it_begins_does_not_begin(gate) -> None:
    for ask in (OSThread.interrupt, OSThread.request_stop):
        thread = OSThread("hold() require('osthread').sleep(1e9)", globals={"hold": gate})
        gate.entered.wait()
        assert ask(thread)
        gate.open()
        assert thread.join(PATIENCE)
        assert thread.status == "stopped"


def test_no_stop_is_lost_where_a_sleep_begins() -> None:
    """The ask comes at any moment around the sleep's beginning."""
    for i in range(500):
        thread = OSThread("for i = 1, ... do end require('osthread').sleep(1e9)", i * 20)
        (thread.interrupt if i % 2 else thread.request_stop)()
        assert thread.join(PATIENCE)
        assert thread.status == "stopped"


def test_a_sleep_lasts_as_long_as_it_says() -> None:
    code = "local o = require('osthread') local t = o.now() o.sleep(0.05) return o.now() - t"
    assert 0.05 <= OSThread(code).result(PATIENCE) < 5


# --- request_stop -------------------------------------------------------------------------------------


@pytest.mark.parametrize("jit", [True, False], ids=["jit", "interpreted"])
@pytest.mark.parametrize("body", ["", "n = n + 1", "local t = {}", "('x'):byte()"])
def test_request_stop_is_polled(body, jit, started) -> None:
    """In a loop that has been compiled long since, and does nothing else, or little."""
    code = f"""
        local o, n = require('osthread'), 0
        started()
        while not o.stop_requested() do {body} end
        return 'clean'
    """
    thread = OSThread(code, jit=jit, globals={"started": started})
    started.wait()
    begun = thread.statistics().cpu_seconds
    while thread.statistics().cpu_seconds < begun + 0.02:  # all of it spent in the loop
        pass
    assert thread.request_stop() is True
    assert thread.result(PATIENCE) == "clean"
    assert thread.status == "finished"


def test_request_stop_ends_a_sleep_as_stopped(started) -> None:
    thread = OSThread("started() require('osthread').sleep(1e9)", globals={"started": started})
    started.wait()
    assert thread.request_stop() is True
    error = thread.exception(PATIENCE)
    assert type(error) is Stopped
    assert error.stage == "request"
    assert thread.status == "stopped"


def test_request_stop_leaves_running_code_alone(gate) -> None:
    thread = OSThread("hold() for i = 1, 1e5 do end return 1", globals={"hold": gate})
    gate.entered.wait()
    assert thread.request_stop() is True
    gate.open()
    assert thread.result(PATIENCE) == 1


def test_terminate_goes_from_request_to_interrupt(started) -> None:
    polite = OSThread("started() require('osthread').sleep(1e9)", globals={"started": started})
    started.wait()
    assert polite.terminate() == "stopped"
    assert polite.exception().stage == "request"
    stubborn = OSThread(ENDLESS)
    assert stubborn.terminate() == "stopped"
    assert stubborn.exception().stage == "interrupt"
    assert stubborn.terminate() == "stopped"


def test_terminate_gives_up_what_sits_in_python(gate) -> None:
    thread = OSThread("hold()", grace=0.01, globals={"hold": gate})
    gate.entered.wait()
    with pytest.warns(osthread.ThreadAbandonedWarning, match=thread.name):
        assert thread.terminate() == "abandoned"
    assert thread.join(0) is False
    assert thread.done()
    assert not thread.is_alive()
    with pytest.raises(osthread.Abandoned):
        thread.result()
    gate.open()
    assert thread.status == "abandoned", "what was said once stands"


# --- Cleanup, and how a stop ends ---------------------------------------------------------------------


def test_cleanup_within_grace_works_as_always(started) -> None:
    code = """
        local o = require('osthread')
        local ok, e = pcall(function() started() while true do end end)
        local n = 0
        for i = 1, 1e6 do n = n + 1 end
        o.sleep(0.01)
        return ok, o.is_stopped(e), n, o.stop_requested()
    """
    thread = OSThread(code, grace=PATIENCE, globals={"started": started})
    started.wait()
    assert thread.interrupt()
    assert thread.result(PATIENCE)[:3] == (False, True, 1_000_000)
    assert thread.status == "finished"


def test_cleanup_that_raises_another_error_has_failed(started) -> None:
    code = "pcall(function() started() while true do end end) error('cleanup', 0)"
    thread = OSThread(code, grace=PATIENCE, globals={"started": started})
    started.wait()
    assert thread.interrupt()
    error = thread.exception(PATIENCE)
    assert type(error) is osthread.LuaError
    assert error.message == "cleanup"
    assert thread.status == "failed"
    assert isinstance(error.__context__, Stopped)


def test_cleanup_that_raises_the_stop_again_is_stopped(started) -> None:
    code = "local ok, e = pcall(function() started() while true do end end) error(e, 0)"
    thread = OSThread(code, grace=PATIENCE, globals={"started": started})
    started.wait()
    assert thread.interrupt()
    assert type(thread.exception(PATIENCE)) is Stopped
    assert thread.status == "stopped"


def test_cleanup_that_takes_too_long_is_stopped(started) -> None:
    code = """
        local function loop() while true do end end
        pcall(function() started() loop() end)
        pcall(loop)
        return 'kept'
    """
    thread = OSThread(code, grace=0.01, globals={"started": started})
    started.wait()
    assert thread.interrupt()
    assert type(thread.exception(PATIENCE)) is Stopped
    assert thread.status == "stopped"


def test_cleanup_may_not_sleep_past_its_grace(started) -> None:
    code = """
        pcall(function() started() while true do end end)
        require('osthread').sleep(1e9)
    """
    thread = OSThread(code, grace=0.05, globals={"started": started})
    started.wait()
    assert thread.interrupt()
    assert type(thread.exception(PATIENCE)) is Stopped
    assert thread.status == "stopped"


def test_a_return_after_the_grace_time_does_not_count(gate) -> None:
    """A tail call of pcall: no instruction is left after it, and yet the chunk was stopped."""
    thread = OSThread("while true do end", grace=0)
    assert thread.interrupt()
    assert thread.join(PATIENCE)
    swallowing = OSThread(
        "pcall(function() hold() while true do end end) return pcall(function() while true do end end)",
        grace=0.01,
        globals={"hold": gate},
    )
    gate.entered.wait()
    assert swallowing.interrupt()
    gate.open()
    assert swallowing.join(PATIENCE)
    assert (thread.status, swallowing.status) == ("stopped", "stopped")


def test_a_stop_that_was_asked_for_but_came_too_late_changes_nothing(gate) -> None:
    thread = OSThread("hold() return 1", globals={"hold": gate})
    gate.entered.wait()
    assert thread.interrupt()
    gate.open()
    assert thread.join(PATIENCE)
    assert thread.status in ("stopped", "finished")
    assert (thread.exception() is None) == (thread.status == "finished")


def test_a_time_limit_that_is_caught_and_cleaned_up_after_is_finished() -> None:
    code = "local ok, e = pcall(function() while true do end end) return require('osthread').is_stopped(e)"
    thread = OSThread(code, time_limit=0.02, grace=PATIENCE)
    assert thread.result(PATIENCE) is True
    assert thread.status == "finished"


def test_a_time_limit_is_the_context_of_an_error_in_cleanup() -> None:
    code = "pcall(function() while true do end end) error('cleanup', 0)"
    error = OSThread(code, time_limit=0.02, grace=PATIENCE).exception(PATIENCE)
    assert type(error) is osthread.LuaError
    assert isinstance(error.__context__, osthread.LuaTimeout)


def test_a_time_limit_counts_the_time_in_sleep_and_in_python(gate) -> None:
    thread = OSThread("require('osthread').sleep(1e9)", time_limit=0.02)
    assert type(thread.exception(PATIENCE)) is osthread.LuaTimeout
    waiting = OSThread("hold() while true do end", time_limit=0.02, globals={"hold": gate})
    gate.entered.wait()
    assert waiting.join(0.05) is False
    gate.open()
    assert type(waiting.exception(PATIENCE)) is osthread.LuaTimeout


def test_a_time_limit_does_not_count_while_suspended() -> None:
    thread = OSThread("return 1", time_limit=0.05, suspended=True)
    assert thread.join(0.1) is False
    thread.start()
    assert thread.result(PATIENCE) == 1


def test_a_time_limit_that_is_not_reached_leaves_nothing_behind() -> None:
    assert OSThread("return 1", time_limit=3600).result(PATIENCE) == 1
    with LuaState(time_limit=0.05) as state:
        for _ in range(3):
            assert state.execute("return 1") == 1
        with pytest.raises(osthread.LuaTimeout):
            state.execute(ENDLESS)


def test_a_time_limit_of_zero() -> None:
    thread = OSThread(ENDLESS, time_limit=0)
    assert type(thread.exception(PATIENCE)) is osthread.LuaTimeout


# --- Hooks of the user --------------------------------------------------------------------------------


def test_a_users_hook_is_there_again_after_the_stop(started) -> None:
    code = """
        local calls = 0
        local function hook() calls = calls + 1 end
        debug.sethook(hook, '', 1000)
        pcall(function() started() while true do end end)
        local now, mask, count = debug.gethook()
        local before = calls
        jit.off()
        for i = 1, 1e5 do end
        return now == hook, mask, count, calls > before
    """
    thread = OSThread(code, grace=PATIENCE, globals={"started": started})
    started.wait()
    assert thread.interrupt()
    assert thread.result(PATIENCE) == (True, "", 1000, True)


def test_a_users_hook_is_there_again_after_its_stack_was_looked_at(gate) -> None:
    code = """
        local function hook() end
        debug.sethook(hook, 'crl', 7)
        hold()
        local go = false
        while not go do go = done() end
        local now, mask, count = debug.gethook()
        return now == hook, mask, count
    """
    done = threading.Event()
    with OSThread(code, globals={"hold": gate, "done": done.is_set}) as thread:
        gate.entered.wait()
        gate.open()
        assert thread.stack()
        done.set()
    now, mask, count = thread.result()
    assert (now, sorted(mask), count) == (True, ["c", "l", "r"], 7)


# --- When ---------------------------------------------------------------------------------------------


def test_interrupt_before_the_start() -> None:
    thread = OSThread(ENDLESS, suspended=True)
    assert thread.interrupt() is True
    assert thread.status == "suspended"
    thread.start()
    assert thread.join(PATIENCE)
    assert thread.status == "stopped"


def test_request_stop_before_the_start() -> None:
    thread = OSThread("return require('osthread').stop_requested()", suspended=True)
    assert thread.request_stop() is True
    thread.start()
    assert thread.result(PATIENCE) is True


def test_interrupt_right_after_the_start() -> None:
    for _ in range(200):
        thread = OSThread(ENDLESS)
        assert thread.interrupt() is True
        assert thread.join(PATIENCE)
        assert thread.status == "stopped"


def test_stops_after_the_end_have_nothing_to_do() -> None:
    thread = OSThread("return 1")
    assert thread.join(PATIENCE)
    assert thread.interrupt() is False
    assert thread.request_stop() is False
    assert thread.terminate() == "finished"
    assert thread.result() == 1


def test_the_second_interrupt_has_nothing_to_do(gate) -> None:
    thread = OSThread("hold()" + ENDLESS, globals={"hold": gate})
    gate.entered.wait()
    assert thread.interrupt() is True
    assert thread.interrupt() is False
    assert thread.statistics().stops_asked == 2
    gate.open()
    assert thread.join(PATIENCE)


def test_of_many_who_interrupt_at_once_one_has_something_to_do(gate) -> None:
    thread = OSThread("hold()" + ENDLESS, globals={"hold": gate})
    gate.entered.wait()
    answers = []
    barrier = threading.Barrier(4)

    def interrupt():
        barrier.wait(PATIENCE)
        answers.append(thread.interrupt())

    others = [threading.Thread(target=interrupt) for _ in range(4)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert sorted(answers) == [False, False, False, True]
    gate.open()
    assert thread.join(PATIENCE)
    assert thread.status == "stopped"


@pytest.mark.parametrize("stop", ["interrupt", "terminate"])
def test_a_thread_stops_itself_through_its_own_callable(stop) -> None:
    def itself():
        getattr(osthread.current(), stop)()

    thread = OSThread("itself() " + ENDLESS, globals={"itself": itself})
    assert thread.join(PATIENCE)
    assert thread.status == "stopped"


def test_a_thread_stops_itself_in_lua() -> None:
    thread = OSThread("require('osthread').self():interrupt() " + ENDLESS)
    assert thread.join(PATIENCE)
    assert thread.status == "stopped"


def test_one_thread_stops_another_in_lua(started) -> None:
    victim = OSThread("started() " + ENDLESS, globals={"started": started})
    started.wait()
    assert OSThread("local victim = ... return victim:interrupt()", victim).result(PATIENCE) is True
    assert victim.join(PATIENCE)
    assert victim.status == "stopped"


def test_interrupt_while_the_state_is_closed(gate) -> None:
    """A finalizer calls Python while lua_close runs, and is asked to stop there."""
    code = "p = newproxy(true) getmetatable(p).__gc = function() hold() end return 42"
    thread = OSThread(code, globals={"hold": gate})
    gate.entered.wait()
    thread.interrupt()
    gate.open()
    assert thread.join(PATIENCE)
    assert thread.status in ("finished", "stopped")


@pytest.mark.parametrize(
    "code",
    [
        "getmetatable(newproxy(true)).__gc = function() started() while true do end end collectgarbage()",
        "getmetatable(newproxy(true)).__gc = function() started() while true do end end",
        "debug.sethook(function() started() while true do end end, '', 1) while true do end",
    ],
    ids=["finalizer", "finalizer at the end", "hook"],
)
def test_an_endless_finalizer_or_hook_is_killed(code, run_script) -> None:
    """LuaJIT runs no hook inside either, so only a kill ends it."""
    script = f"""
import threading
from osthread import OSThread

started = threading.Event()
thread = OSThread({code!r}, globals={{"started": started.set}}, grace=0.01, stdout=print)
started.wait(30)
print(thread.terminate())
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stdout, stderr) == (0, "killed\n", "")


def test_interrupts_of_all_threads_while_they_start_more(gate) -> None:
    """A burst: every thread is running or about to, and each is asked once."""
    for _ in range(20):
        threads = [OSThread(ENDLESS) for _ in range(20)]
        for thread in threads:
            assert thread.interrupt() is True
        assert all(thread.join(PATIENCE) for thread in threads)
        assert {thread.status for thread in threads} == {"stopped"}


# --- Nested runs --------------------------------------------------------------------------------------

INNER = {
    "loop": ENDLESS,
    "sleep": "require('osthread').sleep(1e9)",
    "swallowing": "while true do pcall(loop) end",
}
inner_code = pytest.mark.parametrize("code", INNER.values(), ids=INNER)


def in_state(started, code):
    """A callable that runs the code in a LuaState of its own."""

    def nested():
        with LuaState(globals={"started": started}) as state:
            state.execute("function loop() while true do end end")
            return state.execute("started() " + code)

    return nested


@inner_code
def test_lua_state_in_a_callable_is_stopped_from_outside(code, started) -> None:
    thread = OSThread("nested()", globals={"nested": in_state(started, code)})
    started.wait()
    assert thread.interrupt()
    assert thread.join(PATIENCE)
    assert isinstance(thread.exception(), Stopped)
    assert thread.status == "stopped"


def test_lua_state_in_a_callable_whose_stop_is_swallowed_leaves_the_outer_code_to_be_stopped(started) -> None:
    inner = in_state(started, ENDLESS)
    seen = []

    def nested():
        try:
            inner()
        except Stopped as error:
            seen.append(error)

    thread = OSThread("nested() " + ENDLESS, globals={"nested": nested})
    started.wait()
    assert thread.interrupt()
    assert thread.join(PATIENCE)
    assert len(seen) == 1
    assert thread.status == "stopped"


@inner_code
def test_lua_state_in_a_callable_ends_by_the_outer_time_limit(code, started) -> None:
    thread = OSThread("nested()", globals={"nested": in_state(started, code)}, time_limit=0.25)
    with pytest.raises(osthread.LuaTimeout, match=r"0\.25 s"):
        thread.result(PATIENCE)
    assert thread.status == "failed"


def test_lua_state_in_a_callable_hears_a_request_to_stop(started) -> None:
    thread = OSThread("nested()", globals={"nested": in_state(started, INNER["sleep"])})
    started.wait()
    assert thread.request_stop()
    assert thread.join(PATIENCE)
    assert thread.status == "stopped"


def test_the_inner_states_own_limit_ends_the_inner_code_alone() -> None:
    def nested():
        with LuaState(time_limit=0.02) as state:
            try:
                state.execute(ENDLESS)
            except osthread.LuaTimeout:
                return "limited"

    assert OSThread("return nested()", globals={"nested": nested}).result(PATIENCE) == "limited"


def test_lua_states_nested_ten_deep_are_stopped_from_outside(started) -> None:
    def nested(depth):
        if depth == 0:
            started()
        with LuaState(globals={"nested": nested}) as state:
            code = ENDLESS if depth == 0 else f"nested({depth - 1})"
            return state.execute(code)

    thread = OSThread("nested(10)", globals={"nested": nested})
    started.wait()
    assert thread.interrupt()
    assert thread.join(PATIENCE)
    assert thread.status == "stopped"


@pytest.mark.parametrize("stop", ["interrupt", "time_limit", "terminate"])
def test_run_in_a_callable_is_stopped_from_outside(stop, started) -> None:
    def nested():
        return osthread.run("started() " + ENDLESS, globals={"started": started})

    limit = {"time_limit": 0.2} if stop == "time_limit" else {}
    thread = OSThread("nested()", globals={"nested": nested}, **limit)
    started.wait()
    if stop != "time_limit":
        getattr(thread, stop)()
    ended = thread.join(5)
    for other in osthread.enumerate():  # in case it failed: nothing shall run on
        other.interrupt()
    assert ended
    assert isinstance(thread.exception(), osthread.LuaTimeout if stop == "time_limit" else Stopped)
    assert thread.status == ("failed" if stop == "time_limit" else "stopped")


RUN_LUA_THREAD = """
    local ffi = require('ffi')
    ffi.cdef('int RunLuaThread(void *code);')
    local code = %r
    started()
    local status = ffi.C.RunLuaThread(ffi.cast('void *', code))
    %s
"""


@pytest.mark.parametrize(
    "code", [ENDLESS, INNER["sleep"], "while true do pcall(function() while true do end end) end"]
)
@pytest.mark.parametrize("after", ["return status", ENDLESS])
def test_run_lua_thread_is_stopped_from_outside(code, after, started) -> None:
    thread = OSThread(RUN_LUA_THREAD % (code, after), globals={"started": started})
    started.wait()
    assert thread.interrupt()
    assert thread.join(PATIENCE)
    assert thread.status == "stopped"


@pytest.mark.parametrize(("code", "status"), [("x = 1", 0), ("return print", 0), ("error()", 2), ("x x", 3)])
def test_run_lua_thread_gives_its_status(code, status, started) -> None:
    thread = OSThread(RUN_LUA_THREAD % (code, "return status"), globals={"started": started})
    assert thread.result(PATIENCE) == status


# --- Signals ------------------------------------------------------------------------------------------


@posix_only
@pytest.mark.parametrize("code", [ENDLESS, INNER["sleep"]])
def test_a_thread_made_where_all_signals_are_blocked_is_interrupted(code, started) -> None:
    threads = []

    def make():
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        threads.append(OSThread("started() " + code, globals={"started": started}))

    maker = threading.Thread(target=make)
    maker.start()
    maker.join()
    started.wait()
    assert threads[0].interrupt()
    assert threads[0].join(PATIENCE)
    assert threads[0].status == "stopped"


@posix_only
def test_a_state_in_a_thread_where_all_signals_are_blocked_is_interrupted(started) -> None:
    raised = []
    state = LuaState(globals={"started": started})

    def run():
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            state.execute("started() " + ENDLESS)
        except Stopped as error:
            raised.append(error)

    runner = threading.Thread(target=run)
    runner.start()
    started.wait()
    assert state.interrupt() is True
    runner.join(PATIENCE)
    assert len(raised) == 1
    state.close()


@posix_only
def test_library_threads_block_other_signals(run_script) -> None:
    """A signal to the process must not land on a Lua thread, where its handler would have no place."""
    script = """
import signal, threading
from osthread import OSThread

masks = []
thread = OSThread("f()", globals={"f": lambda: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))})
thread.join()
blocked = masks[0]
print({signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD, signal.SIGUSR1} <= blocked)
print(signal.SIGURG in blocked)
"""
    assert run_script(script) == (0, "True\nFalse\n", "")


@posix_only
def test_a_python_handler_put_over_ours_is_called_and_interrupts_still_work(run_script) -> None:
    script = """
import os, signal, threading, time
from osthread import OSThread, run

run("return 1")  # our handler is in place
calls = []
signal.signal(signal.SIGURG, lambda number, frame: calls.append(number))
for code in ("while true do end", "require('osthread').sleep(1e9)"):
    started = threading.Event()
    thread = OSThread("started() " + code, globals={"started": started.set})
    started.wait(30)
    thread.interrupt()
    print(thread.join(30), thread.status)
calls.clear()
os.kill(os.getpid(), signal.SIGURG)
deadline = time.monotonic() + 30
while not calls and time.monotonic() < deadline:
    time.sleep(0.001)
print(calls == [signal.SIGURG])
"""
    assert run_script(script) == (0, "True stopped\nTrue stopped\nTrue\n", "")


@posix_only
def test_a_handler_that_was_there_first_is_chained(run_script) -> None:
    script = """
import os, signal, time
calls = []
signal.signal(signal.SIGURG, lambda number, frame: calls.append(number))
from osthread import OSThread

thread = OSThread("while true do end")
thread.interrupt()
print(thread.join(30), thread.status)
calls.clear()
os.kill(os.getpid(), signal.SIGURG)
deadline = time.monotonic() + 30
while not calls and time.monotonic() < deadline:
    time.sleep(0.001)
print(calls == [signal.SIGURG])
"""
    assert run_script(script) == (0, "True stopped\nTrue\n", "")


@posix_only
def test_a_stray_signal_harms_nobody(started) -> None:
    with OSThread("started() " + ENDLESS, on_exit="terminate", globals={"started": started}) as thread:
        started.wait()
        for _ in range(1000):
            signal.pthread_kill(thread.ident, signal.SIGURG)
        os.kill(os.getpid(), signal.SIGURG)
        assert thread.is_alive()
        assert thread.statistics().stops_asked == 0


# --- Many ---------------------------------------------------------------------------------------------


def test_a_stopped_thread_keeps_no_core_busy() -> None:
    """The watchdog has nothing left to ask once the thread has ended."""
    for _ in range(50):
        assert OSThread(ENDLESS).terminate(0) == "stopped"
    before = time.process_time()
    time.sleep(0.2)  # nothing is awaited here: what is measured is that nothing happens
    assert time.process_time() - before < 0.1


def test_a_state_survives_a_thousand_stops() -> None:
    """The hook is armed and taken away again and again, in code that allocates and switches coroutines."""
    code = """
        local c = coroutine.wrap(function() while true do coroutine.yield({}) end end)
        while true do local t = c() t[1] = ('x'):rep(10) end
    """
    with LuaState(time_limit=0.001, grace=0.001) as state:
        for _ in range(1000):
            with pytest.raises(osthread.LuaTimeout):
                state.execute(code)
        state.time_limit = None
        assert state.eval("1 + 1") == 2
