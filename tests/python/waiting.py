"""How tests wait for what another thread does: a look at a time, and an end to it."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 30.0  # seconds after which a thing that should happen at once is held not to happen


def wait_until(condition: Callable[[], object]) -> None:
    """Look again and again whether it holds; fail if it does not in time."""
    patience = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.001)
