"""Gas as instruments read it: seen all the time, below its limit, not on its way there; and what a person wrote down of it while work went on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from msgspec.structs import replace

from streams.course import Course
from streams.events import DeviceSaid
from streams.gases import Limit, limit_of, limit_of_test
from streams.rules.access import inside_at, inside_between, roll_calls
from streams.rules.gas import GB, PERMIT, SUSPEND, passed
from streams.rules.limits import CONFINED
from streams.rules.permit import valid_until, work_over
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, both_of, merge, minutes, wake_at
from streams.spans import Spans
from streams.times import DAY, EVER, HOUR, MINUTE, SECOND
from streams.trend import HALF, reaches
from streams.work import JOIN_FRAME, JOIN_OVER, Series, Site

GASES = frozenset({"combustible", "oxygen", "toxic"})
SLOWEST = 10 * MINUTE
"""A channel that is read more rarely than that is silent in between."""
STORM = 10 * SECOND
"""An incident that grows is told anew at most so often."""
OFF_DUTY = frozenset({"bump", "service", "calibration"})


def modes(site: Site, tag: str, now: int) -> list[tuple[int, int, str]]:
    """(from, to or now, mode) of each time that a device said it was being tested, calibrated or out of service."""
    out: list[tuple[int, int, str]] = []
    for fact in site.devices.get(tag, ()):
        said = fact.event
        if not isinstance(said, DeviceSaid) or not said.mode:
            continue
        at = site.counts(fact, relief=said.mode not in OFF_DUTY)
        if out and out[-1][1] == now:
            out[-1] = (out[-1][0], min(now, at), out[-1][2])
        if said.mode in OFF_DUTY:
            out.append((at, now, said.mode))
    return [(a, b, mode) for a, b, mode in out if b > a]


def unseen(site: Site, tag: str, start: int, end: int, live: bool = False, duty: bool = True) -> list[tuple[int, int]]:
    """When a channel gave no good reading within [start, end]: silence of its frames, readings that were BAD, a device off duty (unless `duty` is not asked). `live`: what a gateway kept does not count."""
    series = site.series.get(tag)
    if series is None or not series.groups:
        return [(start, end)] if end > start else []
    silent = [list((site.live if live else site.frames)[g].gaps(start, end)) for g in series.groups]
    common = silent[0]
    for other in silent[1:]:
        common = both_of(common, other)
    off = [(a, b) for a, b, _ in modes(site, tag, site.now)] if duty and tag in site.devices else []
    if not series.bad.over and not off:
        return common
    told = [*off, *((a, b if b is not None else site.now) for a, b, *_ in series.bad.intervals(site.now))]
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


def heard(site: Site, tag: str) -> int:
    """When a channel was last heard of (ms), 0 if never."""
    series = site.series.get(tag)
    return max((site.frames[g].last[-1] for g in (series.groups if series else ()) if site.frames[g]), default=0)


def still(site: Site, tag: str, spans: Spans, now: int) -> bool:
    """Was the last word of a channel (or one of the last thirty seconds) of this kind? As long as nothing better is heard, it stands."""
    return bool(spans) and spans.last[-1] >= min(now - JOIN_OVER, heard(site, tag))


def holds(site: Site, tag: str, now: int) -> bool:
    """Does what a process channel, a fan or an isolation is watched for hold, as far as was last heard?"""
    series = site.series.get(tag)
    return series is not None and any(end is None or (end == last and last >= heard(site, tag)) for _, end, last, _, _ in series.held.intervals(now))


def gas_tags(known: Known, course: Course) -> list[str]:
    """The gas channels bound to a permit's work point."""
    channels = known.atlas.channels
    return [tag for tag in course.point.detectors if tag in channels and channels[tag].kind in GASES] if course.point else []


def stream_gaps(known: Known, course: Course) -> list[tuple[int, int, str]]:
    """(from, to, tag) of every hole in the stream of a special or confined job that lasted longer than the pack allows, in our own sight."""
    limit = known.terms_of(course).ms["stream_gap"]
    return [
        (a, b, tag)
        for tag in gas_tags(known, course)
        for start, end in course.working(known.now)
        for a, b in unseen(known.site, tag, start, end)
        if b - a - known.site.dark(a, b) > limit
    ]


