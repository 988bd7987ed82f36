"""Lua functions leave their state, cross into others, and are pickled."""

import copy
import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import osthread
import pytest
from osthread import ConversionError, LuaError, LuaFunction, LuaState, LuaSyntaxError, OSThread


def from_lua(source: str, *args: Any) -> LuaFunction:
    """The function that a chunk returns, in a thread that has ended since."""
    function = osthread.run(source, *args)
    assert isinstance(function, LuaFunction)
    return function


def pickled(function: LuaFunction) -> LuaFunction:
    return pickle.loads(pickle.dumps(function))


both = pytest.mark.parametrize("moved", [lambda f: f, pickled], ids=["as it is", "pickled"])


# --- compile --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "args", "expected"),
    [
        ("return ...", (1, 2), (1, 2)),
        ("function(a, b) return a + b end", (1, 2), 3),
        ("  -- a comment\n --[[ another ]] function (a) return a end", (5,), 5),
        ("local x = 1 return x + ...", (1,), 2),
        ("function f() end return f == nil", (), False),
        (b"return 7", (), 7),
        ("", (), None),
    ],
)
def test_compile_takes_a_chunk_or_a_function_expression(source: str, args: tuple, expected: Any) -> None:
    assert osthread.compile(source)(*args) == expected


def test_compile_error_has_chunk_and_line() -> None:
    with pytest.raises(LuaSyntaxError) as caught:
        osthread.compile("local a\nlocal = 1", name="config")
    assert (caught.value.chunk, caught.value.line) == ("config", 2)


def test_compile_name_is_what_tracebacks_say() -> None:
    with pytest.raises(LuaError) as caught:
        osthread.compile("\nerror('x')", name="config")()
    assert caught.value.message == "config:2: x"


@pytest.mark.parametrize("source", [5, None, ["return 1"], osthread.compile("return 1")])
def test_compile_refuses_what_is_no_source(source: Any) -> None:
    with pytest.raises(TypeError):
        osthread.compile(source)


def test_compile_refuses_bytecode() -> None:
    with pytest.raises(ValueError, match="bytecode"):
        osthread.compile(osthread.run("return string.dump(function() end)", encoding=None))


def test_lua_function_is_made_by_compile_only() -> None:
    with pytest.raises(TypeError, match="compile"):
        LuaFunction("return 1")  # type: ignore[arg-type]


# --- Ways to call ---------------------------------------------------------------------------------------


def test_calling_runs_it_in_a_thread_of_its_own() -> None:
    where = osthread.compile("return require('osthread').self()")
    first, second = where(), where()
    assert isinstance(first, OSThread)
    assert first is not second


def test_function_is_code_for_thread_and_state() -> None:
    add = osthread.compile("function(a, b) return a + b end")
    with OSThread(add, 1, 2) as thread:
        assert thread.result() == 3
    with LuaState() as state:
        assert state.call(add, 3, 4) == 7
        assert state.execute(add, 5, 6) == 11


def test_globals_are_the_new_states() -> None:
    function = from_lua("x = 'old' return function() return x end")
    assert function() is None
    with LuaState(globals={"x": "new"}) as state:
        assert state.call(function) == "new"


def test_error_in_a_function_names_its_chunk_and_line() -> None:
    function = osthread.compile("function(x)\n  return x.y.z\nend", name="job")
    with pytest.raises(LuaError, match="job:2") as caught:
        function({})
    assert caught.value.frames[0].source == "job"
    assert caught.value.frames[0].line == 2


# --- Upvalues -------------------------------------------------------------------------------------------


@both
def test_function_without_upvalues(moved: Any) -> None:
    assert moved(from_lua("return function(a) return a, math.floor(a) end"))(1.5) == (1.5, 1)


