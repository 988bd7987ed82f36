"""Formulas that users typed: a wrong or a hostile one costs at most 0.1 seconds and 4 MiB, not the program.

This contains mistakes and ordinary malice; strangers' code belongs into a process of its own as well.
"""

from osthread import LuaError, LuaState

FORMULAS = [
    "price * 1.19",
    "price > 100 and price * 0.9 or price",
    "prize * 2",
    "price +",
    "(function() while true do end end)()",
    "('x'):rep(1e9)",
    "os.execute('true')",
]

with LuaState(libraries="safe", time_limit=0.1, memory_limit=4 * 2**20, globals={"price": 120}) as state:
    for formula in FORMULAS:
        try:
            answer = str(state.eval(formula))
        except LuaError as error:
            answer = f"{type(error).__name__}: {error.message}"
        print(f"{formula:40} {answer}")
