"""Channels, as people type them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from types import TracebackType
from typing import Any, overload

from . import _core
from ._async_wait import until
from ._checks import check_encoding
from ._shared import class_of_shared, note_shared
from .errors import ChannelClosed

__all__ = ["Channel", "ChannelStatistics", "select", "select_async"]


@dataclass(frozen=True)
class ChannelStatistics:
    """What a channel has carried, and who waits, at one moment."""

    sent: int
    """Values sent since it was made."""
    received: int
    """Values received."""
    size: int
    """Values sent and not received yet."""
    capacity: int
    """How many may be so at most."""
    waiting_senders: int
    """Threads and tasks that wait for room."""
    waiting_receivers: int
    """Threads and tasks that wait for a value, those in :func:`select` too."""
    closed: bool
    """Whether nothing can be sent any more."""


class Channel(_core.Channel):
    """Hands values from any number of senders to any number of receivers, in Python, Lua and C++.

    It holds ``capacity`` values at most (1 or more); a sender waits for room. What one sender sends arrives in
    that order, and each value is received once: no timeout, stop or close loses one. Values cross as arguments
    of :class:`OSThread` do, but a ``None`` arrives in Lua as ``osthread.null``. Strings that come from Lua are
    decoded by ``encoding`` (``None``: always bytes).

    Timeouts are seconds; ``None`` waits for ever, 0 only looks. Every method may be called from any thread,
    waits without the GIL, and answers Ctrl-C. ``with channel:`` closes it at the end of the block. It is always
    true, also when empty.

    A channel made before a fork belongs to the parent: in the child its methods raise ``RuntimeError``.

    >>> numbers = Channel(64)
    >>> with OSThread("local numbers = ... for i = 1, 3 do numbers:send(i) end numbers:close()", numbers):
    ...     list(numbers)
    [1, 2, 3]
    """

    __slots__ = ()

    def __init__(self, capacity: int = 1024, *, encoding: str | None = "utf-8") -> None:
        if isinstance(capacity, bool) or not hasattr(capacity, "__index__"):
            raise TypeError(f"capacity must be an int, not {type(capacity).__name__}")
        capacity = capacity.__index__()
        if not 1 <= capacity <= 2**31:
            raise ValueError(f"capacity must be from 1 to 2**31, not {capacity}")
        check_encoding(encoding)
        super().__init__(capacity, encoding)
        note_shared(self._key, self)

    @classmethod
    def _adopt(cls, handle: _core.Handle, encoding: str | None) -> Channel:
        channel = cls.__new__(cls)
        _core.Channel.__init__(channel, handle, encoding)
        return channel

    def send(self, value: Any, timeout: float | None = None) -> None:
        """Waits for room, then hands the value over.

        Raises :class:`ChannelClosed`, ``TimeoutError`` (it stayed full) or :class:`ConversionError`; then nothing was
        sent.
        """
        self._send(value, timeout)

    def try_send(self, value: Any) -> None:
        """The same without waiting: :class:`WouldBlock` if it is full."""
        self._try_send(value)

    def send_many(self, values: Iterable[Any]) -> None:
        """Sends one after the other, waiting for room as :meth:`send` does.

        A one-dimensional array of numbers (NumPy's, ``array.array``, any buffer) is read without a Python
        object for each. If the channel is closed meanwhile, the :class:`ChannelClosed` says in ``sent`` how
        many had been sent.
        """
        self._send_many(values)

    def receive(self, timeout: float | None = None) -> Any:
        """Waits for the next value.

        Raises ``TimeoutError`` (none came), or :class:`ChannelClosed` once it is closed and empty.
        """
        return self._receive(timeout)

    def try_receive(self) -> Any:
        """The same without waiting: :class:`WouldBlock` if it is empty."""
        return self._try_receive()

    @overload
    def receive_many(self, most: int, timeout: float | None = None) -> list[Any]: ...
    @overload
    def receive_many(self, most: int, timeout: float | None = None, *, out: Any) -> int: ...
    def receive_many(self, most: int, timeout: float | None = None, *, out: Any = None) -> list[Any] | int:
        """Waits for one value, then takes what is there: a list of at most ``most``.

        If one has no form in Python, the :class:`ConversionError` has those before it in ``received``.

        With ``out``, a writable one-dimensional array of float64 or float32, numbers go straight into it from its
        start, at most ``most`` and no more than it holds: how many did. What is no number is not taken
        (:class:`ConversionError` if it comes first; :meth:`receive` takes it).
        """
        if isinstance(most, bool) or not hasattr(most, "__index__"):
            raise TypeError(f"most must be an int, not {type(most).__name__}")
        most = most.__index__()
        if most < 0:
            raise ValueError(f"most must be 0 or more, not {most}")
        most = min(most, 2**31)
        return self._receive_many(most, timeout) if out is None else self._receive_into(most, timeout, out)

    async def send_async(self, value: Any, timeout: float | None = None) -> None:
        """:meth:`send` without blocking the event loop.

        The value is converted when the call begins to run. If it is cancelled, nothing was sent.
        """
        message = self._pack(value)
        await until(lambda last: self._send_now(message, last) or None, (self,), timeout, for_room=True)

    async def receive_async(self, timeout: float | None = None) -> Any:
        """:meth:`receive` without blocking the event loop.

        It waits in line with all others, threads too, and costs neither a thread nor CPU time meanwhile. If it
        is cancelled, nothing was received, and whoever waits next gets the value. Prefer ``timeout`` to
        ``asyncio.wait_for``, which before Python 3.12 can be cancelled with a value in its hands.
        """
        (value,) = await until(self._receive_now, (self,), timeout)
        return value

    def close(self) -> bool:
        """Nothing can be sent any more; what is there can still be received. Whether it was open."""
        return self._close()

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._closed()

    @property
    def capacity(self) -> int:
        """How many values it holds at most."""
        return self._capacity()

    def statistics(self) -> ChannelStatistics:
        """What it has carried, and who waits."""
        return ChannelStatistics(**self._statistics())

    def __len__(self) -> int:
        return self._size()

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        """The values until it is closed and empty. Each goes to one receiver, so others may have theirs."""
        while True:
            try:
                value = self._receive(None)
            except ChannelClosed:
                return
            yield value

    def __aiter__(self) -> Channel:
        """The same in ``async for``, by :meth:`receive_async`."""
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.receive_async()
        except ChannelClosed:
            raise StopAsyncIteration from None

    def __enter__(self) -> Channel:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def __repr__(self) -> str:
        now = self.statistics()
        return f"<Channel {self._key:#x}: {now.size} of {now.capacity}{', closed' if now.closed else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("a Channel can't be pickled: it belongs to this process")


def select(*channels: Channel, timeout: float | None = None) -> tuple[Channel, Any]:
    """The first of the channels that has a value, and that value; fairly, if several have.

    A channel that is closed and empty is passed over. Raises :class:`ChannelClosed` when all are,
    ``TimeoutError`` if none came within ``timeout`` seconds (``None``: for ever; 0: only looks).
    """
    return _core.select(channels, timeout)


async def select_async(*channels: Channel, timeout: float | None = None) -> tuple[Channel, Any]:
    """:func:`select` without blocking the event loop. If it is cancelled, nothing was received."""
    at, value = await until(
        lambda last: _core.select_now(channels, last), channels, timeout, at=itemgetter(0)
    )
    return channels[at], value


class_of_shared("Channel", Channel)
