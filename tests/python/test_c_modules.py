"""C modules of Lua load into LuaJIT's states: lua-cjson, lua-lpeg and lua-luv, as Debian's packages have them."""

from __future__ import annotations

import glob
import os
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import osthread
import pytest
from osthread import Killed, LuaError, LuaState, LuaTimeout, OSThread

PATIENCE = 30
FOUND = glob.glob("/usr/lib/*/lua/5.1/cjson.so") + glob.glob("/usr*/lib/lua/5.1/cjson.so")
CPATH = os.path.join(os.path.dirname(FOUND[0]), "?.so") if FOUND else ""

needs_lupa = pytest.mark.skipif(find_spec("lupa") is None, reason="lupa is not installed")
pytestmark = pytest.mark.skipif(not FOUND, reason="lua-cjson is not installed (apt install lua-cjson)")


def needs(module: str) -> pytest.MarkDecorator:
    """Skip a test where the module is not installed, next to lua-cjson."""
    there = os.path.exists(CPATH.replace("?", module))
    return pytest.mark.skipif(not there, reason=f"lua-{module} is not installed (apt install lua-{module})")


needs_luv = needs("luv")
needs_kill = pytest.mark.skipif(not osthread.features().kill, reason="this build has no kill")


def kill(thread: OSThread) -> None:
    """Kill it; what that warns of is said by then."""
    assert thread.kill()
    assert thread.join(PATIENCE)


@pytest.fixture(scope="module", autouse=True)
def libuv_pool() -> None:
    """Start libuv's pool of threads, which stay with the process: no test has left them alive."""
    if os.path.exists(CPATH.replace("?", "luv")):
        osthread.run("local uv = require 'luv' uv.fs_stat('.', function() end) uv.run()", cpath=CPATH)


def test_c_module_works() -> None:
    code = (
        "local json = require 'cjson' return json.encode({1, 2, {3}}), json.decode('{\"a\": [1, null]}').a[1]"
    )
    assert osthread.run(code, cpath=CPATH) == ("[1,2,[3]]", 1)


def test_error_of_a_c_module_is_a_lua_error() -> None:
    with pytest.raises(LuaError, match="invalid token"):
        osthread.run("require('cjson').decode('nonsense')", cpath=CPATH)


def test_c_module_can_be_loaded_by_hand() -> None:
    code = "local open = assert(package.loadlib(..., 'luaopen_cjson')) return open().encode({1})"
    assert osthread.run(code, FOUND[0]) == "[1]"


def test_many_threads_use_a_c_module_at_once() -> None:
    code = """
    local json, n = require 'cjson', 0
    for i = 1, 2000 do n = n + #json.decode(json.encode({i, {i}})) end
    return n
    """
    threads = [OSThread(code, cpath=CPATH) for _ in range(8)]
    assert [thread.result() for thread in threads] == [4000] * 8


def test_loop_around_a_c_module_can_be_stopped_and_limited() -> None:
    code = "local json = require 'cjson' while true do json.decode('[1, 2]') end"
    assert isinstance(OSThread(code, cpath=CPATH, time_limit=0.03).exception(30), osthread.LuaTimeout)
    grow = "local json, t = require 'cjson', {} while true do t[#t + 1] = json.decode('[1, 2]') end"
    assert isinstance(
        OSThread(grow, cpath=CPATH, memory_limit=1 << 20).exception(30), osthread.LuaMemoryError
    )


def test_c_function_of_a_module_can_not_leave_its_state() -> None:
    with LuaState(cpath=CPATH) as state:
        state.execute("json = require 'cjson'")
        with pytest.raises(osthread.ConversionError, match="C function"):
            state.execute("return json.encode")
        assert state.call("json.encode", [1, "x"]) == '[1,"x"]'


def test_safe_has_no_c_modules() -> None:
    with pytest.raises(LuaError, match="not found"):
        osthread.run("require 'cjson'", libraries="safe")


