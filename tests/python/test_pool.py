"""LuaPool: an Executor whose workers are native threads with a Lua state each."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import gc
import itertools
import queue
import random
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import osthread
import pytest
from osthread import (
    Barrier,
    BrokenLuaPool,
    Channel,
    ConversionError,
    LuaError,
    LuaMemoryError,
    LuaPool,
    LuaSyntaxError,
    LuaTimeout,
    SharedBuffer,
    Stopped,
)
from programs import FOREVER, NEVER, SIGNALLED, SQUARE, STUBBORN
from waiting import PATIENCE, wait_until


def runs(pool: LuaPool, count: int = 1) -> None:
    wait_until(lambda: pool.statistics().running == count)


# --- submit ---------------------------------------------------------------------------------------


def test_submit_takes_what_a_thread_takes(pool: LuaPool, tmp_path: Any) -> None:
    path = tmp_path / "job.lua"
    path.write_text("return ... * 2")
    assert pool.submit("return ...", 1, "b").result() == (1, "b")
    assert pool.submit(b"return 1").result() == 1
    assert pool.submit("function(a, b) return a + b end", 1, 2).result() == 3
    assert pool.submit(path, 4).result() == 8
    assert pool.submit(osthread.compile("return ..."), 5).result() == 5
    assert pool.submit(osthread.run("return math.floor"), 5.5).result() == 5
    assert pool.submit("").result() is None


def test_a_python_callable_is_a_type_error(pool: LuaPool) -> None:
    with pytest.raises(TypeError, match="Lua source"):
        pool.submit(abs, 1)
    with pytest.raises(TypeError, match="Lua source"):
        pool.map(abs, [1])


def test_a_decorated_function_is_code(pool: LuaPool) -> None:
    @osthread.lua
    def add(a: float, b: float) -> float:
        """return a + b"""

    assert pool.submit(add, 1, 2).result() == 3


def test_wrong_code_and_arguments_are_told_at_once(pool: LuaPool) -> None:
    with pytest.raises(LuaSyntaxError):
        pool.submit("x =")
    with pytest.raises(ConversionError, match=r"args\[2\]"):
        pool.submit("return ...", 1, object())
    assert pool.submit("return 1").result() == 1
    assert pool.statistics().finished == 1


def test_an_error_comes_out_of_the_future_with_its_traceback(pool: LuaPool) -> None:
    future = pool.submit("local function inner() error({code = 5}) end inner()")
    with pytest.raises(LuaError) as raised:
        future.result()
    assert raised.value.value == {"code": 5}
    assert "in function 'inner'" in raised.value.traceback
    assert future.exception() is raised.value
    assert not future.cancelled()


def test_an_exception_of_a_python_callable_comes_out_as_itself(pool: LuaPool) -> None:
    error = KeyError("mine")

    def fail() -> None:
        raise error

    assert pool.submit("(...)()", fail).exception() is error
    assert pool.submit("local ok, e = pcall(...) return ok", fail).result() is False


def test_a_result_without_a_form_in_python_is_the_futures_error(pool: LuaPool) -> None:
    assert isinstance(pool.submit("return coroutine.create(print)").exception(), ConversionError)
    with LuaPool(1, encoding="ascii") as ascii_pool:
        assert isinstance(ascii_pool.submit("return '\\255'").exception() or b"", (bytes, Exception))


def test_os_exit_ends_the_task_with_its_value(pool: LuaPool) -> None:
    assert pool.submit("os.exit(3)").result() == 3
    assert pool.submit("return 1").result() == 1


def test_callbacks_and_waiting_for_many(pool: LuaPool) -> None:
    called = []
    futures = [pool.submit(SQUARE, i) for i in range(200)]
    for future in futures:
        future.add_done_callback(called.append)
    done, pending = concurrent.futures.wait(futures, PATIENCE)
    assert not pending
    assert done == set(futures)
    wait_until(lambda: len(called) == 200)
    assert sum(f.result() for f in concurrent.futures.as_completed(futures)) == sum(i * i for i in range(200))
    late: list[Any] = []
    futures[0].add_done_callback(late.append)
    assert late == [futures[0]]


def test_a_callback_may_wait_for_the_next_task(pool: LuaPool) -> None:
    gate = threading.Event()
    first = pool.submit("(...)()", lambda: gate.wait(PATIENCE))
    second = pool.submit("(...)()", lambda: gate.wait(PATIENCE))
    results: list[Any] = []
    first.add_done_callback(lambda _: results.append(second.result(PATIENCE)))
    gate.set()
    wait_until(lambda: results == [None])


def test_a_callback_may_wait_as_one_waits_for_many(pool: LuaPool) -> None:
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def wait_for_another(_: Any) -> None:
        done.put(concurrent.futures.wait([pool.submit(SQUARE, 3)], PATIENCE).not_done)

    pool.submit(SQUARE, 2).add_done_callback(wait_for_another)
    assert done.get(timeout=PATIENCE) == set()


def test_callbacks_that_wait_are_called_one_after_another(pool: LuaPool) -> None:
    within, deepest, called = 0, 0, 0

    def submit_and_wait(_: Any) -> None:
        nonlocal within, deepest, called
        within += 1
        deepest = max(deepest, within)
        assert pool.submit(SQUARE, 2).result(PATIENCE) == 4
        called += 1
        within -= 1

    gate = threading.Event()
    for _ in range(2):
        pool.submit("(...)()", lambda: gate.wait(PATIENCE))
    futures = [pool.submit(SQUARE, i) for i in range(1000)]
    for future in futures:
        future.add_done_callback(submit_and_wait)
    gate.set()
    assert [future.result(PATIENCE) for future in futures] == [i * i for i in range(1000)]
    wait_until(lambda: called == 1000)
    assert deepest == 1


def test_who_looks_at_a_future_calls_no_callback(pool: LuaPool) -> None:
    lock = threading.Lock()

    def call_back(_: Any) -> None:
        with lock:
            pass

    for _ in range(50):
        futures = [pool.submit(SQUARE, i) for i in range(20)]
        for future in futures:
            future.add_done_callback(call_back)
        last = pool.submit(SQUARE, 3)
        last.add_done_callback(lambda _: None)
        with lock:
            assert last.result(PATIENCE) == 9
            assert last.done()
            assert not last.cancel()


def test_whatever_a_callback_raises_the_others_are_called(
    pool: LuaPool, caplog: pytest.LogCaptureFixture
) -> None:
    called: queue.SimpleQueue[Any] = queue.SimpleQueue()
    gate = threading.Event()
    future = pool.submit("(...)()", lambda: gate.wait(PATIENCE))
    future.add_done_callback(lambda _: sys.exit(3))
    future.add_done_callback(called.put)
    gate.set()
    assert called.get(timeout=PATIENCE) is future
    assert "exception calling callback" in caplog.text


def test_the_collector_may_drop_a_map_whenever_it_runs(pool: LuaPool) -> None:
    class Holder:
        pass

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(500):
            holder: Any = Holder()
            holder.self = holder
            holder.results = pool.map(SQUARE, range(10), buffersize=3)
            future = pool.submit(SQUARE, 2)
            future.add_done_callback(lambda _: None)
            assert future.result(PATIENCE) == 4
    finally:
        gc.set_threshold(*threshold)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX")
def test_whatever_a_signal_raises_comes_out_and_no_future_is_lost(run_script: Any) -> None:
    script = (
        SIGNALLED
        + """if True:
    def handler(*_):
        raise Signalled

    signal.signal(signal.SIGALRM, handler)
    raised = 0
    with LuaPool(2) as pool:
        for _ in range(300):
            futures = [pool.submit("function(x) return x end", i) for i in range(20)]
            for future in futures[::2]:
                future.add_done_callback(lambda future: None)
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00002, 0.0006))
                while True:
                    for future in futures:
                        future.result()
            except Signalled:
                raised += 1
            assert concurrent.futures.wait(futures, 30).not_done == set()
    print(raised)
    """
    )
    assert run_script(script) == (0, "300\n", "")


def test_a_future_is_a_whole_one_whenever_it_is_looked_at(pool: LuaPool) -> None:
    for look in (
        repr,
        concurrent.futures.Future.done,
        lambda f: f.add_done_callback(len),
        lambda f: f.running(),
    ):
        for code in ("return 5", "error('x')"):
            fresh, old = pool.submit(code), pool.submit(code)
            with contextlib.suppress(TypeError):
                look(fresh)
            concurrent.futures.wait([old])
            with contextlib.suppress(TypeError):
                look(old)
            for future in (fresh, old):
                if code == "return 5":
                    assert future.result(PATIENCE) == 5
                    assert future.exception() is None
                else:
                    assert isinstance(future.exception(PATIENCE), LuaError)
                assert "finished" in repr(future)
                assert next(concurrent.futures.as_completed([future])) is future
    with pytest.raises(AttributeError, match="colour"):
        future.colour  # noqa: B018


def test_result_waits_no_longer_than_it_is_told(pool: LuaPool) -> None:
    future = pool.submit(FOREVER)
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(0.01)
    with pytest.raises(concurrent.futures.TimeoutError):
        future.exception(0)
    assert future.running()
    assert not future.done()
    assert future.cancel()


def test_threads_share_the_pool_and_its_futures(pool: LuaPool) -> None:
    results: list[Any] = []

    def work(i: int) -> None:
        futures = [pool.submit("function(a, b) return a * 1000 + b end", i, j) for j in range(100)]
        results.extend(future.result(PATIENCE) for future in futures)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [i * 1000 + j for i in range(4) for j in range(100)]


def test_several_threads_wait_for_one_result(pool: LuaPool) -> None:
    go = threading.Event()
    future = pool.submit("(...)() return 7", lambda: go.wait(PATIENCE))
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(future.result(PATIENCE))) for _ in range(4)]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join()
    assert results == [7] * 4


@pytest.mark.parametrize("meet", [False, True])
def test_a_future_that_is_done_is_so_for_everybody(pool: LuaPool, meet: bool) -> None:
    for i in range(300):
        future = pool.submit(SQUARE, i)
        if meet:
            future.add_done_callback(lambda future: None)
        while not future.done():
            pass
        assert concurrent.futures.wait([future], timeout=0).done == {future}
        assert "finished" in repr(future)


# --- States ---------------------------------------------------------------------------------------


def test_tasks_of_a_worker_share_its_state() -> None:
    with LuaPool(1, setup="n = 0") as pool:
        assert [pool.submit("n = n + 1 return n").result() for _ in range(3)] == [1, 2, 3]
        assert pool.statistics().states == 1


def test_upvalues_stay_in_the_state() -> None:
    counter = osthread.run("local n = 0 return function() n = n + 1 return n end")
    with LuaPool(1) as pool:
        assert [pool.submit(counter).result() for _ in range(3)] == [1, 2, 3]


def test_setup_runs_once_in_each_state() -> None:
    calls: list[int] = []
    with LuaPool(2, setup="note()", globals={"note": lambda: calls.append(1)}) as pool:
        both = threading.Barrier(2)
        for future in [pool.submit("(...)()", lambda: both.wait(PATIENCE)) for _ in range(2)]:
            assert future.exception(PATIENCE) is None or isinstance(future.exception(), ConversionError)
        assert len(calls) == 2
        list(pool.map(SQUARE, range(100)))
        assert len(calls) == 2


def test_tasks_per_state_bounds_what_tasks_share() -> None:
    with LuaPool(1, tasks_per_state=1) as pool:
        assert [pool.submit("n = (n or 0) + 1 return n").result() for _ in range(5)] == [1] * 5
        assert list(pool.map("function() n = (n or 0) + 1 return n end", range(5))) == [1] * 5
    with LuaPool(1, tasks_per_state=2) as pool:
        assert list(pool.map("function() n = (n or 0) + 1 return n end", range(6))) == [1, 2] * 3
        assert pool.statistics().states == 3


def test_modules_and_options_are_those_of_states() -> None:
    lines: list[str] = []
    modules = {"greet": "return {hello = function(name) return 'hello ' .. name end}"}
    with LuaPool(1, modules=modules, stdout=lines.append, globals={"who": "you"}, name="greeter") as pool:
        assert pool.submit("return require 'greet'.hello(who)").result() == "hello you"
        pool.submit("print('printed')").result()
        assert "greeter" in repr(pool)
    assert "".join(lines) == "printed\n"


def test_a_thousand_functions_are_all_right() -> None:
    with LuaPool(1) as pool:
        futures = [pool.submit(f"return {i}, ...", i) for i in range(1000)]
        assert [future.result() for future in futures] == [(i, i) for i in range(1000)]
        assert pool.submit("return 5, ...", 5).result() == (5, 5)


@pytest.mark.parametrize(
    ("setup", "cause"),
    [("error('no luck')", LuaError), ("local t = {} while true do t[#t + 1] = {} end", LuaMemoryError)],
)
def test_a_setup_that_fails_breaks_the_pool(setup: str, cause: type[LuaError]) -> None:
    with LuaPool(2, setup=setup, memory_limit=1 << 20) as pool:
        futures = [pool.submit("return 1") for _ in range(1)]
        for future in futures:
            error = future.exception(PATIENCE)
            assert isinstance(error, BrokenLuaPool)
            assert isinstance(error, concurrent.futures.BrokenExecutor)
            assert type(error.__cause__) is cause
        with pytest.raises(BrokenLuaPool):
            pool.submit("return 1")
        with pytest.raises(BrokenLuaPool):
            pool.map(SQUARE, [1])


def test_a_setup_that_fails_in_two_workers_at_once_breaks_the_pool_too() -> None:
    for _ in range(40):
        both = threading.Barrier(2)
        pool = LuaPool(2, setup="both() error('no luck')", globals={"both": both.wait})
        with pool, pytest.raises(BrokenLuaPool):
            list(pool.map(SQUARE, range(2)))


def test_a_setup_without_end_is_stopped_with_its_task() -> None:
    pool = LuaPool(1, setup="while true do end", grace=0.05)
    first, second = pool.submit("return 1"), pool.submit("return 2")
    wait_until(first.running)
    assert first.cancel()
    assert first.cancelled() or isinstance(first.exception(PATIENCE), Stopped)
    wait_until(second.running)
    pool.terminate()
    assert isinstance(second.exception(0), Stopped)


def test_a_setup_that_wraps_its_stop_breaks_no_pool() -> None:
    setup = """
        local ok, e = pcall(function() for i = 1, 2e8 do x = i end end)
        if not ok then error('wrapped: ' .. tostring(e)) end"""
    with LuaPool(1, setup=setup) as pool:
        first = pool.submit("return 1")
        wait_until(first.running)
        assert first.cancel()
        assert first.exception(PATIENCE) is not None
        assert pool.submit("return 2").result(PATIENCE) == 2


def test_wrong_options_are_told_at_once() -> None:
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="max_workers"):
            LuaPool(wrong)
        with pytest.raises(ValueError, match="tasks_per_state"):
            LuaPool(tasks_per_state=wrong)
    with pytest.raises(TypeError, match="max_workers"):
        LuaPool("2")  # type: ignore[arg-type]
    with pytest.raises(LuaSyntaxError, match="setup"):
        LuaPool(setup="x =")
    with pytest.raises(TypeError, match="suspended"):
        LuaPool(suspended=True)
    with pytest.raises(TypeError, match=r"no option 'colour'.* max_workers.* tasks_per_state"):
        LuaPool(colour="red")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="libraries"):
        LuaPool(libraries=["nothing"])
    with pytest.raises(ValueError, match="memory_limit"):
        LuaPool(memory_limit=1)


def alive(gone: list[weakref.ref[Any]]) -> int:
    gc.collect()
    return sum(each() is not None for each in gone)


@pytest.mark.parametrize("many", ["submit", "map"])
def test_what_tasks_leave_behind_is_collected_before_it_is_too_much(many: str) -> None:
    arrays: list[weakref.ref[Any]] = []

    def lent() -> SharedBuffer:
        a = np.empty(1 << 20)
        arrays.append(weakref.ref(a))
        return SharedBuffer(a)

    with LuaPool(1) as pool:
        if many == "map":
            lengths = list(pool.map("function(b) return #b end", (lent() for _ in range(40))))
            assert lengths == [1 << 20] * 40
        else:
            for _ in range(40):
                assert pool.submit("function(b) return #b end", lent()).result() == 1 << 20
        assert alive(arrays) < 8
        functions: list[weakref.ref[Any]] = []
        for _ in range(1000):
            f = functools.partial(int)
            functions.append(weakref.ref(f))
            assert pool.submit("(...)()", f).result() is None
        del f
        assert alive(functions) < 500


def test_a_worker_that_rests_keeps_nothing_of_its_tasks() -> None:
    class Owner:
        def __init__(self) -> None:
            self.pool = LuaPool(1)

        def method(self) -> None:
            pass

        def use(self) -> None:
            self.pool.submit("(...)()", self.method).result()

    owner = Owner()
    owner.use()
    gone = weakref.ref(owner)
    del owner
    wait_until(lambda: alive([gone]) == 0)


def test_what_others_do_puts_no_workers_rest_off() -> None:
    gone: list[weakref.ref[Any]] = []
    with LuaPool(16) as pool:
        meet = Barrier(16)  # so that there are so many, and each keeps something
        futures = []
        for _ in range(16):
            f = functools.partial(int)
            gone.append(weakref.ref(f))
            futures.append(pool.submit("function(f, meet) meet:wait() end", f, meet))
            del f
        concurrent.futures.wait(futures)
        del futures
        deadline = time.monotonic() + PATIENCE
        while alive(gone) and time.monotonic() < deadline:
            assert list(pool.map("function(x) return x end", [1, 2])) == [1, 2]  # it wakes all
            time.sleep(0.02)
        assert alive(gone) == 0


def test_one_long_collection_is_not_waited_for_ever_after() -> None:
    """A worker rests for 20 times what its last one took."""

    def collected_within(left: str, seconds: float) -> bool:
        f = functools.partial(int)
        gone = weakref.ref(f)
        pool.submit(left, f).result()
        del f
        begin = time.monotonic()
        wait_until(lambda: alive([gone]) == 0)
        return time.monotonic() - begin < seconds

    slow = """function(f)
        local p = newproxy(true)
        getmetatable(p).__gc = function() require('osthread').sleep(0.15) f = nil end
    end"""
    with LuaPool(1) as pool:
        assert collected_within(slow, PATIENCE)
        assert not collected_within("function(f) end", 2)
        assert collected_within("function(f) end", 2)


def test_a_finalizer_without_end_in_a_resting_worker_is_stopped() -> None:
    leave = "function(f) getmetatable(newproxy(true)).__gc = function() begun() while true do end end old = true end"
    begun = threading.Event()
    with LuaPool(1, grace=0.01, time_limit=0.1, globals={"begun": begun.set}) as pool:
        pool.submit(leave, list).result()
        assert begun.wait(PATIENCE)
        assert pool.submit("return old").result(PATIENCE) is None
        assert pool.statistics().states == 2
    begun.clear()
    pool = LuaPool(1, grace=0.01, globals={"begun": begun.set})
    pool.submit(leave, list).result()
    assert begun.wait(PATIENCE)
    pool.terminate()
    assert pool.statistics().workers == 0


def test_a_worker_that_rests_keeps_no_structure_of_its_tasks() -> None:
    a = np.ones(1000, [("x", "f8")])
    gone = weakref.ref(a)
    with LuaPool(1) as pool:
        assert pool.submit("function(b) return b[1].x end", SharedBuffer(a)).result() == 1
        del a
        wait_until(lambda: alive([gone]) == 0)


# --- Limits, cancelling ---------------------------------------------------------------------------


@pytest.mark.parametrize("code", [FOREVER, STUBBORN, NEVER])
def test_a_task_that_breaks_its_time_limit_fails_alone(code: str) -> None:
    with LuaPool(2, time_limit=0.1, grace=0.02) as pool:
        bad = [pool.submit(code) for _ in range(3)]
        good = [pool.submit(SQUARE, i) for i in range(50)]
        assert [future.result(PATIENCE) for future in good] == [i * i for i in range(50)]
        assert [type(future.exception(PATIENCE)) for future in bad] == [LuaTimeout] * 3
        assert pool.submit("return 1").result(PATIENCE) == 1


def test_a_time_limit_is_for_each_item_of_a_map() -> None:
    with LuaPool(1, time_limit=0.3) as pool:
        f = "function(x) local osthread = require 'osthread' osthread.sleep(0.1) return x end"
        assert list(pool.map(f, range(5))) == list(range(5))
        assert list(pool.map(f, range(5), chunksize=5)) == list(range(5))


def test_a_task_that_eats_memory_fails_alone() -> None:
    with LuaPool(2, memory_limit=2 << 20) as pool:
        bad = [pool.submit("local t = {} while true do t[#t + 1] = {} end") for _ in range(4)]
        good = [pool.submit(SQUARE, i) for i in range(50)]
        assert [future.result(PATIENCE) for future in good] == [i * i for i in range(50)]
        assert [type(future.exception(PATIENCE)) for future in bad] == [LuaMemoryError] * 4


@pytest.mark.parametrize("code", [FOREVER, STUBBORN, NEVER, "local c = ... c:receive()"])
def test_cancel_stops_code_that_runs(pool: LuaPool, code: str) -> None:
    future = pool.submit(code, Channel())
    runs(pool)
    assert future.cancel()
    with pytest.raises(concurrent.futures.CancelledError) as raised:
        future.result(PATIENCE)
    assert isinstance(raised.value, Stopped)
    assert future.cancelled()
    assert future.done()
    assert not future.running()
    assert future.cancel()
    assert pool.submit("return 1").result(PATIENCE) == 1


def test_cancel_takes_a_queued_task_away() -> None:
    with LuaPool(1) as pool:
        blocker = pool.submit(FOREVER)
        runs(pool)
        queued = [pool.submit(SQUARE, i) for i in range(10)]
        called: queue.SimpleQueue[Any] = queue.SimpleQueue()
        queued[3].add_done_callback(called.put)
        assert not queued[3].running()
        assert queued[3].cancel()
        assert queued[3].cancelled()
        assert called.get(timeout=PATIENCE) is queued[3]
        with pytest.raises(concurrent.futures.CancelledError):
            queued[3].result()
        assert queued[3].cancel()
        assert pool.statistics().cancelled == 1
        assert concurrent.futures.wait([queued[3]], PATIENCE).done == {queued[3]}
        assert blocker.cancel()
        assert [f.result(PATIENCE) for f in queued if f is not queued[3]] == [
            i * i for i in range(10) if i != 3
        ]


def test_code_that_catches_the_stop_and_returns_gives_its_result(pool: LuaPool) -> None:
    future = pool.submit("pcall(function() while true do end end) return 'clean'")
    runs(pool)
    assert future.cancel()
    assert future.result(PATIENCE) == "clean"
    assert not future.cancelled()


def test_a_cancel_hits_no_other_task() -> None:
    spin = "function(n) local x = 0 for i = 1, n do x = x + i % 7 end return x end"
    rng = random.Random(1)
    with LuaPool(2, grace=0.05) as pool:
        expected = pool.submit(spin, 20_000).result()
        futures = [pool.submit(spin, 20_000) for _ in range(2000)]
        chosen = set(rng.sample(range(2000), 600))
        for i in chosen:
            futures[i].cancel()
        assert not concurrent.futures.wait(futures, PATIENCE).not_done
        for i, future in enumerate(futures):
            if i not in chosen or not future.cancelled():
                assert future.result(PATIENCE) == expected
        statistics = pool.statistics()
        assert statistics.finished + statistics.failed + statistics.cancelled == 2001
        assert statistics.queued == statistics.running == 0


def test_a_lock_of_a_cancelled_task_passes_on() -> None:
    lock = osthread.Lock()
    with LuaPool(1) as pool:
        future = pool.submit("(...):acquire() while true do end", lock)
        wait_until(lambda: lock.locked())
        future.cancel()
        assert lock.acquire(timeout=PATIENCE)
        assert lock.abandoned
        lock.release()


@pytest.mark.parametrize("stop", ["cancel", "terminate"])
def test_threads_of_a_task_end_with_its_state(stop: str) -> None:
    code = "local o = require 'osthread' t = o.OSThread({on_exit = 'terminate'}, 'while true do end') while true do end"
    with LuaPool(1, grace=0.02) as pool:
        future = pool.submit(code)
        wait_until(lambda: len(osthread.enumerate()) == 1)
        if stop == "cancel":
            future.cancel()
            assert isinstance(future.exception(PATIENCE), Stopped)
            pool.submit("t:terminate() t = nil").result(PATIENCE)
        else:
            pool.terminate()
        wait_until(lambda: not osthread.enumerate())


# --- map ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunksize", [1, 3, 1000])
def test_map_is_in_order(pool: LuaPool, chunksize: int) -> None:
    assert list(pool.map(SQUARE, range(1000), chunksize=chunksize)) == [i * i for i in range(1000)]
    pairs = pool.map("function(a, b) return a + b end", range(10), iter(range(100, 200)), chunksize=chunksize)
    assert list(pairs) == [100 + 2 * i for i in range(10)]
    assert list(pool.map("return ...", [(1, 2)], chunksize=chunksize)) == [[1, 2]]
    assert list(pool.map("return ...", ["a", None, True, {"k": [1]}])) == ["a", None, True, {"k": [1]}]
    assert list(pool.map("function(x) return x, -x end", [1, 2])) == [(1, -1), (2, -2)]
    assert list(pool.map(SQUARE, [])) == []
    assert list(pool.map(SQUARE)) == []


def test_map_begins_at_once_and_yields_as_results_come(pool: LuaPool) -> None:
    called = threading.Event()
    go = threading.Event()

    def item(i: int) -> int:
        if i == 0:
            called.set()
        elif i == 5:
            assert go.wait(PATIENCE)
        return i

    results = pool.map("function(f, i) return f(i) end", [item] * 10, range(10))
    assert called.wait(PATIENCE)  # before anybody asked
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    go.set()
    assert list(results) == [5, 6, 7, 8, 9]


def test_map_with_a_buffersize_reads_no_further(pool: LuaPool) -> None:
    read = 0

    def numbers() -> Iterator[int]:
        nonlocal read
        while True:
            read += 1
            yield read

    results = pool.map(SQUARE, numbers(), buffersize=4)
    assert read == 4
    assert [next(results) for _ in range(10)] == [i * i for i in range(1, 11)]
    assert read == 14
    del results
    gc.collect()


def test_an_item_of_a_map_that_takes_too_long_is_cancelled(pool: LuaPool) -> None:
    for options in ({}, {"buffersize": 1}):
        results = pool.map(FOREVER, [()], timeout=0.05, **options)
        with pytest.raises(TimeoutError, match="the result 1"):
            next(results)
        runs(pool, 0)


def test_an_error_comes_in_its_turn_and_ends_the_map() -> None:
    done: list[int] = []
    code = "function(note, i) if i == 3 then error('three') end note(i) return i end"
    with LuaPool(1) as pool:
        results = pool.map(code, [done.append] * 100, range(100))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(LuaError, match="three"):
            next(results)
        with pytest.raises(StopIteration):
            next(results)


def test_a_dropped_map_is_cancelled() -> None:
    with LuaPool(1) as pool:
        begun = threading.Event()
        code = "function(f, i) f() while i > 0 do end return i end"
        results = pool.map(code, [begun.set] * 1000, range(1000))
        assert next(results) == 0
        wait_until(lambda: pool.statistics().running == 1)
        results.close()  # type: ignore[attr-defined]
        wait_until(lambda: pool.statistics().queued == 0)
        statistics = pool.statistics()
        assert statistics.cancelled > 900
        assert pool.submit("return 1").result(PATIENCE) == 1


@pytest.mark.parametrize("options", [{}, {"buffersize": 5}])
def test_a_map_that_nobody_looks_at_is_cancelled(options: Any) -> None:
    with LuaPool(1) as pool:
        results = pool.map(FOREVER, range(10), **options)
        wait_until(lambda: pool.statistics().running == 1)
        del results
        gc.collect()
        assert pool.submit("return 1").result(PATIENCE) == 1


def test_map_has_a_timeout(pool: LuaPool) -> None:
    results = pool.map("function(i) while i == 2 do end return i end", range(4), timeout=0.3)
    assert next(results) == 0
    assert next(results) == 1
    with pytest.raises(TimeoutError, match="3 of 4"):
        next(results)
    wait_until(lambda: pool.statistics().running == 0)


@pytest.mark.parametrize("first", [0, 40, 99])
def test_uneven_items_balance(pool: LuaPool, first: int) -> None:
    # One item lasts until all others are done: by whoever has not got it.
    others = osthread.Semaphore(0)
    code = """function(others, first, i)
      if i ~= first then others:release() else for _ = 1, 99 do others:acquire() end end
      return i
    end"""
    results = pool.map(code, [others] * 100, [first] * 100, range(100), timeout=PATIENCE)
    assert list(results) == list(range(100))


def test_map_refuses_wrong_arguments(pool: LuaPool) -> None:
    with pytest.raises(ValueError, match="chunksize"):
        pool.map(SQUARE, [1], chunksize=0)
    with pytest.raises(ValueError, match="buffersize"):
        pool.map(SQUARE, [1], buffersize=0)
    with pytest.raises(ConversionError):
        pool.map(SQUARE, [object()])
    with pytest.raises(TypeError):
        pool.map(SQUARE, 5)  # type: ignore[arg-type]


# --- map_array ------------------------------------------------------------------------------------

AXPY = """function(x, y, out, i, j, a)
  for k = i, j - 1 do out[k] = a * x[k] + y[k] end
