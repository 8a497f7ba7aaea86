"""Gas: was it tested, recently enough, again after a pause; is it measured now, and is it below its limit."""

from __future__ import annotations

from collections.abc import Iterator

from streams.course import Course, Pause, Test
from streams.events import DeviceSaid
from streams.packs import Terms
from streams.rules.limits import CONFINED, RETEST, limit_of
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, both_of, merge, minutes, wake_at
from streams.times import SECOND, Stamp, Truth, before, some, within
from streams.work import JOIN_OVER, Series, Site

SUSPEND = "permit.suspend"
GASES = frozenset({"combustible", "oxygen", "toxic"})
STORM = 10 * SECOND
"""An incident that grows is told anew at most so often."""


def valid_tests(course: Course) -> list[Test]:
    """Tests that passed; one that cannot be judged does not count."""
    return [t for t in course.tests if t.passed]


def fresh(course: Course, reference: Stamp, terms: Terms) -> Truth:
    """T2: is there a valid test in [reference − 30 min, reference]?"""
    return some(within(t.at, reference, terms.ms["gas_fresh"]) for t in valid_tests(course))


def tested(course: Course, reference: Stamp) -> Truth:
    """Is there a valid test not after the reference?"""
    return some(before(t.at, reference) for t in valid_tests(course))


def retested(course: Course, pause: Pause, terms: Terms) -> Truth:
    """T6: was the pause short, or is there a valid test in [resume − 30 min, resume]?"""
    limit = RETEST.get(course.type)
    if pause.until is None or limit is None:
        return Truth.TRUE
    return within(pause.since, pause.until, terms.ms[limit]) | some(within(t.at, pause.until, terms.ms["gas_fresh"]) for t in valid_tests(course))


def _mended(course: Course, after: int) -> int | None:
    """When a missing test was made good: the first valid test after `after`, or the end of work."""
    later = [t.at.at for t in valid_tests(course) if t.at.at > after]
    if course.finished:
        later.append(course.finished.at)
    return min(later, default=None)


def _references(course: Course) -> Iterator[tuple[Stamp, Stamp, str]]:
    """(moment of the check, what the test must precede, which check): at sign-off with the planned start, and at the start."""
    if course.issued and course.planned and (course.started is None or course.started.at >= course.issued.at):
        yield course.issued, course.planned, "planned"
    if course.started:
        yield course.started, course.started, "actual"


def judge_none(known: Known, permit: str) -> Judged:
    """GAS-NONE: signed off, or started, without any valid analysis."""
    course = known.course(permit)
    moments = [m for m in (course.issued, course.started) if m]
    if not course.needs_gas or not moments:
        return NOTHING
    first = min(moments, key=lambda m: m.at)
    if tested(course, first) is not Truth.FALSE:
        return NOTHING
    evidence = tuple(r for r in (course.issued_ref, course.started_ref) if r)
    return Judged((Finding(first.at, evidence, _mended(course, first.at), permit=permit, point=course.point_id,
                           numbers={"permit": permit, "at": known.clock(first.at)}, requests=((SUSPEND, permit),)),))  # fmt: skip


def judge_stale(known: Known, permit: str) -> Judged:
    """GAS-STALE: the last valid analysis is older than 30 min at the (planned, then real) start."""
    course = known.course(permit)
    if not course.needs_gas:
        return NOTHING
    stale = [(at, ref, which) for at, ref, which in _references(course) if tested(course, ref) is not Truth.FALSE and fresh(course, ref, known.terms(ref.at)) is Truth.FALSE]
    if not stale:
        return NOTHING
    start, (_, reference, which) = stale[0][0].at, stale[-1]
    last = max((t for t in valid_tests(course) if before(t.at, reference) is not Truth.FALSE), key=lambda t: t.at.at)
    numbers = {"permit": permit, "sampled": known.clock(last.at.at), "start": known.clock(reference.at), "age": minutes(reference.at - last.at.at), "limit": minutes(known.terms(reference.at).ms["gas_fresh"])}
    evidence = tuple(r for r in (last.ref, course.issued_ref, course.started_ref) if r)
    end = _mended(course, start)
    return Judged((Finding(start, evidence, end, numbers=numbers, permit=permit, point=course.point_id, variant=which, requests=((SUSPEND, permit),)),))


def _resumed(known: Known, permit: str, overnight: bool) -> Judged:
    course = known.course(permit)
    found = [_untested(known, course, p) for p in course.pauses if p.until and _slept(known, p) == overnight and retested(course, p, known.terms(p.until.at)) is Truth.FALSE]
    return Judged(tuple(found))


def _slept(known: Known, pause: Pause) -> bool:
    """Is a local midnight inside the pause?"""
    return pause.until is not None and known.local(pause.since.at).date() != known.local(pause.until.at).date()


