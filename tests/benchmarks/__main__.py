"""python -m tests.benchmarks [TOPIC ...]: ours, the floor or a peer in the same run, the ratio, the goal.

Needs the installed package, cmake and a C++ compiler. The machine should do nothing else meanwhile.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

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


def main(chosen: list[str]) -> int:
    unknown = [topic for topic in chosen if topic not in TOPICS]
    if unknown:
        print(f"there is no topic {', '.join(unknown)}; there are: {', '.join(TOPICS)}", file=sys.stderr)
        return 2
    show_head()
    for topic in chosen or TOPICS:
        show(TOPICS[topic]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
