"""The gates: who may enter, and whether a permit may be asked for, issued, started, resumed or closed; from the same facts and functions as the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from msgspec.structs import replace

from streams import events as e
from streams.course import MOVES, Course, Pause, named_by
from streams.gases import limit_of
from streams.lives import life_of, number_of, subject_of
from streams.rules.access import LATELY, expired, helper, in_time, inside_at, missed, tools_inside, watching
from streams.rules.certificates import best, ends_at, held, last_day, left_at, papers
from streams.rules.evidence import five_dimensions, three_and_one
from streams.rules.gas import fresh, retested, slept, tested, tested_today
from streams.rules.level import codes_at, computed_level
from streams.rules.limits import BLINDING, CONFINED, HOT, SPECIAL
from streams.rules.people import colour, runs_out
from streams.rules.permit import judge_change
from streams.rules.preparation import missing_links, needed_devices, unrelated
from streams.rules.process import openings, own_work, words_of
from streams.rules.readings import gas_tags, heard, judge_limit, testing, unseen
from streams.rules.rule import Known
from streams.rules.simops import conflicts, hard_now, judge_duplicate
from streams.rules.weather import stands, stops, windy
from streams.times import MINUTE, SECOND, Stamp, Truth, before, exactly
from streams.words import FOREVER, TYPE
from streams.work import Series, approved_as, relied_on

Gate = Literal["entry", "leave", "application", "issue", "start", "resume", "close"]
GATES: Final[tuple[Gate, ...]] = ("entry", "leave", "application", "issue", "start", "resume", "close")
Says = Literal["allow", "deny", "pending"]
Reason = tuple[str, Truth]
"""(code, FALSE: it forbids, UNKNOWN: it cannot be told)"""
ORDER: Final = (
    "X-LEAVER", "ACCOUNT-OFF", "DOOR-UNKNOWN", "WORKER-UNKNOWN", "CODE-RED", "X-CONTR", "CERT-EXP", "CERT-NONE", "CERT-MISM", "CERT-UNKNOWN", "X-CERT-SHORT",
    "PERMIT-UNKNOWN", "TYPE-UNKNOWN", "FIELD-UNREAD", "POINT-UNKNOWN", "X-BADGE-NOPERMIT", "NOT-APPROVED", "X-BADGE-BEFORE", "X-BADGE-AFTER", "CLOCK-UNSURE", "SUSPENDED", "LOCKED", "STEP-UNKNOWN", "X-CHG", "NOT-SUSPENDED", "GUARDIAN-INSIDE", "GUARD-NONE",
    "X-FORBID", "X-LEVEL", "UPG-HOL", "UPG-REST", "UPG-NIGHT", "UPG-EVENT", "BLIND-ONE", "X-DUP", "JSA-NONE", "MEAS-NONE", "BRIEF-NONE", "LINK-MISS", "LINK-UNREL", "X-BIND",
    "GAS-NONE", "GAS-UNREAD", "GAS-STALE", "GAS-INTERRUPT", "GAS-DAILY", "X-DCS-OPEN", "EVACUATE", "X-GAS-LIM", "X-GAS-GAP", "X-WX", "X-WIND", "X-SIMOPS-H",
    "NOT-FINISHED", "X-SIGNOUT", "TOOLS-INSIDE", "X-WATCH", "X-EVID-3P1R", "X-EVID-5D", "EVID-MISSING", "SYS-LAG",
)  # fmt: skip
"""Reasons in order of cause."""
CAUSED: Final = {"GAS-STALE": ("GAS-NONE",), "X-GAS-GAP": ("X-GAS-LIM",), "X-GAS-LIM": (), "CERT-MISM": ("CERT-NONE",), "X-CERT-SHORT": ("CERT-EXP",), "CODE-RED": ("X-LEAVER", "ACCOUNT-OFF", "CERT-EXP", "CERT-NONE"), "EVACUATE": ()}
"""A code that another, listed one has caused is not listed again."""
PREPARING: Final = ("guardians", "approvers", "testers", "isolators")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: which gate, of whom, at which door, for which permit, when."""

    gate: Gate = "entry"
    worker: str = ""
    door: str = ""
    permit: str = ""
    at: Stamp = field(default_factory=lambda: exactly(0))
    request: e.Requested | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """allow, deny or pending; the codes of the reasons in order of cause; `mode`: full, or what could not be looked at; who (and which tools) is meant, where names matter."""

    answer: Says
    reasons: tuple[str, ...] = ()
    mode: str = "full"
    names: tuple[str, ...] = ()


