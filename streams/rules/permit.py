"""The permit itself: was there one, in the right order, within its validity, unchanged, and closed in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from streams.course import Course, Pause
from streams.events import Any_, Requested, Step
from streams.rules.gas import GB, SUSPEND, passed, tested
from streams.rules.limits import HOT, TYPES, VALID
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, minutes, united
from streams.rules.sights import Sight, after, sights_at, sure_sights
from streams.times import EVER, HOUR, MINUTE, SECOND, Stamp, Truth, agreed, before, exactly, no_later, some
from streams.work import Fact, said_after

CAUSES: frozenset[Cause] = frozenset({"permit", "seen", "clock"})
OURS = "PermitWatch"


def approved_first(course: Course) -> Truth:
    """T1: was the last analysis at the final approval a passed one? Where it is not sure which approval that is: at every one that may be."""
    start = course.started
    surely = start is not None and _approved(course) is Truth.TRUE
    return agreed(tested(course, no_later(at, start.hi) if surely and start else at) for at in course.approvals)


def _approved(course: Course) -> Truth:
    """Was there an approval by the start of its work?"""
    start = course.started
    return some(before(at, start) for at in course.approvals) if start else Truth.FALSE


def allowed(course: Course) -> Truth:
    """T3: was it approved by the start of its work, and did none begin after it was sent back, called off or over?"""
    return Truth.FALSE if course.strays else _approved(course)


def judge_t1(known: Known, permit: str) -> Judged:
    """X-T1: approved before the gas test."""
    course = known.course(permit)
    if not course.needs_gas or course.issued is None or not passed(course) or approved_first(course) is not Truth.FALSE:
        return NOTHING
    first = min(passed(course), key=lambda a: a.at.at)
    if before(first.done, course.issued) is Truth.TRUE:
        return NOTHING
    numbers = {"permit": permit, "issued": known.clock(course.issued.at), "sampled": known.clock(first.at.at)}
    return Judged((Finding(course.issued.at, (course.issued_ref, first.ref), work_over(course), numbers=numbers, permit=permit),))


def work_over(course: Course) -> int | None:
    """When a permit's work was over for good."""
    ends = [m for m in (course.finished.at if course.finished else None, course.over_at) if m is not None]
    return min(ends, default=None)


def judge_t3(known: Known, permit: str) -> Judged:
    """X-T3: work before the final approval (while there is none, work without a ticket in the sense of AQ 60); a start after it was sent back; work surely seen in a pause."""
    course = known.course(permit)
    if course.request is None:
        return NOTHING
    found = [*_early(known, course), *_sent_back(known, course), *_in_pauses(known, course)]
    return Judged(tuple(sorted(found, key=lambda f: f.start)), known.now + 30 * SECOND if any(f.end is None and f.variant == "pause" for f in found) else None)


def _early(known: Known, course: Course) -> Iterator[Finding]:
    if course.started is None or _exonerated(known, course, course.started) is not Truth.FALSE:
        return
    issued = course.issued
    came = None if issued is None else issued.hi if issued in _ahead(known, course) else issued.at
    numbers = {"permit": course.permit, "start": known.clock(course.started.at), "issued": known.clock(came)}
    end = came if came is not None else work_over(course)
    evidence = tuple(r for r in (course.started_ref, course.request_ref, course.issued_ref) if r)
    yield Finding(course.started.at, evidence, end, numbers=numbers, permit=course.permit,
                  variant="late" if course.issued else "", aq="" if course.issued else "60", requests=((SUSPEND, course.permit),))  # fmt: skip


def _ahead(known: Known, course: Course) -> set[Stamp]:
    """The approvals of a permit that came from the future."""
    return {known.site.stamp(f) for f in known.work(course.permit).all("issued") if f.ahead}


def _exonerated(known: Known, course: Course, start: Stamp) -> Truth:
    """Was it approved by its start? What is from the future approves nothing before all of its time is past (`domain.md` 4.5)."""
    ahead = _ahead(known, course)
    return some(before(Stamp(at.hi, 0, 0, at.source, at.seq) if at in ahead else at, start) for at in course.approvals)


