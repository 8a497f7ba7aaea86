"""A plant's days as events: jobs that go as they should, telemetry, and a place for everything that a quirk spoils. Seeded; instants are ms."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from infra.truth.book import CONFINED, HOT, NEEDS_GAS, TRADES, kind_of
from infra.truth.ground import EACH, OUTSIDE
from streams.atlas import Atlas
from streams.events import (
    Any_,
    CameraBeat,
    Certificate,
    Clip,
    Detection,
    Frame,
    GasResult,
    GasTest,
    Guard,
    Positions,
    Requested,
    Scan,
    Step,
    Worker,
)  # fmt: skip
from streams.plant import Plant, Point
from streams.times import HOUR, MINUTE, SECOND

MIX = (("01", 3), ("02", 11), ("03", 21), ("22", 22), ("10", 15), ("70", 10), ("63", 8), ("50", 5), ("30", 3), ("40", 2))
"""Types of new permits and their weight (`domain.md` 4.1)."""
PASS = [GasResult("methane", 0.05, "%vol"), GasResult("o2", 20.8, "%vol")]
BEAT = 20 * SECOND
"""How often telemetry is sampled: rarer than in a plant, so that a month can be judged in minutes; nothing that the rules ask needs more."""
U = 200
"""By how much (± ms) the clocks of the permit system, the badges and the operators' desks may be off."""
Row = tuple[int, str, Any_ | None]
"""(when it arrives, its source, what it says); None: its number was given and it was lost on the way."""


AT_START: Final = ("UPG-HOL", "UPG-REST", "UPG-NIGHT", "UPG-EVENT", "X-WIND")
"""What stands against a permit by no fault of its own, in the order in which a gate names it. What arises within the minute before the start is not known when the start is asked."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What was injected: this code must be raised about this permit (or subject) at this moment, within so many ms; `also`: what follows from it rightly."""

    code: str
    subject: str
    at: int
    within: int = 2 * SECOND
    also: tuple[str, ...] = ()
    end: int | None = None
    """When it was over; None: not scored."""
    priority: int = 0
    """How urgent; 0: as its code always is."""
    grace: int = 0
    """By how much the facts of its permit came late: so much later it may be raised."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A question at a gate, the answer to be given, and a reason that must be among those named."""

    at: int
    gate: str
    permit: str
    answer: str
    reason: str = ""
    worker: str = ""
    door: str = ""


@dataclass
class Job:
    """A permit as it goes. A quirk changes its fields before its events are written, or adds events."""

    permit: str
    type: str
    point: Point
    workers: list[str]
    guardian: str
    signer: str
    requested: int
    sampled: int | None
    issued: int
    started: int
    finished: int
    accepted: int | None
    valid_from: int
    valid_to: int
    skip: set[str] = field(default_factory=set)
    """Steps that are not taken."""
    extra: dict[str, Any] = field(default_factory=dict)
    """More of the request."""
    away: list[tuple[int, int]] = field(default_factory=list)
    """When the guardian is not there."""
    dark: list[tuple[int, int]] = field(default_factory=list)
    """When its camera does not record."""
    mute: list[tuple[int, int]] = field(default_factory=list)
    """When its guardian's tag is not heard of."""
    pauses: list[tuple[int, int]] = field(default_factory=list)
    """When its work was stopped, as the permit system says."""
    stopped: list[tuple[int, int]] = field(default_factory=list)
    """When nothing is heard of its fan."""
    records: bool = True
    place: tuple[float, float] | None = None
    quirk: str = ""

    @property
    def tag(self) -> str:
        return self.point.detectors[0] if self.point.detectors else ""


