"""A subinterpreter is told that it can't have osthread, before anything can hang."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

IN_SUBINTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:  # Python 3.12 and before
    import _xxsubinterpreters as interpreters
interpreters.run_string(interpreters.create(), '''
try:
    import osthread
except ImportError as error:
    print(error, flush=True)
''')
"""
IN_MAIN = "import osthread; print(osthread.run('return 6 * 7'), flush=True)\n"
REFUSED = "osthread works in the main interpreter only: it can't be imported in a subinterpreter\n"


@pytest.mark.parametrize("order", [(IN_MAIN, IN_SUBINTERPRETER), (IN_SUBINTERPRETER, IN_MAIN)])
def test_import_is_refused_and_harms_nobody(order: tuple[str, str], run_script: Callable[..., Any]) -> None:
    said = "".join("42\n" if code == IN_MAIN else REFUSED for code in order)
    assert run_script("".join(order)) == (0, said, "")