def decide(known: Known, q: Question, sighted: bool = False) -> Answer:
    """The answer at a gate. Leaving, and going into a shelter, is always allowed, and so are rescuers; what is not known is pending, never allow. `sighted`: as if we had not been blind then."""
    if (free := always(known, q)) is not None:
        return free
    said = _entry(known, q) if q.gate == "entry" else _of_permit(known, q)
    return said if sighted else _mode(known, q, said)


def always(known: Known, q: Question) -> Answer | None:
    """The answer to whoever is let through whatever is known, of him or of us: who leaves, who comes to a shelter, rescuers; None for all others."""
    if q.gate == "leave" or (q.gate == "entry" and (door := known.atlas.doors.get(q.door)) and door.shelter):
        return Answer("allow")
    if q.gate == "entry" and helper(known, q.worker):
        return Answer("allow", () if alarmed(known, known.atlas.behind(q.door)) else ("X-RESCUE",))
    return None


def _of_permit(known: Known, q: Question) -> Answer:
    if q.gate == "application":
        return _answer(_application(known, q))
    permit = _open_life(known, q.permit) if q.gate == "close" else known.site.latest(q.permit)
    if permit not in known.site.works or known.course(permit).request is None:
        return Answer("pending", ("PERMIT-UNKNOWN",))
    asked: dict[str, Callable[[Known, Course, Stamp], Iterable[Reason]]] = {"issue": _issue, "start": _start, "resume": _resume, "close": _close}
    course = known.course(permit)
    said = _answer(asked[q.gate](known, course, q.at))
    people = [worker for worker, *_ in missed(known, course, q.at.at)] if "X-SIGNOUT" in said.reasons else []
    names = (*people, *(tools_inside(known, course.permit, q.at.at) if "TOOLS-INSIDE" in said.reasons else ()))
    return Answer(said.answer, said.reasons, said.mode, names)


def _open_life(known: Known, permit: str) -> str:
    """The last life of a number that has begun and is not accepted; else the last."""
    last = known.site.latest(permit)
    lives = (subject_of(number_of(last), n) for n in range(life_of(last), 0, -1))
    return next((s for s in lives if s in known.site.works and (c := known.course(s)).started and c.accepted is None and not c.ended), last)


def _answer(found: Iterable[Reason]) -> Answer:
    worst = list(found)
    reasons = ordered(code for code, _ in worst)
    if any(truth is Truth.FALSE for _, truth in worst):
        return Answer("deny", reasons)
    return Answer("pending" if worst else "allow", reasons)


def ordered(codes: Iterable[str]) -> tuple[str, ...]:
    """Each code once, by cause, without those that a listed one has caused."""
    place = {code: i for i, code in enumerate(ORDER)}
    there = sorted(set(codes), key=lambda c: (place.get(c, len(ORDER)), c))
    return tuple(c for c in there if not any(cause in there for cause in CAUSED.get(c, ())))


def _mode(known: Known, q: Question, said: Answer) -> Answer:
    """In which mode it was answered: where we ourselves were blind at that moment, no *allow* is given on what we could not see."""
    site = known.site
    if site.blind.hi and site.blind.hi[-1] >= max(site.now, q.at.at) - 10 * SECOND:
        answer: Says = "pending" if said.answer == "allow" else said.answer
        return Answer(answer, ordered((*said.reasons, *(("SYS-LAG",) if answer != said.answer else ()))), "blind", said.names)
    return said


# ---- persons -------------------------------------------------------------------------------------------------------------


def account(known: Known, worker: str, at: int) -> Iterator[Reason]:
    """Left, or the account switched off."""
    if (left := left_at(known, worker)) and left[0] <= at:
        yield "X-LEAVER", Truth.FALSE
    person = known.site.people.get(worker)
    switched = ((f, not f.event.active) for f in (person.authorisations if person else ()) if isinstance(f.event, e.Authorisation))
    if known.site.stands(switched, at):
        yield "ACCOUNT-OFF", Truth.FALSE


