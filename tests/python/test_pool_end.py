"""The end of a LuaPool: its block's, its own, the program's. Nothing that it was given is lost, nothing hangs."""

from __future__ import annotations

import concurrent.futures
import functools
import gc
import os
import pickle
import random
import re
import signal
import threading
import time
import warnings
import weakref
from typing import Any

import osthread
import pytest
from osthread import Channel, ConversionError, Killed, LuaPool, Stopped
from programs import NEVER, SIGNALLED, SQUARE, STUBBORN
from waiting import PATIENCE, wait_until


def test_shutdown_does_what_was_submitted() -> None:
    pool = LuaPool(2)
    futures = [pool.submit(SQUARE, i) for i in range(500)]
    pool.shutdown()
    assert all(future.done() for future in futures)
    assert [future.result() for future in futures] == [i * i for i in range(500)]
    assert pool.statistics().workers == 0
    for _ in range(2):
        pool.shutdown()
    for use in (lambda: pool.submit("return 1"), lambda: pool.map(SQUARE, [1])):
        with pytest.raises(RuntimeError, match="shut down"):
            use()
    assert "shut down" in repr(pool)


def test_shutdown_without_waiting() -> None:
    pool = LuaPool(1)
    go = threading.Event()
    first = pool.submit("(...)()", lambda: go.wait(PATIENCE) and None)
    second = pool.submit("return 2")
    pool.shutdown(wait=False)
    assert not first.done()
    go.set()
    assert second.result(PATIENCE) == 2
    wait_until(lambda: pool.statistics().workers == 0)
    pool.shutdown()


def test_shutdown_may_cancel_what_is_queued() -> None:
    pool = LuaPool(1)
    go = threading.Event()
    begun = threading.Event()

    def hold() -> None:
        begun.set()
        go.wait(PATIENCE)

    first = pool.submit("(...)()", hold)
    assert begun.wait(PATIENCE)
    queued = [pool.submit("return 2") for _ in range(5)]
    items = pool.map(SQUARE, range(5))
    pool.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in queued)
    with pytest.raises(concurrent.futures.CancelledError):
        next(items)
    go.set()
    pool.shutdown()
    assert first.result() is None


def test_an_exception_ends_the_block_and_what_runs() -> None:
    with pytest.raises(ZeroDivisionError), LuaPool(2, grace=0.02) as pool:  # noqa: PT012
        running = [pool.submit(code) for code in (STUBBORN, NEVER)]
        queued = pool.submit("return 1")
        wait_until(lambda: pool.statistics().running == 2)
        raise ZeroDivisionError
    assert [isinstance(future.exception(0), Stopped) for future in running] == [True, True]
    assert isinstance(running[1].exception(0), Killed)
    assert queued.cancelled()


def test_what_sits_in_python_is_given_up() -> None:
    go = threading.Event()
    begun = threading.Event()

    def hold() -> None:
        begun.set()
        go.wait(PATIENCE)

    pool = LuaPool(1, grace=0.01)
    future = pool.submit("(...)()", hold)
    assert begun.wait(PATIENCE)
    with pytest.warns(osthread.ThreadAbandonedWarning, match="1 worker"):
        pool.terminate()
    assert isinstance(future.exception(0), osthread.Abandoned)
    go.set()


def test_futures_are_told_though_the_warning_is_an_error() -> None:
    go, begun = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        go.wait(PATIENCE)

    pool = LuaPool(1, grace=0.01)
    future, queued = pool.submit("(...)()", hold), pool.submit("return 1")
    assert begun.wait(PATIENCE)
    with pytest.raises(osthread.ThreadAbandonedWarning):
        pool.terminate()
    assert isinstance(future.exception(0), osthread.Abandoned)
    assert concurrent.futures.wait([queued], 0).done == {queued}
    go.set()


def test_a_finalizer_without_end_is_ended_too() -> None:
    setup = "keep = newproxy(true) getmetatable(keep).__gc = function() while true do end end"
    with pytest.raises(ZeroDivisionError), LuaPool(1, setup=setup, grace=0.01) as pool:  # noqa: PT012
        pool.submit("return 1").result()
        raise ZeroDivisionError
    assert pool.statistics().workers == 0
    with LuaPool(1, setup=setup, grace=0.01, time_limit=0.1, tasks_per_state=1) as pool:
        assert list(pool.map(SQUARE, range(3))) == [0, 1, 4]


def test_a_dropped_pool_does_what_was_submitted_and_goes() -> None:
    pool = LuaPool(2)
    gone = weakref.ref(pool)
    futures = [pool.submit(SQUARE, i) for i in range(100)]
    del pool
    gc.collect()
    assert gone() is None
    assert [future.result(PATIENCE) for future in futures] == [i * i for i in range(100)]


