"""Channels in event loops: no thread and no CPU time for a wait, and nothing lost, doubled or left lying."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import osthread
import pytest
from osthread import Channel, ChannelClosed, ConversionError, OSThread, select_async
from waiting import PATIENCE, wait_until

TASKS = Path("/proc/self/task")


async def until(condition: Callable[[], bool]) -> None:
    patience = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < patience
        await asyncio.sleep(0.001)


async def waiting_receivers(channel: Channel, count: int = 1) -> None:
    await until(lambda: channel.statistics().waiting_receivers == count)


async def waiting_senders(channel: Channel, count: int = 1) -> None:
    await until(lambda: channel.statistics().waiting_senders == count)


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(main, PATIENCE))


def in_thread(function: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


# --- One at each end ------------------------------------------------------------------------------


def test_what_is_there_is_received_at_once() -> None:
    async def main() -> list[Any]:
        channel = Channel()
        await channel.send_async({"a": [1, None]})
        await channel.send_async("text", 0)
        return [await channel.receive_async(), await channel.receive_async(0)]

    assert run(main()) == [{"a": [1, None]}, "text"]


def test_a_task_waits_for_a_thread_of_python() -> None:
    async def main() -> Any:
        channel = Channel()
        task = asyncio.create_task(channel.receive_async())
        await waiting_receivers(channel)
        thread = in_thread(lambda: channel.send(42))
        value = await task
        thread.join()
        assert channel.statistics().waiting_receivers == 0
        return value

    assert run(main()) == 42


def test_tasks_of_one_loop_talk() -> None:
    async def main() -> list[Any]:
        there, back = Channel(1), Channel(1)

        async def echo() -> None:
            async for value in there:
                await back.send_async(value)
            back.close()

        async def ask() -> None:
            for i in range(1000):
                await there.send_async(i)
            there.close()

        tasks = [asyncio.create_task(echo()), asyncio.create_task(ask())]
        values = [value async for value in back]
        await asyncio.gather(*tasks)
        return values

    assert run(main()) == list(range(1000))


@pytest.mark.parametrize("capacity", [1, 3, 1024])
def test_a_lua_thread_answers_a_task(capacity: int) -> None:
    async def main() -> list[Any]:
        there, back = Channel(capacity), Channel(capacity)
        squares = "local a, b = ... for v in a do b:send(v * v) end b:close()"
        async with OSThread(squares, there, back):

            async def ask() -> None:
                for i in range(500):
                    await there.send_async(i)
                there.close()

            task = asyncio.create_task(ask())
            values = [value async for value in back]
            await task
        return values

    assert run(main()) == [i * i for i in range(500)]


def test_ping_pong_with_lua() -> None:
    async def main() -> int:
        there, back = Channel(1), Channel(1)
        async with OSThread("local a, b = ... for v in a do b:send(v + 1) end", there, back):
            value = 0
            for _ in range(300):
                await there.send_async(value)
                value = await back.receive_async()
            there.close()
        return value

    assert run(main()) == 300


def test_a_task_waits_until_there_is_room() -> None:
    async def main() -> list[Any]:
        channel = Channel(2)
        values: list[Any] = [0, 1, [2], "three"]
        tasks = [asyncio.create_task(channel.send_async(value)) for value in values]
        await waiting_senders(channel, 2)
        assert [task.done() for task in tasks] == [True, True, False, False]
        values[2].append("too late")  # it was converted before
        received = [await channel.receive_async(PATIENCE) for _ in values]
        await asyncio.gather(*tasks)
        return received

    assert run(main()) == [0, 1, [2], "three"]


def test_tasks_are_in_line_in_the_order_they_came() -> None:
    async def main() -> list[Any]:
        channel = Channel(1)
        tasks = [asyncio.create_task(channel.send_async(i)) for i in range(200)]
        await waiting_senders(channel, 199)
        received = [await channel.receive_async(PATIENCE) for _ in tasks]
        await asyncio.gather(*tasks)
        return received

    assert run(main()) == list(range(200))


def test_what_cannot_cross_is_not_sent() -> None:
    async def main() -> None:
        channel = Channel(1)
        with pytest.raises(ConversionError) as raised:
            await channel.send_async({"x": object()})
        assert raised.value.path == "value.x"
        assert len(channel) == 0

    run(main())


# --- Errors and ends ------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, -1, 0.0, 1e-9, 0.01])
def test_waiting_too_long_is_a_timeout(seconds: float) -> None:
    async def main() -> None:
        channel = Channel(1)
        with pytest.raises(TimeoutError, match="nothing came"):
            await channel.receive_async(seconds)
        with pytest.raises(TimeoutError, match="nothing came"):
            await select_async(channel, timeout=seconds)
        channel.send(1)
        with pytest.raises(TimeoutError, match="stayed full"):
            await channel.send_async(2, seconds)
        now = channel.statistics()
        assert (now.waiting_receivers, now.waiting_senders, now.size) == (0, 0, 1)

    run(main())


@pytest.mark.parametrize("seconds", [float("inf"), 1e300, 10**12])
def test_a_very_long_timeout_is_for_ever(seconds: float) -> None:
    async def main() -> Any:
        channel = Channel(1)
        task = asyncio.create_task(channel.receive_async(seconds))
        await waiting_receivers(channel)
        channel.send("came")
        return await task

    assert run(main()) == "came"


@pytest.mark.parametrize(
    ("timeout", "error"), [("1", TypeError), (True, TypeError), (float("nan"), ValueError)]
)
def test_a_timeout_must_be_seconds(timeout: Any, error: type[Exception]) -> None:
    async def main() -> None:
        channel = Channel(1)
        for call in (
            channel.receive_async(timeout),
            channel.send_async(1, timeout),
            select_async(channel, timeout=timeout),
        ):
            with pytest.raises(error, match="timeout"):
                await call

    run(main())


def test_a_timeout_does_not_lose_what_comes_later() -> None:
    async def main() -> Any:
        channel = Channel()
        for _ in range(20):
            with pytest.raises(TimeoutError):
                await channel.receive_async(0.001)
        channel.send("late")
        return await channel.receive_async(0)

    assert run(main()) == "late"


def test_close_wakes_all() -> None:
    async def main() -> None:
        empty, full = Channel(), Channel(1)
        full.send("last")
        tasks = [asyncio.create_task(empty.receive_async()) for _ in range(50)]
        tasks += [asyncio.create_task(full.send_async(i)) for i in range(50)]
        await waiting_receivers(empty, 50)
        await waiting_senders(full, 50)
        threads = [in_thread(empty.close), in_thread(full.close)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(result) for result in results} == {ChannelClosed}
        assert await full.receive_async() == "last"
        with pytest.raises(ChannelClosed):
            await full.receive_async()
        with pytest.raises(ChannelClosed):
            await full.send_async(1)
        for thread in threads:
            thread.join()

    run(main())


def test_an_async_for_loop_ends_when_the_channel_is_closed_and_empty() -> None:
    async def main() -> list[Any]:
        channel = Channel(8)
        async with OSThread("local c = ... for i = 1, 100 do c:send(i) end c:close()", channel):
            return [value async for value in channel]

    assert run(main()) == list(range(1, 101))


def test_several_loops_over_one_channel_share_the_values() -> None:
    async def main() -> list[Any]:
        channel = Channel(4)

        async def take() -> list[Any]:
            return [value async for value in channel]

        tasks = [asyncio.create_task(take()) for _ in range(10)]
        async with OSThread("local c = ... for i = 1, 2000 do c:send(i) end c:close()", channel):
            parts = await asyncio.gather(*tasks)
        for part in parts:
            assert part == sorted(part)
        return sorted(value for part in parts for value in part)

    assert run(main()) == list(range(1, 2001))


# --- select_async ---------------------------------------------------------------------------------


def test_select_takes_the_first_that_comes() -> None:
    async def main() -> None:
        a, b, c = Channel(), Channel(encoding=None), Channel()
        b.send("there")
        assert await select_async(a, b) == (b, b"there")
        task = asyncio.create_task(select_async(a, b, c, a))
        await waiting_receivers(a, 2)
        async with OSThread("local c = ... c:send('text')", b):
            assert await task == (b, b"text")
        c.close()
        a.send(1)
        assert await select_async(a, c) == (a, 1)
        task = asyncio.create_task(select_async(a, c))
        await waiting_receivers(a)
        assert not task.done()  # the closed one is passed over
        a.close()
        with pytest.raises(ChannelClosed, match="all channels"):
            await task
        with pytest.raises(ChannelClosed):
            await select_async()
        with pytest.raises(TypeError, match="select takes channels, not str"):
            await select_async("a")
        for channel in (a, b, c):
            assert channel.statistics().waiting_receivers == 0

    run(main())


def test_select_is_fair() -> None:
    async def main() -> None:
        channels = [Channel(100) for _ in range(3)]
        for channel in channels:
            for i in range(100):
                channel.send(i)
        taken = [(await select_async(*channels))[0] for _ in range(30)]
        assert {taken.count(channel) for channel in channels} <= {9, 10, 11}

    run(main())


def test_a_select_passes_on_what_it_does_not_take() -> None:
    async def main() -> None:
        a, b = Channel(), Channel()
        select = asyncio.create_task(select_async(a, b))
        await waiting_receivers(b)
        others = [asyncio.create_task(channel.receive_async()) for channel in (a, b)]
        await waiting_receivers(a, 2)
        await waiting_receivers(b, 2)
        a.send("a")  # both tell the select, which is first in both lines, and takes one
        b.send("b")
        channel, value = await select
        assert value == ("a" if channel is a else "b")
        left = others[1] if channel is a else others[0]
        assert await asyncio.wait_for(left, PATIENCE) == ("b" if channel is a else "a")
        (a if channel is a else b).send("c")
        assert "c" in await asyncio.gather(*others)

    run(main())


# --- Cancelling -----------------------------------------------------------------------------------


def test_a_cancelled_receive_takes_nothing_and_leaves_the_line() -> None:
    async def main() -> Any:
        channel = Channel()
        task = asyncio.create_task(channel.receive_async())
        await waiting_receivers(channel)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert channel.statistics().waiting_receivers == 0
        channel.send("kept")
        return channel.try_receive()

    assert run(main()) == "kept"


def test_a_cancelled_send_sends_nothing() -> None:
    async def main() -> None:
        channel = Channel(1)
        channel.send("first")
        task = asyncio.create_task(channel.send_async("second"))
        await waiting_senders(channel)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert channel.statistics().waiting_senders == 0
        assert channel.receive(0) == "first"
        assert len(channel) == 0

    run(main())


def note_wakes(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """An event that is set when a wake is on its way into the running loop."""
    loop = asyncio.get_running_loop()
    call_soon, came = loop.call_soon_threadsafe, threading.Event()

    def note(*args: Any, **options: Any) -> asyncio.Handle:
        handle = call_soon(*args, **options)
        came.set()
        return handle

    monkeypatch.setattr(loop, "call_soon_threadsafe", note)
    return came


@pytest.mark.parametrize("heir", ["task", "thread"])
def test_a_receiver_cancelled_after_its_wake_hands_the_wake_on(
    heir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> Any:
        channel = Channel()
        first = asyncio.create_task(channel.receive_async())
        await waiting_receivers(channel)
        second = asyncio.create_task(
            channel.receive_async() if heir == "task" else asyncio.to_thread(channel.receive, PATIENCE)
        )
        await waiting_receivers(channel, 2)
        came = note_wakes(monkeypatch)
        channel.send("value")  # tells the first
        assert came.wait(PATIENCE)  # its wake is on the way into this loop, which does not run
        first.cancel()
        value = await asyncio.wait_for(second, PATIENCE)
        assert first.cancelled()
        return value

    for _ in range(20):
        assert run(main()) == "value"


def test_a_sender_cancelled_after_its_wake_hands_the_wake_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        channel = Channel(1)
        channel.send(0)
        first = asyncio.create_task(channel.send_async(1))
        await waiting_senders(channel)
        second = asyncio.create_task(channel.send_async(2))
        await waiting_senders(channel, 2)
        came = note_wakes(monkeypatch)
        assert channel.receive() == 0  # tells the first
        assert came.wait(PATIENCE)
        first.cancel()
        await asyncio.wait_for(second, PATIENCE)
        assert channel.receive(0) == 2

    for _ in range(20):
        run(main())


def test_a_wake_whose_value_somebody_else_has_taken_is_waited_on() -> None:
    async def main() -> Any:
        channel = Channel()
        task = asyncio.create_task(channel.receive_async())
        await waiting_receivers(channel)
        for i in range(50):
            channel.send(i)
            assert channel.try_receive() == i  # before the loop runs
            await asyncio.sleep(0.001)
            assert not task.done()
        channel.send("at last")
        return await task

    assert run(main()) == "at last"


def test_random_cancellation_loses_and_doubles_nothing() -> None:
    count = 3000

    async def main() -> list[int]:
        channel = Channel(4)
        received: list[int] = []
        cancelled = 0

        async def take() -> None:
            async for value in channel:
                received.append(value)
                if random.random() < 0.3:
                    await asyncio.sleep(0)

        async def disturb(tasks: list[asyncio.Task[None]]) -> None:
            nonlocal cancelled
            while not channel.closed:
                await asyncio.sleep(random.random() * 0.0005)
                at = random.randrange(len(tasks))
                cancelled += tasks[at].cancel()
                tasks[at] = asyncio.create_task(take())

        send = "local c, n = ... for i = 1, n do c:send(i) if i % 7 == 0 then require('osthread').sleep(2e-5) end end"
        tasks = [asyncio.create_task(take()) for _ in range(20)]
        disturber = asyncio.create_task(disturb(tasks))
        blocking: list[int] = []
        thread = in_thread(lambda: blocking.extend(channel))
        senders = [OSThread(send, channel, count, closes=[channel]) for _ in range(3)]
        await asyncio.gather(*senders)
        await disturber
        await asyncio.gather(*tasks, return_exceptions=True)
        thread.join()
        assert cancelled > 0
        return sorted(received + blocking)

    assert run(main()) == sorted([*range(1, count + 1)] * 3)


def test_random_cancellation_and_timeouts_of_senders_send_once_or_not() -> None:
    async def main() -> None:
        channel = Channel(2)
        sent: list[int] = []

        async def send(value: int) -> None:
            await channel.send_async(value, random.choice([None, 0.001]))
            sent.append(value)

        tasks = []
        async with OSThread(
            "local c, n = ... local t = {} for v in c do t[#t + 1] = v end return t", channel
        ) as lua:
            for i in range(2000):
                tasks.append(asyncio.create_task(send(i)))
                if random.random() < 0.3:
                    random.choice(tasks).cancel()
                if i % 10 == 0:
                    await asyncio.sleep(random.choice([0, 0, 0.002]))
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            channel.close()
            received = await lua
        assert sorted(sent) == sorted(received)
        assert {type(outcome) for outcome in outcomes} <= {type(None), TimeoutError, asyncio.CancelledError}

    run(main())


def test_timeouts_and_cancellations_at_the_last_moment_keep_the_count() -> None:
    async def main() -> None:
        channel = Channel()
        stop = False

        def send() -> None:
            for i in range(1500):
                channel.send(i)
                time.sleep(random.random() * 2e-4)
            nonlocal stop
            stop = True

        received = []

        async def take() -> None:
            while not stop or len(channel):
                try:
                    received.append(await channel.receive_async(random.random() * 3e-4))
                except TimeoutError:
                    continue

        thread = in_thread(send)
        await asyncio.gather(*(take() for _ in range(5)))
        thread.join()
        received += [channel.receive(0) for _ in range(len(channel))]
        assert sorted(received) == list(range(1500))

    run(main())


# --- In line with threads -------------------------------------------------------------------------


def test_tasks_and_threads_wait_in_the_order_they_came() -> None:
    async def main() -> None:
        channel = Channel()
        order: list[str] = []

        async def task(name: str) -> None:
            await channel.receive_async()
            order.append(name)

        def thread(name: str) -> None:
            channel.receive(PATIENCE)
            order.append(name)

        waiting: list[Any] = []
        for i, kind in enumerate(["task", "thread", "task", "thread", "task"]):
            wait = task(f"{kind} {i}") if kind == "task" else asyncio.to_thread(thread, f"{kind} {i}")
            waiting.append(asyncio.create_task(wait))
            await waiting_receivers(channel, i + 1)
        for i in range(5):
            channel.send(i)
            await until(lambda i=i: len(order) == i + 1)
        await asyncio.gather(*waiting)
        assert order == ["task 0", "thread 1", "task 2", "thread 3", "task 4"]

    run(main())


def test_what_one_sender_sends_arrives_in_order() -> None:
    async def main() -> None:
        channel = Channel(3)
        count = 500

        async def send(name: int) -> None:
            for i in range(count):
                await channel.send_async([name, i])

        lua = "local c, name, n = ... for i = 0, n - 1 do c:send({name, i}) end"
        threads = [OSThread(lua, channel, name, count) for name in (3, 4)]
        tasks = asyncio.gather(*(send(name) for name in range(3)), *threads)
        last: dict[int, int] = dict.fromkeys(range(5), -1)
        for _ in range(5 * count):
            name, i = await channel.receive_async()
            assert last[name] == i - 1
            last[name] = i
        await tasks

    run(main())


def test_a_task_that_always_finds_something_lets_the_loop_run() -> None:
    async def main() -> None:
        channel = Channel(1000)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        task = asyncio.create_task(count())
        for i in range(1000):
            await channel.send_async(i)
        assert turns >= 10
        turns = 0
        for _ in range(1000):
            await channel.receive_async()
        assert turns >= 10
        task.cancel()

    run(main())


# --- Many, and what they cost ---------------------------------------------------------------------


def test_ten_thousand_waits_cost_no_cpu_time_and_one_thread() -> None:
    count = 10_000

    async def main() -> None:
        channel = Channel(count)
        threads = threading.active_count()
        tasks_before = len(list(TASKS.iterdir())) if TASKS.exists() else 0
        tasks = [asyncio.create_task(channel.receive_async()) for _ in range(count)]
        await waiting_receivers(channel, count)
        assert threading.active_count() == threads
        if TASKS.exists():
            assert len(list(TASKS.iterdir())) <= tasks_before + 1
        gc.collect()
        before = time.process_time()
        await asyncio.sleep(0.5)
        assert time.process_time() - before < 0.05
        async with OSThread("local c, n = ... for i = 1, n do c:send(i) end", channel, count):
            values = await asyncio.gather(*tasks)
        assert sorted(values) == list(range(1, count + 1))
        assert channel.statistics().waiting_receivers == 0

        tasks = [asyncio.create_task(channel.receive_async()) for _ in range(count)]
        await waiting_receivers(channel, count)
        await asyncio.to_thread(channel.close)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ends} == {ChannelClosed}

    run(main())


def test_waits_leave_nothing_behind() -> None:
    async def main() -> None:
        channel = Channel()
        reference = weakref.ref(channel)
        for how in range(3):
            task = asyncio.create_task(channel.receive_async(None if how else 0.001))
            await asyncio.sleep(0)
            if how == 1:
                task.cancel()
            elif how == 2:
                channel.send(1)
            await asyncio.gather(task, return_exceptions=True)
        del channel, task
        gc.collect()
        assert reference() is None
        assert not osthread._async_wait._waits

    run(main())


def test_a_task_that_nobody_keeps_goes_on_waiting() -> None:
    async def main() -> Any:
        channel, result = Channel(), asyncio.get_running_loop().create_future()

        async def take() -> None:
            result.set_result(await channel.receive_async())

        asyncio.create_task(take())  # noqa: RUF006
        await waiting_receivers(channel)
        gc.collect()
        channel.send("came")
        return await result

    assert run(main()) == "came"


# --- Loops ----------------------------------------------------------------------------------------


def test_loops_in_several_threads() -> None:
    channel, done = Channel(2), Channel()
    loops = 4
    ready = threading.Barrier(loops + 1)

    def loop() -> None:
        async def main() -> None:
            async def take() -> None:
                async for value in channel:
                    await done.send_async(value)

            tasks = [asyncio.create_task(take()) for _ in range(5)]
            await asyncio.sleep(0)
            ready.wait()
            await asyncio.gather(*tasks)

        asyncio.run(main())

    threads = [in_thread(loop) for _ in range(loops)]
    ready.wait()
    with OSThread("local c = ... for i = 1, 1000 do c:send(i) end c:close()", channel):
        values = [done.receive(PATIENCE) for _ in range(1000)]
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(values) == list(range(1, 1001))
    assert channel.statistics().waiting_receivers == 0


def left_in_line(channel: Channel) -> tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]:
    """A loop that was closed while a task of it waits."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(channel.receive_async())
    loop.run_until_complete(asyncio.sleep(0))
    assert channel.statistics().waiting_receivers >= 1
    loop.close()
    task._log_destroy_pending = False
    return loop, task


