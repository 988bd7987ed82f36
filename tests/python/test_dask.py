"""DaskLuaPool: the pool over a cluster, here one of two worker processes."""

from __future__ import annotations

import concurrent.futures
import contextlib
import copy
import gc
import os
import queue
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import osthread
import pytest
from osthread import LuaError, LuaMemoryError, LuaSyntaxError, LuaTimeout, ThreadAbandonedWarning
from waiting import PATIENCE, wait_until

distributed = pytest.importorskip("distributed")
import dask  # noqa: E402
from osthread.dask import DaskLuaPool  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="not tried there"),
    # The cluster's own, as it ends.
    pytest.mark.filterwarnings("default"),
]

SQUARE = "function(x) return x * x end"
FOREVER = "while true do end"
UNTIL_THERE = (
    "function(path) local file repeat file = io.open(path) until file file:close() return 'there' end"
)
FAILS = "function(x, i, j) error('kernel') end"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with (
        warnings.catch_warnings(),
        # How long a worker tries to fetch an array from one that has died; 30 s else.
        dask.config.set({"distributed.comm.timeouts.connect": "3s"}),
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


@pytest.fixture
def own_client(client: Any) -> Iterator[Any]:
    """Another client of the same cluster, to be closed."""
    with distributed.Client(client.scheduler.address, set_as_default=False) as own:
        yield own


def is_on_workers(client: Any, pool_name: str) -> bool:
    return any(client.run(lambda dask_worker: pool_name in dask_worker.plugins).values())


def data_on_workers(client: Any) -> int:
    return sum(client.run(lambda dask_worker: len(dask_worker.data)).values())


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
        for i in range(200):
            read.append(i)
            yield i

    results = pool.map(SQUARE, numbers(), chunksize=2, buffersize=8)
    assert len(read) == 8
    assert list(results) == [i * i for i in range(200)]


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


# --- Worker processes that die ---


@pytest.mark.parametrize("deadly", [{0}, {0, 32}], ids=["one", "all"])
def test_map_array_goes_on_when_worker_processes_die(
    client: Any, pool: DaskLuaPool, tmp_path: Path, deadly: set[int]
) -> None:
    def die_once(start: int) -> None:
        if start not in (0, 32):  # where the parts of the two processes begin
            return
        begun, died = tmp_path / f"{start} begun", tmp_path / f"{start} died"
        begun.touch()
        if start in deadly and not died.exists():
            while not all((tmp_path / f"{part} begun").exists() for part in (0, 32)):
                pass  # until both have the arrays
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    x, out = np.arange(64.0), np.zeros(64)
    kernel = "function(x, out, i, j, die) die(i) for k = i, j - 1 do out[k] = 2 * x[k] end end"
    client.wait_for_workers(2)
    pool.map_array(kernel, x, out=out, args=(die_once,))
    assert {mark.name for mark in tmp_path.glob("* died")} == {f"{start} died" for start in deadly}
    np.testing.assert_array_equal(out, 2 * x)
    client.wait_for_workers(2)


def test_a_kernel_that_ends_every_worker_process_is_an_error(
    client: Any, pool: DaskLuaPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Either ends it; more deaths take more time.
    monkeypatch.setattr("osthread.dask._ATTEMPTS", 1)
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 0)

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises((RuntimeError, distributed.KilledWorker), match="died"):
        pool.map_array("function(x, i, j, die) die() end", np.zeros(64), args=(die,))
    client.wait_for_workers(2)
    assert pool.submit(SQUARE, 3).result(PATIENCE) == 9


@pytest.mark.parametrize(
    "kernel", ["return function(a, i, j) a[i] = 1 end", "function kernel(a, i, j) a[i] = 1 end"]
)
def test_a_kernel_that_is_only_defined_is_refused(kernel: str, pool: DaskLuaPool) -> None:
    a = np.zeros(4)
    with pytest.raises((TypeError, ValueError), match=r"function\(a, start, stop\) \.\.\. end"):
        pool.map_array(kernel, a, out=a)


# --- Callbacks ---


def test_a_callback_may_wait_for_another_task(pool: DaskLuaPool, tmp_path: Path) -> None:
    told: queue.Queue[Any] = queue.Queue()

    def go_on(future: concurrent.futures.Future[Any]) -> None:
        told.put(threading.current_thread().name)
        told.put(pool.submit("return ... .. ' again'", future.result()).result(PATIENCE))

    pool.submit(UNTIL_THERE, str(tmp_path / "gate")).add_done_callback(go_on)
    (tmp_path / "gate").touch()
    assert told.get(timeout=PATIENCE) == "DaskLuaPool-callbacks"
    assert told.get(timeout=PATIENCE) == "there again"


@pytest.fixture
def no_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """No thread can be made for callbacks until it is set."""
    start, can_be_had = threading.Thread.start, threading.Event()

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "DaskLuaPool-callbacks" and not can_be_had.is_set():
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    yield can_be_had
    can_be_had.set()


def test_callbacks_are_called_by_whoever_cancels_where_no_thread_can_be_made(
    pool: DaskLuaPool, no_thread: threading.Event
) -> None:
    told: queue.Queue[str] = queue.Queue()
    first, second = pool.submit(FOREVER), pool.submit(FOREVER)
    first.add_done_callback(lambda _: (second.cancel(), told.put("first")))
    second.add_done_callback(lambda _: told.put("second"))
    first.cancel()
    assert [told.get(timeout=PATIENCE) for _ in range(2)] == ["first", "second"]
    no_thread.set()
    third = pool.submit(FOREVER)
    third.add_done_callback(lambda _: told.put(threading.current_thread().name))
    third.cancel()
    assert told.get(timeout=PATIENCE) == "DaskLuaPool-callbacks"


def test_callbacks_hold_up_no_event_loop_where_no_thread_can_be_made(
    pool: DaskLuaPool, no_thread: threading.Event, tmp_path: Path
) -> None:
    told: queue.Queue[Any] = queue.Queue()
    first, second = pool.submit(UNTIL_THERE, str(tmp_path / "gate")), pool.submit(SQUARE, 3)
    first.add_done_callback(lambda _: told.put((threading.current_thread().name, second.result(PATIENCE))))
    (tmp_path / "gate").touch()
    assert first.result(PATIENCE) == "there"
    assert second.result(PATIENCE) == 9
    no_thread.set()
    assert told.get(timeout=PATIENCE) == ("DaskLuaPool-callbacks", 9)


def test_a_shutdown_calls_callbacks_where_no_thread_can_be_made(
    client: Any, no_thread: threading.Event
) -> None:
    called: list[int] = []
    pool = DaskLuaPool(client, 1)
    futures = [pool.submit(SQUARE, i) for i in range(3)]
    for future in futures:
        future.add_done_callback(lambda future: called.append(future.result()))
    assert [future.result(PATIENCE) for future in futures] == [0, 1, 4]
    ended = threading.Thread(target=pool.shutdown)
    ended.start()
    ended.join(PATIENCE)
    assert not ended.is_alive()
    assert sorted(called) == [0, 1, 4]


def test_a_callback_of_dask_s_may_wait_for_a_task(client: Any, pool: DaskLuaPool) -> None:
    told: queue.Queue[Any] = queue.Queue()
    future = client.submit(int, 3, pure=False)
    future.add_done_callback(lambda future: told.put(pool.submit(SQUARE, 3).result(PATIENCE)))
    assert told.get(timeout=PATIENCE) == 9


def test_a_slow_callback_holds_up_callbacks_alone(pool: DaskLuaPool) -> None:
    entered, leave = threading.Event(), threading.Event()
    order: queue.Queue[str] = queue.Queue()

    def slow(_: object) -> None:
        entered.set()
        leave.wait(PATIENCE)
        order.put("slow")

    first, second = pool.submit(FOREVER), pool.submit(FOREVER)
    first.add_done_callback(slow)
    second.add_done_callback(lambda _: order.put("second"))
    threading.Thread(target=first.cancel).start()
    assert entered.wait(PATIENCE)
    second.cancel()
    assert pool.submit(SQUARE, 3).result(PATIENCE) == 9
    assert order.empty()
    leave.set()
    assert [order.get(timeout=PATIENCE) for _ in range(2)] == ["slow", "second"]


def test_shutdown_waits_for_callbacks(client: Any, tmp_path: Path) -> None:
    pool = DaskLuaPool(client, 1)
    left = threading.Event()

    def slow(_: object) -> None:
        wait_until(lambda: pool._shut)
        for _ in range(10):  # longer than the end of a pool whose callbacks have returned
            client.submit(int, 3, pure=False).result()
        left.set()

    pool.submit(UNTIL_THERE, str(tmp_path / "gate")).add_done_callback(slow)
    (tmp_path / "gate").touch()
    pool.shutdown()
    assert left.is_set()


def test_a_callback_may_shut_the_pool_down_and_raise_anything(client: Any) -> None:
    pool = DaskLuaPool(client, 1, grace=0.02)
    ended: queue.Queue[str] = queue.Queue()

    def end(_: object) -> None:
        pool.shutdown(cancel_futures=True)
        ended.put("pool")
        sys.exit("of a callback")

    futures = [pool.submit(FOREVER) for _ in range(3)]
    futures[0].add_done_callback(end)
    futures[1].add_done_callback(lambda _: ended.put("callback"))
    futures[0].cancel()
    assert [ended.get(timeout=PATIENCE) for _ in range(2)] == ["pool", "callback"]
    assert not is_on_workers(client, pool._name)


def test_terminate_gives_a_callback_up(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("osthread.dask.CALLBACK_SECONDS", 0.01)
    pool = DaskLuaPool(client, 1, grace=0.02)
    leave, left = threading.Event(), threading.Event()

    def slow(_: object) -> None:
        leave.wait(PATIENCE)
        left.set()

    pool.submit(FOREVER).add_done_callback(slow)
    with pytest.warns(ThreadAbandonedWarning, match="callback"):
        pool.terminate()
    leave.set()
    assert left.wait(PATIENCE)


# --- What stays on the cluster ---


def test_a_pool_that_is_dropped_leaves_the_workers(client: Any, tmp_path: Path) -> None:
    pool = DaskLuaPool(client, 1)
    future, name = pool.submit(UNTIL_THERE, str(tmp_path / "gate")), pool._name
    del pool
    gc.collect()
    assert is_on_workers(client, name)  # it does what it was given
    (tmp_path / "gate").touch()
    assert future.result(PATIENCE) == "there"
    wait_until(lambda: not is_on_workers(client, name))


def test_results_and_arrays_do_not_stay_on_the_workers(client: Any, pool: DaskLuaPool) -> None:
    wait_until(lambda: data_on_workers(client) == 0)
    future = pool.submit(SQUARE, 3)
    with pytest.raises(LuaError, match="kernel") as kept:
        pool.map_array(FAILS, np.ones(100))
    assert future.result(PATIENCE) == 9
    wait_until(lambda: data_on_workers(client) == 0)
    assert kept.value.traceback


# --- Ends ---


def test_a_closed_client_is_no_error_at_the_end(client: Any, own_client: Any) -> None:
    with pytest.raises(ZeroDivisionError), DaskLuaPool(own_client, 1) as pool:  # noqa: PT012
        future = pool.submit(FOREVER)
        own_client.close()
        raise ZeroDivisionError
    assert future.cancelled()
    pool.shutdown()
    client.unregister_worker_plugin(pool._name)


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [("connecting", RuntimeError, False), ("running", OSError, False), ("running", ValueError, True)],
)
def test_a_client_that_loses_the_cluster_is_no_error_at_the_end(
    client: Any,
    own_client: Any,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    error: type[Exception],
    told: bool,
) -> None:
    def breaks_off(*_: object, **__: object) -> None:
        own_client.status = status
        raise error("of the client")

    pool = DaskLuaPool(own_client, 1, grace=0.02)
    future = pool.submit(FOREVER)
    if not told:
        monkeypatch.setattr(own_client, "cancel", breaks_off)
    monkeypatch.setattr(own_client, "unregister_worker_plugin", breaks_off)
    with pytest.raises(error) if told else contextlib.nullcontext():
        pool.terminate()
    assert future.cancelled()
    own_client.status = "running"
    client.unregister_worker_plugin(pool._name)


def test_a_closed_client_takes_no_tasks(client: Any, own_client: Any) -> None:
    with DaskLuaPool(own_client, 1) as pool:
        own_client.close()
        for ask in (
            lambda: pool.submit("return 1"),
            lambda: pool.map("return 1", [1]),
            lambda: pool.map_array(FAILS, np.ones(3)),
            pool.statistics,
        ):
            with pytest.raises(RuntimeError, match="client of this DaskLuaPool is closed"):
                ask()
    client.unregister_worker_plugin(pool._name)


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to oneself")
def test_ctrl_c_while_the_end_of_the_block_waits_terminates(client: Any) -> None:
    def interrupt() -> None:
        wait_until(lambda: pool._shut)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), DaskLuaPool(client, 1, grace=0.02) as pool:  # noqa: PT012
        future = pool.submit(FOREVER)
        runs(pool, 1)
        threading.Thread(target=interrupt).start()
    assert future.cancelled()
    assert not is_on_workers(client, pool._name)