def person_code(known: Known, worker: str, at: int) -> tuple[str, list[str]]:
    """(green, yellow, red or grey; what is wrong) for a person (000-27): only papers that a source has ever listed count; in the trades that are his or that a permit asks of him."""
    person = known.site.people.get(worker)
    told = [c for _, c in papers(known, worker)]
    if not told or person is None:
        return "grey", ["unknown"]
    wrong, mend, mine = [], [], set(person.trades) or {c.trade for c in told}
    for trade in sorted({c.trade for c in told} & mine):
        if (gone := expired(known, worker, trade, at)) is None:
            mend += [trade] if all(last_day(c) is None for c in told if c.trade == trade) else []
        elif gone[1].status in ("re-examination", "review overdue"):
            mend.append(trade)
        else:
            wrong.append(trade)
    return ("red", wrong + mend) if wrong or len(mend) > 1 else (("yellow", mend) if mend else ("green", []))


def paper_ends(known: Known, kind: str, who: str) -> Iterator[int]:
    """When a paper of a person or a contractor runs out (ms)."""
    if kind == "person":
        yield from (ends_at(known, c) for _, c in held(known, who))
        return
    for fact in known.site.contractors.get(who, ()):
        yield from runs_out(known, fact)


def _person(known: Known, worker: str, at: int, trades: Iterable[str] = ()) -> Iterator[Reason]:
    """Account, code, and the certificates of the trades that are asked."""
    yield from account(known, worker, at)
    gone = [trade for trade in {*trades, *_own(known, worker)} if expired(known, worker, trade, at)]
    yield from (("CERT-EXP", Truth.FALSE) for _ in gone)
    if person_code(known, worker, at)[0] == "red" and not any(trade in gone for trade in _own(known, worker)):
        yield "CODE-RED", Truth.FALSE
    person = known.site.people.get(worker)
    if person and person.employer and colour(known, person.employer, at)[0] == "red":
        yield "X-CONTR", Truth.FALSE
    for trade in trades:
        if expired(known, worker, trade, at) is None and best(known, worker, trade) is None:
            yield _uncertified(known, worker)


def _own(known: Known, worker: str) -> list[str]:
    person = known.site.people.get(worker)
    return person.trades if person else []


def _uncertified(known: Known, worker: str) -> Reason:
    """No certificate of the trade: none at all, only others, or nothing that was ever told."""
    person = known.site.people.get(worker)
    if held(known, worker):
        return "CERT-MISM", Truth.FALSE
    if person and person.listed and not person.certificates:
        return "CERT-NONE", Truth.FALSE
    return "CERT-UNKNOWN", Truth.UNKNOWN


def _trades(known: Known, type: str) -> list[str]:
    return known.terms_now().pack.trades.get(type, [])


def _everybody(known: Known, course: Course, at: int) -> Iterator[Reason]:
    """Everyone on the permit: its workers with the trades of its type, its guardians, its contractor."""
    request = course.request
    if request is None:
        return
    for worker in dict.fromkeys((*request.workers, *request.guardians, *(p.worker for p in course.posts if p.until is None))):
        yield from _person(known, worker, at, _trades(known, course.type) if worker in request.workers else ())
    if request.contractor and colour(known, request.contractor, at)[0] == "red":
        yield "X-CONTR", Truth.FALSE


# ---- entry ---------------------------------------------------------------------------------------------------------------


def alarmed(known: Known, points: Iterable[str]) -> bool:
    """Does a P1 that asked for a siren or an evacuation stand at one of these points, or in its area?"""
    mine = set(points)
    areas = {known.atlas.place(p)[0] for p in mine} - {""}
    return any(alert.point in mine or (not alert.point and alert.area in areas) for alert in known.alarms.values())


