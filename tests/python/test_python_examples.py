"""The programs of python/examples that take options: what they print is right, and so are their pictures."""

from __future__ import annotations

import csv
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
Image = pytest.importorskip("PIL.Image")

EXAMPLES = Path(__file__).parents[2] / "python" / "examples"


def run(name: str, *args: object, status: int = 0) -> str:
    """What the program prints; it is heard on stderr if it fails only, and then in one line."""
    command = [sys.executable, "-W", "error", EXAMPLES / f"{name}.py", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    assert done.stderr.count("\n") == (status != 0), done.stderr
    return done.stderr if status else done.stdout


def picture(path: Path, size: tuple[int, int]) -> np.ndarray:
    """The pixels of a PNG of this size that is not blank."""
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", size)
        pixels = np.asarray(image)
    assert pixels.min() < pixels.max()
    return pixels


def numbers(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


# --- mandelbrot -----------------------------------------------------------------------------------------


def mandelbrot(size: int, limit: int) -> np.ndarray:
    steps = 2.6 / size * np.arange(size)
    cr, ci = np.meshgrid(-2.05 + steps, -1.3 + steps)
    zr, zi, counts = np.zeros_like(cr), np.zeros_like(cr), np.zeros(cr.shape, np.uint16)
    for _ in range(limit):
        inside = zr * zr + zi * zi <= 4
        counts += inside
        # Those outside stand still, lest they overflow.
        zr, zi = np.where(inside, zr * zr - zi * zi + cr, zr), np.where(inside, 2 * zr * zi + ci, zi)
    return counts


def test_mandelbrot_is_what_numpy_computes(tmp_path: Path) -> None:
    output, saved = tmp_path / "mandelbrot.png", tmp_path / "counts.npy"
    printed = run("mandelbrot", "--size", 120, "--limit", 90, "--output", output, "--save", saved)
    assert "120 x 120 pixels" in printed
    counts = np.load(saved)
    np.testing.assert_array_equal(counts, mandelbrot(120, 90))
    pixels = picture(output, (120, 120))
    np.testing.assert_array_equal((pixels == 0).all(axis=2), counts == 90)


# --- option_pricing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_option_pricing_is_near_black_scholes(tmp_path: Path, seed: int) -> None:
    output = tmp_path / "convergence.png"
    lines = run("option_pricing", "--paths", 300_000, "--seed", seed, "--output", output).splitlines()
    price, error = numbers(lines[1])
    exact = numbers(lines[2])[0]
    assert exact == pytest.approx(7.1281, abs=5e-5)
    assert 0 < error < 0.03
    assert abs(price - exact) < 4 * error
    picture(output, (800, 400))


def test_option_pricing_is_the_same_with_any_number_of_workers() -> None:
    one, three = (run("option_pricing", "--paths", 200_000, "--workers", n) for n in (1, 3))
    assert one.splitlines()[1:] == three.splitlines()[1:]


def test_option_pricing_takes_few_paths(tmp_path: Path) -> None:
    assert "10,000 paths" in run("option_pricing", "--paths", 1, "--output", tmp_path / "convergence.png")


# --- filter_csv -----------------------------------------------------------------------------------------


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    """20,000 rows, which are more than one batch; written by Python's csv, lines end as DOS has them."""
    chance = random.Random(7)
    path = tmp_path / "sales.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "city", "amount", "note"])
        for number in range(1, 20_001):
            city = chance.choice(["Köln", "Rome", "Oslo"])
            writer.writerow([number, city, f"{1000 * chance.random():.2f}", "-" * 20])
    return path


def test_filter_csv_counts_as_python_does(sales: Path, tmp_path: Path) -> None:
    with sales.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if float(row["amount"]) > 700 and row["city"] != "Oslo"]
    expected = Counter(row["city"] for row in rows)

    output = tmp_path / "chart.png"
    rule = "row.amount > 700 and row.city ~= 'Oslo'"
    first, _, *groups = run("filter_csv", rule, sales, "--group", "city", "--output", output).splitlines()
    assert numbers(first) == [len(rows), 20_000]
    assert {line.split()[0]: numbers(line)[0] for line in groups} == expected
    assert len(np.unique(picture(output, (640, 120)).reshape(-1, 3), axis=0)) > 2


def test_filter_csv_makes_a_file_up() -> None:
    """Of the quantities 1 to 20, which come in turn, a fourth is above 15."""
    assert numbers(run("filter_csv", "row.quantity > 15", "--rows", 8000).splitlines()[0]) == [2000, 8000]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("row.number ~= 12345 or (function() while true do end end)()", "row 12345: LuaTimeout: time limit"),
        ("row.number < 9876 or ('x'):rep(1e9)", "row 9876: LuaMemoryError: not enough memory"),
        (
            "row.number < 19999 or row.street.name",
            "row 19999: LuaError: rule:1: attempt to index field 'street'",
        ),
        ("os.exit()", "row 1: LuaError: rule:1: attempt to call field 'exit'"),
        ("row.amount >", "this is no expression of Lua: rule:"),
    ],
    ids=["loops", "hoards", "raises", "escapes", "no Lua"],
)
def test_filter_csv_tells_what_is_wrong_with_a_rule(sales: Path, rule: str, message: str) -> None:
    assert run("filter_csv", rule, sales, "--group", "city", status=1).startswith(message)


def test_filter_csv_tells_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("a,b\n1,2\n3\n")
    assert run("filter_csv", "true", path, "--group", "a", status=1).startswith(
        "row 2: LuaError: it has fewer"
    )
    assert (
        run("filter_csv", "true", path, "--group", "c", status=1) == "there is no column c; there are a, b\n"
    )


# --- game_of_life ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("threads", "generations"), [(1, 10), (3, 31), (50, 4)])
def test_game_of_life_is_what_numpy_computes(tmp_path: Path, threads: int, generations: int) -> None:
    """With more threads than rows some have nothing to do but to wait."""
    output = tmp_path / "life.png"
    size = ("--width", 67, "--height", 41)
    printed = run(
        "game_of_life",
        *size,
        "--generations",
        generations,
        "--threads",
        threads,
        "--check",
        "--output",
        output,
    )
    assert printed.splitlines()[-1] == "NumPy says the same"
    alive = int(numbers(printed.splitlines()[1])[1])
    assert np.count_nonzero(picture(output, (67, 41))) == alive


# --- rule_engine ----------------------------------------------------------------------------------------


def test_rule_engine_survives() -> None:
    printed = dict(
        re.split(r" +", line, maxsplit=1) for line in run("rule_engine", "--events", 200).splitlines()
    )
    for rule, error in {
        "loops": "LuaTimeout: time limit",
        "catches": "LuaTimeout: time limit",
        "hoards": "LuaMemoryError: not enough memory",
        "raises": "LuaError: raises:1: attempt to index field 'customer'",
        "escapes": "LuaError: escapes:1: attempt to call field 'execute'",
    }.items():
        assert printed[rule].startswith(f"disabled: {error}")
    for rule in ("large", "abroad", "round"):
        assert printed[rule].startswith("200 events, ")
        assert int(numbers(printed[rule])[1]) > 0
    assert printed["wrecks"] == "200 events, 0 found"
    assert printed["and"] == "now? 42"
