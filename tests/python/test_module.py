"""The module osthread, as Lua code sees it."""

import time
from typing import Any

import osthread
import pytest
from osthread import LuaError, LuaState, OSThread, Stopped

USE = "local osthread = require 'osthread'; "


def test_module_is_in_every_state_and_one_in_each() -> None:
    code = "return type(require 'osthread'), require('osthread') == require('osthread')"
    for options in ({}, {"libraries": "safe"}, {"libraries": ()}, {"libraries": {"package"}}, {"jit": False}):
        assert osthread.run(code, **options) == ("table", True)
        with LuaState(**options) as state:
            assert state.execute(code) == ("table", True)


@pytest.mark.parametrize("options", [{}, {"libraries": "safe"}, {"libraries": ()}])
def test_module_has_what_is_promised(options: dict) -> None:
    for name in ["self", "sleep", "stop_requested", "is_stopped", "now", "array", "map"]:
        assert osthread.run(USE + f"return type(osthread.{name})", **options) == "function", name
    assert osthread.run(USE + "return type(osthread.null)", **options) == "cdata"


def test_module_completes_itself_though_it_failed_to_before() -> None:
    """Part of it is made when it is first used: out of memory at any point of that, it is made the next time."""
    code = """
      local osthread, left = require 'osthread', ...
      local function get() return osthread.now end
      local function text(n) return ('x'):rep(200) .. n end
      local fill = {}
      for i = 1, 2048 do fill[i] = false end
      local n = 0
      repeat
        local fits, more = pcall(text, n)
        if fits then n = n + 1 fill[n] = more end
      until not fits
      for i = n, n - left, -1 do fill[i] = false end
      collectgarbage()
      local made = pcall(get)
      fill = nil
      collectgarbage()
      return made, osthread.now() > 0, osthread.null == nil, osthread.stop_requested()
    """
    failures = 0
    for left in range(0, 240, 10):
        made, *rest = osthread.run(code, left, memory_limit=1 << 18)
        assert rest == [True, True, False]
        failures += not made
    assert 0 < failures < 24


# --- self -----------------------------------------------------------------------------------------------


def test_self_is_the_thread(gate: Any) -> None:
    with OSThread(
        USE + "local s = osthread.self(); (...)() return s, s.name, s.status, s:is_alive()", gate
    ) as thread:
        gate.entered.wait()
        gate.open()
        own, name, status, alive = thread.result()
    assert own is thread
    assert (name, status, alive) == (thread.name, "running", True)


def test_self_is_nil_in_a_state_and_the_caller_s_within_a_thread() -> None:
    with LuaState() as state:
        assert state.execute(USE + "return osthread.self()") is None


def test_thread_can_stop_itself() -> None:
    thread = OSThread(USE + "osthread.self():interrupt() while true do end")
    assert isinstance(thread.exception(30), Stopped)
    thread = OSThread(USE + "osthread.self():request_stop() osthread.sleep(1e9)")
    assert thread.exception(30).stage == "request"


def test_method_without_its_object_is_a_clear_error() -> None:
    with pytest.raises((LuaError, TypeError), match="colon"):
        osthread.run(USE + "osthread.self().interrupt()")


# --- sleep and now ----------------------------------------------------------------------------------------


def test_sleep_lasts_as_long_as_asked() -> None:
    code = USE + "local before = osthread.now() osthread.sleep(...) return osthread.now() - before"
    for seconds in (0, 0.001, 0.05):
        assert osthread.run(code, seconds) >= seconds
        with LuaState() as state:
            assert state.execute(code, seconds) >= seconds


@pytest.mark.parametrize("argument", ["-1", "0/0", "'soon'", "nil", "{}", ""])
def test_sleep_refuses_what_is_no_duration(argument: str) -> None:
    with pytest.raises(LuaError, match="sleep"):
        osthread.run(USE + f"osthread.sleep({argument})")


@pytest.mark.parametrize("seconds", ["1e9", "1e300", "math.huge"])
def test_sleep_is_ended_by_each_way_to_stop(seconds: str, started: Any) -> None:
    code = USE + f"(...)() osthread.sleep({seconds})"
    for stop, stage in ((OSThread.request_stop, "request"), (OSThread.interrupt, "interrupt")):
        thread = OSThread(code, started)
        started.wait()
        stop(thread)
        assert thread.exception(30).stage == stage
    assert isinstance(OSThread(code, started, time_limit=0.02).exception(30), osthread.LuaTimeout)


