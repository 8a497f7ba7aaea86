"""Neighbours: works and activities that may not go together, in three dimensions and allowing for the error of a place; duplicates of one permit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from streams.course import Course
from streams.events import Activity, Production
from streams.lives import number_of
from streams.plant import Point
from streams.rules.gas import GB, SUSPEND
from streams.rules.limits import BLINDING, CONFINED, HEIGHT, HOT, LIFTING, POWER
from streams.rules.permit import OURS, valid_until
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, wake_at
from streams.work import Fact

CAUSES: frozenset[Cause] = frozenset({"permit", "near", "seen"})
ASKED: frozenset[Cause] = frozenset({"asked"})
DISTANCE = {"gas_discharge": "simops_gas", "liquid_discharge": "simops_liquid", "solvent": "simops_solvent", "painting": "simops_solvent", "dust": "simops_dust", "train": "simops_train"}


class Conflict(msgspec.Struct, frozen=True, gc=False):
    """Two things that do not go together, from when to when (None: still)."""

    kind: str
    hard: bool
    other: str
    distance: float
    limit: float
    start: int
    end: int | None
    ref: str


class Meeting(NamedTuple):
    """How two works do not go together, whenever they meet: the same for all permits of one type at one place."""

    kind: str
    hard: bool
    distance: float
    limit: float


def conflicts(known: Known, permit: str) -> list[Conflict]:
    """Everything that conflicts with a permit from its approval (or start) to its end; of two permits, the later one says so."""
    return known.once("conflicts", permit, lambda: _conflicts(known, permit))


def _conflicts(known: Known, permit: str) -> list[Conflict]:
    course = known.course(permit)
    span = _span(known, course)
    if course.point is None or span is None:
        return []
    out, start, meetings = list(_activities(known, course, course.point, span)), span[0], dict[tuple[object, ...], list[Meeting]]()
    for theirs in _neighbours(known, course, MET.get(course.family), same=course.family != "hot"):
        when = _span(known, theirs)
        if when is None or (when[0], theirs.permit) > (start, permit) or (when[1] is not None and when[1] <= start) or theirs.request is None:
            continue
        alike = (id(theirs.point), theirs.type, theirs.request.layers, _timed_apart(course, theirs))
        if alike not in meetings:
            meetings[alike] = list(_meetings(known, course, theirs, start))
        end = span[1] if when[1] is None else when[1] if span[1] is None else min(span[1], when[1])
        out += [Conflict(m.kind, m.hard, theirs.permit, m.distance, m.limit, start, end, theirs.request_ref) for m in meetings[alike] if end is None or end > start]
    return out


def _span(known: Known, course: Course) -> tuple[int, int | None] | None:
    """When a permit may conflict: what never began is over when its validity is."""
    unused = _unused_at(course)
    return (course.span[0], unused) if course.span and unused is not None and unused <= known.now else course.span


def _unused_at(course: Course) -> int | None:
    """When a permit whose work has not begun can begin no more."""
    return max(course.valid_to, course.span[0]) if course.span and course.started is None and course.span[1] is None and course.valid_to else None


def hard_now(known: Known, course: Course) -> Iterator[Meeting]:
    """Hard conflicts with neighbours at work now, whichever of the two was approved later; for hot work also painting in its space."""
    if course.type in HOT and course.point and course.point.space:
        for facts in known.site.activities.values():
            if any(run.said.what == "painting" and run.said.space == course.point.space and run.since <= known.now and run.until is None for run in _runs(known, facts)):
                yield Meeting("space", True, 0.0, 0.0)
    for theirs in _neighbours(known, course, MET.get(course.family), same=course.family != "hot") if course.point else ():
        if theirs.at_work():
            yield from (m for m in _meetings(known, course, theirs, known.now) if m.hard)


def _neighbours(known: Known, course: Course, families: frozenset[str] | None = None, same: bool = True) -> Iterator[Course]:
    """The permits nearby, of these families of work (None: of every one); unless `same`, those of the own family at the own work point are left out: hot work beside hot work at one point is one work point."""
    for point in known.atlas.near(course.point_id) or [course.point_id]:
        there = known.by_family.get(point, {})
        for name in sorted(there if families is None else families & there.keys()):
            if name == course.family and point == course.point_id and not same:
                continue
            yield from (known.course(other) for other in there[name] if other != course.permit)


MET: dict[str, frozenset[str]] = {
    "hot": frozenset({"hot", "blinding", "height", "lifting", "power"}), "blinding": frozenset({"hot", "blinding", "height", "lifting", "power"}),
    "confined": frozenset({"height", "lifting", "power"}), "excavation": frozenset({"height", "lifting", "power"}), "road": frozenset({"height", "lifting", "power"}),
}  # fmt: skip
"""Family → the families with which its permits may conflict; the others: every one."""


def _earlier(a: int | None, b: int | None) -> int | None:
    return min((m for m in (a, b) if m is not None), default=None)


class Run(NamedTuple):
    """One time that an activity went on: as it was told last, from when to when (ms; None: still), and the evidence."""

    said: Activity
    since: int
    until: int | None
    ref: str


def _runs(known: Known, facts: list[Fact]) -> list[Run]:
    """Each time that an activity of one name went on: what is told again before its end corrects it, what begins after its end is another time."""
    runs: list[Run] = []
    for fact in facts:
        said = fact.event
        if not isinstance(said, Activity):
            continue
        open_ = bool(runs) and runs[-1].until is None
        at = known.site.counts(fact, said.phase == "end")
        if said.phase != "end" and not open_:
            runs.append(Run(said, at, None, fact.ref))
        elif open_:
            runs[-1] = runs[-1]._replace(said=said) if said.phase != "end" else runs[-1]._replace(until=max(at, runs[-1].since))
    return runs


def _activities(known: Known, course: Course, point: Point, span: tuple[int, int | None]) -> Iterator[Conflict]:
    """Discharges, cleaning, painting, sampling, trains beside hot work; painting in a space with hot work."""
    for name, run in ((name, run) for name, facts in sorted(known.site.activities.items()) for run in _runs(known, facts)):
        said = run.said
        start, end = max(span[0], run.since), _earlier(span[1], run.until)
        if end is not None and end <= start:
            continue
        if course.type == CONFINED and said.what == "painting" and point.space and said.space == point.space:
            for lo, hi in _hot_inside(known, point):
                both = max(start, lo), _earlier(end, hi)
                if both[1] is None or both[1] > both[0]:
                    yield Conflict("space", True, name, 0.0, 0.0, *both, run.ref)
        if course.type not in HOT:
            continue
        if said.what == "painting" and point.space and said.space == point.space and not _confined_in(known, point.space):
            yield Conflict("space", True, name, 0.0, 0.0, start, end, run.ref)
            continue
        if said.what in ("water_draw", "sampling"):
            if point.dike and said.dike == point.dike:
                yield Conflict(said.what, True, name, 0.0, 0.0, start, end, run.ref)
            continue
        distance = math.dist((said.x, said.y, said.z), (point.x, point.y, point.z))
        yield from (Conflict(m.kind, m.hard, name, m.distance, m.limit, start, end, run.ref) for m in _distant(known, DISTANCE[said.what], said.what, distance, 2 * said.acc, start))


def _confined_in(known: Known, space: str) -> bool:
    """Does a confined space permit, whose own finding it is, stand for a space?"""
    return any(c.type == CONFINED and c.span for place in known.atlas.points.values() if place.space == space for c in known.at(place.id))


def _hot_inside(known: Known, point: Point) -> Iterator[tuple[int, int | None]]:
    """From when to when (None: still) hot work was done in a space."""
    for place in known.atlas.near(point.id):
        if known.atlas.points[place].space == point.space:
            yield from ((c.started.at, c.finished.at if c.finished else c.over_at) for c in known.at(place) if c.type in HOT and c.started)


def _distant(known: Known, limit_name: str, kind: str, distance: float, error: float, start: int) -> Iterator[Meeting]:
    """Hard if surely within the limit, soft if it may be, or is nearly."""
    limit = known.terms_at(start)[limit_name]
    if distance + error < limit:
        yield Meeting(kind, True, distance, limit)
    elif distance - error < limit * known.terms_at(start)["simops_soft"]:
        yield Meeting(kind, False, distance, limit)


def _timed_apart(a: Course, b: Course) -> bool:
    """Temporary power and the work that it is linked to, valid until different moments."""
    return POWER in (a.type, b.type) and a.request is not None and b.request is not None and b.permit in a.request.linked and a.validity != b.validity


def _meetings(known: Known, a: Course, b: Course, start: int) -> Iterator[Meeting]:
    """The matrix of `domain.md` 3.7 between two permits."""
    if a.point is None or b.point is None:
        return
    distance, terms = _apart(a.point, b.point), known.terms_at(start)
    kinds = {a.type, b.type}
    if kinds & HOT and BLINDING in kinds:
        yield from _distant(known, "simops_blind", "blinding", distance, 0.0, start)
    if kinds == {BLINDING} and a.point.line and a.point.line == b.point.line:
        yield Meeting("line", True, distance, 0.0)
    if a.type in HOT and b.type in HOT and a.point_id != b.point_id and distance < terms["simops_hot"]:
        yield Meeting("hot", False, distance, terms["simops_hot"])
    if kinds & HEIGHT and math.hypot(a.point.x - b.point.x, a.point.y - b.point.y) <= terms["fall_line"] and a.point_id != b.point_id:
        yield from _above(known, a, b, start)
    if kinds & LIFTING and not kinds <= LIFTING:
        boom = a if a.type in LIFTING else b
        if boom.point and distance <= boom.point.radius:
            yield Meeting("boom", True, distance, boom.point.radius)
    if _timed_apart(a, b):
        yield Meeting("duration", False, distance, 0.0)


def _above(known: Known, a: Course, b: Course, start: int) -> Iterator[Meeting]:
    """Work at height above other work: beyond 24 m one layer is not enough, below that one is needed."""
    upper, lower = (a, b) if a.point and b.point and a.point.z >= b.point.z else (b, a)
    if upper.type not in HEIGHT or upper.point is None or lower.point is None or upper.request is None:
        return
    drop, layers, far = upper.point.z - lower.point.z, upper.request.layers, known.terms_at(start)["double_layer"]
    if drop > far and layers < 2:
        yield Meeting("above", True, drop, far)
    elif drop > 0 and layers < 1:
        yield Meeting("above", False, drop, far)


def _apart(a: Point, b: Point) -> float:
    return math.dist((a.x, a.y, a.z), (b.x, b.y, b.z))


def _judge(known: Known, permit: str, hard: bool) -> Judged:
    """One finding a permit for as long as anything conflicts: the nearest partner, and how many there are."""
    course, found = known.course(permit), []
    for group in _together([c for c in conflicts(known, permit) if c.hard is hard]):
        c = min(group, key=lambda c: (c.distance - c.limit if c.limit else 0.0, c.start, c.other))
        start, ends = min(g.start for g in group), [g.end for g in group]
        numbers = {"permit": permit, "other": c.other, "kind": c.kind, "distance": f"{c.distance:.1f} m", "limit": f"{c.limit:g} m", "clause": known.terms_at(c.start).clause(c.kind), "since": known.clock(start),
                   "count": len(group)}  # fmt: skip
        requests = ((SUSPEND, permit), ("evacuate", course.point_id)) if hard else ()
        end = None if None in ends else max(e for e in ends if e is not None)
        evidence = tuple(dict.fromkeys((c.ref, *(g.ref for g in group[:8]), course.request_ref)))
        found.append(Finding(start, evidence, end, numbers=numbers, permit=permit, variant=c.kind, requests=requests))
    unused = [_unused_at(course), *(_unused_at(known.course(c.other)) for c in conflicts(known, permit) if c.hard is hard and c.other in known.site.works)]
    return Judged(tuple(found), wake_at(*(m + 1 for m in unused if m is not None and m >= known.now and found)))


def _together(found: list[Conflict]) -> Iterator[list[Conflict]]:
    """Conflicts that overlap in time."""
    group: list[Conflict] = []
    until: int | None = None
    for c in sorted(found, key=lambda c: (c.start, c.other)):
        if group and until is not None and c.start >= until:
            yield group
            group = []
        until = c.end if not group else (None if until is None or c.end is None else max(until, c.end))
        group.append(c)
    if group:
        yield group


def judge_hard(known: Known, permit: str) -> Judged:
    """X-SIMOPS-H: a hard conflict with a neighbour."""
    return _judge(known, permit, hard=True)


def judge_soft(known: Known, permit: str) -> Judged:
    """X-SIMOPS-S: neighbours that need coordination."""
    return _judge(known, permit, hard=False)


# ---- duplicates -----------------------------------------------------------------------------------------------------


def _twins(known: Known, course: Course) -> Iterator[Course]:
    """Earlier permits of the same family at the same physical place that were not closed when this one was asked for."""
    if course.request is None:
        return
    at, here, family, most = course.request.at, course.point, course.family, known.terms_at(course.request.at)["dup_distance"]
    for theirs in _neighbours(known, course, frozenset({course.family})):
        if theirs.request is None or (theirs.request.at, theirs.permit) >= (at, course.permit) or number_of(theirs.permit) == number_of(course.permit):
            continue
        closed, there = theirs.over_at, theirs.point
        if (closed is not None and closed <= at) or theirs.family != family:
            continue
        if theirs.point_id == course.point_id or (here and there and _apart(here, there) <= most):
            yield theirs


def _renews(known: Known, course: Course, other: Course) -> bool:
    """Is this the renewal of another permit (GB 30871-2022 4.16): not valid before the end of that one's validity, and when it begins that one is finished?"""
    ended, over = valid_until(known, other), other.finished.at if other.finished else other.over_at
    if course.request is None or ended is None or course.request.valid_from < ended:
        return False
    return course.started is None or (over is not None and over <= course.started.at)