def test_the_program_s_end_waits_for_what_a_dropped_pool_was_given(start_script: Any) -> None:
    # Longer than the end waits for threads of ours that have nothing of Lua to do.
    done = start_script("""
from osthread import LuaPool
pool = LuaPool(1)
for i in range(5):
    pool.submit("require('osthread').sleep(0.4) return (...)", i).add_done_callback(
        lambda future: print(future.result(), flush=True))
del pool
""").finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == list("01234")


def test_an_uncaught_exception_ends_what_a_dropped_pool_does(start_script: Any) -> None:
    script = start_script("""
from osthread import LuaPool
pool = LuaPool(2, grace=0.01)
for _ in range(6):
    pool.submit("while true do end")
del pool
raise ZeroDivisionError
""")
    done = script.finish()
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ZeroDivisionError")


@pytest.mark.skipif(os.name != "posix", reason="forks")
def test_a_fork_s_child_does_not_wait_for_a_dropped_pool_of_its_parent(start_script: Any) -> None:
    done = start_script("""
import os
from osthread import LuaPool
pool = LuaPool(1)
pool.submit("require('osthread').sleep(0.5)")
del pool
child = os.fork()
if child:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
""").finish()
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["0"], "")


def is_taken(future: concurrent.futures.Future[Any]) -> bool:
    """By a worker, or whoever cancels it: no other can take it any more."""
    return future.running() or future.done()


def test_shutdown_waits_for_a_cancel_on_another_thread() -> None:
    many = [[str(i)] for i in range(200_000)]  # which it takes a while to let go of
    for _ in range(3):
        gate: Channel = Channel()
        called: list[Any] = []
        pool = LuaPool(1)
        pool.submit("(...):receive()", gate)
        queued = pool.submit("return 1", many)
        queued.add_done_callback(called.append)
        canceller = threading.Thread(target=queued.cancel)
        canceller.start()
        wait_until(functools.partial(is_taken, queued))
        gate.send(1)
        pool.shutdown()
        canceller.join()
        assert queued.cancelled()
        assert called == [queued]


def test_terminate_leaves_finalizers_their_grace_time() -> None:
    begun, ended = threading.Event(), threading.Event()
    setup = """
        keep = newproxy(true)
        getmetatable(keep).__gc = function()
          begun()
          local now = require('osthread').now
          local till = now() + 0.1
          while now() < till do end
          ended()
        end"""
    names = {"begun": begun.set, "ended": ended.set}
    pool = LuaPool(1, setup=setup, grace=PATIENCE, globals=names)
    pool.submit("return 1").result()
    wait_until(lambda: pool.statistics().idle == 1)
    pool.terminate()
    assert begun.is_set()
    assert ended.is_set()


def test_terminate_ends_what_a_worker_has_just_taken() -> None:
    slow = 0
    for _ in range(1000):
        pool = LuaPool(4, grace=0.02)
        for _ in range(4):
            pool.submit("while true do end")
        moment = time.perf_counter() + random.uniform(0, 3e-4)
        while time.perf_counter() < moment:
            pass
        begun = time.perf_counter()
        pool.terminate()
        slow += time.perf_counter() - begun > 1.5  # one that is missed runs until it is asked again after 2 s
    assert slow < 5  # of the machine's own; 30 were missed


def test_a_finalizer_on_the_thread_that_tells_futures_may_end_the_pool(run_script: Any) -> None:
    script = """if True:
    import concurrent.futures, gc, threading
    from osthread import Channel, LuaPool

    class Owner:
        def __init__(self, pool):
            self.pool, self.me = pool, self
        def __del__(self):
            threads.append(threading.get_ident())
            begun.release()
            self.pool.shutdown()

    threads = []
    begun = threading.Lock()
    begun.acquire()
    gc.disable()
    pool = LuaPool(1)
    gate = Channel()
    futures = [pool.submit("(...):receive() error('e')", gate)]
    futures += [pool.submit("error({1, 2})") for _ in range(50)]
    Owner(pool)
    gate.send(1)
    gc.set_threshold(1)
    gc.enable()  # from here on the main thread makes nothing: so the collector runs on the other
    begun.acquire()
    gc.disable()
    print(threading.get_ident() in threads, len(concurrent.futures.wait(futures).done))
    """
    assert run_script(script) == (0, "False 51\n", "")


def test_terminate_in_a_callback_does_not_warn_of_that_one() -> None:
    ended = threading.Event()
    pool = LuaPool(1)
    warned: list[BaseException] = []

    def terminate(_: Any) -> None:
        try:
            pool.terminate()
        except Warning as warning:
            warned.append(warning)
        ended.set()

    pool.submit("return 1").add_done_callback(terminate)
    assert ended.wait(PATIENCE)
    pool.shutdown()
    assert warned == []


