"""@osthread.lua: parameters and docstring of a Python function as a Lua function."""

import functools
import inspect
import os
import pickle
import pydoc
import runpy
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import osthread
import pytest
from osthread import ConversionError, LuaError, LuaFunction, LuaPool, LuaState, LuaSyntaxError, OSThread


@osthread.lua
def add(a, b):  # type: ignore[no-untyped-def]
    "return a + b"


def test_it_is_a_lua_function() -> None:
    assert isinstance(add, LuaFunction)
    assert add(20, 22) == 42
    with LuaState() as lua:
        assert lua.call(add, 1, 2) == 3
    assert {add: "hashable"}[add] == "hashable"
    assert osthread.run("local f = ... return f(3, 4)", add) == 7


def test_no_parameters_and_any_number() -> None:
    @osthread.lua
    def nothing() -> None:
        "return 'nothing'"

    @osthread.lua
    def count(first: Any, *rest: Any) -> None:
        "return first, select('#', ...)"

    assert nothing() == "nothing"
    assert count("a", "b", "c") == ("a", 2)


def test_helpers_are_arguments_or_upvalues() -> None:
    @osthread.lua
    def scaled(factor: float, f: LuaFunction) -> None:
        "return function(x) return factor * f(x, 1) end"

    assert scaled(10, add)(2) == 30


# --- Methods --------------------------------------------------------------------------------------------


class Number(int):
    @osthread.lua
    def plus(self, x):  # type: ignore[no-untyped-def]
        "return self + x"

    @staticmethod
    @osthread.lua
    def double(x):  # type: ignore[no-untyped-def]
        "return 2 * x"

    compiled = osthread.compile("return ...")


class Thing:
    plus = Number.plus

    def python(self) -> None: ...


def test_a_method_gets_its_self() -> None:
    assert Number(40).plus(2) == 42
    assert Number.plus(40, 2) == 42
    assert pickle.loads(pickle.dumps(Number(40).plus))(2) == 42
    with pytest.raises(ConversionError, match="this Thing can't cross to Lua"):
        Thing().plus(5)


def test_static_methods_and_compiled_functions_get_no_self() -> None:
    assert Number(40).double(2) == 4
    assert Number(40).compiled(2) == 2


def test_a_bound_method_is_a_callable_and_no_code() -> None:
    bound = Number(40).plus
    assert osthread.run("local f = ... return f(2)", bound) == 42
    with LuaState() as state, LuaPool(1) as pool:
        for take in (OSThread, state.execute, pool.submit, osthread.compile):
            with pytest.raises(TypeError, match="code can't be a bound method"):
                take(bound)
        with pytest.raises(TypeError, match="not method"):
            state.call(bound, 2)
        with pytest.raises(TypeError, match=r"code must be .* not method"):
            OSThread(Thing().python)


# --- What is refused ------------------------------------------------------------------------------------


def with_default(a: int = 1) -> None:
    "return a"


def with_keyword(*, a: int) -> None:
    "return a"


def with_keywords(**a: int) -> None:
    "return a"


def with_lua_keyword(end: int) -> None:
    "return 1"


def with_other_letters(größe: int) -> None:
    "return 1"


@pytest.mark.parametrize(
    "function",
    [with_default, with_keyword, with_keywords, with_lua_keyword, with_other_letters, lambda: 1, print, "x"],
)
def test_what_can_not_be_one_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"Lua|takes a Python function"):
        osthread.lua(function)


RENAMED = {
    "in a class": "class C:\n  @osthread.lua\n  def f(self, __x): 'return __x'",
    "in a private class": "class __C:\n  @osthread.lua\n  def f(self, __x): 'return __x'",
    "in a method": "class C:\n  def m():\n    @osthread.lua\n    def f(__x): 'return __x'\nC.m()",
}


@pytest.mark.parametrize("source", RENAMED.values(), ids=RENAMED)
def test_parameters_that_python_renames_in_a_class_are_refused(source: str) -> None:
    with pytest.raises(TypeError, match="the parameter _C__x is what Python makes of __x in a class"):
        exec(source, {"osthread": osthread})
    exec(source.replace("__x", "_C__x__"), {"osthread": osthread})
    exec(source.replace("__x", "_m__x").replace("_C__C", "_C"), {"osthread": osthread})


def defined(source: str) -> Callable[..., Any]:
    """The function `f` that the source defines; nobody can read that source any more."""
    space: dict[str, Any] = {}
    exec(compile(source, "<nowhere>", "exec"), space)
    return space["f"]


@pytest.mark.parametrize("rest", ["", "...", "pass", "pass\n ...", "return", "# comment"])
@pytest.mark.parametrize("head", ["x", "x: int", "x: 'Missing', /, *y: float"])
def test_the_body_may_be_empty(head: str, rest: str) -> None:
    assert osthread.lua(defined(f"def f({head}) -> None:\n 'return x'\n {rest}"))(5) == 5


