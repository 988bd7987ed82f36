"""lupa, with a LuaJIT or Lua of its own, lives in the same process, whichever comes first."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

pytest.importorskip("lupa")

USE_LUPA = """
lua = LuaRuntime()
assert lua.eval("1 + 1") == 2
lua.execute("function f(x) if x == 0 then error('deep') end return f(x - 1) end")
try:
    lua.globals().f(50)
except lupa_error as error:
    assert "deep" in str(error)
else:
    raise AssertionError
assert lua.eval("string.rep('x', 1000):len()") == 1000
"""
USE_OSTHREAD = """
assert osthread.run("return 6 * 7") == 42
with osthread.OSThread("while true do end", on_exit="terminate") as thread:
    pass
assert thread.status == "stopped"
try:
    osthread.run("local function f(x) if x == 0 then error('deep') end return f(x - 1) end return f(50)")
except osthread.LuaError as error:
    assert "deep" in error.message
else:
    raise AssertionError
with osthread.LuaState(memory_limit=1 << 20) as state:
    try:
        state.execute("return ('x'):rep(2^25)")
    except osthread.LuaMemoryError:
        pass
    else:
        raise AssertionError
"""
TOGETHER = """
code = "local f = ... local s = 0 for i = 1, 1000 do s = s + f(i) end return s"
with osthread.OSThread(code, lambda x: x) as thread:
    total = sum(lua.eval(str(i)) for i in range(1, 1001))
assert thread.result() == total == 500500
other = LuaRuntime()
assert osthread.run("return (...)(5)", lambda x: other.eval(f"{x} + 1")) == 6
other.globals().go = lambda: osthread.run("return 'from within'")
assert other.eval("go()") == "from within"
print("fine")
"""
# Looked for before any test runs: once one has loaded a C module here, lupa can't be imported any more.
FOUND = {flavour: find_spec(flavour) for flavour in ("lupa", "lupa.luajit21", "lupa.lua51", "lupa.lua54")}
IMPORTS = {
    "lupa": "from {flavour} import LuaError as lupa_error, LuaRuntime\n",
    "osthread": "import osthread\n",
}


@pytest.mark.parametrize("flavour", FOUND)
@pytest.mark.parametrize("order", [("lupa", "osthread"), ("osthread", "lupa")], ids=" then ".join)
def test_both_work_in_one_process(order: tuple, flavour: str, run_script: Callable[..., Any]) -> None:
    if not FOUND[flavour]:
        pytest.skip(f"there is no {flavour}")
    uses = {"lupa": USE_LUPA, "osthread": USE_OSTHREAD}
    lazily = "".join(IMPORTS[name].format(flavour=flavour) + uses[name] for name in order)
    done = run_script(lazily + USE_LUPA + USE_OSTHREAD + TOGETHER)
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")
