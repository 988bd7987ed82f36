"""The rows that have a peer, as a picture: a bar for each ratio, on a scale of powers of ten, beside its goal."""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from .table import Row, number

WIDTH, LINE, MARGIN = 1500, 26, 20
NAMES, BARS = 900, 420  # where the text ends; how wide the scale is
LEAST, MOST = 0.01, 100.0
GREEN, RED, GREY, BLACK = (58, 140, 86), (190, 70, 60), (120, 130, 145), (20, 20, 20)


def place(ratio: float) -> float:
    """Where a ratio lies on the scale."""
    part = math.log(min(max(ratio, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return NAMES + MARGIN + part * BARS


def colour(row: Row) -> tuple[int, int, int]:
    return {"met": GREEN, "missed": RED}.get(row.verdict, GREY)


def draw(rows: list[Row], file: Path) -> None:
    """Writes them as a PNG. Of a rate longer is better, of a time shorter."""
    shown = [row for row in rows if row.ratio is not None]
    image = Image.new("RGB", (WIDTH, MARGIN * 3 + LINE * (len(shown) + 1)), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default()
    top, bottom = MARGIN + LINE, MARGIN + LINE * (len(shown) + 1)
    for power in range(-2, 3):
        x = place(10.0**power)
        pen.line([(x, top), (x, bottom)], fill=(210, 210, 210))
        pen.text((x - 10, MARGIN), f"{10.0**power:g}", fill=BLACK, font=font)
    for i, row in enumerate(shown):
        y = top + i * LINE
        assert row.ratio is not None
        text = f"{row.what}: {number(row.ours)} {row.unit}; {row.peer}: {number(row.peers)}"
        pen.text((NAMES - pen.textlength(text, font=font), y + 7), text, fill=BLACK, font=font)
        pen.rectangle([place(LEAST), y + 5, place(row.ratio), y + LINE - 5], fill=colour(row))
        if row.goal:
            goal = place(float(row.goal.split()[1]))
            pen.line([(goal, y + 2), (goal, y + LINE - 2)], fill=BLACK, width=3)
        pen.text((place(row.ratio) + 6, y + 7), f"{row.ratio:.2f}", fill=BLACK, font=font)
    image.save(file, "PNG")