def test_sleep_of_0_looks_for_a_stop() -> None:
    thread = OSThread(USE + "while true do osthread.sleep(0) end")
    assert thread.interrupt()
    assert isinstance(thread.exception(30), Stopped)


def test_now_goes_forward_and_compiles() -> None:
    code = (
        USE
        + """
    local last = osthread.now()
    for i = 1, 1e6 do local now = osthread.now() if now < last then return 'back' end last = now end
    return last
    """
    )
    before = time.monotonic()
    last = osthread.run(code)
    assert before <= last <= time.monotonic()


# --- Stops ----------------------------------------------------------------------------------------------


def test_stop_requested_is_seen_by_a_compiled_loop(started: Any) -> None:
    code = USE + "(...)(); local n = 0 while not osthread.stop_requested() do n = n + 1 end return 'left'"
    thread = OSThread(code, started)
    started.wait()
    assert thread.request_stop()
    assert thread.result(30) == "left"
    assert thread.status == "finished"


def test_stop_requested_is_false_before_and_in_the_next_call() -> None:
    assert osthread.run(USE + "return osthread.stop_requested()") is False
    with LuaState() as state:
        assert state.execute(USE + "return osthread.stop_requested()") is False


def test_is_stopped_tells_a_stop_from_other_errors(started: Any) -> None:
    code = (
        USE
        + """
    local started = ...
    local _, e = pcall(function() started() osthread.sleep(1e9) end)
    local _, other = pcall(error, 'other')
    local _, host = pcall(started, io.stdout)
    return osthread.is_stopped(e), osthread.is_stopped(other), osthread.is_stopped(host),
      osthread.is_stopped(nil),
      osthread.is_stopped({}), tostring(e)
    """
    )
    thread = OSThread(code, started, grace=30)
    started.wait()
    thread.interrupt()
    assert thread.result(30) == (True, False, False, False, False, "stopped")


def test_is_stopped_needs_an_argument() -> None:
    with pytest.raises(LuaError, match=r"is_stopped|value expected"):
        osthread.run(USE + "return osthread.is_stopped()")


# --- null, array, map -------------------------------------------------------------------------------------


def test_null_equals_nil_and_is_none_in_python() -> None:
    code = (
        USE + "local n = osthread.null return n == nil, type(n), n and 'true in if', n == osthread.null, {n}"
    )
    assert osthread.run(code) == (True, "cdata", "true in if", True, [None])


def test_marks_return_their_table() -> None:
    code = USE + "local t, o = {}, osthread return o.array(t) == t, o.map(t) == t, o.array{}, o.map{1}"
    assert osthread.run(code) == (True, True, [], {1: 1})


def test_last_mark_counts() -> None:
    assert osthread.run(USE + "return osthread.map(osthread.array{1}), osthread.array(osthread.map{1})") == (
        {1: 1},
        [1],
    )


@pytest.mark.parametrize("name", ["array", "map"])
@pytest.mark.parametrize("argument", ["nil", "5", "'x'", "print"])
def test_mark_of_what_is_no_table_is_an_error_at_the_caller_s_line(name: str, argument: str) -> None:
    with pytest.raises(LuaError, match=rf"job:2:.*{name}") as caught:
        osthread.run(f"local osthread = require 'osthread'\nosthread.{name}({argument})", chunk_name="job")
    assert caught.value.frames[-1].line == 2


# --- The library for FFI ------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["ffi.C", "require('osthread').library()"])
def test_run_lua_thread_is_found_by_ffi(library: str) -> None:
    code = f"""
    local ffi = require 'ffi'
    ffi.cdef[[int RunLuaThread(void *s);]]
    local lua, code = {library}, 'assert(1 + 1 == 2)'
    local bad = 'error("x", 0)'
    return lua.RunLuaThread(ffi.cast('void *', code)), lua.RunLuaThread(ffi.cast('void *', bad)) ~= 0
    """
    assert osthread.run(code) == (0, True)
