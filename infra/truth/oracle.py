"""The oracle: what T1, T2, T3, T5 and T6 of a permit come to, by trying every instant that its clocks allow.

It shares nothing with the rules that it is held against: it imports none of them, and every figure below is its own.

    judge           the facts of one permit number → a Ruling for each of its lives
    Fact, Place     the facts and the place, as plain tuples

How it works: a stamp is the span of instants at which it may have been true. A world takes one instant of each span
(its ends, and wherever a limit measured from the end of another span falls into it). A check is a violation if it is
false in every world, consistent if true in every world, else indeterminate. Half-open spans end half a millisecond
early, so that "at" and "just after" are two instants.

Where each figure comes from (sections are those of the domain document):
    30 min from sampling to start           2.8 T2; GB 30871 5.3.1 c, 6.3 a
    a pause over local midnight             4.5, GAS-DAILY: a passed analysis of the new day
    pause before a re-test is asked          2.8 T6; 30 min for 01 and 02, 60 min for 03 and 70 (5.3.1 d, 6.3 f)
    re-test at most 30 min before resume     2.8 T6: [resume - 30:00, resume]
    equality passes                          2.8: "a limit passes at equality"
    minute stamps [t, t + 60 s)              2.8; stamps of one clock in one minute go by its numbers
    typed by hand ± 5 min, else ± 1 s        2.8, where a stamp says no u of its own
    combustible 0.5, or 0.2 %vol             GB 5.3.2: LEL at least 4 %vol, or below; LEL of each gas: table of 2.4
    oxygen 19.5 to 21.0 (enriched 23.5)      4.5, required components
    H2S 10 mg/m3                             2.4
    one analysis: 10 min                     4.5, the last analysis decides
    one that failed, in a pause or before    the same; a passed one is asked before the resume
    future: u + max(2 s, 5 s)                4.5, the past holds no future; T9's limit is 5 s
    at most 24 h back                        the same sentence
    lives, approvals, interruptions          4.5, a permit's lives; a request said again is agreed by the next approval

Where the text leaves a choice: an instant knows of an analysis what was sampled by then; a test that says nothing, or
only fine things with an instrument out of calibration, is no result; a start on an approval that no longer stands
(after a rejection, a cancellation, an acceptance or the validity) makes T3 false; a cancellation ends the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice, product
from math import inf
from typing import Any, Literal, NamedTuple

Outcome = Literal["consistent", "violation", "indeterminate", "pending", "not applicable"]
Span = tuple[float, float]
World = Sequence[float]

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
JUST = 0.5
"""Half a millisecond: the instant just beside another."""
FRESH = 30 * MINUTE
PAUSE = {"01": 30 * MINUTE, "02": 30 * MINUTE, "03": 60 * MINUTE, "70": 60 * MINUTE}
ANALYSIS = 10 * MINUTE
AHEAD = 5 * SECOND
TYPED, DISCIPLINED = 5 * MINUTE, 1 * SECOND
ZONE = 8 * HOUR
"""Asia/Shanghai: local midnight decides the day of a calibration."""
CONFINED = "70"
LEL = {
    "methane": 5.0, "hydrogen": 4.0, "propane": 2.1, "toluene": 1.1, "methanol": 6.0, "benzene": 1.2, "gasoline": 1.4,
    "chloromethane": 8.1, "dimethyldichlorosilane": 3.4, "trimethylchlorosilane": 1.8,
}  # fmt: skip
TOXIC = {"h2s": (10.0, 34.08 / 24.45)}
"""Highest mg/m3, and mg/m3 of one ppm at 25 °C."""
OXYGEN, RICH = (19.5, 21.0), 23.5
STEPS = ("issued", "started", "suspended", "resumed", "finished", "accepted", "rejected", "cancelled")
CALLED_OFF = ("rejected", "cancelled")


class Fact(NamedTuple):
    """One fact of a permit, of kind `requested`, `test`, `device` or a step; ms, `u` None: its source says none.

    `said` holds what else it says: of a request `type`, `valid_from`, `valid_to`, `planned_start`; of a test `results`
    as (gas, value, unit), `passed`, `method`, `device`; of a device `device`, `calibrated_to`.
    """

    kind: str
    at: int
    u: int | None
    grain: int
    source: str
    seq: int
    arrival: int
    said: Mapping[str, Any] = {}


class Place(NamedTuple):
    """What of a work point decides which components an analysis must have."""

    closed: bool = False
    enriched: bool = False
    toxics: tuple[str, ...] = ()


class Stamp(NamedTuple):
    """When a fact may have been true (ms, both ends included), and what its source numbered it."""

    span: Span
    nominal: int
    source: str = ""
    seq: int = 0
    minute: tuple[int, int] | None = None
    """Of a clock that cuts to the minute: which minute, and its doubt."""


NEVER = Stamp((inf, inf), 0)
"""Nothing comes after it."""


class Analysis(NamedTuple):
    """Tests that belong together, and what they come to where only some have been sampled yet.

    Passed is True, failed False, incomplete None; an analysis is as old as its oldest test.
    """

    tests: list[Stamp]
    passed: Mapping[tuple[bool, ...], bool | None]


class Pause(NamedTuple):
    """An interruption; `until` None: it lasts."""

    since: Stamp
    until: Stamp | None


class Life(NamedTuple):
    """What happened in one life of a permit."""

    number: int
    request: Mapping[str, Any]
    approvals: list[Stamp]
    start: Stamp | None = None
    end: Stamp | None = None
    over: str = ""
    """By what it is over: finished, accepted, rejected, cancelled; empty while it is open."""
    unapproved: bool = False
    """Work was started on an approval that no longer stood."""
    pauses: tuple[Pause, ...] = ()
    analyses: tuple[Analysis, ...] = ()
    agreed: Mapping[str, Any] | None = None
    """The request as it stood at the last approval: what is asked for after it extends nothing."""

    @property
    def until(self) -> int:
        """The end of the validity (ms)."""
        return int((self.agreed or self.request).get("valid_to", 0))


class Ruling(NamedTuple):
    """What one life comes to: its number (from 1) and the outcome of each check."""

    life: int
    checks: dict[str, Outcome]


def judge(facts: Iterable[Fact], now: int, place: Place = Place()) -> list[Ruling]:
    """The rulings on all lives of a permit, oldest first; `now` in ms decides whether a deadline has passed."""
    told = sorted(facts, key=lambda f: (f.arrival, f.seq))
    return [Ruling(life.number, _checks(life, now)) for life in _lives(told, place)]


def _checks(life: Life, now: int) -> dict[str, Outcome]:
    gas: dict[str, Outcome] = dict.fromkeys(("T1", "T2", "T6"), "not applicable")
    if life.request["type"] in PAUSE:
        gas = {"T1": _t1(life), "T2": _t2(life), "T6": _t6(life)}
    return {**gas, "T3": _t3(life), "T5": _t5(life, now)}


# ---- stamps -----------------------------------------------------------------------------------------------------


def _stamp(fact: Fact, told: Sequence[Fact]) -> Stamp:
    u = _u(fact)
    if fact.at - fact.arrival > u + AHEAD:
        return Stamp((_before(fact, told), fact.arrival), fact.arrival, fact.source, fact.seq)
    high = fact.at + u + (fact.grain - JUST if fact.grain else 0)
    return Stamp((fact.at - u, high), fact.at, fact.source, fact.seq, (fact.at, u) if fact.grain else None)


def _u(fact: Fact) -> int:
    if fact.u is not None:
        return fact.u
    return TYPED if fact.said.get("method") == "manual" else DISCIPLINED


def _before(fact: Fact, told: Sequence[Fact]) -> int:
    """When the same source was last heard before a fact (ms), at most 24 h back."""
    earlier = [f.arrival for f in told if f.source == fact.source and (f.arrival, f.seq) < (fact.arrival, fact.seq)]
    return max([fact.arrival - DAY, *earlier])


# ---- worlds -----------------------------------------------------------------------------------------------------


def _worlds(stamps: Sequence[Stamp], limits: Sequence[int]) -> Iterator[World]:
    """Every choice of instants that matters, less those that a source's numbers within one minute exclude."""
    known = _known_order(stamps)
    for world in product(*(_instants(s, stamps, limits) for s in stamps)):
        if all(world[i] < world[k] for i, k in known):
            yield world


