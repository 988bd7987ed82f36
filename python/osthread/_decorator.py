"""``@osthread.lua``: a Lua function written where a Python function is."""

from __future__ import annotations

import dis
import functools
import inspect
import re
import sys
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

    ``*args`` become Lua's ``...``. After the docstring there may be ``...`` or ``pass``. Raises
    :class:`LuaSyntaxError` where the body is no Lua, with its line, ``TypeError`` where Python code would be lost,
    and ``RuntimeError`` where Python has dropped the docstrings (``python -OO``).

    >>> @osthread.lua
    ... def add(a, b):
    ...     "return a + b"
    >>> add(20, 22)
    42

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
    # On one line with what begins the body, so that line numbers are the docstring's.
    code, chunk_name = code_parts(f"function({names}) {body}\nend", function.__qualname__)
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
        raise TypeError(f"{function.__qualname__}: the docstring is the Lua code, and there is none")
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
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", parameter.name) or parameter.name in _KEYWORDS:
        raise TypeError(f"{where} can't be a name in Lua; rename it")
    return parameter.name
