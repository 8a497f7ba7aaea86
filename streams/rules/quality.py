"""Data quality: a blind sensor on a dangerous job is a safety alert, a clock that lies and a number that is missing are findings."""

from __future__ import annotations

from datetime import date

from streams.course import Course
from streams.events import ChainSaid, ClockSaid
from streams.rules.guardian import current, silences
from streams.rules.readings import GASES, modes, unseen
from streams.rules.rule import NOTHING, Finding, Judged, Known, Rule, both_of, merge, minutes, wake_at, without
from streams.times import HOUR, SECOND
from streams.work import Said

OURS = "PermitWatch"


def judge_channel(known: Known, tag: str) -> Judged:
    """DQ-SILENT: a gas channel gave no good reading for more than 10 min of our own sight; P2 if it blinds a job at work."""
    channel = known.atlas.channels.get(tag)
    if channel is None or channel.kind not in GASES:
        return NOTHING
    site, limit, now = known.site, known.terms_now().ms["detector_silent"], known.now
    found, wake = [], now + limit
    for a, b in _alone(known, tag, _silences(known, tag)):
        dark = site.dark(a, b)
        if b >= now:
            wake = min(wake, a + dark + limit + 1 if a + dark + limit >= now else now + 60 * SECOND)
        if b - a - dark > limit:
            found.append(_silent(known, tag, a, None if b >= now else b))
    return Judged(tuple(found), wake)


def _silences(known: Known, tag: str) -> list[tuple[int, int]]:
    """When a channel gave nothing usable; a device that says it is off duty is missed by work only."""
    site, now = known.site, known.now
    plain = unseen(site, tag, site.began, now, live=True, duty=False)
    if tag not in site.devices:
        return plain
    jobs = [span for point in known.atlas.points_of_tag.get(tag, ()) for c in known.at(point) if c.started for span in c.working(now)]
    off = both_of([(a, b) for a, b, _ in modes(site, tag, now)], sorted(jobs))
    return merge([*plain, *off])


