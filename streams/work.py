"""What is known of a site: facts folded into permits, points, channels, cameras and people. No clock, no I/O, no judgement.

Everything here depends only on the set of facts, never on the order in which they came.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from streams.clocks import Arrivals, Lead, Steps, measured
from streams.events import Any_, Entry, GasTest, Positions, Requested
from streams.lives import number_of, subject_of
from streams.numbers import Numbering
from streams.packs import Pack, Terms, terms_of
from streams.plain import unread
from streams.plant import Plant, Policy, plant_terms
from streams.spans import Held, Intervals, Spans
from streams.times import HOUR, MINUTE, SECOND, Stamp, Truth, before

JOIN_FIX = 30 * SECOND
JOIN_FRAME = 25 * SECOND
JOIN_OVER = 30 * SECOND
JOIN_BEAT = 45 * SECOND
JOIN_SIGHT = MINUTE
PAST = 20_000
"""So many numbers of permits that were forgotten are kept."""
LASTING = 10 * MINUTE
"""How long what a camera said to begin goes on though nothing else comes."""
SIGHT = 10 * SECOND
"""What was asked so soon beside a time in which we were blind was asked of the blind."""
SETTLES = 15 * SECOND
"""How long we must have seen again until an answer is judged again."""
KEPT = 50
"""Beginnings and ends of one track that are kept."""
JOIN_ALARM = 30 * SECOND
JOIN_WIND = 15 * MINUTE
JOIN_ZONE = 10 * SECOND
JOIN_TRACKED = 5 * SECOND
JOIN_BELOW = 90 * SECOND
RECENT = 90 * SECOND
TYPED = 5 * MINUTE


class Fact(Struct, frozen=True):
    """An accepted event with the number that names it."""

    ref: str
    source: str
    seq: int
    seen: int
    event: Any_
    ahead: bool = False
    """It came from the future: it was at some moment of the interval that it has now, and nobody knows at which."""
    unread: tuple[str, ...] = ()
    """Its fields that say something which nobody can read."""

    @property
    def order(self) -> tuple[int, str, int]:
        return self.event.at, self.source, self.seq


def remember(facts: list[Fact], fact: Fact) -> bool:
    """Keeps `facts` sorted by their own time; a fact that says the same again changes nothing."""
    at = fact.event.at
    for i in range(bisect_left(facts, at, key=_at), len(facts)):
        old = facts[i]
        if old.event.at != at:
            break
        if old.event == fact.event:
            if fact.ref < old.ref:
                facts[i] = fact
            return False
    insort(facts, fact, key=_order)
    return True


def _at(fact: Fact) -> int:
    return fact.event.at


def _order(fact: Fact) -> tuple[int, str, int]:
    return fact.event.at, fact.source, fact.seq


class Track(Struct):
    """One watched person and one post: when surely outside its fence, when not, and when heard of at all."""

    inside: Spans
    outside: Spans
    heard: Spans
    away: Spans
    """When surely outside the zone drawn for its space, where one is."""


def new_track() -> Track:
    return Track(Spans(JOIN_FIX), Spans(JOIN_FIX), Spans(JOIN_FIX), Spans(JOIN_FIX))


class Signing(Struct):
    """The signer's fix nearest in time to a signature: metres from the point, its error, how far in time (ms)."""

    away: float
    acc: float
    apart: int


class Work(Struct):
    """One permit: its facts by name, its evidence, and the tracks of those who guard it."""

    permit: str
    facts: dict[str, list[Fact]] = {}
    clips: list[Fact] = []
    beside: dict[str, dict[str, list[float]]] = {}
    """gas test → channel → what the bound detectors read within a minute of sampling, as far as was known when the test came in."""
    tracks: dict[str, Track] = {}
    signing: Signing | None = None
    began: int = 0
    """When this life began (ms), of a later life than the first."""
    carried: set[str] = set()
    """The facts that it took over from the life before."""
    turns: list[str] = []
    """The order of its turning steps, by reference, where numbers and stamps disagree."""

    def add(self, name: str, fact: Fact) -> bool:
        return remember(self.facts.setdefault(name, []), fact)

    def all(self, name: str) -> list[Fact]:
        return self.facts.get(name, [])

    def first(self, name: str) -> Fact | None:
        found = self.facts.get(name)
        return found[0] if found else None

    def last(self, name: str) -> Fact | None:
        found = self.facts.get(name)
        return found[-1] if found else None


