"""``osthread demo``: what this is good for, in about ten seconds. Every figure is measured on the spot."""

from __future__ import annotations

import os
import platform
import statistics
import time
from contextlib import ExitStack

import osthread
from osthread import LuaMemoryError, OSThread

# The points in the Mandelbrot set, in every `step`-th row of a picture of `size` rows.
MANDELBROT = """
function(first, step, size)
  local inside = 0
  for row = first, size, step do
    local ci = 2 * row / size - 1
    for column = 1, size do
      local cr, zr, zi, n = 2 * column / size - 1.5, 0, 0, 0
      while zr * zr + zi * zi < 4 and n < 200 do
        zr, zi, n = zr * zr - zi * zi + cr, 2 * zr * zi + ci, n + 1
      end
      if n == 200 then inside = inside + 1 end
    end
  end
  return inside
end
"""

ENDLESS_LOOP = "while true do end"

MEMORY_BOMB = "local t = {} while true do t[#t + 1] = ('x'):rep(2^20) .. #t end"
MEMORY_LIMIT = 64 * 2**20


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compute(size: int, threads: int) -> tuple[float, int]:
    """The seconds that `threads` threads need for the picture together, and what they found."""
    start = time.perf_counter()
    with ExitStack() as stack:
        parts = range(1, threads + 1)
        workers = [stack.enter_context(OSThread(MANDELBROT, part, threads, size)) for part in parts]
        inside = sum(worker.result() for worker in workers)
    return time.perf_counter() - start, inside


def two_threads_at_once() -> None:
    """Time the same work in one thread and in two."""
    print("\nTwo threads at work at once")
    trial = 400
    size = int(trial * (2 / compute(trial, 1)[0]) ** 0.5)  # about 2 seconds of work
    one, two = (min(compute(size, threads) for _ in range(2)) for threads in (1, 2))
    assert one[1] == two[1], "one thread and two disagree"
    print(f"  the Mandelbrot set, {size} x {size} points ({one[1]:,} are inside)")
    print(f"  one thread    {one[0]:.2f} s")
    print(f"  two threads   {two[0]:.2f} s, {one[0] / two[0]:.2f} times as fast")
    if cores() == 1:
        print("  This process may use one core only: its threads take turns, and nothing gets faster.")
    elif one[0] / two[0] < 1.5 and hasattr(os, "getloadavg"):
        print(f"  Something else is using the {cores()} cores: the load average is {os.getloadavg()[0]:.1f}.")


def endless_loop_stopped() -> None:
    """Time interrupt() of a loop that LuaJIT has compiled to machine code."""
    print(f"\nAn endless loop stopped: {ENDLESS_LOOP}")
    if not osthread.features().interrupts_compiled_loops:
        print("  not with this build: the LuaJIT it was linked with can't interrupt compiled loops")
        return
    times = []
    for _ in range(100):
        with OSThread(ENDLESS_LOOP) as thread:
            time.sleep(0.005)  # by then it is machine code
            start = time.perf_counter()
            thread.interrupt()
            thread.join()
            times.append(time.perf_counter() - start)
            assert thread.status == "stopped", thread.status
    print(f"  from interrupt() to its end, {len(times)} times: ", end="")
    print(f"median {statistics.median(times) * 1e6:.0f} us, worst {max(times) * 1e6:.0f} us")


def memory_bomb_stopped() -> None:
    """Let a chunk allocate without end, below a limit."""
    print(f"\nA memory bomb stopped: {MEMORY_BOMB}")
    start = time.perf_counter()
    thread = OSThread(MEMORY_BOMB, memory_limit=MEMORY_LIMIT)
    try:
        thread.result()
    except LuaMemoryError as error:
        elapsed, peak = time.perf_counter() - start, thread.statistics().peak_memory
        print(f"  memory_limit={MEMORY_LIMIT // 2**20} MiB: LuaMemoryError ({error.message})")
        print(f"  after {elapsed * 1e3:.0f} ms, when it held {peak / 2**20:.0f} MiB")


def next_thread() -> None:
    """Show that none of this has hurt the process, and what a thread costs."""
    print("\nThe next thread is fine")
    times = []
    for _ in range(500):
        start = time.perf_counter()
        answer = OSThread("return 6 * 7").result()
        times.append(time.perf_counter() - start)
        assert answer == 42, answer
    print(f"  return 6 * 7 is {answer}")
    print(f"  from OSThread(...) to its result, {len(times)} times: ", end="")
    print(f"median {statistics.median(times) * 1e6:.0f} us")


def demo() -> int:
    """Run all of it; the exit status."""
    print(f"OSThread {osthread.__version__}, {osthread.features().luajit}, ", end="")
    print(f"Python {platform.python_version()}, cores: {cores()}")
    two_threads_at_once()
    endless_loop_stopped()
    memory_bomb_stopped()
    next_thread()
    return 0
