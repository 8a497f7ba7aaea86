"""X-GAS-TREND by replay: it leads the limit by minutes on ramps, and is silent over days of drift and noise."""

from __future__ import annotations

import math
import random

import pytest

from streams.times import MINUTE, SECOND
from streams.trend import HALF, reaches, slope

LIMIT = 10.0
START = 1_773_100_800_000 // HALF * HALF


def _halves(level, minutes: float, seed: int = 1, noise: float = 0.05) -> dict[int, list[float]]:
    rng = random.Random(seed)
    out: dict[int, list[float]] = {}
    for s in range(int(minutes * 60)):
        at = START + s * SECOND
        out.setdefault(at // HALF, []).append(max(0.0, level(s / 60) + rng.gauss(0, noise)))
    return out


def _first(halves: dict[int, list[float]], minutes: float) -> float | None:
    """After how many minutes it was first told."""
    for i in range(1, int(minutes * 2) + 1):
        now = START + i * HALF
        known = {h: v for h, v in halves.items() if (h + 1) * HALF <= now and h > now // HALF - 48}
        if reaches(known, now, LIMIT, None, 30 * MINUTE):
            return i / 2
    return None


@pytest.mark.seed("000-33", part="a trend before the limit")
@pytest.mark.parametrize("ramp, least", [(10, 1), (15, 4), (20, 7), (40, 18)])
def test_it_leads_the_limit_by_minutes(ramp, least):
    calm, base = 15.0, 1.0

    def level(minute: float) -> float:
        return base if minute < calm else base + (LIMIT - base) * (minute - calm) / ramp

    told = _first(_halves(level, calm + ramp), calm + ramp)
    assert told is not None
    lead = calm + ramp - told
    assert least <= lead <= ramp


@pytest.mark.parametrize("seed", range(3))
def test_days_of_drift_and_noise_raise_none(seed):
    """± 2 % of full scale a day, noise of a tenth of a per cent of it, over two days of half-minutes."""
    halves = {}
    rng = random.Random(seed)
    for h in range(2 * 2880):
        drift = 2.0 * math.sin(2 * math.pi * h / 2880 + seed)
        halves[START // HALF + h] = [max(0.0, 1.5 + drift + rng.gauss(0, 0.1)) for _ in range(5)]
    keys = sorted(halves)
    for i in range(48, len(keys)):
        window = {k: halves[k] for k in keys[i - 48 : i + 1]}
        assert reaches(window, (keys[i] + 1) * HALF, LIMIT, None, 30 * MINUTE) is None


def test_oxygen_falling_is_on_its_way_down():
    halves = _halves(lambda m: 20.9 - 0.06 * m, 15)
    said = reaches(halves, START + 15 * MINUTE, 23.5, 19.5, 30 * MINUTE)
    assert said is not None and said.limit == 19.5


def test_too_few_half_minutes_say_nothing():
    halves = _halves(lambda m: 1 + m, 6)
    assert reaches(halves, START + 6 * MINUTE, LIMIT, None, 30 * MINUTE) is None


def test_the_slope_of_a_line_is_the_line():
    middle, lower, upper = slope([(i, 2.0 * i) for i in range(20)])
    assert middle == lower == upper == 2.0
