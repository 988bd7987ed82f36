"""A host that runs one escape, in an OSThread and in a LuaState, and then looks whether anything is amiss with it.

A process of its own: an escape that succeeds may have done anything to it. Prints what came of it as JSON.
"""

from __future__ import annotations

import ast
import json
import re
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import osthread
from osthread import LuaState, OSThread

MIB = 1 << 20
PATIENCE = 10.0
MOST_MEMORY = 300  # MiB that the process may grow by: the limit, what crosses twice over, and room

# A module whose table the host has protected as well as Lua can.
OWN = """
local real = {value = 1}
return setmetatable({}, {
  __index = real, __newindex = function() error('read only') end, __metatable = false,
})
"""
HEALTH = """
local ok, ffi = pcall(require, 'ffi')
return ('x'):upper(), #('abc' .. 1), tostring(12), string.format('%d', 3), table.concat({1, 2}, ','),
  math.floor(1.5), select('#', 1, 2), type(require('osthread').now()), rawget(_G, 'evil'), ok
"""
HEALTHY = ("X", 4, "12", "3", "1,2", 1, 2, "number", None)


def library_user() -> osthread.LuaFunction:
    """A function that keeps library functions under local names: they are looked up by name where it goes."""
    code = "local dump, read = string.dump, io.read return function() return dump, read end"
    function = osthread.run(code)
    assert isinstance(function, osthread.LuaFunction)
    return function


FUNCTION = library_user()


def call(*args: Any) -> Any:
    """A function of the host: it takes anything, and gives what an escape asks for."""
    given = {"null": [None], "large": 2**60, "function": FUNCTION}
    return given.get(args[0], len(args)) if args and isinstance(args[0], str) else len(args)


def fail() -> None:
    """A function of the host that fails."""
    raise ValueError("no")


def attempt(run: Callable[[], Any]) -> str:
    """What an escape got, or "contained"."""
    try:
        result = run()
        if isinstance(result, tuple):
            result = result[0] if result else None
        if isinstance(result, osthread.LuaFunction):
            result = result()
    except (osthread.LuaError, osthread.ConversionError):
        return "contained"
    return str(result) if result is True or isinstance(result, (str, bytes)) else "contained"


def ailment(run: Callable[..., Any], has_ffi: bool) -> str:
    """What is wrong with a state, or nothing."""
    result = run(HEALTH)
    expected = (*HEALTHY, has_ffi)
    return "" if result == expected else f"{result} instead of {expected}"


def later(state: LuaState) -> str:
    """What is wrong with the state that the escape ran in, or nothing: it works, or it is closed and says why."""
    try:
        return "" if state.execute("return 1 + 1") == 2 else "it is broken"
    except RuntimeError as error:
        return "" if "closed: " in str(error) else str(error)


def megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main(path: Path) -> dict[str, str]:
    code = path.read_text("utf-8")
    given = re.search(r"^-- options: (.*)$", code, re.MULTILINE)
    options: dict[str, Any] = {"libraries": "safe", "memory_limit": 64 * MIB, "time_limit": 1, "grace": 0.05}
    options |= {"stdout": len, "modules": {"own": OWN}} | (ast.literal_eval(given[1]) if given else {})
    before = megabytes()
    outcomes = {}

    thread = OSThread(code, call, fail, on_exit="terminate", **options)
    outcomes["OSThread"] = attempt(lambda: thread.result(PATIENCE))
    with LuaState(**options) as state:
        outcomes["LuaState"] = attempt(lambda: state.execute(code, call, fail))
        outcomes["the state, later"] = later(state)

    outcomes["memory"] = "" if megabytes() < before + MOST_MEMORY else f"{megabytes() - before} MiB taken"
    outcomes["another state"] = ailment(osthread.run, True)
    outcomes["another safe state"] = ailment(lambda text: osthread.run(text, libraries="safe"), False)
    return outcomes


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1])), sys.stdout)