@dataclass
class Days:
    """Everything that happens at a plant from `start` for some days."""

    plant: Plant
    start: int
    days: int
    rng: random.Random
    seed: int = 0
    jobs: list[Job] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    truths: list[Truth] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    bad_clock: set[str] = field(default_factory=set)
    """The permits that rest on a clock that is not good."""
    levels: dict[str, list[tuple[int, int, float | None, float]]] = field(default_factory=dict)
    """tag → (from, to, value at the beginning or None for BAD, value at the end)."""
    holes: list[tuple[int, int]] = field(default_factory=list)
    """When the site's clock does not tick: we ourselves are blind."""
    used: dict[str, int] = field(default_factory=dict)
    """How many of each kind of place outside, or of what happens once, are taken."""

    def __post_init__(self) -> None:
        self.atlas, self.zone = Atlas(self.plant), ZoneInfo(self.plant.timezone)

    def local(self, day: int, hour: float) -> int:
        """ms of a local hour on the n-th day."""
        first = datetime.fromtimestamp(self.start / 1000, self.zone).date()
        midnight = datetime.combine(first + timedelta(days=day), datetime.min.time(), self.zone)
        return int(midnight.timestamp() * 1000 + hour * HOUR)

    def is_workday(self, ms: int) -> bool:
        return kind_of(datetime.fromtimestamp(ms / 1000, self.zone).date()) == "workday"

    @property
    def end(self) -> int:
        return self.start + self.days * 24 * HOUR

    def day_of(self, job: Job) -> int:
        return int(job.permit[1:].partition("-")[0])

    def take(self, kind: str) -> int:
        """The number of the next place of a kind at which nothing has happened yet; after the last again the first."""
        n = self.used[kind] = self.used.get(kind, -1) + 1
        return n % EACH

    def first(self, what: str) -> bool:
        """True once: for what happens to a plant as a whole."""
        return self.take(what) == 0 and self.used[what] == 0

    def outside(self, kind: str) -> Point:
        """The next added point of a kind (R, B, F, L)."""
        return self.atlas.points[f"{kind}-P{self.take(kind):02d}"]

    def say(self, at: int, source: str, event: Any_ | None, late: int = 0) -> None:
        self.rows.append((at + late, source, event))

    def truth(self, code: str, subject: str, at: int, within: int = 2 * SECOND, also: tuple[str, ...] = (), end: int | None = None, priority: int = 0) -> None:
        self.truths.append(Truth(code, subject, at, within, also, end, priority))

    def ask(self, at: int, gate: str, permit: str, answer: str, reason: str = "", worker: str = "", door: str = "") -> None:
        self.asks.append(Ask(at, gate, permit, answer, reason, worker, door))

    def certified(self, workers: list[str]) -> None:
        """New hands who hold every certificate, for years."""
        for worker in workers:
            self.say(self.start - HOUR, "hr", Worker(at=self.start - HOUR, u=U, worker=worker, crew="C0", trades=[]))
            for trade in sorted(set(TRADES.values())):
                self.say(self.start - HOUR, "hr", Certificate(at=self.start - HOUR, u=U, worker=worker, number=f"{trade[:2]}-{worker}", trade=trade, valid_to="2031-12-31"))

    def reads(self, tag: str, since: int, until: int, first: float | None, last: float) -> None:
        """A channel reads from `first` to `last` for a while; None: it reads BAD."""
        self.levels.setdefault(tag, []).append((since, until, first, last))

    # ---- jobs ---------------------------------------------------------------------------------------------------

    def plan(self, per_day: int) -> None:
        """Jobs on separate points and with separate people, so that nothing conflicts unless a quirk lets it."""
        self._roster()
        for day in range(self.days):
            self._plan_day(day, per_day if self.is_workday(self.local(day, 12)) else max(2, per_day * 22 // 60))

    def _plan_day(self, day: int, count: int) -> None:
        free = self._apart(day)
        for n in range(min(count, len(free))):
            kind = self.rng.choices([t for t, _ in MIX], [w for _, w in MIX])[0]
            self.jobs.append(self._job(day, n, kind, free[n]))

    def _apart(self, day: int) -> list[Point]:
        """Points of which no two are within 60 m on one day."""
        points, kept = [p for p in self.plant.points if p.area != OUTSIDE], list[Point]()
        self.rng.shuffle(points)
        for point in points:
            if all(abs(p.x - point.x) + abs(p.y - point.y) > 60 and not set(p.detectors + p.cameras) & set(point.detectors + point.cameras) for p in kept):
                kept.append(point)
        return kept

    def _job(self, day: int, n: int, kind: str, point: Point) -> Job:
        start = self.local(day, 8.2 + self.rng.random() * 5.5) // MINUTE * MINUTE
        last = self.local(day, 16.2) - start
        length = min(last, (25 + int(self.rng.random() * 125)) * MINUTE)
        finished = start + max(20 * MINUTE, length)
        after = 38 if kind in HOT else 8
        valid = start - 4 * MINUTE
        return Job(f"D{day:02d}-{n:03d}", kind, point, [f"W{day % 2}{n:03d}a", f"W{day % 2}{n:03d}b"], f"G{day % 2}{n:03d}", f"A{n % 24}",
                   start - 70 * MINUTE, start - 13 * MINUTE if kind in NEEDS_GAS else None, valid, start, finished, finished + after * MINUTE,
                   valid, valid + 8 * HOUR - MINUTE)  # fmt: skip

    def _roster(self) -> None:
        """Everybody holds every certificate that could be asked, for years."""
        at = self.start - 2 * HOUR
        trades = sorted(set(TRADES.values()))
        for half in (0, 1):
            for n in range(120):
                for suffix in ("a", "b"):
                    worker = f"W{half}{n:03d}{suffix}"
                    self.say(at, "hr", Worker(at=at, u=U, worker=worker, crew=f"C{n % 12}", trades=[]))
                    for trade in trades:
                        self.say(at, "hr", Certificate(at=at, u=U, worker=worker, number=f"{trade[:2]}-{worker}", trade=trade, valid_to="2031-12-31"))

    # ---- events -------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """The events of every job, after the quirks had their way."""
        for job in self.jobs:
            for at, source, event in life(job, self):
                self.say(at, source, event)
        standing = {(t.subject, t.code): t.at for t in self.truths if t.code in AT_START}
        for job in self.jobs:
            known = {code for code in AT_START if (since := standing.get((job.permit, code))) is not None and (since <= job.started - MINUTE or since == job.started)}
            self._asked_of(job, [code for code in AT_START if code in known])

    def _asked_of(self, job: Job, against: list[str]) -> None:
        """Of every permit in which nothing goes wrong: may it start (`against`: not, for the wind or a special period), and who may go in."""
        if job.quirk or job.type not in NEEDS_GAS:
            return
        self.ask(job.started - MINUTE, "start", job.permit, "deny" if against else "allow", *against[:1])
        self.ask(job.issued - 5 * MINUTE, "start", job.permit, "deny", "NOT-APPROVED")
        if job.type == CONFINED:
            door = f"D-{job.point.id}"
            self.ask(job.started + MINUTE, "entry", job.permit, "allow", "", job.workers[0], door)
            self.ask(job.started + MINUTE, "entry", "", "deny", "X-BADGE-NOPERMIT", "W0000a" if job.workers[0] != "W0000a" else "W0001a", door)
            self.ask(job.issued - 5 * MINUTE, "entry", job.permit, "deny", "NOT-APPROVED", job.workers[0], door)

    def telemetry(self) -> Iterator[Row]:
        """Frames, fixes and beats, in order."""
        by_tag: dict[str, list[str]] = {}
        for channel in self.plant.channels:
            if channel.kind in ("combustible", "oxygen", "toxic"):
                by_tag.setdefault(channel.source, []).append(channel.tag)
        jobs, i, open_ = sorted(self.jobs, key=lambda j: j.started), 0, list[Job]()
        end = max(self.end, max((row[0] for row in self.rows), default=0)) + HOUR
        for at in range(self.start + 5 * SECOND, end, BEAT):
            while i < len(jobs) and jobs[i].started - 30 * MINUTE <= at:
                open_.append(jobs[i])
                i += 1
            open_ = [j for j in open_ if (j.accepted or j.finished) + 10 * MINUTE >= at]
            for source, tags in by_tag.items():
                yield at, source, Frame(at=at, u=100, names=tags, values=[self.level(tag, at) for tag in tags])
            if open_:
                yield at, "tags", self._fixes(open_, at)
                yield from self._fans(open_, at)
                for job in open_:
                    recording = not any(a <= at <= b for a, b in job.dark)
                    yield at, "cameras", CameraBeat(at=at, u=100, camera=job.point.cameras[0], recording=recording)

    def level(self, tag: str, at: int) -> float | None:
        """A channel's reading: quiet noise, or what a quirk wants."""
        for since, until, first, last in self.levels.get(tag, ()):
            if since <= at <= until:
                return None if first is None else round(first + (last - first) * (at - since) / max(1, until - since), 3)
        kind = self.atlas.channels[tag].kind
        wave = ((at // BEAT * 7919 + hash_of(tag)) % 97) / 97
        return round((20.8 if kind == "oxygen" else 0.2) + 0.1 * wave, 2)

    def _fans(self, open_: list[Job], at: int) -> Iterator[Row]:
        for job in open_:
            for tag in job.point.fans if job.type == CONFINED else ():
                if not any(a <= at <= b for a, b in job.stopped):
                    yield at, f"fan-{tag}", Frame(at=at, u=100, names=[tag], values=[1.0])

    def _fixes(self, open_: list[Job], at: int) -> Positions:
        rows: dict[str, tuple[float, float]] = {}
        for job in open_:
            if any(a <= at <= b for a, b in job.mute):
                continue
            gone = any(a <= at <= b for a, b in job.away)
            rows[job.guardian] = (job.point.x + (70.0 if gone else 3.0 + ((at // BEAT) % 5) / 5), job.point.y)
        return Positions(at=at, u=100, workers=list(rows), x=[p[0] for p in rows.values()], y=[p[1] for p in rows.values()], z=[0.0] * len(rows), acc=[2.0] * len(rows))


@cache
def hash_of(text: str) -> int:
    """A stable small number for a name."""
    return sum((i + 1) * ord(c) for i, c in enumerate(text))


def life(job: Job, days: Days) -> Iterator[Row]:
    """A job as its permit system, its badges and its camera tell it."""

    def step(at: int, name: str, **more: Any) -> Row:
        return at, "ptw", Step(at=at, u=U, permit=job.permit, step=name, **more)  # type: ignore[arg-type]

    p = job.point
    upgraded = {"upgraded": True} if job.type in HOT and not days.is_workday(job.started) else {}
    yield job.requested, "ptw", Requested(at=job.requested, u=U, permit=job.permit, type=job.type, point=p.id, valid_from=job.valid_from, valid_to=job.valid_to,
                                          planned_start=job.valid_from, crew=f"C{hash_of(job.permit) % 12}", workers=job.workers, guardians=[job.guardian],
                                          **(upgraded | job.extra))  # fmt: skip
    for name, after in (("jsa", 8), ("measures", 10), ("briefed", 20)):
        if name not in job.skip:
            yield step(job.requested + after * MINUTE, name, by=job.signer)
    if job.sampled is not None:
        yield job.sampled, "ptw", GasTest(at=job.sampled, u=U, permit=job.permit, results=PASS)
    if "issued" not in job.skip:
        x, y = job.place or (p.x + 1, p.y + 1)
        yield step(job.issued, "issued", by=job.signer, x=x, y=y, z=p.z, acc=2.0)
    yield job.started - 30 * SECOND, "badges", Guard(at=job.started - 30 * SECOND, u=U, permit=job.permit, worker=job.guardian, action="sign_in")
    yield step(job.started, "started", by="")
    yield from _seen(job)
    yield step(job.finished, "finished")
    yield from ((at, "app", clip) for at, clip in _papers(job) if job.accepted is not None and f"{clip.medium} {clip.stage}".strip() not in job.skip)
    if job.accepted is not None:
        yield step(job.accepted, "accepted", by="")
        yield job.finished + 2 * MINUTE, "vms", Clip(at=job.started - MINUTE, u=U, until=job.finished + MINUTE, camera=p.cameras[0], permit=job.permit, point=p.id) if not job.dark \
            else Clip(at=job.started - MINUTE, u=U, until=job.dark[0][0], camera=p.cameras[0], permit=job.permit, point=p.id)  # fmt: skip


def _papers(job: Job) -> Iterator[tuple[int, Clip]]:
    """The three photos and the voice record (001-17) and the five dimensions of 004-12, as the app sends them."""
    for stage, at in (("risk", job.requested + 9 * MINUTE), ("protection", job.issued - MINUTE), ("initial", job.started + MINUTE)):
        yield at, paper(job, at, "photo", stage, sharpness=0.8)
    yield job.started + 3 * MINUTE, paper(job, job.started + 2 * MINUTE, "voice", "", length=35)
    yield job.started + 3 * MINUTE, paper(job, job.started + 3 * MINUTE, "photo", "panorama", device=f"DEV-{job.permit}")
    yield job.finished + 2 * MINUTE, paper(job, job.finished + MINUTE, "video", "after", length=20)
    yield job.finished + 2 * MINUTE, paper(job, job.finished + 2 * MINUTE, "photo", "finish", asset=f"AS-{job.point.id}", away=1.2, acc=0.5)
    yield job.finished + 3 * MINUTE, paper(job, job.finished + 3 * MINUTE, "document", "report")


def paper(job: Job, at: int, medium: str, stage: str, length: int = 0, **more: Any) -> Clip:
    """A piece of a permit's evidence, `length` s long."""
    more = {"sha256": f"{job.permit} {job.started} {medium} {stage}"} | more
    return Clip(at=at, u=U, until=at + length * SECOND, camera="APP", permit=job.permit, point=job.point.id, medium=medium, stage=stage, **more)  # type: ignore[arg-type]


def _seen(job: Job) -> Iterator[Row]:
    p = job.point
    if job.type in HOT:
        for k in (1, 2, 3):
            at = job.started + k * 6 * SECOND
            yield at, "cameras", Detection(at=at, u=100, camera=p.cameras[0], behaviour="welding", confidence=0.93, point=p.id)
    if job.type == CONFINED:
        for worker in job.workers:
            yield job.started + 20 * SECOND, "badges", Scan(at=job.started + 20 * SECOND, u=U, worker=worker, door=f"D-{p.id}")
            if f"out {worker}" not in job.skip:
                yield job.finished - MINUTE, "badges", Scan(at=job.finished - MINUTE, u=U, worker=worker, door=f"D-{p.id}", direction="out")
        every = 100 * MINUTE
        yield from ((at, "ptw", GasTest(at=at, u=U, permit=job.permit, results=PASS)) for at in range(job.started + every, job.finished, every) if job.records)
