"""The future of a cluster's task, and whose thread calls its callbacks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._future import call_back

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Future as TaskFuture

__all__ = ["Callbacks", "ClusterFuture", "unless_out_of_reach"]

RETRY_SECONDS = 0.05


class ClusterFuture(concurrent.futures.Future[Any]):
    """Follows a task of the cluster. Its ``cancel()`` stops running code too."""

    _done_callbacks: list[Callable[[Any], object]]

    def __init__(self, task: TaskFuture, callbacks: Callbacks) -> None:
        super().__init__()
        # Whoever takes it out says how this ended. What a task returned stays on the cluster as long as anyone has it.
        self._task = [task]
        self._callbacks = callbacks
        callbacks.expect(self)

    def cancel(self) -> bool:
        try:
            task = self._task.pop()
        except IndexError:
            return self.cancelled()
        self._end_cancelled()
        with unless_out_of_reach(task.client):
            task.cancel()
        return True

    def running(self) -> bool:
        return not self.done()  # the cluster does not tell

    async def follow(self, task: TaskFuture) -> None:
        """On the client's own thread: ends as the task does."""
        result, error = None, None
        try:
            error = await task.exception()
            result = await task if error is None else None
        except Exception as why:  # it was cancelled, or what it returned can't be unpickled here
            error = why
        try:
            self._task.pop()
        except IndexError:
            return
        if isinstance(error, concurrent.futures.CancelledError) and task.status == "cancelled":
            self._end_cancelled()
        elif error is not None:
            self.set_exception(error)
        else:
            self.set_result(result)

    def _end_cancelled(self) -> None:
        super().cancel()
        self.set_running_or_notify_cancel()

    def _invoke_callbacks(self) -> None:
        self._callbacks.hand_over(self, due=bool(self._done_callbacks))


class Callbacks:
    """Calls those of a pool's futures, one after another on a thread of its own: they may wait for other futures."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._expected: set[ClusterFuture] = set()
        self._due: deque[ClusterFuture] = deque()
        self._thread: threading.Thread | None = None
        self._retries = False

    def expect(self, future: ClusterFuture) -> None:
        with self._changed:
            self._expected.add(future)

    def expected(self) -> list[ClusterFuture]:
        """The futures whose callbacks have not all returned."""
        with self._changed:
            return list(self._expected)

    def hand_over(self, future: ClusterFuture, due: bool) -> None:
        """The future has ended; whether it has callbacks."""
        with self._changed:
            if not due:
                self._forget(future)
                return
            self._due.append(future)
            self._changed.notify_all()
        self._see_to_them()

    def _see_to_them(self) -> None:
        """Has a thread call what is due; where none can be made, whoever may be kept waiting does."""
        with self._changed:
            if self._thread is not None or not self._due:
                return
            self._thread = self._start()
            if self._thread is None and not self._later():
                self._thread = threading.current_thread()
        if self._thread is threading.current_thread():
            self._run()

    def _start(self) -> threading.Thread | None:
        thread = threading.Thread(target=self._run, name="DaskLuaPool-callbacks", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # there are as many as there may be, or the program ends
            return None
        return thread

    def _later(self) -> bool:
        """Whether this is an event loop's thread, which tells of what callbacks wait for: it is tried again there."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if not self._retries:
            self._retries = True
            loop.call_later(RETRY_SECONDS, self._retry)
        return True

    def _retry(self) -> None:
        self._retries = False
        self._see_to_them()

    def wait(self, timeout: float | None) -> bool:
        """Until all have returned, or those of ended futures if one of them asks: whether that came in time."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._changed:
                if threading.current_thread() is self._thread:
                    return True
                left = None if deadline is None else deadline - time.monotonic()
                if not self._changed.wait_for(self._waits_no_more, left):
                    return False
                if not self._expected:
                    return True
                self._thread = threading.current_thread()
            self._run()  # where no thread could be made, whoever waits does it

    def _waits_no_more(self) -> bool:
        """All have returned, or some are due and nobody calls them."""
        return not self._expected or (bool(self._due) and self._thread is None)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._due:
                    self._thread = None
                    return
                future = self._due.popleft()
            call_back(future, future._done_callbacks)
            with self._changed:
                self._forget(future)
            del future

    def _forget(self, future: ClusterFuture) -> None:
        self._expected.discard(future)
        self._changed.notify_all()


@contextmanager
def unless_out_of_reach(client: Client) -> Iterator[None]:
    """What the cluster is told. A client that is closed, or has lost it, has nobody to tell."""
    try:
        yield
    except OSError:
        pass  # it loses it just now
    except Exception:
        if client.status == "running":
            raise