@both
@pytest.mark.parametrize(
    ("value", "test"),
    [
        ("nil", "u == nil and type(u) == 'nil'"),
        ("true", "u == true"),
        ("1.5", "u == 1.5"),
        ("-0.0", "1 / u == -1 / 0"),
        ("0/0", "u ~= u"),
        ("9007199254740993LL", "u == 9007199254740993LL"),
        ("18446744073709551615ULL", "u == 18446744073709551615ULL"),
        ("'a\\0\\255'", "u == 'a\\0\\255'"),
        ("{1, {x = 2}, [1.5] = true}", "u[1] == 1 and u[2].x == 2 and u[1.5]"),
        ("{nil, 2}", "u[1] == nil and u[2] == 2"),
        ("require('osthread').null", "u == nil"),
        ("{require('osthread').null}", "u[1] == nil and type(u[1]) == 'cdata'"),
        ("function(x) return x + 1 end", "u(1) == 2"),
        ("{f = function(x) return x + 1 end}", "u.f(1) == 2"),
        ("math.floor", "u == math.floor and u(1.5) == 1"),
        ("string", "u == string"),
        ("_G", "u == _G and u.math == math"),
        ("print", "u == print"),
        ("io.write", "u == io.write"),
        ("os.exit", "u == os.exit"),
        ("require", "u == require"),
        ("coroutine.wrap", "u == coroutine.wrap"),
        ("pairs", "u == pairs"),
        ("require('ffi')", "u == require('ffi')"),
        ("require('ffi').new", "u == require('ffi').new"),
        ("require('bit').band", "u == bit.band"),
        ("require('osthread')", "u == require('osthread')"),
        ("require('osthread').sleep", "u == require('osthread').sleep"),
        ("require('osthread').array", "u == require('osthread').array"),
        ("require('string.buffer')", "u == require('string.buffer')"),
        ("require('string.buffer').new", "u == require('string.buffer').new"),
        ("require('table.new')", "#u(4, 0) == 0"),
        ("{f = math.floor, s = {string.upper}}", "u.f == math.floor and u.s[1] == string.upper"),
    ],
)
def test_upvalue_of_each_kind_is_copied(moved: Any, value: str, test: str) -> None:
    function = moved(from_lua(f"local u = {value} return function() return {test} end"))
    assert function() is True


def test_upvalues_are_copies() -> None:
    code = "local n, t = 0, {0} return function() n = n + 1 t[1] = t[1] + 1 return n, t[1] end"
    function = from_lua(code)
    assert function() == (1, 1)
    assert function() == (1, 1)  # afresh for each state
    with LuaState() as state:
        state["f"] = function
        assert state.execute("return f()") == (1, 1)
        assert state.execute("return f()") == (2, 2)


@both
def test_recursive_closure(moved: Any) -> None:
    code = "local function f(n) return n < 2 and 1 or n * f(n - 1) end return f"
    assert moved(from_lua(code))(10) == 3628800


@both
def test_mutually_recursive_closures(moved: Any) -> None:
    code = """
    local even, odd
    function even(n) return n == 0 or odd(n - 1) end
    function odd(n) return n ~= 0 and even(n - 1) end
    return even
    """
    assert moved(from_lua(code))(10) is True


@both
def test_function_of_a_module_that_it_refers_to(moved: Any) -> None:
    code = """
    local M = {base = 10}
    function M.add(x) return M.base + x end
    function M.twice(x) return M.add(M.add(x)) end
    return M.twice
    """
    assert moved(from_lua(code))(1) == 21


@both
def test_table_shared_by_two_upvalues_stays_one(moved: Any) -> None:
    code = "local t = {} local u, v = {t}, {t} return function() return u[1] == v[1] end"
    assert moved(from_lua(code))() is True


@both
def test_python_callable_as_upvalue(moved: Any) -> None:
    function = from_lua("local upper = ... return function(s) return upper(s) end", str.upper)
    assert moved(function)("text") == "TEXT"


def test_osthread_as_upvalue() -> None:
    with OSThread("return 1", name="first") as thread:
        function = from_lua("local t = ... return function() return t.name, t end", thread)
        assert function() == ("first", thread)


def test_functions_in_tables_cross_both_ways() -> None:
    table = osthread.run(
        "return {f = function(x) return x + 1 end, {function() return 'inner' end}, math.abs}"
    )
    assert table["f"](1) == 2
    assert table[1][0]() == "inner"
    assert table[2](-5) == 5
    assert osthread.run("local t = ... return t.f(1), t[1][1](), t[2](-5)", table) == (2, "inner", 5)


def test_function_shared_in_a_table_stays_one() -> None:
    function = osthread.compile("function() end")
    table = osthread.run("local f = function() end return {f, f}")
    assert osthread.run(
        "local a, b = ... return a[1] == a[2], b[1] == b[2]", table, [function, function]
    ) == (
        True,
        True,
    )


def test_library_function_added_to_another_library_still_goes_by_its_own_name() -> None:
    code = "table.unpack = unpack math.mine = math.floor local u, f = unpack, math.floor "
    assert from_lua(code + "return function(t) return f(u(t)) end")([1.5]) == 1


def test_library_required_after_a_function_has_left_is_known() -> None:
    with LuaState() as state:
        state.execute("local f = math.floor return function() return f(1.5) end")
        function = state.execute("local ffi = require 'ffi' return function() return ffi.sizeof('int') end")
    assert function() == 4


