"""The life of an OSThread: what it returns, how it is waited for, made, and what it says of itself."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import copy
import gc
import itertools
import os
import pathlib
import pickle
import sys
import threading
import time

import osthread
import pytest
from osthread import OSThread

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
PATIENCE = 30.0
ENDLESS = "while true do end"


def in_python_threads(count, function):
    """What the function gives in each of so many Python threads, which begin at once."""
    barrier = threading.Barrier(count)

    def work(number):
        barrier.wait(PATIENCE)
        return function(number)

    with concurrent.futures.ThreadPoolExecutor(count) as executor:
        return list(executor.map(work, range(count)))


# --- Results ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "result", "results"),
    [
        ("", None, ()),
        ("return", None, ()),
        ("return nil", None, (None,)),
        ("return 42", 42, (42,)),
        ("return 1, nil, 3", (1, None, 3), (1, None, 3)),
        ("return nil, nil", (None, None), (None, None)),
        ("return 1, nil", (1, None), (1, None)),
        ("return false", False, (False,)),
    ],
)
def test_result_is_none_a_value_or_a_tuple(code, result, results) -> None:
    thread = OSThread(code)
    assert thread.result(PATIENCE) == result
    assert thread.results() == results
    assert thread.exception() is None


def test_200_results() -> None:
    values = tuple(range(200))
    assert OSThread("return ...", *values).result(PATIENCE) == values


def test_200_results_with_nils_between() -> None:
    values = (*(None if i % 3 else i for i in range(199)), None)
    assert OSThread("return ...", *values).results(PATIENCE) == values


def test_huge_string_as_result() -> None:
    result = OSThread("return ('x'):rep(100e6)").result(PATIENCE)
    assert len(result) == 100_000_000
    assert result.count("x") == len(result)


def test_result_is_the_same_object_each_time() -> None:
    thread = OSThread("return {1, 2}")
    first = thread.result(PATIENCE)
    assert first == [1, 2]
    assert thread.result() is first


def test_error_is_the_same_object_each_time() -> None:
    thread = OSThread("error('mine', 0)")
    error = thread.exception(PATIENCE)
    assert thread.exception() is error
    for _ in range(2):
        with pytest.raises(osthread.LuaError, match=r"^mine") as caught:
            thread.result()
        assert caught.value is error


def test_code_in_all_its_forms(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "job.lua"
    file.write_text("return ...")
    for code in (
        "return ...",
        b"return ...",
        file,
        "function(...) return ... end",
        osthread.compile("return ..."),
    ):
        assert osthread.run(code, 1, "two") == (1, "two")


def test_os_exit_ends_the_chunk_with_its_result() -> None:
    thread = OSThread("pcall(function() os.exit(7) end) return 8")
    assert thread.result(PATIENCE) == 7
    assert thread.status == "finished"


# --- Waiting ------------------------------------------------------------------------------------------


def test_join_says_whether_it_has_ended(gate) -> None:
    with OSThread("hold()", globals={"hold": gate}) as thread:
        gate.entered.wait()
        assert thread.join(0) is False
        assert thread.join(0.01) is False
        gate.open()
        assert thread.join() is True
        assert thread.join() is True
        assert thread.join(0) is True
        assert thread.join(-1) is True


def test_looking_with_timeout_zero_sees_the_end_at_last() -> None:
    thread = OSThread("for i = 1, 1e5 do end")
    deadline = time.monotonic() + PATIENCE
    while not thread.join(0):
        assert time.monotonic() < deadline
    assert thread.status == "finished"


def test_join_never_raises_what_the_chunk_raised() -> None:
    thread = OSThread("error('mine')")
    assert thread.join(PATIENCE) is True
    assert isinstance(thread.exception(), osthread.LuaError)


@pytest.mark.parametrize("wait", ["result", "results", "exception"])
def test_waiting_in_vain_is_a_timeout_error(wait, gate) -> None:
    with OSThread("hold()", globals={"hold": gate}) as thread:
        gate.entered.wait()
        for timeout in (0, 0.01):
            with pytest.raises(TimeoutError) as caught:
                getattr(thread, wait)(timeout)
            assert isinstance(caught.value, concurrent.futures.TimeoutError)
            assert not isinstance(caught.value, osthread.LuaError)
        gate.open()
    assert thread.result() is None


def test_a_timeout_is_kept(gate) -> None:
    with OSThread("hold()", globals={"hold": gate}) as thread:
        gate.entered.wait()
        before = time.monotonic()
        assert thread.join(0.2) is False
        assert time.monotonic() - before >= 0.2
        gate.open()


@pytest.mark.parametrize("timeout", ["1", float("nan"), True, [1]])
def test_a_timeout_that_is_none(timeout) -> None:
    thread = OSThread("return 1")
    with pytest.raises((TypeError, ValueError), match="timeout"):
        thread.join(timeout)
    assert thread.result(PATIENCE) == 1


def test_join_and_result_from_many_python_threads(gate) -> None:
    thread = OSThread("hold() return 42", globals={"hold": gate})
    gate.entered.wait()
    opener = threading.Timer(0.02, gate.open)
    opener.start()
    answers = in_python_threads(
        8, lambda number: thread.result(PATIENCE) if number % 2 else thread.join(PATIENCE)
    )
    opener.join()
    assert answers == [True, 42] * 4


@pytest.mark.parametrize("wait", ["join", "result", "results", "exception"])
def test_a_thread_cannot_wait_for_itself(wait) -> None:
    def itself():
        getattr(osthread.current(), wait)()

    thread = OSThread("itself()", globals={"itself": itself})
    error = thread.exception(PATIENCE)
    assert type(error) is RuntimeError
    assert thread.status == "failed"


@pytest.mark.parametrize("wait", ["join", "result", "results", "exception"])
def test_a_thread_never_started_cannot_be_waited_for(wait) -> None:
    thread = OSThread("return 1", suspended=True)
    with pytest.raises(RuntimeError, match="never started"):
        getattr(thread, wait)()
    assert thread.join(0) is False
    with pytest.raises(TimeoutError):
        thread.result(0)
    assert not thread.done()


def test_done_is_alive_and_status_agree(gate) -> None:
    thread = OSThread("hold()", globals={"hold": gate})
    gate.entered.wait()
    assert (thread.status, thread.is_alive(), thread.done()) == ("running", True, False)
    gate.open()
    assert thread.join(PATIENCE)
    assert (thread.status, thread.is_alive(), thread.done()) == ("finished", False, True)


# --- Suspended ----------------------------------------------------------------------------------------


def test_a_suspended_thread_runs_when_it_is_started(started) -> None:
    thread = OSThread("started() return ...", 5, suspended=True, globals={"started": started})
    assert (thread.status, thread.is_alive(), thread.done()) == ("suspended", False, False)
    assert thread not in osthread.enumerate()
    assert thread.native_id
    assert not started._event.is_set()
    thread.start()
    assert thread.result(PATIENCE) == 5


def test_a_thread_is_started_once() -> None:
    thread = OSThread("return 1", suspended=True)
    thread.start()
    with pytest.raises(RuntimeError):
        thread.start()
    assert thread.result(PATIENCE) == 1
    with pytest.raises(RuntimeError):
        thread.start()
    running = OSThread("return 1")
    with pytest.raises(RuntimeError):
        running.start()
    assert running.join(PATIENCE)


def test_of_many_starters_one_wins(started) -> None:
    calls = []
    thread = OSThread("count()", suspended=True, globals={"count": lambda: calls.append(1)})

    def start(_):
        try:
            thread.start()
        except RuntimeError:
            return "refused"
        return "started"

    answers = in_python_threads(8, start)
    assert sorted(answers) == ["refused"] * 7 + ["started"]
    assert thread.join(PATIENCE)
    assert calls == [1]


def test_a_suspended_thread_is_discarded_by_its_block(started) -> None:
    with OSThread("started()", suspended=True, globals={"started": started}) as thread:
        pass
    assert thread.status == "stopped"
    assert not started._event.is_set()
    with pytest.raises(RuntimeError):
        thread.start()


def test_a_suspended_thread_that_is_dropped_says_nothing(recwarn: pytest.WarningsRecorder) -> None:
    OSThread("return 1", suspended=True)
    gc.collect()
    assert not recwarn.list


def test_a_suspended_thread_can_be_terminated() -> None:
    thread = OSThread("return 1", suspended=True)
    assert thread.terminate() == "stopped"
    assert isinstance(thread.exception(), osthread.Stopped)


# --- Status -------------------------------------------------------------------------------------------

AFTER = {
    "suspended": {"suspended", "running", "finished", "failed", "stopped"},
    "running": {"running", "finished", "failed", "stopped"},
    "finished": {"finished"},
    "failed": {"failed"},
    "stopped": {"stopped"},
}


@pytest.mark.parametrize(
    ("code", "end"),
    [("for i = 1, 1e4 do end", "finished"), ("error('mine')", "failed"), (ENDLESS, "stopped")],
)
def test_a_polling_thread_sees_only_possible_transitions(code, end) -> None:
    for _ in range(50):
        thread = OSThread(code, suspended=True)
        polling = threading.Barrier(2)
        seen = []

        def poll(thread=thread, polling=polling, seen=seen) -> None:
            polling.wait(PATIENCE)
            while True:
                done, status = thread.done(), thread.status
                seen.append((done, status))
                if done:
                    return

        poller = threading.Thread(target=poll)
        poller.start()
        polling.wait(PATIENCE)
        thread.start()
        if end == "stopped":
            thread.interrupt()
        thread.exception(PATIENCE)
        poller.join()
        statuses = [status for _, status in seen]
        assert all(later in AFTER[earlier] for earlier, later in itertools.pairwise(statuses))
        assert all(status == end for done, status in seen if done)
        assert statuses[-1] == end


def test_the_result_is_there_when_the_status_says_so() -> None:
    for _ in range(200):
        thread = OSThread("return 7")
        while thread.status != "finished":
            pass
        assert thread.join(0) is True
        assert thread.result(0) == 7


# --- What it is made with -----------------------------------------------------------------------------


def test_names_are_numbered_and_each_its_own() -> None:
    threads = [OSThread("") for _ in range(3)]
    names = [thread.name for thread in threads]
    assert len(set(names)) == 3
    assert all(name.startswith("OSThread-") and name[9:].isdecimal() for name in names)
    assert all(thread.join(PATIENCE) for thread in threads)


@linux_only
@pytest.mark.parametrize(
    ("name", "native"),
    [
        ("worker", "worker"),
        ("a-name-that-is-too-long", "a-name-that-is-"),
        ("f\u00fcnfzehn-zeic\u00e4h", "f\u00fcnfzehn-zeic"),
    ],
)
def test_name_is_the_native_threads_too(name, native, gate) -> None:
    with OSThread("hold()", name=name, globals={"hold": gate}) as thread:
        gate.entered.wait()
        assert thread.name == name
        comm = pathlib.Path(f"/proc/self/task/{thread.native_id}/comm").read_text(encoding="utf-8")
        assert comm.rstrip("\n") == native
        gate.open()


def test_ident_and_native_id_are_what_python_says_in_the_thread() -> None:
    ids = []
    thread = OSThread(
        "ids()", globals={"ids": lambda: ids.extend([threading.get_ident(), threading.get_native_id()])}
    )
    assert thread.join(PATIENCE)
    assert [thread.ident, thread.native_id] == ids
    assert isinstance(thread.native_handle, int)


@linux_only
def test_low_priority() -> None:
    nice = []
    thread = OSThread(
        "f()", priority="low", globals={"f": lambda: nice.append(os.getpriority(os.PRIO_PROCESS, 0))}
    )
    assert thread.join(PATIENCE)
    assert nice[0] > os.getpriority(os.PRIO_PROCESS, 0)


@linux_only
def test_affinity() -> None:
    cpu = min(os.sched_getaffinity(0))
    seen = []
    thread = OSThread("f()", affinity={cpu}, globals={"f": lambda: seen.append(os.sched_getaffinity(0))})
    assert thread.join(PATIENCE)
    assert seen == [{cpu}]
    assert thread.options["affinity"] == [cpu]


@linux_only
def test_stack_size() -> None:
    sizes = []

    def stack() -> None:
        """Note the size of the mapping that this thread's stack pointer, near a local of libc's, lies in."""
        import ctypes

        class Attributes(ctypes.Structure):
            _fields_ = [("space", ctypes.c_char * 256)]

        libc = ctypes.CDLL(None)
        attributes, size = Attributes(), ctypes.c_size_t()
        libc.pthread_self.restype = ctypes.c_void_p
        libc.pthread_getattr_np(ctypes.c_void_p(libc.pthread_self()), ctypes.byref(attributes))
        libc.pthread_attr_getstacksize(ctypes.byref(attributes), ctypes.byref(size))
        libc.pthread_attr_destroy(ctypes.byref(attributes))
        sizes.append(size.value)

    for size in (1 << 20, 32 << 20):
        assert OSThread("f()", stack_size=size, globals={"f": stack}).exception(PATIENCE) is None
    assert sizes[0] == pytest.approx(1 << 20, rel=0.1)
    assert sizes[1] == pytest.approx(32 << 20, rel=0.1)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"priority": "urgent"}, ValueError),
        ({"on_exit": "explode"}, ValueError),
        ({"name": 7}, TypeError),
        ({"stack_size": 1.5}, TypeError),
        ({"stack_size": -1}, ValueError),
        ({"stack_size": 1}, ValueError),
        ({"affinity": []}, ValueError),
        ({"affinity": {-1}}, ValueError),
        ({"grace": -1}, ValueError),
        ({"time_limit": -1}, ValueError),
        ({"time_limit": "soon"}, TypeError),
        ({"colour": "red"}, TypeError),
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_by_name(options, error) -> None:
    with pytest.raises(error, match=next(iter(options))):
        OSThread(ENDLESS, **options)


@linux_only
def test_affinity_to_a_cpu_that_is_not_there() -> None:
    with pytest.raises(OSError, match=r"affinity.*4000"):
        OSThread(ENDLESS, affinity={4000})


def test_constructor_that_raises_leaves_nothing_behind(run_script) -> None:
    """In a process of its own: what is left of the object goes after the error has been raised."""
    script = """