@needs_lupa
@pytest.mark.parametrize("order", ["import lupa, osthread", "import osthread, lupa"])
def test_c_module_and_lupa_in_one_process(order: str, run_script: Callable[..., Any]) -> None:
    done = run_script(f"""
{order}
first = lupa.LuaRuntime()
assert first.eval("1 + 1") == 2
assert osthread.run("return require('cjson').encode({{1}})", cpath={CPATH!r}) == "[1]"
assert lupa.LuaRuntime().eval("string.rep('x', 3)") == "xxx"
assert first.eval("#'abc'") == 3
print("fine")
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")


@needs_lupa
@pytest.mark.parametrize("name", ["lupa", "lupa.lua54", "lupa.luajit21"])
def test_lupa_after_a_c_module_is_refused(name: str, run_script: Callable[..., Any]) -> None:
    done = run_script(f"""
import osthread
assert osthread.run("return require('cjson').encode({{1}})", cpath={CPATH!r}) == "[1]"
try:
    import {name}
except ImportError as error:
    print(error.name, str(error).endswith("import lupa before that"))
import json.tool, colorsys
assert osthread.run("return 1") == 1
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{name.partition('.')[0]} True\n", "")


# --- Several modules in several threads ---------------------------------------------------------------

WORK = {
    "cjson": """
        local json = require 'cjson'
        local text = json.encode({name = 'x', list = {1, 2.5, 'three', {four = true}}, none = json.null})
        for i = 1, 500 do
            local value = json.decode(text)
            assert(value.list[4].four and value.none == json.null and #value.list == 4)
            value.list[1] = i
            assert(json.decode(json.encode(value)).list[1] == i)
        end
        results.cjson = 500
    """,
    "lpeg": """
        local lpeg = require 'lpeg'
        local P, R, S, V, C, Cf, Cg, Ct = lpeg.P, lpeg.R, lpeg.S, lpeg.V, lpeg.C, lpeg.Cf, lpeg.Cg, lpeg.Ct
        local function apply(a, op, b)
            return op == '+' and a + b or op == '-' and a - b or op == '*' and a * b or a / b
        end
        local sum = P{
            'sum',
            sum = Cf(V'product' * Cg(C(S'+-') * V'product')^0, apply),
            product = Cf(V'value' * Cg(C(S'*/') * V'value')^0, apply),
            value = R'09'^1 / tonumber + '(' * V'sum' * ')',
        }
        local words = Ct((C(R'az'^1) * P' '^0)^0)
        for i = 1, 500 do
            assert(sum:match('2*(' .. i .. '+4)-10/5') == 2 * (i + 4) - 2)
            assert(table.concat(words:match(('word '):rep(i)), ',') == ('word,'):rep(i):sub(1, -2))
        end
        results.lpeg = 500
    """,
    "luv": """
        local uv = require 'luv'
        local ticks, size, read = 0, nil, nil
        local timer = uv.new_timer()
        timer:start(0, 1, function()
            ticks = ticks + 1
            if ticks == 20 then timer:close() end
        end)
        uv.fs_stat(path, function(failure, stat)
            assert(not failure, failure)
            size = stat.size
            uv.fs_open(path, 'r', 0, function(_, file)
                uv.fs_read(file, size, 0, function(_, data)
                    read = data
                    uv.fs_close(file, function() end)
                end)
            end)
        end)
        local idle = 0
        repeat local again = uv.run('nowait') idle = idle + 1 until not again or idle == 3
        uv.run()
        assert(ticks == 20 and not uv.loop_alive() and #read == size, 'the loop ran to its end')
        results.luv = ticks
    """,
}


@pytest.mark.parametrize(
    "modules",
    [
        *(pytest.param([name], id=name, marks=needs(name)) for name in WORK),
        pytest.param(list(WORK), id="all", marks=[needs(name) for name in WORK]),
    ],
)
def test_several_threads_use_modules_at_once(modules: list[str], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("text" * 1000)
    code = "".join(f"do {WORK[name]} end\n" for name in modules)
    code = f"local path, results = ..., {{}}\n{code}\nreturn results"
    expected = {name: {"cjson": 500, "lpeg": 500, "luv": 20}[name] for name in modules}
    threads = [OSThread(code, str(path), cpath=CPATH) for _ in range(8)]
    assert [thread.result(PATIENCE) for thread in threads] == [expected] * 8
    assert all(thread.statistics().leaked == () for thread in threads)


# --- luv: its loop ------------------------------------------------------------------------------------

LUV = "local uv = require 'luv' local timer = uv.new_timer() "


@needs_luv
def test_loop_runs_in_each_mode() -> None:
    code = """
        local uv = require 'luv'
        local seen, timer = {}, uv.new_timer()
        local function note(what) seen[#seen + 1] = what end
        note(uv.run('nowait'))
        timer:start(5, 5, function() note('tick') end)
        note(uv.run('nowait'))
        note(uv.run('once'))
        timer:start(5, 5, function() note('tick') uv.stop() end)
        note(uv.run())
        uv.stop()
        note(uv.run())
        timer:close(function() note('closed') end)
        note(uv.run())
        note(pcall(uv.run, 'never'))
        return seen
    """
    assert osthread.run(code, cpath=CPATH) == [
        *(False, True),  # nothing to do; a timer that is not due
        *("tick", True),
        *("tick", True),
        True,  # stopped before it began
        *("closed", False),
        False,  # no such mode
    ]


@needs_luv
def test_error_of_a_callback_comes_out_of_the_loop() -> None:
    with pytest.raises(LuaError, match="from the callback"):
        osthread.run(
            LUV + "timer:start(0, 0, function() error('from the callback') end) uv.run()", cpath=CPATH
        )
    code = """
        local ticks, first, second = 0, {}, uv.new_timer()
        timer:start(1, 1, function() ticks = ticks + 1 if ticks == 3 then error(first) end end)
        local ok, failure = pcall(uv.run)
        assert(not ok and failure == first, 'as it was raised')
        second:start(1, 0, function() timer:close() second:close() end)
        uv.run()
        return ticks >= 3, uv.loop_alive()
    """
    assert osthread.run(LUV + code, cpath=CPATH) == (True, False)


@needs_luv
def test_error_that_is_nil_comes_out_of_the_loop() -> None:
    code = LUV + "timer:start(0, 0, function() error(nil) end) return pcall(uv.run)"
    assert osthread.run(code, cpath=CPATH) == (False, None)


@needs_luv
def test_python_exception_comes_through_the_loop() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        osthread.run(LUV + "timer:start(0, 0, ...) uv.run()", fail, cpath=CPATH)


@needs_luv
def test_callback_may_end_the_program() -> None:
    assert osthread.run(LUV + "timer:start(0, 0, function() os.exit(3) end) uv.run()", cpath=CPATH) == 3


LOOPS = {
    "busy": "timer:start(0, 0, function() started() while true do end end) uv.run()",
    "catching": """timer:start(0, 1, function() started()
        while true do pcall(function() while true do end end) end end) while true do pcall(uv.run) end""",
    "ticking": "timer:start(0, 1, function() started() end) uv.run()",
    "waiting": "timer:start(2^31, 0, function() end) started() uv.run()",
    "waiting for events": "uv.new_async(function() end) started() uv.run()",
    "once": "timer:start(2^31, 0, function() end) started() while true do uv.run('once') end",
    "polled": "timer:start(0, 1, function() end) started() while true do uv.run('nowait') end",
    "beside it": "timer:start(0, 1, function() end) uv.run('once') started() while true do end",
}
loops = pytest.mark.parametrize("code", [LUV + code for code in LOOPS.values()], ids=LOOPS.keys())


@needs_luv
@loops
def test_loop_is_interrupted(code: str, started: Any) -> None:
    thread = OSThread(code, cpath=CPATH, globals={"started": started}, grace=0.05)
    started.wait()
    assert thread.interrupt()
    assert thread.join(PATIENCE)
    assert thread.status == "stopped"
    assert thread.statistics().leaked == ()


@needs_luv
@loops
def test_time_limit_holds_in_a_loop(code: str) -> None:
    thread = OSThread(code, cpath=CPATH, globals={"started": lambda: None}, grace=0.05, time_limit=0.05)
    assert isinstance(thread.exception(PATIENCE), LuaTimeout)
    assert thread.statistics().leaked == ()


@needs_luv
@needs_kill
@loops
def test_loop_is_killed_and_its_state_kept(code: str, started: Any) -> None:
    thread = OSThread(code, cpath=CPATH, globals={"started": started})
    started.wait()
    with pytest.warns(ResourceWarning, match=rf"'{thread.name}'.*'luv'; its memory is kept"):
        kill(thread)
    assert isinstance(thread.exception(), Killed)
    assert thread.statistics().leaked == ("luv",)


@needs_luv
def test_loop_is_paused_and_tells_where_it_is(started: Any) -> None:
    with OSThread(LUV + LOOPS["waiting"], cpath=CPATH, globals={"started": started}) as thread:
        started.wait()
        assert thread.pause(PATIENCE)
        assert thread.resume()
        while "function 'run'" not in {frame.name for frame in thread.stack()}:
            pass  # it is about to call it
        thread.interrupt()


@needs_luv
@needs_kill
@pytest.mark.skipif(sys.platform == "win32", reason="a named pipe of POSIX")
def test_threads_of_luv_outlive_a_killed_state(tmp_path: Path) -> None:
    """A read that libuv's pool is in the middle of ends after the kill, and writes into the state's memory."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = LUV + "uv.fs_open(..., 'r', 0, function() end) started() uv.run()"
    for _ in range(5):
        here = threading.Event()
        thread = OSThread(code, str(pipe), cpath=CPATH, globals={"started": here.set})
        assert here.wait(PATIENCE)
        with pytest.warns(ResourceWarning, match="luv"):
            kill(thread)
        os.close(os.open(pipe, os.O_WRONLY))  # returns when the pool has opened it, too
    assert osthread.run("local path, results = ..., {} " + WORK["luv"], __file__, cpath=CPATH) is None


# --- Kills --------------------------------------------------------------------------------------------


@needs_kill
def test_kill_of_a_state_with_c_modules_names_them(started: Any) -> None:
    code = """
        require 'cjson'
        package.loadlib(..., 'luaopen_cjson')()
        assert(not pcall(require, 'cjson_that_is_not_there'))
        started() while true do end
    """
    thread = OSThread(code, FOUND[0], cpath=CPATH, globals={"started": started})
    started.wait()
    with pytest.warns(ResourceWarning, match=rf"'{thread.name}'.*'cjson', '{FOUND[0]}'$"):
        kill(thread)
    assert thread.statistics().leaked == ("cjson", FOUND[0])


@needs_kill
def test_kill_of_a_lua_state_with_c_modules_names_them(started: Any) -> None:
    state = LuaState(cpath=CPATH, time_limit=0.05, grace=0.01)
    state["started"] = started
    with pytest.warns(ResourceWarning, match="a LuaState.*'cjson'$"), pytest.raises(LuaTimeout):
        state.execute("require 'cjson' return (('a'):rep(40)):find(('.-'):rep(20) .. 'b')")


@needs_kill
def test_kill_of_a_state_without_c_modules_warns_of_nothing(started: Any) -> None:
    thread = OSThread("started() while true do end", cpath=CPATH, globals={"started": started})
    started.wait()
    kill(thread)
    assert thread.statistics().leaked == ()
