"""Checks of single arguments and options: a wrong one is an error that names it."""

from __future__ import annotations

import operator
import sys
from typing import Any


def seconds_in(value: Any, name: str) -> float:
    """A number as a float; one that is too large is an error that names it."""
    try:
        return float(value)
    except OverflowError:
        raise OverflowError(f"{name} is too large: a number of seconds must fit into a float") from None


def check_seconds(options: dict[str, Any], name: str) -> None:
    """Whether the option, if given, is seconds; turned into a float."""
    value = options.get(name)
    if value is None:
        return
    if isinstance(value, (bool, str)) or (
        not hasattr(value, "__float__") and not hasattr(value, "__index__")
    ):
        raise TypeError(f"{name} must be seconds, not {type(value).__name__}")
    seconds = seconds_in(value, name)
    if not seconds >= 0:
        raise ValueError(f"{name} must be 0 or more seconds, not {value!r}")
    options[name] = seconds


def check_whole(options: dict[str, Any], name: str, least: int = 0, zero: str = "") -> None:
    """Whether the option, if given, is an int from `least` on, or the 0 that stands for `zero`; turned into one."""
    value = options.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    whole = value.__index__()
    if not least <= whole < 2**63 and not (zero and whole == 0):
        range_of = f"0 ({zero}) or from {least}" if zero else f"from {least}"
        raise ValueError(f"{name} must be {range_of} to 2**63 - 1, not {value!r}")
    options[name] = whole


def check_flag(options: dict[str, Any], name: str) -> None:
    """Whether the option, if given, is True or False."""
    if name in options and not isinstance(options[name], bool):
        raise TypeError(f"{name} must be True or False, not {options[name]!r}")


def check_text_option(options: dict[str, Any], name: str) -> None:
    """Whether the option, if given, is text that a name can be."""
    value = options.get(name)
    if value is None:
        return
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds lone surrogates, which no name can: {value!r}") from None


def check_text(value: Any, name: str) -> None:
    """Whether it is None or text, by the name it has for the caller."""
    check_text_option({name: value}, name)


def check_one_of(options: dict[str, Any], name: str, values: tuple[str, ...]) -> None:
    """Whether the option is one of the values."""
    if options[name] not in values:
        raise ValueError(f"{name} must be one of {', '.join(values)}, not {options[name]!r}")


def check_encoding(value: Any) -> None:
    """Whether it is None or the name of an encoding."""
    check_text(value, "encoding")
    if value is None:
        return
    try:
        "".encode(value)
    except (LookupError, ValueError):
        raise ValueError(f"encoding: there is none called {value!r}") from None


def positive(value: Any, name: str, most: int = sys.maxsize) -> int:
    """A whole number from 1 on, as an int."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    whole = operator.index(value)
    if whole < 1:
        raise ValueError(f"{name} must be at least 1, not {whole}")
    if whole > most:
        raise ValueError(f"{name} must be at most {most}, not {whole}")
    return whole
