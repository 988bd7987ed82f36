"""Calls from Python to Lua, and lists on their way there and back, against lupa's."""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable
from typing import Any

from osthread import LuaState

from .table import Row, median

ROUNDS = 15
CALLS = 20_000
NUMBERS = [float(i) for i in range(1_000_000)]
ADD = "function(a, b) return a + b end"
COUNT = "function(list) return #list end"
MAKE = "function() local t = {} for i = 1, 1000000 do t[i] = i + 0.5 end return t end"


def call_time(statement: str, **names: Any) -> float:
    """Microseconds of what a program would write, with no Python function around it."""
    return timeit.timeit(f"for i in range({CALLS}): {statement}", globals=names, number=1) * 1e6 / CALLS


def once(function: Callable[[], Any]) -> float:
    """Milliseconds."""
    begin = time.perf_counter_ns()
    function()
    return (time.perf_counter_ns() - begin) / 1e6


def rows() -> list[Row]:
    import lupa.luajit21 as lupa

    peer = lupa.LuaRuntime(unpack_returned_tuples=True)
    table_from, to_list = peer.table_from, peer.eval("function(t) return t end")
    add, count, make = peer.eval(ADD), peer.eval(COUNT), peer.eval(MAKE)
    samples: dict[str, tuple[list[float], list[float]]] = {}

    def note(what: str, ours: float, theirs: float) -> None:
        both = samples.setdefault(what, ([], []))
        both[0].append(ours)
        both[1].append(theirs)

    with LuaState() as state:
        state.execute(f"add = {ADD} count = {COUNT} make = {MAKE}")
        for _ in range(ROUNDS):
            note("call", call_time("call('add', i, 1)", call=state.call), call_time("add(i, 1)", add=add))
            note("in", once(lambda: state.call("count", NUMBERS)), once(lambda: count(table_from(NUMBERS))))
            note("out", once(lambda: state.call("make")), once(lambda: list(to_list(make()).values())))

    def row(key: str, what: str, unit: str, goal: str) -> Row:
        ours, theirs = samples[key]
        return Row(what, median(ours), unit, "lupa", median(theirs), goal)

    return [
        row("call", "LuaState: a call of two numbers", "us", "<= 1"),
        row("in", "LuaState: a list of a million floats in", "ms", "<= 0.65"),
        row("out", "LuaState: the same made in Lua, and out", "ms", "<= 0.32"),
    ]
