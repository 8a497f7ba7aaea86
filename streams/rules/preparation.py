"""Before the work: risk analysis, measures, briefing, isolation, linked tickets, devices bound, the place fit for the type."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from streams.course import Course
from streams.events import Clip
from streams.rules.gas import AQ, GB
from streams.rules.limits import BLINDING, CONFINED, HEIGHT, HOT, SPECIAL, family
from streams.rules.permit import OURS
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule
from streams.times import HOUR, Truth, before

CAUSES: frozenset[Cause] = frozenset({"permit", "seen", "clock"})
STEPS: frozenset[Cause] = CAUSES | {"prepared"}
BLOCK = "permit.block"
NEEDED = {SPECIAL: ("cameras", "detectors"), CONFINED: ("detectors",)}
"""Devices that must be bound to the work point, by type (AQ 3064.2 5.10.5 and 001-15)."""


def _reference(course: Course) -> tuple[int, str] | None:
    """When the checks before work are due: at the final approval, or at the start if that came first."""
    moments = [(m.at, ref) for m, ref in ((course.issued, course.issued_ref), (course.started, course.started_ref)) if m]
    return min(moments) if moments else None


def _missing(step: str, known: Known, permit: str) -> Judged:
    """A rule: signed off (or started) without a step that must come before."""
    course = known.course(permit)
    due = _reference(course)
    if due is None or course.request is None:
        return NOTHING
    taken, mark = known.step(permit, step), course.issued if course.issued and course.issued.at == due[0] else course.started
    if taken is not None and mark is not None and before(taken, mark) is not Truth.FALSE:
        return NOTHING
    ends = [m for m in (taken.at if taken else None, course.finished.at if course.finished else None, course.over_at) if m is not None and m > due[0]]
    numbers = {"permit": permit, "at": known.clock(due[0]), "step": "issued" if mark is course.issued else "started"}
    return Judged((Finding(due[0], (due[1], course.request_ref), min(ends, default=None), numbers=numbers, permit=permit, requests=((BLOCK, permit),)),))


def judge_blind(known: Known, permit: str) -> Judged:
    """BLIND-ONE: one ticket for fitting and removing a blind."""
    course = known.course(permit)
    if course.request is None or course.type != BLINDING or course.request.blind != "both":
        return NOTHING
    return Judged((Finding(course.request.at, (course.request_ref,), course.over_at, numbers={"permit": permit}, permit=permit, requests=((BLOCK, permit),)),))


def _linked(known: Known, course: Course) -> Iterator[Course]:
    """The permits that this one names as linked, as far as they are known."""
    for other in course.request.linked if course.request else ():
        if other in known.site.works and (found := known.course(other)).request is not None:
            yield found


def _gone(course: Course, at: int) -> bool:
    """Had a permit been called off by then?"""
    return course.cancelled is not None and course.cancelled <= at


def missing_links(known: Known, course: Course, at: int) -> list[str]:
    """The types of special work that the job needs and of which no linked ticket had been asked for by then."""
    have = _linked_since(known, course, at)
    return [t for t in (course.request.needs if course.request else ()) if have.get(family(t), at + 1) > at]


def _linked_since(known: Known, course: Course, at: int) -> dict[str, int]:
    """Family of work → when its linked ticket was asked for, of those not called off by then."""
    return {family(c.type): c.request.at for c in _linked(known, course) if c.request and not _gone(c, at)}


def unrelated(known: Known, course: Course, at: int) -> Course | None:
    """An earlier ticket of the same job that this one does not name, nor it this one."""
    if course.request is None or not course.request.job:
        return None
    for other in sorted(known.site.works):
        theirs = known.course(other) if other != course.permit else None
        if theirs is None or theirs.request is None or theirs.request.job != course.request.job or _gone(theirs, at) or theirs.request.at > at:
            continue
        if other not in course.request.linked and course.permit not in theirs.request.linked and (theirs.request.at, other) < (course.request.at, course.permit):
            return theirs
    return None


def judge_links(known: Known, permit: str) -> Judged:
    """LINK-MISS: the job needs another special work, and no linked ticket of that type exists when this one is signed off."""
    course = known.course(permit)
    due = _reference(course)
    if course.request is None or due is None or not course.request.needs:
        return NOTHING
    have = _linked_since(known, course, due[0])
    missing = missing_links(known, course, due[0])
    if not missing:
        return NOTHING
    later = [have[family(t)] for t in missing if family(t) in have]
    end = max(later) if len(later) == len(missing) else course.over_at
    numbers = {"permit": permit, "types": ", ".join(missing)}
    return Judged((Finding(due[0], (due[1], course.request_ref), end, numbers=numbers, permit=permit, requests=((BLOCK, permit),)),))


def judge_unrelated(known: Known, permit: str) -> Judged:
    """LINK-UNREL: two tickets of one job do not name each other."""
    course = known.course(permit)
    due = _reference(course)
    theirs = unrelated(known, course, due[0]) if due else None
    if due is None or theirs is None or course.request is None:
        return NOTHING
    numbers = {"permit": permit, "other": theirs.permit, "job": course.request.job}
    return Judged((Finding(due[0], (course.request_ref, theirs.request_ref), course.over_at, numbers=numbers, permit=permit, requests=((BLOCK, permit),)),))


def needed_devices(type: str) -> tuple[str, ...]:
    """What must be bound to the work point for a type of work: fields of a point."""
    return NEEDED.get(type, ("cameras", "detectors") if type in HOT else (("cameras",) if type in HEIGHT else ()))


def judge_bound(known: Known, permit: str) -> Judged:
    """X-BIND: nothing of the kind that the type of work needs is bound to the work point."""
    course = known.course(permit)
    due = _reference(course)
    if due is None or course.request is None or course.point is None:
        return NOTHING
    missing = [kind for kind in needed_devices(course.type) if not getattr(course.point, kind)]
    if not missing:
        return NOTHING
    numbers = {"permit": permit, "point": course.point_id, "kinds": ", ".join(missing)}
    return Judged((Finding(due[0], (due[1], course.request_ref), course.over_at, numbers=numbers, permit=permit, requests=((BLOCK, permit),)),))


def judge_forbidden(known: Known, permit: str) -> Judged:
    """X-FORBID: this type of work may not be done at this point."""
    course = known.course(permit)
    if course.request is None or course.point is None or not {course.type, course.family} & set(course.point.forbidden):
        return NOTHING
    numbers = {"permit": permit, "point": course.point_id, "type": course.type}
    return Judged((Finding(course.request.at, (course.request_ref,), course.over_at, numbers=numbers, permit=permit, requests=((BLOCK, permit),)),))


def judge_paper(known: Known, permit: str) -> Judged:
    """X-PAPER-LATE: a paper permit was closed and no scan of it came within a day."""
    course = known.course(permit)
    if course.request is None or course.request.channel != "paper" or course.accepted is None:
        return NOTHING
    due = course.accepted.at + known.terms_now().ms["paper_scan"]
    scanned = min((f.event.at for f in known.work(permit).clips if isinstance(f.event, Clip) and f.event.medium == "document"), default=None)
    if scanned is not None and scanned <= due:
        return NOTHING
    if known.now <= due:
        return Judged(wake=due + 1)
    numbers = {"permit": permit, "closed": known.clock(course.accepted.at), "hours": f"{known.terms_now().ms['paper_scan'] / HOUR:g}"}
    return Judged((Finding(due, (course.request_ref, *known.refs(permit, "accepted")), scanned, numbers=numbers, permit=permit),))


RULES = (
    Rule("JSA-NONE", "permit", 2, STEPS, partial(_missing, "jsa"), "5.4.5; AQ 3064.2 A.4 80", AQ, "A", "80", ("R-PREP",)),
    Rule("MEAS-NONE", "permit", 2, STEPS, partial(_missing, "measures"), "5.4.5; AQ 3064.2 A.4 90", AQ, "A", "90", ("R-PREP",)),
    Rule("BRIEF-NONE", "permit", 2, STEPS, partial(_missing, "briefed"), "A.4 70", AQ, "A", "70", ("R-PREP",)),
    Rule("BLIND-ONE", "permit", 2, CAUSES, judge_blind, "7.11; AQ 3064.2 5.4.4", GB, "A", "20", ("R-BLIND",)),
    Rule("LINK-MISS", "permit", 2, CAUSES | {"asked"}, judge_links, "4.6; AQ 3064.2 A.4 61", GB, "A", "61", ("R-LINK",), others=True),
    Rule("LINK-UNREL", "permit", 2, CAUSES | {"asked"}, judge_unrelated, "4.6; AQ 3064.2 A.4 62", GB, "A", "62", ("R-LINK",), others=True),
    Rule("X-BIND", "permit", 2, CAUSES, judge_bound, "5.10.5", AQ, "A", "", ("R-BIND",)),
    Rule("X-FORBID", "permit", 1, CAUSES, judge_forbidden, "rule of the site", OURS, "C", "", ("S46",)),
    Rule("X-PAPER-LATE", "permit", 4, CAUSES | {"evidence"}, judge_paper, "rule of the site", OURS, "C", "", ("S57",), takes=("paper_scan",)),
)
