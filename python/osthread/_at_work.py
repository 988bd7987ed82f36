"""How many threads do something just now."""

from __future__ import annotations

import threading


class AtWork:
    """A block that threads enter: how many are in it, and a wait until nobody is."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """In a fork's child those threads are not there, and one of them may have held the lock."""
        self._count = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count = max(0, self._count - 1)  # 0 if it was forked in the block
            self._changed.notify_all()

    def wait(self) -> None:
        """Until nobody is."""
        with self._changed:
            self._changed.wait_for(lambda: self._count == 0)
