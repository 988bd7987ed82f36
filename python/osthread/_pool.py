"""A pool of Lua states on native threads, as an Executor."""

from __future__ import annotations

import concurrent.futures
import os
import re
import time
import warnings
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count, islice
from types import TracebackType
from typing import Any

from . import _core
from ._checks import positive
from ._function import LuaFunction
from ._future import WaitTimeoutError
from ._options import ThreadOptions, check_pool, code_parts, prepare
from ._pool_future import PoolFuture
from ._progress import progress_bar
from ._shared_buffer import SharedBuffer
from .errors import ThreadAbandonedWarning

try:
    from typing import Unpack
except ImportError:  # Python 3.10: only type checkers ask
    Unpack = tuple  # type: ignore[assignment]

__all__ = [
    "CALLBACK_SECONDS",
    "LuaPool",
    "PoolStatistics",
    "begun",
    "check_kernel",
    "check_returned",
    "results_of",
]

_MOST_WORKERS = 1 << 15
# Code that begins with a function's definition.
_NAMED = re.compile(rb"\s*(local\s+)?function\s+[A-Za-z_]")
# How long the callbacks of a pool that is terminated may take to return.
CALLBACK_SECONDS = 5.0
# The same when Ctrl-C has ended the wait for them: they may not have begun.
_INTERRUPTED_SECONDS = 1.0
# Those that may have something to do at the program's end.
_pools: weakref.WeakSet[LuaPool] = weakref.WeakSet()


@dataclass(frozen=True)
class PoolStatistics:
    """How a pool is doing, at one moment. Of a map each item counts as a task."""

    max_workers: int
    """How many threads there may be."""
    workers: int
    """How many there are."""
    idle: int
    """Of them, those that have nothing to do."""
    queued: int
    """Tasks that nobody has begun."""
    running: int
    """Tasks that run now."""
    finished: int
    """Tasks that came to their end."""
    failed: int
    """Tasks that ended by an error, or were stopped."""
    cancelled: int
    """Tasks that were cancelled before they began."""
    states: int
    """How many states have been made."""