def _untested(known: Known, course: Course, pause: Pause) -> Finding:
    assert pause.until is not None
    numbers = {"permit": course.permit, "pause": minutes(pause.until.at - pause.since.at), "resumed": known.clock(pause.until.at),
               "limit": minutes(known.terms(pause.until.at).ms[RETEST[course.type]])}  # fmt: skip
    return Finding(pause.until.at, (pause.ref,), _mended(course, pause.until.at), numbers=numbers, permit=course.permit, point=course.point_id,
                   requests=((SUSPEND, course.permit),))  # fmt: skip


def judge_interrupt(known: Known, permit: str) -> Judged:
    """GAS-INTERRUPT: resumed after too long a pause without a new analysis."""
    return _resumed(known, permit, overnight=False)


def judge_daily(known: Known, permit: str) -> Judged:
    """GAS-DAILY: resumed on another day without a new analysis."""
    return _resumed(known, permit, overnight=True)


def record_gaps(course: Course, now: int, every: int) -> Iterator[tuple[Stamp, int | None, str]]:
    """(last record, next record or None, evidence) wherever a confined space went two hours without one, for sure."""
    if course.type != CONFINED or course.started is None:
        return
    start = course.started.at
    marks = [(t.at, t.ref) for t in course.tests if t.at.at > start]
    earlier = [t for t in course.tests if t.at.at <= start]
    marks.insert(0, (earlier[-1].at, earlier[-1].ref) if earlier else (course.started, course.started_ref))
    rest = course.pauses[-1].since.at if course.pauses and course.pauses[-1].until is None else None
    stop = min((m for m in (course.finished.at if course.finished else course.over_at, rest) if m is not None), default=None)
    end = now if stop is None else min(now, stop)
    for (at, ref), after in zip(marks, [*marks[1:], None], strict=True):
        until = after[0].lo if after else end
        if until > at.hi + every or (at.grain and until >= at.hi + every):
            yield at, after[0].at if after else stop, ref


def judge_record(known: Known, permit: str) -> Judged:
    """GAS-2H: in a confined space a reading is written down every two hours; the continuous stream does not replace it."""
    course = known.course(permit)
    if course.type != CONFINED or course.started is None:
        return NOTHING
    every = known.terms().ms["record_every"]
    found = tuple(
        Finding(at.hi + every, (ref,), end, numbers={"permit": permit, "last": known.clock(at.at)}, permit=permit, point=course.point_id)
        for at, end, ref in record_gaps(course, known.now, every)
    )
    due = max([t.at.hi for t in course.tests], default=course.started.hi) + every + 1
    return Judged(found, None if course.finished or course.over_at is not None or due <= known.now else due)


# ---- the continuous stream ------------------------------------------------------------------------------------------


def unseen(site: Site, tag: str, start: int, end: int, live: bool = False) -> list[tuple[int, int]]:
    """When a channel gave no good reading within [start, end]: silence of its frames, or readings that were BAD. `live`: what a gateway kept does not count."""
    series = site.series.get(tag)
    if series is None or not series.groups:
        return [(start, end)] if end > start else []
    silent = [list((site.live if live else site.frames)[g].gaps(start, end)) for g in series.groups]
    common = silent[0]
    for other in silent[1:]:
        common = both_of(common, other)
    if not series.bad.over:
        return common
    told = [(a, b if b is not None else site.now) for a, b, *_ in series.bad.intervals(site.now)]
    bad = [(max(a, start), min(b, end)) for a, b in told if b > start and a < end]
    return _beside(common, bad) if bad else common


