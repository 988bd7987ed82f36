"""``@osthread.lua``: a Lua function written where a Python function is."""

from __future__ import annotations

import ast
import dis
import functools
import inspect
import io
import itertools
import linecache
import re
import sys
import tokenize
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, overload

from . import _core
from ._function import LuaFunction
from ._options import code_parts

__all__ = ["DecoratedFunction", "lua"]

_KEYWORDS = frozenset(
    [
        "and",
        "break",
        "do",
        "else",
        "elseif",
        "end",
        "false",
        "for",
        "function",
        "goto",
        "if",
        "in",
        "local",
        "nil",
        "not",
        "or",
        "repeat",
        "return",
        "then",
        "true",
        "until",
        "while",
    ]
)
# In a literal: a line that is joined with the next one; a last escape that ends a line.
_JOIN = re.compile(r"(?<!\\)(?:\\\\)*\\\n")
_ENDED = re.compile(r"""(?<!\\)(?:\\\\)*\\n("{3}|'{3}|"|')$""")
# A first line that the docstring begins with a backslash is joined with the next one.
_JOINED = re.compile(r"""[uU]?("{3}|'{3}|"|')\\\n""")


class DecoratedFunction(LuaFunction):
    """What ``@osthread.lua`` makes: it has the name, signature and documentation of its Python function.

    As a class attribute it binds ``self``, because it was written with ``def``. One of :func:`osthread.compile`
    does not: it is a value, as a builtin function is.
    """

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]

    def __init__(self, value: _core.FunctionValue, parameters: inspect.Signature) -> None:
        super().__init__(value)
        self._parameters = parameters

    @overload
    def __get__(self, instance: None, owner: type) -> DecoratedFunction: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> MethodType: ...
    def __get__(self, instance: object, owner: type | None = None) -> DecoratedFunction | MethodType:
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<LuaFunction {self.__qualname__} ({self.name})>"

    def __reduce__(self) -> tuple[Any, ...]:
        # The Python function stays behind: pickle would look for it under its name, which is ours now.
        names = ("__module__", "__name__", "__qualname__", "__doc__")
        attributes = {name: getattr(self, name) for name in names}
        attributes["__signature__"] = self._parameters
        return DecoratedFunction, (self._value, self._parameters), attributes


def lua(function: Callable[..., Any]) -> DecoratedFunction:
    """A :class:`LuaFunction` of a Python function's parameters, and its docstring as the Lua body.

    ``*args`` become Lua's ``...``. After the docstring there may be ``...`` or ``pass``. Errors name the Python file
    and its line; where the source is not at hand, or a docstring has escapes for line ends, the function and the
    docstring's line. Raises :class:`LuaSyntaxError` where the body is no Lua, ``TypeError`` where Python code would
    be lost, and ``RuntimeError`` where Python has dropped the docstrings (``python -OO``).

    >>> @osthread.lua
    ... def add(a, b):
    ...     "return a + b"
    >>> add(20, 22)
    42

    Lua code sees no variables of Python, a closure's neither. Helpers and constants are arguments, or come with the
    options ``globals`` and ``modules`` of a thread, state or pool, or are the upvalues of a function that Lua code
    makes:

    >>> @osthread.lua
    ... def scaled(factor, f):
    ...     "return function(x) return factor * f(x) end"
    >>> scaled(10, add)  # a LuaFunction with both of them
    <LuaFunction ...>

    In a class it is a method: ``self`` is passed first, and crosses to Lua as any argument does, or is a
    :class:`ConversionError`. With ``@staticmethod`` above it there is none.
    """
    if not inspect.isfunction(function):
        raise TypeError(f"@osthread.lua takes a Python function, not {type(function).__name__}")
    body = _body(function)
    # Without its annotations, which may name what is not there yet.
    parameters = inspect.signature(
        FunctionType(function.__code__, {}, function.__name__, function.__defaults__)
    )
    names = ", ".join(_lua_name(parameter, function) for parameter in parameters.parameters.values())
    # A comment at the end must not hide ours; else it stands on the last line, which errors name.
    end = "\nend" if "--" in body.rpartition("\n")[2] else " end"
    place = _place(function, body)
    if place is None:
        # On one line with what begins the body, so that line numbers are the docstring's.
        code, chunk_name = code_parts(f"function({names}) {body}{end}", function.__qualname__)
    else:
        head, first = place
        # So many empty lines that Lua's line numbers are the file's.
        gap = "\n" * (first - head) or " "
        code, _ = code_parts("\n" * (head - 1) + f"function({names}){gap}{body}{end}", None)
        # A path that is no text is told as Python tells it.
        chunk_name = "@" + function.__code__.co_filename.encode("utf-8", "backslashreplace").decode()
    made = DecoratedFunction(_core.compile(code, chunk_name), parameters)
    functools.update_wrapper(made, function)
    return made


