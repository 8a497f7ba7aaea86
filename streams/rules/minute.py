"""One minute of a site, whole: what its jobs risk, what of them was watched, who is inside. Screens and SQL compute none of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.calendar import shift_of
from streams.course import Course
from streams.events import Scan
from streams.lives import life_of, number_of
from streams.outputs import Again, Code, Inside, Jobs, Minute
from streams.rules.limits import family
from streams.rules.risk import Risk, area_risk, risk
from streams.rules.rule import Known
from streams.rules.watched import Row, watched
from streams.times import HOUR, MINUTE
from streams.work import Person

KEPT = 48 * HOUR
"""How far back a minute may be told anew: as long as the spans behind it are kept."""
MOST = 2_000
"""So many minutes are told anew in one: the rest comes with the next, so that no message grows too large and no second too long."""
FIX = 15 * MINUTE
"""How long a fix says where somebody is."""
MARGIN = HOUR
"""How long before its start and after its end a life may have been told to be worked."""
WATCHED = ("work", "gas", "filmed", "guard", "permitted", "all", "nobody")


@dataclass
class Columns:
    """Rows, kept as columns."""

    of: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, **row: Any) -> None:
        for name, value in row.items():
            self.of.setdefault(name, []).append(value)


def minute(known: Known, start: int, standing: Mapping[str, Mapping[str, int]], codes: Mapping[str, Code], overdue: dict[str, int]) -> Minute:
    """The minute that began at `start` (ms), as it is known now. `standing`: life → alert → priority; `overdue`: life → since when something was heard too late; what of it is told is taken off."""
    jobs, areas = Columns(), dict[str, list[float]]()
    for permit, course in worked(known, start):
        at_work = course.at_work()
        found = risk(known, course, min(standing.get(permit, {}).values(), default=None), codes) if at_work else None
        area, shop = known.atlas.place(course.point_id)
        of = watched(known, course, start, start + MINUTE).row(0)
        if of[0]:
            known.site.worked[permit] = (known.site.worked.get(permit, (start, start))[0], start)
        jobs.add(**_job(known, course, found), area=area, shop=shop, **_ledger(of))
        if found:
            areas.setdefault(area, []).append(found.index)
    local = known.local(start)
    return Minute(known.site.site, start, known.now, shift_of(local.hour), Jobs(**jobs.of), area_risk(areas), Inside(**_inside(known).of), Again(**_again(known, start, overdue).of))


def worked(known: Known, start: int) -> Iterator[tuple[str, Course]]:
    """The lives under which people worked after `start` (ms), or work now."""
    for permit in sorted(known.site.works):
        course = known.course(permit)
        if course.started is None or course.request is None or (course.over_at or start) < start or (course.finished and course.finished.at < start):
            continue
        if course.at_work() or any(b > start for _, b in course.working(known.now)):
            yield permit, course


def _job(known: Known, course: Course, found: Risk | None) -> dict[str, Any]:
    assert course.request is not None
    people = [known.site.people[w] for w in course.request.workers if w in known.site.people]
    trades = {t for p in people for t in p.trades} | set(known.terms_of(course).pack.trades.get(course.type, ()))
    return {
        "permit": number_of(course.permit), "life": life_of(course.permit), "type": course.type, "family": family(course.type), "trades": sorted(trades),
        "point": course.point_id, "crew": course.request.crew, "weight": found.weight if found else 0, "barriers": found.barriers if found else {},
        "factors": found.factors if found else {}, "risk": found.index if found else 0.0,
    }  # fmt: skip


def _ledger(of: Row) -> dict[str, Any]:
    return dict(zip(WATCHED, of, strict=True)) | {"seen": None}


def _again(known: Known, until: int, overdue: dict[str, int]) -> Columns:
    """The minutes before `until` of which something was heard later than they were told, so many at once; what is told is taken off `overdue`."""
    out, left = Columns(), MOST
    for permit, since in sorted(overdue.items()):
        start, end = _range(known, permit, since, until)
        upto = min(end, start + left * MINUTE)
        for i, of in enumerate(_rows(known, permit, start, upto) if upto > start else ()):
            out.add(at=start + i * MINUTE, permit=number_of(permit), life=life_of(permit), **_ledger(of))
        left -= max(0, upto - start) // MINUTE
        if upto < end:
            overdue[permit] = upto
            break
        del overdue[permit]
        if permit not in known.site.works:
            known.site.worked.pop(permit, None)
    return out


def _range(known: Known, permit: str, since: int, until: int) -> tuple[int, int]:
    """(from, to) of the minutes that may have been told otherwise: from what was heard, or the start, to the end of work, and all that was told as worked."""
    course, told = known.course(permit), known.site.worked.get(permit)
    if permit not in known.site.works or course.started is None:
        return (max(told[0], until - KEPT), min(until, told[1] + MINUTE)) if told else (until, until)
    start = max(since, min(course.started.at - MARGIN, told[0] if told else until), until - KEPT) // MINUTE * MINUTE
    over = course.over_by(until) + MARGIN
    return start, min(until, max(over, told[1] + MINUTE if told else over) // MINUTE * MINUTE)


def _rows(known: Known, permit: str, start: int, end: int) -> Iterator[Row]:
    """A life's minutes; of one that, as it is known now, never was, nothing was worked."""
    if permit in known.site.works:
        return watched(known, known.course(permit), start, end).rows()
    return iter([(0, None, 0, 0, 0, 0, 0)] * ((end - start) // MINUTE))


# ---- who is inside -------------------------------------------------------------------------------------------------------


def _inside(known: Known) -> Columns:
    """Everybody whom a reader let in and none let out, at the place that he entered last; a fix that is later and fresh says in which area he is."""
    out = Columns()
    for worker, person in sorted(known.site.people.items()):
        if (place := _place(known, worker, person)) is not None:
            out.add(worker=worker, area=place[0], point=place[1], source=place[2], age=max(0, known.now - place[3]))
    return out


def _place(known: Known, worker: str, person: Person) -> tuple[str, str, str, int] | None:
    """(area, work point, what says so, when)"""
    entered = _entered(known, person)
    fix = known.site.seen.get(worker)
    if fix and known.now - fix[0] <= FIX and fix[0] > (entered[3] if entered else max((known.site.stamp(f).at for f in person.scans), default=0)):
        area = next((a.id for a in known.atlas.plant.areas if a.x <= fix[1] < a.x + a.w and a.y <= fix[2] < a.y + a.h), "")
        if area:
            return area, entered[1] if entered and entered[0] == area else "", "tag", fix[0]
    return entered


def _entered(known: Known, person: Person) -> tuple[str, str, str, int] | None:
    """By doors: the last that let him in and did not let him out again; out of a space one is still in its area if one came in by its door."""
    open_: dict[str, tuple[str, str, str, int]] = {}
    for at, scan in sorted(((known.site.stamp(f).at, f.event) for f in person.scans if isinstance(f.event, Scan)), key=lambda one: one[0]):
        for name, area, point in _behind(known, scan.door):
            open_.pop(name, None)
            if scan.direction == "in":
                open_[name] = area, point, "door", at
    return next(reversed(open_.values()), None)


def _behind(known: Known, door: str) -> Iterable[tuple[str, str, str]]:
    """(key, area, work point) of each place behind a door; the door itself where nothing is drawn behind it."""
    drawn = known.atlas.doors.get(door)
    if drawn is None or not (drawn.points or drawn.areas):
        return [(f"door {door}", "", "")]
    return [*((f"area {a}", a, "") for a in drawn.areas), *((f"point {p}", known.atlas.place(p)[0], p) for p in drawn.points)]
