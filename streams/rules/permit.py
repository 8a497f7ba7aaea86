"""The permit itself: was there one, in the right order, within its validity, unchanged, and closed in time."""

from __future__ import annotations

from streams.course import Course
from streams.events import Step
from streams.rules.gas import GB, SUSPEND, tested, valid_tests
from streams.rules.limits import HOT, TYPES, VALID
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, minutes
from streams.times import HOUR, SECOND, Truth, before, exactly

CAUSES: frozenset[Cause] = frozenset({"permit", "seen", "clock"})
OURS = "PermitWatch"


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
    return Judged((Finding(course.issued.at, (course.issued_ref, first.ref), work_over(course), numbers=numbers, permit=permit, point=course.point_id),))


def work_over(course: Course) -> int | None:
    """When a permit's work was over for good."""
    ends = [m for m in (course.finished.at if course.finished else None, course.over_at) if m is not None]
    return min(ends, default=None)


def judge_t3(known: Known, permit: str) -> Judged:
    """X-T3: work before the final approval; while there is none, it is work without a ticket in the sense of AQ 60."""
    course = known.course(permit)
    if course.started is None or course.request is None:
        return NOTHING
    if course.issued and before(course.issued, course.started) is not Truth.FALSE:
        return NOTHING
    numbers = {"permit": permit, "start": known.clock(course.started.at), "issued": known.clock(course.issued.at if course.issued else None)}
    end = course.issued.at if course.issued else work_over(course)
    evidence = tuple(r for r in (course.started_ref, course.request_ref, course.issued_ref) if r)
    return Judged((Finding(course.started.at, evidence, end, numbers=numbers, permit=permit, point=course.point_id,
                           variant="late" if course.issued else "", aq="" if course.issued else "60", requests=((SUSPEND, permit),)),))  # fmt: skip


def valid_until(known: Known, course: Course) -> int | None:
    """The end of validity: as declared, but no longer than its type may be valid (GB 30871-2022 5.1.5, 6.10, 8.2.11, 10.8)."""
    if course.request is None:
        return None
    longest = VALID.get(course.type)
    return course.request.valid_to if longest is None else min(course.request.valid_to, course.request.valid_from + known.terms().ms[longest])


def judge_over(known: Known, permit: str) -> Judged:
    """TICKET-OVER: work goes on after the end of validity, or the permit was extended (GB knows no extension: 4.16)."""
    course, until = known.course(permit), valid_until(known, known.course(permit))
    if until is None or course.started is None:
        return NOTHING
    end = course.finished or course.accepted or (exactly(course.cancelled) if course.cancelled is not None else None)
    extended = known.work(permit).first("extended")
    if extended is not None:
        numbers = {"permit": permit, "valid_to": known.clock(until), "at": known.clock(extended.event.at)}
        return Judged((Finding(extended.event.at, (extended.ref, course.request_ref), end.at if end else None, numbers=numbers, permit=permit,
                               point=course.point_id, variant="extended", requests=(("permit.lock", permit),)),))  # fmt: skip
    if end is None and known.now <= until:
        return Judged(wake=until + 1)
    if end is not None and before(end, exactly(until)) is not Truth.FALSE:
        return NOTHING
    numbers = {"permit": permit, "valid_to": known.clock(until)}
    return Judged((Finding(until, (course.request_ref, course.started_ref), end.at if end else None, numbers=numbers, permit=permit,
                           point=course.point_id, requests=(("permit.lock", permit),)),))  # fmt: skip


def judge_near(known: Known, permit: str) -> Judged:
    """X-NEAR-EXP: work goes on shortly before the end of validity."""
    course, until = known.course(permit), valid_until(known, known.course(permit))
    if until is None or course.started is None:
        return NOTHING
    start, end = until - known.terms().ms["near_expiry"], work_over(course)
    if (end is not None and end <= start) or course.started.at > start:
        return NOTHING
    if known.now < start:
        return Judged(wake=start)
    numbers = {"permit": permit, "valid_to": known.clock(until), "left": minutes(until - start)}
    ended = min(until, end) if end is not None else (until if known.now >= until else None)
    return Judged((Finding(start, (course.request_ref, course.started_ref), ended, numbers=numbers, permit=permit, point=course.point_id),), None if ended else until)


