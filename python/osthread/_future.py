"""A thread's end as a real concurrent.futures.Future."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import Any

from .errors import Stopped

__all__ = ["CancelledStopped", "ThreadFuture", "WaitTimeoutError"]

if concurrent.futures.TimeoutError is TimeoutError:  # Python 3.11 and later
    WaitTimeoutError: type[TimeoutError] = TimeoutError
else:

    class _WaitTimeoutError(TimeoutError, concurrent.futures.TimeoutError):  # type: ignore[misc]
        """A wait in vain, whichever of the two TimeoutErrors of Python 3.10 is caught."""

    WaitTimeoutError = _WaitTimeoutError


class CancelledStopped(Stopped, concurrent.futures.CancelledError):
    """The thread ended because its future was cancelled."""


class ThreadFuture(concurrent.futures.Future[Any]):
    """A Future whose ``cancel()`` stops running code too.

    ``cancel()`` interrupts the thread and returns whether it had not ended; the future is done when the thread
    is. If the stop ended it, ``result()`` raises an error that is both a Stopped and a CancelledError.
    """

    def __init__(self, interrupt: Callable[[], bool]) -> None:
        super().__init__()
        self._interrupt = interrupt
        self._asked = False
        self.set_running_or_notify_cancel()

    def cancel(self) -> bool:
        if self.done():
            return False
        self._asked = True
        self._interrupt()
        return True

    def finish(self, results: Callable[[], Any], error: BaseException | None) -> None:
        """Passes on how the thread ended."""
        if error is None:
            self.set_result(results())
        elif self._asked and type(error) is Stopped:
            cancelled = CancelledStopped(
                error.message, stage=error.stage, thread=error.thread, frames=error.frames
            )
            self.set_exception(cancelled)
        else:
            self.set_exception(error)
