"""Where people are: forbidden zones, stays, crowds, missing hands, people who do not move, calls for help."""

from __future__ import annotations

import math
from collections.abc import Iterator

from streams.course import Course
from streams.events import TagSaid
from streams.plant import Zone
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, minutes, wake_at
from streams.spans import Spans
from streams.times import SECOND
from streams.work import JOIN_ZONE

AQ3 = "AQ 3064.3-2025"
ZONE: frozenset[Cause] = frozenset({"position"})


def _named_inside(known: Known, zone: Zone) -> set[str]:
    """Those whom an open permit names at a work point inside the zone."""
    out: set[str] = set()
    for point in known.atlas.plant.points:
        if zone.x <= point.x <= zone.x + zone.w and zone.y <= point.y <= zone.y + zone.h:
            for course in known.at(point.id):
                if course.open and course.issued is not None:
                    out |= course.people
    return out


def _stays(known: Known, zone: str) -> Iterator[tuple[str, int, int, int | None, str]]:
    """(worker, from, last fix inside, to or None while he may still be there, evidence)."""
    for worker, spans in sorted(known.site.zones.get(zone, {}).items()):
        for first, last, ref in zip(spans.first, spans.last, spans.ref, strict=True):
            yield worker, first, last, None if last + JOIN_ZONE >= known.now else last, ref


def judge_intruder(known: Known, name: str) -> Judged:
    """X-ZONE: somebody is surely inside a restricted zone in which no permit names him (told within five seconds, AQ 3064.3 5.2.4)."""
    zone = known.atlas.zones.get(name)
    if zone is None or not zone.restricted:
        return NOTHING
    allowed, grace = {*zone.allowed, *_named_inside(known, zone)}, known.terms_now().ms["zone_grace"]
    found, wakes = [], []
    for worker, first, last, end, ref in _stays(known, name):
        if worker in allowed:
            continue
        if last - first >= grace:
            numbers = {"worker": worker, "zone": zone.id, "zh": zone.zh, "en": zone.en, "since": known.clock(first)}
            found.append(Finding(first, (ref,), end, numbers=numbers, area=zone.area, requests=(("siren.on", zone.id),)))
        wakes.append(known.now + (10 if last - first >= grace else 1) * SECOND if end is None else None)
    return Judged(tuple(sorted(found, key=lambda f: f.start)), wake_at(*wakes))


def judge_stay(known: Known, name: str) -> Judged:
    """X-STAY: somebody has been in a zone for longer than people should (AQ 3064.3: 滞留)."""
    zone, most = known.atlas.zones.get(name), known.terms_now().ms["stay"]
    if zone is None or not zone.restricted:
        return NOTHING
    found, wakes = [], []
    for worker, first, last, end, ref in _stays(known, name):
        if last - first >= most:
            numbers = {"worker": worker, "zh": zone.zh, "en": zone.en, "since": known.clock(first), "limit": minutes(most)}
            found.append(Finding(first + most, (ref,), end, numbers=numbers, area=zone.area))
        wakes.append(max(known.now + SECOND, first + most) if end is None else None)
    return Judged(tuple(sorted(found, key=lambda f: f.start)), wake_at(*wakes))


def _counts(spans: dict[str, Spans]) -> Iterator[tuple[int, int]]:
    """(moment, how many are inside from then on), in order, as long as stays are remembered."""
    marks = [mark for one in spans.values() for first, last in one for mark in ((first, 1), (last + JOIN_ZONE, -1))]
    inside = 0
    for at, step in sorted(marks):
        inside += step
        yield at, inside


def judge_crowd(known: Known, name: str) -> Judged:
    """X-CROWD: more people in a zone than it may hold (AQ 3064.3 zone type 1)."""
    zone = known.atlas.zones.get(name)
    if zone is None or zone.most is None:
        return NOTHING
    found: list[Finding] = []
    start, peak = None, 0
    for at, inside in _counts(known.site.zones.get(name, {})):
        if inside > zone.most and start is None:
            start, peak = at, inside
        elif inside <= zone.most and start is not None:
            found.append(_crowd(known, zone, start, at if at <= known.now else None, peak))
            start = None
        peak = max(peak, inside)
    return Judged(tuple(found), known.now + 10 * SECOND if any(f.end is None for f in found) else None)


def _crowd(known: Known, zone: Zone, start: int, end: int | None, peak: int) -> Finding:
    refs = tuple(r for spans in known.site.zones[zone.id].values() for a, b, r in zip(spans.first, spans.last, spans.ref, strict=True) if a <= start <= b + JOIN_ZONE)
    numbers = {"zh": zone.zh, "en": zone.en, "most": zone.most, "count": peak, "since": known.clock(start)}
    return Finding(start, tuple(sorted(refs)[:20]) or (known.site.plant_ref,), end, numbers=numbers, area=zone.area)


def judge_missing(known: Known, name: str) -> Judged:
    """X-MANNING: fewer people in a zone than it needs (AQ 3064.3 zone type 2); known only once somebody was seen there."""
    zone = known.atlas.zones.get(name)
    spans = known.site.zones.get(name, {})
    if zone is None or zone.least is None or not spans:
        return NOTHING
    found: list[Finding] = []
    start: int | None = None
    reached = False
    for at, inside in _counts(spans):
        reached = reached or inside >= zone.least
        if reached and inside < zone.least and start is None and at <= known.now:
            start = at
        elif inside >= zone.least and start is not None:
            found.append(_few(known, zone, start, at))
            start = None
    if start is not None:
        found.append(_few(known, zone, start, None))
    return Judged(tuple(found), min((at + 1 for one in spans.values() for at in (one.last[-1] + JOIN_ZONE,) if at >= known.now), default=None))


