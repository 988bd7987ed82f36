"""Channels between Python and Lua: a number there and back, and an array of them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from osthread import Channel, OSThread

from .table import Row, median

ROUNDS = 11
TRIPS = 2000
ANSWERER = "local there, back = ... for value in there do back:send(value) end"
NUMBERS = 1_000_000
RECEIVER = """
local channel, count = ...
local sum = 0
for _ = 1, count do sum = sum + channel:receive() end
return sum
"""


def trip(send: Callable[[int], None], receive: Callable[[], object]) -> float:
    """Microseconds for each."""
    begin = time.perf_counter_ns()
    for i in range(TRIPS):
        send(i)
        receive()
    return (time.perf_counter_ns() - begin) / 1e3 / TRIPS


def ours() -> float:
    with Channel() as there, Channel() as back, OSThread(ANSWERER, there, back):
        took = trip(there.send, back.receive)
        there.close()
    return took


def simple_queues() -> float:
    there: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    back: queue.SimpleQueue[int] = queue.SimpleQueue()

    def answer() -> None:
        while (value := there.get()) is not None:
            back.put(value)

    answerer = threading.Thread(target=answer)
    answerer.start()
    took = trip(there.put, back.get)
    there.put(None)
    answerer.join()
    return took


def array() -> list[Row]:
    """Nothing without NumPy."""
    with suppress(ImportError):
        import numpy

        numbers = numpy.arange(1, NUMBERS + 1, dtype=numpy.float64)
        rates = []
        for _ in range(ROUNDS):
            channel = Channel()
            thread = OSThread(RECEIVER, channel, NUMBERS)
            begin = time.perf_counter_ns()
            channel.send_many(numbers)
            total = thread.result()
            rates.append(NUMBERS * 1e3 / (time.perf_counter_ns() - begin))
            assert total == NUMBERS * (NUMBERS + 1) / 2
        return [Row("Python: send_many(a NumPy array) to Lua", median(rates), "M/s", goal=">= 50")]
    return []


def rows() -> list[Row]:
    trips, peers = [], []
    for _ in range(ROUNDS):
        trips.append(ours())
        peers.append(simple_queues())
    peer = "queue.SimpleQueue, Python threads"
    result = [Row("Python: a number to Lua and back", median(trips), "us", peer, median(peers), "<= 1")]
    return result + array()