end"""


@pytest.mark.parametrize(
    "kernel",
    [
        "return function(a, i, j) a[i] = 1 end",
        "function kernel(a, i, j) a[i] = 1 end",
        " local function kernel(a, i, j) a[i] = 1 end",
    ],
)
def test_a_kernel_that_is_only_defined_is_refused(kernel: str, pool: LuaPool) -> None:
    a = np.zeros(4)
    with pytest.raises((TypeError, ValueError), match=r"function\(a, start, stop\) \.\.\. end"):
        pool.map_array(kernel, a, out=a)
    chunk = "local function one() return 1 end local a, out, i, j = ... for k = i, j - 1 do a[k] = one() end"
    assert pool.map_array(chunk, a, out=a).tolist() == [1] * 4


def test_more_arguments_than_a_call_can_have_are_refused(pool: LuaPool) -> None:
    a, kernel = np.zeros(4), "function(a, i, j, ...) return select('#', ...) end"
    assert sum(pool.map_array(kernel, a, args=(None,) * 199)) == 4 * 199
    with pytest.raises(ValueError, match="more than 200 arrays and args"):
        pool.map_array(kernel, a, args=(None,) * 200)


@pytest.mark.parametrize(("dtype", "element"), [("f8", "y"), ([("x", "f8")], "{y}")])
def test_map_array_needs_no_global_names(dtype: Any, element: str) -> None:
    a = np.zeros(10, dtype)
    kernel = f"function(a, start, stop, x, y) for i = start, stop - 1 do a[i] = {element} end end"
    with LuaPool(1) as pool:
        pool.submit("select, unpack, collectgarbage = nil").result()
        pool.map_array(kernel, a, args=(None, 2))
    assert a.view("f8").tolist() == [2] * 10


@pytest.mark.parametrize("libraries", ["all", "safe"])
@pytest.mark.parametrize("length", [1, 7, 1000, 100_003])
def test_map_array_fills_out(libraries: Any, length: int) -> None:
    x, y, out = np.arange(length, dtype=float), np.ones(length), np.zeros(length, "float32")
    with LuaPool(2, libraries=libraries) as pool:
        assert pool.map_array(AXPY, x, y, out=out, args=(3,)) is out
    np.testing.assert_array_equal(out, (3 * x + y).astype("float32"))


def test_map_array_reduces(pool: LuaPool) -> None:
    x = np.arange(10_000, dtype="int32")
    total = "function(x, i, j) local s = 0 for k = i, j - 1 do s = s + x[k] end return s end"
    parts = pool.map_array(total, x)
    assert len(parts) == 32
    assert sum(parts) == x.sum()
    assert len(pool.map_array(total, x, chunksize=5000)) == 2
    assert pool.map_array("return ...", np.zeros(0)) == []
    bounds = pool.map_array("function(x, i, j, ...) return i, j, select('#', ...) end", x, args=(1, None))
    assert bounds[0][0] == 0
    assert bounds[-1][1] == 10_000
    assert all(a[1] == b[0] for a, b in itertools.pairwise(bounds))
    assert {count for _, _, count in bounds} == {2}


def test_map_array_leaves_the_workers_their_states() -> None:
    with LuaPool(2) as pool:
        for _ in range(500):
            pool.map_array("function(a, i, j) return j end", np.zeros(100))
        assert pool.statistics().states <= 2


def test_map_array_tells_of_an_error_at_once_and_stops_the_others(pool: LuaPool) -> None:
    kernel = "function(a, i) if i == 3 then error('at three') end while i == 0 do end end"
    with pytest.raises(LuaError, match="at three"):
        pool.map_array(kernel, np.zeros(4), chunksize=1)
    assert pool.submit("return 1").result() == 1


def test_map_array_cuts_the_first_axis(pool: LuaPool) -> None:
    image = np.zeros((64, 48), "uint8")
    kernel = "function(a, i, j, width) for y = i, j - 1 do for x = 0, width - 1 do a[y * width + x] = y + x end end end"
    pool.map_array(kernel, image, args=(48,))
    np.testing.assert_array_equal(image, np.add.outer(np.arange(64), np.arange(48)))


@pytest.mark.parametrize(
    ("dtype", "declaration"),
    [
        ("int8", "int8_t *"),
        ("uint32", "uint32_t *"),
        ("float32", "float *"),
        ("complex128", "complex double *"),
    ],
)
def test_map_array_gives_typed_pointers(pool: LuaPool, dtype: str, declaration: str) -> None:
    kernel = "function(a, i, j, t) local ffi = require 'ffi' return ffi.typeof(a) == ffi.typeof(t) end"
    assert pool.map_array(kernel, np.zeros(4, dtype), args=(declaration,)) == [True] * 4


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float16"])
@pytest.mark.parametrize("libraries", ["all", "safe"])
def test_elements_that_have_no_number_in_c_are_lua_s_numbers(dtype: str, libraries: Any) -> None:
    kernel = """function(a, out, i, j)
        local count = {}
        for k = i, j - 1 do
          count[a[k]] = (count[a[k]] or 0) + 1
          out[k] = a[k] / 2
        end
        return count
    end"""
    a = np.array([5, 7, 5, 5], dtype)
    out = np.zeros(4, "float32")
    with LuaPool(1, libraries=libraries) as pool:
        assert pool.map_array(kernel, a, out, chunksize=4) == [{5: 3, 7: 1}]
    assert out.tolist() == [2.5, 3.5, 2.5, 2.5]


def test_map_array_gives_structures_back_when_it_returns(pool: LuaPool) -> None:
    memory = bytearray(8000)
    a = np.frombuffer(memory, [("x", "f8")])
    pool.map_array("function(a, i, j) for k = i, j - 1 do a[k].x = k end end", a)
    assert a["x"].tolist() == list(range(1000))
    del a
    gc.collect()
    memory.append(0)  # BufferError if anybody has it


def test_a_job_does_not_wait_for_a_worker_that_tidies_up() -> None:
    begun, go = threading.Event(), threading.Event()

    def finalize() -> None:
        begun.set()
        go.wait(PATIENCE)

    with LuaPool(2, globals={"finalize": finalize}) as pool:
        pool.submit(
            "function(f) getmetatable(newproxy(true)).__gc = function() finalize() end end", list
        ).result()
        assert begun.wait(PATIENCE)
        assert pool.submit("return 1").result(PATIENCE) == 1
        assert not go.is_set()
        go.set()


def test_map_array_takes_no_buffer_from_other_code(pool: LuaPool) -> None:
    b = SharedBuffer(np.zeros(4))
    with LuaPool(1) as pool:
        pool.submit("function(b) kept = b end", b).result()
        kernel = osthread.run(
            "local b = ... return function(a, i, j) for k = i, j - 1 do a[k] = b[k] + 1 end end", b
        )
        for _ in range(2):
            pool.map_array(kernel, b)
        assert pool.submit("return kept[0]").result() == 2


def test_map_array_keeps_what_is_read_only(pool: LuaPool) -> None:
    a = np.arange(4.0)
    a.flags.writeable = False
    with pytest.raises(LuaError, match="constant"):
        pool.map_array("function(a, i) a[i] = 1 end", a)
    with pytest.raises(ValueError, match="read-only"):
        pool.map_array("function() end", out=a)
    assert a[0] == 0


def test_map_array_says_what_is_wrong(pool: LuaPool) -> None:
    with pytest.raises(ValueError, match="there is no array"):
        pool.map_array("return 1")
    with pytest.raises(ValueError, match="array 2 has 3 rows, the first array 4"):
        pool.map_array("return 1", np.zeros(4), np.zeros(3))
    with pytest.raises(ValueError, match="out has 3 rows"):
        pool.map_array("return 1", np.zeros(4), out=np.zeros(3))
    with pytest.raises(ValueError, match="no axis"):
        pool.map_array("return 1", np.array(1.0))
    with pytest.raises(ValueError, match="C-contiguous"):
        pool.map_array("return 1", np.zeros((4, 4)).T)
    with pytest.raises(TypeError, match="args"):
        pool.map_array("return 1", np.zeros(4), args=[1])  # type: ignore[arg-type]
    with pytest.raises(LuaError, match="kernel is wrong"):
        pool.map_array("error('kernel is wrong')", np.zeros(4))


def test_an_error_of_a_kernel_stops_the_others() -> None:
    code = "function(a, i) if i == 0 then error('first') end while true do end end"
    with LuaPool(2) as pool:
        with pytest.raises(LuaError, match="first"):
            pool.map_array(code, np.zeros(100))
        assert pool.statistics().running == 0
        assert pool.submit("return 1").result(PATIENCE) == 1


@pytest.mark.parametrize("libraries", ["all", "safe"])
def test_map_array_pins_no_longer_than_it_takes(libraries: Any) -> None:
    data = bytearray(8000)
    with LuaPool(2, libraries=libraries) as pool:
        for _ in range(20):
            pool.map_array("function(a, i, j) for k = i, j - 1 do a[k] = 1 end end", data)
            data.append(0)  # BufferError while anybody has it
            with pytest.raises(LuaError):
                pool.map_array("function(a, i) error('x') end", data)
            data.append(0)


def test_safe_kernels_are_checked() -> None:
    with LuaPool(2, libraries="safe") as pool, pytest.raises(LuaError, match="out of range"):
        pool.map_array("function(a, i, j) return a[j + 1000000] end", np.zeros(10))


def test_map_array_takes_shared_buffers(pool: LuaPool) -> None:
    buffer = SharedBuffer("float64", 100)
    pool.map_array("function(a, i, j) for k = i, j - 1 do a[k] = k end end", buffer)
    assert np.asarray(buffer).tolist() == list(range(100))


# --- asyncio --------------------------------------------------------------------------------------


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Any:
    if request.param == "asyncio":
        return asyncio.run
    uvloop = pytest.importorskip("uvloop")
    return uvloop.run


@pytest.mark.parametrize("debug", [False, True])
def test_a_pool_is_an_executor_of_event_loops(pool: LuaPool, run: Any, debug: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(debug)
        square = osthread.compile(SQUARE)
        results = await asyncio.gather(*(loop.run_in_executor(pool, square, i) for i in range(50)))
        assert results == [i * i for i in range(50)]
        with pytest.raises(LuaError, match="oops"):
            await loop.run_in_executor(pool, osthread.compile("error('oops')"))

    run(main())


def test_cancelling_a_task_stops_the_code(pool: LuaPool, run: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(loop.run_in_executor(pool, osthread.compile(FOREVER)))
        while pool.statistics().running == 0:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(loop.run_in_executor(pool, osthread.compile(FOREVER)), 0.05)
        while pool.statistics().running:
            await asyncio.sleep(0.001)

    run(main())


# --- progress -------------------------------------------------------------------------------------


def test_progress_shows_a_bar(pool: LuaPool, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    assert list(pool.map(SQUARE, range(100), progress=True)) == [i * i for i in range(100)]
    assert "100/100" in capsys.readouterr().err
    pool.map_array("function() end", np.zeros(64), progress=True)
    assert "32/32" in capsys.readouterr().err


def test_progress_without_tqdm_says_what_to_install(pool: LuaPool, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"osthread\[progress\]"):
        list(pool.map(SQUARE, [1], progress=True))


def test_statistics_add_up(pool: LuaPool) -> None:
    list(pool.map(SQUARE, range(1000)))
    pool.submit("error('x')").exception()
    statistics = pool.statistics()
    assert statistics.finished == 1000
    assert statistics.failed == 1
    assert statistics.max_workers == 2
    assert 1 <= statistics.states <= statistics.workers
    assert statistics.idle <= statistics.workers