def judge_gap(known: Known, permit: str) -> Judged:
    """X-GAS-GAP: a special hot work or a confined space was without a reading for too long."""
    course = known.course(permit)
    if not course.special or course.started is None:
        return NOTHING
    gaps = stream_gaps(known, course)
    evidence = tuple(r for r in (course.started_ref, course.request_ref) if r)
    found = []
    for a, b in merge([(a, b) for a, b, _ in gaps]):
        tags = sorted({tag for c, d, tag in gaps if c < b and d > a})
        open_ = b >= known.now and course.at_work()
        numbers = {"permit": permit, "tags": ", ".join(tags), "since": known.clock(a), "limit": minutes(known.terms_of(course).ms["stream_gap"])} | ({} if open_ else {"length": minutes(b - a)})
        found.append(Finding(a, evidence, None if open_ else b, numbers=numbers, permit=permit))
    return Judged(tuple(found), _next_gap(known, course) if course.at_work() else None)


def _next_gap(known: Known, course: Course) -> int | None:
    """When a channel could have been silent for too long; a frame after a silence asks by itself."""
    limit, now = known.terms_of(course).ms["stream_gap"], known.now
    start = max((lo for lo, _ in course.working(now)), default=now)
    dues: list[int | None] = []
    for tag in gas_tags(known, course):
        quiet = [now - (b - a - known.site.dark(a, b)) + limit + 1 for a, b in unseen(known.site, tag, start, now) if b >= now]
        dues.append(next((due if due > now else None for due in quiet), now + limit))
    return wake_at(*dues)


# ---- beyond a limit ------------------------------------------------------------------------------------------------------


Beyond = tuple[int, int, str, float, float, str, int]
"""(from, last reading beyond, tag, first value, extreme, evidence, last reading that is not clear of the limit)"""


def _cleared(known: Known, lasts: Mapping[str, int]) -> tuple[int | None, int | None]:
    """(since when channels are clear of their limits, each of which was not until its moment in `lasts`: good readings of every one have lasted for thirty seconds, at once or after a silence; None as long as they have not, and when to look again)."""
    runs = [_calm(known, tag, last, known.now) for tag, last in lasts.items()]
    looks = [look for _, look in runs if look is not None]
    return (None, min(looks)) if looks else (max((good for good, _ in runs), default=None), None)