import gc
from osthread import ConversionError, LuaSyntaxError, OSThread, enumerate

for code, args, options in [
    ("x x", (), {}),
    ("return 1", (object(),), {}),
    ("return 1", (), {"stack_size": 1 << 60}),
    ("return 1", (), {"stack_size": 1}),
    ("return 1", (), {"globals": {"g": object()}}),
    ("return 1", (), {"modules": {"m": "x x"}}),
    ("\\x1bLJ", (), {}),
]:
    try:
        OSThread(code, *args, **options)
    except Exception as error:
        print(type(error).__name__)
    gc.collect()
print(enumerate(), OSThread("return 1").result(30))
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stderr) == (0, "")
    assert stdout.split("\n")[:-1] == [
        "LuaSyntaxError",
        "ConversionError",
        "RuntimeError",
        "ValueError",
        "ConversionError",
        "LuaSyntaxError",
        "ValueError",
        "[] 1",
    ]


def test_repr_of_an_object_whose_constructor_raised(run_script) -> None:
    script = """
from osthread import OSThread
thread = OSThread.__new__(OSThread)
try:
    thread.__init__("x x")
except Exception:
    print(repr(thread))
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stderr) == (0, "")
    assert stdout.startswith("<OSThread")


def test_impossible_stack_size_is_a_runtime_error_with_the_systems_reason(run_script) -> None:
    script = """
