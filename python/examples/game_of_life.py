"""Conway's Game of Life: each thread has a band of rows, and all wait for each other after each generation.

::

    python game_of_life.py --width 1920 --height 1080 --generations 1000 --output life.png

Two SharedBuffers hold the world before and after a generation, and change places. A thread writes its own rows only,
but reads those next to its band; the Barrier sees to it that nobody is a generation ahead. The world is a torus.
"""

import argparse
import os
import time
from contextlib import ExitStack
from itertools import pairwise

import numpy as np
from osthread import Barrier, Channel, OSThread, SharedBuffer
from PIL import Image

BAND = """
local before, after, barrier, first, stop, generations = ...
local ffi = require "ffi"
local height, width = before.shape[1], before.shape[2]
local here, there = before.data, after.data
local lives = ffi.new("uint8_t[2][9]")  -- by whether a cell is alive, and by its neighbours
lives[0][3], lives[1][2], lives[1][3] = 1, 1, 1

for _ = 1, generations do
  for row = first, stop - 1 do
    local above, below = here + (row - 1) % height * width, here + (row + 1) % height * width
    local middle, target = here + row * width, there + row * width
    -- The sums of three columns of three cells move along the row: each cell is read once, not nine times.
    local last = width - 1
    local left = above[last] + middle[last] + below[last]
    local centre = above[0] + middle[0] + below[0]
    for column = 0, width - 1 do
      local next = column < last and column + 1 or 0
      local right = above[next] + middle[next] + below[next]
      local cell = middle[column]
      target[column] = lives[cell][left + centre + right - cell]
      left, centre = centre, right
    end
  end
  barrier:wait()
  here, there = there, here
end
"""


def live(world: np.ndarray, generations: int, threads: int) -> np.ndarray:
    """The world some generations later."""
    before, after = SharedBuffer(world.copy()), SharedBuffer("uint8", world.shape)
    barrier, ends = Barrier(threads), Channel()
    edges = np.linspace(0, len(world), threads + 1).astype(int).tolist()
    with ExitStack() as stack:
        for first, stop in pairwise(edges):
            args = (before, after, barrier, first, stop, generations)
            stack.enter_context(OSThread(BAND, *args, notify=ends))
        # In the order they end: an error is heard of at once, though the others wait for that thread.
        for _ in range(threads):
            ends.receive().result()
    return np.asarray(after if generations % 2 else before)


def live_numpy(world: np.ndarray, generations: int) -> np.ndarray:
    """The same by NumPy, which the threads are checked against."""
    for _ in range(generations):
        around = [np.roll(world, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
        neighbours = np.sum(around, axis=0, dtype=np.uint8)
        world = ((neighbours == 3) | ((neighbours == 2) & (world == 1))).astype(np.uint8)
    return world


def main() -> None:
    """Let a random world live."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--generations", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="of the random world")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--check", action="store_true", help="compare with NumPy, which takes a while")
    parser.add_argument("--output", help="write a PNG of the last generation here")
    args = parser.parse_args()

    world = np.random.default_rng(args.seed).integers(0, 2, (args.height, args.width), np.uint8)
    began = time.perf_counter()
    last = live(world, args.generations, args.threads)
    seconds = time.perf_counter() - began
    speed = world.size * args.generations / seconds / 1e6
    print(f"{args.generations} generations, {args.threads} threads: {seconds:.3f} s")
    print(
        f"{speed:.0f} million cells per second; {np.count_nonzero(last)} of {last.size} are alive at the end"
    )
    if args.output:
        Image.fromarray(255 * last).save(args.output)
    if args.check:
        if not np.array_equal(last, live_numpy(world, args.generations)):
            raise SystemExit("NumPy says otherwise")
        print("NumPy says the same")


if __name__ == "__main__":
    main()