def test_a_dropped_future_is_done_all_the_same(pool: LuaPool) -> None:
    called: list[int] = []
    pool.submit("(...)(1)", called.append)
    gc.collect()
    wait_until(lambda: called == [1])


def test_a_task_cannot_wait_for_its_own_pool() -> None:
    with LuaPool(1) as pool:
        future = pool.submit("(...)()", lambda: pool.shutdown())
        assert isinstance(future.exception(PATIENCE), RuntimeError)


def test_pools_inside_pools() -> None:
    def inner(x: int) -> float:
        with LuaPool(1) as pool:
            result: float = pool.submit(SQUARE, x).result(PATIENCE)
            return result

    with LuaPool(2) as pool:
        assert list(pool.map("function(f, x) return f(x) end", [inner] * 6, range(6))) == [
            i * i for i in range(6)
        ]


def test_a_task_may_submit_to_its_pool(pool: LuaPool) -> None:
    assert pool.submit("(...)()", lambda: pool.submit(SQUARE, 3).result(PATIENCE) and None).result() is None


def test_a_pool_is_no_value() -> None:
    with LuaPool(1) as pool:
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(pool)
        with pytest.raises(ConversionError):
            osthread.run("return 1", pool)


def test_threads_are_not_made_before_they_are_needed() -> None:
    with LuaPool(4) as pool:
        assert pool.statistics().workers == 0
        for _ in range(20):
            pool.submit("return 1").result()
            wait_until(lambda: pool.statistics().idle == pool.statistics().workers)
        assert pool.statistics().workers == 1
        list(pool.map(SQUARE, range(1000)))
        assert pool.statistics().workers == 4


def test_pools_come_and_go_without_a_trace() -> None:
    fds = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    for i in range(50):
        with LuaPool(2) as pool:
            assert sum(pool.map(SQUARE, range(i))) == sum(x * x for x in range(i))
    if fds:
        assert len(os.listdir("/proc/self/fd")) == fds


def test_a_fork_has_no_pool() -> None:
    with LuaPool(1) as pool:
        assert pool.submit("return 1").result() == 1
        pending = pool.submit("local c = ... return c:receive()", channel := Channel())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            status = 1
            try:
                told = 0
                for use in (lambda: pool.submit("return 1"), lambda: pending.result(1)):
                    try:
                        use()
                    except RuntimeError as error:
                        told += "before the fork" in str(error)
                with LuaPool(1) as own:
                    status = 0 if told == 2 and own.submit("return 2").result(PATIENCE) == 2 else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        channel.send(5)
        assert pending.result(PATIENCE) == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_child_of_a_busy_parent_hangs_nowhere(run_script: Any) -> None:
    script = """if True:
    import os, signal, threading, warnings
    from osthread import LuaPool

    warnings.simplefilter("ignore", DeprecationWarning)
    pool = LuaPool(2)
    called = threading.Event()
    pool.submit("return 1").add_done_callback(lambda future: called.set())
    called.wait()
    for _ in range(150):
        futures = [pool.submit("return 7") for _ in range(100)]
        futures[0].add_done_callback(lambda future: None)
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            status = 1
            try:
                pool.submit("return 1")
            except RuntimeError as error:
                status = 0 if "before the fork" in str(error) else 2
            for future in futures:
                if future.done() and future.result() != 7:
                    status = 3
            del pool, future, futures
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.wait()[1])
        assert status == 0, status
        assert [future.result() for future in futures] == [7] * len(futures)
    """
    assert run_script(script) == (0, "", "")


# --- The program's end ----------------------------------------------------------------------------


def test_the_block_is_left_when_the_callbacks_have_returned() -> None:
    gate, called = threading.Event(), []

    def call_back(future: Any) -> None:
        gate.wait(PATIENCE)
        called.append(future)

    with LuaPool(2) as pool:
        futures = [pool.submit(SQUARE, i) for i in range(4)]
        for future in futures:
            future.add_done_callback(call_back)
        timer = threading.Timer(0.05, gate.set)
        timer.start()
    assert set(called) == set(futures)
    timer.join()


def test_a_callback_may_shut_the_pool_down() -> None:
    ended = threading.Event()
    pool = LuaPool(1)

    def shut_down(_: Any) -> None:
        pool.shutdown()
        ended.set()

    pool.submit("return 1").add_done_callback(shut_down)
    assert ended.wait(PATIENCE)
    pool.shutdown()


def test_leaving_the_block_waits_for_a_callback_that_shuts_the_pool_down() -> None:
    shut, gate, called = threading.Event(), threading.Event(), []

    def shut_down(future: Any) -> None:
        pool.shutdown()
        shut.set()
        gate.wait(PATIENCE)
        called.append(future)

    with LuaPool(1) as pool:
        future = pool.submit("return 1")
        future.add_done_callback(shut_down)
        assert shut.wait(PATIENCE)
        timer = threading.Timer(0.05, gate.set)
        timer.start()
    assert called == [future]
    timer.join()