def test_a_closed_loop_hands_its_wakes_on() -> None:
    channel = Channel()
    _left = [left_in_line(channel) for _ in range(3)]
    assert run(receive_with_two_values(channel)) == ["one", "two"]
    assert channel.statistics().waiting_receivers == 0


async def receive_with_two_values(channel: Channel) -> list[Any]:
    tasks = [asyncio.create_task(channel.receive_async()) for _ in range(2)]
    await asyncio.sleep(0)
    async with OSThread("local c = ... c:send('one') c:send('two')", channel):
        return sorted(await asyncio.gather(*tasks))


def test_threads_get_what_a_closed_loop_was_told_of() -> None:
    channel, got = Channel(), Channel()
    _left = [left_in_line(channel) for _ in range(3)]

    def take() -> None:
        got.send(channel.receive())

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    wait_until(lambda: channel.statistics().waiting_receivers >= 2)
    channel.send("value")
    assert got.receive(PATIENCE) == "value"
    thread.join()


def test_the_tasks_of_a_closed_loop_are_collected() -> None:
    channel = Channel()
    loop, task = left_in_line(channel)
    reference = weakref.ref(task)
    del loop, task
    run(timeout_of(Channel()))  # a wait of another loop looks for closed ones
    gc.collect()
    assert reference() is None
    assert channel.statistics().waiting_receivers == 0


