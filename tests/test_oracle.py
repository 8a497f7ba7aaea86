"""Random permits near every limit, told to the kernel and held against the oracle, which knows nothing of its rules.

By hand, with shrunk examples of every class of disagreement: `python -m tests.test_oracle [permits] [first seed]`;
one permit in full: `python -m tests.test_oracle 1 SEED`. ORACLE_PERMITS sets how many the test itself tells.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from infra.plant.story import Told, scene
from infra.truth.oracle import DAY, HOUR, MINUTE, SECOND, Fact, Place, Ruling, judge
from streams.events import Any_, DeviceSaid, Entry, GasResult, GasTest, PlantSaid, Requested, Step, Tick
from streams.kernel import Kernel
from streams.outputs import Output, Verdict
from streams.plant import Plant, Point
from streams.topics import OF_KIND

PERMITS = int(os.environ.get("ORACLE_PERMITS", "200"))
MIDNIGHT = int(datetime(2026, 3, 9, 16, tzinfo=UTC).timestamp() * SECOND)
"""00:00 on 2026-03-10 in Asia/Shanghai."""
NEAR = (-61, -60, -59, -1, 0, 0, 1, 59, 60, 61)
"""Seconds beside a limit."""
CHECKS = ("T1", "T2", "T3", "T5", "T6")
SAME: dict[str, list[set[str]]] = {
    "": [{"not applicable", "pending"}],
    "T6": [{"consistent", "not applicable", "pending"}],
}
"""Outcomes that differ only in how a check is shown of which nothing is asked yet, or will be."""
PAIRS = {("suspended", "resumed"), ("finished", "started"), ("rejected", "requested"), ("started", "finished")}
"""Steps that a smaller permit loses together."""
MOST_DOUBTS = 3
UNSURE = (1, 30, 120, 300)
ALERTS = frozenset(range(1000))
"""The places of all rules in the book: none of them is asked, verdicts alone are."""
COLUMNS = set(Point.__struct_fields__)


# ---- a random permit --------------------------------------------------------------------------------------------


@dataclass
class Case:
    """A permit: its facts, its place, and until when the clock runs (ms)."""

    facts: list[Fact]
    now: int
    place: Place
    space: str = ""


@dataclass
class Writer:
    """Writes a permit's facts; its times are seconds of the day."""

    rng: random.Random
    kind: str
    place: Place
    minutes: float
    """The share of stamps that are cut to the minute."""
    doubt: float
    """The share of stamps whose clock is in doubt."""
    lags: bool
    rows: list[tuple[float, str, Fact]] = field(default_factory=list)

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def _may_doubt(self) -> bool:
        """Few clocks are in doubt in one permit, so that the oracle can try every instant."""
        return sum(bool(f.u) or f.at > f.arrival for _, _, f in self.rows) < MOST_DOUBTS

    def near(self) -> int:
        return self.rng.choice(NEAR)

    def say(self, kind: str, at: float, source: str = "ptw", lead: float = 0, **said: Any) -> None:
        """A fact true at `at` s; `lead` s: its clock is so far ahead."""
        u = int(self.rng.choice(UNSURE) * SECOND) if self.chance(self.doubt) and self._may_doubt() else 0
        grain = MINUTE if self.chance(self.minutes) and not lead else 0
        typed = said.get("method") == "manual"
        stamp = MIDNIGHT + int(at * SECOND)
        arrival = stamp + (self.rng.choice((0, 1, 20)) * SECOND if self.lags else 0)
        ahead = stamp + int(lead * SECOND) + (u if lead else 0) + (5 * MINUTE if lead and typed else 0)
        fact = Fact(
            kind, (ahead - ahead % grain) if grain else ahead, None if typed else u, grain, source, 0, arrival, said
        )
        self.rows.append((at, source, fact))

    def facts(self) -> list[Fact]:
        """All of it, numbered by each source in the order in which it happened."""
        counts: Counter[str] = Counter()
        out = []
        for _, source, fact in sorted(self.rows, key=lambda r: r[0]):
            counts[source] += 1
            out.append(fact._replace(seq=counts[source]))
        return sorted(out, key=lambda f: (f.arrival, f.seq))