def _instants(stamp: Stamp, stamps: Sequence[Stamp], limits: Sequence[int]) -> list[float]:
    """The instants of a span that differ for some check: one is enough where no limit reaches into it."""
    low, high = stamp.span
    near = [(a, b) for s in stamps if s is not stamp for a, b in _reaches(s.span, limits) if a <= high and low <= b]
    if low == high or not near:
        return [low]
    same = sum(s.minute is not None and (s.minute, s.source) == (stamp.minute, stamp.source) for s in stamps)
    edges = {end + n * JUST for span in [(low, high), *near] for end in span for n in range(max(2, same))}
    return sorted(at for at in edges if low <= at <= high)


def _reaches(span: Span, limits: Sequence[int]) -> list[Span]:
    """A span, and where the limits (ms) put it that are measured from it."""
    return [(span[0] + by, span[1] + by) for limit in (0, *limits) for by in {-limit, limit}]


def _fixed(at: int) -> Stamp:
    """A declared instant (ms), which has no doubt."""
    return Stamp((at, at), at)


def _known_order(stamps: Sequence[Stamp]) -> list[tuple[int, int]]:
    """Pairs (i, k) of which i came first, by the numbers of one source within one minute."""
    return [
        (i, k)
        for i, a in enumerate(stamps)
        for k, b in enumerate(stamps)
        if a.minute is not None and (a.minute, a.source) == (b.minute, b.source) and a.seq < b.seq
    ]


