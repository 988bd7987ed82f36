"""The future of a pool's task."""

from __future__ import annotations

import concurrent.futures
import threading
from concurrent.futures._base import FINISHED, PENDING
from typing import Any

from . import _core
from ._future import CancelledStopped, WaitTimeoutError, as_future_s, call_back
from .errors import Killed, Stopped

__all__ = ["PoolFuture"]

# What a future has only when somebody asks for it.
_MADE_LATER = frozenset({"_condition", "_waiters", "_done_callbacks"})


class PoolFuture(concurrent.futures.Future[Any]):
    """A Future of a task. Its ``cancel()`` stops running code too.

    A task that was stopped so raises an error that is both a Stopped and a CancelledError. Callbacks are called one
    after another, on a thread of the pool's.

    Invariant: as long as nobody has met its condition, nobody waits there or has left a callback, and the core may end
    it without. Making a Condition is more than half of what a Future costs, and most are only asked for results.
    """

    _task: _core.PoolTask
    _asked = False
    # What Future.__init__ sets.
    _state = PENDING
    _result = None
    _exception = None

    def __init__(self) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name not in _MADE_LATER:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._task._meet(self, threading.Condition(), [], [])
        return object.__getattribute__(self, name)

    def cancel(self) -> bool:
        if self.done():
            return self.cancelled()
        self._asked = True
        return self._task._cancel() or self.cancelled()  # another thread's may have overtaken it

    def cancelled(self) -> bool:
        return (
            self.done()
            and self._wait(None)
            and (self._state != FINISHED or isinstance(self._exception, CancelledStopped))
        )

    def running(self) -> bool:
        return self._task._status() == "running"

    def done(self) -> bool:
        return self._state != PENDING or self._task._done()

    def result(self, timeout: float | None = None) -> Any:
        error = self.exception(timeout)
        if error is None:
            return self._result
        try:
            raise error
        finally:
            del self, error  # they are in the traceback

    def exception(self, timeout: float | None = None) -> BaseException | None:
        # Without the condition: Ctrl-C can leave that locked for ever.
        if not self._wait(timeout):
            raise WaitTimeoutError
        if self._state != FINISHED:
            raise concurrent.futures.CancelledError
        return self._exception

    def _wait(self, timeout: float | None) -> bool:
        return self._state != PENDING or self._task._wait(timeout)

    # --- What the core calls ---

    def _as_own(self, error: BaseException) -> BaseException:
        return as_future_s(error, (Stopped, Killed) if self._asked else ())

    def _tell(self, state: str, result: Any, error: BaseException | None) -> None:
        with self._condition:
            self._result, self._exception, self._state = result, error, state
            for waiter in self._waiters:
                if state != FINISHED:
                    waiter.add_cancelled(self)
                elif error is not None:
                    waiter.add_exception(self)
                else:
                    waiter.add_result(self)
            self._condition.notify_all()

    def _call_back(self) -> None:
        call_back(self, self._done_callbacks)