def case(seed: int) -> Case:
    """The permit of a seed: one to three lives, and the plant around it."""
    rng = random.Random(seed)
    w = _writer(rng)
    at, lives = 8 * 3600.0, rng.choice((1, 1, 1, 2, 2, 3))
    for n in range(lives):
        at = _life(w, at, first=n == 0, last=n == lives - 1)
    facts = w.facts()
    if rng.random() < 0.1:
        facts = _swapped(facts)
    facts = [_apart(f, facts) for f in facts]
    return Case(facts, _now(rng, facts), w.place, "V1" if w.place.closed else "")


def _writer(rng: random.Random) -> Writer:
    toxics = ("h2s",) if "toxics" in COLUMNS and rng.random() < 0.4 else ()
    place = Place(rng.random() < 0.4, "enriched" in COLUMNS and rng.random() < 0.2, toxics)
    minutes, doubt = rng.choice((0, 0, 0, 0.05, 1)), rng.choice((0, 0, 0.1, 0.3))
    w = Writer(rng, rng.choice(("01", "02", "03", "70")), place, minutes, doubt, lags=rng.random() < 0.3)
    for name, day in (("GOOD", "2026-03-10"), ("BAD", "2026-03-09")):
        w.say("device", 7 * 3600, "book", device=name, calibrated_to=day)
    return w


def _now(rng: random.Random, facts: list[Fact]) -> int:
    until = max(f.said["valid_to"] for f in facts if f.kind == "requested")
    last = max(max(f.at, f.arrival) for f in facts)
    after = rng.choice((last + 10 * MINUTE, until, until + SECOND))
    return max(after, last + SECOND) // SECOND * SECOND


def _apart(test: Fact, facts: list[Fact]) -> Fact:
    """A test from the future only where nobody must ask which analysis it belongs to."""
    if test.kind != "test" or test.at - test.arrival <= (test.u or 0) + 5 * SECOND:
        return test
    before = [f.arrival for f in facts if f.source == test.source and (f.arrival, f.seq) < (test.arrival, test.seq)]
    since, until = max([test.arrival - DAY, *before]) - 15 * MINUTE, test.arrival + 15 * MINUTE
    others = [f for f in facts if f.kind == "test" and f is not test and since <= f.arrival <= until]
    return test._replace(at=test.arrival) if others else test


def _swapped(facts: list[Fact]) -> list[Fact]:
    """The stamps of a resume and of the suspension before it trade places; their numbers do not."""
    pair = [i for i, f in enumerate(facts) if f.kind in ("suspended", "resumed")][:2]
    if len(pair) < 2 or facts[pair[1]].at - facts[pair[0]].at > 5 * SECOND:
        return facts
    a, b = (facts[i] for i in pair)
    facts[pair[0]], facts[pair[1]] = a._replace(at=b.at), b._replace(at=a.at)
    return facts


def _life(w: Writer, at: float, first: bool, last: bool) -> float:
    """One life from `at` s; returns when the next may begin."""
    start = at + w.rng.randrange(70, 100) * 60
    finish = start + w.rng.randrange(150, 240) * 60
    days, asked = 2 if w.kind == "03" and w.chance(0.3) else 0, first or w.chance(0.75)
    until = (finish - w.near() if w.chance(0.3) else finish + 2 * 3600) + days * 86400
    for when in (at, at + 900)[: w.rng.choice((1, 1, 1, 1, 1, 2)) if asked else 0]:
        _request(w, when, until, start)
    if asked and w.chance(0.15 if last else 0.3):
        return _sent_back(w, at + 1800, last)
    _before_start(w, start)
    if w.chance(0.08):
        w.say("issued", start - 1200)
        w.say("cancelled", start)
        return start + 1800
    _approvals(w, start, asked)
    w.say("started", start, lead=_lead(w))
    _work(w, start, finish)
    return _over(w, finish, days, last)


def _request(w: Writer, at: float, until: float, start: float) -> None:
    planned: dict[str, Any] = {"planned_start": MIDNIGHT + int(start) * SECOND} if w.chance(0.3) else {}
    span: dict[str, Any] = {"valid_from": MIDNIGHT + 8 * HOUR, "valid_to": MIDNIGHT + int(until) * SECOND}
    w.say("requested", at, type=w.kind, **span, **planned)


