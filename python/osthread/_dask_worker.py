"""What a DaskLuaPool has done in the worker processes of the cluster."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import cloudpickle
import numpy as np
from distributed import WorkerPlugin, get_worker

from ._function import LuaFunction
from ._pool import LuaPool, PoolStatistics, results_of
from .errors import LuaError

__all__ = ["PoolPlugin", "call_each", "call_one", "over_rows", "statistics_of"]

# What becomes of a task of the cluster that is not to be run any more.
_UNWANTED = ("cancelled", "released", "forgotten")


class PoolPlugin(WorkerPlugin):  # type: ignore[misc]
    """On each worker: its LuaPool, and which of the cluster's tasks run in it."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.name = name
        self._options = options

    def setup(self, worker: Any) -> None:
        self.pool = LuaPool(**self._options)
        self._cancels: dict[Hashable, Callable[[], Any]] = {}

    def teardown(self, worker: Any) -> None:
        self.pool.terminate()

    def transition(self, key: Hashable, start: str, finish: str, **_: Any) -> None:
        # The cluster forgets a task that is cancelled, and lets its code run on; ours need not.
        if finish in _UNWANTED and (cancel := self._cancels.get(key)):
            cancel()

    @contextmanager
    def task(self, cancel: Callable[[], Any]) -> Iterator[None]:
        """In a task of the cluster: what stops it. Its errors can be pickled."""
        worker = get_worker()
        key = worker.get_current_task()
        self._cancels[key] = cancel
        task = worker.state.tasks.get(key)
        if task is None or task.state in _UNWANTED:  # since before there was something to cancel
            cancel()
        try:
            yield
        except LuaError as error:
            error.value = _pickled_or_none(error.value)
            raise
        finally:
            del self._cancels[key]


def _pickled_or_none(value: Any) -> Any:
    try:
        cloudpickle.dumps(value)
    except Exception:
        return None
    return value


def _plugin(name: str) -> PoolPlugin:
    plugin: PoolPlugin = get_worker().plugins[name]
    return plugin


def call_one(name: str, f: LuaFunction, args: tuple[Any, ...]) -> Any:
    plugin = _plugin(name)
    future = plugin.pool.submit(f, *args)
    with plugin.task(future.cancel):
        return future.result()


def call_each(name: str, f: LuaFunction, lists: list[tuple[Any, ...]]) -> tuple[list[Any], Exception | None]:
    """The results of a batch, up to the first that failed, and why that did."""
    plugin = _plugin(name)
    task = plugin.pool._begin_map(f, lists)
    results: list[Any] = []
    try:
        with plugin.task(task._cancel):
            results.extend(results_of(task))
    except Exception as error:
        return results, error
    return results, None


def over_rows(
    name: str, f: LuaFunction, rows: tuple[int, int], arrays: list[Any], out: Any, args: tuple[Any, ...]
) -> tuple[Any, list[Any]]:
    """What a kernel writes into those rows of ``out``, and returns for them."""
    plugin = _plugin(name)
    own = None if out is None else np.array(out)
    arrays = [np.require(array, requirements=["C", "ALIGNED"]) for array in arrays]  # they lie as they came
    with plugin.pool._lend(f, arrays, own, args, rows=rows) as task, plugin.task(task._cancel):
        results = task._collect()
    return (None if own is None else own[slice(*rows)]), results


def statistics_of(name: str, dask_worker: Any) -> PoolStatistics | None:
    plugin: PoolPlugin | None = dask_worker.plugins.get(name)
    return plugin and plugin.pool.statistics()
