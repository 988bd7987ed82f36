"""python -m tests.benchmarks [--plot FILE.png] [TOPIC ...]: ours, the floor or a peer in the same run, the ratio.

Needs the installed package, cmake and a C++ compiler. The machine should do nothing else meanwhile.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from . import arrays, build, calls, channels, kernels, kill, pool, start
from .table import Row, show, show_head

TOPICS: dict[str, Callable[[], list[Row]]] = {
    "start-c++": lambda: build.run_program("start"),
    "start-python": start.rows,
    "kernels": kernels.rows,
    "interrupt-c++": lambda: build.run_program("interrupt"),
    "interrupt-python": kill.rows,
    "kill": lambda: build.run_program("kill"),
    "idle": lambda: build.run_program("idle"),
    "errors": lambda: build.run_program("errors"),
    "channels": lambda: build.run_program("channels"),
    "channels-parcels": lambda: build.run_program("parcels"),
    "channels-parked": lambda: build.run_program("parked"),
    "channels-python": channels.rows,
    "calls": calls.rows,
    "pool": pool.rows,
    "arrays": arrays.rows,
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"all, or of: {', '.join(TOPICS)}")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="the ratios as a picture; needs Pillow")
    chosen = parser.parse_args(arguments)
    if unknown := [topic for topic in chosen.topics if topic not in TOPICS]:
        parser.error(f"there is no topic {', '.join(unknown)}; there are: {', '.join(TOPICS)}")
    show_head()
    everything: list[Row] = []
    for topic in chosen.topics or TOPICS:
        rows = TOPICS[topic]()
        show(rows)
        everything += rows
    if chosen.plot:
        from .plot import draw

        draw(everything, chosen.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