def _sent_back(w: Writer, at: float, last: bool) -> float:
    """Rejected, or cancelled, before its work; sometimes the work starts all the same."""
    _test(w, at - 120)
    if w.chance(0.3):
        w.say("issued", at)
    w.say(w.rng.choice(("rejected", "rejected", "cancelled")), at + 900)
    if last and w.chance(0.4):
        w.say("started", at + 1800)
        w.say("finished", at + 3600)
    return at + 2700


def _approvals(w: Writer, start: float, asked: bool) -> None:
    """One approval or two, near the start, before it or after it; before it where nobody asked for the life."""
    when = start - w.rng.choice((0, 0, 1, -1, 60, -60, 600, 1200, 1800) if asked else (60, 600, 1200))
    if asked and w.chance(0.04):
        return
    w.say("issued", when, lead=_lead(w))
    if w.chance(0.2):
        w.say("issued", w.rng.choice((start + w.near(), start + 1800, *([when - 1200] if asked else []))))


def _before_start(w: Writer, start: float) -> None:
    """Analyses near 30 min before the start, and others around them."""
    if w.chance(0.04):
        return
    when = start - 1800 + w.near() if w.chance(0.6) else start - w.rng.choice((0, 60, 600, 1200))
    _test(w, when)
    if w.chance(0.35):
        _test(w, w.rng.choice((when - 1500, when - 900, when + 601, when + 1200, start + 600)))


def _work(w: Writer, start: float, finish: float) -> None:
    """Up to two interruptions near the limit of the type, and what was sampled in them."""
    at = start + 1800
    for _ in range(w.rng.choice((0, 0, 1, 1, 2))):
        long = 1800 if w.kind in ("01", "02") else 3600
        length = w.rng.choice((3, 300, 1500, long + w.near(), long + w.near(), long + 900))
        if at + length > finish - 600:
            return
        w.say("suspended", at)
        w.say("resumed", at + length, lead=_lead(w))
        _in_pause(w, at, at + length)
        at += length + 1200


