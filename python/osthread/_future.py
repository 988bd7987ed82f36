"""A thread's end as a real concurrent.futures.Future."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable, Iterable
from concurrent.futures._base import LOGGER
from typing import Any, Protocol

from .errors import Stopped

__all__ = [
    "AwaitedFuture",
    "CancelledStopped",
    "ThreadFuture",
    "WaitTimeoutError",
    "as_future_s",
    "call_back",
]

if concurrent.futures.TimeoutError is TimeoutError:  # Python 3.11 and later
    WaitTimeoutError: type[TimeoutError] = TimeoutError
else:

    class _WaitTimeoutError(TimeoutError, concurrent.futures.TimeoutError):  # type: ignore[misc]
        """A wait in vain, whichever of the two TimeoutErrors of Python 3.10 is caught."""

    WaitTimeoutError = _WaitTimeoutError


class CancelledStopped(Stopped, concurrent.futures.CancelledError):
    """The thread ended because its future was cancelled."""


def as_future_s(error: BaseException, cancelled_by: tuple[type[Stopped], ...]) -> BaseException:
    """The error of ended code as its future has it; ``cancelled_by``: the errors that mean that it was cancelled."""
    if isinstance(error, Stopped) and type(error) in cancelled_by:
        return CancelledStopped(error.message, stage=error.stage, thread=error.thread, frames=error.frames)
    if isinstance(error, StopIteration):  # which would end whoever awaits it
        replaced = RuntimeError("StopIteration can't be raised into a Future")
        replaced.__cause__ = error
        return replaced
    return error


def call_back(future: concurrent.futures.Future[Any], callbacks: Iterable[Callable[[Any], object]]) -> None:
    """Calls them; one that fails is logged."""
    for callback in callbacks:
        try:
            callback(future)
        except BaseException:  # the thread goes on, with the callbacks of others
            LOGGER.exception("exception calling callback for %r", future)


class Owner(Protocol):
    """What a future knows of its thread."""

    _fetched: bool

    def interrupt(self) -> bool: ...


class ThreadFuture(concurrent.futures.Future[Any]):
    """A Future of a thread, which it keeps. Its ``cancel()`` stops running code too.

    ``cancel()`` interrupts the thread and returns whether it had not ended; the future is done when the thread
    is. If the stop ended it, the future is cancelled: ``cancelled()`` is true, and ``result()`` raises an error
    that is both a Stopped and a CancelledError. Code that catches the stop and returns gives its result.
    """

    def __init__(self, thread: Owner) -> None:
        super().__init__()
        self._thread = thread
        self._asked = False
        self.set_running_or_notify_cancel()

    def cancel(self) -> bool:
        if self.done():
            return False
        self._asked = True
        self._thread.interrupt()
        return True

    def cancelled(self) -> bool:
        return self.done() and isinstance(super().exception(), CancelledStopped)

    def result(self, timeout: float | None = None) -> Any:
        try:
            return super().result(timeout)
        finally:
            self._thread._fetched |= self.done()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        try:
            return super().exception(timeout)
        finally:
            self._thread._fetched |= self.done()

    def as_future_s(self, error: BaseException) -> BaseException:
        """The error as this future has it."""
        return as_future_s(error, (Stopped,) if self._asked else ())

    def renew_lock(self) -> None:
        """In a fork's child: a thread of the parent's may hold the old one."""
        self._condition = threading.Condition()


class AwaitedFuture(ThreadFuture):
    """What ``await thread`` waits for, cancelled by asyncio alone, for an await that was cancelled itself.

    To the other awaits of the thread that is a Stopped: a CancelledError would pass for a cancellation of theirs.
    """

    def cancelled(self) -> bool:
        return False