def _beside(silent: list[tuple[int, int]], bad: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Silences and BAD readings as spans without a good one; two silences that meet have a reading between them, and stay two."""
    out: list[tuple[int, int, bool]] = []
    for a, b, is_bad in sorted([(a, b, False) for a, b in silent] + [(a, b, True) for a, b in bad]):
        if out and (a < out[-1][1] or (a <= out[-1][1] + 1_500 and (is_bad or out[-1][2]))):
            out[-1] = (out[-1][0], max(out[-1][1], b), is_bad or out[-1][2])
        else:
            out.append((a, b, is_bad))
    return [(a, b) for a, b, _ in out if b > a]


def gas_tags(known: Known, course: Course) -> list[str]:
    """The gas channels bound to a permit's work point."""
    channels = known.atlas.channels
    return [tag for tag in course.point.detectors if channels[tag].kind in GASES] if course.point else []


def stream_gaps(known: Known, course: Course) -> list[tuple[int, int, str]]:
    """(from, to, tag) of every hole in the stream of a special or confined job that lasted longer than 60 s of our own sight."""
    limit = known.terms().ms["stream_gap"]
    return [
        (a, b, tag)
        for tag in gas_tags(known, course)
        for start, end in course.working(known.now)
        for a, b in unseen(known.site, tag, start, end)
        if b - a - known.site.dark(a, b) > limit
    ]


def judge_gap(known: Known, permit: str) -> Judged:
    """X-GAS-GAP: a special hot work or a confined space was without a reading for more than 60 s."""
    course = known.course(permit)
    if not course.special or course.started is None:
        return NOTHING
    gaps = stream_gaps(known, course)
    evidence = tuple(r for r in (course.started_ref, course.request_ref) if r)
    found = []
    for a, b in merge([(a, b) for a, b, _ in gaps]):
        tags = sorted({tag for c, d, tag in gaps if c < b and d > a})
        open_ = b >= known.now and course.at_work(known.now)
        numbers = {"permit": permit, "tags": ", ".join(tags), "since": known.clock(a)} | ({} if open_ else {"length": minutes(b - a)})
        found.append(Finding(a, evidence, None if open_ else b, numbers=numbers, permit=permit, point=course.point_id))
    return Judged(tuple(found), _next_gap(known, course) if course.at_work(known.now) else None)


def _next_gap(known: Known, course: Course) -> int | None:
    """When a channel could have been silent for too long; a frame after a silence asks by itself."""
    limit, now = known.terms().ms["stream_gap"], known.now
    start = max((lo for lo, _ in course.working(now)), default=now)
    dues: list[int | None] = []
    for tag in gas_tags(known, course):
        quiet = [now - (b - a - known.site.dark(a, b)) + limit + 1 for a, b in unseen(known.site, tag, start, now) if b >= now]
        dues.append(next((due if due > now else None for due in quiet), now + limit))
    return wake_at(*dues)


def _cleared(known: Known, tags: list[str], last: int) -> int | None:
    """When what was beyond its limit until `last` was seen below it: at once, or after a silence; None as long as that is not known."""
    if last + JOIN_OVER >= known.now:
        return None
    silences = [next((b for a, b in unseen(known.site, tag, last, known.now) if a <= last + JOIN_OVER), last) for tag in tags]
    seen = max(silences, default=last)
    return seen if seen < known.now else None


def _exceeded(known: Known, permit: str, over: bool) -> Judged:
    """X-GAS-LIM and X-GAS-RISE: spans of a bound channel beyond its limit (or half of it) while the work goes on."""
    course = known.course(permit)
    if course.started is None or (course.issued is None and course.declared_start is None):
        return NOTHING
    start, until = course.started.at, course.over_by(1 << 62)
    spans = [s for tag in gas_tags(known, course) for s in _beyond(known, tag, start, until, over)]
    found, wakes = [], []
    for a, b in merge([(s[0], s[1]) for s in spans], JOIN_OVER):
        first = min((s for s in spans if a <= s[0] <= b), key=lambda s: (s[0], s[2]))
        end = _cleared(known, [s[2] for s in spans if s[1] == b], b)
        if end is None and b + JOIN_OVER >= known.now:
            wakes.append(b + JOIN_OVER + SECOND)
        found.append(_limit_finding(known, course, first, a, b if end is None and course.finished else end, over, spans))
    return Judged(tuple(found), wake_at(*wakes) if not course.finished else None)


Beyond = tuple[int, int, str, float, float, str]


def _beyond(known: Known, tag: str, start: int, until: int, over: bool) -> Iterator[Beyond]:
    series: Series | None = known.site.series.get(tag)
    spans = series and (series.over if over else series.near)
    for a, b, head, top, ref in zip(spans.first, spans.last, spans.head, spans.top, spans.ref, strict=True) if spans else ():
        if b >= start and a < until:
            yield max(a, start), b, tag, head, top, ref


def _limit_finding(known: Known, course: Course, first: Beyond, a: int, end: int | None, over: bool, spans: list[Beyond]) -> Finding:
    tag, value = first[2], first[3]
    limit = limit_of(known.atlas.channels[tag], known.terms(a))
    assert limit is not None
    held = limit.high if over and (limit.low is None or value >= (limit.high or 0)) else (limit.low if over else limit.warn)
    numbers = {"permit": course.permit, "tag": tag, "gas": limit.gas, "value": f"{value:g}", "limit": f"{held:.3g}", "unit": limit.unit, "clause": limit.clause}
    if end is not None:
        numbers["top"] = f"{max(s[4] for s in spans if s[0] <= end and s[1] >= a):g}"
    requests = (("siren.on", course.point_id), (SUSPEND, course.permit)) if over else ()
    last = max(s[1] for s in spans if s[2] == tag)
    return Finding(a, (first[5],), end, numbers=numbers, permit=course.permit, point=course.point_id, requests=requests, hold=testing(known, tag, a, last))


def testing(known: Known, tag: str, start: int, last: int) -> str:
    """`bump` or `service` while a device is being tested or is out of service and says so: what it reads then is no gas."""
    mode = ""
    for fact in known.site.devices.get(tag, ()):
        said = fact.event
        if isinstance(said, DeviceSaid) and said.mode and said.at <= start:
            mode = said.mode
        elif isinstance(said, DeviceSaid) and said.mode == "normal" and said.at + JOIN_OVER < last:
            return ""
    return mode if mode in ("bump", "service") else ""


def judge_area(known: Known, area: str) -> Judged:
    """X-GAS-LIM of an area: fixed combustible detectors at level 1, whether or not there is a permit; one incident, however many, revised every ten seconds."""
    raw = []
    for tag in known.atlas.tags_of_area.get(area, ()):
        series = known.site.series.get(tag)
        if series and series.alarm:
            spans = series.alarm
            raw += [(a, b, tag, head, ref) for a, b, head, ref in zip(spans.first, spans.last, spans.head, spans.ref, strict=True)]
    found, wakes = [], []
    for a, b in merge([(s[0], s[1]) for s in raw], JOIN_OVER):
        mine = sorted(s for s in raw if a <= s[0] <= b)
        over = b + JOIN_OVER < known.now
        told = b if over else a + (known.now - a) // STORM * STORM
        counted = [s for s in mine if s[0] <= told] or mine[:1]
        tags = sorted({s[2] for s in counted})
        hold = "bump" if all(testing(known, s[2], s[0], s[1]) for s in counted) else ""
        numbers = {"area": area, "tag": mine[0][2], "value": f"{mine[0][3]:g}", "count": len(tags), "limit": f"{known.terms(a)['fixed_alarm']:g}", "since": known.clock(a)}
        found.append(Finding(a, tuple(s[4] for s in counted), b if over else None, numbers=numbers, area=area, requests=(("siren.on", area),), hold=hold, members=len(tags), variant="area",
                             incident=area))  # fmt: skip
        wakes.append(None if over else min(told + STORM, known.now + 30 * SECOND) if len(counted) < len(mine) else known.now + STORM)
    return Judged(tuple(found), wake_at(*wakes))


def judge_limit(known: Known, permit: str) -> Judged:
    """X-GAS-LIM: a good reading beyond the limit of its gas."""
    return _exceeded(known, permit, over=True)


def judge_rise(known: Known, permit: str) -> Judged:
    """X-GAS-RISE: a good reading at half of the limit or more."""
    return _exceeded(known, permit, over=False)


GB, AQ = "GB 30871-2022", "AQ 3064.2-2025"
PERMIT: frozenset[Cause] = frozenset({"permit", "tested", "seen", "clock", "device"})
STREAM: frozenset[Cause] = PERMIT | {"gas", "device"}
RULES = (
    Rule("GAS-NONE", "permit", 1, PERMIT, judge_none, "5.3.1, 6.3 a); AQ 3064.2 5.4.3", GB, "A", "01", ("S02",)),
    Rule("GAS-STALE", "permit", 2, PERMIT, judge_stale, "5.3.1 c), 6.3 a); AQ 3064.2 5.4.3", GB, "A", "02", ("S02", "S03", "S04")),
    Rule("GAS-INTERRUPT", "permit", 2, PERMIT, judge_interrupt, "5.3.1 d), 6.3 f); AQ 3064.2 5.9.1", GB, "A", "03", ("S32", "S33")),
    Rule("GAS-DAILY", "permit", 2, PERMIT, judge_daily, "5.3.1 d); AQ 3064.2 5.9.2", GB, "A", "04", ("S34",)),
    Rule("GAS-2H", "permit", 3, PERMIT, judge_record, "6.5; AQ 3064.2 5.9.4", GB, "A", "05", ("S30",)),
    Rule("X-GAS-LIM", "permit", 1, STREAM, judge_limit, "5.3.2, 6.4; AQ 3064.2 5.9.3", GB, "A", "", ("S26", "S27", "S29", "S64", "S70"), prompt=True),
    Rule("X-GAS-LIM", "area", 1, frozenset({"gas", "device"}), judge_area, "level 1", "GB/T 50493-2019", "B", "", ("S74",), prompt=True),
    Rule("X-GAS-RISE", "permit", 2, STREAM, judge_rise, "5.3.2 (half of the limit: our figure)", GB, "C", "", ("S26", "S27"), prompt=True),
    Rule("X-GAS-GAP", "permit", 2, STREAM | {"dark"}, judge_gap, "5.3.1 d), 6.5; AQ 3064.2 5.9.4", GB, "A", "", ("S31", "R-GAP"), silence=True),
)