def judge_close(known: Known, permit: str) -> Judged:
    """X-CLOSE-LATE: finished (or past its validity) for hours and still not accepted."""
    course = known.course(permit)
    if course.valid_to is None or course.started is None:
        return NOTHING
    since = min(course.finished.at if course.finished else course.valid_to, course.valid_to)
    due = since + known.terms().ms["close_late"]
    closed = course.over_at
    if (closed if closed is not None else known.now) <= due:
        return NOTHING if closed is not None else Judged(wake=due + 1)
    numbers = {"permit": permit, "since": known.clock(since), "hours": f"{known.terms().ms['close_late'] / HOUR:g}"}
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
    if course.request is None or course.type not in HOT or (course.cancelled is not None and course.cancelled <= at):
        return False
    end = course.accepted.at if course.accepted else max(course.request.valid_to, course.over_by(1 << 62) if not course.finished else 0)
    return course.request.valid_from - HOUR <= at <= end


def judge_change(known: Known, permit: str) -> Judged:
    """X-CHG: content, scope or place changed asks for a new permit; any other change for approvals newer than itself before work goes on."""
    course, work = known.course(permit), known.work(permit)
    found = []
    for fact in work.all("changed"):
        change = fact.event
        if not isinstance(change, Step):
            continue
        at = known.site.stamp(fact).at
        again = next((f.event.at for f in work.all("issued") if f.event.at > at), None)
        new = change.what in ("content", "scope", "place")
        start = at if new else max(at, course.started.at) if course.started and not (course.finished and course.finished.at <= at) else None
        end = work_over(course) if new else min((m for m in (again, work_over(course)) if m is not None), default=None)
        if start is not None and (end is None or end > start):
            numbers = {"permit": permit, "what": change.what or "—", "at": known.clock(at), "note": change.note or "—"}
            found.append(Finding(start, (fact.ref, course.request_ref), end, numbers=numbers, permit=permit, point=course.point_id,
                                 variant="new" if new else "", requests=((SUSPEND, permit),)))  # fmt: skip
    return Judged(tuple(found))


def judge_reassess(known: Known, permit: str) -> Judged:
    """X-REASSESS: the place changed and the risk was not assessed again."""
    course, work = known.course(permit), known.work(permit)
    found = []
    for fact in work.all("changed"):
        if isinstance(fact.event, Step) and fact.event.what == "place":
            at = known.site.stamp(fact).at
            again = next((f.event.at for f in work.all("jsa") if f.event.at >= at), None)
            end = min((m for m in (again, course.over_at) if m is not None), default=None)
            if end is None or end > at:
                found.append(Finding(at, (fact.ref,), end, numbers={"permit": permit, "at": known.clock(at)}, permit=permit, point=course.point_id))
    return Judged(tuple(found))


def type_name(code: str, lang: str) -> str:
    """A permit type in words."""
    zh, en = TYPES.get(code, (code, code))
    return zh if lang == "zh" else en


RULES = (
    Rule("X-T1", "permit", 2, CAUSES | {"device", "tested"}, judge_t1, "5.3.1 c); AQ 3064.2 5.4.3", GB, "A", "", ("T1",)),
    Rule("X-T3", "permit", 2, CAUSES, judge_t3, "4.11; AQ 3064.2 A.4 60", GB, "A", "", ("S06",)),
    Rule("TICKET-NONE", "point", 1, frozenset({"seen", "permit", "clock"}), judge_none, "4.4; AQ 3064.2 A.4 60", GB, "B", "60", ("S06",)),
    Rule("TICKET-OVER", "permit", 2, CAUSES, judge_over, "4.16, 5.1.5; AQ 3064.2 5.9.5", GB, "A", "10", ("S50", "S53")),
    Rule("X-NEAR-EXP", "permit", 4, CAUSES, judge_near, "practice", OURS, "C", "", ("S53",)),
    Rule("X-CLOSE-LATE", "permit", 3, CAUSES, judge_close, "hours: our figure", OURS, "C", "", ("S53",)),
    Rule("X-CHG", "permit", 2, CAUSES, judge_change, "4.16, 4.17", GB, "A", "", ("R-CHG",)),
    Rule("X-REASSESS", "permit", 3, CAUSES | {"prepared"}, judge_reassess, "4.17", GB, "A", "", ("R-CHG",)),
)