def test_statistics_after_the_end(client: Any) -> None:
    with DaskLuaPool(client, 1) as pool:
        assert pool.submit(SQUARE, 3).result(PATIENCE) == 9
    assert pool.statistics().states == 0


# --- What is wrong is told ---


def test_what_can_not_be_written_to_is_no_out(pool: DaskLuaPool) -> None:
    kernel = "function(x, out, i, j) for k = i, j - 1 do out[k] = x[k] end end"
    with pytest.raises(TypeError, match="not list"):
        pool.map_array(kernel, np.ones(3), out=[0.0, 0.0, 0.0])
    with pytest.raises(ValueError, match="read-only"):
        pool.map_array(kernel, np.ones(3), out=np.frombuffer(bytes(24)))
    raw = bytearray(3)
    assert pool.map_array("function(out, i, j) for k = i, j - 1 do out[k] = 7 end end", out=raw) is raw
    assert raw == bytes([7, 7, 7])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"timeout": "a"}, TypeError, "number|float|seconds"),
        ({"chunksize": 1.5}, TypeError, "chunksize must be an int"),
        ({"chunksize": 0}, ValueError, "chunksize"),
        ({"buffersize": 1.5}, TypeError, "buffersize must be an int"),
    ],
)
def test_map_checks_its_arguments(
    pool: DaskLuaPool, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        pool.map(SQUARE, range(3), **arguments)


def test_map_array_checks_its_args(pool: DaskLuaPool) -> None:
    with pytest.raises(TypeError, match="args must be a tuple, not list"):
        pool.map_array(FAILS, np.ones(3), args=[1])  # type: ignore[arg-type]


def test_an_argument_that_can_not_be_pickled_is_told(pool: DaskLuaPool) -> None:
    with pytest.raises(TypeError, match=r"^a SharedBuffer can't be pickled"):
        pool.submit("return 1", osthread.SharedBuffer("float64", 3))


def test_a_pool_can_not_be_copied(pool: DaskLuaPool) -> None:
    with pytest.raises(TypeError, match="a DaskLuaPool can't be pickled or copied"):
        copy.copy(pool)


def test_map_array_without_workers() -> None:
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0") as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
        DaskLuaPool(client) as pool,
        pytest.raises(RuntimeError, match="no workers"),
    ):
        pool.map_array(FAILS, np.ones(3))


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
