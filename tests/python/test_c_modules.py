"""C modules of Lua load into LuaJIT's states: lua-cjson, as Debian's package has it."""

import glob
import os
from collections.abc import Callable
from typing import Any

import osthread
import pytest
from osthread import LuaError, LuaState, OSThread

FOUND = glob.glob("/usr/lib/*/lua/5.1/cjson.so") + glob.glob("/usr*/lib/lua/5.1/cjson.so")
CPATH = os.path.join(os.path.dirname(FOUND[0]), "?.so") if FOUND else ""

pytestmark = pytest.mark.skipif(not FOUND, reason="lua-cjson is not installed (apt install lua-cjson)")


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


@pytest.mark.parametrize("order", ["import lupa, osthread", "import osthread, lupa"])
def test_c_module_and_lupa_in_one_process(order: str, run_script: Callable[..., Any]) -> None:
    pytest.importorskip("lupa")
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
