"""Figures, and the table that they make."""

from __future__ import annotations

import os
import platform
import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure of ours, and what it is measured against in the same run."""

    what: str
    ours: float
    unit: str
    peer: str = ""
    """What it is compared with; empty: nothing."""
    peers: float = 0.0
    goal: str = ""
    """Bounds the ratio of ours to the peer's or, without a peer, the figure; empty: none."""

    @property
    def ratio(self) -> float | None:
        return self.ours / self.peers if self.peer and self.peers else None

    @property
    def verdict(self) -> str:
        if not self.goal:
            return ""
        relation, bound = self.goal.split()
        figure = self.ours if self.ratio is None else self.ratio
        met = figure <= float(bound) if relation == "<=" else figure >= float(bound)
        return "met" if met else "missed"


def median(samples: list[float]) -> float:
    """The median: other programs run on the machine too."""
    return statistics.median(samples)


def quantile(samples: list[float], part: float) -> float:
    return sorted(samples)[int(part * (len(samples) - 1))]


def parse(text: str) -> list[Row]:
    """The rows that a benchmark program prints (measure.hpp)."""
    rows = []
    for line in text.splitlines():
        what, ours, unit, peer, peers, goal = line.split("\t")
        rows.append(Row(what, float(ours), unit, peer, float(peers), goal))
    return rows


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def show(rows: list[Row]) -> None:
    """Prints rows; the columns are as wide in every topic."""
    for row in rows:
        against = f"{number(row.peers)} {row.unit}  {row.peer}" if row.peer else ""
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        ours = f"{number(row.ours)} {row.unit}"
        print(f"{row.what:<52} {ours:>13}  {against:<42} {ratio:>6}  {row.goal:<9} {row.verdict}", flush=True)


def show_head() -> None:
    cpus = os.cpu_count() or 1
    print(f"Python {platform.python_version()}, {platform.machine()}, {cpus} CPUs; medians")
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > cpus / 2:
        print(f"The machine is busy (load average {os.getloadavg()[0]:.1f}): starts wait for a CPU.")
    print(f"{'':<52} {'ours':>13}  {'against':<42} {'ratio':>6}  {'goal':<9}")