def judge_duplicate(known: Known, permit: str) -> Judged:
    """X-DUP: a second permit of the same kind for the same place, overlapping or within a day."""
    course = known.course(permit)
    if course.request is None:
        return NOTHING
    window, twins = known.terms_at(course.request.at).ms["dup_window"], []
    for other in _twins(known, course):
        assert other.request is not None
        if _renews(known, course, other):
            continue
        overlap = other.request.valid_from < (course.validity or 0) and course.request.valid_from < (other.validity or 0)
        if overlap or course.request.at - other.request.at <= window:
            twins.append(other)
    if not twins:
        return NOTHING
    first = min(twins, key=lambda c: (c.request.at if c.request else 0, c.permit))
    numbers = {"permit": permit, "first": first.permit, "point": course.point_id, "count": len(twins) + 1}
    return Judged((Finding(course.request.at, (course.request_ref, first.request_ref), course.over_at, numbers=numbers, permit=permit),))


def _mixed(known: Known, permit: str, name: str) -> Judged:
    """The last permit of this type at this place before this one says something else of it."""
    course = known.course(permit)
    mine = getattr(course.request, name, "") if course.request else ""
    if course.request is None or not mine:
        return NOTHING
    earlier = [c for c in known.at(course.point_id) if c.request and c.type == course.type and (c.request.at, c.permit) < (course.request.at, permit) and getattr(c.request, name)]
    last = max(earlier, key=lambda c: (c.request.at if c.request else 0, c.permit), default=None)
    if last is None or getattr(last.request, name) == mine:
        return NOTHING
    numbers = {"permit": permit, "mine": mine, "other": last.permit, "theirs": getattr(last.request, name)}
    return Judged((Finding(course.request.at, (course.request_ref, last.request_ref), course.over_at, numbers=numbers, permit=permit),))