def _entry(known: Known, q: Question) -> Answer:
    door, at = known.atlas.doors.get(q.door), q.at
    if door is None:
        return _answer([*account(known, q.worker, at.at), ("DOOR-UNKNOWN", Truth.UNKNOWN)])
    if not door.points:
        unknown: list[Reason] = [] if (person := known.site.people.get(q.worker)) and (person.listed or person.certificates) else [("WORKER-UNKNOWN", Truth.UNKNOWN)]
        gone = [("CERT-EXP", Truth.FALSE) for trade in _own(known, q.worker) if expired(known, q.worker, trade, at.at)]
        return _answer([*account(known, q.worker, at.at), *gone, *unknown])
    courses = [c for c in _naming(known, q.worker, known.atlas.behind(q.door)) if max(c.valid_to or 0, c.over_at or 0) >= at.at - LATELY]
    if q.permit:
        courses = [c for c in courses if number_of(c.permit) == number_of(q.permit)]
    open_ = [c for c in courses if not c.ended and c.accepted is None and not _followed(known, c, q.worker, at)]
    if not open_ and any({"workers", "guardians"} & {*c.unread} for p in known.atlas.behind(q.door) for c in known.at(p) if not c.ended and c.accepted is None):
        return _answer([*account(known, q.worker, at.at), ("FIELD-UNREAD", Truth.UNKNOWN)])
    if not open_:
        return _answer([*account(known, q.worker, at.at), *(("CERT-EXP", Truth.FALSE) for t in _own(known, q.worker) if expired(known, q.worker, t, at.at)), ("X-BADGE-NOPERMIT", Truth.FALSE)])
    called = [("EVACUATE", Truth.FALSE)] if alarmed(known, known.atlas.behind(q.door)) else []
    said = [_answer([*called, *_in_by(known, c, q.worker, at)]) for c in open_]
    if any(c.type == CONFINED and c.at_work() and q.worker in _guards(known, c, at.at) for c in open_):
        said = [_answer([*((code, Truth.FALSE) for code in a.reasons if a.answer == "deny"), ("GUARDIAN-INSIDE", Truth.FALSE)]) for a in said]
    return min(said, key=lambda a: (("allow", "pending", "deny").index(a.answer), len(a.reasons), a.reasons))


def _followed(known: Known, course: Course, worker: str, at: Stamp) -> bool:
    """Is a life finished, and its number asked for anew? Then nobody goes back to it, but for the fire watch."""
    return course.finished is not None and known.site.latest(number_of(course.permit)) != course.permit and not watching(known, course, worker, at.at)


def _naming(known: Known, worker: str, points: Iterable[str]) -> list[Course]:
    """The courses at these points that name a person, in whatever part."""
    here = set(points)
    return [c for p in known.site.named.get(worker, ()) if (c := known.course(p)).request and c.point_id in here and worker in c.everybody]


def _in_by(known: Known, course: Course, worker: str, at: Stamp) -> Iterator[Reason]:
    """Every condition of one permit for one person at its door."""
    request = course.request
    assert request is not None
    works = worker in request.workers
    yield from _person(known, worker, at.at, _trades(known, course.type) if works else ())
    if request.contractor and colour(known, request.contractor, at.at)[0] == "red":
        yield "X-CONTR", Truth.FALSE
    yield from _typed(course)
    if course.issued is None:
        preparing = worker == request.responsible or any(worker in getattr(request, part) for part in PREPARING)
        if not preparing or course.type == CONFINED:
            yield "NOT-APPROVED", Truth.FALSE
        return
    if _unapproved(known, course, worker):
        yield "NOT-APPROVED", Truth.UNKNOWN
    watch = watching(known, course, worker, at.at)
    yield from (reason for reason in _in_force(known, course, at) if not (watch and reason[0] == "X-BADGE-AFTER"))
    if course.type != CONFINED:
        return
    if worker in _guards(known, course, at.at):
        yield "GUARDIAN-INSIDE", Truth.FALSE
    elif not works:
        yield "X-BADGE-NOPERMIT", Truth.FALSE
    elif course.finished is not None:
        yield from _resume(known, course, at)
    elif course.declared_start is None or before(course.issued, course.declared_start) is not Truth.TRUE:
        begun = course.started is not None and before(course.issued, course.started) is Truth.TRUE and fresh(course, course.started, known.terms_of(course)) is Truth.TRUE
        yield from _going_on(known, course, at) if begun else _ready(known, course, at)
        yield from () if begun else _prepared(known, course, at)
        yield from _everybody(known, course, at.at)
    else:
        if course.needs_gas and (told := tested(course, at)) is not Truth.TRUE:
            yield _reason("GAS-NONE", told, course, at), told
        yield from _unproved(known, course, at)
        yield from _going_on(known, course, at)


