"""Waits of tasks at channels: in line with the threads that wait there, at the cost of neither a thread nor a look.

Who makes a wait's condition true only puts it into a queue, out of which one thread of the library tells
:func:`told`; that wakes the loop, and the task looks for itself. So a wake is a hint, never the value: nothing
is taken for a task that does not run any more.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import weakref
from collections.abc import Callable
from typing import TypeVar

from . import _core

__all__ = ["told", "until"]

_T = TypeVar("_T")

# Those in line, by their keys: they keep their tasks, as a loop keeps those that sleep.
_waits: dict[int, _Wait] = {}
_keys = itertools.count()
# Those that have had waits. A loop that was closed with some is not told of them, nor are they.
_loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()

# How many calls in a row may find at once what they want until the loop gets a turn: the other end may be a
# thread as quick as this one.
_MOST_AT_ONCE = 64
# Longer than this is for ever; not every loop's clock goes further.
_LONGEST = 1e9


class _Calls(threading.local):
    """Of the loop of this thread: how many calls in a row the task that runs now has made."""

    task = 0
    at_once = 0


_calls = _Calls()


class _Wait:
    """One task in line at channels, from its making until it leaves.

    Invariant: whatever may have ended the wait, a telling or the time, has done the future or will. It belongs
    to its loop's thread, but for :meth:`leave`.
    """

    __slots__ = ("_future", "_key", "_line", "_timer", "expired", "loop")

    def __init__(self, channels: tuple[_core.Channel, ...], for_room: bool, seconds: float | None) -> None:
        self.loop = asyncio.get_running_loop()
        self.expired = False
        self._future: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        if self.loop not in _loops:
            _loops.add(self.loop)
            _leave_closed_loops()
        self._key = next(_keys)
        _waits[self._key] = self  # first: it may be told as soon as it is in line
        try:
            self._line = _core.AsyncWait(self._key, channels, for_room)
        except BaseException:
            del _waits[self._key]
            raise
        if seconds is not None and seconds < _LONGEST:
            self._timer = self.loop.call_later(seconds, self._expire)

    def again(self) -> bool:
        return self._line.again()

    def woken(self) -> asyncio.Future[None]:
        self._future = self.loop.create_future()
        return self._future

    def wake(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def _expire(self) -> None:
        self.expired = True
        self.wake()

    def leave(self, used: int | None = None) -> None:
        """``used``: which of the channels it has taken its turn at; what else it was told others are told."""
        _waits.pop(self._key, None)
        self._line.leave(used)
        if self._timer is not None:
            self._timer.cancel()


async def until(
    attempt: Callable[[bool], _T | None],
    channels: tuple[_core.Channel, ...],
    timeout: float | None,
    *,
    for_room: bool = False,
    at: Callable[[_T], int] = lambda _: 0,
) -> _T:
    """What ``attempt(last)`` returns at the first time it is not None, tried when one of the channels may be ready.

    It is asked for the last time once the time has passed, and then raises. ``at`` says which of the channels it
    came from.
    """
    seconds = _core.seconds_of(timeout)
    # Another task than the last means that the loop had its turn; and this one shall get in line where it comes.
    task = id(asyncio.current_task())
    _calls.at_once = _calls.at_once + 1 if task == _calls.task else 1
    _calls.task = task
    if _calls.at_once > _MOST_AT_ONCE:
        _calls.at_once = 0
        await asyncio.sleep(0)  # before anything is taken, as the task may be cancelled here
    result = attempt(seconds == 0)
    if result is not None:
        return result
    _calls.at_once = 0
    used = None
    wait = _Wait(channels, for_room, seconds)
    try:
        while (result := attempt(wait.expired)) is None:
            if not wait.again():
                await wait.woken()
        used = at(result)
        return result
    finally:
        wait.leave(used)


class _Wake:
    """Wakes waits in their loop. A loop that is closed first drops it: then others are told instead.

    It stays in the loop until their tasks have had their turn, as those may be dropped as well.
    """

    __slots__ = ("_loop", "_waits", "_woken")

    def __init__(self, loop: asyncio.AbstractEventLoop, waits: list[_Wait]) -> None:
        self._loop = loop
        self._waits = waits
        self._woken = False

    def __call__(self) -> None:
        if self._woken:
            self._waits = []
            return
        self._woken = True
        for wait in self._waits:
            wait.wake()
        self._loop.call_soon(self)

    def __del__(self) -> None:
        for wait in self._waits:
            wait.leave()


def told(keys: list[int]) -> None:
    """Wakes the loops of those waits. On the library's thread."""
    waits_of: dict[asyncio.AbstractEventLoop, list[_Wait]] = {}
    for key in keys:
        if (wait := _waits.get(key)) is not None:
            waits_of.setdefault(wait.loop, []).append(wait)
    for loop, waits in waits_of.items():
        try:
            loop.call_soon_threadsafe(_Wake(loop, waits))
        except Exception as error:
            if not loop.is_closed():
                _core.write_unraisable(error, loop)


def _leave_closed_loops() -> None:
    for wait in list(_waits.values()):
        if wait.loop.is_closed():
            wait.leave()
