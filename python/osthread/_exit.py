"""The program's end is a block's end.

After a normal end or ``sys.exit`` each thread's ``on_exit`` applies, and what pools were given is done; after an
uncaught exception every thread and pool is terminated, as detached threads always are.
"""

from __future__ import annotations

import atexit
import opcode
import sys
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial

from . import _core
from ._pool import _pools
from ._thread import OSThread, _callbacks_at_work, _threads, enumerate
from .errors import ThreadAbandonedWarning

__all__: list[str] = []

# How long the last instructions of native threads are waited for, once nothing of Lua runs any more.
_QUIET_SECONDS = 1.0


# How long threads may take to answer that they are interrupted, on top of their grace times.
_PATIENCE_SECONDS = 1.0
# Ctrl-C has ended the waiting, and with it the threads.
_interrupted = False


def _ended_by_exception() -> bool:
    # The interpreter notes an uncaught exception before it calls sys.excepthook; interactively it notes every one.
    if hasattr(sys, "ps1") or sys.flags.interactive:
        return False
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    trace = getattr(error, "__traceback__", None)
    if trace is None:
        return False
    # Others note theirs there, too (code.InteractiveInterpreter, tkinter): but the outermost frame of an uncaught
    # one is the program's, and it has not ended by a return.
    frame = trace.tb_frame
    last = opcode.opname[frame.f_code.co_code[frame.f_lasti]]
    return frame.f_back is None and not last.startswith("RETURN")


def _end_threads() -> None:
    global _interrupted
    try:
        if not _interrupted and not _ended_by_exception():
            # First those that Python has started: with them those end that their code owns.
            _join_all(lambda thread: not thread._adopted)
            _finish_callbacks()
            for pool in list(_pools):
                pool.shutdown()
            _core.finish_dropped_pools()
            _terminate_all([thread for thread in enumerate() if not thread._adopted])
            _join_all(lambda _: True)
            _finish_callbacks()
        _terminate_everything()
    except KeyboardInterrupt:
        _interrupted = True
        _terminate_everything(hurry=True)
        raise


def _terminate_everything(hurry: bool = False) -> None:
    patience = 0.0 if _interrupted else _PATIENCE_SECONDS
    _do_all(
        *(partial(pool._terminate_within, patience) for pool in list(_pools)),
        partial(_terminate_dropped, patience),
        lambda: _terminate_all(enumerate(), hurry=hurry),
        _discard_suspended,
    )


def _do_all(*actions: Callable[[], object]) -> None:
    """Also those after one whose warning is an error: the first such is raised in the end."""
    warned = None
    for action in actions:
        try:
            action()
        except Warning as warning:
            warned = warned or warning
    if warned is not None:
        raise warned


def _terminate_dropped(patience: float) -> None:
    workers, callbacks = _core.terminate_dropped_pools(patience)
    if workers or callbacks:
        warnings.warn(
            f"{workers} worker(s) and {callbacks} callback(s) of LuaPools that nobody has any more did not end "
            "when they were terminated: they are in Python callables or in C code that does not return",
            ThreadAbandonedWarning,
            stacklevel=2,
        )


def _is_joined(thread: OSThread) -> bool:
    return not thread._runs_free() and thread._policy() == "join"


def _join_all(which: Callable[[OSThread], bool]) -> None:
    while waiting := [thread for thread in enumerate() if _is_joined(thread) and which(thread)]:
        for thread in waiting:
            thread._resume()  # nobody is left to do so
            thread._join(None)


def _finish_callbacks() -> None:
    for thread in list(_threads.values()):
        if thread._ended():
            thread._call_back()  # what its own thread has not come to
    _callbacks_at_work.wait()


def _terminate_all(threads: list[OSThread], hurry: bool = False) -> None:
    grace = 0.0 if hurry else max((thread._grace() for thread in threads), default=0.0)
    deadline = time.monotonic() + grace
    for thread in threads:  # each step for all of them at once
        thread._asked = True
        thread._request_stop()
    try:
        for thread in threads:
            thread._join(max(0.0, deadline - time.monotonic()))
    finally:
        for thread in threads:
            thread._terminate_later()
    deadline = time.monotonic() + 2 * grace + _PATIENCE_SECONDS
    for thread in threads:
        thread._join(max(0.0, deadline - time.monotonic()))
    # One that has not answered is given up.
    _do_all(*(partial(thread._terminate, 0.0) for thread in threads))


def _discard_suspended() -> None:
    for thread in list(_threads.values()):
        if thread.status == "suspended" and thread._options.get(
            "suspended"
        ):  # not one that is just being made
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
