"""Lua functions outside of any state."""

from __future__ import annotations

from typing import Any

from . import _core
from ._checks import check_text
from ._options import code_parts
from ._thread import run

__all__ = ["LuaFunction", "compile"]


class LuaFunction:
    """A Lua function: bytecode and a copy of its upvalues, made afresh in each state that gets it.

    Library functions and tables it uses go by name, globals are the new state's. Calling it runs it in a new
    thread, as :func:`osthread.run` does; ``state.call(f, ...)`` is the fast way. It can be pickled (unpickle
    only what you trust: wrong bytecode is as powerful as C) and handed to any thread.

    >>> double = osthread.compile("function(x) return 2 * x end")
    >>> double(21)
    42
    """

    __slots__ = ("__weakref__", "_value")

    _value: _core.FunctionValue

    def __init__(self, value: _core.FunctionValue) -> None:
        if not isinstance(value, _core.FunctionValue):
            raise TypeError("a LuaFunction comes from osthread.compile() or out of a state")
        self._value = value

    @property
    def name(self) -> str:
        """Its chunk and line, or its name in the standard libraries."""
        return self._value.name

    def __call__(self, *args: Any) -> Any:
        """Runs it in a thread of its own and waits: its result, or its error.

        One that came out of a state with ``libraries="safe"`` gets no more than that, there and in any
        :class:`OSThread` whose ``libraries`` are not given. In a Python callable that Lua code calls, it has the
        ``memory_limit`` of that code, in a state of its own, and is ended with it.
        """
        limit = _core.memory_limit_here()
        return run(self, *args, memory_limit=limit) if limit else run(self, *args)

    def __repr__(self) -> str:
        return f"<LuaFunction {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return LuaFunction, (self._value,)


def compile(source: str | bytes, name: str | None = None) -> LuaFunction:
    """A :class:`LuaFunction` from a chunk or one function expression.

    ``name`` is what tracebacks call it. Raises :class:`LuaSyntaxError`.

    >>> osthread.compile("return ...")(1, 2)
    (1, 2)
    """
    check_text(name, "name")
    code, chunk_name = code_parts(source, name)
    if not isinstance(code, bytes):
        raise TypeError("source must be str or bytes, not a LuaFunction")
    return LuaFunction(_core.compile(code, chunk_name))
