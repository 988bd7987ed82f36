"""Memory and time limits bound what code takes, leave the state usable, and spare who keeps within them."""

import math
import sys
import threading
import time
from typing import Any

import osthread
import pytest
from osthread import Channel, LuaError, LuaMemoryError, LuaState, LuaTimeout, OSThread, SharedTable

PATIENCE = 30

MIB = 1 << 20

BOMBS = {
    "string building": "local s = 'x' while true do s = s .. s end",
    "string building by small steps": "local s = '' while true do s = s .. ('x'):rep(1000) end",
    "many strings": "local t = {} for i = 1, math.huge do t[i] = 'string ' .. i end",
    "table growth": "local t = {} for i = 1, math.huge do t[i] = i end",
    "hash growth": "local t = {} for i = 1, math.huge do t[i .. 'k'] = true end",
    "tables": "local t = {} for i = 1, math.huge do t[i] = {i} end",
    "nested tables": "local t = {} while true do t = {t} end",
    "closures": "local t = {} for i = 1, math.huge do t[i] = function() return i end end",
    "coroutine chain": "local function f(n) return coroutine.wrap(f)(n + 1) end f(1)",
    "coroutines": "local t = {} for i = 1, math.huge do t[i] = coroutine.create(print) end",
    "userdata": "local t = {} for i = 1, math.huge do t[i] = newproxy() end",
    "cdata": "local ffi, t = require 'ffi', {} for i = 1, math.huge do t[i] = ffi.new('char[1000]') end",
    "one huge string": "return ('x'):rep(2^30)",
    "one huge cdata": "return require('ffi').new('char[?]', 2^30) ~= nil",
    "concat": "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1000) end "
    "while true do t[#t + 1] = table.concat(t) end",
    "format": "return ('%s'):rep(3000):format(unpack((function() local t, s = {}, ('x'):rep(1000) "
    "for i = 1, 3000 do t[i] = s end return t end)()))",
    "gsub": "return (('x'):rep(1e5):gsub('x', ('y'):rep(100)))",
    "string.buffer": "local b = require('string.buffer').new() while true do b:put(('x'):rep(1000)) end",
    "stack": "local function f(...) return f(1, ...) end f()",
}


# --- Memory ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_memory_limit_ends_a_bomb(bomb: str) -> None:
    thread = OSThread(bomb, memory_limit=MIB, time_limit=60)
    error = thread.exception(60)
    if "stack" in str(error) and bomb == BOMBS["stack"]:
        return  # Lua's own limit of a stack's size came first
    assert type(error) is LuaMemoryError, error
    assert isinstance(error, MemoryError)
    assert thread.status == "failed"
    assert thread.statistics().peak_memory <= MIB
    assert osthread.run("return ...", 5, memory_limit=MIB) == 5  # the next thread is fine


@pytest.mark.parametrize("element", ["{n}", "function() return n end", "('x'):rep(100 + n)"])
def test_code_that_lets_go_of_what_filled_its_memory_goes_on(element: str) -> None:
    code = f"""
        local list = {{}}
        local ok, error = pcall(function() for n = 1, 1e6 do list[n] = {element} end end)
        list = nil
        return ok, ('x'):rep(200) .. tostring(error)"""
    for limit in range(200_000, 208_000, 80):  # so that the limit is met anywhere between two elements
        with LuaState(memory_limit=limit) as state:
            assert state.execute(code) == (False, "x" * 200 + "not enough memory")
            assert state.statistics().peak_memory <= limit


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("name", ["string building", "table growth", "tables", "cdata"])
def test_state_works_after_a_bomb(name: str, jit: bool) -> None:
    with LuaState(memory_limit=MIB, jit=jit) as state:
        state.execute("x = {1}")
        for _ in range(5):
            with pytest.raises(LuaMemoryError):
                state.execute(BOMBS[name])
            assert state.execute("x[1] = x[1] + 1 return x[1], #('y'):rep(1000)")[1] == 1000
        assert state["x"] == [6]
        assert state.statistics().peak_memory <= MIB + 4096  # and what collecting needs beyond it


def test_compiling_a_huge_chunk_meets_the_limit() -> None:
    code = "return {" + "1," * 500_000 + "1}"
    with pytest.raises(LuaMemoryError):
        OSThread(code, memory_limit=MIB)
    with LuaState(memory_limit=MIB) as state:
        with pytest.raises(LuaMemoryError):
            state.execute(code)
        assert state.eval("1 + 1") == 2
    assert len(osthread.run(code)) == 500_001


