"""Weather: wind that stops work in the open, and official warnings with exactly the crews concerned."""

from __future__ import annotations

from typing import NamedTuple

from streams.course import Course
from streams.events import OfficialWarning
from streams.rules.gas import GB, SUSPEND
from streams.rules.limits import HEIGHT, HOT, LIFTING
from streams.rules.permit import valid_until
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, wake_at
from streams.spans import Held
from streams.times import HOUR, MINUTE
from streams.work import Fact

CAUSES: frozenset[Cause] = frozenset({"permit", "seen", "weather"})
EXPOSED = {"lightning": HEIGHT | LIFTING, "typhoon": HEIGHT | LIFTING | HOT, "gale": HEIGHT | LIFTING | HOT, "rain": HEIGHT | LIFTING, "snow": HEIGHT | LIFTING, "fog": HEIGHT | LIFTING, "hail": HEIGHT | LIFTING, "sand": HEIGHT | LIFTING}
"""Which work in the open an official warning stops (GB 30871-2022 8.2.6, 9.2.4; the list by hazard is practice, C)."""


def _outdoors(course: Course, types: frozenset[str]) -> bool:
    """Work of one of these types, not under a roof."""
    return course.type in types and not (course.point and course.point.indoor)


def _open_air(course: Course, types: frozenset[str]) -> bool:
    return course.started is not None and _outdoors(course, types)


def _blowing(known: Known, course: Course, lifting: bool) -> list[tuple[int, int | None, str, float, str]]:
    """(from, to or None, station, strongest mean, evidence) at the stations that count for the work point."""
    stations = (course.point.stations if course.point else []) or sorted(known.site.winds)
    out = []
    for station in stations:
        held: Held | None = getattr(known.site.winds[station], "lifting" if lifting else "work") if station in known.site.winds else None
        out += [(a, _calm_at(known, station, b, last), station, top, ref) for a, b, last, top, ref in held.intervals(known.now)] if held else []
    return out


SILENT = HOUR
"""So long a wind that was too strong holds while its station says nothing: silence is not calm (our figure)."""


def _calm_at(known: Known, station: str, end: int | None, last: int) -> int | None:
    """When the wind of an interval was surely over: not because its station fell silent, for an hour."""
    heard = known.site.winds[station].last[0]
    if end is None or heard > last:
        return end
    return None if known.now <= last + SILENT else last + SILENT


def windy(known: Known, course: Course) -> bool:
    """Is the wind too strong now for this work in the open, begun or not?"""
    return _outdoors(course, HOT | HEIGHT | LIFTING) and any(end is None for _, end, *_ in _blowing(known, course, course.type in LIFTING))


def judge_wind(known: Known, permit: str) -> Judged:
    """X-WIND: the mean wind is too strong for work in the open: grade 5 for hot work and work at height, grade 6 for lifting."""
    course = known.course(permit)
    lifting = course.type in LIFTING
    if not _open_air(course, HOT | HEIGHT | LIFTING):
        return NOTHING
    found, wakes = [], []
    for a, b, station, top, ref in _blowing(known, course, lifting):
        limit = known.terms_at(a)["wind_lifting" if lifting else "wind_work"]
        for lo, hi in course.working(known.now):
            start, end = max(a, lo), min(hi, b) if b is not None else hi
            open_ = b is None and hi >= known.now and course.at_work()
            if end <= start and not open_:
                continue
            numbers = {"permit": permit, "station": station, "wind": f"{top:g}", "limit": f"{limit:g}", "clause": known.terms_at(a).clause("wind_lifting" if lifting else "wind_work"), "since": known.clock(start)}
            found.append(Finding(start, (ref, course.request_ref), None if open_ else end, 2 if course.type in HOT else 1, numbers, permit, course.point_id, requests=((SUSPEND, permit),)))
            wakes.append(known.now + MINUTE if open_ else None)
    return Judged(tuple(found), wake_at(*wakes))


def _withdrawn_at(known: Known, fact: Fact, said: OfficialWarning) -> tuple[int, str] | None:
    """(when a warning was taken back, by what): by its id, else as the latest of its source, hazard and colour by then."""
    for later in known.site.warnings:
        back, at = later.event, known.site.counts(later, relief=True)
        if not isinstance(back, OfficialWarning) or not back.withdrawn or at < known.site.counts(fact):
            continue
        if back.id:
            if back.id == said.id:
                return at, later.ref
            continue
        if later.source == fact.source and back.hazard == said.hazard and (back.colour in ("", said.colour) or (said.id == "" and back.colour == _colour_by(known, later.source, said.hazard, at))):
            return at, later.ref
    return None