async def timeout_of(channel: Channel) -> None:
    with pytest.raises(TimeoutError):
        await channel.receive_async(0.001)


def test_loops_closed_while_values_come() -> None:
    channel = Channel(16)
    received: list[int] = []
    count = 20_000
    sender = OSThread("local c, n = ... for i = 1, n do c:send(i) end c:close()", channel, count)

    def loops() -> None:
        async def take() -> None:
            while True:
                received.append(await channel.receive_async())

        while not channel.closed or len(channel):
            loop = asyncio.new_event_loop()
            tasks = [loop.create_task(take()) for _ in range(5)]
            loop.run_until_complete(asyncio.sleep(random.random() * 0.003))
            loop.close()
            for task in tasks:
                task._log_destroy_pending = False
                if task.done():
                    task.exception()

    threads = [in_thread(loops) for _ in range(2)]
    received_by_thread: list[int] = []
    threads.append(in_thread(lambda: received_by_thread.extend(channel)))
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    sender.result(PATIENCE)
    gc.collect()
    assert sorted(received + received_by_thread) == list(range(1, count + 1))


class PlainLoop:
    """What loops like uvloop have and we may use: all else is refused."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        allowed = {
            "call_soon_threadsafe", "create_future", "call_later", "is_closed",  # ours
            "call_soon", "get_debug", "call_exception_handler",  # asyncio.Task's and Future's
        }  # fmt: skip
        assert name in allowed, name
        return getattr(self._loop, name)


def test_a_loop_needs_only_futures_timers_and_call_soon_threadsafe(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        plain = PlainLoop(asyncio.get_running_loop())
        ours = SimpleNamespace(
            get_running_loop=lambda: plain, sleep=asyncio.sleep, current_task=asyncio.current_task
        )
        monkeypatch.setattr(osthread._async_wait, "asyncio", ours)
        channel = Channel(1)
        task = asyncio.create_task(channel.receive_async(PATIENCE))
        await until(lambda: channel.statistics().waiting_receivers == 1)
        async with OSThread("local c = ... c:send('came')", channel):
            assert await task == "came"

    run(main())


# --- The process ----------------------------------------------------------------------------------

HEAD = """
import asyncio, os, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: fork with threads
import osthread
from osthread import Channel, OSThread
"""


@pytest.mark.parametrize("end", ["pass", "sys.exit(0)", "loop.close()", "del loop, task"])
def test_the_program_ends_with_waits_pending(run_script: Any, end: str) -> None:
    script = f"""{HEAD}
