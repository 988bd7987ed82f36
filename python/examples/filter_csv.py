"""Which rows of a large CSV fulfil a rule that somebody typed? On all cores, and a bad rule can't do harm.

::

    python filter_csv.py 'row.quantity * row.price > 5000 and row.country ~= "FR"' --group product --output chart.png
    python filter_csv.py 'row.email:find("@", 1, true)' customers.csv --group city

The rule is an expression of Lua. Without a file a million rows are made up. The file is read in batches of lines, a few
ahead of the workers, so a large one takes no more memory than a small one. A rule that raises, loops for ever or eats
memory ends the program, which says in which row.
"""

import argparse
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import osthread
from PIL import Image, ImageDraw

BATCH = 1 << 18  # bytes of lines

# Runs once in each worker's state, where `rule`, `columns`, `group` and `marks` are globals.
SETUP = """
os.exit = nil  -- it would end a batch, as if that were done
local find, sub = string.find, string.sub

-- LuaJIT compiles sub(), tonumber() and find() of plain text; patterns would be left to its interpreter.
function count(batch)
  local text, first, slot = batch.text, batch.first, batch.slot
  local number, at, row, counts = first, 1, {}, {}
  while at <= #text do
    marks[slot] = number
    local stop = find(text, "\\n", at, true)
    for i = 1, #columns do
      local comma = i == #columns and stop or find(text, ",", at, true)
      if not comma or comma > stop then error("it has fewer fields than the header", 0) end
      local field = sub(text, at, comma - 1)
      row[columns[i]] = tonumber(field) or field
      at = comma + 1
    end
    if rule(row) then
      local key = tostring(row[group])
      counts[key] = (counts[key] or 0) + 1
    end
    number = number + 1
  end
  return counts, number - first
end
"""


def make_up(path: Path, rows: int) -> None:
    """A CSV of sales."""
    chance = random.Random(1)
    countries, products = ("DE", "ES", "FR", "IT", "PL", "SE"), ("chair", "desk", "lamp", "shelf", "sofa")
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("id,country,product,quantity,price\n")
        for i in range(1, rows + 1):
            country, product, quantity = chance.choice(countries), chance.choice(products), i % 20 + 1
            file.write(f"{i},{country},{product},{quantity},{500 * chance.random():.2f}\n")


def batches(file: BinaryIO, slots: int) -> Iterator[dict[str, Any]]:
    """The lines of the file, many at a time, each with the number of its first row and its slot of `marks`."""
    first = slot = 0
    while lines := file.readlines(BATCH):
        text = b"".join(lines).replace(b"\r\n", b"\n")
        if b'"' in text:
            raise SystemExit("fields in quotes are beyond this example")
        yield {"text": text if text.endswith(b"\n") else text + b"\n", "first": first + 1, "slot": slot}
        first, slot = first + len(lines), (slot + 1) % slots


def count(file: BinaryIO, rule: str, group: str, limits: dict[str, Any]) -> tuple[Counter[str], int]:
    """How many rows match, by what they have in the column ``group``, and how many there are."""
    columns = file.readline().decode().rstrip("\r\n").split(",")
    if group not in columns:
        raise SystemExit(f"there is no column {group}; there are {', '.join(columns)}")
    try:
        function = osthread.compile(f"function(row) return {rule}\nend", "rule")
    except osthread.LuaSyntaxError as error:
        raise SystemExit(f"this is no expression of Lua: {error.message}") from None

    ahead = 4 * (os.cpu_count() or 1)
    # Each batch under way notes the row it is at: code that is interrupted can't tell any more.
    marks = osthread.SharedBuffer("float64", ahead)
    given = {"rule": function, "columns": columns, "group": group, "marks": marks}
    counts: Counter[str] = Counter()
    done = rows = 0
    with osthread.LuaPool(setup=SETUP, libraries="safe", globals=given, **limits) as pool:
        try:
            for some, many in pool.map("return count(...)", batches(file, ahead), buffersize=ahead):
                counts.update(some)
                done, rows = done + 1, rows + many
        except osthread.LuaError as error:
            row = int(memoryview(marks)[done % ahead])
            raise SystemExit(f"row {row}: {type(error).__name__}: {error.message}") from None
    return counts, rows


def chart(counts: Counter[str], group: str) -> Image.Image:
    """A bar for each group, the largest first; the first twenty."""
    bars = counts.most_common(20)
    image = Image.new("RGB", (640, 60 + 30 * len(bars)), "white")
    draw = ImageDraw.Draw(image)
    draw.text((20, 15), f"Rows that match, by {group}", fill="black")
    for i, (name, number) in enumerate(bars):
        y = 45 + 30 * i
        draw.text((20, y + 5), name[:16], fill="black")
        draw.rectangle((130, y, 130 + 400 * number / bars[0][1], y + 22), fill="#4c72b0")
        draw.text((140 + 400 * number / bars[0][1], y + 5), f"{number:,}", fill="black")
    return image


def main() -> None:
    """Count, tell, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rule", nargs="?", default="row.quantity * row.price > 5000", help="in Lua, of `row`")
    parser.add_argument("csv", nargs="?", type=Path, help="the file, with a header; made up if none is given")
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many to make up")
    parser.add_argument("--group", default="country", help="count the matches by this column")
    parser.add_argument("--time-limit", type=float, default=1.0, help="seconds, for each batch")
    parser.add_argument("--memory-limit", type=int, default=64, help="MiB, for each worker")
    parser.add_argument("--output", help="write a PNG of the counts here")
    args = parser.parse_args()
    if args.csv is not None and not args.csv.is_file():
        parser.error(f"there is no file {args.csv}")

    with ExitStack() as stack:
        if args.csv is None:
            args.csv = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "sales.csv"
            make_up(args.csv, args.rows)
        file = stack.enter_context(args.csv.open("rb"))
        limits = {"time_limit": args.time_limit, "memory_limit": args.memory_limit << 20}
        began = time.perf_counter()
        counts, rows = count(file, args.rule, args.group, limits)
        seconds = time.perf_counter() - began

    print(f"{counts.total():,} of {rows:,} rows match")
    print(f"{seconds:.2f} s, {rows / seconds:,.0f} rows per second")
    for name, number in counts.most_common(20):
        print(f"{name:16} {number:10,}")
    if args.output:
        chart(counts, args.group).save(args.output)


if __name__ == "__main__":
    main()