def _sent_back(known: Known, course: Course) -> Iterator[Finding]:
    if course.forced is not None:
        numbers = {"permit": course.permit, "start": known.clock(course.forced.at.at)}
        yield Finding(course.forced.at.at, (course.forced.ref, course.request_ref), work_over(course), numbers=numbers, permit=course.permit, variant="suspended", requests=((SUSPEND, course.permit),))
    for stray in course.strays:
        if stray.after == "rejected":
            numbers = {"permit": course.permit, "start": known.clock(stray.at.at), "issued": "—"}
            yield Finding(stray.at.at, (stray.ref, course.request_ref), course.put_down(stray.at.at), numbers=numbers, permit=course.permit, variant="rejected", aq="60", requests=((SUSPEND, course.permit),))


def _in_pauses(known: Known, course: Course) -> Iterator[Finding]:
    """Work surely seen in a pause; taken back if it is resumed in a quarter of an hour and inside the validity."""
    for pause in course.pauses:
        yield from united(_in_pause(known, course, pause))


def _in_pause(known: Known, course: Course, pause: Pause) -> Iterator[Finding]:
    for sight in sure_sights(known, course):
        since = worked_on(known, course, sight, pause.since.hi)
        if since is None or any(_at_it(other, since) for other in known.at(course.point_id) if other.permit != course.permit) or (pause.until is not None and since >= pause.until.lo) or _taken_up(known, course, since, pause.until.at if pause.until else None):
            continue
        over = sight.joins < known.now or (pause.until is not None and sight.last > pause.until.at)
        numbers = {"permit": course.permit, "start": known.clock(since), "camera": sight.camera, "since": known.clock(pause.since.at)}
        yield Finding(since, (sight.ref, pause.ref), min(sight.last, pause.until.at if pause.until else sight.last) if over else None, numbers=numbers, permit=course.permit,
                      variant="finished" if pause.finish else "pause", requests=((SUSPEND, course.permit),))  # fmt: skip


def _at_it(course: Course, at: int) -> bool:
    """Was work under another hot work permit under way at a moment? Then the sight is of that."""
    return course.type in HOT and any(a <= at <= b for a, b in course.working(at + 1))


def worked_on(known: Known, course: Course, sight: Sight, step: int) -> int | None:
    """From when a sight surely shows work after a step (ms), or None."""
    return after(sight, step, known.terms_of(course).ms["tools_down"], known.terms_at(sight.first).ms["sight_sure"])


def _taken_up(known: Known, course: Course, seen: int, started: int | None) -> bool:
    """Was work that was seen declared soon, inside the validity?"""
    return started is not None and started - seen <= known.terms_of(course).ms["start_told"] and course.valid_to is not None and seen <= course.valid_to


def valid_until(known: Known, course: Course) -> int | None:
    """The end of validity: as declared, but no longer than its type may be valid (GB 30871-2022 5.1.5, 6.10, 8.2.11, 10.8)."""
    if course.request is None:
        return None
    longest = VALID.get(course.type)
    declared = course.valid_to or 0
    return declared if longest is None else min(declared, course.request.valid_from + known.terms_of(course).ms[longest])


def judge_over(known: Known, permit: str) -> Judged:
    """TICKET-OVER: work goes on after the end of validity, or the permit was extended (GB knows no extension: 4.16)."""
    course, until = known.course(permit), valid_until(known, known.course(permit))
    if until is None or course.started is None:
        return NOTHING
    end = course.finished or course.accepted or (exactly(course.cancelled) if course.cancelled is not None else None)
    extended = known.work(permit).first("extended")
    if extended is not None:
        since = known.site.stamp(extended).at
        numbers = {"permit": permit, "valid_to": known.clock(until), "at": known.clock(since)}
        return Judged((Finding(since, (extended.ref, course.request_ref), end.at if end else None, numbers=numbers, permit=permit,
                               variant="extended", requests=(("permit.lock", permit),)),))  # fmt: skip
    if end is None and known.now <= until:
        return Judged(wake=until + 1)
    if end is not None and before(end, exactly(until)) is not Truth.FALSE:
        return NOTHING
    numbers = {"permit": permit, "valid_to": known.clock(until)}
    return Judged((Finding(max(until, course.started.at), (course.request_ref, course.started_ref), end.at if end else None, numbers=numbers, permit=permit,
                           requests=(("permit.lock", permit),)),))  # fmt: skip


