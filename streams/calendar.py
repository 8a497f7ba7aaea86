"""Which days are off and which weekends are worked: data for one country, extended by a plant's own days."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Final, Literal

from msgspec import Struct

Kind = Literal["workday", "holiday", "rest"]


class Span(Struct, frozen=True, forbid_unknown_fields=True):
    """Days from `first` to `last` (YYYY-MM-DD, both included); `provisional`: computed, not yet announced."""

    first: str
    last: str
    provisional: bool = False


class Calendar(Struct, frozen=True, forbid_unknown_fields=True):
    """Holidays, and weekends that are worked in exchange for them."""

    source: str
    holidays: list[Span] = []
    worked: list[Span] = []


@lru_cache(maxsize=4)
def built_in(country: str = "cn") -> Calendar:
    """The calendar that comes with us."""
    import msgspec

    return msgspec.convert(tomllib.loads(files("streams").joinpath("book", f"calendar_{country}.toml").read_text(encoding="utf-8")), Calendar)


@lru_cache(maxsize=64)
def _days(spans: tuple[Span, ...]) -> frozenset[date]:
    return frozenset(_each(spans))


def _each(spans: Iterable[Span]) -> Iterable[date]:
    for span in spans:
        day, last = date.fromisoformat(span.first), date.fromisoformat(span.last)
        while day <= last:
            yield day
            day += timedelta(days=1)


def kind_of(day: date, calendar: Calendar) -> Kind:
    """A statutory holiday (AQ 40), another day of rest (AQ 41), or a workday, make-up workdays included."""
    if day in _days(tuple(calendar.holidays)):
        return "holiday"
    if day.weekday() >= 5 and day not in _days(tuple(calendar.worked)):
        return "rest"
    return "workday"


SHIFTS: Final = {"day": (7, 15), "evening": (15, 23), "night": (23, 7)}
"""Local hours of a plant's three shifts (`domain.md` 4.1)."""


def in_shift(hour: int, shift: str) -> bool:
    """Does a local hour lie in a shift?"""
    since, until = SHIFTS[shift]
    return since <= hour < until if since < until else hour >= since or hour < until


def shift_of(hour: int) -> str:
    """The shift on duty in a local hour."""
    return next(shift for shift in SHIFTS if in_shift(hour, shift))
