"""libraries="safe": known ways out of a sandbox, none of which may lead anywhere.

Each script tries to get what it should not have, and returns true or a text that tells what it got; false, nil or
an error if it got nothing. It is given two functions of the host: one that takes anything ("null", "large" and
"function" have it return a None in a list, a large integer, a Lua function), and one that fails. A line
`-- options:` has it run with these, `-- needs: kill` names what the build must be able to do.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import osthread
import pytest
from osthread import LuaError, LuaState, LuaTimeout, OSThread

HERE = Path(__file__).parent
ESCAPES = sorted((HERE / "escapes").glob("*.lua"))
CONTAINED = {
    "OSThread": "contained",
    "LuaState": "contained",
    "the state, later": "",
    "memory": "",
    "another state": "",
    "another safe state": "",
}
LONGEST = 20.0  # seconds for a process that runs an escape twice

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks at the process as on Linux"
)


def param(path: Path) -> Any:
    unable = "-- needs: kill\n" in path.read_text("utf-8") and not osthread.features().kill
    return pytest.param(
        path, id=path.name, marks=pytest.mark.skipif(unable, reason="this build has no kill()")
    )


def test_there_are_escapes() -> None:
    assert len(ESCAPES) > 50, "they have to be found to prove anything"


@pytest.mark.parametrize("path", [param(path) for path in ESCAPES])
def test_it_gets_nothing(path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / "escape_host.py"), str(path)],
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout) == CONTAINED


def test_a_stop_that_was_kept_is_no_stop_when_it_is_thrown_again() -> None:
    """Else a script could say that somebody has stopped it."""
    with LuaState(libraries="safe", time_limit=0.05, grace=5) as state:
        state.execute("local _, e = pcall(function() while true do end end) kept = e")
        state.time_limit = None
        with pytest.raises(LuaError) as caught:
            state.execute("error(kept, 0)")
        assert type(caught.value) is LuaError


def test_code_in_a_state_can_not_stop_the_thread_that_calls_it() -> None:
    """A safe state in a callable of a thread: `osthread.self()` there is not the thread around it."""

    def guest() -> None:
        with LuaState(libraries="safe") as state:
            state.execute("local thread = require('osthread').self() if thread then thread:interrupt() end")

    with OSThread("pcall(guest) return 'undisturbed'", globals={"guest": guest}) as thread:
        pass
    assert thread.result() == "undisturbed"


def test_a_stop_among_the_results_is_the_stop() -> None:
    """A tail call of pcall hands it to the host, which is told what it is, not that it can't cross."""
    with pytest.raises(LuaTimeout):
        osthread.run("return pcall(function() while true do end end)", time_limit=0.05, grace=5)
