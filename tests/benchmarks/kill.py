"""What ends `while True: pass` for whoever has no OSThread: killing a process."""

from __future__ import annotations

import multiprocessing
import time

from osthread import OSThread

from .table import Row, median, quantile


def spin() -> None:
    while True:
        pass


def ours() -> float:
    thread = OSThread("while true do end")
    time.sleep(0.003)
    begin = time.perf_counter_ns()
    thread.interrupt()
    thread.join()
    took = (time.perf_counter_ns() - begin) / 1e3
    thread.exception()
    return took


def process() -> float:
    victim = multiprocessing.get_context("fork").Process(target=spin)
    victim.start()
    time.sleep(0.003)
    begin = time.perf_counter_ns()
    victim.kill()
    victim.join()
    return (time.perf_counter_ns() - begin) / 1e3


def rows() -> list[Row]:
    interrupts, kills = [], []
    for _ in range(100):
        interrupts.append(ours())
        kills.append(process())
    what, peer = "Python: interrupt() to the end", "killing a process"
    return [
        Row(f"{what}: median", median(interrupts), "us", peer, median(kills)),
        Row(f"{what}: p99", quantile(interrupts, 0.99), "us", peer, quantile(kills, 0.99)),
    ]