def _outcome(stamps: Sequence[Stamp], holds: Callable[[World], bool], *limits: int) -> Outcome:
    """What a check comes to; `limits` (ms) are those that it measures."""
    seen: set[bool] = set()
    for world in _worlds(stamps, limits):
        seen.add(holds(world))
        if len(seen) == 2:
            return "indeterminate"
    assert seen, "a source's numbers leave no world"
    return "consistent" if seen == {True} else "violation"


def _valid(life: Life, sampled: World, until: float) -> float | None:
    """How old (ms) the last analysis was that an instant knew of, if it was passed."""
    known = [(min(tests), passed) for tests, passed in _known(life, sampled, until) if passed is not None]
    at, passed = max(known, default=(0.0, False), key=lambda t: (t[0], not t[1]))
    return until - at if passed else None


def _known(life: Life, sampled: World, until: float) -> Iterator[tuple[list[float], bool | None]]:
    """The analyses as an instant knew them: when each was sampled, and what it came to by then."""
    instants = iter(sampled)
    for analysis in life.analyses:
        tests = list(islice(instants, len(analysis.tests)))
        yield [at for at in tests if at <= until], analysis.passed[tuple(at <= until for at in tests)]


def _failed(life: Life, sampled: World, until: float) -> bool:
    """Was a test sampled by an instant that fails by itself?"""
    alone = [a.passed[tuple(k == i for k in range(n))] for a in life.analyses if (n := len(a.tests)) for i in range(n)]
    return any(passed is False and at <= until for at, passed in zip(sampled, alone, strict=True))


# ---- checks -----------------------------------------------------------------------------------------------------


def _t1(life: Life) -> Outcome:
    """A passed analysis is there when the permit is approved."""
    if not life.approvals:
        return _not_yet(life)
    n, start = len(life.approvals), [life.start] if life.start else []
    stamps = [*life.approvals, *start, *_sampled(life, *life.approvals)]

    def holds(world: World) -> bool:
        approved = _approved(world[:n], world[n] if start else None)
        return _valid(life, world[n + len(start) :], approved) is not None

    return _outcome(stamps, holds)