def _unapproved(known: Known, course: Course, worker: str) -> bool:
    """Is somebody named only by what was asked for after the approval? Nobody has approved him; whoever runs the door decides."""
    work = known.site.works.get(course.permit)
    approved = approved_as(known.site, work) if work else None
    return approved is not None and worker not in named_by(approved) and worker not in {who for p in course.posts for who in (p.worker, p.heir)}


def _unproved(known: Known, course: Course, at: Stamp) -> Iterator[Reason]:
    """The work goes on after a pause without the test that the resume asked for, and there is none since."""
    last = course.pauses[-1] if course.pauses else None
    if last is None or last.until is None or not course.needs_gas:
        return
    terms = known.terms_of(course)
    again = retested(course, last, terms)
    if again is not Truth.TRUE and retested(course, Pause(last.since, at, ""), terms) is not Truth.TRUE:
        yield _reason("GAS-INTERRUPT", again, course, at), again


def _typed(course: Course) -> Iterator[Reason]:
    """Of a type that nobody knows it is not known what it asks for; nor of a request that says who works, on what it rests or from when in a way that nobody can read."""
    if course.type not in TYPE:
        yield "TYPE-UNKNOWN", Truth.UNKNOWN
    if course.unread:
        yield "FIELD-UNREAD", Truth.UNKNOWN


def _guards(known: Known, course: Course, at: int) -> set[str]:
    return {p.worker for p in course.posts if p.since <= at and (p.until is None or at < p.until)}


def _in_force(known: Known, course: Course, at: Stamp) -> Iterator[Reason]:
    """Approved, and in force now, both ends; not suspended or locked by the permit system."""
    request = course.request
    assert request is not None
    if course.issued is not None and before(course.issued, at) is Truth.FALSE:
        yield "NOT-APPROVED", Truth.FALSE
    begun = before(exactly(request.valid_from), at)
    if begun is not Truth.TRUE:
        yield ("X-BADGE-BEFORE" if begun is Truth.FALSE else "CLOCK-UNSURE"), begun
    timely = in_time(known, course, at)
    if timely is not Truth.TRUE:
        yield ("X-BADGE-AFTER" if timely is Truth.FALSE else "CLOCK-UNSURE"), timely
    if course.status == "suspended":
        yield "SUSPENDED", Truth.FALSE
    if any(f.end is None for f in judge_change(known, course.permit).findings):
        yield "X-CHG", Truth.FALSE
    if locked(known, course):
        yield "LOCKED", Truth.FALSE
    if _said_last(known, course, at.at) == "unknown":
        yield "STEP-UNKNOWN", Truth.UNKNOWN


def _said_last(known: Known, course: Course, at: int) -> str:
    """The step of a permit's life that was said last by a moment: one that nobody can read may have stopped it."""
    work = known.work(course.permit)
    steps = [(known.site.counts(f), f.order, name) for name in ("issued", *MOVES, "unknown") for f in work.all(name)]
    return max((s for s in steps if s[0] <= at), default=(0, 0, ""))[2]


def locked(known: Known, course: Course) -> bool:
    """Did the permit system say that it locked this permit?"""
    mine = (f":permit.lock:{number_of(course.permit)}", f":permit.freeze:{number_of(course.permit)}")
    work = known.work(course.permit)
    first = work.first("permit.requested")
    asked = max(first.event.at, work.began) if first else 0
    return any(command.endswith(mine) and any(isinstance(f.event, e.Done) and f.event.outcome == "done" and known.site.stamp(f).hi >= asked for f in facts) for command, facts in known.site.done.items())


# ---- work ----------------------------------------------------------------------------------------------------------------


def _start(known: Known, course: Course, at: Stamp) -> Iterator[Reason]:
    if course.issued is None:
        yield "NOT-APPROVED", Truth.FALSE
    else:
        yield from _in_force(known, course, at)
    if course.started is not None and course.finished is not None:
        yield from _resume(known, course, at)
        return
    yield from _ready(known, course, at)
    yield from _prepared(known, course, at)
    yield from _everybody(known, course, at.at)


