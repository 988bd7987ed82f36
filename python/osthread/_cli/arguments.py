"""What the options of the command line take. A bad value ends in argparse's own message and exit status 2."""

from __future__ import annotations

import argparse
import math
import re

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class UsageError(Exception):
    """The command line asks for what can't be done, such as a file that is not there: exit status 2."""


def seconds(text: str) -> float:
    """A positive number of seconds: ``1.5``."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return value


def memory_size(text: str) -> int:
    """A number of bytes, maybe in KiB, MiB, GiB or TiB: ``64M``, ``1.5G``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", text, re.ASCII | re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size in bytes: write 65536, 512K, 64M or 1.5G")
    return int(float(match[1]) * UNITS[match[2].upper()])


def thread_count(text: str) -> int:
    """A number of threads, at least 1."""
    if not re.fullmatch(r"[1-9]\d*", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of threads")
    return int(text)
