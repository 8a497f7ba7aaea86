"""The shape of a rule: a pure function from what is known of one subject, and now, to findings."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final, Literal, TypeVar, get_args
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from streams.atlas import Atlas, atlas_of
from streams.course import Course, read_course
from streams.events import Entry
from streams.outputs import Alert, Check
from streams.packs import Terms
from streams.times import Stamp
from streams.work import Site, Work

Subject = Literal["permit", "point", "channel", "series", "device", "worker", "site", "zone", "area", "contractor", "hazard", "source"]
Cause = Literal["permit", "seen", "gas", "guard", "video", "clock", "roster", "scan", "holes", "dark", "near", "weather", "process", "position", "evidence", "site", "device", "life", "late", "post", "prepared", "tested", "asked", "words", "pack"]
SUBJECTS: Final = get_args(Subject)
CAUSES: Final = get_args(Cause)
T = TypeVar("T")

FIRST: Final = 86_400_000
LAST: Final = 253_402_128_000_000
"""1970 and 9999, a day from their ends."""
UNSURE: Final = 120_000
"""A moment that may have been any within more ms than this is said as a span."""
RESPOND: Final = {1: 45_000, 2: 252_000, 3: 1_800_000, 4: 28_800_000}
"""First response in ms by priority (`domain.md` 3.5: 45 s, 4.2 min, 30 min, the shift)."""


class Finding(Struct, frozen=True):
    """One interval, in event time, in which a rule's condition holds. `requests` are (action, target) pairs."""

    start: int
    evidence: tuple[str, ...]
    end: int | None = None
    priority: int = 0
    numbers: dict[str, Any] = {}
    permit: str = ""
    point: str = ""
    variant: str = ""
    aq: str | None = None
    requests: tuple[tuple[str, str], ...] = ()
    stop: tuple[str, int] | None = None
    """A hazard, and until when (ms) nobody is to be given a new permit for what it stops: asked anew when that changes."""
    hold: str = ""
    """Why it is suppressed by design: recorded, not told."""
    incident: str = ""
    members: int = 1
    area: str = ""
    lately: int | None = None
    """The last moment (ms) at which it was seen to hold, where a rule says that."""


class Judged(Struct, frozen=True):
    """What a rule found, and when (ms) it wants to be asked again even if nothing happens."""

    findings: tuple[Finding, ...] = ()
    wake: int | None = None


NOTHING: Final = Judged()


@dataclass(frozen=True, slots=True)
class Rule:
    """An entry of the rule book. `clause` and `edition` name the source, `confidence` how well it was read (A, B, C)."""

    code: str
    subject: Subject
    priority: int
    watches: frozenset[Cause]
    judge: Callable[[Known, str], Judged]
    clause: str
    edition: str
    confidence: str
    aq: str = ""
    stories: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    """The numbers that tell simultaneous findings of one subject apart (the worker, the other permit …)."""
    prompt: bool = False
    """Found long after it was true, it is recorded as late and wakes nobody."""
    fleeting: bool = False
    """It sees only what is now (places are kept for minutes): what it no longer finds has ended, it was not wrong."""
    takes: tuple[str, ...] = ()
    """The figures by which it judges; `streams.limits` says of each whether it is taken as of the fact, of the permit's approval, or of now."""
    silence: bool = False
    """It also speaks of what was not heard: told without the streams of sensors, tags and recorders, it would speak of everything."""

    others: bool = False
    """Of a permit or a person: it also looks at other permits, or at who else came through the doors, so it is asked again when those are heard of late."""

    @property
    def function(self) -> Callable[..., Judged]:
        """The function that judges, also where one serves several rules."""
        return getattr(self.judge, "func", self.judge)


class At(str):
    """A moment as people read it off a clock, HH:MM:SS of plant time, and its local day."""

    __slots__ = ("day",)
    day: date


def dated(numbers: dict[str, Any], day: date) -> dict[str, Any]:
    """Numbers as they are said beside a day: a moment of another one with its date, of another year with the year too."""
    return {k: (v[:] if v.day == day else f"{v.day:{'%m-%d' if v.day.year == day.year else '%Y-%m-%d'}} {v}") if type(v) is At else v for k, v in numbers.items()}