class LuaPool(_core.Pool, concurrent.futures.Executor):
    """Lua on all cores: a :class:`concurrent.futures.Executor` whose workers are native threads with a state each.

    ``max_workers``: how many; as many as there are CPUs for this process. ``setup``: Lua code that runs once in each
    state. Tasks share the globals, loaded modules and upvalues of the state they run in; after ``tasks_per_state`` of
    them it is replaced by a new one (1: for code that does not trust its neighbours). The options are those of
    :class:`OSThread`, but for what one thread alone can have; ``time_limit`` is for each task, and ``name`` what the
    names of the threads begin with. A task that breaks its limits fails alone. ``os.exit(x)`` ends a task with the
    result ``x``. An error that nobody fetches from a future is lost, as with ``ThreadPoolExecutor``.

    Functions are code as OSThread takes it, each made once in each state. What is submitted is done in order, by
    whichever worker is free. Leaving the ``with`` block waits for all of it; leaving it by an exception cancels what is
    queued and ends what runs. Every method may be called from any thread.

    >>> with osthread.LuaPool() as pool:
    ...     future = pool.submit("function(a, b) return a + b end", 1, 2)
    ...     squares = list(pool.map("function(x) return x * x end", range(5)))
    >>> future.result(), squares
    (3, [0, 1, 4, 9, 16])
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        setup: str | bytes | os.PathLike[str] = "",
        tasks_per_state: int | None = None,
        **options: Unpack[ThreadOptions],
    ) -> None:
        checked = check_pool(options)
        if not isinstance(setup, (str, bytes, os.PathLike)):
            raise TypeError(f"setup must be Lua source or a path, not {type(setup).__name__}")
        source, _ = code_parts(setup, None)
        assert isinstance(source, bytes)
        workers = _cpus() if max_workers is None else positive(max_workers, "max_workers", _MOST_WORKERS)
        per_state = 0 if tasks_per_state is None else positive(tasks_per_state, "tasks_per_state")
        super().__init__(prepare(checked), workers, source, per_state)
        self._shut = False
        _pools.add(self)

    # --- Giving it work -------------------------------------------------------------------------------

    def submit(self, f: Any, /, *args: Any) -> PoolFuture:  # type: ignore[override]
        """Has a worker call ``f(*args)``: the future of its result.

        ``f``: Lua source, a path or a :class:`LuaFunction`. The future's ``cancel()`` stops code that runs, too; its
        callbacks are called on a thread of the pool's, one after another: a slow one delays those of other futures, and
        the event loops that await them. ``RuntimeError`` after ``shutdown()``.
        """
        source, name = code_parts(f, None)
        future = PoolFuture()
        future._task = self._submit(source, name, args, future)
        return future

    def map(
        self,
        f: Any,
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        progress: bool = False,
    ) -> Iterator[Any]:
        """As ``map(f, *iterables)``, on all workers: yields the results in order, as they come.

        The iterables are read at once; with ``buffersize`` only so far ahead of what has been yielded. Workers take
        ``chunksize`` items at a time: one by one uneven items balance best, and more spare little but with many cores.
        ``TimeoutError`` if a result is not there ``timeout`` seconds after the call. An item's error is raised in its
        turn, and ends the iteration; what has not begun then is cancelled, as when the iterator is dropped.
        ``progress``: shows a tqdm bar.
        """
        end = None if timeout is None else _core.seconds_of(timeout)
        deadline = None if end is None else time.monotonic() + end
        chunk = positive(chunksize, "chunksize")
        if buffersize is not None:
            ahead = positive(buffersize, "buffersize")
            return progress_bar(
                self._map_ahead(f, zip(*iterables, strict=False), ahead, deadline), progress, None
            )
        alone = len(iterables) == 1
        lists = list(iterables[0]) if alone else list(zip(*iterables, strict=False))
        task = self._begin_map(f, lists, alone=alone, chunksize=chunk)
        return progress_bar(results_of(task, deadline), progress, len(lists))

    def _begin_map(
        self, f: Any, lists: list[Any], *, alone: bool = False, chunksize: int = 1
    ) -> _core.PoolTask:
        """``lists``: tuples of arguments; ``alone``: the only arguments themselves."""
        source, name = code_parts(f, None)
        return self._map(source, name, lists, alone, chunksize)

    def _map_ahead(
        self, f: Any, lists: Iterator[tuple[Any, ...]], ahead: int, deadline: float | None
    ) -> Iterator[Any]:
        futures = deque(self.submit(f, *args) for args in islice(lists, ahead))

        def results() -> Iterator[Any]:
            try:
                yield
                for number in count(1):
                    if not futures:
                        return
                    if not futures[0]._task._wait(_left(deadline)):
                        raise WaitTimeoutError(f"the result {number} was not there in time")
                    result = futures.popleft().result()
                    for args in islice(lists, 1):
                        futures.append(self.submit(f, *args))
                    yield result
            finally:
                for future in futures:
                    future.cancel()

        return begun(results())

    def map_array(
        self,
        f: Any,
        /,
        *arrays: Any,
        out: Any = None,
        args: tuple[Any, ...] = (),
        chunksize: int | None = None,
        progress: bool = False,
    ) -> Any:
        """Calls ``f(a1, ..., an[, out], start, stop, *args)`` on all workers, for slices of the arrays' first axis.

        The arrays are what :class:`SharedBuffer` takes, all with the same length of their first axis. The kernel gets
        each whole, as a typed FFI pointer to its first element: ``a[i]``, counted from 0 over all dimensions; ``start``
        and ``stop`` count rows, ``stop`` excluded. **A wild index crashes the process**, so this is for code that you
        trust; in states without the library ``ffi`` (``libraries="safe"``) kernels get checked SharedBuffers. So they
        do of arrays of int64, uint64 and float16, whose elements are then Lua's numbers, as elsewhere: behind a pointer
        they would be FFI integers or bits (``a.data``). FFI integers are those beyond 2^53 all the same, and int64 and
        uint64 fields of structures: their arithmetic is C's, which cuts fractions off, so ``tonumber(x)`` comes first.

        Waits, and returns ``out`` if it is given, else the list of what the calls returned, in order. ``chunksize``:
        rows for each call; 16 calls for each worker. An error of a call is raised; the others are stopped.

        >>> x = np.arange(4.0)
        >>> pool.map_array("function(x, i, j, k) for i = i, j - 1 do x[i] = k * x[i] end end", x, out=x, args=(10,))
        """
        with self._lend(f, arrays, out, args, chunksize=chunksize) as task:
            results = (
                list(progress_bar(results_of(task), progress, task._count())) if progress else task._collect()
            )
        check_returned(results)
        return results if out is None else out

    @contextmanager
    def _lend(
        self,
        f: Any,
        arrays: Iterable[Any],
        out: Any,
        args: tuple[Any, ...],
        *,
        chunksize: int | None = None,
        rows: tuple[int, int] | None = None,
    ) -> Iterator[_core.PoolTask]:
        """A kernel's work at some rows of the arrays; when the block is left nobody has them any more."""
        if not isinstance(args, tuple):
            raise TypeError(f"args must be a tuple, not {type(args).__name__}")
        source, name = code_parts(f, None)
        check_kernel(source)
        chunk = 0 if chunksize is None else positive(chunksize, "chunksize")
        with ExitStack() as lent:
            buffers = tuple(_buffer(array, f"array {n}", lent) for n, array in enumerate(arrays, 1))
            target = None if out is None else _buffer(out, "out", lent)
            if target is not None and target.readonly:
                raise ValueError("map_array: out is read-only")
            task = self._map_array(source, name, buffers, target, args, chunk, rows)
            try:
                yield task
            except BaseException:
                task._cancel()
                raise
            finally:
                task._wait(None)

    # --- Ending it ------------------------------------------------------------------------------------

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more tasks, cancels those that nobody has begun if asked to, and waits for the others.

        For the callbacks of futures, too.
        """
        self._shut = True
        self._close(bool(cancel_futures))
        if wait:
            self._wait(None)
            self._end(None)

    def terminate(self) -> None:
        """Takes no more tasks, cancels those that nobody has begun, ends those that run, and waits.

        They are interrupted, and killed if they do not answer within the grace time. One that sits in a Python callable
        or in C code that does not return is given up (:class:`Abandoned`), with a :class:`ThreadAbandonedWarning`,
        after four seconds and four grace times. Callbacks of futures have five seconds to return.
        """
        self._terminate_within(CALLBACK_SECONDS)

    def _terminate_within(self, seconds: float) -> None:
        """``seconds``: how long callbacks may take to return."""
        self._shut = True
        lost = self._terminate()
        late = not self._end(seconds) and not self._calls_back()
        if late:
            _pools.discard(self)
        if lost:
            warnings.warn(
                f"{lost} worker(s) of {self!r} did not end when it was terminated: they are in Python callables "
                "or in C code that does not return",
                ThreadAbandonedWarning,
                stacklevel=3,
            )
        if late:
            warnings.warn(
                f"a callback of a future of {self!r} did not return when it was terminated",
                ThreadAbandonedWarning,
                stacklevel=3,
            )

    def _end(self, timeout: float | None) -> bool:
        """Waits until all futures have been told and their callbacks have returned; nothing is to come any more.

        Whether they have: one that this is called in has not.
        """
        told = self._finish(timeout)
        if told:
            _pools.discard(self)
        return told

    def __enter__(self) -> LuaPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.terminate()
            return
        try:
            self.shutdown()
        except KeyboardInterrupt:
            self._terminate_within(_INTERRUPTED_SECONDS)
            raise

    def statistics(self) -> PoolStatistics:
        """What its workers and tasks do now, and have done."""
        return PoolStatistics(**self._statistics())

    def __repr__(self) -> str:
        now = self._statistics()
        return (
            f"<LuaPool {self._name()!r}{', shut down' if self._shut else ''}: {now['workers']} of {now['max_workers']} "
            f"workers, {now['queued']} tasks queued>"
        )

    def __reduce__(self) -> Any:
        raise TypeError("a LuaPool can't be pickled or copied: it has running threads")


def results_of(task: _core.PoolTask, deadline: float | None = None) -> Iterator[Any]:
    """The results of a task's items in order, as they come; if they are not all wanted the rest is cancelled."""

    def results() -> Iterator[Any]:
        at, count = 0, task._count()
        try:
            yield
            while at < count:
                some = task._take(at, _left(deadline))
                if not some:
                    raise WaitTimeoutError(f"the result {at + 1} of {count} was not there in time")
                at += len(some)
                yield from some
        finally:
            if at < count:
                task._cancel()

    return begun(results())


