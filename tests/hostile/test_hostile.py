"""Scripts that do not want to end: each ends, by its time limit, by terminate(), by kill(), by being dropped, and
with the interpreter.

A script says on top how it behaves:

    -- What it does, in a line.
    -- ends: what result() gives under a time limit: LuaTimeout, LuaMemoryError, LuaError or finished ("A or B")
    -- weakest: interrupt, kill or none: the weakest way to stop that ends it
    -- options: a dict, the options it runs with; may be missing
    -- leaves: descriptors, if its C code opens some that only a finalizer closes, and a kill runs none; may be missing

`none` is for what sits in a C function that can't be left before it returns; these return after about half a second.
OSTHREAD_SEED repeats a run's moments.
"""

from __future__ import annotations

import ast
import gc
import json
import os
import random
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import osthread
import pytest
from osthread import OSThread

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the scripts are for Linux")

SCRIPTS = Path(__file__).parent / "scripts"
SEED = int(os.environ.get("OSTHREAD_SEED", random.SystemRandom().randrange(2**32)))
CAN_KILL = osthread.features().kill

GRACE = 0.05
TIME_LIMIT = 0.1  # of scripts that need one to end
ENOUGH = 5.0  # seconds that any script may take to end by itself, or once its time is over
AT_ONCE = 1.0  # seconds until a kill is through
KILLS = 3
LATEST_MOMENT = 0.03  # seconds from the start to a stop, at most
EXIT = 20.0  # seconds for a process with all scripts of a kind in it
RUNTIME_TROUBLE = ("terminate called", "Fatal Python error", "Segmentation", "core dumped", "Traceback")

OUTCOMES = {"LuaTimeout", "LuaMemoryError", "LuaError", "finished"}
HEADER = re.compile(
    r"\A-- (?P<what>[^\n]+)\n"
    r"-- ends: (?P<ends>\w+(?: or \w+)*)\n"
    r"-- weakest: (?P<weakest>interrupt|kill|none)\n"
    r"(?:-- options: (?P<options>\{.*\})\n)?"
    r"(?:-- leaves: (?P<leaves>descriptors)\n)?"
    r"\n"
)


class Script(NamedTuple):
    """A script, and what it says of itself."""

    path: Path
    ends: frozenset[str]
    weakest: str
    options: dict[str, Any]
    leaves: str | None

    @property
    def kind(self) -> str:
        """The first word of its name."""
        return self.path.stem.split("_")[0]

    @property
    def endless(self) -> bool:
        """Whether it never ends by itself."""
        return self.ends == {"LuaTimeout"}

    @property
    def natural(self) -> set[str]:
        """The status it may have when it ended before it was stopped, or in spite of it."""
        return {"finished" if end == "finished" else "failed" for end in self.ends - {"LuaTimeout"}}


def read_script(path: Path) -> Script:
    """The script, by its header."""
    header = HEADER.match(path.read_text("utf-8"))
    assert header, f"{path.name}: its header is not as it should be"
    ends = frozenset(header["ends"].split(" or "))
    assert ends <= OUTCOMES, path.name
    options = ast.literal_eval(header["options"] or "{}")
    return Script(path, ends, header["weakest"], options, header["leaves"])


ALL = [read_script(path) for path in sorted(SCRIPTS.glob("*.lua"))]


def runnable(script: Script) -> bool:
    """Whether this build can end it. C stack overflow ends by the same means as a kill."""
    return CAN_KILL or script.weakest != "kill"


def param(script: Script) -> Any:
    unable = pytest.mark.skipif(not runnable(script), reason="this build has no kill()")
    return pytest.param(script, id=script.path.name, marks=unable)


every_script = pytest.mark.parametrize("script", [param(script) for script in ALL])


def quiet(_: str) -> None:
    """An output that shows nothing."""


def start(script: Script, **options: Any) -> OSThread:
    """It, in a thread that does not keep pytest from ending."""
    return OSThread(script.path, stdout=quiet, grace=GRACE, on_exit="terminate", **(script.options | options))


def wait_for_a_moment(script: Script, number: int = 0) -> None:
    """At random, but the same for a seed."""
    time.sleep(random.Random(f"{SEED} {script.path.name} {number}").uniform(0, LATEST_MOMENT))


def test_there_are_scripts() -> None:
    assert len(ALL) > 200, "they have to be found to prove anything"


@every_script
def test_it_ends_in_time(script: Script) -> None:
    thread = start(script, time_limit=TIME_LIMIT if "LuaTimeout" in script.ends else ENOUGH)
    try:
        thread.result(ENOUGH + TIME_LIMIT)
        end = "finished"
    except Exception as error:
        end = type(error).__name__
    assert end in script.ends
    assert thread.status == ("finished" if end == "finished" else "failed")


@every_script
def test_terminate_ends_it(script: Script) -> None:
    print(f"OSTHREAD_SEED={SEED}")
    thread = start(script)
    wait_for_a_moment(script)
    with warnings.catch_warnings():
        if script.weakest == "none":
            warnings.simplefilter("ignore", osthread.ThreadAbandonedWarning)
        status = thread.terminate(grace=GRACE)
    expected = {"stopped", "killed"} | script.natural
    assert status in (expected if script.weakest != "none" else expected | {"abandoned"})
    assert thread.status == status


@pytest.mark.skipif(not CAN_KILL, reason="this build has no kill()")
@every_script
def test_kill_ends_it(script: Script, request: pytest.FixtureRequest) -> None:
    print(f"OSTHREAD_SEED={SEED}")
    request.node.keeps_descriptors = script.leaves == "descriptors"
    for number in range(KILLS):
        thread = start(script)
        wait_for_a_moment(script, number)
        assert thread.kill() or not script.endless
        assert thread.join(AT_ONCE if script.weakest != "none" else ENOUGH)
        assert thread.status in {"killed"} | script.natural
        error = thread.exception()
        assert isinstance(error, osthread.Killed) == (thread.status == "killed")


@every_script
def test_a_dropped_one_ends(script: Script, request: pytest.FixtureRequest) -> None:
    """That the native thread ends is seen by the fixture that counts them."""
    print(f"OSTHREAD_SEED={SEED}")
    request.node.keeps_descriptors = script.leaves == "descriptors"
    thread = start(script)
    wait_for_a_moment(script)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del thread
        gc.collect()
    categories = [warning.category for warning in caught]
    assert categories == [ResourceWarning] or (not script.endless and not categories)


EXITING = """
import json, sys, time, pathlib
from osthread import OSThread

sys.unraisablehook = id  # a function that does nothing, and keeps nothing of this program alive
threads = [
    OSThread(pathlib.Path(path), stdout=len, grace=0.05, on_exit="terminate", **options)
    for path, options in json.load(sys.stdin)
]
time.sleep(0.1)
"""


@pytest.mark.parametrize("kind", sorted({script.kind for script in ALL}))
def test_a_process_with_all_of_a_kind_in_it_ends(kind: str) -> None:
    """All at once: an end that waited for one after the other would take too long."""
    scripts = [script for script in ALL if script.kind == kind and runnable(script)]
    if not scripts:
        pytest.skip("this build has no kill()")
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EXITING],
        input=json.dumps([(str(script.path), script.options) for script in scripts]),
        capture_output=True,
        text=True,
        timeout=EXIT,
        check=False,
    )
    assert (finished.returncode, finished.stdout) == (0, ""), finished.stderr
    assert not [words for words in RUNTIME_TROUBLE if words in finished.stderr], finished.stderr
