"""Gas analyses: was it tested, did the last one pass, recently enough, again after a pause, and is it written down in time."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from streams import analyses as sampled
from streams.analyses import Analysis
from streams.course import Course, Pause
from streams.packs import Terms
from streams.rules.limits import CONFINED, RETEST
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, apart, minutes
from streams.rules.sights import Sight, sure_sights
from streams.times import EVER, Stamp, Truth, agreed, before, cases, exactly, some

SUSPEND = "permit.suspend"


def passed(course: Course) -> list[Analysis]:
    """Analyses that passed; one that failed, is incomplete, or holds what nobody can judge does not count."""
    return [a for a in course.analyses if a.passed and not a.open]


def fresh(course: Course, reference: Stamp, terms: Terms) -> Truth:
    """T2: is the last analysis a passed one in [reference − 30 min, reference]?"""
    return sampled.fresh(course.analyses, reference, terms.ms["gas_fresh"])


def tested(course: Course, reference: Stamp) -> Truth:
    """Is the last analysis not after the reference a passed one?"""
    return sampled.tested(course.analyses, reference)


def failed_by(course: Course, at: Stamp) -> Truth:
    """Did an analysis fail by a moment, in the pause or before it? Unknown where one held what nobody can judge."""
    return some(before(m, at) for a in course.analyses for m in a.failures) | (some(before(m, at) for a in course.analyses for m in a.open) & Truth.UNKNOWN)


def retested(course: Course, pause: Pause, terms: Terms) -> Truth:
    """T6: was the pause short and no analysis the last that failed, or is there a passed analysis in [resume − 30 min, resume]?"""
    limit = RETEST.get(course.type)
    if pause.until is None or limit is None:
        return Truth.TRUE
    longest = pause.since.shift(terms.ms[limit])
    return agreed(_taken_up(course, replace(pause, until=until), longest, terms) for until in cases(pause.until, longest.lo, longest.hi))


def _taken_up(course: Course, pause: Pause, longest: Stamp, terms: Terms) -> Truth:
    """Resumed by `longest` and nothing ever failed; or too late, with a fresh analysis; or in time after one that failed, with one that passed since."""
    assert pause.until is not None
    short, failed = before(pause.until, longest), failed_by(course, pause.until)
    return (short & ~failed) | (short & tested(course, pause.until)) | fresh(course, pause.until, terms)


def _mended(course: Course, after: int) -> int | None:
    """When a missing test was made good: the first passed analysis after `after`, or the end of work."""
    later = [a.done.at for a in passed(course) if a.done.at > after]
    if course.finished:
        later.append(course.finished.at)
    return min(later, default=None)


def _references(course: Course) -> Iterator[tuple[Stamp, Stamp, str]]:
    """(moment of the check, what the test must precede, which check): at sign-off with the planned start, and at the start."""
    if course.issued and course.planned and (course.started is None or course.started.at >= course.issued.at):
        yield course.issued, course.planned, "planned"
    if course.started:
        yield course.started, course.started, "actual"


def _untested_at(course: Course) -> tuple[Stamp, str] | None:
    """The first moment at which the work is allowed or begun and the last analysis is surely no passed one; its evidence beside the permit's own."""
    moments = [(m, m, "") for m in (course.issued, course.started) if m]
    if course.issued and (course.started is None or course.started.at > course.issued.at):
        end = course.started.lo if course.started else EVER
        moments += [(a.failed_at, exactly(a.failed_at.hi), a.ref) for a in course.analyses if a.failed_at and course.issued.hi < a.failed_at.at <= end]
    return next(((at, ref) for at, by, ref in sorted(moments, key=lambda m: m[0].at) if tested(course, by) is Truth.FALSE), None)


def judge_none(known: Known, permit: str) -> Judged:
    """GAS-NONE: signed off, waiting to start, or started, and the last analysis is none that passed."""
    course = known.course(permit)
    found = _untested_at(course) if course.needs_gas else None
    if found is None:
        return NOTHING
    first, ref = found
    failed = any(a.failed_at and before(a.failed_at, first) is not Truth.FALSE for a in course.analyses)
    analysed = (a.ref for a in course.analyses if a.at.at <= first.at)
    evidence = tuple(dict.fromkeys(r for r in (course.issued_ref, course.started_ref, ref, *analysed) if r))
    return Judged((Finding(first.at, evidence, _mended(course, first.at), permit=permit,
                           numbers={"permit": permit, "at": known.clock(first.at), "step": "issued" if first is course.issued else "started"}, variant="failed" if failed else "", requests=((SUSPEND, permit),)),))  # fmt: skip


