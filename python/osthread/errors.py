"""The errors of osthread, as one tree.

::

    LuaError(RuntimeError)           .message .traceback .frames .value .thread
     +- LuaSyntaxError               .chunk .line
     +- LuaMemoryError(MemoryError)
     +- LuaTimeout                   .stage: its time_limit passed
     +- Stopped                      .stage: request_stop() or interrupt() ended it
         +- Killed                   kill() ended it
         +- Abandoned                it sits in foreign code that does not return
    BrokenLuaPool(BrokenExecutor)    a pool whose setup has failed
    ConversionError(TypeError)       .path
     +- ConversionOverflowError(OverflowError)
    ThreadAbandonedWarning(RuntimeWarning)

A wait in vain is Python's own :class:`TimeoutError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from concurrent.futures import CancelledError as CancelledError  # the core raises it
from threading import BrokenBarrierError as BrokenBarrierError  # the core raises it
from typing import Any, Literal, NamedTuple

__all__ = [
    "Abandoned",
    "BrokenLuaPool",
    "ConversionError",
    "ConversionOverflowError",
    "Frame",
    "Killed",
    "LuaError",
    "LuaMemoryError",
    "LuaSyntaxError",
    "LuaTimeout",
    "Stopped",
    "ThreadAbandonedWarning",
]


class Frame(NamedTuple):
    """One level of a Lua stack; in a list of them the innermost is first."""

    source: str
    """The chunk's name, shortened as Lua does it."""
    line: int
    """The current line; 0 where Lua knows none (C functions)."""
    name: str
    """What the function is called, ``""`` where Lua knows no name."""


class LuaError(RuntimeError):
    """What Lua code raised and nobody in it caught."""

    message: str
    """The error's text: the value itself if it was a string, what its ``__tostring`` made of it, or its type."""
    traceback: str
    """``"stack traceback:"`` and a line for each frame; ``""`` if there is none."""
    frames: tuple[Frame, ...]
    """Where it was raised, innermost first."""
    value: Any
    """The Lua error value, converted; ``None`` if it can't cross."""
    thread: str
    """The name of the OSThread; ``""`` in a LuaState."""

    def __init__(
        self,
        message: str,
        *,
        traceback: str = "",
        frames: Sequence[Frame] = (),
        value: Any = None,
        thread: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.traceback = traceback
        self.frames = tuple(frames)
        self.value = value
        self.thread = thread

    def __str__(self) -> str:
        return f"{self.message}\n{self.traceback}" if self.traceback else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.__dict__)


def _rebuild(kind: type[LuaError], message: str, state: dict[str, Any]) -> LuaError:
    error = kind.__new__(kind, message)
    error.__dict__.update(state)
    return error


class LuaSyntaxError(LuaError):
    """The code does not compile; no thread was started."""

    chunk: str
    """What the chunk is called."""
    line: int
    """The line of the error, from 1; 0 if unknown."""

    def __init__(self, message: str, *, chunk: str = "", line: int = 0, **details: Any) -> None:
        super().__init__(message, **details)
        self.chunk = chunk
        self.line = line


class LuaMemoryError(LuaError, MemoryError):
    """The code needed more than its ``memory_limit`` (or than the machine has)."""


class LuaTimeout(LuaError):
    """The code ran longer than its ``time_limit``. Not a :class:`TimeoutError`: that is a wait in vain."""

    stage: Literal["interrupt", "kill"]
    """``"kill"`` if nothing less could enforce it: a LuaState is closed then."""

    def __init__(
        self, message: str, *, stage: Literal["interrupt", "kill"] = "interrupt", **details: Any
    ) -> None:
        super().__init__(message, **details)
        self.stage = stage


class Stopped(LuaError):
    """``request_stop()`` or ``interrupt()`` ended the code."""

    stage: Literal["request", "interrupt", "kill"]
    """Which of the ways to stop ended it."""

    def __init__(
        self, message: str, *, stage: Literal["request", "interrupt", "kill"] = "interrupt", **details: Any
    ) -> None:
        super().__init__(message, **details)
        self.stage = stage


class Killed(Stopped):
    """``kill()`` ended the code."""


class Abandoned(Stopped):
    """The thread sits in foreign code that does not return, or in a finalizer that does not; it was given up."""


class ConversionError(TypeError):
    """A value that can't cross between Python and Lua."""

    path: str
    """Its place, as Lua would write it: ``"args[2].callback"``. Indices begin with 1."""

    received: tuple[Any, ...] = ()
    """Of ``receive_many``: the values that had been received before it."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class ConversionOverflowError(ConversionError, OverflowError):
    """An int that no Lua number holds."""


class ChannelClosed(Exception):
    """Nothing can be sent through the channel any more, or it is closed and empty."""

    sent: int = 0
    """Of ``send_many``: how many values had been sent."""


class BrokenLuaPool(BrokenExecutor):
    """The ``setup`` of a LuaPool has failed (its ``__cause__``), so nothing can run in it."""


class WouldBlock(Exception):
    """What was not to wait would have to: the channel is full, or empty."""


class ThreadAbandonedWarning(RuntimeWarning):
    """A thread did not end when it was terminated; it was left behind."""
