"""At the door: who may pass, who may not, and what an attempt reveals about certificates and permits."""

from __future__ import annotations

from datetime import date

from streams.course import Course
from streams.events import Certificate, Scan
from streams.rules.limits import TRADE
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule
from streams.times import Stamp, Truth, before, exactly
from streams.work import Fact

OPEN = frozenset({"requested", "issued", "active", "suspended"})


def permits_of(known: Known, worker: str, points: list[str]) -> list[Course]:
    """The courses at these points that name the worker, as worker or guardian."""
    courses = [known.course(permit) for permit in known.site.named.get(worker, ())]
    return [c for c in courses if c.point_id in points and c.request and (worker in c.request.workers or worker in c.request.guardians)]


def trades_asked(known: Known, worker: str, courses: list[Course]) -> list[str]:
    """The trades whose certificate the worker needs: those of the permits where he works, and his own."""
    asked = {TRADE[c.type] for c in courses if c.request and worker in c.request.workers and c.type in TRADE}
    person = known.site.people.get(worker)
    return sorted(asked | set(person.trades if person else ()))


def expired(known: Known, worker: str, trade: str, at: int) -> tuple[Fact, Certificate] | None:
    """The worker's best certificate of a trade if even that is no longer valid on the local day of `at`; None if one is, or none is known."""
    person = known.site.people.get(worker)
    held = [(f, f.event) for f in person.certificates if isinstance(f.event, Certificate) and f.event.trade == trade] if person else []
    if not held:
        return None
    fact, best = max(held, key=lambda pair: (pair[1].valid_to, pair[0].ref))
    today = known.local(at).date()
    return (fact, best) if date.fromisoformat(best.valid_to) < today or best.status != "valid" else None


def in_time(course: Course, at: Stamp) -> Truth:
    """Is a moment not after the permit's end of validity?"""
    return before(at, exactly(course.valid_to)) if course.valid_to is not None else Truth.UNKNOWN


def decide(known: Known, worker: str, door: str, direction: str, at: Stamp) -> tuple[str, list[str]]:
    """allow, deny or pending, with the codes of the reasons. Leaving is always allowed; what is not known is pending, never allow."""
    if direction == "out":
        return "allow", []
    if door not in known.atlas.doors:
        return "pending", ["DOOR-UNKNOWN"]
    points = known.atlas.behind(door)
    courses = [c for c in permits_of(known, worker, points) if c.status in OPEN]
    trades = trades_asked(known, worker, courses)
    if any(expired(known, worker, trade, at.at) for trade in trades):
        return "deny", ["CERT-EXP"]
    if not known.atlas.doors[door].points:
        return ("allow", []) if worker in known.site.people else ("pending", ["WORKER-UNKNOWN"])
    if not courses:
        return "deny", ["X-BADGE-NOPERMIT"]
    timely = max(in_time(c, at) for c in courses)
    if timely is Truth.FALSE:
        return "deny", ["X-BADGE-AFTER"]
    if timely is Truth.UNKNOWN:
        return "pending", ["CLOCK-UNSURE"]
    if _uncertified(known, worker, courses):
        return "pending", ["CERT-UNKNOWN"]
    return "allow", []


def _uncertified(known: Known, worker: str, courses: list[Course]) -> bool:
    """Does a permit ask for a certificate of which nothing is known?"""
    person = known.site.people.get(worker)
    held = {f.event.trade for f in person.certificates if isinstance(f.event, Certificate)} if person else set()
    asked = {TRADE[c.type] for c in courses if c.request and worker in c.request.workers and c.type in TRADE}
    return bool(asked - held)


def _entries(known: Known, worker: str) -> list[tuple[Fact, Scan]]:
    person = known.site.people.get(worker)
    return [(f, f.event) for f in person.scans if isinstance(f.event, Scan) and f.event.direction == "in"] if person else []


def judge_certificate(known: Known, worker: str) -> Judged:
    """CERT-EXP: somebody whose certificate has run out comes to work; one alert a local day."""
    found: dict[date, Finding] = {}
    person = known.site.people.get(worker)
    if person is None or not person.certificates:
        return NOTHING
    for fact, scan in _entries(known, worker):
        at = known.site.stamp(fact).at
        courses = permits_of(known, worker, known.atlas.behind(scan.door))
        for trade in trades_asked(known, worker, courses):
            gone = expired(known, worker, trade, at)
            if gone and known.local(at).date() not in found:
                numbers = {"worker": worker, "trade": trade, "number": gone[1].number, "valid_to": gone[1].valid_to, "door": scan.door}
                point, permit = (courses[0].point_id, courses[0].permit) if courses else ("", "")
                found[known.local(at).date()] = Finding(at, (fact.ref, gone[0].ref), numbers=numbers, permit=permit, point=point,
                                                        requests=(("access.deny", worker), ("authorization.freeze", worker)))  # fmt: skip
    return Judged(tuple(found.values()))


def judge_after(known: Known, worker: str) -> Judged:
    """X-BADGE-AFTER: somebody comes in after the validity of all permits that name him there."""
    found: dict[str, Finding] = {}
    if worker not in known.site.named:
        return NOTHING
    for fact, scan in _entries(known, worker):
        at = known.site.stamp(fact)
        points = known.atlas.doors[scan.door].points if scan.door in known.atlas.doors else []
        courses = [c for c in permits_of(known, worker, points) if c.valid_to is not None]
        if not courses or any(in_time(c, at) is not Truth.FALSE for c in courses):
            continue
        last = max(courses, key=lambda c: (c.valid_to or 0, c.permit))
        if last.permit not in found:
            numbers = {"worker": worker, "permit": last.permit, "valid_to": known.clock(last.valid_to), "at": known.clock(at.at), "door": scan.door}
            found[last.permit] = Finding(at.at, (fact.ref, last.request_ref), numbers=numbers, permit=last.permit, point=last.point_id,
                                         requests=(("access.deny", worker),))  # fmt: skip
    return Judged(tuple(found.values())) if found else NOTHING


CAUSES: frozenset[Cause] = frozenset({"scan", "roster", "permit"})
RULES = (
    Rule("CERT-EXP", "scan", 2, CAUSES, judge_certificate, "4.9; AQ 3064.2 A.4 51", "GB 30871-2022", "A", "51", ("S11",)),
    Rule("X-BADGE-AFTER", "scan", 2, CAUSES, judge_after, "4.16; door rule of the site", "GB 30871-2022", "C", "", ("S50",)),
)
