"""What code finds in its state: libraries, modules, globals; and what it must not find."""

import math
import pathlib
from typing import Any

import osthread
import pytest
from osthread import LuaError, LuaState, LuaSyntaxError, OSThread

NAMES = ["coroutine", "package", "string", "table", "math", "bit", "io", "os", "debug", "jit", "ffi"]

SAFE = {
    "_G": "_G _VERSION assert collectgarbage error getmetatable ipairs load next pairs pcall print "
    "rawequal rawget rawset require select setmetatable tonumber tostring type unpack xpcall",
    "bit": "arshift band bnot bor bswap bxor lshift rol ror rshift tobit tohex",
    "coroutine": "create isyieldable resume running status wrap yield",
    "debug": "traceback",
    "math": "abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min "
    "modf pi pow rad random randomseed sin sinh sqrt tan tanh",
    "os": "clock date difftime exit time",
    "string": "byte char find format gmatch gsub len lower match rep reverse sub upper",
    "table": "concat foreach foreachi getn insert maxn move remove sort",
}

INVENTORY = """
local found = {}
for name, value in pairs(_G) do
  if type(value) == 'table' and value ~= _G then
    for field in pairs(value) do found[name .. '.' .. field] = true end
  else
    found[name] = true
  end
end
return found
"""


def has(name: str, **options: Any) -> bool:
    return osthread.run(f"return {name} ~= nil", **options)


# --- Subsets --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("libraries", ["all", ["all"], NAMES, {"base", *NAMES}])
def test_all_libraries_are_there(libraries: Any) -> None:
    for name in NAMES:
        if name != "ffi":
            assert has(name, libraries=libraries), name
    assert osthread.run("return require('ffi').sizeof('int')", libraries=libraries) == 4


@pytest.mark.parametrize("name", [name for name in NAMES if name != "ffi"])
def test_named_library_is_there_and_no_other(name: str) -> None:
    code = """
    local t = {}
    for k, v in pairs(_G) do if type(v) == 'table' and k ~= '_G' then t[k] = true end end
    return t
    """
    assert osthread.run(code, libraries={name}) == {name: True}


@pytest.mark.parametrize("libraries", [(), [], set(), {"base"}, iter([])])
def test_no_libraries_leaves_the_basic_functions(libraries: Any) -> None:
    code = "return type(print), type(pcall), type(string), type(io), type(package), ('x'):upper()"
    assert osthread.run(code, libraries=libraries) == ("function", "function", "nil", "nil", "nil", "X")


@pytest.mark.parametrize("make", [LuaState, lambda **options: OSThread("return 1", **options)])
def test_unknown_library_is_an_error_that_names_it(make: Any) -> None:
    with pytest.raises(ValueError, match=r"libraries.*strnig.*string"):
        make(libraries={"strnig"})
    with pytest.raises(ValueError, match=r"libraries.*everything"):
        make(libraries="everything")


def test_absent_libraries_can_not_be_required() -> None:
    for name in ("ffi", "io", "os", "debug", "jit"):
        for libraries in ({"string"}, {"package", "string"}):
            with pytest.raises(LuaError, match="not found"):
                osthread.run(f"return require('{name}')", libraries=libraries)
            if "package" in libraries:
                assert not has(f"package.loaded['{name}']", libraries=libraries)
                assert not has(f"package.preload['{name}']", libraries=libraries)


def test_values_that_need_ffi_inside_do_not_open_it_to_the_script() -> None:
    code = (
        "local p = package return p.loaded.ffi == nil, p.preload.ffi == nil, not ffi, pcall(require, 'ffi')"
    )
    assert osthread.run(code, [None, 2**63], libraries={"package"})[:4] == (True, True, True, False)
    assert osthread.run("return pcall(require, 'ffi')", [None, 2**63], libraries="safe")[0] is False
    code = "local n = ... return ffi == nil, n[1] == nil, tostring(n[2]), n"
    assert osthread.run(code, [None, 2**63], libraries="safe") == (True, True, f"{2**63}ULL", [None, 2**63])


def test_subset_does_not_touch_other_states() -> None:
    with LuaState(libraries="safe") as safe, LuaState() as full:
        safe.execute("string.rep = nil")
        assert full.execute("return io ~= nil and string.rep('x', 2)") == "xx"
        assert safe.eval("io") is None


# --- safe -----------------------------------------------------------------------------------------------


def test_safe_has_what_is_listed_and_nothing_else() -> None:
    expected = set()
    for library, names in SAFE.items():
        expected |= {name if library == "_G" else f"{library}.{name}" for name in names.split()}
    assert set(osthread.run(INVENTORY, libraries="safe")) - {"string.buffer"} == expected