channel, other = Channel(), Channel()
loop = asyncio.new_event_loop()
task = loop.create_task(channel.receive_async())
loop.run_until_complete(asyncio.sleep(0))
task._log_destroy_pending = False
warnings.simplefilter("ignore", ResourceWarning)  # the unclosed loop
sender = OSThread("local c = ... while true do c:send(1) end", channel, on_exit="terminate")
print("end")
{end}
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stdout, stderr) == (0, "end\n", "")


def test_the_program_ends_while_a_daemon_thread_receives(run_script: Any) -> None:
    script = f"""{HEAD}
channel = Channel(2)
started = threading.Event()

async def main():
    async for value in channel:
        started.set()

threading.Thread(target=asyncio.run, args=(main(),), daemon=True).start()
sender = OSThread("local c = ... while true do c:send(1) require('osthread').sleep(1e-5) end", channel,
                  on_exit="terminate")
started.wait()
print("end")
"""
    for _ in range(5):
        returncode, stdout, stderr = run_script(script)
        assert (returncode, stdout, stderr) == (0, "end\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_in_a_forks_child_new_waits_work_and_old_ones_are_lost(run_script: Any) -> None:
    script = f"""{HEAD}
async def talk():
    channel = Channel(1)
    async with OSThread("local c = ... for i = 1, 10 do c:send(i) end c:close()", channel):
        return sum([value async for value in channel])

print("before", asyncio.run(talk()))
old = Channel()
loop = asyncio.new_event_loop()
task = loop.create_task(old.receive_async())
loop.run_until_complete(asyncio.sleep(0))
old.send("told in the parent")
sys.stdout.flush()
pid = os.fork()
if pid == 0:
    asyncio.set_event_loop(None)
    print("child", asyncio.run(talk()))
    try:
        asyncio.run(old.receive_async())
    except RuntimeError as error:
        print("fork" in str(error))
    task._log_destroy_pending = False
    del task
    sys.stdout.flush()
    os._exit(7)
_, status = os.waitpid(pid, 0)
print("ended", os.waitstatus_to_exitcode(status))
print("parent", loop.run_until_complete(task), asyncio.run(talk()))
loop.close()
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stderr) == (0, "")
    assert stdout.splitlines() == ["before 55", "child 55", "True", "ended 7", "parent told in the parent 55"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forks_child_that_ends_normally_drops_old_waits(run_script: Any) -> None:
    script = f"""{HEAD}
old = Channel()
loop = asyncio.new_event_loop()
tasks = [loop.create_task(old.receive_async()) for _ in range(3)]
loop.run_until_complete(asyncio.sleep(0))
for task in tasks:
    task._log_destroy_pending = False
warnings.simplefilter("ignore", ResourceWarning)  # the unclosed loop
sys.stdout.flush()
if os.fork() == 0:
    tasks[0].cancel()
    tasks.clear()
    del loop, task
    sys.exit(3)
print("ended", os.waitstatus_to_exitcode(os.wait()[1]))
old.close()
print([type(end).__name__ for end in loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))])
loop.close()
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stderr) == (0, "")
    assert stdout.splitlines() == ["ended 3", "['ChannelClosed', 'ChannelClosed', 'ChannelClosed']"]


