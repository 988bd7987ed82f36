"""Compute: the same Lua in an OSThread and in the stock luajit program; two threads against one."""

from __future__ import annotations

import time
from pathlib import Path

from osthread import OSThread

from . import build
from .table import Row, median

ROUNDS = 7
WITH_GOAL = ("mandelbrot", "nbody", "spectral_norm", "binary_trees")
WITHOUT = ("empty_loop", "daxpy")


def kernel(name: str) -> Path:
    return build.KERNELS / f"{name}.lua"


def in_thread(name: str) -> float:
    """Seconds by os.clock(), taken inside: neither start-up counts."""
    with OSThread(kernel(name)) as thread:
        seconds, *_ = thread.results()
    return float(seconds)


def in_program(name: str) -> float:
    return float(build.luajit(f"print((dofile('{kernel(name)}')))"))


def speed(name: str, goal: str) -> Row:
    ours, program = [], []
    for _ in range(ROUNDS):
        ours.append(1 / in_thread(name))
        program.append(1 / in_program(name))
    return Row(f"JIT: {name}", median(ours), "runs/s", "luajit without CHECKHOOK", median(program), goal)


def together(count: int) -> float:
    """Seconds of the clock on the wall."""
    threads = [OSThread(kernel("mandelbrot"), suspended=True) for _ in range(count)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begin


def rows() -> list[Row]:
    result = [speed(name, ">= 0.97") for name in WITH_GOAL]
    result += [speed(name, "") for name in WITHOUT]
    one, two = [], []
    for _ in range(ROUNDS):
        one.append(1 / together(1))
        two.append(2 / together(2))
    twice = Row("mandelbrot in two threads", median(two), "runs/s", "one thread", median(one), ">= 1.9")
    result.append(twice)
    return result