def _t2(life: Life) -> Outcome:
    """The last analysis before the start is passed and at most 30 min old."""
    if life.start is None:
        return _planned(life)
    stamps = [life.start, *_sampled(life, life.start)]
    return _outcome(stamps, lambda world: _fresh(life, world[1:], world[0]), FRESH)


def _planned(life: Life) -> Outcome:
    """T2 at sign-off, held against the planned start: a violation, or nothing yet."""
    if life.over or not life.approvals:
        return _not_yet(life)
    declared = _fixed(max(life.request["valid_from"], life.request.get("planned_start") or 0))
    stamps = [declared, life.approvals[-1], *_sampled(life, declared, life.approvals[-1])]
    found = _outcome(stamps, lambda world: _fresh(life, world[2:], max(world[:2])), FRESH)
    return "violation" if found == "violation" else "pending"


def _t3(life: Life) -> Outcome:
    """The work starts on an approval."""
    if life.unapproved:
        return "violation"
    if life.start is None:
        return _not_yet(life)
    stamps = [life.start, *life.approvals]
    return _outcome(stamps, lambda world: any(approved <= world[0] for approved in world[1:]))


def _t5(life: Life, now: int) -> Outcome:
    """The work ends within the validity."""
    if life.start is None:
        return _not_yet(life)
    if life.end is None:
        return "violation" if now > life.until else "pending"
    return _outcome([life.end, _fixed(life.until)], lambda world: world[0] <= world[1])


def _t6(life: Life) -> Outcome:
    """After every interruption that asks for one there is a passed analysis before the resume."""
    found = [_pause(life, pause) for pause in life.pauses]
    worst: tuple[Outcome, ...] = ("violation", "indeterminate", "pending", "consistent")
    return next((outcome for outcome in worst if outcome in found), "not applicable")


def _pause(life: Life, pause: Pause) -> Outcome:
    if pause.until is None:
        return _not_yet(life)
    stamps = [pause.since, pause.until, *_sampled(life, pause.until)]
    slept = _midnight(pause.until.nominal) if _day(pause.since.nominal) != _day(pause.until.nominal) else None
    asked = _outcome(stamps, lambda w: _asks(life, w[2:], w[0], w[1]), PAUSE[life.request["type"]])
    if asked == "violation" and slept is None:
        return "not applicable"

    def holds(w: World) -> bool:
        sampled = w[2 : len(stamps)]
        return _retested(life, sampled, w[0], w[1]) and (slept is None or _since(life, sampled, slept, w[1]))

    return _outcome([*stamps, _fixed(slept or 0)], holds, PAUSE[life.request["type"]], FRESH)


def _since(life: Life, sampled: World, midnight: float, until: float) -> bool:
    """Was an analysis of the new day passed by an instant?"""
    return any(passed and min(tests) >= midnight for tests, passed in _known(life, sampled, until) if tests)


def _asks(life: Life, sampled: World, since: float, until: float) -> bool:
    """Was the pause too long, or did an analysis fail, in it or before?"""
    return until - since > PAUSE[life.request["type"]] or _failed(life, sampled, until)


def _retested(life: Life, sampled: World, since: float, until: float) -> bool:
    if until - since > PAUSE[life.request["type"]]:
        return _fresh(life, sampled, until)
    return not _failed(life, sampled, until) or _valid(life, sampled, until) is not None


def _fresh(life: Life, sampled: World, until: float) -> bool:
    age = _valid(life, sampled, until)
    return age is not None and age <= FRESH


def _approved(approvals: World, start: float | None) -> float:
    """Which approval counts: the last before the start; none before it: the first; not started: the last so far."""
    if start is None:
        return max(approvals)
    return max((at for at in approvals if at <= start), default=min(approvals))


def _sampled(life: Life, *until: Stamp) -> list[Stamp]:
    """When the tests were sampled; what surely came after some instants is out of their sight."""
    last = max(stamp.span[1] for stamp in until)
    return [s if s.span[0] <= last else NEVER for analysis in life.analyses for s in analysis.tests]


