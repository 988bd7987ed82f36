"""Every program of python/examples, and every Lua program of cpp/examples, runs, and says nothing on stderr.

Those that take options, and would take long without, have tests of their own: test_python_examples.py.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITH_OPTIONS = {"filter_csv", "game_of_life", "mandelbrot", "option_pricing", "rule_engine"}
PYTHON = sorted(path for path in (ROOT / "python" / "examples").glob("*.py") if path.stem not in WITH_OPTIONS)
LUA = sorted((ROOT / "cpp" / "examples").glob("*.lua"))


@pytest.mark.parametrize("example", [*PYTHON, *LUA], ids=lambda path: path.name)
def test_example(example: Path) -> None:
    """Warnings are errors here: an example drops no thread and forgets no result."""
    command = [sys.executable, "-W", "error", example]
    if example.suffix == ".lua":
        command[3:3] = ["-m", "osthread", "run"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_there_are_examples() -> None:
    """The folders were found."""
    assert PYTHON
    assert LUA
