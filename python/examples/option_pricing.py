"""The price of a European call by Monte Carlo, on all cores, checked against the formula of Black and Scholes.

::

    python option_pricing.py --paths 100000000 --output convergence.png

A row of the array is a batch of paths. Each batch seeds the generator of random numbers by its own number, so that the
price is the same to the last digit, whatever number of workers share the batches and whoever takes which.
"""

import argparse
import math
import time
from statistics import NormalDist

import numpy as np
import osthread
from PIL import Image, ImageDraw

SPOT, STRIKE, RATE, VOLATILITY, YEARS = 100.0, 105.0, 0.03, 0.2, 1.0
BATCH = 10_000  # paths


@osthread.lua
def simulate(sums, start, stop, paths, seed, spot, strike, rate, volatility, years):
    """
    local cos, exp, log, max, random, sqrt = math.cos, math.exp, math.log, math.max, math.random, math.sqrt
    local discount = exp(-rate * years)
    local drift, spread = (rate - volatility^2 / 2) * years, volatility * sqrt(years)
    for batch = start, stop - 1 do
      math.randomseed(seed + batch)
      local sum, squares = 0, 0
      for _ = 1, paths do
        -- Box and Muller: a normal number of two uniform ones; 1 - random() is never 0.
        local normal = sqrt(-2 * log(1 - random())) * cos(2 * math.pi * random())
        local payoff = discount * max(spot * exp(drift + spread * normal) - strike, 0)
        sum, squares = sum + payoff, squares + payoff * payoff
      end
      sums[2 * batch], sums[2 * batch + 1] = sum, squares
    end
    """


def black_scholes() -> float:
    """The exact price."""
    spread = VOLATILITY * math.sqrt(YEARS)
    d = (math.log(SPOT / STRIKE) + RATE * YEARS) / spread + spread / 2
    cdf = NormalDist().cdf
    return SPOT * cdf(d) - STRIKE * math.exp(-RATE * YEARS) * cdf(d - spread)


def estimates(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The price and its standard error, after the first batch, the first two, and so on."""
    paths = BATCH * np.arange(1, len(sums) + 1)
    mean, mean_of_squares = sums.cumsum(axis=0).T / paths
    return mean, np.sqrt((mean_of_squares - mean**2) / paths)


def chart(prices: np.ndarray, errors: np.ndarray, exact: float) -> Image.Image:
    """The price as paths are added, with a band of two standard errors, around the line of the exact one."""
    width, height, margin = 800, 400, 20
    reach = 3 * errors[len(errors) // 20]  # what is there at the left may stick out
    x = np.linspace(margin, width - margin, len(prices))

    def points(values: np.ndarray) -> list[tuple[float, float]]:
        y = height / 2 - (values - exact) / reach * (height / 2 - margin)
        return list(zip(x.tolist(), y.tolist(), strict=True))

    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.polygon(points(prices + 2 * errors) + points(prices - 2 * errors)[::-1], fill="#c6dbef")
    draw.line([(margin, height / 2), (width - margin, height / 2)], fill="#d62728", width=2)
    draw.line(points(prices), fill="#08519c", width=2)
    title = f"Monte Carlo with 2 standard errors: {prices[-1]:.4f} after {len(prices) * BATCH:,} paths"
    draw.text((width / 2, margin), title, fill="#08519c")
    draw.text((width / 2, 2 * margin), f"Black-Scholes: {exact:.4f}", fill="#d62728")
    draw.text((width / 2, 3 * margin), f"From the middle to the top: {reach:.4f}", fill="gray")
    return image


def main() -> None:
    """Simulate, compare, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paths", type=int, default=10_000_000, help=f"rounded up to a multiple of {BATCH}")
    parser.add_argument("--seed", type=int, default=1, help="another one gives another sample")
    parser.add_argument("--workers", type=int, help="threads; one for each CPU")
    parser.add_argument("--output", help="write a PNG of the convergence here")
    args = parser.parse_args()

    sums = np.zeros((math.ceil(args.paths / BATCH), 2))  # of each batch's payoffs, and of their squares
    with osthread.LuaPool(args.workers) as pool:
        began = time.perf_counter()
        market = (SPOT, STRIKE, RATE, VOLATILITY, YEARS)
        # Seeds far apart, so that two samples share no batch.
        pool.map_array(simulate, out=sums, args=(BATCH, args.seed * 2**24, *market))
        seconds = time.perf_counter() - began

    prices, errors = estimates(sums)
    price, error, exact = prices[-1], errors[-1], black_scholes()
    print(
        f"{len(sums) * BATCH:,} paths in {seconds:.3f} s: {len(sums) * BATCH / seconds / 1e6:.0f} million per second"
    )
    print(f"Monte Carlo    {price:.4f} +- {error:.4f}")
    print(f"Black-Scholes  {exact:.4f}, {abs(price - exact) / error:.1f} standard errors away")
    if args.output:
        chart(prices, errors, exact).save(args.output)


if __name__ == "__main__":
    main()
