"""At the door: who may pass, who may not, and what an attempt reveals about certificates and permits."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Container, Iterator
from datetime import date

from msgspec import Struct

from streams.course import Course
from streams.events import Certificate, Done, Scan, Step, Worker
from streams.lives import TOOLS, number_of
from streams.plant import Door
from streams.rules.certificates import lasting, lasts
from streams.rules.limits import CONFINED, HOT
from streams.rules.permit import valid_until
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, minutes
from streams.times import HOUR, Stamp, Truth, before, exactly
from streams.words import ROLE
from streams.work import Fact

LATELY = 12 * HOUR
"""Whoever comes so long after the end of a permit does not come because of it."""
REMEMBERED = 48 * HOUR
"""How long after a scan the permits that could justify it are surely remembered."""


CLOSED = ("accepted", "cancelled", "rejected")
"""The steps by which a permit is over."""
HELPERS = frozenset(ROLE)
"""Roles that pass every door."""


def helper(known: Known, worker: str) -> bool:
    """Has a roster source given the person the role of rescue or fire?"""
    person, plant = known.site.people.get(worker), known.site.plant
    said = [f.event for f in (person.listed if person else ()) if plant and f.source in plant.roster]
    return bool(said) and isinstance(said[-1], Worker) and bool(HELPERS & set(said[-1].roles))


def watching(known: Known, course: Course, worker: str, at: int) -> bool:
    """Is somebody the guardian of hot work that is finished and still has to be watched?"""
    if course.request is None or course.finished is None or course.type not in HOT:
        return False
    mine = worker in course.request.guardians or any(p.worker == worker for p in course.posts)
    return mine and course.finished.at <= at <= course.finished.at + known.terms_of(course).ms["post_watch"]


def permits_of(known: Known, worker: str, points: list[str], at: int) -> list[Course]:
    """The courses at these points that name the worker (in a confined space as worker or guardian), and were not over long before a moment."""
    courses = [known.course(permit) for permit in known.site.named.get(worker, ())]
    return [c for c in courses if c.point_id in points and c.request and worker in c.everybody and (c.type != CONFINED or worker in c.people or any(p.worker == worker for p in c.posts)) and max(c.valid_to or 0, c.over_at or 0) >= at - LATELY]


def trades_asked(known: Known, worker: str, courses: list[Course]) -> list[str]:
    """The trades whose certificate the worker needs: those of the permits where he works, and his own."""
    person = known.site.people.get(worker)
    return sorted(_asked(known, worker, courses) | set(person.trades if person else ()))


def _asked(known: Known, worker: str, courses: list[Course]) -> set[str]:
    return {t for c in courses if c.request and worker in c.request.workers for t in known.terms_of(c).pack.trades.get(c.type, ())}


def expired(known: Known, worker: str, trade: str, at: int) -> tuple[Fact, Certificate] | None:
    """The worker's best certificate of a trade if even that is no longer good at a moment; None if one is, or none is known."""
    mine = lasting(known, worker, trade)
    return mine if mine and lasts(known, *mine) <= at else None


def in_time(known: Known, course: Course, at: Stamp) -> Truth:
    """Is a moment not after the permit's end of validity, as declared or as its type allows?"""
    until = valid_until(known, course)
    return before(at, exactly(until)) if until else Truth.UNKNOWN


class Entrance(Struct, frozen=True):
    """Somebody came in: by which scan, when, by which door (None: one that nobody described)."""

    fact: Fact
    at: Stamp
    name: str
    door: Door | None


def _entrances(known: Known, worker: str) -> list[Entrance]:
    """Every time that somebody is known to have come in, read once a turn."""
    doors, stamp = known.atlas.doors, known.site.stamp
    return known.once("entrances", worker, lambda: [Entrance(f, stamp(f), s.door, doors.get(s.door)) for f, s in _scans(known, worker, "in")])


def _scans(known: Known, worker: str, direction: str) -> Iterator[tuple[Fact, Scan]]:
    person = known.site.people.get(worker)
    return ((f, f.event) for f in (person.scans if person else ()) if isinstance(f.event, Scan) and f.event.direction == direction)


def _left(known: Known, worker: str, at: int) -> int | None:
    """When somebody who came in scanned out again."""
    exits = known.once("exits", worker, lambda: sorted(known.site.counts(f, relief=True) for f, _ in _scans(known, worker, "out")))
    after = bisect_right(exits, at)
    return exits[after] if after < len(exits) else None


