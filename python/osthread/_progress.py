"""Progress bars, of tqdm's making."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["progress_bar"]


def progress_bar(results: Iterator[Any], shown: bool, total: int | None) -> Iterator[Any]:
    """The results; while they come a bar shows how many have, if ``shown``. ``ImportError`` without tqdm."""
    if not shown:
        return results
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise ImportError('progress=True needs tqdm: pip install "osthread[progress]"') from None
    bar: Iterator[Any] = iter(tqdm(results, total=total))
    return bar
