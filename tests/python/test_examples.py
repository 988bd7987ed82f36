"""Every program of python/examples runs, and says nothing on stderr."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "python" / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example(example: Path) -> None:
    """Warnings are errors here: an example drops no thread and forgets no result."""
    done = subprocess.run(
        [sys.executable, "-W", "error", example], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_there_are_examples() -> None:
    """The folder was found."""
    assert EXAMPLES