def _in_pause(w: Writer, since: float, until: float) -> None:
    """Analyses of a pause: near 30 min before its end, at its edges, or none."""
    for _ in range(w.rng.choice((0, 1, 1, 2))):
        _test(w, w.rng.choice((until - 1800 + w.near(), until + w.near(), since + w.near(), (since + until) // 2)))


def _over(w: Writer, finish: float, days: int, last: bool) -> float:
    """How the work ends: finished, started again, called off, accepted, or still going on."""
    how = w.rng.random()
    if last and how < 0.2:
        return finish
    w.say("finished" if how < 0.85 else "cancelled", finish, lead=_lead(w))
    if how < 0.45:
        return _again(w, finish, days)
    if w.chance(0.5) and how < 0.85:
        w.say("accepted", finish + 600)
    return finish + 1200


def _again(w: Writer, finish: float, days: int) -> float:
    """Work goes on after it was finished, the same day or the next."""
    start = finish + (86400 - 6 * 3600 if days else w.rng.choice((300, 1800 + w.near(), 3600 + w.near(), 4200)))
    if w.chance(0.1):
        w.say("accepted", finish + 120)
    _in_pause(w, finish, start)
    w.say("started", start)
    if w.chance(0.8):
        w.say("finished", start + 1800)
    return start + 3600


def _lead(w: Writer) -> float:
    """How far ahead a clock is (s): mostly not; else just inside and just outside of what is believed, or far."""
    return w.rng.choice((5, 5.001, 6, 60, 300, 68 * 60)) if not w.lags and w.chance(0.03) else 0


def _test(w: Writer, at: float) -> None:
    """An analysis: whole, in half, failed, incomplete, typed, from the future."""
    more: dict[str, Any] = {"device": "BAD"} if w.chance(0.05) else {"device": "GOOD"} if w.chance(0.3) else {}
    if w.chance(0.12):
        more["method"] = "manual"
    lead, source = (_lead(w) or _lead(w)), w.rng.choice(("ptw", "ptw", "lab"))
    results = _results(w)
    if len(results) > 1 and w.chance(0.15):
        w.say("test", at, source, lead, results=results[:1], **more)
        w.say("test", at + w.rng.choice((1, 300, 599, 600, 601)), source, results=results[1:], **more)
        return
    if w.chance(0.12):
        more["passed"] = w.chance(0.5)
    w.say("test", at, source, lead, results=results, **more)


def _results(w: Writer) -> list[tuple[str, float | None, str]]:
    """Components at, inside and outside their limits; some missing."""
    gas = w.rng.choice(
        [(0.05, "%vol")] * 6 + [(0.5, "%vol"), (0.501, "%vol"), (10.0, "%LEL"), (10.1, "%LEL"), (None, "%vol")]
    )
    oxygen = w.rng.choice([20.8] * 8 + [19.5, 19.4, 21.0, 21.1, 23.5])
    out: list[tuple[str, float | None, str]] = []
    if not w.chance(0.06):
        out.append(("methane", *gas))
    if not w.chance(0.12):
        out.append(("o2", oxygen, "%vol"))
    if w.place.toxics and not w.chance(0.15):
        out.append(("h2s", w.rng.choice((1.0, 1.0, 1.0, 10.0, 10.1)), "mg/m3"))
    return out


# ---- told to the kernel -----------------------------------------------------------------------------------------


def _event(f: Fact, space: str) -> Any_:
    stamp: dict[str, Any] = {"at": f.at, "u": f.u, "grain": f.grain}
    if f.kind == "requested":
        return Requested(**stamp, permit="X", point="P", workers=["W"], guardians=["G"], **f.said)
    if f.kind == "device":
        return DeviceSaid(**stamp, **f.said)
    if f.kind == "test":
        return GasTest(**stamp, permit="X", **{**f.said, "results": [GasResult(*r) for r in f.said["results"]]})
    return Step(**stamp, permit="X", step=f.kind, by="A", **f.said)  # type: ignore[arg-type]


def _plant(c: Case) -> Plant:
    named: dict[str, Any] = {"closed": c.place.closed, "enriched": c.place.enriched, "toxics": list(c.place.toxics)}
    point = {"id": "P", "area": "A1", "x": 0, "y": 0, "cameras": ["C"], "detectors": ["D"], "space": c.space}
    told = {**point, **{k: v for k, v in named.items() if k in COLUMNS}}
    return scene(Told("oracle", "", "", scene={"points": [told]}), "oracle")


def tell(c: Case) -> list[Output]:
    """What the kernel says of a permit."""
    kernel, since = Kernel("oracle", left_out=ALERTS), MIDNIGHT + 6 * HOUR
    plant = PlantSaid(at=since, u=0, plant=_plant(c))
    out = kernel.step(Entry("oracle", "site", 1, since, "site.events", plant))
    out += kernel.step(Entry("oracle", "clock", 1, since, "site.events", Tick(at=since, virtual=True)))
    for f in c.facts:
        out += kernel.advance(f.arrival)
        event = _event(f, c.space)
        topic = OF_KIND[str(event.__struct_config__.tag)].name
        out += kernel.step(Entry("oracle", f.source, f.seq, f.arrival, topic, event))
    return out + kernel.advance(c.now)


def _verdicts(said: list[Output]) -> dict[int, Verdict]:
    """The last verdict on each life; where verdicts name no life, on the last one, as life 0."""
    out: dict[int, Verdict] = {}
    for v in said:
        if isinstance(v, Verdict):
            out[getattr(v, "life", 0)] = v
    return out


Difference = tuple[str, str, str]
"""A check, what the oracle says of it, what the kernel says."""


def differences(c: Case) -> Iterator[tuple[int, Difference]]:
    """Where the kernel and the oracle disagree, life by life."""
    truth, verdicts = judge(c.facts, c.now, c.place), _verdicts(tell(c))
    if 0 in verdicts:
        verdicts = {truth[-1].life: verdicts[0]} if truth else {}
    for number in sorted({r.life for r in truth} ^ set(verdicts)) if len(verdicts) > 1 else ():
        yield number, ("life", *(("there", "absent") if any(r.life == number for r in truth) else ("absent", "there")))
    for ruling in truth:
        if ruling.life in verdicts:
            yield from ((ruling.life, d) for d in _compared(ruling, verdicts[ruling.life]))


def _compared(ruling: Ruling, verdict: Verdict) -> Iterator[Difference]:
    for name in CHECKS:
        check = verdict.checks.get(name)
        truth, came = ruling.checks[name], check.outcome if check else "not applicable"
        if truth != came and not any({truth, came} <= same for same in SAME.get(name, SAME[""])):
            yield name, truth, came


# ---- the test, and by hand --------------------------------------------------------------------------------------


STORIES = {
    "S01": ("02", "08:40 test, 08:52 issued, 08:58 started, 11:30 finished", "consistent"),
    "S02": ("02", "08:05 test, 08:52 issued, 08:55 started", "T2 violation"),
    "S03": ("02", "08:28 test, 08:52 issued, 08:58 started", "T2 consistent"),
    "S03, u = 1 s": ("02", "08:28±1 test, 08:52 issued, 08:58±1 started", "T2 indeterminate"),
    "S04": ("02", "08:20m test, 08:40 issued, 08:50:40 started", "T2 indeterminate"),
    "S04, 20 s later": ("02", "08:20m test, 08:40 issued, 08:51 started", "T2 violation"),
    "S06": ("02", "08:30 test, 08:45 started, 08:52 issued", "T3 violation"),
    "S32": ("02", "08:40 test, 08:52 issued, 08:58 started, 10:00 suspended, 10:45 resumed", "T6 violation"),
    "S32, second class": ("03", "08:58 started, 10:00 suspended, 10:45 resumed", "T6 not applicable"),
    "S33": ("03", "08:58 started, 10:00 suspended, 11:05 resumed", "T6 violation"),
    "in one minute, by numbers": ("02", "08:30 test, 08:52m issued, 08:52m started", "T3 consistent"),
    "in one minute, against them": ("02", "08:30 test, 08:52m started, 08:52m issued", "T3 violation"),
    "16:00:00 and 16:00:01": ("02", "08:58 started, 16:00:01 finished", "T5 violation"),
}
"""What the domain document itself says of its stories: the type, what was told, what must come of it."""


def _story(told: str) -> Iterator[Fact]:
    for seq, line in enumerate(told.split(", "), 2):
        stamp, kind = line.split(" ")
        clock, _, u = stamp.removesuffix("m").partition("±")
        hours, minutes, seconds = (int(n) for n in (clock + ":00").split(":")[:3])
        at = MIDNIGHT + ((hours * 60 + minutes) * 60 + seconds) * SECOND
        said = {"results": [("methane", 0.05, "%vol")]} if kind == "test" else {}
        yield Fact(kind, at, int(u or 0) * SECOND, MINUTE if stamp.endswith("m") else 0, "ptw", seq, at + MINUTE, said)


@pytest.mark.parametrize("name", STORIES)
def test_the_oracle_says_of_the_stories_what_the_document_says(name: str) -> None:
    kind, told, outcome = STORIES[name]
    said = {"type": kind, "valid_from": MIDNIGHT + 8 * HOUR, "valid_to": MIDNIGHT + 16 * HOUR}
    request = Fact("requested", MIDNIGHT + 7 * HOUR, 0, 0, "ptw", 1, MIDNIGHT + 7 * HOUR, said)
    checks = judge([request, *_story(told)], MIDNIGHT + 12 * HOUR)[-1].checks
    check, _, wanted = outcome.partition(" ")
    assert checks[check] == wanted if wanted else not set(checks.values()) - {"consistent", "not applicable"}


@pytest.mark.timeout(300)
@pytest.mark.seed("000-28", part="T1 to T6, T9 of single permits")
def test_the_kernel_says_of_random_permits_what_the_oracle_says() -> None:
    _agree(range(PERMITS))


@pytest.mark.every
@pytest.mark.timeout(600)
def test_the_kernel_says_of_many_more_random_permits_what_the_oracle_says() -> None:
    _agree(range(PERMITS, 3000))


def _agree(seeds: range) -> None:
    wrong = [(seed, found) for seed in seeds if (found := list(differences(case(seed))))]
    assert not wrong, f"{len(wrong)} of {len(seeds)} permits: {wrong[:5]}; python -m tests.test_oracle shrinks them"


def _shrunk(c: Case, keeps: Callable[[Case], bool]) -> Case:
    """The smallest permit that still shows it: fewer facts, clocks without doubt, nothing late."""
    while True:
        smaller = next((s for s in _smaller(c) if keeps(s)), None)
        if smaller is None:
            return c
        c = smaller


def _smaller(c: Case) -> Iterator[Case]:
    for i, f in enumerate(c.facts):
        rest = (c.facts[:i], c.facts[i + 1 :])
        yield replace(c, facts=[*rest[0], *rest[1]])
        for k, other in enumerate(rest[1]):
            if (f.kind, other.kind) in PAIRS:
                yield replace(c, facts=[*rest[0], *rest[1][:k], *rest[1][k + 1 :]])
        for simpler in _simpler(f):
            yield replace(c, facts=[*rest[0], simpler, *rest[1]])
    if c.space:
        yield replace(c, space="", place=c.place._replace(closed=False))


def _simpler(f: Fact) -> Iterator[Fact]:
    """The same without one thing that makes it odd."""
    less = {k: v for k, v in f.said.items() if k not in ("method", "planned_start", "device")}
    changed = (f._replace(u=0), f._replace(u=0, said=less if f.kind != "device" else f.said), f._replace(grain=0))
    yield from (simpler for simpler in (*changed, f._replace(arrival=f.at)) if simpler != f)


def _shows(c: Case, difference: Difference) -> bool:
    return _sound(c.facts) and any(d == difference for _, d in differences(c))


def _sound(facts: list[Fact]) -> bool:
    """Is it still a permit: requested first, finished and suspended only after a start, resumed only in a pause?"""
    steps = [f.kind for f in sorted(facts, key=lambda f: (f.source, f.seq)) if f.kind not in ("test", "device")]
    after = {"suspended": ("started", "resumed"), "resumed": ("suspended",), "accepted": ("finished",)}
    after["finished"] = ("started", "resumed")
    after["requested"] = ("requested", "finished", "accepted", "rejected", "cancelled")
    after["started"] = ("requested", "finished", "accepted", "rejected", "cancelled")
    going = [s for s in steps if s != "issued"]
    return steps[:1] == ["requested"] and all(b not in after or a in after[b] for a, b in pairwise(going))


def _told(f: Fact) -> str:
    clock = _clock(f.at) + ("" if not f.grain else " (minute)") + (f" ±{f.u // SECOND} s" if f.u else "")
    late = f" arrives {_clock(f.arrival)}" if f.arrival != f.at else ""
    said = {k: _clock(v) if isinstance(v, int) and v > DAY else v for k, v in f.said.items()}
    return f"    {clock}{late} {f.source}/{f.seq} {f.kind} {said or ''}"


def _clock(ms: int) -> str:
    at = datetime.fromtimestamp((ms - MIDNIGHT) / SECOND, UTC)
    return f"{'' if at.day == 1 else f'D+{at.day - 1} '}{at:%H:%M:%S}" + (f".{ms % SECOND:03}" if ms % SECOND else "")


def main(permits: int, first: int) -> None:
    """Prints every class of disagreement, how often it came, and a shrunk example."""
    found: dict[Difference, list[int]] = {}
    for seed in range(first, first + permits):
        for _, difference in differences(case(seed)):
            found.setdefault(difference, []).append(seed)
    for difference, seeds in sorted(found.items(), key=lambda d: -len(d[1])):
        print(f"{difference}: {len(seeds)}; seeds {seeds[:6]}")
        small = _shrunk(case(seeds[0]), lambda c, d=difference: _shows(c, d))  # type: ignore[misc]
        print(*(_told(f) for f in small.facts), f"    {small.place} until {_clock(small.now)}", sep="\n")
    print(f"{permits} permits, {sum(map(len, found.values()))} disagreements")


if __name__ == "__main__":
    main(*(int(a) for a in [*sys.argv[1:3], *("300", "0")[len(sys.argv[1:3]) :]]))
