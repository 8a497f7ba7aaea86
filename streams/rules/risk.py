"""The risk of work: one index of a job and of an area (`domain.md` 000-37, 004-22, 4.5), from barriers that are missing and from what raises it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from streams.course import Course
from streams.outputs import Code
from streams.rules.limits import CONFINED, LIFTING, SPECIAL
from streams.rules.people import state
from streams.rules.readings import gas_tags, holds, real, still
from streams.rules.rule import Known
from streams.rules.verdict import barriers
from streams.rules.weather import stands, stops
from streams.times import HOUR

HEAVY = {SPECIAL: 8, "24": 8, "02": 5, CONFINED: 5}
"""Type → weight: special hot work and height Ⅳ; hot work of the first class and confined spaces; others 2."""
LIGHT = 2
MOST = 100
WIND = 6 * HOUR
"""How long the last word of a wind station stands where it says no more."""


@dataclass(frozen=True, slots=True)
class Risk:
    """A job's risk with its parts: weight × (1 + barriers missing or unknown) × the largest factor."""

    weight: int
    barriers: dict[str, str]
    factors: dict[str, float]

    @property
    def index(self) -> float:
        missing = sum(state in ("bad", "unknown") for state in self.barriers.values())
        return self.weight * (1 + missing) * max(self.factors.values(), default=1.0)


def risk(known: Known, course: Course, worst: int | None, codes: Mapping[str, Code]) -> Risk:
    """The risk of a job at work now. `worst`: the priority of its worst open alert; `codes`: person|W, contractor|K → the code last said."""
    return Risk(HEAVY.get(course.type, LIGHT), barriers(known, course), dict(_factors(known, course, worst, codes)))


def area_risk(jobs: Mapping[str, list[float]]) -> dict[str, list[float]]:
    """area → [index, its uncapped sum]."""
    return {area: [min(float(MOST), sum(each)), sum(each)] for area, each in sorted(jobs.items()) if area}


def _factors(known: Known, course: Course, worst: int | None, codes: Mapping[str, Code]) -> Iterator[tuple[str, float]]:
    """(name, factor) of everything that raises the risk of a job (004-22)."""
    if gas := _gas(known, course):
        yield "gas", gas
    if _deviates(known, course):
        yield "process", 1.5
    if any(stops(known, course, said) for said in stands(known, known.now)) or _windy(known, course):
        yield "weather", 1.5
    if people := _people(known, course, codes):
        yield "people", people
    if worst in (1, 2):
        yield "alert", 3.0 if worst == 1 else 2.0


def _gas(known: Known, course: Course) -> float:
    site, now = known.site, known.now
    told = real(known, gas_tags(known, course))
    if any(still(site, tag, s.over, now) for tag, s in told):
        return 3.0
    return 1.5 if any(still(site, tag, s.near, now) for tag, s in told) else 0.0


def _deviates(known: Known, course: Course) -> bool:
    """Does a process channel of the point's unit deviate from its set point, long enough for an alert or not yet?"""
    unit = course.point.unit if course.point else ""
    tags = [tag for tag, channel in known.atlas.channels.items() if channel.kind == "process" and channel.process_unit == unit] if unit else []
    return any(holds(known.site, tag, known.now) for tag in tags)


def _windy(known: Known, course: Course) -> bool:
    """Is the wind over half of what stops this work in the open?"""
    if course.point and course.point.indoor:
        return False
    figure = "wind_lifting" if course.type in LIFTING else "wind_work"
    names = (course.point.stations if course.point else []) or sorted(known.site.winds)
    said = [known.site.winds[n].last for n in names if n in known.site.winds]
    return any(at >= known.now - WIND and mean > known.terms_at(at)[figure] / 2 for at, mean in said)


def _people(known: Known, course: Course, codes: Mapping[str, Code]) -> float:
    """2 with somebody (or under a contractor) whose code is red, 1.25 where it is yellow or his state is strained."""
    contractor = course.request.contractor if course.request else ""
    colours = {codes[key].colour for key in (*(f"person|{w}" for w in course.people), f"contractor|{contractor}") if key in codes}
    if "red" in colours:
        return 2.0
    high = known.terms_now()["person_score"]
    return 1.25 if "yellow" in colours or any(state(known, worker, known.now)[0] > high for worker in course.people) else 0.0