def _few(known: Known, zone: Zone, start: int, end: int | None) -> Finding:
    numbers = {"zh": zone.zh, "en": zone.en, "least": zone.least, "since": known.clock(start)}
    refs = sorted(r for spans in known.site.zones[zone.id].values() for r in spans.ref)
    return Finding(start, tuple(refs[:3]) or (known.site.plant_ref,), end, numbers=numbers, area=zone.area)


def judge_gathering(known: Known, name: str) -> Judged:
    """X-GATHER: three or more people within 15 m of each other for over a minute in a zone that forbids it (AQ 3064.3 3.5: 3 yellow, 4–6 orange, more red)."""
    zone = known.atlas.zones.get(name)
    if zone is None or zone.gather:
        return NOTHING
    terms, people = known.terms_now(), [w for w, first, last, end, _ in _stays(known, name) if end is None and last - first >= known.terms_now().ms["gather_time"]]
    places = {w: known.site.seen[w] for w in people if w in known.site.seen}
    best = max(([w for w, q in places.items() if math.dist(p[1:3], q[1:3]) <= terms["gather_radius"]] for p in places.values()), key=len, default=[])
    if len(best) < terms["gather_count"]:
        return Judged(wake=known.now + 10 * SECOND if any(end is None for _, _, _, end, _ in _stays(known, name)) else None)
    stays = {w: (first, ref) for w, first, _, end, ref in _stays(known, name) if end is None}
    start = max(stays[w][0] for w in best) + terms.ms["gather_time"]
    numbers = {"zh": zone.zh, "en": zone.en, "count": len(best), "radius": f"{terms['gather_radius']:g} m"}
    priority = 3 if len(best) == 3 else (2 if len(best) <= 6 else 1)
    return Judged((Finding(start, tuple(sorted(stays[w][1] for w in best)), None, priority, numbers, area=zone.area),), known.now + 10 * SECOND)


def _tag(known: Known, worker: str, what: str) -> list[tuple[int, int | None, str, TagSaid]]:
    """(from, to or None, evidence, what it said) of each time that a tag said so."""
    person, out = known.site.people.get(worker), list[tuple[int, int | None, str, TagSaid]]()
    for fact in person.tag if person else ():
        said = fact.event
        if not isinstance(said, TagSaid) or said.what != what:
            continue
        if not said.over and (not out or out[-1][1] is not None):
            out.append((known.site.counts(fact), None, fact.ref, said))
        elif said.over and out and out[-1][1] is None:
            out[-1] = (out[-1][0], max(out[-1][0], known.site.counts(fact, relief=True)), *out[-1][2:])
    return out


def _job(known: Known, worker: str, at: int) -> Course | None:
    return next((c for p in known.site.named.get(worker, ()) if (c := known.course(p)).started and c.started.at <= at and (c.finished is None or c.finished.at > at)), None)


def judge_still(known: Known, worker: str) -> Judged:
    """X-STILL: the motion sensor of a tag has seen no movement for minutes (positions cannot tell: their error is larger than a breath)."""
    limit, found, wakes = known.terms_now().ms["still"], [], []
    for start, end, ref, _ in _tag(known, worker, "still"):
        due = start + limit
        if (end if end is not None else known.now) < due:
            wakes.append(due if end is None else None)
            continue
        job = _job(known, worker, start)
        numbers = {"worker": worker, "since": known.clock(start), "limit": minutes(limit), "permit": job.permit if job else "—"}
        found.append(Finding(due, (ref,), end, numbers=numbers, permit=job.permit if job else ""))
    return Judged(tuple(found), wake_at(*wakes))


def judge_sos(known: Known, worker: str) -> Judged:
    """X-SOS: somebody pressed the button."""
    found = []
    for start, end, ref, said in _tag(known, worker, "sos"):
        job = _job(known, worker, start)
        numbers = {"worker": worker, "at": known.clock(start), "place": f"{said.x:.0f}, {said.y:.0f}" if said.x is not None and said.y is not None else "—"}
        found.append(Finding(start, (ref,), end, numbers=numbers, permit=job.permit if job else "",
                             requests=(("siren.on", job.point_id if job else worker),)))  # fmt: skip
    return Judged(tuple(found))


RULES = (
    Rule("X-ZONE", "zone", 2, ZONE, judge_intruder, "5.2.4; alarm type 1", AQ3, "A", "", ("R-ZONE",), apart=("worker",), takes=("zone_grace",)),
    Rule("X-STAY", "zone", 3, ZONE, judge_stay, "alarm type 2", AQ3, "A", "", ("R-ZONE",), apart=("worker",), takes=("stay",)),
    Rule("X-CROWD", "zone", 3, ZONE, judge_crowd, "zone alarm type 1", AQ3, "A", "", ("R-ZONE",)),
    Rule("X-MANNING", "zone", 3, ZONE, judge_missing, "zone alarm type 2", AQ3, "A", "", ("R-ZONE",)),
    Rule("X-GATHER", "zone", 3, ZONE, judge_gathering, "3.5, 5.2.3", AQ3, "A", "", ("R-GATHER",), fleeting=True, takes=("gather_count", "gather_radius", "gather_time",)),
    Rule("X-STILL", "worker", 2, frozenset({"roster"}), judge_still, "alarm type 3", AQ3, "A", "", ("R-STILL",), takes=("still",), others=True),
    Rule("X-SOS", "worker", 1, frozenset({"roster"}), judge_sos, "alarm type 0", AQ3, "A", "", ("R-SOS",), others=True),
)