def judge_certificate(known: Known, worker: str) -> Judged:
    """CERT-EXP: somebody whose certificate has run out comes to work (not into a shelter); one alert a local day."""
    found: dict[date, Finding] = {}
    person = known.site.people.get(worker)
    if person is None or not person.certificates:
        return NOTHING
    for entrance in _entrances(known, worker):
        if entrance.door is not None and entrance.door.shelter:
            continue
        fact, at = entrance.fact, entrance.at.at
        courses = permits_of(known, worker, known.atlas.behind(entrance.name), at)
        for trade in trades_asked(known, worker, courses):
            gone = expired(known, worker, trade, at)
            if gone and known.local(at).date() not in found:
                numbers = {"worker": worker, "trade": trade, "number": gone[1].number, "valid_to": gone[1].valid_to, "door": entrance.name, "day": str(known.local(at).date())}
                point, permit = (courses[0].point_id, courses[0].permit) if courses else ("", "")
                found[known.local(at).date()] = Finding(at, (fact.ref, gone[0].ref), _left(known, worker, at), numbers=numbers, permit=permit, point=point,
                                                        requests=(("access.deny", worker), ("authorization.freeze", worker)))  # fmt: skip
    return Judged(tuple(found.values()))


def judge_after(known: Known, worker: str) -> Judged:
    """X-BADGE-AFTER: somebody comes in after the validity of all permits that name him there."""
    found: dict[str, Finding] = {}
    if worker not in known.site.named:
        return NOTHING
    for entrance in _entrances(known, worker):
        if entrance.door is None or not entrance.door.points:
            continue
        at = entrance.at
        courses = [c for c in permits_of(known, worker, entrance.door.points, at.at) if c.valid_to is not None]
        if not courses or any(in_time(known, c, at) is not Truth.FALSE or watching(known, c, worker, at.at) for c in courses):
            continue
        last = max(courses, key=lambda c: (c.valid_to or 0, c.permit))
        if last.permit not in found:
            numbers = {"worker": worker, "permit": last.permit, "valid_to": known.clock(valid_until(known, last)), "at": known.clock(at.at), "door": entrance.name}
            found[last.permit] = Finding(at.at, (entrance.fact.ref, last.request_ref), _left(known, worker, at.at), numbers=numbers, permit=last.permit, point=last.point_id,
                                         requests=(("access.deny", worker),))  # fmt: skip
    return Judged(tuple(found.values())) if found else NOTHING


def _counts(known: Known, course: Course, worker: str, at: Stamp) -> bool:
    """Does a permit stand for somebody who comes in: it is not over, or he watches after hot work, or he comes after its validity, which is X-BADGE-AFTER's?"""
    return course.over_at is None or at.lo < course.over_at or watching(known, course, worker, at.at) or in_time(known, course, at) is Truth.FALSE


def judge_no_permit(known: Known, worker: str) -> Judged:
    """X-BADGE-NOPERMIT: somebody comes in where only those may whom a permit names that is not over."""
    found: list[Finding] = []
    if helper(known, worker):
        return NOTHING
    for entrance in _entrances(known, worker):
        door, at = entrance.door, entrance.at.at
        if door is None or door.shelter or not door.points or at < known.now - REMEMBERED:
            continue
        named = permits_of(known, worker, door.points, at)
        if any(_counts(known, c, worker, entrance.at) for c in named):
            continue
        over = (r for c in named for r in known.refs(c.permit, *CLOSED))
        numbers = {"worker": worker, "door": entrance.name, "at": known.clock(at)}
        found.append(Finding(at, (entrance.fact.ref, *over), _left(known, worker, at), numbers=numbers, point=door.points[0], requests=(("access.deny", worker),)))
    return Judged(tuple(found)) if found else NOTHING


class Stay(Struct, frozen=True):
    """A time inside, by true time: by which scans somebody came in, from when, until when (None: he is there still)."""

    entries: tuple[Fact, ...]
    since: int
    until: int | None


def stays(known: Known, worker: str, doors: Container[str]) -> Iterator[Stay]:
    """The times that somebody was behind doors, by their scans; where two clocks cannot say whether he came or went last, he is inside (`domain.md` 4.5); of one source its numbers say it."""
    person = known.site.people.get(worker)
    passes = sorted(((known.site.stamp(f), f) for f in person.scans if isinstance(f.event, Scan) and f.event.door in doors), key=lambda p: (p[0].at, p[1].source, p[1].seq)) if person else []
    entries: list[Fact] = []
    latest: dict[str, int] = {}
    for at, fact in passes:
        if fact.event.direction == "in":  # type: ignore[union-attr]
            entries.append(fact)
            latest[fact.source] = max(at.hi, latest.get(fact.source, at.hi))
        elif entries and all(hi < at.lo for source, hi in latest.items() if source != fact.source):
            yield Stay(tuple(entries), (first := known.site.counts(entries[0])), max(first, known.site.counts(fact, relief=True)))
            entries = []
            latest.clear()
    if entries:
        yield Stay(tuple(entries), known.site.counts(entries[0]), None)


