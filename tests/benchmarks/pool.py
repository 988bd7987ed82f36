"""LuaPool's tasks, against threads with a lupa runtime each and against processes."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Callable
from typing import Any

import osthread
from osthread import LuaPool

from .table import Row, median

ROUNDS = 9
TASKS = 20_000
TRIPS = 2_000
ITEMS = 300_000
SOURCE = "function(x) return x + 1 end"
SPIN = """function(n)
  local x = 0
  for i = 1, n do x = x + i % 7 end
  return x
end"""

_own = threading.local()


def in_lupa(x: float) -> Any:
    """On a worker of a ThreadPoolExecutor: in the runtime of its own."""
    if not hasattr(_own, "function"):
        import lupa.luajit21 as lupa

        _own.function = lupa.LuaRuntime().eval(SOURCE)
    return _own.function(x)


def add_one(x: float) -> float:
    return x + 1


Submit = Callable[[int], concurrent.futures.Future[Any]]


def throughput(submit: Submit, count: int = TASKS) -> float:
    """Tasks a second."""
    begin = time.perf_counter()
    for future in [submit(i) for i in range(count)]:
        future.result()
    return count / (time.perf_counter() - begin)


def trip(submit: Submit, count: int = TRIPS) -> float:
    """Microseconds."""
    begin = time.perf_counter()
    for i in range(count):
        submit(i).result()
    return (time.perf_counter() - begin) * 1e6 / count


def mapped(pool: LuaPool, function: Any) -> float:
    """Items a second."""
    begin = time.perf_counter()
    assert sum(1 for _ in pool.map(function, range(ITEMS))) == ITEMS
    return ITEMS / (time.perf_counter() - begin)


def balance(pool: LuaPool, spin: Any, sizes: list[int]) -> tuple[float, float]:
    """Seconds for uneven tasks; and what half of one worker's time for all of them would be."""
    begin = time.perf_counter()
    list(pool.map(spin, sizes))
    both = time.perf_counter() - begin
    with LuaPool(1) as single:
        list(single.map(spin, [1000]))
        begin = time.perf_counter()
        list(single.map(spin, sizes))
        return both, (time.perf_counter() - begin) / 2


def rows() -> list[Row]:
    function, spin = osthread.compile(SOURCE), osthread.compile(SPIN)
    sizes = [200_000 * (1 + i * 7919 % 97) for i in range(60)]
    rates: list[list[float]] = [[], [], [], []]
    trips: list[list[float]] = [[], [], [], []]
    items: list[float] = []
    uneven: list[tuple[float, float]] = []
    with (
        LuaPool(2) as pool,
        concurrent.futures.ThreadPoolExecutor(2) as threads,
        concurrent.futures.ProcessPoolExecutor(2) as processes,
    ):
        submits: list[tuple[Submit, int]] = [
            (lambda i: pool.submit(function, i), 1),
            (lambda i: threads.submit(in_lupa, i), 1),
            (lambda i: threads.submit(add_one, i), 1),
            (lambda i: processes.submit(add_one, i), 10),
        ]
        for _ in range(ROUNDS):
            for (submit, fewer), rate, took in zip(submits, rates, trips, strict=True):
                rate.append(throughput(submit, TASKS // fewer))
                took.append(trip(submit, TRIPS // fewer))
            items.append(mapped(pool, function))
            uneven.append(balance(pool, spin, sizes))
    names = ["", "threads + lupa", "threads, Python's x + 1", "processes, Python's x + 1"]
    result = [Row("LuaPool: submit and result", median(rates[0]), "tasks/s", goal=">= 100000")]
    result += [
        Row("LuaPool: submit and result", median(rates[0]), "tasks/s", names[i], median(rates[i]))
        for i in range(1, 4)
    ]
    result.append(Row("LuaPool: a round trip", median(trips[0]), "us", goal="<= 60"))
    result += [
        Row("LuaPool: a round trip", median(trips[0]), "us", names[i], median(trips[i])) for i in range(1, 4)
    ]
    result.append(Row("LuaPool: map", median(items), "items/s", goal=">= 1000000"))
    result.append(
        Row(
            "LuaPool: 60 uneven tasks on two workers",
            median([both * 1e3 for both, _ in uneven]),
            "ms",
            "half of one worker's time",
            median([half * 1e3 for _, half in uneven]),
            "<= 1.05",
        )
    )
    return result