def _not_yet(life: Life) -> Outcome:
    return "not applicable" if life.over else "pending"


# ---- lives ------------------------------------------------------------------------------------------------------


def _lives(told: Sequence[Fact], place: Place) -> list[Life]:
    """The lives of a permit; what was sampled goes with it from one to the next."""
    lives: list[Life] = []
    for fact in _in_order([f for f in told if f.kind == "requested" or f.kind in STEPS], told):
        if not lives or (lives[-1].over and fact.kind in ("requested", "issued")):
            lives.append(Life(len(lives) + 1, lives[-1].request if lives else {}, []))
        lives[-1] = _lived(lives[-1], fact, _stamp(fact, told))
    return [life._replace(analyses=_analyses(life, told, place)) for life in lives if life.request]


def _in_order(steps: Sequence[Fact], told: Sequence[Fact]) -> list[Fact]:
    """By their stamps; by their numbers only where the stamps give what no life knows and the numbers do not."""
    stamped = sorted(steps, key=lambda f: (_stamp(f, told).nominal, f.seq))
    numbered = sorted(steps, key=lambda f: f.seq)
    one_source = len({f.source for f in steps}) == 1
    return numbered if one_source and not _possible(stamped) and _possible(numbered) else stamped


def _possible(steps: Iterable[Fact]) -> bool:
    """Does every resume follow a suspension?"""
    suspended = False
    for fact in steps:
        if fact.kind == "resumed" and not suspended:
            return False
        suspended = fact.kind == "suspended" or (suspended and fact.kind != "resumed")
    return True


def _lived(life: Life, fact: Fact, stamp: Stamp) -> Life:
    """A life after one more step."""
    if fact.kind == "requested":
        return life._replace(request=fact.said)
    if fact.kind == "issued":
        return life._replace(approvals=[*life.approvals, stamp], agreed=life.request)
    if fact.kind == "started":
        return _started(life, stamp)
    if fact.kind in ("suspended", "resumed"):
        return _interrupted(life, fact.kind, stamp)
    return _ended(life, fact.kind, stamp)


def _started(life: Life, stamp: Stamp) -> Life:
    """Work begins; or goes on, if it was finished, not yet accepted and is still valid."""
    if not life.over:
        return life._replace(start=life.start or stamp)
    if life.over != "finished" or stamp.nominal > life.until or not life.end:
        return life._replace(start=life.start or stamp, end=None, unapproved=True)
    return life._replace(over="", end=None, pauses=(*life.pauses, Pause(life.end, stamp)))


def _interrupted(life: Life, kind: str, stamp: Stamp) -> Life:
    lasting = life.pauses[-1] if life.pauses and life.pauses[-1].until is None else None
    if kind == "suspended":
        return life if lasting else life._replace(pauses=(*life.pauses, Pause(stamp, None)))
    return life._replace(pauses=(*life.pauses[:-1], lasting._replace(until=_after(stamp, lasting.since)))) if lasting else life


def _after(stamp: Stamp, earlier: Stamp) -> Stamp:
    """A stamp that numbers put after another although it says less: after it, by twice the step at most."""
    step = earlier.nominal - stamp.nominal
    return stamp._replace(span=(earlier.nominal, earlier.nominal + 2 * step)) if step > 0 else stamp


def _ended(life: Life, kind: str, stamp: Stamp) -> Life:
    if kind in CALLED_OFF and life.over in ("finished", "accepted"):
        return life
    pauses = tuple(p for p in life.pauses if p.until)
    return life._replace(over=kind, end=stamp if life.start and not life.end else life.end, pauses=pauses)


# ---- analyses ---------------------------------------------------------------------------------------------------


def _analyses(life: Life, told: Sequence[Fact], place: Place) -> tuple[Analysis, ...]:
    return tuple(_analysed(group, life.request["type"], told, place) for group in _groups(told, place))