def _ready(known: Known, course: Course, at: Stamp) -> Iterator[Reason]:
    """Before work begins: gas analysed in time, and all that holds whenever it goes on."""
    if course.needs_gas:
        told = tested(course, at)
        young = fresh(course, at, known.terms_of(course))
        if young is not Truth.TRUE:
            yield ("GAS-NONE" if told is Truth.FALSE else _reason("GAS-STALE", young, course, at)), young
    yield from _going_on(known, course, at)


def _reason(code: str, truth: Truth, course: Course, at: Stamp) -> str:
    """The code of what an analysis lacks; where nobody can say because of what it holds, that."""
    return "GAS-UNREAD" if truth is Truth.UNKNOWN and _unread(course, at) else code


def _unread(course: Course, at: Stamp) -> bool:
    """Did an analysis by a moment hold what is under no limit, so that nobody can say whether it passed?"""
    later = [a for a in course.analyses if a.passed and not a.open]
    return any(before(m, at) is not Truth.FALSE and not any(before(m, p.at) is Truth.TRUE for p in later) for a in course.analyses for m in a.open)


def _going_on(known: Known, course: Course, at: Stamp) -> Iterator[Reason]:
    """A type that is known, isolations, bindings, warnings, gas now, hard conflicts, a guardian, no evacuation."""
    yield from _typed(course)
    if course.ended or course.accepted:
        yield "X-BADGE-NOPERMIT", Truth.FALSE
    request = course.request
    assert request is not None
    if course.point is None:
        yield "POINT-UNKNOWN", Truth.UNKNOWN
    yield from _posted(known, course, at)
    if _open_isolations(known, course, at.at):
        yield "X-DCS-OPEN", Truth.FALSE
    elif any(words[-1].said.state == "unknown" for name in relied_on(known.site, course.permit) if (words := [w for w in words_of(known, name) if w.at <= at.at])):
        yield "X-DCS-OPEN", Truth.UNKNOWN
    if course.point is not None and any(not getattr(course.point, kind) for kind in needed_devices(course.type)):
        yield "X-BIND", Truth.FALSE
    if alarmed(known, [course.point_id]):
        yield "EVACUATE", Truth.FALSE
    yield from gas_now(known, course)
    if any(stops(known, course, said) for said in stands(known, at.at)):
        yield "X-WX", Truth.FALSE
    if windy(known, course):
        yield "X-WIND", Truth.FALSE
    if any(c.hard and (c.end is None or c.end > at.at) for c in conflicts(known, course.permit)) or any(hard_now(known, course)):
        yield "X-SIMOPS-H", Truth.FALSE


def _posted(known: Known, course: Course, at: Stamp) -> Iterator[Reason]:
    """Somebody must hold the post who does not work there himself, and who is not in the confined space (GB 30871-2022 4.10, 6.8)."""
    request, posts = course.request, [p.worker for p in course.posts if p.until is None]
    idle = [worker for worker in posts if request is None or worker not in request.workers]
    if not idle:
        yield "GUARD-NONE", Truth.FALSE
    elif course.type == CONFINED and {*idle} <= {worker for worker, _, out in inside_at(known, course, at.at) if out is None}:
        yield "GUARDIAN-INSIDE", Truth.FALSE


def _open_isolations(known: Known, course: Course, at: int) -> list[str]:
    """Isolations on which the permit rests and that are removed or opened now; those that nobody has applied count as open."""
    out = []
    for name in sorted(relied_on(known.site, course.permit)):
        said = [word for word in words_of(known, name) if word.at <= at]
        series = [s for tag in known.atlas.isolations.get(name, ()) if (s := known.site.series.get(tag))]
        moved = any(end is None for s in series for _, end, *_ in s.held.standing(known.now))
        open_ = [word for word, again in openings(said) if again is None or again > at]
        if moved or (not said and not own_work(course, None)) or any(not own_work(course, word.said) for word in open_):
            out.append(name)
    return out


