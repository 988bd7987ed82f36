"""A LuaPool over a dask.distributed cluster; ``pip install "osthread[dask]"``.

Each worker process has one :class:`osthread.LuaPool` of warm states, which a plugin makes there and ends again. A task
of the cluster hands its function to it and waits, without the GIL.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import time
import uuid
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle, islice, pairwise
from types import TracebackType
from typing import Any

try:
    import numpy as np
    from distributed import Client
    from distributed import Future as TaskFuture
except ImportError as error:
    raise ImportError(
        f'osthread.dask needs dask.distributed and NumPy: pip install "osthread[dask]" ({error})'
    ) from None

from . import _core
from ._checks import positive
from ._dask_future import Callbacks, ClusterFuture, unless_out_of_reach
from ._dask_worker import PoolPlugin, call_each, call_one, over_rows, statistics_of
from ._function import LuaFunction
from ._options import ThreadOptions, code_parts
from ._pool import CALLBACK_SECONDS, LuaPool, PoolStatistics, begun, check_kernel, check_returned
from ._progress import progress_bar
from ._shared_buffer import _checked
from .errors import ThreadAbandonedWarning

try:
    from typing import Unpack
except ImportError:  # Python 3.10: only type checkers ask
    Unpack = tuple  # type: ignore[assignment]

__all__ = ["DaskLuaPool"]

# How many batches of a map each thread of the cluster gets, so that uneven ones balance.
_BATCHES = 4
# How often the arrays of a map_array are sent, if they are lost with a worker process. So often Dask tries a task.
_ATTEMPTS = 4


def _end_pools(client: Client, name: str) -> concurrent.futures.Future[None] | None:
    """Has the workers end their pools: when they have, if they can be told.

    Does not wait: a finalizer runs in whatever thread, in that of the client too.
    """

    async def unregister() -> None:
        with unless_out_of_reach(client):
            await client.unregister_worker_plugin(name)

    if client.status != "running":
        return None
    return asyncio.run_coroutine_threadsafe(unregister(), client.loop.asyncio_loop)


class DaskLuaPool(concurrent.futures.Executor):
    """The same as :class:`osthread.LuaPool` over a ``dask.distributed`` cluster.

    ``client``: a ``distributed.Client``, not an asynchronous one. Each worker process, those too that come later, has a
    LuaPool that is made with ``max_workers``, ``setup``, ``tasks_per_state`` and the options; these, functions and
    arguments are pickled. Python callables among them are called on the workers. The value of a LuaError that can't be
    pickled is None. Callbacks of futures are called one after another, on a thread of the pool's. The ``with`` block
    ends as that of a LuaPool does; a pool that is dropped leaves the workers when it has done what it was given. Every
    method may be called from any thread.

    >>> with DaskLuaPool(Client()) as pool:
    ...     pool.submit("function(a, b) return a + b end", 1, 2).result()
    3
    """

    def __init__(
        self,
        client: Client,
        max_workers: int | None = None,
        *,
        setup: str | bytes | os.PathLike[str] = "",
        tasks_per_state: int | None = None,
        **options: Unpack[ThreadOptions],
    ) -> None:
        if not isinstance(client, Client) or client.asynchronous:
            raise TypeError("DaskLuaPool takes a distributed.Client that is not asynchronous")
        source, _ = code_parts(setup, None)  # a file is read here, not on the workers
        everything = dict(options, max_workers=max_workers, setup=source, tasks_per_state=tasks_per_state)
        LuaPool(**everything).shutdown()  # what is wrong with them is told here
        self._client = client
        self._name = f"osthread-{uuid.uuid4().hex}"
        self._lock = threading.Lock()
        self._callbacks = Callbacks()
        self._shut = False
        self._ended: concurrent.futures.Future[None] | None = None
        client.register_plugin(PoolPlugin(self._name, everything), name=self._name)
        self._end_pools = weakref.finalize(self, _end_pools, client, self._name)
        self._end_pools.atexit = False  # the client has ended then

    # --- Giving it work -------------------------------------------------------------------------------

    def submit(self, f: Any, /, *args: Any) -> concurrent.futures.Future[Any]:  # type: ignore[override]
        """Has one of the cluster's workers call ``f(*args)``: the future of its result."""
        return self._run(call_one, _function(f), args)

    def map(
        self,
        f: Any,
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
        progress: bool = False,
    ) -> Iterator[Any]:
        """As :meth:`osthread.LuaPool.map`; ``chunksize`` items make a task of the cluster, by default so many that each
        of its threads gets about four."""
        end = None if timeout is None else _core.seconds_of(timeout)
        deadline = None if end is None else time.monotonic() + end
        function = _function(f)
        if chunksize is not None:
            chunksize = positive(chunksize, "chunksize")
        if buffersize is not None:
            buffersize = positive(buffersize, "buffersize")
        source: Iterable[tuple[Any, ...]] = zip(*iterables, strict=False)
        total = None
        if buffersize is None:
            source = list(source)
            total = len(source)
        threads = max(1, sum(self._open_client().nthreads().values()))
        size = chunksize or max(1, (total or 0) // (_BATCHES * threads))
        lists = iter(source)
        batches = iter(lambda: list(islice(lists, size)), [])
        ahead = None if buffersize is None else max(1, buffersize // size)
        futures = deque(self._run(call_each, function, batch) for batch in islice(batches, ahead))

        def results() -> Iterator[Any]:
            try:
                yield
                while futures:
                    left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
                    done, error = futures[0].result(left)
                    futures.popleft()
                    futures.extend(self._run(call_each, function, batch) for batch in islice(batches, 1))
                    yield from done
                    if error is not None:
                        raise error
            finally:
                for future in futures:
                    future.cancel()

        return progress_bar(begun(results()), progress, total)

    def map_array(
        self,
        f: Any,
        /,
        *arrays: Any,
        out: Any = None,
        args: tuple[Any, ...] = (),
        progress: bool = False,
    ) -> Any:
        """As :meth:`osthread.LuaPool.map_array`, each worker process over a part of the rows.

        The arrays are sent to all of them, whole; what the kernel writes into ``out`` comes back. Changes of the other
        arrays do not: they are copies there. The part of a process that dies is done by another.
        """
        source, name = code_parts(f, None)
        check_kernel(source)
        function = _made(source, name)
        if not isinstance(args, tuple):
            raise TypeError(f"args must be a tuple, not {type(args).__name__}")
        everything = [np.asarray(array) for array in arrays]
        target = None
        if out is not None:
            _checked(out)  # or NumPy copies it, and what is written there is lost
            target = np.asarray(out)
            if not target.flags.writeable:
                raise ValueError("map_array: out is read-only")
        whole = everything if target is None else [*everything, target]
        if not whole:
            raise ValueError("map_array: there is no array")
        if any(array.ndim == 0 or len(array) != len(whole[0]) for array in whole):
            raise ValueError("map_array: the arrays must have the same number of rows")
        workers = len(self._open_client().nthreads())
        if workers == 0:
            raise RuntimeError(
                "map_array: the cluster has no workers; client.wait_for_workers(1) waits for one"
            )
        bounds = [len(whole[0]) * i // workers for i in range(workers + 1)]
        parts = deque(part for part in pairwise(bounds) if part[0] < part[1])
        results: list[Any] = []
        for rows, written, returned in progress_bar(
            self._over_parts(parts, function, [*everything, target], args), progress, len(parts)
        ):
            if target is not None:
                target[rows] = written
            results.extend(returned)
        check_returned(results)
        return results if out is None else out

    def _over_parts(
        self, parts: deque[tuple[int, int]], function: LuaFunction, arrays: list[Any], args: tuple[Any, ...]
    ) -> Iterator[tuple[slice, Any, list[Any]]]:
        """What a kernel writes into each part of the rows, and returns for it, in order. The last array is ``out``."""
        sent: list[TaskFuture] = []
        futures: deque[ClusterFuture] = deque()
        why = None
        try:
            for _ in range(_ATTEMPTS):
                client = self._open_client()
                try:
                    # Not to all at once: a broadcast hangs if one dies. They fetch them from each other.
                    sent = client.scatter(arrays, hash=False)
                except OSError as error:  # whoever was to get one has died
                    why = error
                    continue
                workers = cycle(client.nthreads() or [None])
                futures.extend(
                    self._run(over_rows, function, part, sent[:-1], sent[-1], args, worker=next(workers))
                    for part in parts
                )
                while futures:
                    concurrent.futures.wait([futures[0]])
                    if futures[0].cancelled():  # with an array that nobody alive has
                        break
                    written, returned = futures.popleft().result()
                    yield slice(*parts.popleft()), written, returned
                if not parts:
                    return
                while futures:
                    futures.popleft().cancel()
            raise RuntimeError(
                f"map_array: its arrays were lost with worker processes that died, {_ATTEMPTS} times"
            ) from why
        finally:
            for future in futures:
                future.cancel()
            # The traceback of an error has this frame, which would keep the arrays on the workers.
            del sent, futures, why

    def _run(self, call: Callable[..., Any], *args: Any, worker: str | None = None) -> ClusterFuture:
        """``worker``: which should do it. If that dies another does."""
        where = {} if worker is None else {"workers": [worker], "allow_other_workers": True}
        with self._lock:
            if self._shut:
                raise RuntimeError("this DaskLuaPool has been shut down: it takes no more tasks")
            try:
                task = self._open_client().submit(call, self._name, *args, pure=False, **where)
            except TypeError as error:
                # It names Dask's own object that could not be pickled, its cause what in that.
                raise error.__cause__ or error from None
            future = ClusterFuture(task, self._callbacks)
        self._client.loop.add_callback(self._follow, future, task)
        return future

    async def _follow(self, future: ClusterFuture, task: TaskFuture) -> None:
        await future.follow(task)  # a pool that is dropped stays as long

    def _open_client(self) -> Client:
        if self._client.status in ("closing", "closed"):
            raise RuntimeError("the client of this DaskLuaPool is closed")
        return self._client

    # --- Ending it ------------------------------------------------------------------------------------

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As :meth:`osthread.LuaPool.shutdown`; then the workers have no states any more."""
        with self._lock:
            first = not self._shut
            self._shut = True
        if cancel_futures:
            self._cancel()
        if wait:
            self._end()
        elif first:
            threading.Thread(target=self._end, name="DaskLuaPool-end", daemon=True).start()

    def terminate(self) -> None:
        """Ends what runs and what is queued, and waits. A callback that does not return is given up, with a warning."""
        with self._lock:
            self._shut = True
        self._cancel()
        if not self._end(CALLBACK_SECONDS):
            warnings.warn(
                f"a callback of a future of {self!r} did not return when it was terminated",
                ThreadAbandonedWarning,
                stacklevel=2,
            )

    def _cancel(self) -> None:
        for future in self._callbacks.expected():
            future.cancel()

    def _end(self, patience: float | None = None) -> bool:
        """Waits until all is done; for callbacks no longer than that, and returns whether they have returned."""
        concurrent.futures.wait(self._callbacks.expected())
        returned = self._callbacks.wait(patience)
        with self._lock:
            self._ended = self._end_pools() or self._ended  # it acts once
        if self._ended is not None:
            self._ended.result()  # again after Ctrl-C, say
        return returned

    def __enter__(self) -> DaskLuaPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.terminate()
            return
        try:
            self.shutdown()
        except BaseException:  # Ctrl-C
            self.terminate()
            raise

    def statistics(self) -> PoolStatistics:
        """The sum over all workers that have their pool; after the end none has."""
        each = list(filter(None, self._open_client().run(statistics_of, self._name).values()))
        names = PoolStatistics.__dataclass_fields__
        return PoolStatistics(**{name: sum(getattr(one, name) for one in each) for name in names})

    def __repr__(self) -> str:
        return f"<DaskLuaPool over {self._client!r}{', shut down' if self._shut else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("a DaskLuaPool can't be pickled or copied: it belongs to a client")


def _function(f: Any) -> LuaFunction:
    return _made(*code_parts(f, None))


def _made(source: Any, name: str) -> LuaFunction:
    return LuaFunction(_core.compile(source, name) if isinstance(source, bytes) else source)