def test_library_function_that_the_new_state_lacks_is_named() -> None:
    function = from_lua("local open = io.open return function() return open end")
    with LuaState(libraries={"string"}) as state, pytest.raises(LuaError, match=r"io\.open"):
        state.call(function)


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("local file = io.stdout return function() return file end", "file"),
        ("local co = coroutine.create(print) return {cb = function() return co end}", "cb"),
        ("return string.gmatch('a', 'a')", "results[1]"),
        ("local t = {y = {io.stdout}} return function() return t end", ".y[1]"),
    ],
)
def test_what_can_not_cross_in_a_function_is_named(code: str, path: str) -> None:
    with pytest.raises(ConversionError) as caught:
        osthread.run(code)
    assert path in caught.value.path


def test_function_of_a_big_closure_tree_crosses_without_recursion() -> None:
    code = """
    local f = function() return 0 end
    for i = 1, 20000 do local g = f f = function() return g end end
    return f
    """
    assert (
        osthread.run("local f, n = ..., 0 while f() ~= 0 do f, n = f(), n + 1 end return n", from_lua(code))
        == 20000
    )


# --- As Python objects ----------------------------------------------------------------------------------


def test_name_and_repr_say_where_it_is_from() -> None:
    function = osthread.compile("\nreturn function() end", name="job")
    assert "job" in function.name
    assert "job" in repr(function)
    assert osthread.run("return math.floor").name == "math.floor"


def test_name_that_is_not_utf_8_is_text_all_the_same() -> None:
    function = osthread.compile(b"return 5 --\xff")
    assert "\\xff" in repr(function)
    assert pickled(function)() == 5


def test_copies_work() -> None:
    function = from_lua("local t = {1} return function() return t[1] end")
    assert copy.copy(function)() == 1
    assert copy.deepcopy([function])[0]() == 1


def test_library_function_is_pickled_by_name() -> None:
    assert pickled(osthread.run("return string.upper"))("a") == "A"


def test_pickled_function_runs_in_another_process() -> None:
    function = from_lua("local base = {10} return function(x) return base[1] + x end")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(function, (5,)) == 15


def test_pickle_of_another_luajit_is_refused_by_name() -> None:
    data = pickle.dumps(osthread.compile("return 1"), protocol=2)
    version = osthread.features().luajit.encode()
    assert version in data
    with pytest.raises(ValueError, match="compile it again"):
        pickle.loads(data.replace(version, b"x" * len(version)))


def test_function_with_an_upvalue_that_can_not_be_pickled_says_so() -> None:
    with OSThread("return 1") as thread:
        function = from_lua("local t = ... return function() return t end", thread)
        with pytest.raises(TypeError, match="OSThread"):
            pickle.dumps(function)


def test_function_outlives_everything_it_came_from() -> None:
    code = (
        "import gc, osthread\n"
        "code = 'local t = {...} return function() return t[1] end'\n"
        "functions = [osthread.run(code, [i]) for i in range(200)]\n"
        "gc.collect()\n"
        "assert [f()[0] for f in functions] == list(range(200))\n"
        "print('fine')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")


# --- Called by a Python callable of Lua code's ------------------------------------------------------------


def call_within_a_thread(function: Callable[[], Any], **limits: Any) -> None:
    osthread.run("(...)()", function, **limits)


def call_within_a_state(function: Callable[[], Any], **limits: Any) -> None:
    LuaState(**limits).execute("(...)()", function)


@pytest.mark.parametrize("call_within", [call_within_a_thread, call_within_a_state])
def test_a_call_within_lua_code_has_its_limits(call_within: Callable[..., None]) -> None:
    large = osthread.compile("return #('x'):rep(2^22)")
    with pytest.raises(osthread.LuaMemoryError):
        call_within(lambda: large(), memory_limit=1 << 20)
    endless = osthread.compile("while true do end")
    with pytest.raises(osthread.LuaTimeout):
        call_within(lambda: endless(), time_limit=0.05)
    assert osthread.enumerate() == []


def test_a_call_outside_of_lua_code_has_no_limit() -> None:
    with LuaState(memory_limit=1 << 20) as state:
        double = state.execute("return function(s) return #(s .. s) end")
    assert double("x" * (1 << 20)) == 1 << 21


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("function(x)\n local y = = 1\nend", r":2: unexpected symbol near '='"),
        ("function(x) return x", r":1: 'end' expected near '<eof>'"),
        ("function(x) return x end, 5", r":1: '<name>' expected"),
    ],
)
def test_a_syntax_error_inside_a_function_expression_is_the_one_told(source: str, error: str) -> None:
    with pytest.raises(LuaSyntaxError, match=error):
        osthread.compile(source, "code")