def judge_near(known: Known, permit: str) -> Judged:
    """X-NEAR-EXP: work goes on shortly before the end of validity."""
    course, until = known.course(permit), valid_until(known, known.course(permit))
    if until is None or course.started is None:
        return NOTHING
    start, end = until - known.terms_now().ms["near_expiry"], work_over(course)
    if (end is not None and end <= start) or course.started.at > start:
        return NOTHING
    if known.now < start:
        return Judged(wake=start)
    numbers = {"permit": permit, "valid_to": known.clock(until), "left": minutes(until - start)}
    ended = min(until, end) if end is not None else (until if known.now >= until else None)
    return Judged((Finding(start, (course.request_ref, course.started_ref), ended, numbers=numbers, permit=permit),), None if ended else until)


def judge_close(known: Known, permit: str) -> Judged:
    """X-CLOSE-LATE: finished (or past its validity) for hours and still not accepted. It counts from the last finish if the validity ends on that day (unless that came when it was late already), else from the end of validity."""
    course = known.course(permit)
    if course.valid_to is None or course.started is None:
        return NOTHING
    ended = course.finished.at if course.finished else None
    same = ended is not None and known.day(ended) == known.day(course.valid_to) and ended <= course.valid_to + known.terms_now().ms["close_late"]
    since = ended if ended is not None and same else course.valid_to
    due = since + known.terms_now().ms["close_late"]
    closed = course.over_at
    if (closed if closed is not None else known.now) <= due:
        return NOTHING if closed is not None else Judged(wake=due + 1)
    numbers = {"permit": permit, "since": known.clock(since), "hours": f"{known.terms_now().ms['close_late'] / HOUR:g}"}
    return Judged((Finding(due, (course.request_ref, course.started_ref), closed, numbers=numbers, permit=permit, variant="" if ended is not None else "open"),))


def judge_none(known: Known, point: str) -> Judged:
    """TICKET-NONE: a camera surely sees work at a point where no permit for such work was even asked for."""
    found, courses = [], known.at(point)
    for sight in sights_at(known, point):
        if any(_claims(course, sight.first) for course in courses):
            continue
        over = sight.joins < known.now
        numbers = {"point": point, "camera": sight.camera, "since": known.clock(sight.first)}
        found.append(Finding(sight.first, (sight.ref,), sight.last if over else None, numbers=numbers, point=point, requests=(("siren.on", point),)))
    open_ = any(f.end is None for f in found)
    return Judged(tuple(sorted(found, key=lambda f: f.start)), known.now + 30 * SECOND if open_ else None)


def _claims(course: Course, at: int) -> bool:
    """May work seen at a moment belong to this permit: hot work, asked for, from an hour before its validity on? What came after its end is told of the permit itself."""
    if course.request is None or course.type not in HOT:
        return False
    if course.started is None and course.cancelled is not None and course.cancelled <= at:
        return any(s.at.at - MINUTE <= at <= s.at.at + LATER for s in course.strays)
    end = max(course.valid_to or 0, course.over_by(EVER) if course.over_at is None and course.finished is None else 0, (work_over(course) or 0) + LATER)
    return course.request.valid_from - HOUR <= at <= end


ENDS = ("finished", "accepted", "cancelled")
"""The steps by which a permit's work is over."""
LATER = 12 * HOUR
"""How long after its end work at a point is still told of the permit that ended."""


def judge_without(known: Known, permit: str) -> Judged:
    """TICKET-NONE of a permit: a start after it was called off or accepted, or under a number that nobody asked for; work surely seen after its end."""
    course = known.course(permit)
    if course.request is None:
        return _unasked(known, course)
    found = [_stray(known, course, s.at.at, s.ref, s.after) for s in course.strays if s.after != "rejected"]
    over = course.gone_as == "cancelled" or course.finished is not None or course.accepted is not None
    ends = ((course.cancelled if course.gone_as == "cancelled" else None, "cancelled"), (course.finished.hi if course.finished else None, "finished"), (course.accepted.hi if course.accepted else None, "accepted"))
    end = min(((at, how) for at, how in ends if at is not None), default=None)
    if over and end is not None and course.started is not None:
        found += united(_seen_after(known, course, *end))
    live = any(f.end is None and f.variant == "seen" for f in found)
    return Judged(tuple(sorted(found, key=lambda f: f.start)), known.now + 30 * SECOND if live else None)


def _unasked(known: Known, course: Course) -> Judged:
    if course.declared_start is None:
        return NOTHING
    numbers = {"permit": course.permit, "point": "—", "since": known.clock(course.declared_start.at)}
    return Judged((Finding(course.declared_start.at, (course.started_ref,), work_over(course), numbers=numbers, permit=course.permit, variant="unasked", requests=((SUSPEND, course.permit),)),))


