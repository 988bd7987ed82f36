"""DaskLuaPool: the pool over a cluster, here one of two worker processes."""

from __future__ import annotations

import concurrent.futures
import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import osthread
import pytest
from osthread import LuaError, LuaMemoryError, LuaSyntaxError, LuaTimeout
from waiting import PATIENCE, wait_until

distributed = pytest.importorskip("distributed")
from osthread.dask import DaskLuaPool  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="not tried there"),
    # The cluster's own, as it ends.
    pytest.mark.filterwarnings("default"),
]

SQUARE = "function(x) return x * x end"
FOREVER = "while true do end"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with (
        warnings.catch_warnings(),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        warnings.simplefilter("default")
        yield client


@pytest.fixture
def pool(client: Any) -> Iterator[DaskLuaPool]:
    with DaskLuaPool(client, 2, grace=0.05) as pool:
        yield pool


def runs(pool: DaskLuaPool, count: int) -> None:
    wait_until(lambda: pool.statistics().running == count)


def test_submit_takes_what_a_pool_takes(pool: DaskLuaPool, tmp_path: Any) -> None:
    path = tmp_path / "job.lua"
    path.write_text("return ... * 2")
    assert pool.submit("return ...", 1, "b").result(PATIENCE) == (1, "b")
    assert pool.submit(path, 4).result(PATIENCE) == 8
    scale = osthread.run("local k = ... return function(x) return k * x end", 10)
    assert pool.submit(scale, 5).result(PATIENCE) == 50
    with pytest.raises(LuaSyntaxError):
        pool.submit("x =")
    with pytest.raises(TypeError, match="Lua source"):
        pool.submit(abs)


def test_both_processes_work(pool: DaskLuaPool) -> None:
    both = pool.map("function(pid) return pid() end", [os.getpid] * 100, chunksize=1)
    assert len(set(both)) == 2


@pytest.mark.parametrize("chunksize", [None, 1, 64])
def test_map_is_in_order(pool: DaskLuaPool, chunksize: int | None) -> None:
    assert list(pool.map(SQUARE, range(500), chunksize=chunksize)) == [i * i for i in range(500)]
    assert list(pool.map("function(a, b) return a + b end", range(5), range(9))) == [0, 2, 4, 6, 8]
    assert list(pool.map(SQUARE, [])) == []


def test_map_with_a_buffersize_reads_no_further(pool: DaskLuaPool) -> None:
    read = []

    def numbers() -> Iterator[int]:
        for i in range(1000):
            read.append(i)
            yield i

    results = pool.map(SQUARE, numbers(), chunksize=2, buffersize=8)
    assert len(read) == 8
    assert list(results) == [i * i for i in range(1000)]


def test_an_error_comes_in_its_turn(pool: DaskLuaPool) -> None:
    results = pool.map(
        "function(i) if i == 7 then error('seven', 0) end return i end", range(20), chunksize=5
    )
    assert [next(results) for _ in range(7)] == list(range(7))
    with pytest.raises(LuaError, match="seven"):
        next(results)


def test_errors_come_as_they_are(pool: DaskLuaPool) -> None:
    error = pool.submit("error({code = 5})").exception(PATIENCE)
    assert isinstance(error, LuaError)
    assert error.value == {"code": 5}
    assert "stack traceback" in error.traceback


def test_limits_are_those_of_a_pool(client: Any) -> None:
    with DaskLuaPool(client, 2, time_limit=0.2, memory_limit=2 << 20, grace=0.02) as pool:
        slow = pool.submit(FOREVER)
        large = pool.submit("local t = {} while true do t[#t + 1] = {} end")
        assert pool.submit(SQUARE, 3).result(PATIENCE) == 9
        assert isinstance(slow.exception(PATIENCE), LuaTimeout)
        assert isinstance(large.exception(PATIENCE), LuaMemoryError)


def test_states_last_and_setup_runs_in_each(client: Any) -> None:
    with DaskLuaPool(client, 1, setup="n = 100") as pool:
        assert max(pool.map("n = n + 1 return n", [None] * 50, chunksize=1)) > 101


def test_cancel_stops_code_that_runs(pool: DaskLuaPool) -> None:
    future = pool.submit(FOREVER)
    runs(pool, 1)
    assert future.cancel()
    assert future.cancelled()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()
    runs(pool, 0)
    results = pool.map("function(i) while i > 0 do end end", range(8), chunksize=4)
    wait_until(lambda: pool.statistics().running >= 2)
    results.close()  # type: ignore[attr-defined]
    next(results, None)
    runs(pool, 0)
    assert pool.submit(SQUARE, 3).result(PATIENCE) == 9


def test_a_cancel_at_any_moment_stops_the_code(pool: DaskLuaPool) -> None:
    for _ in range(10):
        futures = [pool.submit(FOREVER) for _ in range(4)]
        for future in futures:
            future.cancel()
    runs(pool, 0)
    assert pool.submit(SQUARE, 3).result(PATIENCE) == 9


def test_map_array_goes_over_all_rows(pool: DaskLuaPool) -> None:
    x, out = np.arange(1001.0), np.zeros(1001)
    kernel = "function(x, out, i, j, k) for i = i, j - 1 do out[i] = k * x[i] end return j - i end"
    assert pool.map_array(kernel, x, out=out, args=(3,)) is out
    np.testing.assert_array_equal(out, 3 * x)
    assert sum(pool.map_array("function(x, i, j) return j - i end", x)) == 1001
    image = np.zeros((30, 20), "uint8")
    pool.map_array(
        "function(a, i, j) for y = i, j - 1 do for x = 0, 19 do a[y * 20 + x] = y + x end end end", out=image
    )
    np.testing.assert_array_equal(image, np.add.outer(np.arange(30), np.arange(20)))
    with pytest.raises(ValueError, match="rows"):
        pool.map_array(kernel, x, out=out[:5])
    with pytest.raises(LuaError, match="kernel"):
        pool.map_array("error('kernel')", x)


def test_shutdown_does_what_was_submitted(client: Any) -> None:
    pool = DaskLuaPool(client, 1)
    futures = [pool.submit(SQUARE, i) for i in range(50)]
    pool.shutdown()
    assert [future.result(0) for future in futures] == [i * i for i in range(50)]
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit("return 1")
    pool.shutdown()


def test_whoever_shuts_it_down_again_waits_too(client: Any) -> None:
    pool = DaskLuaPool(client, 1)
    future = pool.submit("for i = 1, 1e9 do end return 'done'")
    pool.shutdown(wait=False)
    pool.shutdown()
    assert future.result(0) == "done"


def test_an_exception_ends_what_runs(client: Any) -> None:
    with pytest.raises(ZeroDivisionError), DaskLuaPool(client, 1, grace=0.02) as pool:  # noqa: PT012
        futures = [pool.submit(FOREVER) for _ in range(6)]
        runs(pool, 2)
        raise ZeroDivisionError
    assert all(future.cancelled() for future in futures)


def test_wrong_options_are_told_at_once(client: Any) -> None:
    with pytest.raises(LuaSyntaxError):
        DaskLuaPool(client, setup="x =")
    with pytest.raises(TypeError, match="no option"):
        DaskLuaPool(client, colour="red")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Client"):
        DaskLuaPool("client")


def test_an_error_with_a_value_that_can_not_be_pickled_comes_without(pool: DaskLuaPool) -> None:
    fails = """function(x) if x == 3 then error({channel = require("osthread").Channel()}) end return x end"""
    error = pool.submit(fails, 3).exception(PATIENCE)
    assert type(error) is LuaError
    assert "table" in error.message
    assert "stack traceback" in error.traceback
    assert error.frames
    assert error.value is None
    results = pool.map(fails, range(6), chunksize=6)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(LuaError, match="table"):
        next(results)
    with pytest.raises(LuaError, match="table"):
        pool.map_array("function(x, i, j) error({require('osthread').Channel()}) end", np.ones(3))