class Known:
    """A site as a rule sees it: its facts, the last tick, and each permit's course read once."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._said: dict[int, At] = {}
        self._zone: tuple[str, ZoneInfo] = ("UTC", ZoneInfo("UTC"))
        self._midnights: dict[date, int] = {}
        self._day = (0, 0, date.min)
        """A local day that was asked for, and when it begins and ends."""
        self.courses: dict[str, Course] = {}
        self.only: Terms | None = None
        self.packs_changed()
        self.memo: dict[str, tuple[object, ...]] = {}
        """What a rule worked out for the same course and moment, for its sisters."""
        self.fixed: dict[str, tuple[Course, object, dict[str, Check]]] = {}
        """Of each permit's checks those that rest on its course and its signer's place alone."""
        self.alarms: dict[str, Alert] = {}
        """The P1 alerts that stand and asked for a siren or an evacuation: what a gate asks for, never a rule."""
        self.measured: list[Entry] = []
        """Clocks that arrivals have just measured, as a device would say it."""
        self.again: list[str] = []
        """Sources whose facts are to be corrected now, since their clock turned out to tell local time."""
        self.placed = 0
        """Counts how often a permit was placed at a work point, or left it."""
        self.by_family: dict[str, dict[str, list[str]]] = {}
        """work point → family of work → the permits there, in order."""
        for point, permits in site.at_point.items():
            for permit in permits:
                self.stands_at(point, permit, self.course(permit).family)
        self.turn = 0
        """How many times the site was judged: what was worked out in one turn holds for all of it."""

    @property
    def now(self) -> int:
        return self.site.now

    @property
    def atlas(self) -> Atlas:
        return atlas_of(self.site.plant)

    def terms_at(self, ms: int) -> Terms:
        """The terms by which a fact is judged: those in force when it was true."""
        return (self.only or self.site.terms(ms)).fact

    def terms_of(self, course: Course | None) -> Terms:
        """The terms of a permit: those in force at its approval; as long as it is not approved (or there is none yet), now."""
        return (self.only or self.site.terms(course.issued.at if course and course.issued else self.now)).permit

    def terms_now(self) -> Terms:
        """The terms of deadlines, of routing and of what is only of the moment: those in force now."""
        return (self.only or self.site.terms(self.now)).now

    def packs_changed(self) -> None:
        """Notes whether one pack has been in force all the time, the common case."""
        self.only = self.site.terms(self.now) if len(self.site.packs) == 1 else None

    def work(self, permit: str) -> Work:
        """A permit's facts; none where it was let go and is still named somewhere."""
        return self.site.works[permit] if permit in self.site.works else Work(permit)

    def step(self, permit: str, name: str, last: bool = False) -> Stamp | None:
        """When a step of a permit's life was taken, first or last."""
        work = self.site.works[permit]
        fact = work.last(name) if last else work.first(name)
        return self.site.stamp(fact) if fact else None

    def refs(self, permit: str, *names: str) -> tuple[str, ...]:
        """The evidence of the first step of each name, where there is one."""
        work = self.site.works[permit]
        return tuple(f.ref for n in names if (f := work.first(n)))

    def once(self, name: str, of: str, work: Callable[[], T]) -> T:
        """What is worked out of one subject once in a turn, for all who ask in a row."""
        kept = self.memo.get(name)
        if kept is None or kept[:2] != (of, self.turn):
            kept = self.memo[name] = (of, self.turn, work())
        return kept[2]  # type: ignore[return-value]

    def course(self, permit: str) -> Course:
        found = self.courses.get(permit)
        if found is None:
            found = self.courses[permit] = read_course(self.site, self.work(permit))
        return found

    def stands_at(self, point: str, permit: str, family: str) -> None:
        """Notes where a permit stands, by its family of work."""
        permits = self.by_family.setdefault(point, {}).setdefault(family, [])
        if permit not in permits[-1:]:
            insort(permits, permit)

    def left(self, point: str, permit: str) -> None:
        """A permit stands there no more."""
        for permits in self.by_family.get(point, {}).values():
            if permit in permits:
                permits.remove(permit)

    def at(self, point: str) -> list[Course]:
        """The courses of all permits at a work point."""
        return [self.course(permit) for permit in self.site.at_point.get(point, ())]

    def day(self, ms: int) -> date:
        """The local day."""
        since, until, day = self._day
        if since <= ms < until and self._zone[0] == (self.site.plant.timezone if self.site.plant else "UTC"):
            return day
        day = self.local(ms).date()
        if FIRST < ms < LAST:
            self._day = (self.midnight(day), self.midnight(day + timedelta(1)), day)
        return day

    def midnight(self, day: date) -> int:
        """When a local day begins, ms."""
        zone, found = self.zone(), self._midnights.get(day)
        if found is None:
            if len(self._midnights) > 1_000:
                self._midnights.clear()
            found = self._midnights[day] = int(datetime.combine(day, time(), zone).timestamp() * 1000)
        return found

    def zone(self) -> ZoneInfo:
        name = self.site.plant.timezone if self.site.plant else "UTC"
        if self._zone[0] != name:
            self._said.clear()
            self._midnights.clear()
            self._day, self._zone = (0, 0, date.min), (name, ZoneInfo(name))
        return self._zone[1]

    def local(self, ms: int) -> datetime:
        """Plant time; what lies outside the years that a calendar has is its first or last."""
        return datetime.fromtimestamp(min(max(ms, FIRST), LAST) / 1000, self.zone())

    def when(self, at: Stamp) -> str:
        """Plant time of a moment; where it is unsure by minutes, from when to when it may have been."""
        return f"{self.clock(at.lo)}–{self.clock(at.hi)}" if at.hi - at.lo > UNSURE else self.clock(at.at)

    def clock(self, ms: int | None) -> str:
        """Plant time as HH:MM:SS, or — where it is not known."""
        if ms is None:
            return "—"
        said = self._said.get(ms)
        if said is None:
            if len(self._said) > 20_000:
                self._said.clear()
            local = self.local(ms)
            said = self._said[ms] = At(f"{local:%H:%M:%S}")
            said.day = local.date()
        return said