def _alone(known: Known, tag: str, silent: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Silence without the work of special and confined jobs, whose X-GAS-GAP tells it sooner."""
    jobs = [c for point in known.atlas.points_of_tag.get(tag, ()) for c in known.at(point) if c.special and c.started]
    told = [span for c in jobs for span in c.working(known.now)]
    return [piece for a, b in silent for piece in (without(told, a, b) if told else [(a, b)])]


def _silent(known: Known, tag: str, start: int, end: int | None) -> Finding:
    until = known.now if end is None else end
    jobs = [c for point in known.atlas.points_of_tag.get(tag, ()) for c in known.at(point) if any(b > start and a < until for a, b in c.working(known.now))]
    blinded = next((c for c in jobs if c.needs_gas), None)
    numbers = {"tag": tag, "since": known.clock(start), "limit": minutes(known.terms_now().ms["detector_silent"]), "permit": blinded.permit if blinded else "—"}
    evidence = tuple(r for r in (blinded.started_ref if blinded else "", known.site.plant_ref) if r)
    return Finding(start, evidence, end, 2 if blinded else 3, numbers, blinded.permit if blinded else "", blinded.point_id if blinded else "", area=known.atlas.channels[tag].area)


def judge_tag(known: Known, permit: str) -> Judged:
    """DQ-SILENT: the tag of a guardian on duty is not heard of; the guardian is unknown, not absent."""
    course = known.course(permit)
    if course.started is None:
        return NOTHING
    limit, spans = known.terms_of(course).ms["tag_silent"], list(silences(known, course))
    found = [_lost(known, course, worker, a, b) for worker, a, b, length in spans if length > limit]
    found.sort(key=lambda f: f.start)
    return Judged(tuple(found), _next_silent(known, course, limit, spans) if course.at_work() else None)


def _next_silent(known: Known, course: Course, limit: int, spans: list[tuple[str, int, int, int]]) -> int | None:
    """When a tag on duty could have been silent for too long; a fix after a silence asks by itself."""
    now = known.now
    quiet = [(worker, now - length + limit + 1) for worker, _, b, length in spans if b >= now]
    heard = set(current(course, now)) - {worker for worker, _ in quiet}
    return wake_at(*(due for _, due in quiet if due > now), now + limit if heard else None)


def _lost(known: Known, course: Course, worker: str, a: int, b: int) -> Finding:
    open_ = b >= known.now and course.at_work()
    numbers = {"tag": worker, "since": known.clock(a), "limit": minutes(known.terms_of(course).ms["tag_silent"]), "permit": course.permit}
    evidence = tuple(r for r in (course.request_ref, course.started_ref) if r)
    return Finding(a, evidence, None if open_ else b, 2, numbers, course.permit, course.point_id, "tag" if worker in known.work(course.permit).tracks else "tagless")


def judge_unbound(known: Known, permit: str) -> Judged:
    """DQ-UNBOUND: a permit stands at a work point that nobody described, so nothing watches it."""
    course = known.course(permit)
    if course.request is None or course.point is not None or known.site.plant is None:
        return NOTHING
    return Judged((Finding(course.request.at, (course.request_ref,), course.over_at, numbers={"permit": permit, "point": course.point_id}, permit=permit),))


def judge_clock(known: Known, device: str) -> Judged:
    """DQ-CLOCK: a device's clock is off by more than 5 s (a camera's by 30 s); what it says is corrected by the measured offset."""
    name = "camera_clock_off" if device in known.atlas.points_of_camera else "clock_off"
    found: list[Finding] = []
    open_: tuple[int, str, int, int] | None = None
    for fact in known.site.clocks.get(device, ()):
        said = fact.event
        if not isinstance(said, ClockSaid):
            continue
        limit = known.terms_at(said.at).ms[name]
        off = abs(said.offset) > limit
        if off and open_ is None:
            open_ = (said.at, fact.ref, said.offset, limit)
        elif not off and open_ is not None:
            found.append(_clock(known, device, *open_, said.at))
            open_ = None
    if open_ is not None:
        found.append(_clock(known, device, *open_, None))
    return Judged(tuple(found))


def _clock(known: Known, device: str, start: int, ref: str, offset: int, limit: int, end: int | None) -> Finding:
    points = known.atlas.points_of_camera.get(device, [""])
    numbers = {"device": device, "offset": minutes(offset), "way": "fast" if offset > 0 else "slow", "limit": f"{limit / SECOND:g} s"}
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


def judge_late(known: Known, source: str) -> Judged:
    """DQ-LATE: facts of a source that matter at once came long after they were true."""
    comer, found = known.site.comers.get(source), []
    late = comer.late if comer else None
    for a, b, top, ref in zip(late.first, late.last, late.top, late.ref, strict=True) if late else ():
        over, limit = b + 10 * 60 * SECOND < known.now, known.terms_now().ms["late_fact"]
        lateness = int(top) + known.site.offset(source, a - int(top))[0]
        if lateness <= limit:
            continue  # its clock, measured since, was slow by that
        numbers = {"source": source, "late": minutes(lateness), "since": known.clock(a), "limit": minutes(limit)}
        found.append(Finding(a, (ref,), b if over else None, numbers=numbers))
    return Judged(tuple(found), known.now + 60 * SECOND if any(f.end is None for f in found) else None)


def about(count: int, least: int = 0) -> str:
    """A count as it is told: to ten as it is, then at least 10, 20, 50, 100 … (and at least `least`), so that what comes with every message is not told anew with every message."""
    if count <= 10:
        return f"{count}"
    step: int = 10 ** (len(str(count)) - 1)
    return f"{max(least, next(n * step for n in (5, 2, 1) if n * step <= count))}+"


def judge_repeats(known: Known, source: str) -> Judged:
    """DQ-DUP: a source says the same facts again and again under new numbers."""
    comer, most = known.site.comers.get(source), int(known.terms_now()["repeats"])
    if comer is None or len(comer.repeats) < most or comer.repeats[-1] < known.now - HOUR:
        return NOTHING
    numbers = {"source": source, "count": about(len(comer.repeats), most), "limit": most}
    return Judged((Finding(comer.repeats[most - 1], (comer.ref,), numbers=numbers),), known.now + 10 * 60 * SECOND)


def judge_chain(known: Known, site: str) -> Judged:
    """SYS-CHAIN: the archive was changed after it was written: its hash chain breaks at a link; the first that was told is named."""
    broken = [(f, f.event) for f in known.site.broken[:1] if isinstance(f.event, ChainSaid)]
    return Judged(tuple(Finding(said.at, (f.ref,), numbers={"link": said.link, "detail": said.detail or "—"}) for f, said in broken))


def judge_ahead(known: Known, source: str) -> Judged:
    """DQ-CLOCK of a source: it speaks of times that have not come yet (nothing is known before it happened), or its clock went back."""
    lead, found = known.site.leads.get(source), []
    for since, until, most, ref in zip(lead.since, lead.until, lead.most, lead.ref, strict=True) if lead else ():
        numbers = {"device": source, "offset": minutes(most), "limit": f"{known.terms_at(since).ms['clock_off'] / SECOND:g} s"}
        shifted = lead is not None and lead.shifted_at is not None and (until is None or lead.shifted_at <= until)
        found.append(Finding(since, (ref,), until, numbers=numbers | {"turn": "ahead"}, variant="zone" if shifted else "ahead"))
    steps = known.site.steps.get(source)
    for since, until, back, ref in zip(steps.since, steps.until, steps.back, steps.ref, strict=True) if steps else ():
        found.append(Finding(since, (ref,), until, numbers={"device": source, "offset": minutes(back), "since": known.clock(since), "turn": "back"}, variant="back"))
    return Judged(tuple(sorted(found, key=lambda f: f.start)))


def _days(known: Known, source: str, days: list[Said], name: str) -> Judged:
    found, wake = [], None
    for said in days:
        end = known.midnight(date.fromordinal(said.day + 1))
        numbers = {"source": source, name: ", ".join(said.what), "count": about(said.count)}
        found.append(Finding(said.since, (said.ref,), end if known.now >= end else None, numbers=numbers))
        wake = end if known.now < end else wake
    return Judged(tuple(found), wake)


def judge_words(known: Known, source: str) -> Judged:
    """DQ-WORD: a source writes fields in words that are not ours; what was understood counts, what was not is unknown. One alert a day."""
    return _days(known, source, known.site.words.get(source, []), "fields")


def judge_aside(known: Known, source: str) -> Judged:
    """SYS-ASIDE: something that a source said could not be judged and was set aside; everything else is judged on. One alert a day."""
    return _days(known, source, known.site.asides.get(source, []), "what")


def judge_lost(known: Known, site: str) -> Judged:
    """SYS-LOST: a log of ours goes on before the place that was read: its end is lost, and what was said there is unknown unless it comes again. One alert a day."""
    return _days(known, site, known.site.lost, "logs")


RULES = (
    Rule("DQ-CLOCK", "source", 3, frozenset({"clock"}), judge_ahead, "our rule", OURS, "C", "", ("N31", "B05"), apart=("turn",), takes=("clock_off",)),
    Rule("DQ-WORD", "source", 3, frozenset({"words"}), judge_words, "our rule", OURS, "C", "", ("B06", "B18", "B23")),
    Rule("SYS-ASIDE", "source", 2, frozenset({"words"}), judge_aside, "our rule", OURS, "C", "", ("B23",)),
    Rule("DQ-SILENT", "channel", 3, frozenset({"gas"}), judge_channel, "a blind sensor is a safety alert: our rule", OURS, "C", "", ("S62",), silence=True, apart=("tag",), takes=("detector_silent",)),
    Rule("DQ-SILENT", "permit", 2, frozenset({"permit", "guard", "seen", "clock", "dark"}), judge_tag, "AQ 3064.3 7.2.1 (upload 30/min)", "AQ 3064.3-2025", "A", "", ("S19",), silence=True, apart=("tag",), takes=("tag_silent",)),
    Rule("DQ-UNBOUND", "permit", 3, frozenset({"permit"}), judge_unbound, "our rule", OURS, "C", "", ("U01",)),
    Rule("DQ-CLOCK", "device", 3, frozenset({"clock"}), judge_clock, "our figure", OURS, "C", "", ("S09",), takes=("camera_clock_off", "clock_off",)),
    Rule("DQ-SEQ", "series", 3, frozenset({"holes"}), judge_holes, "our rule", OURS, "C", "", ("R-SEQ",)),
    Rule("DQ-LATE", "source", 3, frozenset({"late"}), judge_late, "our figure", OURS, "C", "", ("R-LATE",), takes=("late_fact",)),
    Rule("DQ-DUP", "source", 3, frozenset({"late"}), judge_repeats, "our figure", OURS, "C", "", ("R-DUPS",), fleeting=True, takes=("repeats",)),
    Rule("SYS-CHAIN", "site", 2, frozenset({"site"}), judge_chain, "our rule", OURS, "C", "", ("S72",), apart=("link",)),
    Rule("SYS-LOST", "site", 2, frozenset({"site"}), judge_lost, "our rule", OURS, "C", "", ("B-F2",)),
    Rule("SYS-LAG", "site", 2, frozenset({"dark"}), judge_lag, "our rule", OURS, "C", "", ("R-LAG",)),
)
