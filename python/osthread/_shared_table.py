"""SharedTable: a mapping that Python and Lua threads change at once."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, MutableMapping, ValuesView
from typing import Any

from . import _core
from ._checks import check_encoding
from ._shared import class_of_shared, note_shared

__all__ = ["SharedTable"]

_MISSING: Any = object()


class SharedTable(_core.SharedTable):
    """A table that threads of either language read and change at once, each operation whole.

    A ``MutableMapping`` whose keys are what a dict that crosses to Lua may have. A dict, list or tuple that is put in
    is copied once into a SharedTable of its own (a list's keys are 1 to n, as in Lua); :meth:`snapshot` gives plain
    ones. Iteration is over the entries as they were when it began, in the order in which they came. Strings that
    come from Lua are decoded by ``encoding`` (``None``: always bytes). Tables that are reached from themselves stay
    until that is broken.

    Every method may be called from any thread. One made before a fork belongs to the parent: in the child its
    methods raise ``RuntimeError``.

    >>> totals = SharedTable({"seen": 0, "names": ["Ada"]})
    >>> osthread.run("local t = ... t:add('seen', 2) t.names[2] = 'Bob' return t.seen", totals)
    2
    >>> totals.snapshot()
    {'seen': 2, 'names': ['Ada', 'Bob']}
    """

    __slots__ = ()

    def __init__(
        self, mapping: Mapping[Any, Any] | Iterable[Any] | None = None, *, encoding: str | None = "utf-8"
    ) -> None:
        check_encoding(encoding)
        super().__init__(encoding)
        note_shared(self._key, self)
        if mapping is not None:
            self.update(mapping)

    @classmethod
    def _adopt(cls, handle: _core.Handle, encoding: str | None) -> SharedTable:
        table = cls.__new__(cls)
        _core.SharedTable.__init__(table, handle, encoding)
        return table

    def __getitem__(self, key: Any) -> Any:
        return self._item(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._set(key, value)

    def __delitem__(self, key: Any) -> None:
        self._erase(key)

    def __contains__(self, key: Any) -> bool:
        return self._contains(key)

    def __len__(self) -> int:
        return self._size()

    def __bool__(self) -> bool:
        return self._size() > 0

    def __iter__(self) -> Iterator[Any]:
        return iter(self._keys())

    def get(self, key: Any, default: Any = None) -> Any:
        """The entry, or ``default``."""
        return self._get(key, default)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The entry, made of ``default`` if there is none."""
        return self._get_or_set(key, default)

    def pop(self, key: Any, default: Any = _MISSING) -> Any:
        """Takes the entry out; ``default`` if there is none, or ``KeyError``."""
        taken = self._take(key)
        if taken is not None:
            return taken[0]
        if default is _MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[Any, Any]:
        """Takes the last entry out; ``KeyError`` if there is none."""
        while keys := self._keys():
            taken = self._take(keys[-1])
            if taken is not None:
                return keys[-1], taken[0]
        raise KeyError("this SharedTable is empty")

    def clear(self) -> None:
        """Takes everything out."""
        self._clear()

    def update(self, mapping: Mapping[Any, Any] | Iterable[Any] = (), /, **entries: Any) -> None:
        """Sets all entries of a mapping (of a list or tuple: from key 1 on), and those named, at once."""
        if entries:
            mapping = {**dict(mapping), **entries}
        if isinstance(mapping, Mapping) and not isinstance(mapping, (dict, SharedTable)):
            mapping = dict(mapping)
        if not isinstance(mapping, (dict, list, tuple, SharedTable)):
            raise TypeError(f"a mapping, list or tuple was wanted, not {type(mapping).__name__}")
        self._update(mapping)

    def add(self, key: Any, n: float = 1) -> Any:
        """Adds to a number (0, if there is none): the sum. :class:`ConversionError` if it is something else."""
        return self._add(key, n)

    def compare_and_set(self, key: Any, old: Any, new: Any) -> bool:
        """If the entry is ``old``, makes it ``new``, and says so. Plain values; ``None`` stands for no entry."""
        return self._compare_and_set(key, old, new)

    def keys(self) -> KeysView[Any]:
        """The keys as they are now."""
        return dict.fromkeys(self._keys()).keys()

    def values(self) -> ValuesView[Any]:
        """The values as they are now."""
        return dict(self._items()).values()

    def items(self) -> ItemsView[Any, Any]:
        """The entries as they are now."""
        return dict(self._items()).items()

    def snapshot(self) -> Any:
        """Plain dicts and lists of it, each nested one as it was at one moment."""
        return self._snapshot()

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<SharedTable {self._key:#x}: {len(self)} entries>"

    def __reduce__(self) -> Any:
        raise TypeError("a SharedTable can't be pickled: it belongs to this process; pickle its snapshot()")


MutableMapping.register(SharedTable)
class_of_shared("SharedTable", SharedTable)