def test_string_of_1_gib_under_a_limit_is_refused_at_once() -> None:
    with LuaState(memory_limit=64 * MIB) as state:
        with pytest.raises(LuaMemoryError):
            state.execute("s = ('x'):rep(2^30)")
        assert state.statistics().peak_memory < 64 * MIB
        assert state.execute("return #('x'):rep(2^20)") == MIB


def test_values_given_to_a_thread_count() -> None:
    thread = OSThread("return #...", "x" * (2 * MIB), memory_limit=MIB)
    assert isinstance(thread.exception(), LuaMemoryError)
    with pytest.raises(LuaMemoryError):
        OSThread("return 1", globals={"x": "x" * (2 * MIB)}, memory_limit=MIB)
    with LuaState(memory_limit=MIB) as state:
        with pytest.raises(LuaMemoryError):
            state["x"] = ["x" * 100] * 10 + [str(i) * 100 for i in range(20_000)]
        assert state["x"] is None
        with pytest.raises(LuaMemoryError):
            state.execute("return 1", list(range(MIB)))
        assert state.eval("1") == 1


def test_result_of_a_callable_counts() -> None:
    with LuaState(memory_limit=MIB) as state:
        with pytest.raises(LuaMemoryError):
            state.execute("return #(...)()", lambda: "x" * (2 * MIB))
        assert state.execute("return (...)()", lambda: 5) == 5


def test_lack_of_memory_can_be_caught_in_lua() -> None:
    code = "local ok, e = pcall(string.rep, 'x', 2^25) return ok, e, #('y'):rep(1000)"
    assert osthread.run(code, memory_limit=MIB) == (False, "not enough memory", 1000)


def test_lack_of_memory_in_a_coroutine_is_one() -> None:
    code = "coroutine.wrap(function() return ('x'):rep(2^25) end)()"
    assert type(OSThread(code, memory_limit=MIB).exception()) is LuaMemoryError


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        (8 * MIB, "for i = 1, 400 do local s = ('z'):rep(1e6) .. i end return 1"),
        (4 * MIB, "for i = 1, 400 do local s = ('z'):rep(1e6) .. i end return 1"),
        (400 << 10, "local live = {} for i = 1, 3e5 do live[i % 2000 + 1] = {i, i} end return 1"),
        (400 << 10, "for i = 1, 1e5 do local f = function() return i end f() end return 1"),
        (400 << 10, "for i = 1, 2e4 do coroutine.wrap(function() return i end)() end return 1"),
        (400 << 10, "for i = 1, 2e5 do local s = 'k' .. i end return 1"),
        (1 << 20, "local ffi = require 'ffi' for i = 1, 2e4 do local b = ffi.new('char[4096]') end return 1"),
    ],
)
@pytest.mark.parametrize("jit", [True, False])
def test_garbage_does_not_meet_the_limit(limit: int, code: str, jit: bool) -> None:
    assert osthread.run(code, memory_limit=limit, jit=jit) == 1


def test_smallest_limit_runs_something_and_ends_cleanly() -> None:
    assert osthread.run("return 1 + 1", memory_limit=65536) == 2
    assert isinstance(OSThread("return ('x'):rep(1e5)", memory_limit=65536).exception(), LuaMemoryError)
    assert osthread.run("return require('osthread').now() > 0", memory_limit=1 << 17) is True


@pytest.mark.parametrize("limit", [1, 1000, 65535])
def test_limit_that_is_too_small_is_a_clean_error(limit: int) -> None:
    for make in (LuaState, lambda **options: OSThread("return 1", **options)):
        with pytest.raises(ValueError, match=r"memory_limit.*65536"):
            make(memory_limit=limit)


def test_libraries_do_not_count() -> None:
    with LuaState(memory_limit=MIB) as state:
        assert state.statistics().memory < 10_000
    with LuaState(memory_limit=MIB, libraries=()) as state:
        assert state.statistics().memory < 10_000


def test_huge_limit_is_none() -> None:
    assert osthread.run("return #('x'):rep(2^24)", memory_limit=2**62) == 2**24


