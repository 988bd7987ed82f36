"""The Mandelbrot set: a Lua kernel fills an image of NumPy, slices of its rows on all cores.

::

    python mandelbrot.py --size 4000 --output mandelbrot.png

``LuaPool.map_array`` hands the kernel the image's own memory, so nothing is copied, in or out. Rows through the middle
of the set take a hundred times as long as those at its edge; there are more slices than workers, so that none idles.
"""

import argparse
import time

import numpy as np
import osthread
from PIL import Image

LEFT, TOP, SIDE = -2.05, -1.3, 2.6  # the square of the complex plane that is drawn


@osthread.lua
def escape_times(counts, start, stop, size, limit, left, top, side):
    """
    local step = side / size
    for row = start, stop - 1 do
      local ci = top + row * step
      for column = 0, size - 1 do
        local cr = left + column * step
        local zr, zi, zr2, zi2, n = 0, 0, 0, 0, 0
        while n < limit and zr2 + zi2 <= 4 do
          zi = 2 * zr * zi + ci
          zr = zr2 - zi2 + cr
          zr2, zi2 = zr * zr, zi * zi
          n = n + 1
        end
        counts[row * size + column] = n
      end
    end
    """


def colours(counts: np.ndarray, limit: int) -> np.ndarray:
    """RGB: black is the set itself; outside, the hue goes round with the logarithm of the time to escape."""
    turns = np.log(np.arange(1, limit + 1))[:, None] / 5 + [0.82, 0.88, 0.94]
    palette = np.append(127.5 - 127.5 * np.cos(2 * np.pi * turns), [[0, 0, 0]], axis=0)
    return palette.astype(np.uint8)[counts]


def main() -> None:
    """Compute, tell how long it took, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1000, help="pixels along each side")
    parser.add_argument(
        "--limit", type=int, default=256, help="iterations after which a point is in the set; 65535 at most"
    )
    parser.add_argument("--workers", type=int, help="threads; one for each CPU")
    parser.add_argument("--output", help="write a PNG here")
    parser.add_argument("--save", help="write the escape times here, for numpy.load")
    args = parser.parse_args()

    counts = np.zeros((args.size, args.size), np.uint16)
    with osthread.LuaPool(args.workers) as pool:
        began = time.perf_counter()
        pool.map_array(escape_times, out=counts, args=(args.size, args.limit, LEFT, TOP, SIDE))
        seconds = time.perf_counter() - began
        workers = pool.statistics().max_workers

    area = np.count_nonzero(counts == args.limit) * (SIDE / args.size) ** 2
    print(f"{args.size} x {args.size} pixels, {workers} workers: {seconds:.3f} s")
    print(f"{counts.sum() / seconds / 1e6:.0f} million iterations per second; the set's area is {area:.3f}")
    if args.save:
        np.save(args.save, counts)
    if args.output:
        Image.fromarray(colours(counts, args.limit)).save(args.output)


if __name__ == "__main__":
    main()
