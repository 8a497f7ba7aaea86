"""What is known of a site: facts folded into permits, points, channels, cameras and people. No clock, no I/O, no judgement.

Everything here depends only on the set of facts, never on the order in which they came.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable

from msgspec import Struct, field

from streams.events import Any_, Entry, Positions
from streams.plant import Plant, Policy
from streams.spans import Intervals, Numbers, Spans
from streams.times import MINUTE, SECOND, Stamp

JOIN_FIX = 30 * SECOND
JOIN_FRAME = 10 * SECOND
JOIN_BAD = 2_500
JOIN_OVER = 30 * SECOND
JOIN_BEAT = 45 * SECOND
JOIN_SIGHT = MINUTE
RECENT = 90 * SECOND


class Fact(Struct, frozen=True):
    """An accepted event with the number that names it."""

    ref: str
    source: str
    seq: int
    seen: int
    event: Any_

    @property
    def order(self) -> tuple[int, str]:
        return self.event.at, self.ref


def remember(facts: list[Fact], fact: Fact) -> bool:
    """Keeps `facts` sorted by their own time; a fact that says the same again changes nothing."""
    for i, old in enumerate(facts):
        if old.event == fact.event:
            if fact.ref < old.ref:
                facts[i] = fact
            return False
    insort(facts, fact, key=lambda f: f.order)
    return True


class Track(Struct):
    """One watched person and one post: when surely outside its fence, when not, and when heard of at all."""

    inside: Spans
    outside: Spans
    heard: Spans


def new_track() -> Track:
    return Track(Spans(JOIN_FIX), Spans(JOIN_FIX), Spans(JOIN_FIX))


class Signing(Struct):
    """The signer's fix nearest in time to a signature: metres from the point, its error, how far in time (ms)."""

    away: float
    acc: float
    apart: int


class Work(Struct):
    """One permit: its facts by name, and the tracks of those who guard it."""

    permit: str
    facts: dict[str, list[Fact]] = {}
    tracks: dict[str, Track] = {}
    signing: Signing | None = None

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


class Series(Struct):
    """One channel: when it was over its limit, near it, or unreadable; and in which frames it travels."""

    over: Spans
    near: Spans
    bad: Spans
    groups: list[str] = []


def new_series() -> Series:
    return Series(Spans(JOIN_OVER), Spans(JOIN_OVER), Spans(JOIN_BAD))


class Camera(Struct):
    """One camera: what its recorder said, which clips exist, and when it was heard of."""

    on: Spans
    off: Spans
    heard: Spans
    clips: Intervals
    ref: str = ""


def new_camera() -> Camera:
    return Camera(Spans(JOIN_BEAT), Spans(JOIN_BEAT), Spans(JOIN_BEAT), Intervals())


class Sightings(Struct):
    """Work seen at a point by one camera, in its own time. A span counts once it holds three moments over ten seconds; until then its moments are kept."""

    spans: Spans
    few: list[int] = []

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
    certificates: list[Fact] = []
    scans: list[Fact] = []


class Hole(Struct):
    """Numbers that a source gave and that did not come, and when that was noticed."""

    series: str
    lo: int
    hi: int
    noticed: int


class Site(Struct):
    """All that is known of one plant up to `now`, the last tick."""

    site: str
    now: int = 0
    virtual: bool = False
    began: int = 0
    plant: Plant | None = None
    plant_ref: str = ""
    works: dict[str, Work] = {}
    at_point: dict[str, list[str]] = {}
    named: dict[str, list[str]] = {}
    """worker → the permits that name him, as worker or guardian."""
    watched: dict[str, list[str]] = {}
    series: dict[str, Series] = {}
    frames: dict[str, Spans] = {}
    cameras: dict[str, Camera] = {}
    sightings: dict[str, dict[str, Sightings]] = {}
    people: dict[str, Person] = {}
    clocks: dict[str, list[Fact]] = {}
    numbers: dict[str, Numbers] = {}
    holes: list[Hole] = []
    blind: Intervals = field(default_factory=Intervals)
    acks: dict[str, Fact] = {}
    recent: list[tuple[str, Positions]] = []

    @property
    def policy(self) -> Policy:
        return self.plant.policy if self.plant else Policy()

    def work(self, permit: str) -> Work:
        return self.works.setdefault(permit, Work(permit))

    def person(self, worker: str) -> Person:
        return self.people.setdefault(worker, Person())

    def camera(self, name: str) -> Camera:
        known = self.cameras.get(name)
        if known is None:
            known = self.cameras[name] = new_camera()
        return known

    def offset(self, device: str) -> tuple[int, int]:
        """(offset, residual) ms of a device's clock as last compared; (0, 0) where it never was."""
        said = self.clocks.get(device)
        if not said:
            return 0, 0
        event = said[-1].event
        return event.offset, event.residual  # type: ignore[union-attr]

    def stamp(self, fact: Fact, device: str = "") -> Stamp:
        """When a fact was true by true time: its stamp, corrected by what is known of its clock."""
        event = fact.event
        offset, residual = self.offset(device or fact.source)
        default = self.plant.uncertainty.get(fact.source, SECOND) if self.plant else SECOND
        u = default if event.u is None else event.u
        return Stamp(event.at - offset, u + residual, event.grain, fact.source, fact.seq)

    def dark(self, start: int, end: int) -> int:
        """How many ms of [start, end] we ourselves could not see."""
        return sum(max(0, min(hi, end) - max(lo, start)) for lo, hi in self.blind)


def fact_of(entry: Entry) -> Fact:
    return Fact(entry.ref, entry.source, entry.seq, entry.seen, entry.event)

