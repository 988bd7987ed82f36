"""SharedBuffer: memory that Python and Lua see without a copy."""

from __future__ import annotations

import operator
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _core
from ._dtype import declaration_of, name_of
from ._shared import class_of_shared, forget_shared, note_shared

__all__ = ["SharedBuffer"]


class SharedBuffer(_core.SharedBuffer):
    """Memory that threads of either language see without a copy: the elements of an array.

    ``SharedBuffer(array)``: the memory of a NumPy array, or of anything else with the buffer protocol (``bytearray``,
    ``array.array``, ``mmap``, ...), which stays where it is, and can't be resized, as long as either side has it. It
    must be C-contiguous (``ValueError``); of booleans, integers, floats or complex numbers in the machine's byte order,
    or of NumPy's structures of these (``TypeError``). What is read-only stays so.

    ``SharedBuffer(dtype, shape)``: memory of its own, all zero: ``SharedBuffer("float64", (3, 1000))``.

    In Python ``np.asarray(buffer)`` and ``memoryview(buffer)`` are the same memory; in Lua ``buffer[i]`` is an element,
    counted from 0 over all dimensions and checked against the bounds, ``#buffer`` their number, ``buffer.shape`` a
    table, and ``buffer.data`` a pointer for FFI code, unchecked (and gone with the last handle of the buffer). An
    element that is a structure refers to the memory, which stays as long as anything in the state does. Integers of 64
    bits are Lua's numbers up to 2^53; beyond, and as fields of structures, they are the FFI's, with C's arithmetic:
    ``tonumber(x)`` before a fraction. A plain store converts as C does: 1.5 becomes 1 in an array of integers.
    ``buffer:release()`` gives the memory up there, before its state's next garbage collection would.

    Every method may be called from any thread. The elements themselves are plain memory: threads that change the same
    ones take turns, or use :meth:`add`, :meth:`compare_and_set`, :meth:`wait` and :meth:`notify`, which take integers,
    float32 and float64. Those who wait are those of one buffer: another one of the same array has its own. After
    :meth:`release`, as at the end of a ``with`` block, whatever uses the object raises ``ValueError``; Lua code that
    has the buffer keeps it.

    >>> import numpy as np
    >>> a = np.arange(5.0)
    >>> osthread.run("local b = ... for i = 0, #b - 1 do b[i] = b[i] * 10 end", SharedBuffer(a))
    >>> a.tolist()
    [0.0, 10.0, 20.0, 30.0, 40.0]
    """

    __slots__ = ()

    def __init__(self, array: Any, shape: int | Sequence[int] | None = None) -> None:
        if shape is not None:
            super().__init__(name_of(array), _lengths(shape))
        else:
            super().__init__(array, _checked(array))
        note_shared(self._key, self)

    @classmethod
    def _adopt(cls, handle: _core.Handle, encoding: str | None) -> SharedBuffer:
        buffer = cls.__new__(cls)
        _core.SharedBuffer.__init__(buffer, handle)
        return buffer

    @property
    def dtype(self) -> str:
        """What an element is, by NumPy's name; of a structure, its declaration in C."""
        return self._dtype()

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each dimension."""
        return self._shape()

    @property
    def ndim(self) -> int:
        """How many dimensions it has."""
        return len(self._shape())

    @property
    def size(self) -> int:
        """How many elements it has, over all dimensions; also ``len(buffer)``."""
        return self._size()

    @property
    def itemsize(self) -> int:
        """The bytes of an element."""
        return self._itemsize()

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self._size() * self._itemsize()

    @property
    def readonly(self) -> bool:
        """Whether nobody may write to it through this buffer."""
        return self._readonly()

    @property
    def released(self) -> bool:
        """Whether :meth:`release` has been called."""
        return self._released()

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """The same memory for what knows NumPy's interface and not the buffer protocol; no ``release()`` after it."""
        import numpy as np

        # Nobody tells when the address is not used any more: the memory stays as long as this object.
        self._pin()
        interface: dict[str, Any] = np.asarray(memoryview(self)).__array_interface__
        return interface

    def add(self, index: int, x: float = 1) -> Any:
        """Adds to an element, atomically: the sum. Integers wrap around, so unsigned ones take a negative ``x``."""
        return self._add(self._index(index), x)

    def compare_and_set(self, index: int, old: float, new: float) -> bool:
        """If the element is ``old``, makes it ``new``, atomically, and says so."""
        return self._compare_and_set(self._index(index), old, new)

    def wait(self, index: int, old: float, timeout: float | None = None) -> bool:
        """Waits until the element is not ``old`` any more: whether that came in time.

        It is looked at now, and whenever somebody calls :meth:`notify`.
        """
        return self._wait(self._index(index), old, timeout)

    def notify(self, index: int) -> None:
        """Has those who wait for this element look at it; to be called after it was changed."""
        self._notify(self._index(index))

    def _index(self, index: Any) -> int:
        at = operator.index(index)
        if at.bit_length() > 63:
            raise IndexError(
                f"index {at} is out of range: this buffer has {self._size()} elements, counted from 0"
            )
        return at

    def release(self) -> None:
        """Gives the memory up; ``BufferError`` while memoryviews or arrays of it, its own views, exist."""
        if self._released():
            return
        key = self._key
        self._release()
        forget_shared(key, self)

    def __enter__(self) -> SharedBuffer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    if TYPE_CHECKING:  # the core has it, and Python before 3.12 no name for it

        def __buffer__(self, flags: int, /) -> memoryview: ...

    def __len__(self) -> int:
        return self._size()

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        if self._released():
            return "<SharedBuffer: released>"
        lengths = " x ".join(map(str, self.shape)) or "1 element"
        return f"<SharedBuffer: {self.dtype} {lengths}{', read-only' if self.readonly else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError(
            "a SharedBuffer can't be pickled: its memory belongs to this process; pickle an array of it"
        )


def _lengths(shape: int | Sequence[int]) -> list[int]:
    lengths = [operator.index(n) for n in shape] if isinstance(shape, Sequence) else [operator.index(shape)]
    for length in lengths:
        if length < 0:
            raise ValueError(f"shape: a length is 0 or more, not {length}")
        if length > sys.maxsize:
            raise ValueError("shape: no memory can hold so many elements")
    return lengths


def _checked(array: Any) -> str | None:
    """The declaration of an array's structured elements; None of simple ones. ``TypeError`` if it is no array."""
    if isinstance(array, (str, type)):
        raise TypeError(f"a SharedBuffer of its own memory needs a shape: SharedBuffer({array!r}, 1000)")
    try:
        view = memoryview(array)
    except TypeError:
        raise TypeError(
            f"a SharedBuffer is made of an array or bytes-like object, not {type(array).__name__}"
        ) from None
    except (ValueError, BufferError) as error:
        raise TypeError(f"{error}; pass a.view() as a dtype that has a form in C") from None
    dtype: Any = getattr(array, "dtype", None)
    if not getattr(dtype, "fields", None):
        return None
    if dtype.itemsize != view.itemsize:
        raise TypeError(f"the dtype has {dtype.itemsize} bytes, the elements of the buffer {view.itemsize}")
    return declaration_of(dtype, view.readonly)


class_of_shared("SharedBuffer", SharedBuffer)