def judge_stale(known: Known, permit: str) -> Judged:
    """GAS-STALE: the last passed analysis is older than 30 min at the (planned, then real) start."""
    course = known.course(permit)
    if not course.needs_gas:
        return NOTHING
    stale = [(at, ref, which) for at, ref, which in _references(course) if tested(course, ref) is not Truth.FALSE and fresh(course, ref, known.terms_of(course)) is Truth.FALSE]
    if not stale:
        return NOTHING
    start, (_, reference, which) = stale[0][0].at, stale[-1]
    last = max((a for a in course.analyses if a.passed and before(a.done, reference) is not Truth.FALSE), key=lambda a: a.at.at)
    numbers = {"permit": permit, "sampled": known.when(last.at), "start": known.clock(reference.at), "age": apart(last.at, reference), "limit": minutes(known.terms_of(course).ms["gas_fresh"])}
    evidence = tuple(r for r in (last.ref, course.issued_ref, course.started_ref) if r)
    end = _mended(course, start)
    return Judged((Finding(start, evidence, end, numbers=numbers, permit=permit, variant=which, requests=((SUSPEND, permit),)),))


# ---- after a pause, on another day ---------------------------------------------------------------------------------------


def slept(known: Known, pause: Pause) -> bool:
    """Is a local midnight inside the pause?"""
    return pause.until is not None and known.local(pause.since.at).date() != known.local(pause.until.at).date()


def tested_today(known: Known, course: Course, at: Stamp) -> Truth:
    """Was there a passed analysis on the local day of a moment, before it?"""
    midnight = Stamp(known.midnight(known.day(at.at)))
    return some(before(midnight, a.at) & before(a.done, at) & (Truth.UNKNOWN if a.open else Truth.TRUE) for a in course.analyses if a.passed)


def judge_interrupt(known: Known, permit: str) -> Judged:
    """GAS-INTERRUPT: resumed without a passed analysis after too long a pause, or after one in which an analysis failed; a new day's missing test is GAS-DAILY's."""
    course = known.course(permit)
    if not course.needs_gas:
        return NOTHING
    found = [
        _resumed(known, course, p) for p in course.pauses
        if p.until and not (slept(known, p) and tested_today(known, course, p.until) is Truth.FALSE) and retested(course, p, known.terms_of(course)) is Truth.FALSE
    ]  # fmt: skip
    return Judged(tuple(found))


def _resumed(known: Known, course: Course, pause: Pause) -> Finding:
    assert pause.until is not None
    numbers = {"permit": course.permit, "pause": minutes(pause.until.at - pause.since.at), "resumed": known.clock(pause.until.at),
               "limit": minutes(known.terms_of(course).ms[RETEST[course.type]])}  # fmt: skip
    failed = failed_by(course, pause.until) is Truth.TRUE and tested(course, pause.until) is Truth.FALSE
    return Finding(pause.until.at, (pause.ref,), _mended(course, pause.until.at), numbers=numbers, permit=course.permit,
                   variant="failed" if failed else "", requests=((SUSPEND, course.permit),))  # fmt: skip


def judge_daily(known: Known, permit: str) -> Judged:
    """GAS-DAILY: work goes on after a pause that contains local midnight, or is surely seen on a new day, without a passed analysis of that day."""
    course = known.course(permit)
    if course.type not in RETEST:
        return NOTHING
    found = [_resumed(known, course, p) for p in course.pauses if p.until and slept(known, p) and tested_today(known, course, p.until) is Truth.FALSE]
    days = {known.day(f.start) for f in found}
    for sight in _first_of_day(known, course):
        if known.day(sight.first) not in days and tested_today(known, course, Stamp(sight.first, sight.u)) is Truth.FALSE:
            days.add(known.day(sight.first))
            numbers = {"permit": permit, "pause": "—", "resumed": known.clock(sight.first), "limit": "—"}
            found.append(Finding(sight.first, (sight.ref,), _mended(course, sight.first), numbers=numbers, permit=permit, variant="seen", requests=((SUSPEND, permit),)))
    return Judged(tuple(sorted(found, key=lambda f: f.start)))


