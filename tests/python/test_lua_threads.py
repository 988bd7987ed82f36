"""Threads that Lua code starts: what they are given, who owns them, and how they end."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import osthread
import pytest
from osthread import Channel, LuaError, LuaState, LuaSyntaxError, OSThread, Stopped
from waiting import PATIENCE, wait_until

LUA = "local osthread = require 'osthread' local OSThread = osthread.OSThread "

FOREVER = "while true do end"


def lua(code: str, *args: Any, **options: Any) -> Any:
    return osthread.run(LUA + code, *args, **options)


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    reports: list[Any] = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda report: reports.append((report.exc_value, report.object))
    )
    return reports


# --- Starting -----------------------------------------------------------------------------------------------


def test_code_with_arguments() -> None:
    assert lua("return OSThread('return ..., 2', 'a', {1, {2}}):result()") == ("a", 2)
    assert lua("return OSThread('return ...', {x = {1, 2}}, nil, 3):result()") == ({"x": [1, 2]}, None, 3)


def test_a_function_expression_is_called() -> None:
    assert lua("return OSThread('function(a, b) return a + b end', 40, 2):result()") == 42


def test_a_function_goes_with_a_copy_of_its_upvalues() -> None:
    code = """
    local n, log = 20, {}
    local t = OSThread(function(x) n = n + x log[1] = n return n, log end, 2)
    local sum, copy = t:result()
    return sum, copy[1], n, #log
    """
    assert lua(code) == (22, 22, 20, 0)


def test_channels_are_shared() -> None:
    code = """
    local ch = osthread.Channel()
    local t = OSThread(function() for v in ch do end ch = nil return 'drained' end)
    for i = 1, 1000 do ch:send(i) end
    ch:close()
    return t:result()
    """
    assert lua(code) == "drained"


def test_messages_both_ways() -> None:
    code = """
    local echo = OSThread([[
      local osthread, parent = require 'osthread', ...
      for v in osthread.receive do parent:send(v * 2) end
    ]], osthread.self())
    local sum = 0
    for i = 1, 100 do assert(echo:send(i)) sum = sum + osthread.receive() end
    echo.mailbox:close()
    echo:join()
    return sum, echo:send(1)
    """
    assert lua(code) == (10100, None, "closed")


def test_what_it_is() -> None:
    code = """
    local t = OSThread({name = 'worker', suspended = true}, 'return 1')
    local before = {t.status, t:is_alive(), t.name, tostring(t)}
    t:start()
    assert(t:join())
    return before, t.status, t.native_id ~= nil, t == t, t.nothing, t:result()
    """
    before = ["suspended", False, "worker", "OSThread 'worker' (suspended)"]
    assert lua(code) == (before, "finished", True, True, None, 1)


def test_the_same_thread_from_both_sides_is_equal() -> None:
    code = """
    local ch = osthread.Channel()
    local t = OSThread("local ch = ... ch:send(require('osthread').self())", ch)
    local itself = ch:receive()
    t:join()
    return t == itself, t ~= osthread.self()
    """
    assert lua(code) == (True, True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("OSThread()", "there is no code to run"),
        ("OSThread({})", "there is no code to run"),
        ("OSThread(42)", "a number can't be run"),
        ("OSThread({1}, '')", "options of a thread have names"),
        ("OSThread({nam = 'x'}, '')", 'no option "nam"; there are affinity, .*time_limit'),
        ("OSThread({name = 1}, '')", "name: must be a string, not a number"),
        ("OSThread({suspended = 1}, '')", "suspended: must be true or false"),
        (
            "OSThread({on_exit = 'never'}, '')",
            'on_exit must be one of "join", "terminate", "detach", not "never"',
        ),
        ("OSThread({time_limit = -1}, '')", "time_limit must be 0 seconds or more"),
        ("OSThread({time_limit = 'x'}, '')", "time_limit: must be a number of seconds"),
        ("OSThread({memory_limit = 100}, '')", "memory_limit: 100 bytes are too few"),
        ("OSThread({memory_limit = 1.5}, '')", "memory_limit must be a whole number"),
        ("OSThread({libraries = {'nothing'}}, '')", "there is no 'nothing'"),
        ("OSThread({closes = osthread.Channel()}, '')", "closes: must be a list"),
        ("OSThread({notify = 1}, '')", "notify: must be a channel, not a number"),
        ("OSThread({globals = 1}, '')", "globals: must be a table"),
        ("OSThread({priority = 'top'}, '')", "priority must be one of"),
        ("OSThread('return ...', coroutine.create(print))", r"args\[1\]: a coroutine can't cross"),
        ("OSThread(function() return print_later end, print)", None),
        (
            "OSThread('', 1).join()",
            "join: an OSThread was wanted, not a no value; methods are called with a colon",
        ),
        ("OSThread('', 1):join('x')", "join: the timeout must be a number of seconds"),
        ("OSThread({suspended = true}, ''):join()", "join: this OSThread was never started"),
        ("OSThread({suspended = true}, ''):detach()", "detach: an OSThread that was never started"),
        ("osthread.self():join()", "join: an OSThread can't wait for its own end"),
        ("osthread.self():detach()", "detach: this OSThread was not started from Lua"),
        ("OSThread(''):start()", "can be started only once"),
    ],
)
def test_mistakes(call: str, message: str | None) -> None:
    if message is None:
        lua(f"local t = {call} t:join()")
        return
    with pytest.raises((LuaError, RuntimeError, ValueError, TypeError), match=message):
        lua(f"local t = {call}")
    assert lua("return OSThread('return 1'):result()") == 1


def test_a_syntax_error_is_raised_by_the_constructor() -> None:
    with pytest.raises(LuaSyntaxError, match="'=' expected near 'y'") as caught:
        lua("OSThread('x y')")
    assert caught.value.line == 1
    assert lua("local ok, e = pcall(OSThread, 'x y') return ok, e.message:match('expected')") == (
        False,
        "expected",
    )


# --- Its end, as its owner sees it --------------------------------------------------------------------------


def test_join_and_result_in_vain() -> None:
    code = f"""
    local t = OSThread('{FOREVER}')
    local joined, why = t:join(0.01)
    local result, also = t:result(0)
    t:interrupt()
    t:join()
    return joined, why, result, also, t.status
    """
    assert lua(code) == (None, "timeout", None, "timeout", "stopped")


def test_the_error_of_a_thread_comes_out_of_result() -> None:
    code = """
    local t = OSThread({name = 'child'}, "error({code = 7})")
    local worked, e = pcall(t.result, t)
    local again = select(2, pcall(t.result, t))
    return worked, e.value.code, e.thread, e.message == again.message, e.traceback:match('main chunk')
    """
    assert lua(code) == (False, 7, "child", True, "main chunk")
    with pytest.raises(LuaError, match="boom") as caught:
        lua("OSThread({name = 'child'}, \"error('boom')\"):result()")
    assert caught.value.thread == "child"


def test_an_exception_of_a_callable_comes_through_two_threads() -> None:
    def fail() -> None:
        raise KeyError("deep")

    with pytest.raises(KeyError, match="deep"):
        lua("OSThread('local f = ... f()', ...):result()", fail)


@pytest.mark.parametrize(("method", "status"), [("interrupt", "stopped"), ("kill", "killed")])
def test_stopping_one(method: str, status: str) -> None:
    code = f"""
    local t = OSThread('{FOREVER}')
    local had = t:{method}()
    local joined = t:join()
    local worked, e = pcall(t.result, t)
    return had, joined, t.status, worked, osthread.is_stopped(e), t:{method}()
    """
    assert lua(code) == (True, True, status, False, True, False)


def test_terminate_takes_what_it_needs() -> None:
    assert lua("return OSThread(\"require('osthread').sleep(1000)\"):terminate()") == "stopped"
    code = "return OSThread(\"return (('a'):rep(40)):find(('.-'):rep(20) .. 'b')\"):terminate(0.01)"
    assert lua(code) == "killed"


def test_request_stop_pause_and_resume() -> None:
    code = """
    local t = OSThread("local o = require 'osthread' while not o.stop_requested() do end return 'asked'")
    t:pause()
    while t.status ~= 'paused' do end
    t:resume()
    t:request_stop()
    return t:result()
    """
    assert lua(code) == "asked"


def test_where_one_is() -> None:
    code = """
    local t = OSThread("local o = require 'osthread' o.sleep(1000)")
    while t:statistics().waiting_for ~= 'sleep' do end
    local frames = t:stack()
    t:interrupt()
    t:join()
    return frames[#frames].name, t:statistics().stops_asked
    """
    assert lua(code) == ("main chunk", 1)


def test_one_that_has_only_just_been_started_can_be_looked_at() -> None:
    for _ in range(50):
        with OSThread(FOREVER, on_exit="terminate") as thread:
            assert thread.stack()


def test_a_stop_ends_the_wait_for_another() -> None:
    begun = threading.Event()
    code = f"local begun = ... local t = OSThread('local b = ... b() {FOREVER}', begun) t:join()"
    thread = OSThread(LUA + code, begun.set, name="parent")
    assert begun.wait(PATIENCE)
    thread.interrupt()
    assert isinstance(thread.exception(PATIENCE), Stopped)
    assert osthread.enumerate() == []


# --- Owners -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["interrupt", "kill", "terminate", "error", "time_limit"])
def test_threads_end_with_the_one_that_owns_them(end: str, unraisable: list[Any]) -> None:
    begun = threading.Barrier(3)
    grandchild = f"local b = ... b() {FOREVER}"
    child = f"local b = ... t = require('osthread').OSThread([[{grandchild}]], b) b() {FOREVER}"
    tail = "error('ends')" if end == "error" else FOREVER
    code = LUA + f"local b = ... t = OSThread([=[{child}]=], b) b() " + tail
    thread = OSThread(code, begun.wait, time_limit=1 if end == "time_limit" else None)
    if end in ("interrupt", "kill", "terminate"):
        wait_until(lambda: begun.n_waiting == 0 and len(osthread.enumerate()) == 3)
        getattr(thread, end)()
    assert thread.exception(PATIENCE)
    assert osthread.enumerate() == []


@pytest.mark.parametrize("policy", ["join", "terminate", "detach"])
def test_the_end_of_a_chunk_applies_on_exit(policy: str) -> None:
    go, ended = threading.Event(), threading.Event()
    child = "local go, ended = ... go() ended()"

    def wait() -> None:
        go.wait(PATIENCE)

    thread = OSThread(
        LUA + f"local wait, ended = ... t = OSThread({{on_exit = '{policy}'}}, '{child}', wait, ended)",
        wait,
        ended.set,
    )
    if policy == "join":
        assert not thread.join(0.1)
        assert thread.statistics().waiting_for == "join"
    elif policy == "detach":
        assert thread.join(PATIENCE)
    go.set()
    assert thread.join(PATIENCE)
    if policy != "terminate":
        assert ended.wait(PATIENCE)
    wait_until(lambda: not osthread.enumerate())
    assert thread.exception() is None


def test_the_end_of_a_chunk_terminates_its_threads_together() -> None:
    child = "while true do pcall(function() while true do end end) end"
    begin = time.monotonic()
    lua(f"t = {{}} for i = 1, 10 do t[i] = OSThread({{on_exit = 'terminate', grace = 0.5}}, '{child}') end")
    assert time.monotonic() - begin < 4  # each alone takes two grace times
    assert osthread.enumerate() == []


def test_the_end_of_a_chunk_terminates_its_threads_when_the_others_have_ended() -> None:
    # The first serves the second, which would wait for it without end.
    server = "local questions, answers = ... for q in questions do answers:send(q * 2) end"
    client = "local questions, answers = ... for i = 1, 100 do questions:send(i) assert(answers:receive() == 2 * i) end"
    for _ in range(5):
        questions, answers = Channel(), Channel()
        thread = OSThread(
            LUA
            + f"s = OSThread({{on_exit = 'terminate'}}, [[{server}]], ...) c = OSThread([[{client}]], ...)",
            questions,
            answers,
        )
        assert thread.result(PATIENCE) is None
        assert osthread.enumerate() == []


def test_a_chunk_that_waits_for_its_threads_can_be_stopped() -> None:
    begun = threading.Event()
    thread = OSThread(LUA + f"t = OSThread('local b = ... b() {FOREVER}', ...)", begun.set)
    assert begun.wait(PATIENCE)
    assert not thread.join(0.05)
    thread.interrupt()
    assert isinstance(thread.exception(PATIENCE), Stopped)
    assert osthread.enumerate() == []


def test_a_suspended_one_is_discarded_with_its_owner() -> None:
    assert lua("t = OSThread({suspended = true}, 'error()') return t.status") == "suspended"
    assert osthread.enumerate() == []


def test_a_dropped_thread_is_terminated_and_reported(unraisable: list[Any]) -> None:
    code = f"""
    OSThread({{name = 'lost'}}, '{FOREVER}')
    collectgarbage() collectgarbage()
    """
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        lua(code)
        wait_until(lambda: not osthread.enumerate() and unraisable)
    assert "the OSThread 'lost', started from Lua, was dropped" in str(warned[0].message)
    [(error, where)] = unraisable
    assert isinstance(error, Stopped)
    assert "keep a reference to it, use osthread.with, or call detach()" in where


def test_an_error_that_nobody_fetches_is_reported(unraisable: list[Any]) -> None:
    lua("local t = OSThread({name = 'child'}, \"error('unheard')\") t:join()")
    wait_until(lambda: unraisable)
    [(error, where)] = unraisable
    assert isinstance(error, LuaError)
    assert error.message == "[string \"error('unheard')\"]:1: unheard"
    assert where == "the OSThread 'child', started from Lua, whose error nobody asked for"
    unraisable.clear()
    lua("local t = OSThread(\"error('heard')\") pcall(t.result, t)")
    assert unraisable == []


def test_a_detached_one_outlives_its_owner(unraisable: list[Any]) -> None:
    go, answer = Channel(), Channel()
    code = "local go, answer = ... go:receive() answer:send('alive') error('at last')"
    lua(f'OSThread("{code}", ...):detach()', go, answer)
    gc.collect()
    go.send(1)
    assert answer.receive(PATIENCE) == "alive"
    wait_until(lambda: unraisable)
    assert "at last" in str(unraisable[0][0])


def test_whoever_gets_a_handle_is_an_owner_too() -> None:
    code = "local go = ... t = OSThread('local go = ... return go() and 42', go) return t"
    go = threading.Event()
    thread = osthread.run(LUA + code, lambda: go.wait(PATIENCE))
    assert isinstance(thread, OSThread)
    assert thread.is_alive()
    assert thread in osthread.enumerate()
    go.set()
    assert thread.result(PATIENCE) == 42
    assert thread.result(PATIENCE) == 42


def test_python_drops_the_last_handle(unraisable: list[Any]) -> None:
    parent = OSThread(LUA + f"return OSThread({{name = 'returned'}}, '{FOREVER}')")
    thread = parent.result(PATIENCE)
    last = Path(f"/proc/self/task/{parent.native_id}")
    wait_until(lambda: not last.exists())  # its state holds it, too
    del parent
    assert thread.options["name"] == "returned"
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        del thread
        gc.collect()
        wait_until(lambda: unraisable)
    assert "'returned'" in str(warned[0].message)
    assert osthread.enumerate() == []


def test_python_uses_one_that_lua_has_started() -> None:
    thread = lua(f"return OSThread({{time_limit = 1000}}, '{FOREVER}')")
    assert 0 < thread.options["time_limit"] <= 1000
    with thread:
        assert thread.status == "running"
        assert thread.stack()
        thread.interrupt()
    assert isinstance(thread.exception(), Stopped)
    assert thread.statistics().stops_asked == 1


def test_its_callables_know_their_thread() -> None:
    seen: list[Any] = []
    code = "local f = ... local t = OSThread({name = 'inner'}, 'local f = ... f()', f) t:join()"
    lua(code, lambda: seen.append(osthread.current()))
    assert seen[0].name == "inner"


def test_with_is_a_block() -> None:
    assert lua(
        "return osthread.with(OSThread('return 42'), function(t, x) return x, t:result() end, 'x')"
    ) == ("x", 42)
    code = f"""
    local t = OSThread('{FOREVER}')
    local worked, e = pcall(osthread.with, t, function() error('mine', 0) end)
    return worked, e, t.status
    """
    assert lua(code) == (False, "mine", "stopped")
    with pytest.raises(LuaError, match="its own"):
        lua("osthread.with(OSThread(\"error('its own')\"), function() end)")
    code = f"local t = OSThread('{FOREVER}') osthread.with(t, function() t:interrupt() end) return t.status"
    assert lua(code) == "stopped"


def test_notify_and_closes() -> None:
    code = """
    local ends, work = osthread.Channel(), osthread.Channel()
    local t = OSThread({notify = ends, closes = {work}}, 'local work = ... work:send(1)', work)
    local values = {}
    for v in work do values[#values + 1] = v end
    return ends:receive() == t, values
    """
    assert lua(code) == (True, [1])


def test_a_lua_state_starts_threads_too(unraisable: list[Any]) -> None:
    with LuaState() as state:
        assert state.execute(LUA + "t = OSThread('return 6 * 7') return t:result()") == 42
        state.execute(LUA + f"u = OSThread('{FOREVER}')")
        assert len(osthread.enumerate()) == 1
    wait_until(lambda: not osthread.enumerate())


# --- What they inherit --------------------------------------------------------------------------------------


def test_limits_are_inherited_and_only_narrowed(unraisable: list[Any]) -> None:
    child = "local t = {} for i = 1, math.huge do t[i] = {} end"
    for options in ("", "{memory_limit = 2^40}, "):
        code = f"""
        local t = OSThread({options}[[{child}]])
        t:join()
        return t.status, select(2, pcall(t.result, t)).message
        """
        status, message = lua(code, memory_limit=2 << 20)
        assert (status, "not enough memory" in message) == ("failed", True)
    begin = time.monotonic()
    with pytest.raises(osthread.LuaTimeout):
        lua(
            f"osthread.sleep(0.2) local t = OSThread({{time_limit = 1000}}, '{FOREVER}') t:result()",
            time_limit=0.5,
        )
    assert time.monotonic() - begin < PATIENCE
    assert lua("return OSThread({jit = true}, 'return (jit.status())'):result()", jit=False) is False


def test_libraries_are_inherited_and_only_narrowed() -> None:
    names = ["string", "table", "math", "package"]
    assert lua("return OSThread('return io == nil and math ~= nil'):result()", libraries=names) is True
    assert (
        lua("return OSThread({libraries = {'math'}}, 'return table == nil'):result()", libraries=names)
        is True
    )
    with pytest.raises(ValueError, match="no more than those of the one that starts it"):
        lua("OSThread({libraries = {'io'}}, '')", libraries=names)
    with pytest.raises(ValueError, match="no more than those"):
        lua("OSThread({libraries = 'all'}, '')", libraries=names)


def test_safe_code_starts_none() -> None:
    assert lua("return OSThread", libraries="safe") is None


def test_safe_code_with_max_threads_starts_safe_ones() -> None:
    code = "return OSThread('return io == nil and load == nil or io == nil, require ~= nil'):result()"
    assert lua(code, libraries="safe", max_threads=1)[0] is True
    for options in ("libraries = 'all'", "libraries = {'string'}", "bytecode = true"):
        with pytest.raises(
            ValueError, match=r"libraries: a thread can be given no more|bytecode: not in a thread"
        ):
            lua(f"OSThread({{{options}}}, '')", libraries="safe", max_threads=1)
    assert (
        lua("return pcall(OSThread, require('osthread').null, 1)", libraries="safe", max_threads=1)[0]
        is False
    )


def test_output_modules_and_paths_are_inherited() -> None:
    lines: list[str] = []
    lua("OSThread(\"print(require('greeting'), package.path)\"):result()", stdout=lines.append,
        modules={"greeting": "return 'hello'"}, path="./?.lua")  # fmt: skip
    assert "".join(lines) == "hello\t./?.lua\n"


def test_max_threads() -> None:
    code = f"""
    local a, b = OSThread('{FOREVER}'), OSThread('{FOREVER}')
    local worked, e = pcall(OSThread, 'return 1')
    a:terminate()
    local c = OSThread('return 1')
    b:terminate()
    return worked, e.message, c:result()
    """
    worked, message, result = lua(code, max_threads=2)
    assert (worked, result) == (False, 1)
    assert "as many threads as max_threads allows are alive" in message


def test_max_threads_counts_the_threads_of_threads() -> None:
    bomb = "local s = ... local o = require 'osthread' local n = 0 " \
        "while n < 1000 and pcall(o.OSThread, s, s) do n = n + 1 end o.sleep(0.2)"  # fmt: skip
    thread = OSThread(
        f"local s = [[{bomb}]] local t = require('osthread').OSThread(s, s) t:join(1)", max_threads=5
    )
    most = 0
    while not thread.done():
        most = max(most, len(osthread.enumerate()))
    assert most <= 6
    wait_until(lambda: not osthread.enumerate())


@pytest.mark.parametrize("stop", ["request_stop", "interrupt", "kill"])
def test_all_end_while_they_start_others(stop: str, unraisable: list[Any]) -> None:
    code = """
    local function spawn(depth)
      local osthread = require 'osthread'
      local mine = {}
      while true do
        local worked, t = pcall(osthread.OSThread, {grace = 0.02}, spawn, depth + 1)  -- it may be one too many
        if worked then mine[#mine + 1] = t end
        osthread.sleep(0.001)
      end
    end
    spawn(0)
    """
    roots = [OSThread(code, grace=0.02, max_threads=20) for _ in range(3)]
    wait_until(lambda: len(osthread.enumerate()) > 10)
    for root in roots:
        getattr(root, stop)()
    for root in roots:
        assert root.join(PATIENCE)
        assert isinstance(root.exception(), Stopped)
    wait_until(lambda: not osthread.enumerate())


def test_a_thousand_nested_threads() -> None:
    code = """
    local function go(n)
      if n == 0 then return 0 end
      local osthread = require 'osthread'
      return 1 + osthread.OSThread(go, n - 1):result()
    end
    return go(200)
    """
    assert lua(code) == 200


# --- The blog's class ---------------------------------------------------------------------------------------

BLOG = """
local ffi = require "ffi"
ffi.cdef [[int RunLuaThread(void *s);]]
local lua = ffi.load(LIBRARY)
local OSThread = require("osthread").OSThread
local code = "print('a thread')"
"""


@pytest.mark.parametrize("library", ["'lua51'", "'osthread'"])
@pytest.mark.parametrize("literal", ["", "local wide = 1LL "])
def test_the_library_has_a_name(library: str, literal: str) -> None:
    assert (
        osthread.run(
            literal + BLOG.replace("LIBRARY", library) + "return lua.RunLuaThread(ffi.cast('void *', ''))"
        )
        == 0
    )


def test_the_blogs_listing() -> None:
    lines: list[str] = []
    code = (
        BLOG.replace("LIBRARY", "'lua51'")
        + """
    local CREATE_SUSPENDED = 4
    local one = OSThread(lua.RunLuaThread, ffi.cast("void *", code), 0)
    local two = OSThread(lua.RunLuaThread, ffi.cast("void *", code), CREATE_SUSPENDED)
    local suspended = two.status
    two:start()
    one:join() two:join()
    return suspended, one.Handle > 0, one.ThreadId > 0, one.ThreadRoutine == lua.RunLuaThread, one.Flags, two.Flags,
      ffi.string(ffi.cast("const char *", one.Parameter)) == code
    """
    )
    assert osthread.run(code, stdout=lines.append) == ("suspended", True, True, True, 0, 4, True)
    assert "".join(lines) == "a thread\n" * 2


def test_the_code_at_the_pointer_is_copied() -> None:
    code = (
        BLOG.replace("LIBRARY", "'osthread'")
        + """
    local buffer = ffi.new("char[100]")
    ffi.copy(buffer, "return 'copied'")
    local t = OSThread(lua.RunLuaThread, ffi.cast("void *", buffer), 4)
    ffi.fill(buffer, 100, 33)
    t:start()
    return t:result()
    """
    )
    assert osthread.run(code) == "copied"


@pytest.mark.skipif(os.name == "nt", reason="usleep is a function of POSIX")
def test_any_other_routine_can_be_joined_and_detached() -> None:
    code = """
    local ffi, osthread = require "ffi", require "osthread"
    ffi.cdef [[int usleep(unsigned microseconds);]]
    local t = osthread.OSThread(ffi.cast("int (*)(void *)", ffi.C.usleep), ffi.cast("void *", 50000))
    local refused = {}
    for _, method in ipairs {"interrupt", "kill", "pause"} do
      local worked, e = pcall(t[method], t)
      refused[#refused + 1] = not worked and e.message:match("can only be joined or detached")
    end
    local begin = t.status
    return begin, refused, t:join(), t:result()
    """
    refused = ["can only be joined or detached"] * 3
    assert osthread.run(code) == ("running", refused, True, 0)


# --- The program's end --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "printed"), [("join", "child\n"), ("detach", "")], ids=["joined", "detached"]
)
def test_at_the_programs_end(policy: str, printed: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    child = "require('osthread').sleep(0.3) print('child')"
    program.write_text(
        "import osthread\n"
        "t = osthread.OSThread('''\n"
        f"osthread = require 'osthread' t = osthread.OSThread({{on_exit = '{policy}'}}, [[{child}]])''')\n"
        "while not t.done() and len(osthread.enumerate()) < 2: pass\n"
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")


def test_nothing_warns_where_all_is_joined() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lua("for i = 1, 50 do OSThread('return 1'):result() end collectgarbage()")
        gc.collect()


# --- What a look at the edges found ---


def test_a_child_can_not_be_given_more_memory_by_a_limit_of_0() -> None:
    code = """
        local o = require 'osthread'
        return pcall(o.OSThread, { memory_limit = 0 }, "return 1")"""
    worked, error = osthread.run(code, memory_limit=4 << 20)
    assert not worked
    assert "memory_limit" in str(error)


@pytest.mark.parametrize(
    "arguments", ["lua.RunLuaThread", "lua.RunLuaThread, nil", "lua.RunLuaThread, ffi.cast('void *', 0)"]
)
def test_a_start_routine_without_code_is_an_error(arguments: str) -> None:
    code = f"""
        local ffi = require 'ffi'
        ffi.cdef 'int RunLuaThread(void *s);'
        local lua = ffi.load 'lua51'
        return pcall(require('osthread').OSThread, {arguments})"""
    worked, error = osthread.run(code)
    assert not worked
    assert "no code" in str(error)


@pytest.mark.parametrize("first", ["o.Channel()", "1LL", "o.Lock()", "ffi.new('struct { int x; }')"])
def test_cdata_that_is_no_routine_is_refused(first: str) -> None:
    code = f"local o, ffi = require 'osthread', require 'ffi' return pcall(o.OSThread, {first})"
    worked, error = osthread.run(code)
    assert not worked
    assert "OSThread" in str(error) or "code" in str(error)


STUBBORN = "o.OSThread({name = 'stubborn'}, [[while true do pcall(function() while true do end end) end]])"


@pytest.mark.parametrize("stop", ["interrupt", "terminate"])
def test_a_stop_ends_the_wait_of_a_termination(stop: str) -> None:
    thread = OSThread(f"local o = require 'osthread' local c = {STUBBORN} c:terminate(1000)")
    wait_until(lambda: thread.statistics().waiting_for is not None)
    before = time.monotonic()
    getattr(thread, stop)()
    assert thread.join(PATIENCE)
    assert time.monotonic() - before < 10
    assert thread.status in ("stopped", "killed")
    wait_until(lambda: not osthread.enumerate())


@pytest.mark.parametrize("grace", ["-1", "0/0", "'x'", "{}"])
def test_a_wrong_grace_is_an_error(grace: str) -> None:
    code = (
        f"local o = require 'osthread' local c = o.OSThread 'return 1' c:join() return c:terminate({grace})"
    )
    with pytest.raises(LuaError, match="terminate: "):
        osthread.run(code)


def test_an_endless_grace_is_one() -> None:
    child = "[[require('osthread').sleep(1000)]]"  # which ends when it is asked to
    code = f"local o = require 'osthread' local c = o.OSThread({child}) return c:terminate(1/0)"
    assert osthread.run(code) == "stopped"


def test_no_time_limit_is_escaped_by_a_child_that_starts_after_it(unraisable: list[Any]) -> None:
    code = """
        local o = require 'osthread'
        pcall(function() while true do end end)
        o.OSThread({ on_exit = 'detach', name = 'late' }, [[while true do end]])"""
    # Code that is being stopped has its grace time to clean up, and starts nothing.
    with pytest.raises(osthread.LuaTimeout):
        osthread.run(code, time_limit=0.05, max_threads=3, libraries="safe", grace=0.5)
    assert osthread.enumerate() == []
    assert unraisable == []


def test_an_error_in_a_block_leaves_a_detached_thread_alone() -> None:
    code = """
        local o, ch = require 'osthread', ...
        local c = o.OSThread({ name = 'free' }, [[return (...):receive()]], ch)
        local ok, e = pcall(o.with, c, function(c) c:detach() error('x', 0) end)
        local status = c.status
        ch:send(7)
        return ok, e, status, c:result()"""
    assert osthread.run(code, Channel()) == (False, "x", "running", 7)


def test_a_wait_is_counted_from_its_own_begin() -> None:
    channel = Channel(4)
    with OSThread("local c = ... c:receive() require('osthread').sleep(1000)", channel) as thread:
        wait_until(lambda: thread.statistics().waiting_for == "receive")
        time.sleep(0.3)
        assert thread.pause(PATIENCE)
        channel.send(1)
        thread.resume()
        wait_until(lambda: thread.statistics().waiting_for == "sleep")
        statistics = thread.statistics()
        assert statistics.waiting_seconds is not None
        assert statistics.waiting_seconds < 0.3
        thread.terminate()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("{globals = {5}}", "globals[1]: this has no name to be known by"),
        ("{globals = {[true] = 5}}", "globals[true]: this has no name to be known by"),
        ("{modules = {'return 1'}}", "modules[1]: this has no name to be known by"),
        ("{affinity = {2^32}}", "affinity: there is no CPU 4294967296"),
    ],
)
def test_an_option_that_would_be_misread_is_an_error(options: str, error: str) -> None:
    ok, message = lua(f"local ok, e = pcall(OSThread, {options}, '') return ok, tostring(e)")
    assert not ok
    assert error in message


def test_safe_code_gives_its_threads_no_more_grace_than_it_has(unraisable: list[Any]) -> None:
    stubborn = "while true do pcall(function() while true do end end) end"
    code = LUA + f"OSThread({{grace = 1e6}}, [[{stubborn}]]) while true do end"
    thread = OSThread(code, libraries="safe", max_threads=1, time_limit=0.2)
    assert isinstance(thread.exception(PATIENCE), osthread.LuaTimeout)
    wait_until(lambda: osthread.enumerate() == [])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("5", "the code must be a string, or a pointer to one, not a number"),
        ("5LL", "the code must be a string, or a pointer to one, not a cdata"),
        ("{}", "the code must be a string, or a pointer to one, not a table"),
        ("io.stdout", "the code must be a string, or a pointer to one, not a userdata"),
        ("'return 1', 'x'", "the flags must be a number, not a string"),
        ("nil, 0", "there is no code to run"),
    ],
)
def test_what_run_lua_thread_can_not_take_is_an_error(arguments: str, error: str) -> None:
    code = f"""
        local ffi = require 'ffi'
        ffi.cdef 'int RunLuaThread(void *s);'
        local ok, e = pcall(OSThread, ffi.load('osthread').RunLuaThread, {arguments})
        return ok, e"""
    ok, message = lua(code)
    assert not ok
    assert error in message


def test_run_lua_thread_takes_what_holds_code() -> None:
    code = """
        local ffi = require 'ffi'
        ffi.cdef 'int RunLuaThread(void *s);'
        local run, code = ffi.load('osthread').RunLuaThread, 'return 7'
        local array = ffi.new('char[?]', #code + 1, code)
        local sum = 0
        for _, each in ipairs {code, array, ffi.cast('void *', array), ffi.cast('const char *', array)} do
          sum = sum + OSThread(run, each, 0):result()
        end
        return sum"""
    assert lua(code) == 28


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("osthread.with(5, print)", ":1: with: an OSThread was wanted, not a number"),
        ("osthread.with(OSThread '')", ":1: with: there is no function to call with the thread"),
    ],
)
def test_a_wrong_block_says_where(call: str, error: str) -> None:
    ok, message = lua(f"return pcall(function() local r = {call} return r end)")
    assert not ok
    assert error in message
    assert message.startswith("[string ")


def test_threads_that_start_the_next_one_do_not_outlive_their_time_limit(unraisable: list[Any]) -> None:
    bomb = """
        local o, source = require 'osthread', ...
        local keep = {}
        while true do
          local ok, t = pcall(o.OSThread, source, source)
          if ok then keep[#keep + 1] = t end
          if #keep > 200 then keep = {} end
        end"""
    with pytest.raises(osthread.LuaTimeout):
        osthread.run(bomb, bomb, libraries="safe", max_threads=30, time_limit=0.5)
    deadline = time.monotonic() + 8
    while osthread.enumerate() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert osthread.enumerate() == []


def test_code_that_is_being_stopped_starts_no_thread() -> None:
    code = """
        pcall(function() started() while true do end end)
        local ok, e = pcall(OSThread, 'return 1')
        told(ok, osthread.is_stopped(e))"""
    started, told = threading.Event(), []
    options = {"globals": {"started": started.set, "told": lambda *what: told.append(what)}, "grace": 20}
    thread = OSThread(LUA + code, **options)  # type: ignore[arg-type]
    assert started.wait(PATIENCE)
    thread.interrupt()
    assert thread.join(PATIENCE)
    assert told == [(False, True)]
