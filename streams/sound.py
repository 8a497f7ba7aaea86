"""Whether a pack or a plant that did not come through a reader of files can be judged by: looked at before it is taken."""

from __future__ import annotations

import math
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from streams.limits import LIMITS
from streams.packs import Pack
from streams.plant import LONGEST, Plant, plant_terms

FARTHEST: Final = 1e6
"""Metres from a plant's origin beyond which nothing of it lies."""


def sound_pack(pack: Pack) -> None:
    """Raises ValueError, OverflowError where a pack that did not come through a reader of packs could not be judged by, or kept."""
    msgspec.msgpack.encode(pack)
    for name, value in pack.limits.items():
        if name in LIMITS and not LIMITS[name].low <= value <= LIMITS[name].high:
            raise ValueError(f"limits.{name} = {value:g} cannot be meant")
    for table, most in ((pack.lel, 100.0), (pack.toxic, math.inf), (pack.molar, math.inf)):
        if strange := next((name for name, value in table.items() if not 0 < value <= most or not math.isfinite(value)), None):
            raise ValueError(f"{strange} = {table[strange]:g} cannot be meant")
    if any(not 0 <= days <= 3650 for tiers in pack.warn_days.values() for days in tiers):
        raise ValueError("warn_days: 0 to 3650 days")


def sound_plant(plant: Plant) -> None:
    """Raises ValueError, KeyError, OverflowError where a plant that did not come through a reader of plants could not be judged by, or kept."""
    msgspec.msgpack.encode(plant)
    ZoneInfo(plant.timezone)
    pack = plant_terms(plant).pack
    if plant.book is not None:
        sound_pack(pack)
    for span in (*plant.calendar.holidays, *plant.calendar.worked) if plant.calendar else ():
        if not 0 <= (date.fromisoformat(span.last) - date.fromisoformat(span.first)).days <= 400:
            raise ValueError(f"calendar: {span.first} to {span.last} is no holiday")
    if odd := [f"{name} = {ms} ms" for name, ms in (*plant.uncertainty.items(), *plant.push_delay.items()) if not 0 <= ms <= LONGEST]:
        raise ValueError(f"{odd[0]} cannot be meant")
    placed: list[tuple[str, tuple[float, ...]]] = [(f"point {p.id}", (p.x, p.y, p.z)) for p in plant.points]
    placed += [(f"area {a.id}", (a.x, a.y, a.w, a.h)) for a in plant.areas] + [(f"zone {z.id}", (z.x, z.y, z.w, z.h)) for z in plant.zones]
    for what, numbers in placed:
        if not all(math.isfinite(n) and abs(n) <= FARTHEST for n in numbers):
            raise ValueError(f"{what} lies at {numbers}: metres within {FARTHEST / 1000:,.0f} km")
    tags = {c.tag for c in plant.channels}
    strange = [t for p in plant.points for t in (*p.detectors, *p.fans) if t not in tags]
    if strange:
        raise ValueError(f"{strange[0]} is bound to a work point and not described")