def _stray(known: Known, course: Course, at: int, ref: str, after: str) -> Finding:
    numbers = {"permit": course.permit, "point": course.point_id, "since": known.clock(at), "how": "expired" if after == "finished" else after}
    requests = (("siren.on", course.point_id), (SUSPEND, course.permit))
    return Finding(at, (ref, course.request_ref, *known.refs(course.permit, *ENDS)), course.put_down(at), numbers=numbers, permit=course.permit, variant="over", requests=requests)


def _seen_after(known: Known, course: Course, end: int, how: str) -> Iterator[Finding]:
    """Work surely seen at the point after the end of a permit's work, as long as no other permit there allows it."""
    for sight in sure_sights(known, course):
        since = worked_on(known, course, sight, end)
        if since is None or since > end + LATER or any(_goes_on(other, since) for other in known.at(course.point_id) if other.permit != course.permit):
            continue
        numbers = {"permit": course.permit, "point": course.point_id, "camera": sight.camera, "since": known.clock(since), "over": known.clock(end), "how": how}
        yield Finding(since, (sight.ref, course.request_ref, *known.refs(course.permit, *ENDS)), sight.last if sight.joins < known.now else None, numbers=numbers, permit=course.permit,
                      variant="seen", requests=(("siren.on", course.point_id),))  # fmt: skip


def _goes_on(course: Course, at: int) -> bool:
    """Is hot work under this permit allowed, or waited for, at a moment?"""
    ended = work_over(course)
    return course.request is not None and course.type in HOT and course.request.valid_from - HOUR <= at <= (course.valid_to or 0) and (ended is None or at < ended)


def judge_change(known: Known, permit: str) -> Judged:
    """X-CHG: content, scope or place changed asks for a new permit; any other change for approvals newer than itself before work goes on."""
    course, work = known.course(permit), known.work(permit)
    found, approvals = list(_revisions(known, course)), sorted(known.site.stamp(f).at for f in work.all("issued"))
    for fact in work.all("changed"):
        change = fact.event
        if not isinstance(change, Step):
            continue
        at = known.site.stamp(fact).at
        again = next((m for m in approvals if m > at), None)
        new = change.what in ("content", "scope", "place")
        start = _resting(course, at) if new else _worked_from(course, at)
        end = work_over(course) if new else min((m for m in (again, work_over(course)) if m is not None), default=None)
        if start is not None and (end is None or end > start):
            found.append(_changed(known, course, start, end, change.what or "—", change.note or "—", at, fact.ref, new))
    return Judged(tuple(sorted(found, key=lambda f: (f.start, f.variant, f.evidence))))


def _resting(course: Course, at: int) -> int | None:
    """From when what was changed matters: at once, or if the permit was suspended then, when it was resumed."""
    pause = next((p for p in course.pauses if p.since.at <= at and (p.until is None or at < p.until.at)), None)
    return at if pause is None else pause.until.at if pause.until else None


def _worked_from(course: Course, at: int) -> int | None:
    """From when on work went on after a change, or None."""
    if course.started is None or (course.finished and course.finished.at <= at):
        return None
    return _resting(course, max(at, course.started.at))


def _changed(known: Known, course: Course, start: int, end: int | None, what: str, note: str, at: int, ref: str, new: bool) -> Finding:
    numbers = {"permit": course.permit, "what": what, "at": known.clock(at), "note": note}
    return Finding(start, (ref, course.request_ref), end, numbers=numbers, permit=course.permit, variant="new" if new else "", requests=((SUSPEND, course.permit),))


def _revisions(known: Known, course: Course) -> Iterator[Finding]:
    """What requests that were said again after an approval say otherwise than what was approved, until they say so no more, or it is approved: another type or place of work, a longer validity."""
    work, over = known.work(course.permit), work_over(course)
    asked = [f for f in work.all("permit.requested") if isinstance(f.event, Requested) and f.ref not in work.carried]
    said = work.all("issued")
    for issued, following in zip(said, (*said[1:], None), strict=False):
        until = known.site.stamp(following).at if following else over
        approved = [f for f in asked if not said_after(known.site, f, issued)]
        later = [f for f in asked if said_after(known.site, f, issued) and (until is None or known.site.stamp(f).at < until)]
        for what, differs in DIFFERS.items() if approved else ():
            since: Fact | None = None
            for fact in (*later, None):
                if fact is not None and differs(approved[-1].event, fact.event):
                    since = since or fact
                elif since is not None:
                    start, end = known.site.stamp(since).at, known.site.stamp(fact).at if fact else until
                    yield _changed(known, course, start, end, what, _note(known, approved[-1].event, since.event), start, since.ref, what != "time")
                    since = None