def _colour_by(known: Known, source: str, hazard: str, at: int) -> str:
    """The colour of what a source said last of a hazard by a moment: whoever takes back an earlier one, which it replaced, takes nothing back."""
    said = [(known.site.counts(f), f.order, f.event.colour) for f in known.site.warnings if f.source == source and isinstance(f.event, OfficialWarning) and f.event.hazard == hazard and not f.event.withdrawn]
    return max((s for s in said if s[0] <= at), default=(0, 0, ""))[2]  # type: ignore[type-var]


class Warned(NamedTuple):
    """A warning as it was said last: by which facts (the first names it), what, from when to when (ms)."""

    refs: tuple[str, ...]
    said: OfficialWarning
    since: int
    end: int


def warnings(known: Known) -> list[Warned]:
    """Everything that was warned of. What is said again before its end under the same id, or without ids by the same source of the same hazard, is the same warning, as it was said last."""
    told: list[Warned] = []
    latest: dict[str, int] = {}
    for fact in known.site.warnings:
        said = fact.event
        if not isinstance(said, OfficialWarning) or said.withdrawn:
            continue
        since, back, name = known.site.counts(fact), _withdrawn_at(known, fact, said), said.id or f"{fact.source}|{said.hazard}"
        end, refs = min(said.until, back[0]) if back else said.until, (fact.ref, *([back[1]] if back else []))
        before = latest.get(name)
        if before is not None and since <= told[before].end:
            told[before] = told[before]._replace(refs=(*told[before].refs, *refs), said=said, end=end)
            continue
        latest[name] = len(told)
        told.append(Warned(refs, said, since, end))
    return told


def stands(known: Known, at: int) -> list[OfficialWarning]:
    """The warnings in force at a moment."""
    return [w.said for w in warnings(known) if w.since <= at < w.end]


def stops(known: Known, course: Course, said: OfficialWarning) -> bool:
    """Is a permit's work of a family that the hazard stops, in the open?"""
    return _outdoors(course, EXPOSED.get(said.hazard, HEIGHT | LIFTING))


def _out(known: Known, course: Course) -> list[tuple[int, int, bool]]:
    """(from, to, has work begun in it) of each time that a crew is out, or approved and about to go, as long as it may."""
    now, until = known.now, valid_until(known, course)
    working = list(course.working(now))
    ready = [m for m in (course.issued, course.started) if m]
    if not ready:
        return []
    first = min(m.at for m in ready)
    if not working:
        over = [m for m in (course.over_at, course.finished.at if course.finished else None) if m is not None]
        over += [until] if until is not None and until <= now else []
        begun = course.started is not None and course.started.at >= now
        return [(first, min(over, default=now), begun)] if course.started is None or begun else []
    return [(min(first, working[0][0]), working[0][1], True), *((a, b, True) for a, b in working[1:])]


def judge_warning(known: Known, permit: str) -> Judged:
    """X-WX: an official warning stands and this crew is out in the open (P1), or approved and about to go (P2: do not start)."""
    course, found, wakes = known.course(permit), list[Finding](), list[int | None]()
    for refs, said, since, ends in warnings(known):
        if course.request is None or not stops(known, course, said):
            continue
        if since > known.now:
            wakes.append(since)
            continue
        for lo, hi, begun in _out(known, course):
            going = hi >= known.now and (course.at_work() or not begun) and course.over_at is None
            start, end = max(since, lo), min(ends, hi)
            if end <= start and not (going and known.now < ends):
                continue
            open_ = going and known.now < ends
            under_way = begun and course.started is not None and course.started.at < ends
            numbers = {"permit": permit, "hazard": said.hazard, "colour": said.colour, "crew": course.request.crew, "until": known.clock(said.until), "warning": refs[0]}
            requests = ((SUSPEND, permit), ("evacuate", course.point_id)) if under_way else (("permit.block", permit),)
            found.append(Finding(start, (*refs, course.request_ref), None if open_ else end, 1 if under_way else 2, numbers, permit, course.point_id,
                                 "" if under_way else "before", requests=requests, stop=(said.hazard, ends)))  # fmt: skip
            wakes.append(ends + 1 if open_ else None)
    return Judged(tuple(found), wake_at(*wakes))


RULES = (
    Rule("X-WIND", "permit", 2, CAUSES, judge_wind, "5.2.15, 8.2.6, 9.2.4", GB, "A", "", ("S38", "S39"), apart=("station",), takes=("wind_lifting", "wind_work",)),
    Rule("X-WX", "permit", 1, CAUSES, judge_warning, "8.2.6, 9.2.4", GB, "A", "", ("S40",), apart=("warning",)),
)