@pytest.mark.parametrize(
    "code",
    [
        "return io.open('/etc/passwd')",
        "return os.execute('true')",
        "return os.getenv('HOME')",
        "return os.remove('x')",
        "return dofile('/etc/passwd')",
        "return loadfile('/etc/passwd')",
        "return require('ffi')",
        "return require('io')",
        "return require('debug').getregistry()",
        "return require('string.buffer')",
        "return require('jit.util')",
        "return require('jit.profile')",
        "return require('table.new')",
        "return require('package')",
        "return package.loadlib('x', '*')",
        "return debug.getregistry()",
        "return debug.sethook()",
        "return string.dump(print)",
        "return ('').dump(function() end)",
        "return getmetatable('').__index.dump(function() end)",
        "return jit.off()",
        "return getfenv(0)",
        "return setfenv(1, {})",
        "return newproxy(true)",
        "return module('x')",
        "collectgarbage('stop')",
        "collectgarbage('collect')",
        "collectgarbage()",
        "return require('osthread').OSThread('return 1')",
        "return require('osthread').Channel(1)",
        "return require('osthread').SharedTable{}",
        "return require('osthread').SharedBuffer('float64', 1)",
        "return require('osthread').library()",
        "return require('osthread').self().kill()",
        "return getmetatable(require('osthread').self()).x.y",
        "return getmetatable(require('osthread').null).__index.x",
        "return select(2, ...)[1].__closure__",
        "return (...).__globals__",
    ],
)
def test_safe_has_no_way_to(code: str) -> None:
    with pytest.raises(LuaError):
        osthread.run(code, len, libraries="safe")


def test_safe_load_takes_text_only() -> None:
    dumped = osthread.run("return string.dump(function() return 5 end)", encoding=None)
    code = """
    return load('return 5')(), load(function() return nil end) ~= nil, (load((...))), (load((...), 'x', 'b'))
    """
    five, chunk, refused, refused_too = osthread.run(code, dumped, libraries="safe")[:4]
    assert (five, chunk, refused, refused_too) == (5, True, None, None)
    assert (
        osthread.run("local x = {5} return load('return x[1]', 'name', 't', {x = x})()", libraries="safe")
        == 5
    )
    pieces = "local b, i = ..., 0 return load(function() i = i + 1 return i <= #b and b:sub(i, i) or nil end)"
    assert osthread.run(pieces, dumped, libraries="safe")[0] is None
    assert osthread.run(pieces, b"return 1", libraries="safe")() == 1


def test_safe_has_what_it_promises() -> None:
    code = """
    return os.time() > 0, os.clock() >= 0, type(os.date()), debug.traceback('x'), collectgarbage('count') > 0
    """
    true, clock, date, trace, count = osthread.run(code, libraries="safe")
    assert (true, clock, date, count) == (True, True, "string", True)
    assert trace.startswith("x\nstack traceback:")
    assert osthread.run("os.exit(7)", libraries="safe") == 7


def test_safe_requires_its_modules_and_osthread() -> None:
    code = "return require('own').x, require('osthread').now() > 0, require('string') == string"
    assert osthread.run(code, libraries="safe", modules={"own": "return {x = 5}"}) == (5, True, True)


def test_safe_threads_can_be_stopped_and_limited() -> None:
    thread = OSThread(
        "while true do pcall(function() while true do end end) end", libraries="safe", time_limit=0.02
    )
    assert isinstance(thread.exception(30), osthread.LuaTimeout)


# --- jit ------------------------------------------------------------------------------------------------


def test_jit_compiles_in_each_subset() -> None:
    code = "local function f(a, b) return a + b end local s = 0 for i = 1, 1e7 do s = f(s, i) end return s"

    def seconds(**options: Any) -> float:
        thread = OSThread(code, **options)
        thread.result()
        return thread.statistics().cpu_seconds

    interpreted = min(seconds(jit=False) for _ in range(2))
    for libraries in ("all", "safe", (), {"string"}, {"base", "math"}):
        compiled = min(seconds(libraries=libraries) for _ in range(2))
        assert compiled < interpreted / 3, libraries  # some 15 times as fast


def test_jit_can_be_switched_off() -> None:
    assert osthread.run("return (jit.status())") is True
    assert osthread.run("return (jit.status())", jit=False) is False
    with LuaState(jit=False) as state:
        assert state.eval("(jit.status())") is False
    with LuaState() as state:
        assert state.eval("(jit.status())") is True


# --- Bytecode -------------------------------------------------------------------------------------------


def test_bytecode_is_refused_unless_asked_for() -> None:
    code = osthread.run("return string.dump(function(x) return 2 * x end)", encoding=None)
    with pytest.raises(ValueError, match="bytecode=True"):
        OSThread(code, 4)
    assert osthread.run(code, 4, bytecode=True) == 8
    with LuaState() as state, pytest.raises(ValueError, match="bytecode=True"):
        state.execute(code)
    with LuaState(bytecode=True) as state:
        assert state.execute(code, 5) == 10
        assert state.execute("return 1") == 1


