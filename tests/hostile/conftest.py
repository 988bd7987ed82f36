"""What every hostile script is held to: whatever it did, nothing of it is left in the process."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import osthread
import pytest

BACK_TO_NORMAL = 5.0  # seconds; a thread that has been told ends after that at the latest
TASKS = Path("/proc/self/task")


def count_threads() -> int:
    """Native threads of this process, but for the library's own, which comes with the first deadline and stays."""
    names = []
    for task in TASKS.iterdir():
        with suppress(OSError):  # it has ended
            names.append((task / "comm").read_text().strip())
    return sum(name != "osthread-dog" for name in names)


def count_descriptors() -> int:
    """Open descriptors of this process, the one that counts them included."""
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(scope="package", autouse=True)
def small_heap() -> Iterator[None]:
    """The collector looks only at what these tests make: collecting is a good part of their time otherwise."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="package", autouse=True)
def library_is_up() -> None:
    """What the first thread brings for good is there before anything is counted."""
    before = count_threads()
    osthread.run("return 1", time_limit=60)
    while count_threads() > before:  # its last instructions
        time.sleep(0.001)


@pytest.fixture(autouse=True)
def reports_are_kept_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors that nobody fetches are what these scripts live on; here only the threads' ends count."""
    monkeypatch.setattr(sys, "unraisablehook", lambda report: None)


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest, reports_are_kept_quiet: None) -> Iterator[None]:
    """Threads and descriptors are as many as before. A test may say that a script's C code keeps descriptors."""
    before = count_threads(), count_descriptors()
    yield
    gc.collect()
    now = count_threads(), count_descriptors()
    keeps_descriptors = bool(getattr(request.node, "keeps_descriptors", False))
    patience = time.monotonic() + BACK_TO_NORMAL
    while now != before and time.monotonic() < patience:
        time.sleep(0.001)  # the last instructions of native threads
        now = count_threads(), count_descriptors()
        if keeps_descriptors and now[0] == before[0]:
            break
    if keeps_descriptors:
        now = now[0], before[1]
    assert now == before, "threads and descriptors"
