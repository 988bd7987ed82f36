"""A sum over many terms, by two threads at once: Python only starts them and adds up."""

from osthread import OSThread

PART = """
local first, step, last = ...
local sum = 0
for i = first, last, step do sum = sum + 1 / i^2 end
return sum
"""

TERMS = 100_000_000

with OSThread(PART, 1, 2, TERMS) as odd, OSThread(PART, 2, 2, TERMS) as even:
    print("two threads:", odd.name, odd.native_id, "and", even.name, even.native_id)
    pi = (6 * (odd.result() + even.result())) ** 0.5

print(f"pi is about {pi:.6f}")
