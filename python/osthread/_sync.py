"""Lock, Semaphore, Barrier and Event between threads of either language, with threading's names and habits."""

from __future__ import annotations

from types import TracebackType
from typing import Any, TypeVar

from . import _core
from ._checks import check_whole
from ._shared import class_of_shared, note_shared

__all__ = ["Barrier", "Event", "Lock", "Semaphore"]

_T = TypeVar("_T")


def _adopted(cls: type[_T], base: type[Any], handle: _core.Handle) -> _T:
    made = cls.__new__(cls)
    base.__init__(made, handle)
    return made


def _refuse_pickle(self: object) -> Any:
    raise TypeError(f"a {type(self).__name__} can't be pickled: it belongs to this process")


def _count(value: Any, name: str, least: int) -> int:
    checked = {name: value}
    check_whole(checked, name)
    if value is None:
        raise TypeError(f"{name} must be an int, not NoneType")
    count: int = checked[name]
    if count < least:
        raise ValueError(f"{name} must be {least} or more, not {count}")
    return count


class Lock(_core.Lock):
    """One holder at a time, in any language.

    Whoever waits longest is woken first, but a thread that runs already may be quicker: one that releases it and takes
    it again at once keeps others waiting. Not recursive; any thread may release it. If the OSThread that holds it ends,
    the next one gets it, and :attr:`abandoned` is true until that one releases it: what the lock guards may be half
    changed.

    >>> lock = Lock()
    >>> with lock:
    ...     lock.locked()
    True
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        note_shared(self._key, self)

    @classmethod
    def _adopt(cls, handle: _core.Handle, encoding: str | None) -> Lock:
        return _adopted(cls, _core.Lock, handle)

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Waits until it is free, ``timeout`` seconds at most (``None``: for ever): whether it was taken."""
        return self._acquire(blocking, timeout)

    def release(self) -> None:
        """Lets the next one have it. ``RuntimeError`` if nobody holds it."""
        self._release()

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self._locked()

    @property
    def abandoned(self) -> bool:
        """Whether a thread ended that held it, since it was last released."""
        return self._abandoned()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        state = "abandoned" if self.abandoned else "locked" if self.locked() else "unlocked"
        return f"<{state} Lock {self._key:#x}>"

    __reduce__ = _refuse_pickle


class Semaphore(_core.Semaphore):
    """A count that :meth:`acquire` takes one of, waiting while it is 0."""

    __slots__ = ()

    def __init__(self, value: int = 1) -> None:
        super().__init__(_count(value, "value", 0))
        note_shared(self._key, self)

    @classmethod
    def _adopt(cls, handle: _core.Handle, encoding: str | None) -> Semaphore:
        return _adopted(cls, _core.Semaphore, handle)

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Waits until it is above 0, ``timeout`` seconds at most (``None``: for ever): whether one was taken."""
        return self._acquire(blocking, timeout)

    def release(self, n: int = 1) -> None:
        """Gives ``n`` back."""
        self._release(_count(n, "n", 1))

    @property
    def value(self) -> int:
        """What it is now."""
        return self._value()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<Semaphore {self._key:#x}: {self.value}>"

    __reduce__ = _refuse_pickle


class Barrier(_core.Barrier):
    """Holds ``parties`` threads until all have come; again and again.

    Whoever gives up (its timeout passes, Ctrl-C or a stop ends its wait) breaks it for all, until :meth:`reset`:
    they get ``threading.BrokenBarrierError``.
    """

    __slots__ = ()

    def __init__(self, parties: int) -> None:
        super().__init__(_count(parties, "parties", 1))
        note_shared(self._key, self)

    @classmethod
    def _adopt(cls, handle: _core.Handle, encoding: str | None) -> Barrier:
        return _adopted(cls, _core.Barrier, handle)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the others: a number from 0 to ``parties`` - 1, another one for each."""
        return self._wait(timeout)

    def reset(self) -> None:
        """As new; those that wait get the error."""
        self._reset()

    def abort(self) -> None:
        """Breaks it until it is reset."""
        self._abort()

    @property
    def parties(self) -> int:
        """How many it waits for."""
        return self._parties()

    @property
    def n_waiting(self) -> int:
        """How many have come."""
        return self._waiting()

    @property
    def broken(self) -> bool:
        """Whether it is broken."""
        return self._broken()

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"{self.n_waiting} of {self.parties}"
        return f"<Barrier {self._key:#x}: {state}>"

    __reduce__ = _refuse_pickle


class Event(_core.Event):
    """A flag that threads wait for."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        note_shared(self._key, self)

    @classmethod
    def _adopt(cls, handle: _core.Handle, encoding: str | None) -> Event:
        return _adopted(cls, _core.Event, handle)

    def set(self) -> None:
        """Lets all go that wait."""
        self._set()

    def clear(self) -> None:
        """From here on they wait again."""
        self._clear()

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is set, ``timeout`` seconds at most (``None``: for ever): whether it was."""
        return self._wait(timeout)

    def __repr__(self) -> str:
        return f"<Event {self._key:#x}: {'set' if self.is_set() else 'unset'}>"

    __reduce__ = _refuse_pickle


class_of_shared("Lock", Lock)
class_of_shared("Semaphore", Semaphore)
class_of_shared("Barrier", Barrier)
class_of_shared("Event", Event)