def _longer(was: Any_, now: Any_) -> bool:
    """A validity longer by more than a minute."""
    return isinstance(was, Requested) and isinstance(now, Requested) and (now.valid_to > was.valid_to + MINUTE > MINUTE or 0 < now.valid_from < was.valid_from - MINUTE)


DIFFERS: dict[str, Callable[[Any_, Any_], bool]] = {
    "scope": lambda was, now: was.type != now.type, "place": lambda was, now: was.point != now.point, "time": _longer,  # type: ignore[union-attr]
}


def _note(known: Known, was: Any_, now: Any_) -> str:
    assert isinstance(was, Requested) and isinstance(now, Requested)
    if (was.type, was.point) != (now.type, now.point):
        return f"{was.type} → {now.type}" if was.point == now.point else f"{was.point} → {now.point}" if was.type == now.type else f"{was.type}, {was.point} → {now.type}, {now.point}"
    return f"{known.clock(was.valid_from)}–{known.clock(was.valid_to)} → {known.clock(now.valid_from)}–{known.clock(now.valid_to)}"


def judge_reassess(known: Known, permit: str) -> Judged:
    """X-REASSESS: the place changed and the risk was not assessed again."""
    course, work = known.course(permit), known.work(permit)
    found = []
    for fact in work.all("changed"):
        if isinstance(fact.event, Step) and fact.event.what == "place":
            at = known.site.stamp(fact).at
            again = min((m for f in work.all("jsa") if (m := known.site.stamp(f).at) >= at), default=None)
            end = min((m for m in (again, course.over_at) if m is not None), default=None)
            if end is None or end > at:
                found.append(Finding(at, (fact.ref,), end, numbers={"permit": permit, "at": known.clock(at)}, permit=permit))
    return Judged(tuple(found))


def type_name(code: str, lang: str) -> str:
    """A permit type in words."""
    zh, en = TYPES.get(code, (code, code))
    return zh if lang == "zh" else en


RULES = (
    Rule("X-T1", "permit", 2, CAUSES | {"device", "tested"}, judge_t1, "5.3.1 c); AQ 3064.2 5.4.3", GB, "A", "", ("T1",)),
    Rule("X-T3", "permit", 2, CAUSES, judge_t3, "4.11; AQ 3064.2 A.4 60", GB, "A", "", ("S06",), takes=("sight_sure", "start_told", "tools_down"), others=True),
    Rule("TICKET-NONE", "point", 1, frozenset({"seen", "permit", "clock"}), judge_none, "4.4; AQ 3064.2 A.4 60", GB, "B", "60", ("S06",), apart=("camera",), takes=("sight_sure", "tools_down")),
    Rule("TICKET-NONE", "permit", 1, CAUSES, judge_without, "4.4, 4.16; AQ 3064.2 A.4 60", GB, "B", "60", ("N07",), apart=("camera",), takes=("sight_sure", "tools_down"), others=True),
    Rule("TICKET-OVER", "permit", 2, CAUSES, judge_over, "4.16, 5.1.5; AQ 3064.2 5.9.5", GB, "A", "10", ("S50", "S53"), takes=("valid_confined", "valid_first", "valid_height", "valid_power", "valid_second", "valid_special",)),
    Rule("X-NEAR-EXP", "permit", 4, CAUSES, judge_near, "practice", OURS, "C", "", ("S53",), takes=("near_expiry", "valid_confined", "valid_first", "valid_height", "valid_power", "valid_second", "valid_special",)),
    Rule("X-CLOSE-LATE", "permit", 3, CAUSES, judge_close, "hours: our figure", OURS, "C", "", ("S53",), takes=("close_late",)),
    Rule("X-CHG", "permit", 2, CAUSES, judge_change, "4.16, 4.17", GB, "A", "", ("R-CHG",), apart=("what", "at")),
    Rule("X-REASSESS", "permit", 3, CAUSES | {"prepared"}, judge_reassess, "4.17", GB, "A", "", ("R-CHG",), apart=("at",)),
)
