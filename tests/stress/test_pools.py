"""Pools under random load: tasks of every kind, submitted, cancelled and dropped by several threads at once.

OSTHREAD_STRESS=1 runs the long form; OSTHREAD_SEED repeats a run.
"""

from __future__ import annotations

import concurrent.futures
import gc
import os
import random
import threading
from typing import Any

import osthread
import pytest
from osthread import BrokenLuaPool, LuaError, LuaPool

LONG = os.environ.get("OSTHREAD_STRESS") == "1"
PATIENCE = 120.0
SEED = int(os.environ.get("OSTHREAD_SEED", random.SystemRandom().randrange(2**32)))

if LONG:
    pytestmark = pytest.mark.timeout(0)

# What each gives for x, if it comes to its end; None: it never does.
CODES: list[tuple[str, Any]] = [
    ("return ...", lambda x: x),
    ("function(x) return x * 2 end", lambda x: 2 * x),
    ("local x = ... for i = 1, 1e4 do end return x", lambda x: x),
    ("local x = ... return {x, tostring(x)}", None),
    ("error('mine')", None),
    ("while true do end", None),
    ("while true do pcall(function() while true do end end) end", None),
    ("local t = {} while true do t[#t + 1] = {} end", None),
    ("return ('a'):rep(200):find(('a*'):rep(16) .. 'b')", None),
    ("require('osthread').sleep(1e9)", None),
    ("os.exit(5)", None),
    ("local p = newproxy(true) getmetatable(p).__gc = function() for i = 1, 1e3 do end end", None),
]


@pytest.fixture
def seeded(record_property: Any) -> random.Random:
    """The seed, in case a test fails."""
    print(f"OSTHREAD_SEED={SEED}")
    record_property("seed", SEED)
    return random.Random(SEED)


def load(pool: LuaPool, seed: int, rounds: int, wrong: list[Any]) -> None:
    """What one thread does with a pool; whatever it gets is its own, and comes in time."""
    rng = random.Random(seed)
    futures: list[tuple[concurrent.futures.Future[Any], Any, int, bool]] = []
    for number in range(rounds):
        code, expected = rng.choice(CODES)
        try:
            if rng.random() < 0.1:
                values = list(
                    pool.map("function(x) return x + 1 end", range(number % 50), chunksize=1 + number % 3)
                )
                if values != list(range(1, number % 50 + 1)):
                    wrong.append(("map", values))
                continue
            future = pool.submit(code, number)
        except (RuntimeError, concurrent.futures.CancelledError):
            return  # it is being ended
        cancelled = rng.random() < 0.3 and future.cancel()
        if rng.random() < 0.1:
            future.add_done_callback(lambda done: done.done() or wrong.append("not done"))
        if rng.random() < 0.8:
            futures.append((future, expected, number, cancelled))
    for future, expected, number, cancelled in futures:
        try:
            result = future.result(PATIENCE)
        except concurrent.futures.CancelledError:
            continue
        except concurrent.futures.TimeoutError:
            wrong.append(("late", number))
        except LuaError:
            if expected is not None and not cancelled:
                wrong.append(("failed", number))
        else:
            if expected is not None and result != expected(number):
                wrong.append((result, number))


@pytest.mark.parametrize("end", ["shutdown", "terminate"])
@pytest.mark.parametrize("tasks_per_state", [None, 1, 7])
def test_every_task_ends_and_hits_no_other(
    seeded: random.Random, tasks_per_state: int | None, end: str
) -> None:
    for _ in range(50 if LONG else 2):
        wrong: list[Any] = []
        pool = LuaPool(
            3,
            tasks_per_state=tasks_per_state,
            time_limit=0.02,
            memory_limit=4 << 20,
            grace=0.002,
            max_threads=2,
        )
        threads = [
            threading.Thread(target=load, args=(pool, seeded.randrange(2**32), 150, wrong)) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        if end == "terminate":
            pool.terminate()
        for thread in threads:
            thread.join()
        pool.shutdown()
        assert wrong == []
        statistics = pool.statistics()
        assert (statistics.queued, statistics.running, statistics.workers) == (0, 0, 0)
        del pool
        gc.collect()
        assert osthread.enumerate() == []


def test_pools_are_dropped_at_any_moment(seeded: random.Random) -> None:
    for _ in range(2000 if LONG else 100):
        pool = LuaPool(seeded.randrange(1, 4), grace=0.001, time_limit=0.01)
        futures = [pool.submit(*seeded.choice(CODES)[:1], i) for i in range(seeded.randrange(6))]
        if seeded.random() < 0.3:
            pool.terminate()
        del pool
        for future in futures:
            if not future.cancelled():
                future.exception(PATIENCE)


def test_a_setup_that_fails_now_and_then(seeded: random.Random) -> None:
    for _ in range(500 if LONG else 30):
        lucky = iter([None] * seeded.randrange(3))

        def luck(lucky: Any = lucky) -> None:
            next(lucky)

        with LuaPool(3, setup="luck()", globals={"luck": luck}) as pool:
            futures = []
            try:
                futures = [pool.submit("return 1") for _ in range(10)]
            except BrokenLuaPool:
                continue
            for future in futures:
                error = future.exception(PATIENCE)
                assert error is None or isinstance(error, BrokenLuaPool)
