"""The permit itself: was there one, in the right order, within its validity, and closed in time."""

from __future__ import annotations

from streams.course import Course
from streams.rules.gas import GB, SUSPEND, tested, valid_tests
from streams.rules.limits import HOT, TYPES
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule
from streams.times import HOUR, SECOND, Truth, before, exactly

CAUSES: frozenset[Cause] = frozenset({"permit", "seen", "clock"})


def approved_first(course: Course) -> Truth:
    """T1: was there a valid test at the final approval?"""
    return tested(course, course.issued) if course.issued else Truth.UNKNOWN


def judge_t1(known: Known, permit: str) -> Judged:
    """X-T1: approved before the gas test."""
    course = known.course(permit)
    if not course.needs_gas or course.issued is None or not valid_tests(course) or approved_first(course) is not Truth.FALSE:
        return NOTHING
    first = min(valid_tests(course), key=lambda t: t.at.at)
    numbers = {"permit": permit, "issued": known.clock(course.issued.at), "sampled": known.clock(first.at.at)}
    return Judged((Finding(course.issued.at, (course.issued_ref, first.ref), _over(course), numbers=numbers, permit=permit, point=course.point_id),))


def _over(course: Course) -> int | None:
    """When a permit's work was over for good."""
    ends = [m.at for m in (course.finished, course.accepted) if m]
    return min(ends, default=None)


def judge_t3(known: Known, permit: str) -> Judged:
    """X-T3: work before the final approval; while there is none, it is work without a ticket in the sense of AQ 60."""
    course = known.course(permit)
    if course.started is None or course.request is None:
        return NOTHING
    if course.issued and before(course.issued, course.started) is not Truth.FALSE:
        return NOTHING
    numbers = {"permit": permit, "start": known.clock(course.started.at), "issued": known.clock(course.issued.at if course.issued else None)}
    end = course.issued.at if course.issued else _over(course)
    evidence = tuple(r for r in (course.started_ref, course.request_ref, course.issued_ref) if r)
    return Judged((Finding(course.started.at, evidence, end, numbers=numbers, permit=permit, point=course.point_id,
                           variant="late" if course.issued else "", aq="" if course.issued else "60", requests=((SUSPEND, permit),)),))  # fmt: skip


def judge_over(known: Known, permit: str) -> Judged:
    """TICKET-OVER: work goes on after the end of validity (GB knows no extension: 4.16)."""
    course = known.course(permit)
    if course.valid_to is None or course.started is None or course.ended:
        return NOTHING
    end = course.finished or course.accepted
    if end is None and known.now <= course.valid_to:
        return Judged(wake=course.valid_to + 1)
    if end is not None and before(end, exactly(course.valid_to)) is not Truth.FALSE:
        return NOTHING
    numbers = {"permit": permit, "valid_to": known.clock(course.valid_to)}
    return Judged((Finding(course.valid_to, (course.request_ref, course.started_ref), end.at if end else None, numbers=numbers, permit=permit,
                           point=course.point_id, requests=(("permit.lock", permit),)),))  # fmt: skip






def judge_close(known: Known, permit: str) -> Judged:
    """X-CLOSE-LATE: finished (or past its validity) for hours and still not accepted."""
    course = known.course(permit)
    if course.valid_to is None or course.started is None or course.ended:
        return NOTHING
    since = min(course.finished.at if course.finished else course.valid_to, course.valid_to)
    due = since + known.site.policy.close_late * SECOND
    closed = course.accepted.at if course.accepted else None
    if (closed if closed is not None else known.now) <= due:
        return NOTHING if closed is not None else Judged(wake=due + 1)
    numbers = {"permit": permit, "since": known.clock(since), "hours": f"{known.site.policy.close_late * SECOND / HOUR:g}"}
    return Judged((Finding(due, (course.request_ref, course.started_ref), closed, numbers=numbers, permit=permit, point=course.point_id),))


def judge_none(known: Known, point: str) -> Judged:
    """TICKET-NONE: a camera surely sees work at a point where no permit was even asked for."""
    found = []
    for camera, sightings in sorted(known.site.sightings.get(point, {}).items()):
        offset, _ = known.site.offset(camera)
        for first, last, ref in sightings.sure():
            a, b = first - offset, last - offset
            if any(_claims(course, a) for course in known.at(point)):
                continue
            over = b + sightings.spans.join < known.now
            numbers = {"point": point, "camera": camera, "since": known.clock(a)}
            found.append(Finding(a, (ref,), b if over else None, numbers=numbers, point=point, requests=(("siren.on", point),)))
    open_ = any(f.end is None for f in found)
    return Judged(tuple(sorted(found, key=lambda f: f.start)), known.now + 30 * SECOND if open_ else None)


def _claims(course: Course, at: int) -> bool:
    """May work seen at a moment belong to this permit (asked for, hot work, from an hour before its validity to its end)?"""
    if course.request is None or course.type not in HOT or course.ended:
        return False
    end = course.accepted.at if course.accepted else max(course.request.valid_to, course.over_by(1 << 62) if not course.finished else 0)
    return course.request.valid_from - HOUR <= at <= end


def type_name(code: str, lang: str) -> str:
    """A permit type in words."""
    zh, en = TYPES.get(code, (code, code))
    return zh if lang == "zh" else en


AQ = "AQ 3064.2-2025"
RULES = (
    Rule("X-T1", "permit", 2, CAUSES, judge_t1, "5.3.1 c); AQ 3064.2 5.4.3", GB, "A", "", ("S01",)),
    Rule("X-T3", "permit", 2, CAUSES, judge_t3, "4.11; AQ 3064.2 A.4 60", GB, "A", "", ("S06",)),
    Rule("TICKET-NONE", "point", 1, frozenset({"seen", "permit", "clock"}), judge_none, "4.4; AQ 3064.2 A.4 60", GB, "B", "60", ("S06",)),
    Rule("TICKET-OVER", "permit", 2, CAUSES, judge_over, "4.16, 5.1.5; AQ 3064.2 5.9.5", GB, "A", "10", ("S50", "S53")),
    Rule("X-CLOSE-LATE", "permit", 3, CAUSES, judge_close, "hours: our figure", "PermitWatch", "C", "", ("S53",)),
)