def test_bytecode_file_is_refused_unless_asked_for(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "job.luac"
    path.write_bytes(osthread.run("return string.dump(function() return 5 end)", encoding=None))
    with pytest.raises(ValueError, match="bytecode"):
        OSThread(path)
    assert osthread.run(path, bytecode=True) == 5


def test_module_of_bytecode_is_refused_unless_asked_for() -> None:
    code = osthread.run("return string.dump(function() return 5 end)", encoding=None)
    with pytest.raises((ValueError, LuaSyntaxError), match="own"):
        OSThread("return 1", modules={"own": code})
    assert osthread.run("return require('own')", modules={"own": code}, bytecode=True) == 5


# --- Globals, modules, paths ------------------------------------------------------------------------------


def test_globals_are_set_before_the_chunk_and_its_modules_run() -> None:
    options: dict = {
        "globals": {"x": [1, {"y": 2}], "f": len, "": "empty"},
        "modules": {"own": "return x[1]"},
    }
    assert osthread.run("return x[2].y, f('abc'), _G[''], require('own')", **options) == (2, 3, "empty", 1)
    with LuaState(**options) as state:
        assert state["x"] == [1, {"y": 2}]


def test_globals_can_replace_what_is_there() -> None:
    assert osthread.run("return print('x'), io", globals={"print": lambda s: s * 2, "io": 5}) == ("xx", 5)


def test_module_is_run_once_and_gets_its_name() -> None:
    modules = {"a.b": "count = (count or 0) + 1 return {name = ..., count = count}", "none": "ran = true"}
    code = "local m = require 'a.b' return m == require('a.b'), m.name, m.count, require('none'), ran"
    for libraries in ("all", "safe"):
        assert osthread.run(code, modules=modules, libraries=libraries) == (True, "a.b", 1, True, True)


def test_modules_require_each_other() -> None:
    modules = {"a": "return require('b') + 1", "b": b"return 1"}
    for libraries in ("all", "safe", {"package"}, ()):
        assert osthread.run("return require('a')", modules=modules, libraries=libraries) == 2


def test_module_with_a_syntax_error_is_named() -> None:
    with pytest.raises(LuaSyntaxError) as caught:
        OSThread("return 1", modules={"fine": "return 1", "own": "local a\nx x"})
    assert (caught.value.chunk, caught.value.line) == ("own", 2)
    with pytest.raises(LuaSyntaxError):
        LuaState(modules={"own": "x x"})


def test_error_in_a_module_names_it_and_its_line() -> None:
    with pytest.raises(LuaError, match="own:2: broken"):
        osthread.run("require 'own'", modules={"own": "\nerror('broken')"})


def test_path_is_where_modules_are_looked_for(tmp_path: pathlib.Path) -> None:
    (tmp_path / "own.lua").write_text("return 'found'")
    path = str(tmp_path / "?.lua")
    assert osthread.run("return require('own'), package.path", path=path) == ("found", path)
    with pytest.raises(LuaError, match="not found"):
        osthread.run("return require('own')")
    assert osthread.run("return package.cpath", cpath="/nowhere/?.so") == "/nowhere/?.so"
    with pytest.raises(LuaError, match=r"/nowhere/own.so"):
        osthread.run("return require('own')", cpath="/nowhere/?.so")


@pytest.mark.parametrize("option", ["path", "cpath"])
def test_path_needs_the_package_library(option: str) -> None:
    with pytest.raises(ValueError, match=r"path.*package"):
        OSThread("return 1", libraries="safe", **{option: "./?.lua"})


def test_state_s_path_is_its_own() -> None:
    with LuaState() as one, LuaState() as other:
        before = other.eval("package.path")
        one.execute("package.path = 'changed'")
        assert other.eval("package.path") == before


def test_many_threads_require_at_once(tmp_path: pathlib.Path) -> None:
    for i in range(20):
        follow = f"require('m{i + 1}')" if i < 19 else "0"
        (tmp_path / f"m{i}.lua").write_text(f"local n = {follow} return n + 1")
    code = "local ffi, b = require 'ffi', require 'string.buffer' return require('m0') + ffi.sizeof('char')"
    threads = [OSThread(code, path=str(tmp_path / "?.lua"), suspended=True) for _ in range(16)]
    for thread in threads:
        thread.start()
    assert [thread.result() for thread in threads] == [21] * 16


# --- Each state is its own --------------------------------------------------------------------------------


def test_math_random_differs_between_states() -> None:
    code = "local t = {} for i = 1, 4 do t[i] = math.random() end return t"
    sequences = [tuple(osthread.run(code)) for _ in range(20)]
    with LuaState(libraries="safe") as state:
        sequences.append(tuple(state.execute(code)))
    assert len(set(sequences)) == 21
    assert len({x for sequence in sequences for x in sequence}) == 84
    assert osthread.run("math.randomseed(5) return math.random()") == osthread.run(
        "math.randomseed(5) return math.random()"
    )


def test_globals_of_a_thread_stay_in_it() -> None:
    assert osthread.run("x = 1 string.mine = 1 return x") == 1
    assert osthread.run("return x, string.mine") == (None, None)


# --- os.exit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("os.exit(3) return 4", 3),
        ("os.exit()", None),
        ("os.exit(true)", True),
        ("os.exit(1.5, true)", 1.5),
        ("os.exit({1, {2}})", [1, [2]]),
        ("pcall(os.exit, 3) return 4", 3),
        ("xpcall(os.exit, function() while true do end end, 3) return 4", 3),
        ("while true do pcall(os.exit, 3) end", 3),
        ("coroutine.wrap(function() os.exit(5) end)() return 4", 5),
        ("local co = coroutine.create(function() os.exit(5) end) while true do coroutine.resume(co) end", 5),
        ("setmetatable(_G, {__index = function() os.exit(6) end}) return absent", 6),
        ("table.sort({3, 2, 1}, function() os.exit(7) end)", 7),
    ],
)
def test_os_exit_ends_the_chunk_with_its_argument(code: str, result: Any) -> None:
    thread = OSThread(code)
    assert thread.result(30) == result
    assert thread.status == "finished"
    with LuaState() as state:
        assert state.execute(code) == result
        assert state.eval("1 + 1") == 2


