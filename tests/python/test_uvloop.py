"""Everything asynchronous, in a loop that is not asyncio's own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import osthread
import pytest
from osthread import Channel, LuaError, OSThread, Stopped, select_async
from waiting import PATIENCE

uvloop = pytest.importorskip("uvloop")

FOREVER = "while true do end"


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return uvloop.run(asyncio.wait_for(main, PATIENCE))


def test_a_thread_is_awaited() -> None:
    async def main() -> None:
        assert await OSThread("return ... * 2", 21) == 42
        assert await asyncio.gather(*(OSThread("return ...", i) for i in range(20))) == list(range(20))
        with pytest.raises(LuaError, match="oops"):
            await OSThread("error('oops')")

    run(main())


def test_a_block_waits_without_blocking_the_loop() -> None:
    async def main() -> None:
        channel = Channel()
        async with OSThread("local c = ... return c:receive()", channel) as thread:
            asyncio.get_running_loop().call_later(0.01, channel.send, "came")
        assert thread.result() == "came"

    run(main())


def test_cancelling_an_await_stops_the_thread() -> None:
    async def main() -> None:
        thread = OSThread(FOREVER)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(thread, 0.05)
        assert await asyncio.to_thread(thread.join, PATIENCE)
        assert isinstance(thread.exception(), Stopped)

    run(main())


def test_channels_are_iterated_and_selected() -> None:
    async def main() -> None:
        a, b = Channel(4), Channel(4)
        count = "local c, n = ... for i = 1, n do c:send(i) end c:close()"
        async with OSThread(count, a, 1000):
            assert [value async for value in a] == list(range(1, 1001))
        async with OSThread("local c = ... c:send('text')", b):
            assert await select_async(b, Channel()) == (b, "text")
        full = Channel(1)
        await full.send_async(1)
        with pytest.raises(TimeoutError):
            await full.send_async(2, 0.01)

    run(main())


def test_tasks_and_lua_play_ping_pong() -> None:
    async def main() -> None:
        there, back = Channel(1), Channel(1)
        async with OSThread("local a, b = ... for v in a do b:send(v + 1) end", there, back):
            value = 0
            for _ in range(300):
                await there.send_async(value)
                value = await back.receive_async()
            there.close()
        assert value == 300

    run(main())


def test_a_pool_is_the_loops_executor() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        square = osthread.compile("function(x) return x * x end")
        with osthread.LuaPool(2) as pool:
            results = await asyncio.gather(*(loop.run_in_executor(pool, square, i) for i in range(100)))
        assert results == [i * i for i in range(100)]

    run(main())