def _body(function: FunctionType) -> str:
    """The Lua code; TypeError where Python would run anything else."""
    if function.__code__.co_flags & (
        inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
    ):
        raise TypeError(
            f"{function.__qualname__}: Lua code makes no Python coroutine or generator; "
            "write a plain `def` without `yield`"
        )
    body = function.__doc__
    if body is None:
        if sys.flags.optimize >= 2:
            raise RuntimeError(
                f"{function.__qualname__}: python -OO drops docstrings, and with them the Lua code of @osthread.lua; "
                "use osthread.compile()"
            )
        raise TypeError(
            f"{function.__qualname__}: the docstring is the Lua code, and there is none (an f-string is none)"
        )
    if hasattr(function, "__wrapped__") or _instructions(function) != _instructions(_does_nothing):
        raise TypeError(
            f"{function.__qualname__}: the docstring is the Lua code, and Python code after it would never run; "
            "leave it out, or write `...` or `pass`. Other decorators stand above @osthread.lua"
        )
    return body


def _does_nothing() -> None:
    pass


def _instructions(function: FunctionType | Callable[..., Any]) -> list[tuple[str, Any]]:
    """What Python runs. `...` and `pass` leave nothing but NOPs, for debuggers."""
    return [(each.opname, each.argval) for each in dis.get_instructions(function) if each.opname != "NOP"]


def _place(function: FunctionType, body: str) -> tuple[int, int] | None:
    """The lines of the file with ``def`` and the body's beginning; None if the body's others are not the next ones."""
    code = function.__code__
    first = code.co_firstlineno
    try:  # inspect.getsource() would look through all modules first
        linecache.checkcache(code.co_filename)
        file = linecache.getlines(code.co_filename, function.__globals__)
        block = inspect.getblock(file[first - 1 :])
        # What is indented needs a block around it: to dedent it would change what strings hold.
        lead = "\n" * (first - 2) + "if True:\n" if block[0][0].isspace() else "\n" * (first - 1)
        source = lead + "".join(block)
        tree = ast.parse(source, code.co_filename)
    except Exception:  # whatever it is: without the source there are the docstring's lines
        return None
    for definition in ast.walk(tree):
        if isinstance(definition, ast.FunctionDef):
            break
    else:
        return None
    statement = definition.body[0]
    if not isinstance(statement, ast.Expr) or ast.get_docstring(definition) != inspect.cleandoc(body):
        return None  # another docstring, or the file has changed
    literal = ast.get_source_segment(source, statement.value)
    if literal is None or "\r" in body:  # which Lua counts as a line, too
        return None
    joined = _JOINED.match(literal)
    if joined:
        literal = literal.replace("\\\n", "", 1)
    if not _has_lines(literal, body.count("\n")):
        return None
    return definition.lineno, statement.value.lineno + bool(joined)


def _has_lines(literal: str, ends: int) -> bool:
    """Whether the lines of what a literal says, with so many ends, are those of the file."""
    # In parentheses, as all that may be is in lines between them.
    tokens = tokenize.generate_tokens(io.StringIO(f"({literal})").readline)
    pieces = [token for token in tokens if token.type == tokenize.STRING]
    if len(pieces) == 1:  # else it has escapes for line ends, or lines joined in the middle
        return ends == literal.count("\n") and (literal[0] in "rR" or not _JOIN.search(literal))
    # Each a line, which all but the last end, and that may.
    ended = [piece.string[0] not in "rR" and bool(_ENDED.search(piece.string)) for piece in pieces]
    in_line = all(piece.start[0] == piece.end[0] == row for row, piece in enumerate(pieces, 1))
    return in_line and all(ended[:-1]) and ends == sum(ended)


def _lua_name(parameter: inspect.Parameter, function: FunctionType) -> str:
    where = f"{function.__qualname__}: the parameter {parameter.name}"
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return "..."
    if parameter.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
        raise TypeError(f"{where} is passed by keyword, which Lua does not know")
    if parameter.default is not inspect.Parameter.empty:
        raise TypeError(
            f"{where} has a default, which Lua does not know; write `if x == nil then x = ... end`"
        )
    if original := _renamed(parameter.name, function.__qualname__):
        raise TypeError(f"{where} is what Python makes of {original} in a class; give it another name")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", parameter.name) or parameter.name in _KEYWORDS:
        raise TypeError(f"{where} can't be a name in Lua; rename it")
    return parameter.name


def _renamed(name: str, qualname: str) -> str | None:
    """What a name was that Python has renamed as private to a class, one of those that a function stands in."""
    parts = qualname.split(".")
    for part, following in itertools.pairwise(parts):
        owner = "_" + part.lstrip("_")
        if (
            following != "<locals>"
            and owner != "_"
            and name.startswith(owner + "__")
            and not name.endswith("__")
        ):
            return name[len(owner) :]
    return None