def test_finalizers_run_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    unraisable: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: unraisable.append(str(args.exc_value)))
    code = """
    local u = newproxy(true)
    getmetatable(u).__gc = function() local s = 'x' while true do s = s .. s end end
    return 5
    """
    thread = OSThread(code, memory_limit=MIB, grace=5)
    assert thread.join(30)
    assert thread.result() == 5
    assert unraisable == ["not enough memory"]


def test_collection_between_calls_gives_finalizers_no_room_without_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unraisable: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: unraisable.append(str(args.exc_value)))
    code = """
    local u = newproxy(true)
    getmetatable(u).__gc = function() local t = {} for i = 1, 400 do t[i] = ('x'):rep(1e5) .. i end end
    u = nil
    local fits
    repeat fits, keep = pcall(string.rep, 'x', 950000) until true
    """
    with LuaState(memory_limit=MIB) as state:
        state.execute(code)
        state["keep"] = None
        state.execute("collectgarbage()")
        assert state.statistics().peak_memory < 1.2 * MIB
    assert unraisable == ["not enough memory"]


CAN_RETURN = {"load", "in a finalizer"}
RECURSION = {
    "gsub": "local function f() return (('x'):gsub('.', f)) end f()",
    "wrap": "local function f() return coroutine.wrap(f)() end f()",
    "resume": "local function f() return assert(coroutine.resume(coroutine.create(f))) end f()",
    "sort": "local function f() table.sort({1, 2, 3}, f) end f()",
    "print": "local t = setmetatable({}, {__tostring = function(t) print(t) end}) print(t)",
    "load": "local function f() local n = 0 return load(function() f() end) end f()",
    "in a finalizer": "local function f() return coroutine.wrap(f)() end "
    "getmetatable(newproxy(true)).__gc = f collectgarbage() return 1",
}


@pytest.mark.parametrize("stack_size", [None, 256 * 1024], ids=["default stack", "smallest stack"])
@pytest.mark.parametrize("kind", RECURSION)
def test_recursion_through_c_ends_in_the_thread(kind: str, stack_size: int | None) -> None:
    """LuaJIT does not bound the C stack: near its end we refuse, and what meets the guard page is left."""
    for _ in range(10):
        thread = OSThread(RECURSION[kind], stack_size=stack_size, time_limit=PATIENCE)
        error = thread.exception()
        assert "overflow" in str(error) or (error is None and kind in CAN_RETURN), error
    assert osthread.run("return 6 * 7") == 42


def test_recursion_through_c_can_be_caught_and_leaves_a_state_usable() -> None:
    with LuaState() as state:
        for _ in range(100):
            caught = state.execute("local function f() return (('x'):gsub('.', f)) end return pcall(f)")
            assert caught[0] is False
            assert "C stack overflow" in caught[1]
        assert state.eval("6 * 7") == 42


def test_a_state_whose_c_stack_overflowed_is_closed_and_says_so() -> None:
    with LuaState() as state:
        with pytest.raises(osthread.LuaError, match="C stack overflow"):
            state.execute(RECURSION["wrap"])
        with pytest.raises(RuntimeError, match="closed: its C stack overflowed"):
            state.eval("1")


def test_a_stack_too_small_for_lua_is_refused() -> None:
    with pytest.raises(ValueError, match="stack_size"):
        OSThread("return 1", stack_size=64 * 1024)


# --- Time -----------------------------------------------------------------------------------------------

LOOPS = {
    "while": "while true do end",
    "for": "for i = 1, math.huge do end",
    "compiled": "local x = 0 for i = 1, math.huge do x = x + i % 7 end",
    "calls": "local function f(x) return x end while true do f(1) end",
    "tail calls": "local function f() return f() end f()",
    "pcall": "while true do pcall(function() while true do end end) end",
    "coroutine": "coroutine.wrap(function() while true do end end)()",
    "sleep": "require('osthread').sleep(1e9)",
    "sleep in pcall": "while true do pcall(require('osthread').sleep, 1e9) end",
    "sort": "while true do table.sort({3, 2, 1}, function(a, b) while true do end end) end",
    "strings": "while true do local s = ('x'):rep(1000) .. tostring({}) end",
}


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS.keys())
def test_time_limit_ends_it(loop: str, jit: bool) -> None:
    thread = OSThread(loop, time_limit=0.03, grace=0.01, jit=jit)
    error = thread.exception(30)
    assert type(error) is LuaTimeout
    assert "0.03" in error.message
    assert not isinstance(error, TimeoutError)
    assert thread.status == "failed"