def inside_at(known: Known, course: Course, at: int) -> Iterator[tuple[str, Fact, int | None]]:
    """(worker, the last scan that let him in, when he came out or None) for everybody who was inside a permit's work point at a moment, by its doors."""
    doors = known.atlas.doors_of_point.get(course.point_id, set())
    for worker in sorted(course.people | {w for d in doors for w in known.site.visitors.get(d, ())}):
        for stay in stays(known, worker, doors):
            if stay.since <= at and (stay.until is None or stay.until > at):
                yield worker, [f for f in stay.entries if known.site.counts(f) <= at][-1], stay.until


def left_inside(known: Known, course: Course, at: int) -> Iterator[tuple[str, Fact, int | None]]:
    """Of those inside at a moment whom no other permit there, approved and not over, lets be there, nor the fire watch."""
    return (one for one in inside_at(known, course, at) if not _elsewhere(known, course, one[0], at))


def _elsewhere(known: Known, course: Course, worker: str, at: int) -> bool:
    """Is somebody inside a work point by another permit, or for the fire watch?"""
    others = (known.course(p) for p in known.site.named.get(worker, ()) if p != course.permit)
    return any(c.point_id == course.point_id and worker in c.people and _lets_in(known, c, at) for c in others) or watching(known, course, worker, at)


def inside_between(known: Known, course: Course, since: int, until: int) -> Iterator[tuple[Fact, int, int]]:
    """(the scan that let him in, from when, until when: ms) of everybody inside a permit's work point within a time whom no other permit lets be there."""
    doors = known.atlas.doors_of_point.get(course.point_id, set())
    for worker in sorted(course.people | {w for d in doors for w in known.site.visitors.get(d, ())}):
        for stay in stays(known, worker, doors):
            start, end = max(stay.since, since), until if stay.until is None else min(stay.until, until)
            if start < end and not _elsewhere(known, course, worker, start):
                yield stay.entries[-1], start, end


def _lets_in(known: Known, course: Course, at: int) -> bool:
    """Was a permit approved, valid and not over at a moment?"""
    if course.issued is None or course.issued.at > at or course.request is None or (course.over_at is not None and course.over_at <= at):
        return False
    return course.request.valid_from <= at <= (valid_until(known, course) or 0)


def tools_inside(known: Known, permit: str, at: int) -> tuple[str, ...]:
    """The tools that the register of a permit's number has inside at a moment, each as often as it is there; one without a name is "?"."""
    ticket, there = known.site.tickets.get(number_of(permit)), Counter[str]()
    said = [(known.site.counts(f, f.event.step == "tools_out"), f.source, f.seq, f.event) for f in (ticket.facts if ticket else ()) if isinstance(f.event, Step) and f.event.step in TOOLS]
    for moment, _, _, step in sorted(said, key=lambda one: one[:3]):
        if moment > at:
            break
        names = [" ".join(name.split()).casefold() for name in step.tools]
        if step.step == "tools_in":
            there.update(names or ["?"])
        else:
            there = there - Counter(names) if names else Counter()
    return tuple(sorted(there.elements()))


def roll_calls(known: Known, course: Course) -> list[tuple[int, int]]:
    """(from when it is believed, up to when who came in was counted) of each signed roll call of a permit's work point."""
    asked = (facts for command, facts in known.site.done.items() if ":roll_call:" in command and command.endswith(f":{course.point_id}"))
    signed = (f for facts in asked for f in facts if isinstance(f.event, Done) and f.event.outcome == "done" and f.event.by)
    return sorted((known.site.counts(f, relief=True), known.site.counts(f)) for f in signed)


def missed(known: Known, course: Course, at: int) -> Iterator[tuple[str, Fact, int | None]]:
    """Of those left inside at a moment, whoever came in after the last roll call that somebody signed."""
    called = max((counted for believed, counted in roll_calls(known, course) if believed <= at), default=0)
    return (one for one in left_inside(known, course, at) if known.site.counts(one[1]) > called)