@pytest.mark.parametrize(
    "rest",
    ["return x", "return 0", "x", "x = 1", "raise ValueError", "if x: pass", "def g(): pass", "import os"],
)
def test_python_code_after_the_docstring_is_refused(rest: str) -> None:
    function = defined(f"def f(x):\n 'return x'\n {rest}")
    with pytest.raises(TypeError, match=r"^f: the docstring is the Lua code.*would never run; leave it out"):
        osthread.lua(function)


@pytest.mark.parametrize(
    "source",
    [
        "async def f(x):\n 'return x'",
        "async def f(x):\n 'return x'\n yield",
        "def f(x):\n 'return x'\n yield",
        "import types\n@types.coroutine\ndef f(x):\n 'return x'\n yield",
    ],
)
def test_coroutines_and_generators_are_refused(source: str) -> None:
    with pytest.raises(TypeError, match=r"f: .* no Python coroutine or generator; write a plain `def`"):
        osthread.lua(defined(source))


@pytest.mark.parametrize("wrapper", [lambda *args: with_lua_keyword(*args), lambda *args: None])
def test_a_wrapper_of_another_decorator_is_refused(wrapper: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="Other decorators stand above"):
        osthread.lua(functools.wraps(local)(wrapper))


def test_without_docstrings_it_says_so() -> None:
    code = "import osthread\n@osthread.lua\ndef f():\n    'return 1'"
    run = subprocess.run(
        [sys.executable, "-OO", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 1
    assert "RuntimeError: f: python -OO drops docstrings" in run.stderr


# --- What it shows --------------------------------------------------------------------------------------


def local(x: "Callable[..., Any]", *rest: int) -> Any:
    "return x, ..."


def test_it_looks_like_its_python_function() -> None:
    function = osthread.lua(local)
    assert (function.__name__, function.__qualname__, function.__module__) == ("local", "local", __name__)
    assert function.__doc__ == "return x, ..."
    assert function.__wrapped__ is local
    assert inspect.signature(function) == inspect.signature(local)
    assert inspect.getsource(function).startswith("def local(x")
    assert "local(x: 'Callable[..., Any]', *rest: int)" in pydoc.plain(pydoc.render_doc(function))
    assert repr(Number.plus).startswith("<LuaFunction Number.plus (")
    assert functools.wraps(function)(lambda: None).__name__ == "local"


def pickled(function: LuaFunction) -> Any:
    return pickle.loads(pickle.dumps(function))


def cloudpickled(function: LuaFunction) -> Any:
    return pickle.loads(pytest.importorskip("cloudpickle").dumps(function))


@pytest.mark.parametrize("moved", [pickled, cloudpickled, lambda f: pickled(pickled(f))])
def test_what_it_shows_is_pickled_with_it(moved: Callable[[LuaFunction], Any]) -> None:
    class Unpicklable:
        @osthread.lua
        def method(self: "Unpicklable", other: lambda: 1, *rest: "Unpicklable") -> None:  # type: ignore[valid-type]
            "return self, other, ..."

    there = moved(Unpicklable.method)
    assert isinstance(there, LuaFunction)
    assert there(1, 2, 3) == (1, 2, 3)
    assert str(inspect.signature(there)) == "(self, other, *rest)"
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        assert getattr(there, name) == getattr(Unpicklable.method, name)
    assert repr(there) == repr(Unpicklable.method)
    assert type("Again", (int,), {"method": there})(7).method(8) == (7, 8)


# --- Where errors are -----------------------------------------------------------------------------------

IN_ONE_LINE = """
import osthread
@osthread.lua
def f(x): "error('here')"
"""

MULTI_LINE = '''
import osthread
def another(function):
    return function
@another
@osthread.lua
@another
def f(
    x: "a: string",
    *y: dict(a={}),
) -> (lambda: 3):
    # A comment.

    """local y = x
    -- Lua's comment
    error('here')
    """
'''

IN_A_CLASS = '''
import osthread
class C:
    if True:
        @osthread.lua
        def f(x):
            """
  local less, indented = x
            error('here')
            """
            pass
            ...
f = C.f
'''

JOINED_TO_THE_FIRST = """
import osthread
@osthread.lua
def f(x):
    \'\'\'\\
    local y = x
    error('here')\'\'\'
"""

RAW = '''
import osthread
@osthread.lua
def f(x):
    r"""
    local y = "\\n"
    error('here') -- \\
    """
'''

ESCAPED_BACKSLASHES = """
import osthread
@osthread.lua
def f(x):
    '''
    local y = "\\\\
"
    error('here')
    '''
"""

IN_PIECES = """
import osthread
@osthread.lua
def f(x):
    (
        "local y = x\\n"
        "error('here')"
    )
"""

CALLED = '''
import osthread
def factory():
    def f(x):
        """
        error('here')
        """
    return osthread.lua(f)
f = factory()
'''


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(IN_ONE_LINE, id="in one line"),
        pytest.param(MULTI_LINE, id="multi-line signature"),
        pytest.param(IN_A_CLASS, id="in a class"),
        pytest.param(JOINED_TO_THE_FIRST, id="joined to the first line"),
        pytest.param(RAW, id="raw"),
        pytest.param(ESCAPED_BACKSLASHES, id="escaped backslashes"),
        pytest.param(IN_PIECES, id="in pieces"),
        pytest.param(CALLED, id="called"),
    ],
)
def test_errors_name_the_python_file_and_line(tmp_path: Path, source: str) -> None:
    path = tmp_path / "kernels.py"
    path.write_text(source)
    function = runpy.run_path(str(path))["f"]
    path.unlink()
    lines = source.splitlines()
    line = 1 + next(at for at, text in enumerate(lines) if "here" in text)
    head = 1 + next(at for at, text in enumerate(lines) if text.lstrip().startswith("def f("))
    assert function.name.endswith(f"kernels.py:{head}")
    for known in (function, pickled(function)):
        with pytest.raises(LuaError) as caught:
            known(1)
        assert caught.value.message.endswith(f"kernels.py:{line}: here")
        assert caught.value.frames[1].line == line


