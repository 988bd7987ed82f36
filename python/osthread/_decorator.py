"""``@osthread.lua``: a Lua function written where a Python function is."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from typing import Any

from ._function import LuaFunction, compile

__all__ = ["lua"]

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


def lua(function: Callable[..., Any]) -> LuaFunction:
    """A :class:`LuaFunction` of a Python function's parameters, and its docstring as the Lua body.

    ``*args`` become Lua's ``...``. Raises :class:`LuaSyntaxError` where the body is no Lua, with its line, and
    ``RuntimeError`` where Python has dropped the docstrings (``python -OO``).

    >>> @osthread.lua
    ... def add(a, b):
    ...     "return a + b"
    >>> add(20, 22)
    42
    """
    if not inspect.isfunction(function):
        raise TypeError(f"@osthread.lua takes a Python function, not {type(function).__name__}")
    body = function.__doc__
    if body is None:
        if sys.flags.optimize >= 2:
            raise RuntimeError(
                f"{function.__qualname__}: python -OO drops docstrings, and with them the Lua code of @osthread.lua; "
                "use osthread.compile()"
            )
        raise TypeError(f"{function.__qualname__}: the docstring is the Lua code, and there is none")
    parameters = [
        _lua_name(parameter, function) for parameter in inspect.signature(function).parameters.values()
    ]
    # On one line with what begins the body, so that line numbers are the docstring's.
    source = f"function({', '.join(parameters)}) {body}\nend"
    return compile(source, function.__qualname__)


def _lua_name(parameter: inspect.Parameter, function: Callable[..., Any]) -> str:
    where = f"{function.__qualname__}: the parameter {parameter.name}"
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return "..."
    if parameter.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
        raise TypeError(f"{where} is passed by keyword, which Lua does not know")
    if parameter.default is not inspect.Parameter.empty:
        raise TypeError(
            f"{where} has a default, which Lua does not know; write `if x == nil then x = ... end`"
        )
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", parameter.name) or parameter.name in _KEYWORDS:
        raise TypeError(f"{where} can't be a name in Lua; rename it")
    return parameter.name