def test_time_limit_of_0_ends_at_once_what_does_not_end() -> None:
    assert isinstance(OSThread("while true do end", time_limit=0).exception(30), LuaTimeout)
    with LuaState(time_limit=0) as state, pytest.raises(LuaTimeout):
        state.execute("while true do end")


@pytest.mark.parametrize("limit", [60, 1e300, math.inf, None])
def test_time_limit_does_not_touch_a_quick_chunk(limit: float | None) -> None:
    thread = OSThread("return 1", time_limit=limit)
    assert thread.result() == 1
    assert thread.statistics().stops_asked == 0
    with LuaState(time_limit=limit) as state:
        assert state.eval("1") == 1


def test_time_in_a_callable_counts() -> None:
    thread = OSThread("(...)() while true do end", lambda: time.sleep(0.05), time_limit=0.02)
    assert isinstance(thread.exception(30), LuaTimeout)
    assert thread.statistics().wall_seconds >= 0.05


def test_time_before_the_start_does_not_count() -> None:
    with OSThread("return 1", suspended=True, time_limit=0.5) as thread:
        time.sleep(0.6)  # longer than the limit: only then is there something to prove
        thread.start()
        assert thread.result() == 1


def test_lua_can_clean_up_within_its_grace() -> None:
    code = """
    local osthread = require 'osthread'
    local ok, e = pcall(function() while true do end end)
    return ok, osthread.is_stopped(e)
    """
    thread = OSThread(code, time_limit=0.02, grace=30)
    assert thread.result(30) == (False, True)
    assert thread.status == "finished"


def test_time_limit_of_a_state_is_for_each_call() -> None:
    with LuaState(time_limit=0.2) as state:
        began = time.monotonic()
        while time.monotonic() - began < 0.3:
            assert state.eval("1") == 1
        with pytest.raises(LuaTimeout):
            state.execute("while true do end")
        assert state.eval("1 + 1") == 2


def test_time_limit_of_a_state_can_be_changed() -> None:
    with LuaState() as state:
        assert state.time_limit is None
        state.time_limit = 0.02
        assert state.time_limit == pytest.approx(0.02)
        for code in LOOPS.values():
            with pytest.raises(LuaTimeout, match=r"0\.02"):
                state.execute(code)
        state.time_limit = None
        assert state.execute("local n = 0 for i = 1, 3e7 do n = n + i % 3 end return n") == 3e7
        with pytest.raises(ValueError, match="time_limit"):
            state.time_limit = -1
        with pytest.raises(TypeError, match="time_limit"):
            state.time_limit = "soon"  # type: ignore[assignment]


# --- Statistics -----------------------------------------------------------------------------------------


def test_statistics_of_a_state() -> None:
    with LuaState(memory_limit=8 * MIB) as state:
        before = state.statistics()
        state.execute("x = ('x'):rep(2^20)")
        holding = state.statistics()
        state.execute("x = nil collectgarbage() collectgarbage()")
        after = state.statistics()
    assert before.memory_limit == holding.memory_limit == 8 * MIB
    assert holding.memory >= before.memory + MIB
    assert holding.peak_memory >= holding.memory
    assert after.memory < before.memory + MIB // 2
    assert after.peak_memory >= holding.memory
    with LuaState() as state:
        assert state.statistics().memory_limit is None
    with pytest.raises(AttributeError):
        after.memory = 5  # type: ignore[misc]


def test_statistics_of_a_thread(gate: Any) -> None:
    with OSThread("local f = ... x = ('x'):rep(2^20) f()", gate) as thread:
        gate.entered.wait()
        during = thread.statistics()
        gate.open()
    assert during.memory > MIB
    assert during.peak_memory >= during.memory
    after = thread.statistics()
    assert after.memory == 0
    assert after.peak_memory > MIB
    assert after.wall_seconds > 0
    assert after.cpu_seconds > 0
    assert after.memory_limit is None
    assert after.waiting_for is None


def test_statistics_tell_what_a_thread_waits_for(started: Any) -> None:
    with OSThread("(...)() require('osthread').sleep(1e9)", started, on_exit="terminate") as thread:
        started.wait()
        deadline = time.monotonic() + 30
        while (now := thread.statistics()).waiting_for is None and time.monotonic() < deadline:
            time.sleep(0.001)
        assert now.waiting_for == "sleep"
        assert now.waiting_seconds >= 0
        assert thread.statistics().waiting_seconds >= now.waiting_seconds
    assert thread.statistics().stops_asked >= 1


