"""``osthread eval``: an expression or a chunk from the command line; its results are printed."""

from __future__ import annotations

from osthread import ConversionError, LuaError, OSThread
from osthread._cli.outcome import exit_status, report
from osthread._cli.typed import MODULES, PRINT_RESULTS, compile_typed


def evaluate(code: str) -> int:
    """Run the code and print its results on one line, strings as they are; the exit status."""
    try:
        typed = compile_typed(code, "eval")
        with OSThread(PRINT_RESULTS, *typed, False, modules=MODULES) as thread:
            results = thread.results()
    except (LuaError, ConversionError) as error:
        return report(error)
    ended_early = len(results) < 2
    return exit_status(*results) if ended_early and results else 0
