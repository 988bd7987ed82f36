"""The program's end is a block's end.

After a normal end or ``sys.exit`` each thread's ``on_exit`` applies; after an uncaught exception every thread is
terminated, as detached ones always are.
"""

from __future__ import annotations

import atexit
import sys
import threading
import time

from . import _core
from ._thread import OSThread, _threads, enumerate

__all__: list[str] = []

# How long the last instructions of native threads are waited for, once nothing of Lua runs any more.
_QUIET_SECONDS = 1.0


def _ended_by_exception() -> bool:
    # The interpreter notes an uncaught exception before it calls sys.excepthook; interactively it notes every one.
    if hasattr(sys, "ps1") or sys.flags.interactive:
        return False
    return getattr(sys, "last_exc", None) is not None or getattr(sys, "last_value", None) is not None


def _end_threads() -> None:
    if not _ended_by_exception():
        try:
            while waiting := [thread for thread in enumerate() if _is_joined(thread)]:
                for thread in waiting:
                    thread._join(None)
        except KeyboardInterrupt:
            _terminate_all()  # Ctrl-C ends the waiting, and with it the threads
            raise
    _terminate_all()


def _is_joined(thread: OSThread) -> bool:
    return not thread._detached and thread._policy() == "join"


def _terminate_all() -> None:
    threads = enumerate()
    grace = max((thread._grace() for thread in threads), default=0.0)
    deadline = time.monotonic() + grace
    for thread in threads:  # each step for all of them at once
        thread._asked = True
        thread._request_stop()
    for thread in threads:
        thread._join(max(0.0, deadline - time.monotonic()))
    for thread in threads:
        thread._interrupt()
    for thread in threads:
        thread._terminate(0.0)
    for thread in list(_threads.values()):
        if thread.status == "suspended":
            thread._fetched = True
            thread._discard()


def _end_interpreter() -> None:
    _end_threads()  # those that atexit functions and daemon threads have started since
    _core.drop_prepared_states()
    _core.wait_until_quiet(_QUIET_SECONDS)
    _core.note_ending()


# As concurrent.futures does: before the interpreter waits for its own threads, which may wait for ours.
threading._register_atexit(_end_threads)  # type: ignore[attr-defined]
atexit.register(_end_interpreter)
