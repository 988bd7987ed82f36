"""From the start of a thread to the result of an empty chunk, from Python and in its peers."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from osthread import LuaState, OSThread

from . import build
from .table import Row, median

CODE = "return 1"
BURST = 1000
STATES_AHEAD = 2 * (os.cpu_count() or 1)


def timed(function: Callable[[], Any]) -> float:
    """Microseconds."""
    begin = time.perf_counter_ns()
    function()
    return (time.perf_counter_ns() - begin) / 1e3


def settle() -> None:
    """Lets ended threads be gone, and what they do last be done."""
    time.sleep(0.001)


def ours() -> None:
    OSThread(CODE).result()


def ours_unprepared() -> float:
    # Every state that may be prepared is taken by somebody else: by LuaStates, which leave none behind.
    holders = [LuaState() for _ in range(STATES_AHEAD)]
    took = timed(ours)
    del holders
    return took


def burst() -> None:
    threads = [OSThread(CODE) for _ in range(BURST)]
    for thread in threads:
        thread.join()


def in_threading(target: Callable[[], Any]) -> None:
    thread = threading.Thread(target=target)
    thread.start()
    thread.join()


def in_process(context: Any, target: Callable[[], Any]) -> None:
    process = context.Process(target=target)
    process.start()
    process.join()


def nothing() -> None: ...


def subinterpreter() -> Callable[[], None] | None:
    """Makes an interpreter, runs nothing in it, and ends it; None if this Python has none."""
    with suppress(ImportError):
        from concurrent import interpreters  # type: ignore[attr-defined]

        def run() -> None:
            interpreter = interpreters.create()
            interpreter.exec("pass")
            interpreter.close()

        return run
    with suppress(ImportError):
        try:
            import _interpreters as module  # type: ignore[import-not-found]
        except ImportError:
            import _xxsubinterpreters as module  # type: ignore[import-not-found,no-redef]

        def run_string() -> None:
            interpreter = module.create()
            module.run_string(interpreter, "pass")
            module.destroy(interpreter)

        return run_string
    return None


def peers() -> dict[str, tuple[Callable[[], None], int]]:
    """Those that can be had here, each with the number of rounds that it is worth."""
    found: dict[str, tuple[Callable[[], None], int]] = {}
    found["threading.Thread, no Lua"] = (lambda: in_threading(nothing), 500)
    with suppress(ImportError):
        from lupa.luajit21 import LuaRuntime

        found["lupa in a threading.Thread"] = (lambda: in_threading(lambda: LuaRuntime().execute(CODE)), 300)
    run = subinterpreter()
    if run:
        found["a subinterpreter in a threading.Thread"] = (lambda: in_threading(run), 20)
    if "fork" in multiprocessing.get_all_start_methods():
        fork = multiprocessing.get_context("fork")
        found["multiprocessing, fork"] = (lambda: in_process(fork, nothing), 50)
    return found


def rows() -> list[Row]:
    floor = build.floor()
    code = CODE.encode()
    prepared, unprepared, floors = [], [], []
    gc.collect()
    for _ in range(1000):
        settle()
        prepared.append(timed(ours))
        settle()
        floors.append(floor.floor_start(code))
        settle()
        unprepared.append(ours_unprepared())
    at_once, floors_at_once = [], []
    for _ in range(10):
        settle()
        at_once += [timed(ours) for _ in range(100)]
        settle()
        floors_at_once += [floor.floor_start(code) for _ in range(100)]
    bursts, floor_bursts = [], []
    for _ in range(7):
        settle()
        bursts.append(BURST * 1e6 / timed(burst))
        settle()
        floor_bursts.append(BURST * 1e6 / floor.floor_burst(BURST, code))
    floor_start = median(floors)
    at_once_floor, burst_floor = median(floors_at_once), median(floor_bursts)
    peer = "C floor"
    result = [
        Row("Python: start to result", median(prepared), "us", peer, floor_start, "<= 0.9"),
        Row("Python: no prepared state left", median(unprepared), "us", peer, floor_start, "<= 1.3"),
        Row("Python: one straight after the other", median(at_once), "us", peer, at_once_floor, "<= 0.9"),
        Row("Python: 1,000 started, then joined", median(bursts), "/s", peer, burst_floor, ">= 1"),
    ]
    for name, (run, times) in peers().items():
        beside, samples = [], []
        for _ in range(times):
            settle()
            beside.append(timed(ours))
            settle()
            samples.append(timed(run))
        result.append(Row("Python: start to result", median(beside), "us", name, median(samples)))
    return result