def test_error_kinds_of_limits_are_told_apart() -> None:
    error = OSThread("while true do end", time_limit=0.01).exception(30)
    assert isinstance(error, LuaError)
    assert not isinstance(error, MemoryError)


def test_statistics_tell_the_limits() -> None:
    thread = OSThread("return 1", time_limit=20, memory_limit=2**20)
    thread.join()
    assert (thread.statistics().time_limit, thread.statistics().memory_limit) == (20, 2**20)
    assert OSThread("return 1", suspended=True).statistics().time_limit is None
    with LuaState(time_limit=2) as state:
        assert state.statistics().time_limit == 2
        state.time_limit = None
        assert state.statistics().time_limit is None


FULL = "local t = {} pcall(function() while true do t[#t + 1] = {} end end) "


@pytest.mark.parametrize("stop", ["interrupt", "terminate", "request_stop"])
def test_a_stop_of_code_whose_memory_is_full_is_a_stop(stop: str) -> None:
    full = threading.Event()
    rest = "sleep(1000)" if stop == "request_stop" else "while true do end"
    code = "local full, sleep = ..., require('osthread').sleep " + FULL + "full() " + rest
    thread = osthread.OSThread(code, full.set, memory_limit=1 << 20)
    assert full.wait(PATIENCE)
    getattr(thread, stop)()
    assert type(thread.exception(PATIENCE)) is osthread.Stopped
    assert thread.status == "stopped"


def test_a_time_limit_of_code_whose_memory_is_full_is_a_time_limit() -> None:
    code = FULL + "while true do end"
    with pytest.raises(osthread.LuaTimeout):
        osthread.run(code, memory_limit=1 << 20, time_limit=0.2)
    with osthread.LuaState(memory_limit=1 << 20, time_limit=0.2) as state, pytest.raises(osthread.LuaTimeout):
        state.execute(code)


GIFTS = {
    "short strings": "('x'):rep(4000)",
    "long strings": "('x'):rep(100000)",
    "tables of numbers": "(function() local t = {} for i = 1, 1000 do t[i] = i end return t end)()",
    "tables of strings": "(function() local t = {} for i = 1, 100 do t[i] = ('x'):rep(100) .. i end return t end)()",
    "many tables": "(function() local t = {} for i = 1, 100 do t[i] = {} end return t end)()",
}


def given_away(target: str, gift: str) -> str:
    """A chunk that gives without end, and returns how often it could, and whether it could again afterwards."""
    return f"""
        local to, count = ..., 0
        local ok, e = pcall(function()
          for i = 1, 1e6 do
            {target.format(gift=gift)}
            count = i
          end
        end)
        return count, select(2, pcall(tostring, e))"""


@pytest.mark.parametrize("gift", GIFTS.values(), ids=GIFTS.keys())
@pytest.mark.parametrize("target", ["to:send({gift})", "to:try_send({gift})"])
def test_what_safe_code_sent_and_nobody_took_counts(target: str, gift: str) -> None:
    channel = Channel(100_000)
    with OSThread(given_away(target, gift), channel, libraries="safe", memory_limit=2 * MIB) as t:
        count, error = t.result(PATIENCE)
    assert "not enough memory" in error
    assert 5 < count == len(channel) < 700
    for _ in range(count):  # none of it was lost
        channel.receive(0)


@pytest.mark.parametrize("gift", ["i", *GIFTS.values()], ids=["numbers", *GIFTS.keys()])
@pytest.mark.parametrize(
    "target",
    [
        "to[i] = {gift}",
        "to:set('key ' .. i, {gift})",
        "to:update({{[i] = {gift}}})",
        "to[i] = {{{gift}}}",
    ],
)
def test_what_safe_code_put_into_a_shared_table_counts(target: str, gift: str) -> None:
    table = SharedTable()
    with OSThread(given_away(target, gift), table, libraries="safe", memory_limit=2 * MIB) as t:
        count, error = t.result(PATIENCE)
    assert "not enough memory" in error
    assert 5 < count <= len(table) < 2 * MIB / 160


@pytest.mark.parametrize("change", ["to:add(i, 1)", "to:compare_and_set(i, nil, i)"])
def test_entries_that_safe_code_makes_count(change: str) -> None:
    table = SharedTable()
    code = f"local to, n = ... pcall(function() for i = 1, 1e6 do {change} n = i end end) return n"
    with OSThread(code, table, 0, libraries="safe", memory_limit=2 * MIB) as t:
        assert 5000 < t.result(PATIENCE) == len(table) < 2 * MIB / 160