def test_what_goes_wrong_in_a_loop_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        channel = Channel()
        with monkeypatch.context() as patch:
            task = asyncio.create_task(channel.receive_async())
            await waiting_receivers(channel)

            def fail(*_: object) -> None:
                raise ValueError("broken")

            patch.setattr(loop, "call_soon_threadsafe", fail)
            channel.send("value")
            await until(lambda: bool(told))
        task.cancel()
        return await channel.receive_async()

    assert run(main()) == "value"
    assert "broken" in str(told[0].exc_value)


def test_a_loop_that_closes_passes_on_what_its_waits_were_told() -> None:
    for i in range(50):
        channel = Channel(8)
        loop = asyncio.new_event_loop()
        received: list[int] = []
        thread = threading.Thread(target=lambda c=channel, r=received: r.append(c.receive(PATIENCE)))

        async def wait_and_go(
            channel: Channel = channel, thread: threading.Thread = thread, i: int = i
        ) -> asyncio.Task[Any]:
            task = asyncio.ensure_future(channel.receive_async())
            while channel.statistics().waiting_receivers < 1:
                await asyncio.sleep(0)
            thread.start()
            while channel.statistics().waiting_receivers < 2:
                await asyncio.sleep(0.0005)
            channel.send(i)  # told to the task, which has no turn any more
            if i % 2:
                time.sleep(0.001)
            return task

        task = loop.run_until_complete(wait_and_go())
        loop.close()
        if task.done():  # it was woken before the loop had ended
            channel.send(i)
        thread.join(PATIENCE)
        assert received == [i]
        del task
    gc.collect()


def test_leaving_an_async_block_resumes_a_paused_thread() -> None:
    async def main() -> None:
        async with OSThread("for i = 1, 1e7 do end return 5") as thread:
            thread.pause()
        assert thread.result(0) == 5

    run(main())
