"""OSTHREAD_DEBUG=1: Ctrl-C in a program that hangs says who waits for what."""

from __future__ import annotations

import os

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")

DEADLOCK = """
import threading, time
from osthread import Channel, OSThread

a, b = Channel(), Channel()
left = OSThread("local a, b = ... b:send(a:receive())", a, b, name="left")
right = OSThread("local a, b = ... a:send(b:receive())", a, b, name="right")

def tell():
    while [t.statistics().waiting_for for t in (left, right)] != ["receive"] * 2:
        time.sleep(0.001)
    print("hangs", flush=True)

threading.Thread(target=tell).start()
"""


def rows(stderr: str) -> list[list[str]]:
    lines = stderr.splitlines()
    at = next(i for i, line in enumerate(lines) if line.split()[:3] == ["thread", "status", "waits"])
    return [line.split(None, 4) for line in lines[at + 1 : at + 3]]


@pytest.mark.parametrize(
    "wait",
    ["with left, right: left.join()", "left.result()", "time.sleep(60)"],
    ids=["block", "result", "Python's own"],
)
def test_ctrl_c_shows_a_deadlock(wait, start_script, monkeypatch) -> None:
    monkeypatch.setenv("OSTHREAD_DEBUG", "1")
    script = start_script(DEADLOCK + wait)
    script.wait_for("hangs")
    script.interrupt()
    finished = script.finish()
    assert finished.returncode == -2
    assert finished.stderr.count("waits for") == 1
    assert "KeyboardInterrupt" in finished.stderr
    for (name, status, what, seconds, at), expected in zip(
        rows(finished.stderr), ("left", "right"), strict=True
    ):
        assert (name, status, what) == (expected, "running", "receive")
        assert 0 <= float(seconds) < 60
        assert at.endswith(":1")


def test_nothing_is_said_without_it(start_script, monkeypatch) -> None:
    monkeypatch.delenv("OSTHREAD_DEBUG", raising=False)
    script = start_script(DEADLOCK + "left.join()")
    script.wait_for("hangs")
    script.interrupt()
    assert "waits for" not in script.finish().stderr
