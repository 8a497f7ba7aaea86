"""Weather: wind that stops work in the open, and official warnings with exactly the crews concerned."""

from __future__ import annotations

from streams.course import Course
from streams.events import OfficialWarning
from streams.rules.gas import GB, SUSPEND
from streams.rules.limits import HEIGHT, HOT, LIFTING
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, wake_at
from streams.spans import Held
from streams.times import MINUTE

CAUSES: frozenset[Cause] = frozenset({"permit", "seen", "weather"})
EXPOSED = {"lightning": HEIGHT | LIFTING, "typhoon": HEIGHT | LIFTING | HOT, "gale": HEIGHT | LIFTING | HOT, "rain": HEIGHT | LIFTING, "snow": HEIGHT | LIFTING, "fog": HEIGHT | LIFTING}
"""Which work in the open an official warning stops (GB 30871-2022 8.2.6, 9.2.4; the list by hazard is practice, C)."""


def _open_air(course: Course, types: frozenset[str]) -> bool:
    return course.type in types and course.started is not None and not (course.point and course.point.indoor)


def _blowing(known: Known, course: Course, lifting: bool) -> list[tuple[int, int | None, str, float, str]]:
    """(from, to or None, station, strongest mean, evidence) at the stations that count for the work point."""
    stations = (course.point.stations if course.point else []) or sorted(known.site.winds)
    out = []
    for station in stations:
        held: Held | None = getattr(known.site.winds[station], "lifting" if lifting else "work") if station in known.site.winds else None
        out += [(a, b, station, top, ref) for a, b, _, top, ref in held.intervals(known.now)] if held else []
    return out


def judge_wind(known: Known, permit: str) -> Judged:
    """X-WIND: the mean wind is too strong for work in the open: grade 5 for hot work and work at height, grade 6 for lifting."""
    course = known.course(permit)
    lifting = course.type in LIFTING
    if not _open_air(course, HOT | HEIGHT | LIFTING):
        return NOTHING
    limit, found, wakes = known.terms()["wind_lifting" if lifting else "wind_work"], [], []
    for a, b, station, top, ref in _blowing(known, course, lifting):
        for lo, hi in course.working(known.now):
            start, end = max(a, lo), min(hi, b) if b is not None else hi
            if end <= start and not (b is None and course.at_work(known.now)):
                continue
            open_ = b is None and hi >= known.now and course.at_work(known.now)
            numbers = {"permit": permit, "station": station, "wind": f"{top:g}", "limit": f"{limit:g}", "since": known.clock(start)}
            found.append(Finding(start, (ref, course.request_ref), None if open_ else end, 2 if course.type in HOT else 1, numbers, permit, course.point_id, requests=((SUSPEND, permit),)))
            wakes.append(known.now + MINUTE if open_ else None)
    return Judged(tuple(found), wake_at(*wakes))


def judge_warning(known: Known, permit: str) -> Judged:
    """X-WX: an official warning stands and this crew is out in the open."""
    course, found, wakes = known.course(permit), [], []
    for fact in known.site.warnings:
        said = fact.event
        if not isinstance(said, OfficialWarning) or not _open_air(course, frozenset(EXPOSED.get(said.hazard, HEIGHT | LIFTING))):
            continue
        for lo, hi in course.working(known.now):
            going = course.at_work(known.now) and hi >= known.now
            start, end = max(said.at, lo), min(said.until, hi)
            if end <= start and not (going and known.now < said.until):
                continue
            open_ = going and known.now < said.until
            numbers = {"permit": permit, "hazard": said.hazard, "colour": said.colour, "crew": course.request.crew if course.request else "", "until": known.clock(said.until)}
            found.append(Finding(start, (fact.ref, course.request_ref), None if open_ else end, numbers=numbers, permit=permit, point=course.point_id,
                                 requests=((SUSPEND, permit), ("evacuate", course.point_id), ("permit.block", f"{said.hazard}:{said.until}"))))  # fmt: skip
            wakes.append(said.until + 1 if open_ else None)
    return Judged(tuple(found), wake_at(*wakes))


RULES = (
    Rule("X-WIND", "permit", 2, CAUSES, judge_wind, "5.2.15, 8.2.6, 9.2.4", GB, "A", "", ("S38", "S39")),
    Rule("X-WX", "permit", 1, CAUSES, judge_warning, "8.2.6, 9.2.4", GB, "A", "", ("S40",)),
)
