"""A long computation that tells Python how far it is, and that Python ends when it knows enough."""

import threading

from osthread import OSThread

SEARCH = """
local report = ...
local best, i = 0, 0
while true do
  i = i + 1
  local n, steps = i, 0
  while n ~= 1 do
    n = n % 2 == 0 and n / 2 or 3 * n + 1
    steps = steps + 1
  end
  if steps > best then
    best = steps
    report(i, steps)
  end
end
"""

enough = threading.Event()


def report(start: int, steps: int) -> None:
    """Called by Lua, on Lua's thread."""
    if steps > 300 and not enough.is_set():
        print(f"From {start} it takes {steps} steps down to 1.")
        enough.set()


with OSThread(SEARCH, report, name="collatz") as thread:
    enough.wait()
    thread.interrupt()

print(thread.name, "is", thread.status)