def gas_now(known: Known, course: Course) -> Iterator[Reason]:
    """Is the gas at the work point beyond its limit now, does an alarm of it stand, or is it not seen where it must be?"""
    if any(f.end is None and not f.hold for f in judge_limit(known, course.permit).findings):
        yield "X-GAS-LIM", Truth.FALSE
    if not course.needs_gas:
        return
    now = known.now
    for tag in gas_tags(known, course):
        series, limit = known.site.series.get(tag), limit_of(known.atlas.channels[tag], known.terms_at(known.now))
        if series and series.band and series.over and _beyond_now(known, tag, series) and not testing(known, tag, now, now):
            yield "X-GAS-LIM", Truth.FALSE
        elif limit is None or any(b >= now and b - a >= MINUTE for a, b in unseen(known.site, tag, max(0, now - MINUTE), now)):
            yield "X-GAS-GAP", Truth.FALSE if course.special else Truth.UNKNOWN


def _beyond_now(known: Known, tag: str, series: Series) -> bool:
    """Was a channel beyond its limit and not clear in the last half minute, or beyond it when it was last heard?"""
    over = series.over.last[-1]
    return (series.band.last[-1] >= known.now - 30 * SECOND and over >= series.band.first[-1]) or over >= heard(known.site, tag)


def _resume(known: Known, course: Course, at: Stamp) -> Iterator[Reason]:
    if course.issued is None:
        yield "NOT-APPROVED", Truth.FALSE
    yield from ((code, truth) for code, truth in _in_force(known, course, at) if code != "SUSPENDED")
    open_ = course.pauses[-1] if course.pauses and course.pauses[-1].until is None else None
    since = open_.since if open_ else course.finished or course.held
    if since is None:
        yield "NOT-SUSPENDED", Truth.UNKNOWN
    elif course.needs_gas:
        pause = Pause(since, at, "")
        today = tested_today(known, course, at) if slept(known, pause) else Truth.TRUE
        again = retested(course, pause, known.terms_of(course))
        if today is not Truth.TRUE:
            yield _reason("GAS-DAILY", today, course, at), today
        elif again is not Truth.TRUE:
            yield _reason("GAS-INTERRUPT", again, course, at), again
    yield from _going_on(known, course, at)
    yield from _fit(known, course, at.at)
    yield from _everybody(known, course, at.at)


# ---- paper ---------------------------------------------------------------------------------------------------------------


def _issue(known: Known, course: Course, at: Stamp) -> Iterator[Reason]:
    request = course.request
    assert request is not None
    planned = exactly(max(request.valid_from, request.planned_start or 0, at.at))
    if course.ended or course.accepted:
        yield "X-BADGE-NOPERMIT", Truth.FALSE
    if in_time(known, course, at) is Truth.FALSE:
        yield "X-BADGE-AFTER", Truth.FALSE
    if course.needs_gas:
        told, young = tested(course, at), fresh(course, planned, known.terms_of(course))
        if told is not Truth.TRUE:
            yield _reason("GAS-NONE", told, course, at), told
        elif young is not Truth.TRUE:
            yield "GAS-STALE", young
    if any(hard_now(known, course)):
        yield "X-SIMOPS-H", Truth.UNKNOWN
    yield from _prepared(known, course, planned)
    if not request.guardians and not course.posts:
        yield "GUARD-NONE", Truth.UNKNOWN
    yield from _typed(course)
    yield from _everybody(known, course, at.at)
    if judge_duplicate(known, course.permit).findings:
        yield "X-DUP", Truth.UNKNOWN
    yield from _warned(known, course, at.at, planned.at)
    kinds = {c.event.stage or c.event.medium for c in known.work(course.permit).clips if isinstance(c.event, e.Clip)}
    if set(known.terms_of(course).pack.evidence.get(course.type, ())) - kinds:
        yield "EVID-MISSING", Truth.FALSE


def _prepared(known: Known, course: Course, at: Stamp) -> Iterator[Reason]:
    """Analysis, measures and briefing done, tickets linked, the place fit for the work, the level right."""
    for step, code in (("jsa", "JSA-NONE"), ("measures", "MEAS-NONE"), ("briefed", "BRIEF-NONE")):
        if known.step(course.permit, step) is None:
            yield code, Truth.FALSE
    if missing_links(known, course, known.now):
        yield "LINK-MISS", Truth.FALSE
    if unrelated(known, course, known.now) is not None:
        yield "LINK-UNREL", Truth.FALSE
    yield from _fit(known, course, at.at)