def judge_template(known: Known, permit: str) -> Judged:
    """X-TEMPLATE-MIX: two versions of the form are in use at one place."""
    return _mixed(known, permit, "template")


def judge_risk(known: Known, permit: str) -> Judged:
    """X-RISK-MIX: the same work at the same place was rated differently."""
    return _mixed(known, permit, "risk")


def judge_production(known: Known, permit: str) -> Judged:
    """X-MES: production is planned on the equipment that is worked on."""
    course = known.course(permit)
    span = course.span
    equipment = (course.request.equipment if course.request else "") or (course.point.equipment if course.point else "")
    if span is None or not equipment:
        return NOTHING
    found, wakes = [], []
    for order, facts in sorted(known.site.productions.items()):
        plan = facts[-1].event
        if not isinstance(plan, Production) or plan.equipment != equipment or plan.cancelled:
            continue
        declared = span[1] if span[1] is not None else max(course.valid_to or 0, known.now)
        if plan.since < declared and plan.until > span[0]:
            start, end = max(span[0], plan.at), _earlier(span[1], plan.until if known.now >= plan.until else None)
            wakes.append(plan.until if known.now < plan.until else None)
            if end is None or end > start:
                numbers = {"permit": permit, "order": order, "equipment": equipment, "since": known.clock(plan.since), "until": known.clock(plan.until)}
                found.append(Finding(start, (facts[-1].ref, course.request_ref), end, numbers=numbers, permit=permit))
    return Judged(tuple(found), wake_at(*wakes))