def test_a_callback_that_does_not_return_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("osthread._pool.CALLBACK_SECONDS", 0.05)
    begun, go = threading.Event(), threading.Event()

    def sit(_: Any) -> None:
        begun.set()
        go.wait(PATIENCE)

    pool = LuaPool(1)
    pool.submit("return 1").add_done_callback(sit)
    assert begun.wait(PATIENCE)
    with pytest.warns(osthread.ThreadAbandonedWarning, match="callback"):
        pool.terminate()
    go.set()
    pool.shutdown()


def test_the_programs_end_waits_for_callbacks(run_script: Any) -> None:
    script = """if True:
    import time
    from osthread import LuaPool
    def call_back(future):
        time.sleep(1.5)  # longer than the program's end waits for what it does not know
        print("called")
    pool = LuaPool(1)
    pool.submit("return 1").add_done_callback(call_back)
    """
    without_workers = """
    pool.shutdown(wait=False)
    while pool.statistics().workers:
        time.sleep(0.001)
    """
    for end in ("", without_workers, without_workers + "del pool\n"):
        assert run_script(script + end) == (0, "called\n", "")


@pytest.mark.parametrize("drop", ["", "del pool"])
def test_a_callback_that_does_not_return_is_left_behind_at_the_programs_end(
    drop: str, run_script: Any
) -> None:
    script = f"""if True:
    import threading, time
    from osthread import LuaPool
    begun = threading.Event()
    def call_back(future):
        begun.set()
        while True:
            time.sleep(0.0005)
    pool = LuaPool(1)
    pool.submit("return 1").add_done_callback(call_back)
    begun.wait()
    {drop}
    slow_to_free = {{i: [i] for i in range(300_000)}}
    1 / 0
    """
    done = run_script(script)
    assert done.returncode == 1
    assert re.search("ThreadAbandonedWarning:.*callback", done.stderr)
    assert "terminate called" not in done.stderr


def test_every_pool_is_terminated_though_the_warning_is_an_error(run_script: Any) -> None:
    script = """if True:
    import threading, time
    from osthread import LuaPool
    stay, begun = threading.Event(), threading.Barrier(6)
    def call_back(future):
        begun.wait()
        stay.wait()
    pools = [LuaPool(1) for _ in range(5)]
    for pool in pools[:3]:
        pool.submit("return 1").add_done_callback(call_back)
    running = [pool.submit("(...)() while true do end", begun.wait) for pool in pools[3:]]
    for future in running:
        future.add_done_callback(lambda future: print(type(future.exception()).__name__, flush=True))
    begun.wait()
    1 / 0
    """
    done = run_script(script, "-W", "error")
    assert done.returncode == 1
    assert done.stdout.split() == ["Stopped", "Stopped"]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX")
def test_a_signals_handler_may_ask_the_future_and_end_the_pool(run_script: Any) -> None:
    script = (
        SIGNALLED
        + """if True:
    def handler(*_):
        for future in futures:
            if future.done():
                future.exception()
        if ending:
            pool.terminate()
        raise Signalled

    signal.signal(signal.SIGALRM, handler)
    raised = 0
    for round in range(200):
        ending = round % 4 == 0
        pool = LuaPool(1)
        futures = [pool.submit("error('e')") for i in range(20)]
        for future in futures[::3]:
            future.add_done_callback(lambda future: None)
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.002))
            while True:
                for future in futures:
                    future.exception()
        except Signalled:
            raised += 1
        pool.shutdown()
    print(raised)
    """
    )
    assert run_script(script) == (0, "200\n", "")


def test_the_programs_end_does_what_is_queued(run_script: Any) -> None:
    script = """if True:
    import sys
    from osthread import LuaPool
    pool = LuaPool(2)
    for i in range(20):
        pool.submit("local f, i = ... f(i)", lambda i: sys.stdout.write(f"{i}\\n"), i)
    """
    done = run_script(script)
    assert done.returncode == 0
    assert sorted(map(float, done.stdout.split())) == list(range(20))
    assert done.stderr == ""


def test_an_uncaught_exception_ends_what_runs(run_script: Any) -> None:
    script = """if True:
    from osthread import LuaPool
    pool = LuaPool(2)
    pool.submit("while true do end")
    1 / 0
    """
    done = run_script(script)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert done.stderr.count("Traceback") == 1


def test_a_childs_end_waits_for_no_pool_of_its_parents(run_script: Any) -> None:
    script = """if True:
    import os
    from osthread import LuaPool
    pool = LuaPool(1)
    pool.submit("return 1").result()
    if os.fork() == 0:
        print("child", flush=True)
        raise SystemExit(7)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
    """
    done = run_script(script, "-W", "ignore")
    assert done == (0, "child\n7\n", "")