class Ticket(Struct):
    """All that was said under one permit number, and how many of its lives were let go."""

    facts: list[Fact] = []
    lives: int = 1
    gone: int = 0
    over: bool = False
    """Was it ever sent back, called off, finished or accepted? Until then there is one life."""
    bent: bool = False
    """Do a source's numbers and its stamps disagree?"""
    earlier: int = 0
    """How many lives of its number were forgotten before: what is told of a later one must bear another name."""


class Constant(Struct):
    """Since when a channel has read the same: its last sampled value, when, and the last moment at which it read another. Set-determined."""

    value: float = 0.0
    last: int = 0
    other: int = 0
    ref: str = ""

    def add(self, at: int, value: float, ref: str) -> None:
        if at > self.last:
            if value != self.value or not self.last:
                self.other = self.last
            self.value, self.last, self.ref = value, at, ref
        elif value != self.value and at > self.other:
            self.other = at


class Series(Struct):
    """One channel: when it was over its limit, near it, at a fixed detector's alarm, unreadable or out of its instrument's range; how it travels.

    `held`: a process channel deviates from its set point, a fan is stopped, an isolation is opened.
    """

    over: Spans
    near: Spans
    alarm: Spans
    bad: Held
    wild: Spans
    units: Spans
    held: Held
    band: Spans
    """When it was not clear of its limit: beyond it, or within the width that an alarm asks before it clears."""
    below: Held
    """When it read a little below zero, and counted as zero; what is sampled each minute may say that it did not."""
    poor: Held
    rich: Held
    """Oxygen: lower than air, higher than air and than it usually reads."""
    groups: list[str] = []
    constant: Constant = field(default_factory=Constant)
    trace: dict[int, tuple[int, float]] = {}
    """minute → (ms, value): the first sampled reading of each of the last minutes: sixty while a permit is bound to it, else a quarter of an hour."""
    halves: dict[int, list[float]] = {}
    """half-minute → its good readings, while a permit is bound to it."""
    flip: float = 0.0
    """How many times its own unit's number another unit's is, while it seems to tell that one."""
    trend_ref: str = ""
    usual: dict[int, dict[int, int]] = {}
    """Oxygen: hour → reading in hundredths → how often; the last day."""

    def spans(self) -> tuple[Spans, ...]:
        """All that was so for a time."""
        return (self.over, self.near, self.alarm, self.bad.over, self.wild, self.units, self.held.over, self.band, self.below.over, self.poor.over, self.rich.over)


def new_series() -> Series:
    return Series(
        Spans(JOIN_OVER), Spans(JOIN_OVER), Spans(JOIN_ALARM), Held(Spans(JOIN_FRAME)), Spans(JOIN_OVER), Spans(JOIN_OVER), Held(Spans(JOIN_TRACKED)),
        Spans(JOIN_OVER), Held(Spans(JOIN_BELOW)), Held(Spans(JOIN_FRAME)), Held(Spans(JOIN_FRAME)),
    )  # fmt: skip


class Winds(Struct):
    """One station: when its mean wind was too strong for open-air hot work and work at height, and for lifting."""

    work: Held
    lifting: Held
    last: tuple[int, float] = (0, 0.0)
    """(ms, m/s) of its latest mean."""


def new_winds() -> Winds:
    return Winds(Held(Spans(JOIN_WIND)), Held(Spans(JOIN_WIND)))


class Camera(Struct):
    """One camera: what its recorder said, which clips exist, and when it was heard of."""

    on: Spans
    off: Spans
    heard: Spans
    clips: Intervals
    ref: str = ""


def new_camera() -> Camera:
    return Camera(Spans(JOIN_BEAT), Spans(JOIN_BEAT), Spans(JOIN_BEAT), Intervals())