def _fit(known: Known, course: Course, planned: int) -> Iterator[Reason]:
    """Is the place fit for the work, and the level right for place and time?"""
    request, point = course.request, course.point
    assert request is not None
    if point is not None and {course.type, course.family} & set(point.forbidden):
        yield "X-FORBID", Truth.FALSE
    if point is None:
        yield "POINT-UNKNOWN", Truth.UNKNOWN
    if course.type in HOT and course.type > SPECIAL:
        needed, sure = computed_level(known, course, known.now)
        if needed is not None and course.type > needed:
            yield "X-LEVEL", Truth.FALSE
        elif not sure:
            yield "X-LEVEL", Truth.UNKNOWN
    if course.type in HOT and course.type != SPECIAL and not course.upgraded:
        yield from ((code, Truth.FALSE) for code in codes_at(known, planned)[:1])
    if course.type == BLINDING and request.blind == "both":
        yield "BLIND-ONE", Truth.FALSE
    if point is not None and any(not getattr(point, kind) for kind in needed_devices(course.type)):
        yield "X-BIND", Truth.FALSE


def _warned(known: Known, course: Course, at: int, planned: int) -> Iterator[Reason]:
    """Does an official warning stand now, or still at the planned start?"""
    if any(stops(known, course, said) and said.until >= min(at, planned) for said in stands(known, at)):
        yield "X-WX", Truth.FALSE


def _application(known: Known, q: Question) -> Iterator[Reason]:
    """A request as it would be sent."""
    if q.request is None:
        yield "PERMIT-UNKNOWN", Truth.UNKNOWN
        return
    course = as_asked(known, q.request)
    yield from _typed(course)
    yield from _everybody(known, course, q.at.at)
    least = known.terms_of(None).limits["cert_short"] / 86_400_000
    today = known.day(q.at.at)
    for worker in q.request.workers:
        for trade in _trades(known, q.request.type):
            mine = best(known, worker, trade)
            last = last_day(mine[1]) if mine else None
            if last is not None and last != FOREVER and 0 <= (last - today).days <= least:
                yield "X-CERT-SHORT", Truth.FALSE
    if course.point is None:
        yield "POINT-UNKNOWN", Truth.UNKNOWN
    elif {course.type, course.family} & set(course.point.forbidden):
        yield "X-FORBID", Truth.FALSE
    yield from _warned(known, course, q.at.at, max(q.request.valid_from, q.request.planned_start or 0))


def as_asked(known: Known, request: e.Requested) -> Course:
    """A request that is not in the log, read as a course."""
    from streams.course import read_course
    from streams.work import Fact, Work

    fact = Fact("asked", "asked", 0, request.at, replace(request, u=0))
    return read_course(known.site, Work(request.permit or "asked", {"permit.requested": [fact]}))


def _close(known: Known, course: Course, at: Stamp) -> Iterator[Reason]:
    """Nobody inside (a signed roll call answers it), tools out, evidence there, watched for as long as the pack asks."""
    if any(missed(known, course, at.at)):
        yield "X-SIGNOUT", Truth.UNKNOWN
    if course.started is not None and course.finished is None and not course.ended:
        yield "NOT-FINISHED", Truth.UNKNOWN
    if tools_inside(known, course.permit, at.at):
        yield "TOOLS-INSIDE", Truth.UNKNOWN
    if course.type in HOT and course.finished is not None and at.at < course.finished.at + known.terms_of(course).ms["post_watch"]:
        yield "X-WATCH", Truth.UNKNOWN
    closed = _as_closed(course, at)
    off = known.terms_now().off
    if "X-EVID-3P1R" not in off and three_and_one(known, closed):
        yield "X-EVID-3P1R", Truth.FALSE
    if "X-EVID-5D" not in off and any(since is None for since in five_dimensions(known, closed).values()):
        yield "X-EVID-5D", Truth.FALSE


def _as_closed(course: Course, at: Stamp) -> Course:
    return replace(course, accepted=at)
