"""Data quality: a blind sensor on a dangerous job is a safety alert, a clock that lies and a number that is missing are findings."""

from __future__ import annotations

from streams.course import Course
from streams.events import ClockSaid
from streams.rules.gas import GASES, unseen
from streams.rules.guardian import silence
from streams.rules.limits import CAMERA_CLOCK_OFF, CLOCK_OFF
from streams.rules.rule import NOTHING, Finding, Judged, Known, Rule, minutes
from streams.times import SECOND

OURS = "PermitWatch"


def judge_channel(known: Known, tag: str) -> Judged:
    """DQ-SILENT: a gas channel gave no good reading for more than 10 min of our own sight; P2 if it blinds a job at work."""
    channel = known.atlas.channels.get(tag)
    if channel is None or channel.kind not in GASES:
        return NOTHING
    site, limit, now = known.site, known.site.policy.detector_silent * SECOND, known.now
    found, wake = [], now + limit
    for a, b in unseen(site, tag, site.began, now):
        dark = site.dark(a, b)
        if b >= now:
            wake = min(wake, a + dark + limit + 1 if a + dark + limit >= now else now + 60 * SECOND)
        if b - a - dark > limit:
            found.append(_silent(known, tag, a, None if b >= now else b))
    return Judged(tuple(f for f in found if f), wake)


def _silent(known: Known, tag: str, start: int, end: int | None) -> Finding | None:
    until = known.now if end is None else end
    jobs = [c for point in known.atlas.points_of_tag.get(tag, ()) for c in known.at(point) if any(b > start and a < until for a, b in c.working(known.now))]
    if jobs and all(c.special for c in jobs):
        return None
    blinded = next((c for c in jobs if c.needs_gas), None)
    numbers = {"tag": tag, "since": known.clock(start), "limit": minutes(known.site.policy.detector_silent * SECOND), "permit": blinded.permit if blinded else "—"}
    evidence = tuple(r for r in (blinded.started_ref if blinded else "", known.site.plant_ref) if r)
    return Finding(start, evidence, end, 2 if blinded else 3, numbers, blinded.permit if blinded else "", blinded.point_id if blinded else "")


def judge_tag(known: Known, permit: str) -> Judged:
    """DQ-SILENT: the tag of a guardian on duty is not heard of; the guardian is unknown, not absent."""
    course = known.course(permit)
    if course.started is None:
        return NOTHING
    found = [_lost(known, course, worker, a, b) for worker, a, b in silence(known, course)]
    found.sort(key=lambda f: f.start)
    return Judged(tuple(found), known.now + 15 * SECOND if course.at_work(known.now) else None)


def _lost(known: Known, course: Course, worker: str, a: int, b: int) -> Finding:
    open_ = b >= known.now and course.at_work(known.now)
    numbers = {"tag": worker, "since": known.clock(a), "limit": minutes(known.site.policy.tag_silent * SECOND), "permit": course.permit}
    evidence = tuple(r for r in (course.request_ref, course.started_ref) if r)
    return Finding(a, evidence, None if open_ else b, 2, numbers, course.permit, course.point_id, "tag")


def judge_unbound(known: Known, permit: str) -> Judged:
    """DQ-UNBOUND: a permit stands at a work point that nobody described, so nothing watches it."""
    course = known.course(permit)
    if course.request is None or course.point is not None or known.site.plant is None or course.ended:
        return NOTHING
    end = course.accepted.at if course.accepted else None
    return Judged((Finding(course.request.at, (course.request_ref,), end, numbers={"permit": permit, "point": course.point_id}, permit=permit),))


def judge_clock(known: Known, device: str) -> Judged:
    """DQ-CLOCK: a device's clock is off by more than 5 s (a camera's by 30 s); what it says is corrected by the measured offset."""
    limit = CAMERA_CLOCK_OFF if device in known.atlas.points_of_camera else CLOCK_OFF
    found: list[Finding] = []
    open_: tuple[int, str, int] | None = None
    for fact in known.site.clocks.get(device, ()):
        said = fact.event
        if not isinstance(said, ClockSaid):
            continue
        off = abs(said.offset) > limit
        if off and open_ is None:
            open_ = (said.at, fact.ref, said.offset)
        elif not off and open_ is not None:
            found.append(_clock(known, device, *open_, said.at, limit))
            open_ = None
    if open_ is not None:
        found.append(_clock(known, device, *open_, None, limit))
    return Judged(tuple(found))


def _clock(known: Known, device: str, start: int, ref: str, offset: int, end: int | None, limit: int) -> Finding:
    points = known.atlas.points_of_camera.get(device, [""])
    numbers = {"device": device, "offset": f"{offset / SECOND:+g} s", "limit": f"{limit / SECOND:g} s"}
    return Finding(start, (ref,), end, numbers=numbers, point=points[0])


def judge_holes(known: Known, series: str) -> Judged:
    """DQ-SEQ: numbers that a source gave have not come for 30 s; that is a proof of loss until they do."""
    stays = known.site.policy.hole_stays * SECOND
    mine = [h for h in known.site.holes if h.series == series]
    due = [h for h in mine if known.now > h.noticed + stays]
    waiting = [h.noticed + stays + 1 for h in mine if known.now <= h.noticed + stays]
    if not due:
        return Judged(wake=min(waiting, default=None))
    first = min(due, key=lambda h: h.noticed)
    lost = sum(h.hi - h.lo + 1 for h in due)
    numbers = {"series": series, "lost": lost, "first": first.lo, "last": max(h.hi for h in due)}
    refs = (f"{series}/{first.lo - 1}", f"{series}/{first.hi + 1}")
    return Judged((Finding(first.noticed, refs, numbers=numbers),), min(waiting, default=None))


def judge_lag(known: Known, site: str) -> Judged:
    """SYS-LAG: we ourselves were late or blind; what is missing from that time is unknown, not absent."""
    found = []
    for lo, hi in known.site.blind:
        if hi - lo > 10 * SECOND:
            end = hi if hi < known.now else None
            numbers = {"since": known.clock(lo)} | ({"length": minutes(hi - lo)} if end else {})
            found.append(Finding(lo, (known.site.plant_ref or site,), end, numbers=numbers))
    return Judged(tuple(found), known.now + SECOND if found and found[-1].end is None else None)


RULES = (
    Rule("DQ-SILENT", "channel", 3, frozenset({"gas"}), judge_channel, "a blind sensor is a safety alert: our rule", OURS, "C", "", ("S62",)),
    Rule("DQ-SILENT", "permit", 2, frozenset({"permit", "guard"}), judge_tag, "AQ 3064.3 7.2.1 (upload 30/min)", "AQ 3064.3-2025", "A", "", ("S19",)),
    Rule("DQ-UNBOUND", "permit", 3, frozenset({"permit"}), judge_unbound, "our rule", OURS, "C", "", ("U01",)),
    Rule("DQ-CLOCK", "device", 3, frozenset({"clock"}), judge_clock, "our figure", OURS, "C", "", ("S09",)),
    Rule("DQ-SEQ", "series", 3, frozenset({"holes"}), judge_holes, "our rule", OURS, "C", "", ()),
    Rule("SYS-LAG", "site", 2, frozenset({"dark"}), judge_lag, "our rule", OURS, "C", "", ()),
)