class Shown(Struct):
    """When a camera's track of something was said to begin and to end, true time (ms)."""

    starts: list[int] = []
    ends: list[int] = []

    def add(self, phase: str, at: int) -> bool:
        """Notes a beginning or an end; False where it is known."""
        said = self.starts if phase == "start" else self.ends
        if at in said:
            return False
        insort(said, at)
        del said[:-KEPT]
        return True

    def until(self, start: int) -> int:
        """Until when what began goes on, as far as was said: its end, ten minutes at most."""
        return next((end for end in self.ends if start <= end <= start + LASTING), start + LASTING)


class Sightings(Struct):
    """Work seen at a point by one camera, in its own time. A span counts once it holds three moments over ten seconds; until then its moments are kept."""

    spans: Spans
    few: list[int] = []
    u: int = 0
    """The widest error that its stamps had, ms."""

    def add(self, at: int, value: float, ref: str) -> bool:
        if not self._doubtful(at):
            return self.spans.add(at, value, ref)
        began = self.spans.add(at, value, ref)
        if at not in self.few:
            insort(self.few, at)
        self._settle(at)
        return began or not self._doubtful(at)

    def _span(self, at: int) -> tuple[int, int] | None:
        return next(((a, b) for a, b in self.spans if a - self.spans.join <= at <= b + self.spans.join), None)

    def _doubtful(self, at: int) -> bool:
        span = self._span(at)
        return span is None or any(span[0] <= m <= span[1] for m in self.few)

    def _settle(self, at: int) -> None:
        span = self._span(at)
        if span and span[1] - span[0] >= 10 * SECOND and sum(span[0] <= m <= span[1] for m in self.few) >= 3:
            self.few = [m for m in self.few if not span[0] <= m <= span[1]]

    def sure(self) -> Iterable[tuple[int, int, str]]:
        """(first, last, evidence) of each span that counts."""
        for a, b, ref in zip(self.spans.first, self.spans.last, self.spans.ref, strict=True):
            if not any(a <= m <= b for m in self.few):
                yield a, b, ref


def new_sightings() -> Sightings:
    return Sightings(Spans(JOIN_SIGHT))


class Person(Struct):
    """What is known of one worker."""

    crew: str = ""
    trades: list[str] = []
    employer: str = ""
    certificates: list[Fact] = []
    scans: list[Fact] = []
    hr: list[Fact] = []
    authorisations: list[Fact] = []
    records: list[Fact] = []
    tag: list[Fact] = []
    listed: list[Fact] = []
    """What the roster says of the person; empty: he is not on it."""
    active: list[int] = []
    """Days (local ordinals) on which the account was used; the last few."""


class Hole(Struct):
    """Numbers that a source gave and that did not come, and when that was noticed."""

    series: str
    lo: int
    hi: int
    noticed: int


class Force(Struct):
    """A rule pack and the moment (ms) from which it is in force."""

    since: int
    ref: str
    pack: Pack


class Comer(Struct):
    """How a source behaves: when its facts came late, and the moments of its repeats in the last hour."""

    late: Spans
    repeats: list[int] = []
    ref: str = ""


def new_comer() -> Comer:
    return Comer(Spans(10 * MINUTE))


class Said(Struct):
    """What a source did on one local day that is said once: since when (ms), the first evidence, what it was, how often."""

    day: int
    since: int
    ref: str
    what: list[str] = []
    count: int = 0


def say(days: list[Said], day: int, at: int, ref: str, what: Iterable[str]) -> bool:
    """Notes it under its day; True if the day or one of the words is new."""
    if not days or days[-1].day < day:
        days.append(Said(day, at, ref, sorted(set(what))[:24], 1))
        del days[:-8]
        return True
    last = days[-1]
    fresh = [w for w in what if w not in last.what]
    last.count += 1
    last.what = sorted({*last.what, *fresh})[:24]
    return bool(fresh)