def begun(results: Iterator[Any]) -> Iterator[Any]:
    """A generator past its first yield, so that what it does at its end is done even if nobody asks for a value."""
    next(results)
    return results


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.monotonic(), 0.0)


def check_kernel(source: Any) -> None:
    """Whether it is more than a definition, which would do nothing."""
    if isinstance(source, bytes) and _NAMED.match(source) and b"..." not in source:
        raise ValueError(
            "map_array: the code defines a function and calls none; the kernel is a function without a name, "
            "`function(a, start, stop) ... end`, or a chunk that gets its arguments as `...`"
        )


def check_returned(results: list[Any]) -> None:
    """Whether a kernel's calls have done something, not given the kernel."""
    if any(isinstance(each, LuaFunction) for each in results):
        raise TypeError(
            "map_array: the kernel has returned a function; it is to be the function itself, "
            "`function(a, start, stop) ... end`, without a `return` before it"
        )


def _buffer(array: Any, name: str, lent: ExitStack) -> SharedBuffer:
    if isinstance(array, SharedBuffer):
        return array
    try:
        return lent.enter_context(SharedBuffer(array))
    except TypeError as error:
        raise TypeError(f"map_array: {name}: {error}") from None
    except ValueError as error:
        raise ValueError(f"map_array: {name}: {error}") from None


def _cpus() -> int:
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)  # the parent's workers are not here