def test_what_is_taken_counts_no_more() -> None:
    channel = Channel(8)
    code = "local to = ... for i = 1, 500 do to:send({('x'):rep(50000), i}) end"
    with OSThread(code, channel, libraries="safe", memory_limit=MIB, closes=[channel]) as t:
        assert [i for _, i in channel] == list(range(1, 501))
    assert t.status == "finished"


def test_what_is_erased_from_a_shared_table_counts_no_more() -> None:
    code = "local s = ... for i = 1, 500 do s[i] = {('x'):rep(50000)} s[i] = nil end"
    osthread.run(code, SharedTable(), libraries="safe", memory_limit=MIB)


def test_full_accounts_leave_the_state_usable() -> None:
    channel = Channel(1000)
    with LuaState(libraries="safe", memory_limit=MIB) as lua:
        with pytest.raises(LuaMemoryError, match="nobody has taken"):
            lua.execute("local to = ... while true do to:send(('x'):rep(100000)) end", channel)
        channel.receive(0), channel.receive(0)
        lua.execute("(...):send(('x'):rep(100000))", channel)


def test_what_other_code_sends_is_its_own_affair() -> None:
    channel = Channel(100)
    code = "local to = ... for i = 1, 100 do to:send(('x'):rep(50000) .. i) end"
    with OSThread(code, channel, memory_limit=MIB):
        pass
    assert len(channel) == 100


def test_messages_outlive_the_state_that_paid_for_them() -> None:
    channel = Channel(10)
    with OSThread("(...):send({('x'):rep(1000)})", channel, libraries="safe", memory_limit=MIB):
        pass
    assert channel.receive(0) == ["x" * 1000]


LEFT_BEHIND = {
    "results": "OSThread([[return ('x'):rep(300000), {('y'):rep(100000)}]])",
    "errors": "OSThread([[error(('x'):rep(300000))]])",
    "names": "OSThread({name = ('x'):rep(100000)}, '')",
    "threads": "OSThread('')",
}


@pytest.mark.parametrize(
    ("left", "keep"),
    [*((left, "t") for left in LEFT_BEHIND.values()), ("OSThread('')", "t.mailbox")],
    ids=[*LEFT_BEHIND.keys(), "mailboxes"],
)
def test_what_threads_of_safe_code_leave_behind_counts(left: str, keep: str) -> None:
    code = f"""
        local OSThread, list, count = require('osthread').OSThread, {{}}, 0
        local ok, e = pcall(function()
          for n = 1, 3000 do
            local t = {left}
            t:join()
            pcall(t.result, t)
            list[n], count = {keep}, n
          end
        end)
        list = nil
        return count, tostring(e)"""
    with OSThread(code, libraries="safe", max_threads=100, memory_limit=2 * MIB) as t:
        count, error = t.result(PATIENCE)
    assert "not enough memory" in error
    assert count < 600


def test_threads_of_safe_code_that_nothing_reaches_any_more_count_no_more() -> None:
    code = """
        local OSThread, sum = require('osthread').OSThread, 0
        for n = 1, 300 do sum = sum + #OSThread([[return ('x'):rep(300000)]]):result() end
        return sum"""
    assert osthread.run(code, libraries="safe", max_threads=1, memory_limit=2 * MIB) == 300 * 300_000


def test_what_threads_of_safe_code_send_counts_as_their_starters() -> None:
    channel, table = Channel(100_000), SharedTable()
    code = """
        local OSThread = require('osthread').OSThread
        for n = 1, 30 do
          pcall(function(...)
            OSThread([[local c = ... pcall(function() while true do c:send(('x'):rep(10000)) end end)]], (...)):join()
            OSThread([[
              local n, _, t = ...
              pcall(function() for i = 1, 1e6 do t[n .. ' ' .. i] = i end end)]], n, ...):join()
          end, ...)
        end"""
    with OSThread(code, channel, table, libraries="safe", max_threads=1, memory_limit=2 * MIB) as t:
        assert t.join(PATIENCE)
        assert t.exception() is None or isinstance(t.exception(), LuaMemoryError)
    assert 0 < len(channel) * 10_000 + len(table) * 160 < 4 * MIB