def apart(a: Stamp, b: Stamp) -> str:
    """How long it was from one moment to another; where a clock is unsure by minutes, how long at least."""
    unsure = max(a.hi - a.lo, b.hi - b.lo) > UNSURE
    return f"≥ {minutes(max(0, b.lo - a.hi))}" if unsure else minutes(b.at - a.at)


def wake_at(*moments: int | None) -> int | None:
    """The first of several moments, Nones left out."""
    known = [m for m in moments if m is not None]
    return min(known) if known else None


def minutes(ms: int) -> str:
    """A length of time as people say it: `30 min 40 s`, from two hours on `2 h 5 min`, from two days on `3 d 4 h`."""
    whole, rest = divmod(round(abs(ms) / 1000), 60)
    for parts, big, small in ((1440, "d", "h"), (60, "h", "min")):
        if whole >= 2 * parts:
            n, left = divmod(whole, parts)
            left = left // 60 if big == "d" else left
            return f"{n} {big} {left} {small}" if left else f"{n} {big}"
    return f"{whole} min {rest} s" if rest and whole else (f"{whole} min" if whole else f"{rest} s")


def united(found: Iterable[Finding]) -> list[Finding]:
    """Findings of one thing that overlap, several cameras of one work, as one."""
    out: list[Finding] = []
    for f in sorted(found, key=lambda f: (f.start, f.evidence)):
        if out and (out[-1].end is None or out[-1].end >= f.start):
            last = out[-1]
            out[-1] = replace(last, end=None if None in (last.end, f.end) else max(last.end or 0, f.end or 0), evidence=tuple(dict.fromkeys((*last.evidence, *f.evidence))))
        else:
            out.append(f)
    return out


def among(spans: Iterable[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """The parts of spans within [start, end]."""
    return [(max(a, start), min(b, end)) for a, b in spans if b >= start and a <= end]


def without(spans: list[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """The parts of [start, end] that no span covers."""
    out, at = [], start
    for a, b in merge(spans):
        if b <= start or a >= end:
            continue
        if a > at:
            out.append((at, a))
        at = max(at, b)
    return [*out, (at, end)] if at < end else out


def both_of(xs: list[tuple[int, int]], ys: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where two lists of spans overlap."""
    return [(max(a, c), min(b, d)) for a, b in xs for c, d in ys if max(a, c) < min(b, d)]


def merge(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Overlapping or touching spans as one."""
    out: list[tuple[int, int]] = []
    for a, b in sorted(spans):
        if out and a <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], b))
        else:
            out.append((a, b))
    return out