ESCAPED = """
def f(x):
    "local y = x\\nerror('here')"
"""

JOINED_IN_THE_MIDDLE = '''
def f(x):
    """local \\
    y = x
    error('here')"""
'''

PIECES_OF_ONE_LINE = """
def f(x):
    (
        "local y "
        "= x\\nerror('here')"
    )
"""

RAW_PIECES = """
def f(x):
    (
        r"local y = '\\n"
        "'\\nerror('here')"
    )
"""

BALANCED = """
def f(x):
    '''local y = x\\nerror\\
('here')'''
"""

OTHER_LINE_ENDS = """
def f(x):
    '''local y = x\\rerror('here')'''
"""

GIVEN_LATER = """
def f(x):
    "return 1"
f.__doc__ = "local y\\nerror('here')"
"""


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(ESCAPED, id="escaped"),
        pytest.param(JOINED_IN_THE_MIDDLE, id="joined"),
        pytest.param(PIECES_OF_ONE_LINE, id="pieces of one line"),
        pytest.param(RAW_PIECES, id="raw pieces"),
        pytest.param(BALANCED, id="balanced"),
        pytest.param(OTHER_LINE_ENDS, id="other line ends"),
        pytest.param(GIVEN_LATER, id="given later"),
    ],
)
def test_where_lines_differ_errors_name_the_function_and_the_line_of_the_docstring(
    tmp_path: Path, source: str
) -> None:
    path = tmp_path / "kernels.py"
    path.write_text(source)
    with pytest.raises(LuaError, match=r"^f:2: here"):
        osthread.lua(runpy.run_path(str(path))["f"])(1)


def test_escapes_that_are_none_are_warned_of_by_python_alone(tmp_path: Path) -> None:
    path = tmp_path / "kernels.py"
    path.write_text('def f(x):\n    """\n    return 1 -- \\d\n    """')
    with pytest.warns() as told:
        function = runpy.run_path(str(path))["f"]
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*invalid escape")
        warnings.filterwarnings("error", ".*invalid escape", module="<unknown>")
        assert osthread.lua(function)(2) == 1


def test_without_the_source_errors_name_the_function_and_the_line_of_the_docstring(tmp_path: Path) -> None:
    source = 'def f(x):\n  """\n  error("here")\n  """'
    with pytest.raises(LuaError, match=r"^f:2: here"):
        osthread.lua(defined(source))(1)
    path = tmp_path / "kernels.py"
    path.write_text(source)
    function = runpy.run_path(str(path))["f"]
    for other in ("", "\n" + source, source.replace("here", "there"), source[:-3], "class C: pass\n" * 4):
        path.write_text(other)
        with pytest.raises(LuaError, match=r"^f:2: here"):
            osthread.lua(function)(1)


def test_syntax_errors_name_the_python_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "kernels.py"
    for body, line in [
        ("'return x +'", 5),
        ("'return x + -- y'", 6),
        ('"""\n  local y = = 1\n  """', 6),
        ('"""\n  return x +\n  """', 7),
    ]:
        path.write_text(f"import osthread\n\n@osthread.lua\ndef f(x):\n  {body}\n")
        with pytest.raises(LuaSyntaxError) as caught:
            runpy.run_path(str(path))
        assert (caught.value.chunk, caught.value.line) == (str(path), line)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.py")
    path.write_text(IN_ONE_LINE)
    with pytest.raises(LuaError, match=r"caf\\udce9\.py:4: here"):
        runpy.run_path(str(path))["f"](1)