def test_os_exit_has_finalizers_run(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "out.txt"
    osthread.run("local f = io.open(..., 'w') f:write('written') os.exit(1)", str(path))
    assert path.read_text() == "written"


def test_files_left_open_are_flushed_before_the_result_is_out(tmp_path: pathlib.Path) -> None:
    for i in range(50):
        path = tmp_path / f"{i}.txt"
        osthread.run("io.open(..., 'w'):write('written')", str(path))
        assert path.read_text() == "written"


def test_finalizers_run_before_the_result_is_out() -> None:
    seen: list = []
    code = "local see = ... u = newproxy(true) getmetatable(u).__gc = function() see('gone') end return 1"
    assert osthread.run(code, seen.append) == 1
    assert seen == ["gone"]


def test_features_name_the_luajit_inside() -> None:
    assert osthread.features().luajit in osthread.run("return jit.version, _VERSION")
    assert math.isclose(osthread.run("return math.pi"), math.pi)


# --- Code that replaces what our own Lua code is made of ------------------------------------------------

REPLACED = (
    "assert error getmetatable ipairs next pairs pcall rawequal rawget rawset select setmetatable tonumber "
    "tostring type"
)
METHODS = (
    "send try_send receive try_receive close statistics acquire release locked abandoned wait set clear is_set abort "
    "add compare_and_set update snapshot pairs notify join interrupt detach mailbox status"
)
# Each method of each object with each wrong self, first with those that a state has boxes of.
CALLS_WITH_WRONG_SELVES = """
local refused, objects = ..., { select_(2, ...) }
local _, error_object = pcall_(refused)
local selves = { 1, 'text', {}, print, error_object, coroutine.create(print), false }
for _, object in ipairs_(objects) do selves[#selves + 1] = object end
for _, object in ipairs_(objects) do
  for name in METHODS:gmatch('%S+') do
    local _, method = pcall_(function() return object[name] end)
    if type_(method) == 'function' then
      if name ~= 'wait' and name ~= 'join' and name ~= 'receive' and name ~= 'acquire' then
        for _, self in ipairs_(selves) do pcall_(method, self, 1, 1, 1) end
      else
        for i = 1, 7 do pcall_(method, selves[i], 1, 1, 0) end
      end
      pcall_(method)
      pcall_(method, nil, 1, 1, 1)
    end
  end
end
local garbage
for i = 1, 1e6 do garbage = { i } end
return 'alive'
"""


def test_code_that_replaces_builtins_gets_at_no_memory(run_script: Any) -> None:
    script = f"""
import numpy as np
from osthread import *

def refused():
    raise ValueError("no")

with LuaState(libraries="safe") as lua:
    lua["METHODS"] = {METHODS!r}
    lua.execute("pcall_, ipairs_, select_, type_ = pcall, ipairs, select, type")
    for name in {REPLACED!r}.split():
        lua.execute(f"{{name}} = function() end")
    structures = SharedBuffer(np.ones(3, [("x", "f8")]))
    objects = [Channel(8), Lock(), Semaphore(1), Barrier(1), Event(), SharedTable(), SharedBuffer("f8", 3), structures]
    print(lua.execute({CALLS_WITH_WRONG_SELVES!r}, refused, *objects))
"""
    assert run_script(script) == (0, "alive\n", "")