class Site(Struct):
    """All that is known of one plant up to `now`, the last tick."""

    site: str
    now: int = 0
    virtual: bool = False
    began: int = 0
    plant: Plant | None = None
    plant_ref: str = ""
    packs: list[Force] = []
    works: dict[str, Work] = {}
    """A permit's life (NUMBER, NUMBER#2 …) → what is known of it."""
    past: dict[str, int] = {}
    """Permit number that was forgotten → how many lives it had."""
    isolations: dict[str, list[Fact]] = {}
    """isolation → what was said of it, under whichever ticket."""
    relied: dict[str, list[str]] = {}
    """permit number → the isolations that were applied or verified under it."""
    tickets: dict[str, Ticket] = {}
    """Permit number → all that was said under it."""
    at_point: dict[str, list[str]] = {}
    named: dict[str, list[str]] = {}
    """worker → the permits that name him, as worker or guardian."""
    signed: dict[str, list[tuple[int, str, str]]] = {}
    """approver → (ms, permit, evidence) of his final approvals, in order."""
    watched: dict[str, list[str]] = {}
    series: dict[str, Series] = {}
    frames: dict[str, Spans] = {}
    live: dict[str, Spans] = {}
    """As `frames`, of the live lane only: what a gateway kept does not undo that it was silent."""
    cameras: dict[str, Camera] = {}
    sightings: dict[str, dict[str, Sightings]] = {}
    sights: dict[str, dict[str, Spans]] = {}
    phases: dict[str, dict[str, dict[str, Shown]]] = {}
    """point → behaviour → camera and track → when each said that it began and that it ended."""
    """point → behaviour → when a camera surely saw it."""
    people: dict[str, Person] = {}
    clocks: dict[str, list[Fact]] = {}
    devices: dict[str, list[Fact]] = {}
    equipment: dict[str, list[Fact]] = {}
    activities: dict[str, list[Fact]] = {}
    productions: dict[str, list[Fact]] = {}
    hazards: dict[str, list[Fact]] = {}
    shown: dict[str, list[Fact]] = {}
    """hazard → the evidence of its remedy."""
    contractors: dict[str, list[Fact]] = {}
    registries: list[Fact] = []
    warnings: list[Fact] = []
    decisions: list[Fact] = []
    """Answers at gates that are looked at again: given half blind, or to helpers."""
    specials: list[Fact] = []
    probes: list[Fact] = []
    broken: list[Fact] = []
    overdue: dict[str, int] = {}
    """A permit's life → the earliest moment (ms) of which something was heard after its minute had been told."""
    worked: dict[str, tuple[int, int]] = {}
    """A permit's life → the first and the last minute (ms) that were told as worked."""
    telling: bool = False
    """Is there more of it than one minute could tell?"""
    winds: dict[str, Winds] = {}
    visitors: dict[str, list[str]] = {}
    """door of a work point → who scanned there of late."""
    zones: dict[str, dict[str, Spans]] = {}
    """zone → worker → when he was inside."""
    photos: dict[str, list[Fact]] = {}
    """sha256 → the clips that carry it."""
    analysts: dict[str, list[Fact]] = {}
    """analyst → his typed gas tests, the last twenty."""
    comers: dict[str, Comer] = {}
    leads: dict[str, Lead] = {}
    """source → what it said of times that had not come yet."""
    arrivals: dict[str, Arrivals] = {}
    steps: dict[str, Steps] = {}
    """Clock of a stream → what it showed last, and when it had gone back."""
    pushed: dict[str, Arrivals] = {}
    """Clock of a source that declares its push delay (a camera's own, else the source's) → how its messages arrive."""
    words: dict[str, list[Said]] = {}
    """source → fields that it does not write in our words, by day."""
    asides: dict[str, list[Said]] = {}
    """source → what of it could not be judged, by day."""
    lost: list[Said] = []
    """Which logs of ours have lost their end, by day."""
    numbers: dict[str, Numbering] = {}
    holes: list[Hole] = []
    unsettled: list[Fact] = []
    """Answers given half blind that have not been judged again."""
    settled: dict[str, str] = {}
    """Evidence of an answer → what it would have been, judged again once we saw."""
    blind: Intervals = field(default_factory=Intervals)
    away: Intervals = field(default_factory=Intervals)
    """When our door was closed: what came then may be lost; what only had to wait for us is not."""
    actions: dict[str, list[Fact]] = {}
    """code|subject → what people did about its alerts."""
    done: dict[str, list[Fact]] = {}
    recent: list[tuple[str, Positions]] = []
    seen: dict[str, tuple[int, float, float, float, float]] = {}
    """Worker → where his tag was last: (when, x, y, z, 1-sigma error)."""

    @property
    def policy(self) -> Policy:
        return self.plant.policy if self.plant else Policy()

    def terms(self, at: int) -> Terms:
        """The terms in force at a moment."""
        if not self.packs:
            return plant_terms(self.plant)
        if len(self.packs) == 1:
            return terms_of(self.packs[0].pack)
        force = next((f for f in reversed(self.packs) if f.since <= at), self.packs[0])
        return terms_of(force.pack)

    def work(self, permit: str) -> Work:
        return self.works.setdefault(permit, Work(permit))

    def ticket(self, number: str) -> Ticket:
        """All that is known under a permit number; one that was forgotten goes on with the life after its last."""
        known = self.tickets.get(number)
        if known is None:
            earlier = self.past.get(number, 0)
            known = self.tickets[number] = Ticket(lives=earlier + 1, gone=earlier, earlier=earlier)
        return known

    def forget_ticket(self, number: str) -> None:
        """Lets a number go; of the last thousands of them it is kept how many lives they had."""
        self.past.pop(number, None)
        self.past[number] = self.tickets.pop(number).lives
        while len(self.past) > PAST:
            del self.past[next(iter(self.past))]

    def latest(self, permit: str) -> str:
        """The last life of a number; a life that is named is itself."""
        if permit in self.works and "#" in permit:
            return permit
        number = number_of(permit)
        ticket = self.tickets.get(number)
        if ticket is None and number not in self.past:
            return permit
        return subject_of(number, ticket.lives if ticket else self.past[number] + 1)

    def person(self, worker: str) -> Person:
        return self.people.setdefault(worker, Person())

    def camera(self, name: str) -> Camera:
        known = self.cameras.get(name)
        if known is None:
            known = self.cameras[name] = new_camera()
        return known

    def offset(self, device: str, at: int, seen: int | None = None) -> tuple[int, int]:
        """(offset, error) ms of a device's clock at a moment of its own time, which was heard of at `seen`; (0, 0) where it was never compared."""
        said = self.clocks.get(device)
        return (measured(said, at, seen) or (0, 0)) if said else (0, 0)

    def true(self, device: str, at: int) -> int:
        """A moment of a device's clock by true time, as far as is known."""
        return at - self.offset(device, at)[0] if device in self.clocks else at

    def stamp(self, fact: Fact, device: str = "") -> Stamp:
        """When a fact was true by true time: its stamp, corrected by what is known of its clock. A gas test's is its instrument's, where that was compared."""
        event = fact.event
        clock = device or (event.device if isinstance(event, GasTest) and event.device in self.clocks else fact.source)
        offset, error = self.offset(clock, event.at, fact.seen)
        u = self.doubt(fact.source, event)
        return Stamp(event.at - offset, max(u + error, self.bound(fact)), event.grain, fact.source, fact.seq)

    def counts(self, fact: Fact, relief: bool = False) -> int:
        """From when a fact counts, ms of true time. What is from the future is believed at once; what takes a danger away only when all of its time is past (`domain.md` 4.5)."""
        at = self.stamp(fact)
        return (at.hi if relief else at.lo) if fact.ahead else at.at

    def holds(self, fact: Fact, danger: bool) -> int:
        """Where a word stands among others of which the last holds (ms): one from the future that tells of a danger at the end of the time in which it was said, any other at its beginning."""
        at = self.stamp(fact)
        return (at.hi if danger else at.lo) if fact.ahead else fact.event.at

    def stands(self, told: Iterable[tuple[Fact, bool]], at: int) -> Fact | None:
        """What was said last of a danger by a moment (ms), where nothing that was surely later took it away; of one source its numbers decide. `told`: each fact, and is it the danger?"""
        by_then = [(f, danger) for f, danger in told if self.counts(f, relief=not danger) <= at]
        over = [f for f, danger in by_then if not danger]
        said = [f for f, danger in by_then if danger and not any(self._later(f, other) for other in over)]
        return max(said, key=lambda f: (self.counts(f), f.seq), default=None)

    def _later(self, one: Fact, other: Fact) -> bool:
        """Is another fact surely later than one?"""
        if one.source != other.source:
            return self.stamp(other).lo > self.stamp(one).hi
        return other.seq > one.seq if one.ahead or other.ahead else (other.event.at, other.seq) > (one.event.at, one.seq)

    def doubt(self, source: str, event: Any_) -> int:
        """By how much (± ms) an event's stamp may be wrong: as it says, else as its source is declared; a time that somebody typed by five minutes at least."""
        if event.u is not None:
            return event.u
        declared = self.plant.uncertainty.get(source, SECOND) if self.plant else SECOND
        return max(declared, TYPED) if isinstance(event, GasTest) and event.method == "manual" else declared

    def bound(self, fact: Fact) -> int:
        """By how much its source's clock may be slow, as the arrivals of that hour say."""
        arrivals = self.arrivals.get(fact.source)
        return arrivals.bounds.get(fact.seen // HOUR, 0) if arrivals and arrivals.bounds else 0

    def sighted(self, at: int) -> int:
        """From when on we saw, and went on to see for a while, what we were blind to at a moment; that moment itself, where we were only late."""
        end = at
        for lo, hi in self.blind:
            if lo - SIGHT <= end <= hi + SIGHT or lo <= end + SETTLES <= hi:
                end = max(end, hi)
        return end

    def missed(self, start: int, end: int) -> bool:
        """Our door was closed: we were blind, and what came may be lost. Did we not know of it?"""
        self.away.add(start, end)
        return self.blind.add(start, end)

    def dark(self, start: int, end: int) -> int:
        """How many ms of [start, end] we ourselves could not see."""
        return sum(max(0, min(hi, end) - max(lo, start)) for lo, hi in self.blind)


def said_after(site: Site, fact: Fact, approval: Fact) -> bool:
    """Was something surely said after an approval?"""
    return before(site.stamp(fact), site.stamp(approval)) is Truth.FALSE


def approved_as(site: Site, work: Work) -> Requested | None:
    """The request as it stood at the last approval, where it was said anew after that: nobody has approved what is new in it (GB 30871-2022 4.16)."""
    asked, issued = work.all("permit.requested"), work.last("issued")
    if len(asked) < 2 or issued is None or not said_after(site, asked[-1], issued):
        return None
    earlier = [f.event for f in asked if not said_after(site, f, issued)]
    return earlier[-1] if earlier and isinstance(earlier[-1], Requested) else None


def relied_on(site: Site, permit: str) -> set[str]:
    """The isolations on which a permit's life rests: listed by it as approved or as said last, applied or verified under it, or under a ticket that is linked to it."""
    work = site.works.get(permit)
    asked = work.last("permit.requested") if work else None
    said = [r for r in (asked.event if asked else None, approved_as(site, work) if work else None) if isinstance(r, Requested)]
    numbers = {number_of(permit), *(number_of(n) for r in said for n in r.linked)}
    return {*(name for r in said for name in r.isolations), *(name for n in numbers for name in site.relied.get(n, ()))}


def _holders(site: Site) -> Iterator[Struct]:
    yield site
    yield from site.tickets.values()
    yield from site.works.values()
    yield from site.people.values()


def kept_in(site: Site) -> Iterator[list[Fact]]:
    """Every list in which facts are kept."""
    for holder in _holders(site):
        for name in holder.__struct_fields__:
            value = getattr(holder, name)
            for facts in value.values() if isinstance(value, dict) else (value,):
                if isinstance(facts, list) and facts and isinstance(facts[0], Fact):
                    yield facts


def untake(site: Site, ref: str) -> None:
    """Takes a fact out of all lists again; a list that held nothing else goes with it."""
    for facts in kept_in(site):
        if any(f.ref == ref for f in facts):
            facts[:] = [f for f in facts if f.ref != ref]
    for holder in _holders(site):
        for name in holder.__struct_fields__:
            value = getattr(holder, name)
            for key in [k for k, facts in value.items() if facts == []] if isinstance(value, dict) else ():
                del value[key]


def fact_of(entry: Entry, ahead: bool = False) -> Fact:
    return Fact(entry.ref, entry.source, entry.seq, entry.seen, entry.event, ahead, unread(entry.odd) if entry.odd else ())