RULES = (
    Rule("X-SIMOPS-H", "permit", 1, CAUSES, judge_hard, "5.2.8–5.2.10, 6.7, 7.6, 7.10, 8.2.8, 9.2.12", GB, "A", "", ("S37", "S42", "S43"), takes=("double_layer", "fall_line", "simops_blind", "simops_dust", "simops_gas", "simops_hot", "simops_liquid", "simops_soft", "simops_solvent", "simops_train"), others=True),
    Rule("X-SIMOPS-S", "permit", 3, CAUSES, judge_soft, "4.7, 10.8", GB, "C", "", ("S37", "S42"), takes=("double_layer", "fall_line", "simops_blind", "simops_dust", "simops_gas", "simops_hot", "simops_liquid", "simops_soft", "simops_solvent", "simops_train"), others=True),
    Rule("X-DUP", "permit", 3, ASKED, judge_duplicate, "rule of the site", OURS, "C", "", ("S45",), takes=("dup_distance", "dup_window",), others=True),
    Rule("X-TEMPLATE-MIX", "permit", 4, ASKED, judge_template, "rule of the site", OURS, "C", "", ("S45",), others=True),
    Rule("X-RISK-MIX", "permit", 4, ASKED, judge_risk, "rule of the site", OURS, "C", "", ("S45",), others=True),
    Rule("X-MES", "permit", 3, frozenset({"permit", "seen", "site"}), judge_production, "rule of the site", OURS, "C", "", ("R-MES",), apart=("order",)),
)
