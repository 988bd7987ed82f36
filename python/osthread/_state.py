"""A Lua state without a thread."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _core
from ._function import LuaFunction
from ._options import StateOptions, check_state, code_parts, prepare

try:
    from typing import Unpack
except ImportError:  # Python 3.10: only type checkers ask
    Unpack = tuple  # type: ignore[assignment]

__all__ = ["LuaState", "StateStatistics"]


@dataclass(frozen=True)
class StateStatistics:
    """How a state is doing, at one moment."""

    memory: int
    """Bytes it holds beyond its libraries."""
    peak_memory: int
    """The most it has held."""
    memory_limit: int | None
    """What it may hold."""
    time_limit: float | None
    """Seconds each call may take."""


def _global_name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the name of a global must be a str, not {type(name).__name__}")
    return name


class LuaState(_core.State):
    """A Lua state whose code runs in the thread that calls it, without the GIL.

    Takes one call at a time; a second thread's call waits its turn. Options as :class:`OSThread` has them,
    but for those of the thread. ``time_limit`` is for each call. After :class:`LuaTimeout`,
    :class:`LuaMemoryError` or :class:`Stopped` the state goes on working; after ``kill()``, or a ``time_limit``
    that only a kill could enforce, it is closed. Ctrl-C ends the code that runs.

    >>> with osthread.LuaState() as lua:
    ...     lua.execute("function double(x) return 2 * x end")
    ...     lua.call("double", 21)
    42
    """

    _made = False

    def __init__(self, **options: Unpack[StateOptions]) -> None:
        if self._made:
            raise RuntimeError("a LuaState is made once: LuaState.__init__() has been called before")
        checked = check_state(options)
        super().__init__(prepare(checked))
        self._made = True
        self._memory_limit: int | None = checked.get("memory_limit") or None

    def execute(self, code: Any, *args: Any) -> Any:
        """Runs code (as :class:`OSThread` takes it): ``None``, its result, or a tuple of several."""
        source, name = code_parts(code, None)
        return self._execute(source, name, args)

    def eval(self, expression: str) -> Any:
        """The value of a Lua expression.

        >>> lua.eval("1 + 1")
        2
        """
        if not isinstance(expression, str):
            raise TypeError(f"eval() takes a Lua expression as a str, not {type(expression).__name__}")
        return self._eval(expression)

    if TYPE_CHECKING:  # it is the core's own method, as a call of this one would take longer than Lua's

        def call(self, function: LuaFunction | str, /, *args: Any) -> Any:
            """Calls a :class:`LuaFunction`, or the global function of a dotted name."""

    def __getitem__(self, name: str) -> Any:
        """A global, copied; ``None`` if absent."""
        return self._get(_global_name(name))

    def __setitem__(self, name: str, value: Any) -> None:
        self._set(_global_name(name), value)

    __iter__: None = None  # it is no sequence, though it has __getitem__

    @property
    def time_limit(self) -> float | None:
        """Seconds each call may take."""
        return self._time_limit

    @time_limit.setter
    def time_limit(self, seconds: float | None) -> None:
        checked = check_state({"time_limit": seconds})
        self._time_limit = checked["time_limit"]

    def interrupt(self) -> bool:
        """Raises :class:`Stopped` in the call that runs now, from any thread; whether there was one."""
        return self._interrupt()

    def kill(self) -> bool:
        """Ends the call that runs now for good, from any thread: it raises :class:`Killed`, and the state is closed.

        Whether there was one. ``NotImplementedError`` where it can't be had (``features().kill``).
        """
        _core.require_kill()
        return self._kill()

    def statistics(self) -> StateStatistics:
        """Memory, now and at most."""
        return StateStatistics(
            memory_limit=self._memory_limit, time_limit=self._time_limit, **self._statistics()
        )

    def close(self) -> None:
        """Runs the finalizers and gives the memory back. Using it afterwards is a ``RuntimeError``."""
        self._close()

    def __enter__(self) -> LuaState:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # The callables in it may refer to it: this ends such a cycle while everything in it is whole.
        if self._made:
            self._close()

    def __repr__(self) -> str:
        if not self._made:
            return "<LuaState, not made>"
        return f"<LuaState {'closed' if self._closed() else 'open'} at {id(self):#x}>"

    def __reduce__(self) -> Any:
        raise TypeError("a LuaState can't be pickled or copied: it is alive")