def _groups(told: Sequence[Fact], place: Place) -> list[list[Fact]]:
    """Tests of one analysis together, in the order of sampling: the oldest is at most 10 min older than any other."""
    groups: list[list[Fact]] = []
    tests = [(_stamp(f, told).nominal, f) for f in told if f.kind == "test" and _counts(f, told, place)]
    oldest = 0
    for at, fact in sorted(tests, key=lambda t: (t[0], t[1].seq)):
        if groups and at - oldest <= ANALYSIS:
            groups[-1].append(fact)
        else:
            groups.append([fact])
            oldest = at
    return groups


def _analysed(group: Sequence[Fact], kind: str, told: Sequence[Fact], place: Place) -> Analysis:
    stamps = [_stamp(f, told) for f in group]
    some = product((False, True), repeat=len(group))
    parts = {there: [f for f, yes in zip(group, there, strict=True) if yes] for there in some}
    return Analysis(stamps, {there: _passed(tests, kind, told, place) for there, tests in parts.items()})


def _counts(test: Fact, told: Sequence[Fact], place: Place) -> bool:
    """Does a test say anything: that it failed, or a value from an instrument in calibration?"""
    said = set(_values(test, place).values()) - {None}
    return False in said or test.said.get("passed") is False or (bool(said) and _calibrated(test, told))


def _passed(tests: Sequence[Fact], kind: str, told: Sequence[Fact], place: Place) -> bool | None:
    """What tests come to together: passed, failed (False), or incomplete (None)."""
    if any(f.said.get("passed") is False or False in _values(f, place).values() for f in tests):
        return False
    present = {gas for f in tests if _calibrated(f, told) for gas, good in _values(f, place).items() if good}
    return True if _complete(present, kind, place) else None


def _values(test: Fact, place: Place) -> dict[str, bool | None]:
    """Is each gas of a test inside its limit? The worst value of a gas decides; None: it says nothing."""
    said: dict[str, bool | None] = {}
    for gas, value, unit in test.said.get("results", ()):
        good = _inside(gas, value, unit, place)
        said[gas] = good if said.get(gas) is not False else False
    return said


def _complete(present: set[str], kind: str, place: Place) -> bool:
    """Are all components there that the type of work asks for at this place?"""
    oxygen = {"o2"} if kind == CONFINED or place.closed else set[str]()
    toxic = set(place.toxics) if kind == CONFINED else set[str]()
    return bool(present & set(LEL)) and oxygen | toxic <= present


def _inside(gas: str, value: float | None, unit: str, place: Place) -> bool | None:
    """Is a value inside its limit? None: it says nothing."""
    if value is None:
        return None
    if gas == "o2":
        return OXYGEN[0] <= value <= (RICH if place.enriched else OXYGEN[1]) if unit == "%vol" else None
    if gas in LEL:
        vol = {"%vol": value, "%LEL": value * LEL[gas] / 100, "ppm": value / 10_000}.get(unit)
        return None if vol is None else vol <= (0.5 if LEL[gas] >= 4 else 0.2)
    if gas in TOXIC:
        mass = {"mg/m3": value, "ppm": value * TOXIC[gas][1]}.get(unit)
        return None if mass is None else mass <= TOXIC[gas][0]
    return None


def _calibrated(test: Fact, told: Sequence[Fact]) -> bool:
    """Was the instrument in calibration on the local day of sampling? Nothing said of it: yes."""
    said = [f.said["calibrated_to"] for f in told if f.kind == "device" and f.said["device"] == test.said.get("device")]
    return not said or _day(_stamp(test, told).nominal) <= said[-1]


def _midnight(at: int) -> int:
    """The local midnight before an instant (ms)."""
    return (at + ZONE) // DAY * DAY - ZONE


def _day(at: int) -> str:
    """The local day of an instant (ms), as YYYY-MM-DD."""
    return f"{datetime.fromtimestamp((at + ZONE) / SECOND, UTC):%Y-%m-%d}"
