"""Kernels over arrays on two cores: against the same loop in C, against numba, against one core."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import osthread
from osthread import LuaPool

from . import build
from .table import Row, median

ROUNDS = 7
SIDE = 2000
DEEPEST = 255  # as a byte holds
LARGE = 50_000_000
SMALL = 131_072  # 1 MB
REPEATS = 300

MANDELBROT = """function(image, i, j, side, deepest)
  for y = i, j - 1 do
    local ci = 2 * y / side - 1
    for x = 0, side - 1 do
      local cr = 3 * x / side - 2
      local zr, zi, n = 0, 0, 0
      while n < deepest and zr * zr + zi * zi < 4 do
        zr, zi = zr * zr - zi * zi + cr, 2 * zr * zi + ci
        n = n + 1
      end
      image[y * side + x] = n
    end
  end
end"""
AXPY = "function(x, y, i, j, a) for k = i, j - 1 do y[k] = a * x[k] + y[k] end end"
AXPY_ROUNDS = """function(x, y, i, j, a, rounds)
  for _ = 1, rounds do
    for k = i, j - 1 do y[k] = a * x[k] + y[k] end
  end
end"""


def seconds(function: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def numba_mandelbrot() -> tuple[Callable[[Any], None], float] | None:
    """The same, compiled by numba, and how long that took; nothing without it."""
    with suppress(ImportError):
        import numba
        import numpy as np

        @numba.njit(parallel=True, fastmath=False)  # type: ignore[untyped-decorator]
        def kernel(image: Any, side: int, deepest: int) -> None:
            for y in numba.prange(side):
                ci = 2 * y / side - 1
                for x in range(side):
                    cr = 3 * x / side - 2
                    zr = zi = 0.0
                    n = 0
                    while n < deepest and zr * zr + zi * zi < 4:
                        zr, zi = zr * zr - zi * zi + cr, 2 * zr * zi + ci
                        n += 1
                    image[y, x] = n

        numba.set_num_threads(2)
        first = seconds(lambda: kernel(np.zeros((4, 4), np.uint8), 4, DEEPEST))
        return (lambda image: kernel(image, SIDE, DEEPEST)), first
    return None


def mandelbrot() -> list[Row]:
    import numpy as np

    peer = numba_mandelbrot()
    kernel = osthread.compile(MANDELBROT)
    image, theirs = np.zeros((SIDE, SIDE), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    small = np.zeros((4, 4), np.uint8)
    first: list[float] = []
    one: list[float] = []
    two: list[float] = []
    numba: list[float] = []
    for _ in range(ROUNDS):
        with LuaPool(1) as single, LuaPool(2) as pool:
            first.append(seconds(lambda: pool.map_array(kernel, small, args=(4, DEEPEST))) * 1e6)
            single.map_array(kernel, small, args=(4, DEEPEST))
            one.append(1 / seconds(lambda: single.map_array(kernel, image, args=(SIDE, DEEPEST))))
            two.append(1 / seconds(lambda: pool.map_array(kernel, image, args=(SIDE, DEEPEST))))
        if peer:
            numba.append(1 / seconds(lambda: peer[0](theirs)))
    what = f"mandelbrot {SIDE} x {SIDE}, two workers"
    result = [Row(what, median(two), "images/s", "one worker", median(one), ">= 1.95")]
    if peer:
        assert (image == theirs).all()
        result.append(Row(what, median(two), "images/s", "numba prange, warm", median(numba), ">= 0.97"))
        result.append(
            Row("the first 4 x 4 image", median(first), "us", "numba, which compiles", peer[1] * 1e6)
        )
    return result


def axpy() -> list[Row]:
    import numpy as np

    kernel, in_rounds, floor = osthread.compile(AXPY), osthread.compile(AXPY_ROUNDS), build.floor()
    x, y = np.arange(float(LARGE)), np.ones(LARGE)
    u, v = np.arange(float(SMALL)), np.ones(SMALL)
    ours: list[list[float]] = [[], [], []]
    theirs: list[list[float]] = [[], []]
    with LuaPool(2) as pool:
        pool.map_array(kernel, u, v, args=(0.5,))
        for _ in range(ROUNDS):
            ours[0].append(1 / seconds(lambda: pool.map_array(kernel, x, y, args=(0.5,))))
            theirs[0].append(1 / floor.floor_axpy(0.5, x.ctypes.data, y.ctypes.data, LARGE, 2))

            def repeat() -> None:
                for _ in range(REPEATS):
                    pool.map_array(kernel, u, v, args=(0.5,))

            def repeat_within() -> None:
                pool.map_array(in_rounds, u, v, args=(0.5, REPEATS), chunksize=SMALL // 2)

            ours[1].append(REPEATS / seconds(repeat_within))
            ours[2].append(REPEATS / seconds(repeat))
            theirs[1].append(
                1 / floor.floor_axpy_rounds(0.5, u.ctypes.data, v.ctypes.data, SMALL, 2, REPEATS)
            )
    c = "the same loop in C, two threads"
    return [
        Row("a*x + y, 50 million doubles", median(ours[0]), "times/s", c, median(theirs[0]), ">= 0.9"),
        Row(
            "a*x + y, 1 MB arrays, over and over", median(ours[1]), "times/s", c, median(theirs[1]), ">= 0.75"
        ),
        Row("a*x + y, 1 MB arrays, a call each", median(ours[2]), "times/s", c, median(theirs[1])),
    ]


def rows() -> list[Row]:
    """Nothing without NumPy."""
    with suppress(ImportError):
        return mandelbrot() + axpy()
    return []