def _calm(known: Known, tag: str, last: int, now: int) -> tuple[int, int | None]:
    """(the beginning of the first thirty seconds of good readings after `last`, None), or (the last reading, when there may be some): what was kept somewhere may still come."""
    if last + JOIN_OVER >= now:
        return last, last + JOIN_OVER + SECOND
    usual, reach = _usual_pause(known.site, tag), 2 * MINUTE
    while True:
        end = min(now, last + reach)
        good = heard = last
        for silent, until in unseen(known.site, tag, last, end):
            if silent - good >= JOIN_OVER:
                return good, None
            heard, resumed = silent, until < end
            if until - silent > usual or (silent == last and until - silent > JOIN_FRAME) or not resumed:
                good = until
        if end - good >= JOIN_OVER and good < end:
            return good, None
        if end == now:
            break
        reach *= 4
    fresh = now - heard <= usual
    return heard, max(good + JOIN_OVER + SECOND if good < now else heard + JOIN_OVER + SECOND, now + 5 * SECOND) if fresh or good < now else now + max(5 * SECOND, (now - heard) // 2)


def _usual_pause(site: Site, tag: str) -> int:
    """How long a channel pauses between two readings without being silent (ms): that of frames; of a channel that is read more rarely, a little more than its own."""
    series, pause = site.series.get(tag), JOIN_FRAME
    for frames in (site.frames[group] for group in (series.groups if series else ())):
        single = list(zip(frames.first[-5:], frames.last[-5:], strict=True))
        if len(single) >= 3 and all(a == b for a, b in single[:-1]):
            pause = max([pause, *(b[0] - a[1] + (b[0] - a[1]) // 5 for a, b in pairwise(single) if b[0] - a[1] <= SLOWEST)])
    return pause


def _beyond(known: Known, tag: str, start: int, until: int, over: bool) -> Iterator[Beyond]:
    series: Series | None = known.site.series.get(tag)
    spans = series and (series.over if over else series.near)
    if not series or not spans:
        return
    for a, b, head, top, ref in zip(spans.first, spans.last, spans.head, spans.top, spans.ref, strict=True):
        if b >= start and a < until:
            band = next((d for c, d in series.band if c <= b <= d), b) if over else b
            yield max(a, start), b, tag, head, top, ref, max(b, band)


def _exceeded(known: Known, course: Course, start: int, until: int, over: bool) -> tuple[list[Finding], int | None]:
    """Spans of the bound channels beyond their limits (or half of them) within a time, what a device reads while it is tested by itself; and when to look again."""
    beyond = [s for tag in gas_tags(known, course) for s in _beyond(known, tag, start, until, over)]
    spans = [s for s in beyond if limit_of(known.atlas.channels[s[2]], known.terms_at(start)) is not None]
    tested = {s for s in spans if testing(known, s[2], s[0], s[1])}
    found, wakes = [], []
    closed = course.finished is not None and until <= known.now
    for mine in (*_alarms(known, [s for s in spans if s not in tested]), *_alarms(known, [s for s in spans if s in tested])):
        a, b = min(s[0] for s in mine), max(s[6] for s in mine)
        first, last = min(mine, key=lambda s: (s[0], s[2])), max(s[1] for s in mine)
        cleared, look = _cleared(known, _lasts(mine))
        wakes.append(look)
        end = last if cleared == b or (cleared is not None and first in tested) or (cleared is None and closed) else cleared
        if closed and end is not None:
            end = max(a, min(end, until))
        found.append(_limit_finding(known, course, first, a, end, over, mine))
    return found, wake_at(*wakes) if not closed else None


def _lasts(mine: list[Beyond]) -> dict[str, int]:
    """Channel → when it was last not clear of its limit."""
    out: dict[str, int] = {}
    for s in mine:
        out[s[2]] = max(s[6], out.get(s[2], 0))
    return out


def _alarms(known: Known, spans: list[Beyond]) -> list[list[Beyond]]:
    """Spans beyond a limit, by alarm: the next is of the same alarm as long as not every channel of it was clear in between."""
    out: list[list[Beyond]] = []
    for s in sorted(spans, key=lambda s: (s[0], s[2])):
        last = max((x[6] for x in out[-1]), default=0) if out else 0
        if out and (s[0] <= last + JOIN_OVER or any(_calm(known, tag, at, s[0])[1] is not None for tag, at in _lasts(out[-1]).items())):
            out[-1].append(s)
        else:
            out.append([s])
    return out


def _limit_finding(known: Known, course: Course, first: Beyond, a: int, end: int | None, over: bool, mine: list[Beyond]) -> Finding:
    tag, value = first[2], first[3]
    limit = limit_of(known.atlas.channels[tag], known.terms_at(a)) or Limit(None, None, None, "", known.atlas.channels[tag].gas, known.atlas.channels[tag].unit)
    numbers = {"permit": course.permit, "tag": tag, "gas": limit.gas, "value": f"{value:g}", "limit": f"{_held(limit, value, over):.3g}", "unit": limit.unit, "clause": limit.clause}
    if end is not None:
        numbers["top"] = f"{max(s[4] for s in mine):g}"
    requests = (("siren.on", course.point_id), (SUSPEND, course.permit)) if over else ()
    return Finding(a, (first[5],), end, numbers=numbers, permit=course.permit, requests=requests, hold=testing(known, tag, first[0], first[1]), lately=max(s[1] for s in mine))


def _held(limit: Limit, value: float, over: bool) -> float:
    held = limit.high if over and (limit.low is None or value >= (limit.high or 0)) else (limit.low if over else limit.warn)
    return held if held is not None else 0.0


def testing(known: Known, tag: str, start: int, last: int) -> str:
    """`bump`, `calibration` or `service` while a device is being tested or is out of service and says so: what it reads then is no gas."""
    mode = ""
    for fact in known.site.devices.get(tag, ()):
        said = fact.event
        if not isinstance(said, DeviceSaid) or not said.mode:
            continue
        at = known.site.counts(fact, relief=said.mode in OFF_DUTY)
        if at <= start:
            mode = said.mode
        elif said.mode == "normal" and at + JOIN_OVER < last:
            return ""
    return mode if mode in OFF_DUTY else ""


def real(known: Known, tags: list[str]) -> list[tuple[str, Series]]:
    """The channels that are on duty now, as far as they were ever heard of: what the others read is no gas."""
    return [(tag, series) for tag in tags if (series := known.site.series.get(tag)) and not testing(known, tag, known.now, known.now)]


def judge_limit(known: Known, permit: str) -> Judged:
    """X-GAS-LIM: a reading, or what somebody wrote down, beyond the limit of its gas: before the start (do not start), while work goes on, with people inside."""
    course = known.course(permit)
    if course.request is None:
        return NOTHING
    waiting, wake = _before_start(known, course)
    during: list[Finding] = []
    if course.started is not None:
        during, look = _exceeded(known, course, course.started.at, course.over_by(EVER), over=True)
        wake = wake_at(wake, look)
    for since, until in _strayed(course):
        more, look = _exceeded(known, course, since, until, over=True)
        during, wake = [*during, *more], wake_at(wake, look)
    for ref, since, until in _inside(known, course):
        more, look = _exceeded(known, course, since, until, over=True)
        during, wake = [*during, *(replace(f, evidence=(*f.evidence, ref), end=f.end if until >= known.now else min(f.end or until, until)) for f in more)], wake_at(wake, look)
    return Judged(tuple(_joined([*waiting, *during, *_written(known, course)])), wake)


def _strayed(course: Course) -> list[tuple[int, int]]:
    """Work that no life allows: from its start to the step that ended it, a day where none did."""
    return [(s.at.at, course.put_down(s.at.at) or s.at.at + DAY) for s in course.strays]


def _inside(known: Known, course: Course) -> Iterator[tuple[str, int, int]]:
    """(scan, from when, until when: ms) of people in a confined space though its work has not begun, from an hour before its validity or from its approval, and of those who stayed when it was over: until they come out or are counted, a day at most."""
    request = course.request
    if course.type != CONFINED or request is None or not any((s := known.site.series.get(tag)) and s.over for tag in gas_tags(known, course)):
        return
    over = course.finished.at if course.finished else course.over_at
    begin = min(request.valid_from - HOUR, course.issued.at if course.issued else request.valid_from)
    begun = course.started.at if course.started else min(m for m in (over, valid_until(known, course), EVER) if m is not None)
    yield from ((fact.ref, since, until) for fact, since, until in inside_between(known, course, begin, begun))
    if over is not None:
        counted = min((believed for believed, up_to in roll_calls(known, course) if up_to > over), default=EVER)
        stayed = inside_between(known, course, over - 1, min(over + DAY, counted))
        yield from ((fact.ref, over, until) for fact, since, until in stayed if since < over)


def _joined(found: list[Finding]) -> list[Finding]:
    """Overlapping findings as one: what is told of a permit's gas is one alert at a time, and one of devices that are tested."""
    return [*_one([f for f in found if not f.hold]), *_one([f for f in found if f.hold])]


def _one(found: list[Finding]) -> list[Finding]:
    out: list[Finding] = []
    for f in sorted(found, key=lambda f: (f.start, f.variant)):
        last = out[-1] if out else None
        if last is None or (last.end is not None and last.end < f.start):
            out.append(f)
            continue
        end = None if last.end is None or f.end is None else max(last.end, f.end)
        worst = min(last.priority or 1, f.priority or 1)
        out[-1] = replace(last, end=end, lately=max((m for m in (last.lately, f.lately) if m is not None), default=None), priority=worst, evidence=tuple(sorted({*last.evidence, *f.evidence})), requests=last.requests if len(last.requests) >= len(f.requests) else f.requests,
                          variant=last.variant if last.variant == f.variant or worst != 1 else ("" if last.variant == "before" else last.variant))  # fmt: skip
    return out


def _before_start(known: Known, course: Course) -> tuple[list[Finding], int | None]:
    """From the approval to the start: do not start, from the first reading beyond the limit until an analysis passes, the end of the life, or a finish; at the start it is as if at work."""
    if course.issued is None or (course.started is not None and course.started.at <= course.issued.at):
        return [], None
    until = course.started.at if course.started else min(m for m in (course.over_at, valid_until(known, course), EVER) if m is not None)
    readings, _ = _exceeded(known, course, course.issued.at, until, over=True)
    out: list[Finding] = []
    for f in readings:
        if f.hold:
            out.append(f)
            continue
        if out and not out[-1].hold and (out[-1].end is None or out[-1].end >= f.start):
            continue
        ends = [a.done.at for a in passed(course) if a.done.at > f.start] + [m for m in (course.over_at, course.finished.at if course.finished else None) if m is not None]
        end = min(ends, default=None)
        begun = course.started is not None and (end is None or end > course.started.at)
        requests = f.requests if begun else (("permit.block", course.permit),)
        out.append(replace(f, end=end, priority=1 if begun else 2, variant="" if begun else "before", requests=requests))
    return out, None


def _written(known: Known, course: Course) -> list[Finding]:
    """What was written down beyond its limit, or as not passed, while work went on or people were inside: until an analysis passes, or the end."""
    over = work_over(course)
    last = max((r.at.at for r in course.tests), default=known.now)
    working = [*course.working(max(known.now, last)), *_strayed(course)]
    out: list[Finding] = []
    for record in course.tests:
        at = record.at.at
        if not record.failed or record.ref in known.work(course.permit).carried:
            continue
        inside = course.type == CONFINED and any(True for _ in inside_at(known, course, at))
        if not (inside or any(a <= at <= b for a, b in working)) or (out and (out[-1].end is None or out[-1].end > at)):
            continue
        end = min([a.done.at for a in passed(course) if a.done.at > at] + ([over] if over is not None and over > at else []), default=None)
        requests = (("siren.on", course.point_id), (SUSPEND, course.permit))
        if (r := record.over) is None:
            out.append(Finding(at, (record.ref,), end, 1, {"permit": course.permit, "at": known.clock(at)}, course.permit, course.point_id, "failed", requests=requests))
            continue
        limit, clause = limit_of_test(r.gas, r.value, r.unit, known.terms_at(at), course.point is not None and course.point.enriched) or (0.0, "")
        numbers = {"permit": course.permit, "gas": r.gas, "value": f"{r.value:g}", "unit": r.unit, "at": known.clock(at), "limit": f"{limit:.3g}", "clause": clause}
        out.append(Finding(at, (record.ref,), end, 1, numbers, course.permit, course.point_id, "record", requests=requests))
    return out


# ---- on its way ----------------------------------------------------------------------------------------------------------


def judge_rise(known: Known, permit: str) -> Judged:
    """X-GAS-RISE: a reading at half of the limit or more; oxygen that has been low, or higher than air, for a while."""
    course = known.course(permit)
    if course.started is None:
        return NOTHING
    found, wake = _exceeded(known, course, course.started.at, course.over_by(EVER), over=False)
    oxygen = [f for tag in gas_tags(known, course) if known.atlas.channels[tag].kind == "oxygen" for f in _oxygen(known, course, tag)]
    wakes = [known.now + 10 * SECOND] if any(f.end is None for f in oxygen) else []
    return Judged(tuple(sorted([*found, *oxygen], key=lambda f: f.start)), wake_at(wake, *wakes, *_dwells(known, course)))


def _dwells(known: Known, course: Course) -> Iterator[int]:
    """When oxygen that is low or high now will have been so for long enough."""
    began = course.started.at if course.started else 0
    for tag in gas_tags(known, course):
        series = known.site.series.get(tag)
        for held, name in ((series.poor, "oxygen_poor_dwell"), (series.rich, "oxygen_rich_dwell")) if series else ():
            since = [(a, max(a, began)) for a, b, *_ in held.intervals(known.now) if b is None]
            yield from (due for a, start in since if (due := start + known.terms_at(a).ms[name]) > known.now)


def _oxygen(known: Known, course: Course, tag: str) -> list[Finding]:
    """P2 below 20.0 for ten seconds, P3 above 21.0 (and above what it usually reads) for a minute; in the pack's figures."""
    series, out = known.site.series.get(tag), list[Finding]()
    if series is None or course.started is None:
        return out
    until = course.over_by(EVER)
    for held, name, priority in ((series.poor, "oxygen_poor", 2), (series.rich, "oxygen_rich", 3)):
        for first, end, last, top, ref in held.intervals(known.now):
            start, terms = max(first, course.started.at), known.terms_at(first)
            dwell, limit = terms.ms[f"{name}_dwell"], terms[name]
            if last - start < dwell or start >= until:
                continue
            if end == last and last >= heard(known.site, tag):
                end = None  # silence ends nothing: it was low when it was last heard
            numbers = {"permit": course.permit, "tag": tag, "gas": "o2", "value": f"{top:g}", "unit": known.atlas.channels[tag].unit, "limit": f"{limit:g}", "since": known.clock(start), "dwell": minutes(dwell)}
            out.append(Finding(start + dwell, (ref,), end if end is not None or known.now < until else until, priority, numbers, course.permit, course.point_id, name.removeprefix("oxygen_"), hold=testing(known, tag, start, last), lately=last))
    return out


def judge_trend(known: Known, permit: str) -> Judged:
    """X-GAS-TREND: the gas at the work point is surely on its way to its limit and would reach it within half an hour, or within the rest of the validity."""
    course = known.course(permit)
    if not course.at_work() or course.started is None:
        return NOTHING
    rest = (course.valid_to or known.now) - known.now
    within, found = min(known.terms_now().ms["trend_within"], max(0, rest)), []
    for tag in gas_tags(known, course):
        series, limit = known.site.series.get(tag), limit_of(known.atlas.channels[tag], known.terms_at(known.now))
        if series is None or limit is None or not series.halves or testing(known, tag, known.now, known.now):
            continue
        last = min(known.now, heard(known.site, tag) + HALF)  # what falls silent on its way may have arrived
        ahead = reaches(series.halves, last, limit.high, limit.low, within) if known.now - last <= known.terms_now().ms["detector_silent"] else None
        if ahead is None:
            continue
        urgent = _urgent(known, course)
        numbers = {"permit": permit, "tag": tag, "gas": limit.gas, "value": f"{ahead.last:.3g}", "unit": limit.unit, "limit": f"{ahead.limit:.3g}", "in": minutes(max(MINUTE, (ahead.left - (known.now - last)) // MINUTE * MINUTE))}
        found.append(Finding(max(ahead.since, course.started.at), (series.trend_ref or course.started_ref,), None, 2 if urgent else 3, numbers, permit, course.point_id))
    first = min(found, key=lambda f: (f.priority, f.start), default=None)
    return Judged((first,) if first else (), (known.now // HALF + 1) * HALF + SECOND)


def _urgent(known: Known, course: Course) -> bool:
    """Are people inside a confined space, or does its fan stand still or say nothing?"""
    if course.type != CONFINED:
        return False
    if any(True for _ in inside_at(known, course, known.now)):
        return True
    fans = course.point.fans if course.point else []
    stopped = [s for f in fans if (s := known.site.series.get(f)) is None or any(b is None for _, b, *_ in s.held.intervals(known.now))]
    return bool(stopped) or any(b >= known.now for f in fans for a, b in unseen(known.site, f, known.now - MINUTE, known.now) if b - a >= MINUTE)


# ---- an area -------------------------------------------------------------------------------------------------------------


def judge_area(known: Known, area: str) -> Judged:
    """X-GAS-LIM of an area: fixed combustible detectors at level 1, whether or not there is a permit; one incident, however many, revised every ten seconds; what devices read while they are tested by itself."""
    spans: list[Beyond] = []
    for tag in known.atlas.tags_of_area.get(area, ()):
        series = known.site.series.get(tag)
        if series and series.alarm:
            held = series.alarm
            spans += [(a, b, tag, head, head, ref, b) for a, b, head, ref in zip(held.first, held.last, held.head, held.ref, strict=True)]
    tested = {s for s in spans if testing(known, s[2], s[0], s[1])}
    alarms = (*_alarms(known, [s for s in spans if s not in tested]), *_alarms(known, [s for s in spans if s in tested]))
    told = [_area_alarm(known, area, sorted(alarm, key=lambda s: (s[0], s[1], s[2]))) for alarm in alarms]
    return Judged(tuple(sorted((f for f, _ in told), key=lambda f: f.start)), wake_at(*(look for _, look in told)))


def _area_alarm(known: Known, area: str, mine: list[Beyond]) -> tuple[Finding, int | None]:
    """(one alarm of an area with the detectors that were in it when it was last told, when to look again)."""
    a, b, first = mine[0][0], max(s[1] for s in mine), mine[0]
    cleared, look = _cleared(known, _lasts(mine))
    over = cleared is not None
    told = b if over else a + (known.now - a) // STORM * STORM
    counted = [s for s in mine if s[0] <= told] or mine[:1]
    tags = sorted({s[2] for s in counted})
    numbers = {"area": area, "tag": first[2], "value": f"{first[3]:g}", "count": len(tags), "limit": f"{known.terms_at(a)['fixed_alarm']:g}", "clause": known.terms_at(a).clause("fixed_alarm"), "since": known.clock(a)}
    found = Finding(a, tuple(s[5] for s in counted), b if over else None, numbers=numbers, area=area, requests=(("siren.on", area),), hold=testing(known, first[2], first[0], first[1]),
                    members=len(tags), variant="area", lately=b, incident=area)  # fmt: skip
    return found, None if over else min(told + STORM, known.now + 30 * SECOND) if len(counted) < len(mine) else min(look or known.now + STORM, known.now + MINUTE)


STREAM: frozenset[Cause] = PERMIT | {"gas", "device"}
RULES = (
    Rule("X-GAS-LIM", "permit", 1, STREAM | {"scan"}, judge_limit, "5.3.2, 6.4; AQ 3064.2 5.9.3", GB, "A", "", ("S26", "S27", "S29", "S64", "S70"), prompt=True, takes=("lel_percent", "lel_vol_high", "lel_vol_low", "oxygen_high", "oxygen_low", "rise_share",), others=True),
    Rule("X-GAS-LIM", "area", 1, frozenset({"gas", "device"}), judge_area, "level 1", "GB/T 50493-2019", "B", "", ("S74",), prompt=True, takes=("fixed_alarm",)),
    Rule("X-GAS-RISE", "permit", 2, STREAM, judge_rise, "5.3.2 (half of the limit: our figure)", GB, "C", "", ("S26", "S27"), apart=("variant",), prompt=True, takes=("lel_percent", "lel_vol_high", "lel_vol_low", "oxygen_high", "oxygen_low", "oxygen_poor", "oxygen_poor_dwell", "oxygen_rich", "oxygen_rich_dwell", "rise_share",)),
    Rule("X-GAS-TREND", "permit", 3, STREAM, judge_trend, "5.3, 6.5 (a forecast: our figures)", GB, "C", "", ("R-TREND",), prompt=True, fleeting=True, silence=True, takes=("detector_silent", "lel_percent", "lel_vol_high", "lel_vol_low", "oxygen_high", "oxygen_low", "rise_share", "trend_within",), others=True),
    Rule("X-GAS-GAP", "permit", 2, STREAM | {"dark"}, judge_gap, "5.3.1 d), 6.5; AQ 3064.2 5.9.4", GB, "A", "", ("S31", "R-GAP"), silence=True, takes=("stream_gap",)),
)