def _tools_left(known: Known, course: Course, closed: int) -> Iterator[Finding]:
    """Tools that were inside when the permit was closed, until the register has them all out."""
    if not (left := tools_inside(known, course.permit, closed)):
        return
    facts = known.site.tickets[number_of(course.permit)].facts
    later = sorted(at for f in facts if isinstance(f.event, Step) and f.event.step == "tools_out" and (at := known.site.counts(f, relief=True)) > closed)
    out = next((at for at in later if not tools_inside(known, course.permit, at)), None)
    named = ", ".join(f"{name} ×{n}" if n > 1 else name for name, n in Counter(left).items())
    refs = (*(f.ref for f in facts if isinstance(f.event, Step) and f.event.step == "tools_in"), *known.refs(course.permit, *CLOSED))
    numbers = {"permit": course.permit, "worker": "", "tools": named, "count": len(left), "closed": known.clock(closed), "how": course.over[1] if course.over else ""}
    yield Finding(closed, refs, out, 2 if course.type == CONFINED else 3, numbers, course.permit, course.point_id, variant="tools", requests=(("permit.block", course.permit),))


def judge_signed_out(known: Known, permit: str) -> Judged:
    """X-SIGNOUT: the permit was closed or called off and somebody has not scanned out (P1 in a confined space), or tools are inside (P2 there)."""
    course = known.course(permit)
    found: list[Finding] = []
    if course.over is None or course.request is None:
        return NOTHING
    closed, how = course.over
    called = min((believed for believed, counted in roll_calls(known, course) if counted > closed), default=None)
    for worker, fact, out in missed(known, course, closed):
        over = min((m for m in (out, called) if m is not None), default=None)
        numbers = {"permit": permit, "worker": worker, "since": known.clock(known.site.counts(fact)), "closed": known.clock(closed), "how": how}
        found.append(Finding(closed, (fact.ref, *known.refs(permit, *CLOSED)), over, 1 if course.type == CONFINED else 3, numbers, permit, course.point_id,
                             requests=(("roll_call", course.point_id), ("permit.block", permit))))  # fmt: skip
    return Judged((*found, *_tools_left(known, course, closed)))


def judge_overstay(known: Known, permit: str) -> Judged:
    """X-OVERSTAY: the validity has ended and somebody is still inside the work point."""
    course = known.course(permit)
    until = valid_until(known, course)
    if until is None:
        return NOTHING
    due = until + known.terms_now().ms["overstay"]
    if known.now <= due and course.over_at is None:
        return Judged(wake=due + 1) if known.atlas.doors_of_point.get(course.point_id) else NOTHING
    if course.over_at is not None and course.over_at <= due:
        return NOTHING
    length = minutes(due - until)
    return Judged(tuple(
        Finding(due, (fact.ref, course.request_ref), out, numbers={"permit": permit, "worker": worker, "valid_to": known.clock(until), "length": length}, permit=permit)
        for worker, fact, out in left_inside(known, course, due)
    ))  # fmt: skip


CAUSES: frozenset[Cause] = frozenset({"scan", "roster", "permit"})
GB = "GB 30871-2022"
RULES = (
    Rule("CERT-EXP", "worker", 2, CAUSES, judge_certificate, "4.9; AQ 3064.2 A.4 51", GB, "A", "51", ("S11",), apart=("worker", "trade", "day"), others=True),
    Rule("X-BADGE-AFTER", "worker", 2, CAUSES, judge_after, "4.16; door rule of the site", GB, "C", "", ("S50",), apart=("permit",), takes=("post_watch", "valid_confined", "valid_first", "valid_height", "valid_power", "valid_second", "valid_special"), others=True),
    Rule("X-BADGE-NOPERMIT", "worker", 2, CAUSES, judge_no_permit, "door rule of the site", "PermitWatch", "C", "", ("S51",), apart=("door", "at"), others=True),
    Rule("X-SIGNOUT", "permit", 3, frozenset({"permit", "seen", "scan"}), judge_signed_out, "6.8; AQ 3064.2 5.6.6", GB, "A", "", ("S52",), apart=("worker",), takes=("post_watch", "valid_confined", "valid_first", "valid_height", "valid_power", "valid_second", "valid_special"), others=True),
    Rule("X-OVERSTAY", "permit", 2, frozenset({"permit", "seen", "scan"}), judge_overstay, "6.8; AQ 3064.3 stay 2", GB, "C", "", ("R-STAY",), apart=("worker",), takes=("overstay", "post_watch", "valid_confined", "valid_first", "valid_height", "valid_power", "valid_second", "valid_special"), others=True),
)
