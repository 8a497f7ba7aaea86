"""Whether a channel is surely on its way to its limit: half-minute medians, their Theil–Sen slope with its 99 % interval, five in a row. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from streams.times import SECOND

HALF: Final = 30 * SECOND
WINDOW: Final = 20
"""Half-minutes of the last ten minutes."""
LEAST: Final = 15
ROW: Final = 5
KEEP: Final = 48
"""Half-minutes that are kept for each channel."""
Z99: Final = 2.5758293


@dataclass(frozen=True, slots=True)
class Ahead:
    """Since when (ms) it has surely been so, the last median, the limit it is going to, and in how long (ms) it would be there."""

    since: int
    last: float
    limit: float
    left: int


def slope(values: Sequence[tuple[int, float]]) -> tuple[float, float, float]:
    """(Theil–Sen slope, its lower and upper 99 % bound) per half-minute of (half-minute, value) pairs; at least three of them."""
    n = len(values)
    slopes = sorted((b - a) / (j - i) for k, (i, a) in enumerate(values) for j, b in values[k + 1 :])
    reach = Z99 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    lower, upper = max(0, round((len(slopes) - reach) / 2)), min(len(slopes) - 1, round((len(slopes) + reach) / 2))
    return median(slopes), slopes[lower], slopes[upper]


def _one(medians: Mapping[int, float], last: int, high: float | None, low: float | None, within: int) -> tuple[float, float, int] | None:
    """(last median, limit, ms until it is reached) if the window that ends with a half-minute says so."""
    values = [(h, medians[h]) for h in range(last - WINDOW + 1, last + 1) if h in medians]
    if len(values) < LEAST or values[-1][0] != last:
        return None
    here, spread = values[-1][1], max(v for _, v in values) - min(v for _, v in values)
    most = spread * within / HALF
    if not ((high is not None and here <= high <= here + most) or (low is not None and here >= low >= here - most)):
        return None
    middle, lower, upper = slope(values)
    for limit, sure in ((high, lower > 0), (low, upper < 0)):
        if limit is not None and sure and middle and 0 <= (left := (limit - here) / middle * HALF) <= within:
            return here, limit, int(left)
    return None


def reaches(halves: Mapping[int, Sequence[float]], now: int, high: float | None, low: float | None, within: int) -> Ahead | None:
    """What the half-minutes up to now say: on the way to a limit for five of them in a row, or None."""
    latest = now // HALF - 1
    medians = {h: median(v) for h, v in halves.items() if v and h <= latest}
    run, found = 0, None
    for last in range(latest, latest - KEEP + WINDOW, -1):
        said = _one(medians, last, high, low, within)
        if said is None:
            break
        found, run = found or said, run + 1
    if found is None or run < ROW:
        return None
    began = (latest - run + ROW + 1) * HALF
    return Ahead(min(began, now), *found)