from osthread import OSThread, enumerate
try:
    OSThread("return 1", stack_size=1 << 60)
except RuntimeError as error:
    print(error)
print(enumerate(), OSThread("return 1").result(30))
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stderr) == (0, "")
    first, second = stdout.splitlines()
    assert first.startswith("can't start a new thread: ")
    assert len(first) > len("can't start a new thread: ")
    assert second == "[] 1"


@linux_only
def test_limit_on_threads_is_a_runtime_error_and_the_next_works(run_script) -> None:
    """An address space that is too small for one more stack: what root can be refused too."""
    script = """
import resource
from osthread import OSThread, enumerate, run

run("return 1")  # whatever is made once
with open("/proc/self/statm") as statm:
    size = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (256 << 20), resource.RLIM_INFINITY))
threads = []
try:
    for _ in range(100):
        threads.append(OSThread("require('osthread').sleep(1e9)", stack_size=32 << 20))
except RuntimeError as error:
    print(error)
print(0 < len(threads) < 10, len(enumerate()) == len(threads))
for thread in threads:
    thread.terminate()
print([thread for thread in threads if thread.status != "stopped"])
del threads[:]
print(run("return 6 * 7", stack_size=32 << 20))
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stderr) == (0, "")
    assert stdout.splitlines() == [
        "can't start a new thread: Resource temporarily unavailable",
        "True True",
        "[]",
        "42",
    ]


# --- Callbacks and futures ----------------------------------------------------------------------------


def test_a_done_callback_gets_the_thread_with_its_result(gate) -> None:
    seen = []

    def callback(thread):
        seen.append((thread.status, thread.join(), thread.result(), threading.get_native_id()))

    thread = OSThread("hold() return 42", globals={"hold": gate})
    called = threading.Event()
    thread.add_done_callback(callback)
    thread.add_done_callback(lambda _: called.set())
    gate.open()
    assert called.wait(PATIENCE)
    assert seen == [("finished", True, 42, thread.native_id)]


def test_a_done_callback_gets_the_error(gate) -> None:
    seen = []
    thread = OSThread("hold() error('mine', 0)", globals={"hold": gate})
    called = threading.Event()
    thread.add_done_callback(lambda thread: seen.append(thread.exception()))
    thread.add_done_callback(lambda _: called.set())
    gate.open()
    assert called.wait(PATIENCE)
    assert seen == [thread.exception()]
    assert seen[0].message == "mine"


def test_a_done_callback_after_the_end_is_called_at_once() -> None:
    thread = OSThread("return 1")
    assert thread.join(PATIENCE)
    seen = []
    thread.add_done_callback(lambda thread: seen.append((thread.result(), threading.get_ident())))
    assert seen == [(1, threading.get_ident())]


def test_each_done_callback_is_called_once_however_it_races_with_the_end() -> None:
    for _ in range(200):
        thread = OSThread("")
        calls = []
        called = threading.Semaphore(0)

        def callback(thread, calls=calls, called=called) -> None:
            calls.append(thread)
            called.release()

        for _ in range(3):
            thread.add_done_callback(callback)
        for _ in range(3):
            assert called.acquire(timeout=PATIENCE)
        assert calls == [thread] * 3


def test_what_a_done_callback_raises_goes_to_the_unraisable_hook(
    gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: caught.append(args.exc_value))
    called = threading.Event()
    thread = OSThread("hold() return 1", globals={"hold": gate})
    thread.add_done_callback(lambda _: 1 / 0)
    thread.add_done_callback(lambda _: called.set())
    gate.open()
    assert called.wait(PATIENCE), "an error in one callback keeps the next from being called"
    assert thread.result(PATIENCE) == 1
    assert [type(error) for error in caught] == [ZeroDivisionError]


def test_a_callback_must_be_callable() -> None:
    thread = OSThread("")
    with pytest.raises(TypeError, match="callable"):
        thread.add_done_callback(7)
    assert thread.join(PATIENCE)


def test_future_of_a_thread_that_returns(gate) -> None:
    thread = OSThread("hold() return 1, 2", globals={"hold": gate})
    future = thread.future
    assert isinstance(future, concurrent.futures.Future)
    assert thread.future is future
    assert not future.done()
    assert future.running()
    gate.open()
    assert future.result(PATIENCE) == (1, 2)
    assert future.done()
    assert not future.cancelled()
    assert future.cancel() is False
    assert OSThread("return 3").future.result(PATIENCE) == 3


def test_future_of_a_thread_that_has_ended() -> None:
    thread = OSThread("return 1")
    assert thread.join(PATIENCE)
    assert thread.future.result(0) == 1


def test_future_of_a_thread_that_fails(gate) -> None:
    thread = OSThread("hold() error('mine', 0)", globals={"hold": gate})
    future = thread.future
    gate.open()
    with pytest.raises(osthread.LuaError, match="mine"):
        future.result(PATIENCE)
    assert future.exception() is thread.exception()


def test_futures_wait_and_as_completed(gate) -> None:
    quick = OSThread("return 'quick'")
    slow = OSThread("hold() return 'slow'", globals={"hold": gate})
    futures = [quick.future, slow.future]
    done, not_done = concurrent.futures.wait(futures, PATIENCE, concurrent.futures.FIRST_COMPLETED)
    assert (done, not_done) == ({quick.future}, {slow.future})
    gate.open()
    completed = {future.result() for future in concurrent.futures.as_completed(futures, PATIENCE)}
    assert completed == {"quick", "slow"}


def test_cancelling_the_future_stops_running_code(started) -> None:
    thread = OSThread("started() " + ENDLESS, globals={"started": started})
    future = thread.future
    started.wait()
    assert future.cancel() is True
    with pytest.raises(osthread.Stopped) as caught:
        future.result(PATIENCE)
    assert isinstance(caught.value, concurrent.futures.CancelledError)
    assert thread.status == "stopped"
    assert future.cancelled()
    assert future.cancel() is False
    assert concurrent.futures.wait([future], PATIENCE).done == {future}


def test_a_future_that_is_cancelled_too_late_keeps_the_result(gate) -> None:
    """The chunk catches the stop and returns: what it returned stands."""
    thread = OSThread("pcall(function() hold() while true do end end) return 'kept'", globals={"hold": gate})
    future = thread.future
    gate.entered.wait()
    assert future.cancel() is True
    gate.open()
    assert future.result(PATIENCE) == "kept"
    assert not future.cancelled()


def test_a_thread_that_is_stopped_otherwise_cancels_no_future(started) -> None:
    thread = OSThread("started() " + ENDLESS, globals={"started": started})
    future = thread.future
    started.wait()
    thread.interrupt()
    assert type(future.exception(PATIENCE)) is osthread.Stopped
    assert not future.cancelled()


# --- asyncio ------------------------------------------------------------------------------------------


def test_async_with_needs_no_thread_of_the_loops_executor() -> None:
    async def main(ending: str) -> None:
        loop = asyncio.get_running_loop()
        executor = concurrent.futures.ThreadPoolExecutor(1)
        loop.set_default_executor(executor)
        let_go = threading.Event()
        full = loop.run_in_executor(None, let_go.wait, PATIENCE)
        with contextlib.suppress(ZeroDivisionError):
            async with OSThread("while (...) do end", ending == "raise"):
                if ending == "raise":
                    raise ZeroDivisionError
        let_go.set()
        assert await full

    for ending in ("return", "raise"):
        asyncio.run(main(ending))


def test_await_gives_the_result_without_blocking_the_loop(gate) -> None:
    async def main():
        thread = OSThread("hold() return 42", globals={"hold": gate})
        asyncio.get_running_loop().call_later(0.01, gate.open)  # never, if the loop were blocked
        return await asyncio.wait_for(thread, PATIENCE)

    assert asyncio.run(main()) == 42


def test_await_raises_the_error(gate) -> None:
    async def main():
        thread = OSThread("hold() error('mine')", globals={"hold": gate})
        asyncio.get_running_loop().call_soon(gate.open)
        await thread

    with pytest.raises(osthread.LuaError, match="mine"):
        asyncio.run(main())


def test_await_many_at_once() -> None:
    async def main():
        return await asyncio.gather(*(OSThread("return ...", i) for i in range(50)))

    assert asyncio.run(main()) == list(range(50))


def test_cancelling_the_future_cancels_what_wraps_it_but_stops_an_await(started) -> None:
    async def main():
        thread = OSThread("started() " + ENDLESS, globals={"started": started})
        wrapped = asyncio.wrap_future(thread.future)

        async def waiter():
            await thread

        task = asyncio.create_task(waiter())
        await asyncio.get_running_loop().run_in_executor(None, started.wait)
        assert thread.future.cancel()
        with pytest.raises(osthread.Stopped):
            await task
        with pytest.raises(asyncio.CancelledError):
            await wrapped

    asyncio.run(main())


def test_cancelling_one_await_is_a_stop_for_the_other(started) -> None:
    async def main():
        thread = OSThread("started() " + ENDLESS, globals={"started": started})

        async def waiter():
            await thread

        cancelled, other = (asyncio.create_task(waiter()) for _ in range(2))
        await asyncio.get_running_loop().run_in_executor(None, started.wait)
        cancelled.cancel()
        for task, error in ((cancelled, asyncio.CancelledError), (other, osthread.Stopped)):
            with pytest.raises(error):
                await task

    asyncio.run(main())


def test_cancelling_the_await_interrupts_the_thread(started) -> None:
    async def main():
        thread = OSThread("started() " + ENDLESS, globals={"started": started})

        async def waiter():
            await thread

        task = asyncio.create_task(waiter())
        await asyncio.get_running_loop().run_in_executor(None, started.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return thread

    thread = asyncio.run(main())
    assert thread.join(PATIENCE)
    assert thread.status == "stopped"


def test_a_shielded_thread_runs_on_when_the_await_is_cancelled(gate) -> None:
    async def main():
        thread = OSThread("hold() return 42", globals={"hold": gate})
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(thread)), 0.01)
        assert thread.is_alive()
        gate.open()
        return await thread

    assert asyncio.run(main()) == 42


def test_a_thread_stopped_otherwise_raises_stopped_never_cancelled(started) -> None:
    async def main():
        thread = OSThread("started() " + ENDLESS, globals={"started": started})
        await asyncio.get_running_loop().run_in_executor(None, started.wait)
        asyncio.get_running_loop().call_soon(thread.interrupt)
        try:
            await thread
        except BaseException as error:
            return error

    error = asyncio.run(main())
    assert type(error) is osthread.Stopped


def test_async_with_waits_without_blocking_the_loop(gate) -> None:
    async def main():
        async with OSThread("hold() return 42", globals={"hold": gate}) as thread:
            asyncio.get_running_loop().call_later(0.01, gate.open)
        assert thread.done()
        return thread.result(0)

    assert asyncio.run(main()) == 42


def test_async_with_raises_an_error_nobody_fetched() -> None:
    async def main():
        async with OSThread("error('mine')"):
            pass

    with pytest.raises(osthread.LuaError, match="mine"):
        asyncio.run(main())


def test_async_with_left_by_an_exception_terminates(started) -> None:
    threads = []

    async def main():
        async with OSThread("started() " + ENDLESS, globals={"started": started}) as thread:
            threads.append(thread)
            await asyncio.get_running_loop().run_in_executor(None, started.wait)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        asyncio.run(main())
    assert threads[0].status == "stopped"


def test_async_with_cancelled_at_its_end_terminates(started) -> None:
    async def main():
        thread = OSThread("started() " + ENDLESS, globals={"started": started})

        async def block():
            async with thread:
                pass

        task = asyncio.create_task(block())
        await asyncio.get_running_loop().run_in_executor(None, started.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert thread.done()
        return thread

    assert asyncio.run(main()).status == "stopped"


# --- Blocks -------------------------------------------------------------------------------------------


def test_a_block_joins() -> None:
    with OSThread("for i = 1, 1e6 do end return 1") as thread:
        pass
    assert thread.status == "finished"


def test_a_block_raises_an_error_nobody_fetched() -> None:
    with pytest.raises(osthread.LuaError, match="mine") as caught, OSThread("error('mine')") as thread:
        pass
    assert thread.exception() is caught.value


def test_a_block_does_not_raise_an_error_that_was_fetched() -> None:
    with OSThread("error('mine')") as thread:
        assert thread.exception(PATIENCE) is not None
    assert thread.status == "failed"


@pytest.mark.parametrize("stop", ["request_stop", "interrupt", "terminate"])
def test_a_block_does_not_raise_a_stop_that_was_asked_for(stop, started) -> None:
    code = "started() require('osthread').sleep(1e9)"
    with OSThread(code, globals={"started": started}) as thread:
        started.wait()
        getattr(thread, stop)()
    assert thread.status == "stopped"


def test_a_block_raises_a_time_limit() -> None:
    with pytest.raises(osthread.LuaTimeout), OSThread(ENDLESS, time_limit=0.05) as thread:
        pass
    assert thread.status == "failed"


def test_on_exit_terminate(started) -> None:
    with OSThread("started() " + ENDLESS, on_exit="terminate", globals={"started": started}) as thread:
        started.wait()
    assert thread.status == "stopped"


def test_on_exit_detach(gate) -> None:
    with OSThread("hold() return 7", on_exit="detach", globals={"hold": gate}) as thread:
        gate.entered.wait()
    assert thread.is_alive()
    gate.open()
    assert thread.result(PATIENCE) == 7


@pytest.mark.parametrize("policy", ["join", "terminate", "detach"])
def test_an_exception_in_the_block_terminates_and_goes_on_unchanged(policy, started) -> None:
    mine = KeyError("mine")
    thread = OSThread("started() " + ENDLESS, on_exit=policy, globals={"started": started})

    def block():
        with thread:
            started.wait()
            raise mine

    with pytest.raises(KeyError) as caught:
        block()
    assert caught.value is mine
    assert mine.__context__ is None
    assert thread.status == "stopped"


def test_the_chunks_own_error_is_put_at_the_end_of_the_exceptions_context() -> None:
    thread = OSThread("error('the cause', 0)")

    def block():
        with thread:
            assert thread.join(PATIENCE)
            try:
                raise ValueError("before")
            except ValueError:
                raise KeyError("mine")  # noqa: B904  its context is what is looked at

    with pytest.raises(KeyError) as caught:
        block()
    assert isinstance(caught.value.__context__, ValueError)
    assert caught.value.__context__.__context__ is thread.exception()


def test_nested_blocks_left_by_an_exception_end_both(started) -> None:
    outer = OSThread("started() " + ENDLESS, globals={"started": started})
    inner = OSThread(ENDLESS)

    def block():
        with outer, inner:
            started.wait()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        block()
    assert (outer.status, inner.status) == ("stopped", "stopped")


def test_a_detached_thread_runs_to_its_end_without_an_owner(gate) -> None:
    thread = OSThread("hold()", globals={"hold": gate})
    ended = threading.Event()
    thread.add_done_callback(lambda _: ended.set())
    gate.entered.wait()
    thread.detach()
    del thread
    gc.collect()
    assert not ended.is_set()
    assert len(osthread.enumerate()) == 1
    gate.open()
    assert ended.wait(PATIENCE)


def test_a_suspended_thread_cannot_be_detached() -> None:
    thread = OSThread("", suspended=True)
    with pytest.raises(RuntimeError, match="never started"):
        thread.detach()


# --- Of all threads -----------------------------------------------------------------------------------


def test_enumerate_lists_the_live_ones(gate) -> None:
    assert osthread.enumerate() == []
    suspended = OSThread("", suspended=True)
    with OSThread("hold()", globals={"hold": gate}) as thread:
        gate.entered.wait()
        assert osthread.enumerate() == [thread]
        gate.open()
    assert osthread.enumerate() == []
    assert suspended.status == "suspended"


def test_current_is_the_thread_whose_lua_calls() -> None:
    seen = []
    thread = OSThread("f()", globals={"f": lambda: seen.append(osthread.current())})
    assert thread.join(PATIENCE)
    assert seen == [thread]
    assert osthread.current() is None


def test_self_in_lua_is_the_same_object() -> None:
    seen = []
    thread = OSThread("f(require('osthread').self())", globals={"f": seen.append})
    assert thread.join(PATIENCE)
    assert seen == [thread]


def test_1000_threads_at_once() -> None:
    arrivals = threading.Semaphore(0)
    code = "arrived() require('osthread').sleep(1e9)"
    threads = [OSThread(code, globals={"arrived": arrivals.release}) for _ in range(1000)]
    for _ in threads:
        assert arrivals.acquire(timeout=PATIENCE)
    assert len(osthread.enumerate()) == 1000
    assert len({thread.native_id for thread in threads}) == 1000
    for thread in threads:
        assert thread.request_stop() is True
    for thread in threads:
        assert thread.join(PATIENCE)
    assert {thread.status for thread in threads} == {"stopped"}


def test_every_thread_seeds_its_random_numbers_differently() -> None:
    threads = [OSThread("return math.random(2^50)") for _ in range(20)]
    assert len({thread.result(PATIENCE) for thread in threads}) == 20


def test_a_thread_is_not_pickled_or_copied() -> None:
    thread = OSThread("")
    for refused in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="OSThread"):
            refused(thread)
    assert thread.join(PATIENCE)


def test_repr_names_it_and_says_how_it_is(gate) -> None:
    with OSThread("hold()", name="worker", globals={"hold": gate}) as thread:
        gate.entered.wait()
        assert repr(thread) == "<OSThread 'worker' running>"
        gate.open()
    assert repr(thread) == "<OSThread 'worker' finished>"


# --- Where is it now ----------------------------------------------------------------------------------


@pytest.mark.parametrize("jit", [True, False])
def test_stack_of_a_running_loop(jit, started) -> None:
    code = "local function spin() while true do end end\nstarted()\nspin()"
    with OSThread(
        code, chunk_name="job", jit=jit, on_exit="terminate", globals={"started": started}
    ) as thread:
        started.wait()
        deadline = time.monotonic() + PATIENCE
        while len(frames := thread.stack()) < 2 or "spin" not in frames[0].name:
            assert time.monotonic() < deadline, frames
        assert [(frame.source, frame.line) for frame in frames] == [("job", 1), ("job", 3)]
        assert thread.is_alive(), "looking must not stop it"


def test_stack_of_a_sleeping_thread(started) -> None:
    code = "started() require('osthread').sleep(1e9)"
    with OSThread(code, chunk_name="job", on_exit="terminate", globals={"started": started}) as thread:
        started.wait()
        deadline = time.monotonic() + PATIENCE
        while thread.statistics().waiting_for != "sleep":
            assert time.monotonic() < deadline
        assert [frame.source for frame in thread.stack()] == ["[C]", "job"]
        while thread.statistics().waiting_for != "sleep":  # looking must not end it
            assert time.monotonic() < deadline


def test_stack_of_a_thread_that_is_in_python_is_a_timeout(gate) -> None:
    with OSThread("hold()", globals={"hold": gate}) as thread:
        gate.entered.wait()
        with pytest.raises(TimeoutError):
            thread.stack()
        gate.open()


def test_stack_of_a_thread_that_does_not_run_is_empty() -> None:
    thread = OSThread("", suspended=True)
    assert thread.stack() == []
    thread.start()
    assert thread.join(PATIENCE)
    assert thread.stack() == []


def test_statistics(gate) -> None:
    with OSThread("s = ('x'):rep(1e6) hold()", memory_limit=8 << 20, globals={"hold": gate}) as thread:
        gate.entered.wait()
        now = thread.statistics()
        assert 1e6 <= now.memory <= now.peak_memory <= 8 << 20
        assert now.memory_limit == 8 << 20
        assert now.wall_seconds > 0
        assert now.stops_asked == 0
        gate.open()
    after = thread.statistics()
    assert after.memory == 0
    assert after.peak_memory >= 1e6
    assert 0 < after.cpu_seconds <= after.wall_seconds + 0.05
    assert after.wall_seconds == thread.statistics().wall_seconds


def test_stack_from_a_callable_of_its_own() -> None:
    def look() -> list[int]:
        return [frame.line for frame in osthread.current().stack()]

    assert (
        osthread.run(
            "local f = ...\nlocal function g() local x = f() return x end\nlocal y = g() return y", look
        )[-1]
        == 3
    )


def test_waiting_goes_on_when_somebody_has_looked(started) -> None:
    thread = OSThread("local f = ... f() require('osthread').sleep(1e9)", started)
    started.wait()
    while thread.statistics().waiting_seconds < 0.1:
        pass
    thread.stack()
    while (seconds := thread.statistics().waiting_seconds) == 0:
        pass
    assert seconds >= 0.1
    thread.terminate()


def test_thread_local_things_last_as_long_as_the_thread() -> None:
    local = threading.local()

    def count() -> tuple[int, int]:
        local.n = getattr(local, "n", 0) + 1
        return local.n, threading.get_ident()

    code = "local f = ... local last, id for i = 1, 100 do last, id = f() end return last, id"
    threads = [OSThread(code, count) for _ in range(8)]
    assert [thread.result()[0] for thread in threads] == [100] * 8
    assert not hasattr(local, "n")


def test_thread_that_was_not_made_says_so() -> None:
    class Late(OSThread):
        def __init__(self) -> None:
            assert self.status

    with pytest.raises(RuntimeError, match=r"super\(\).__init__"):
        Late()
    thread = OSThread("return 1")
    with pytest.raises(RuntimeError, match="made once"):
        thread.__init__("return 2")
    assert thread.result() == 1


def test_await_of_a_thread_that_was_never_started_is_an_error() -> None:
    async def main() -> None:
        await OSThread("return 1", suspended=True)

    with pytest.raises(RuntimeError, match="never started"):
        asyncio.run(main())


def test_await_of_a_stop_iteration_ends() -> None:
    async def main() -> None:
        await OSThread("f()", globals={"f": lambda: next(iter([]))})

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(main())


@pytest.mark.parametrize("code", ["error('mine')", "while true do end"])
def test_async_with_of_an_error_that_was_fetched_or_asked_for(
    code: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with OSThread(code) as thread:
            thread.interrupt()
            with pytest.raises(osthread.LuaError):
                await thread

    asyncio.run(main())
    gc.collect()
    assert caplog.text == ""


def test_async_with_of_an_error_that_another_task_fetches_meanwhile(gate) -> None:
    async def fetch(thread: OSThread) -> None:
        with pytest.raises(osthread.LuaError, match="mine"):
            await thread

    async def main() -> None:
        async with OSThread("(...)() error('mine')", gate) as thread:
            fetcher = asyncio.create_task(fetch(thread))
            await asyncio.sleep(0)  # it waits
            asyncio.get_running_loop().call_soon(gate.open)  # once the block's end waits, too
        await fetcher

    asyncio.run(main())


def test_async_with_logs_nothing_of_an_error_that_it_raises(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with OSThread("error('mine')"):
            pass

    with pytest.raises(osthread.LuaError, match="mine"):
        asyncio.run(main())
    gc.collect()
    assert caplog.text == ""


def test_message_about_a_path_and_about_text() -> None:
    for source in ("./a b.lua", "x.lua\n", "/some/job"):
        with pytest.raises(osthread.LuaSyntaxError, match=r"pathlib\.Path"):
            OSThread(source)
    with pytest.raises(ValueError, match="surrogate"):
        OSThread("return '\ud800'")
    with pytest.raises(TypeError, match="name"):
        osthread.compile("return 1", 5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="stands alone"):
        OSThread("", libraries={"safe", "io"})


def test_warning_of_an_abandoned_thread_is_about_the_caller_s_line(gate) -> None:
    with (
        pytest.warns(osthread.ThreadAbandonedWarning) as caught,
        OSThread("(...)()", gate, on_exit="terminate"),
    ):
        gate.entered.wait()
    assert caught[0].filename == __file__
    gate.open()