def _first_of_day(known: Known, course: Course) -> Iterator[Sight]:
    """The first sure sight of work on each local day after the start's, more than an hour after the last sign of it."""
    if course.started is None:
        return
    signs = [course.started.at, *(p.until.at for p in course.pauses if p.until)]
    working = list(course.working(max(known.now, course.started.at + 1)))
    for sight in (s for s in sure_sights(known, course) if any(a <= s.first <= b for a, b in working)):
        last = max((s for s in signs if s <= sight.first), default=None)
        if last is not None and known.day(last) != known.day(sight.first) and sight.first - last > known.terms_of(course).ms["idle_daily"]:
            yield sight
        signs.append(sight.last)


# ---- the written record --------------------------------------------------------------------------------------------------


def _worked(course: Course, at: int, every: int) -> int:
    """When so much time (ms) of work has gone by since a moment; what was suspended is none."""
    due = at + every
    for pause in course.pauses:
        until = pause.until.at if pause.until is not None else EVER
        if until > at and pause.since.at < due:
            due += until - max(pause.since.at, at)
    return min(due, EVER)


def record_gaps(course: Course, now: int, every: int) -> Iterator[tuple[Stamp, int | None, str, int]]:
    """(last record, next record or None, evidence, when it was due) wherever a confined space was worked in for two hours without one, for sure."""
    if course.type != CONFINED or course.started is None:
        return
    start = course.started.at
    marks = [(t.at, t.ref) for t in course.tests if t.at.at > start]
    earlier = [t for t in course.tests if t.at.at <= start]
    marks.insert(0, (earlier[-1].at, earlier[-1].ref) if earlier else (course.started, course.started_ref))
    rest = course.pauses[-1].since.at if course.pauses and course.pauses[-1].until is None else None
    closed = course.finished.at if course.finished else course.over_at
    stop = min((m for m in (closed, rest) if m is not None), default=None)
    end = now if stop is None else min(now, stop)
    for (at, ref), after in zip(marks, [*marks[1:], None], strict=True):
        until = min(after[0].lo, end) if after else end
        due = _worked(course, at.hi, every)
        if until > due or (at.grain and until >= due):
            yield at, min((m for m in (after[0].at if after else stop, closed) if m is not None), default=None), ref, due


def judge_record(known: Known, permit: str) -> Judged:
    """GAS-2H: in a confined space a reading is written down every two hours; the continuous stream does not replace it."""
    course = known.course(permit)
    if course.type != CONFINED or course.started is None:
        return NOTHING
    every = known.terms_of(course).ms["record_every"]
    found = tuple(
        Finding(late, (ref,), end, numbers={"permit": permit, "last": known.clock(at.at), "limit": minutes(every)}, permit=permit)
        for at, end, ref, late in record_gaps(course, known.now, every)
    )
    due = _worked(course, max([t.at.hi for t in course.tests], default=course.started.hi), every) + 1
    return Judged(found, None if course.finished or course.over_at is not None or not known.now < due < EVER else due)


GB, AQ = "GB 30871-2022", "AQ 3064.2-2025"
PERMIT: frozenset[Cause] = frozenset({"permit", "tested", "seen", "clock", "device"})
RULES = (
    Rule("GAS-NONE", "permit", 1, PERMIT, judge_none, "5.3.1, 6.3 a); AQ 3064.2 5.4.3", GB, "A", "01", ("S02",), takes=("lel_percent", "lel_vol_high", "lel_vol_low", "oxygen_low", "oxygen_pass",)),
    Rule("GAS-STALE", "permit", 2, PERMIT, judge_stale, "5.3.1 c), 6.3 a); AQ 3064.2 5.4.3", GB, "A", "02", ("S02", "S03", "S04"), takes=("gas_fresh",)),
    Rule("GAS-INTERRUPT", "permit", 2, PERMIT, judge_interrupt, "5.3.1 d), 6.3 f); AQ 3064.2 5.9.1", GB, "A", "03", ("S32", "S33"), takes=("gas_fresh", "retest_confined", "retest_first", "retest_second", "retest_special",)),
    Rule("GAS-DAILY", "permit", 2, PERMIT, judge_daily, "5.3.1 d); AQ 3064.2 5.9.2", GB, "A", "04", ("S34",), takes=("idle_daily", "retest_confined", "retest_first", "retest_second", "retest_special")),
    Rule("GAS-2H", "permit", 3, PERMIT, judge_record, "6.5; AQ 3064.2 5.9.4", GB, "A", "05", ("S30",), takes=("record_every",)),
)
