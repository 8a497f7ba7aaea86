"""A random day from a seed: jobs with their people, gas, positions and cameras as functions of time, and the truth of what was injected."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from streams.atlas import Atlas
from streams.events import Any_, Certificate, Clip, Detection, GasResult, GasTest, Guard, Requested, Step, Worker
from streams.gases import limit_of
from streams.plant import Channel, Plant, Point, plant_terms
from streams.rules.limits import HOT
from streams.times import HOUR, MINUTE, SECOND

MIX = [("01", 3), ("02", 11), ("03", 21), ("21", 12), ("22", 10), ("10", 15), ("70", 10), ("63", 8), ("30", 3), ("40", 2)]
"""Without blinding, which may not be done within 30 m of hot work: the box puts its jobs side by side."""
QUIRKS = ("gas", "guard", "stale", "early", "video", "overrun")


@dataclass(frozen=True, slots=True)
class Truth:
    """What was injected: the code that must be raised for a permit, and when (ms)."""

    code: str
    permit: str
    at: int


@dataclass(slots=True)
class Job:
    """One permit's life as it really goes. Times in ms."""

    permit: str
    type: str
    point: Point
    crew: str
    workers: list[str]
    guardian: str
    signer: str
    requested: int
    sampled: int
    issued: int
    started: int
    finished: int
    accepted: int
    valid_to: int
    quirk: str = ""
    since: int = 0
    until: int = 0

    def bothered(self, quirk: str, at: int) -> bool:
        return self.quirk == quirk and self.since <= at <= self.until


@dataclass
class Day:
    """A plant's day. `jobs` in order of start."""

    plant: Plant
    start: int
    seed: int
    jobs: list[Job] = field(default_factory=list)
    truths: list[Truth] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.atlas = Atlas(self.plant)

    # ---- as functions of time -----------------------------------------------------------------------------------

    def at_work(self, at: int, slack: int = 10 * MINUTE) -> list[Job]:
        return [j for j in self.jobs if j.started - slack <= at <= j.finished + slack]

    def reading(self, tag: str, at: int, jobs: list[Job]) -> float:
        """A channel's true value in its own unit."""
        channel = self.atlas.channels[tag]
        rng = random.Random(f"{tag}{at // 7000}{self.seed}")
        base = 20.9 if channel.kind == "oxygen" else 0.6
        noise = rng.gauss(0, 0.04 if channel.kind == "oxygen" else 0.2)
        limit = limit_of(channel, plant_terms(self.plant))
        for job in jobs:
            if tag in job.point.detectors and job.bothered("gas", at) and limit and limit.high and channel.kind != "oxygen":
                return round(limit.high * min(1.6, 0.2 + (at - job.since) / (12 * SECOND)), 2)
        return round(max(0.0, base + noise), 2)

    def where(self, job: Job, worker: str, at: int) -> tuple[float, float]:
        """A person's true place, metres."""
        rng = random.Random(f"{worker}{at // 2000}{self.seed}")
        away = 80.0 if worker == job.guardian and job.bothered("guard", at) else (4.0 if worker == job.guardian else 1.5)
        return job.point.x + away + rng.gauss(0, 0.8), job.point.y + rng.gauss(0, 0.8)

    def readings(self, channels: list[Channel], at: int) -> list[float | None]:
        jobs = self.at_work(at)
        return [self.reading(c.tag, at, jobs) for c in channels]

    def fixes(self, at: int) -> list[tuple[str, float, float, float]]:
        return [(w, *self.where(job, w, at), 2.0) for job in self.at_work(at) for w in [*job.workers, job.guardian]]

    def recording(self, camera: str, at: int) -> bool:
        return not any(camera in j.point.cameras and j.bothered("video", at) for j in self.jobs)

    # ---- as events ----------------------------------------------------------------------------------------------

    def events(self) -> list[tuple[int, str, Any_]]:
        """(when it is pushed, by which source, what), in order."""
        out = [*self._roster(), *(e for job in self.jobs for e in life(job))]
        return sorted(out, key=lambda row: row[0])

    def _roster(self) -> Iterator[tuple[int, str, Any_]]:
        trades, crews = dict[str, set[str]](), dict[str, str]()
        for job in self.jobs:
            for worker in [*job.workers, job.guardian]:
                crews.setdefault(worker, job.crew)
                trades.setdefault(worker, set()).update(plant_terms(self.plant).pack.trades.get(job.type, []) if worker in job.workers else [])
        for worker, crew in crews.items():
            yield self.start - HOUR, "hr", Worker(at=self.start - HOUR, u=0, worker=worker, crew=crew, trades=sorted(trades[worker]), contractor=int(worker[1:]) % 3 > 0)
            for trade in sorted(trades[worker]):
                yield self.start - HOUR, "hr", Certificate(at=self.start - HOUR, u=0, worker=worker, number=f"T{trade[:2]}{worker[1:]}", trade=trade, valid_to="2029-06-30")


def life(job: Job) -> Iterator[tuple[int, str, Any_]]:
    """A job as its permit system, its badges and its camera tell it."""

    def step(at: int, name: str, **more: object) -> tuple[int, str, Any_]:
        return at, "ptw", Step(at=at, u=0, permit=job.permit, step=name, **more)  # type: ignore[arg-type]

    p = job.point
    yield job.requested, "ptw", Requested(at=job.requested, u=0, permit=job.permit, type=job.type, point=p.id, valid_from=job.issued, valid_to=job.valid_to,
                                          planned_start=job.issued, crew=job.crew, workers=job.workers, guardians=[job.guardian], upgraded=job.type in HOT)  # fmt: skip
    for k, name in enumerate(("jsa", "measures", "briefed")):
        yield step(job.requested + (2 + 2 * k) * MINUTE, name, by=job.signer)
    gas = atmosphere(p, job.type)
    if gas:
        yield job.sampled, "ptw", GasTest(at=job.sampled, u=0, permit=job.permit, results=gas, method="auto", device="GT-01")
    yield step(job.issued, "issued", by=job.signer, x=p.x + 1, y=p.y + 1, z=p.z, acc=2.0)
    yield job.started - 30 * SECOND, "badges", Guard(at=job.started - 30 * SECOND, u=0, permit=job.permit, worker=job.guardian, action="sign_in")
    yield step(job.started, "started", by=job.workers[0])
    if job.type in HOT:
        for k in range(3):
            at = job.started + (k + 1) * 6 * SECOND
            yield at, "cameras", Detection(at=at, u=500, camera=p.cameras[0], behaviour="welding", confidence=0.93, point=p.id)
    if job.type == "70":
        yield from ((at, "ptw", GasTest(at=at, u=0, permit=job.permit, results=gas, method="auto")) for at in range(job.started + 100 * MINUTE, job.finished, 100 * MINUTE))
    yield step(job.finished, "finished", by=job.workers[0])
    yield job.finished + MINUTE, "cameras", Clip(at=job.started - MINUTE, u=0, until=job.finished + 30 * SECOND, camera=p.cameras[0], permit=job.permit, point=p.id) if job.quirk != "video" else \
        Clip(at=job.until, u=0, until=job.finished + 30 * SECOND, camera=p.cameras[0], permit=job.permit, point=p.id)  # fmt: skip
    yield step(job.accepted, "accepted", by=job.signer)


def atmosphere(point: Point, type: str) -> list[GasResult]:
    """A passing analysis for the types that need one."""
    return [GasResult("methane", 0.05, "%vol"), GasResult("o2", 20.8, "%vol")] if type in HOT or type == "70" else []


def make_day(plant: Plant, start: int, hours: float, at_once: int, seed: int, violations: float = 0.15, first_within: int = 90, after: int = 0) -> Day:
    """A day of jobs, numbered on from `after`: `at_once` of them at any time; a share has one thing go wrong. The first of them goes wrong within seconds, so that a new user sees it."""
    rng = random.Random(seed)
    day = Day(plant, start, seed)
    points = list(plant.points)
    rng.shuffle(points)
    free = [start + rng.randint(5, first_within) * SECOND for _ in range(at_once)]
    free[0] = start + 4 * SECOND
    n = 0
    while min(free) < start + hours * HOUR:
        slot = free.index(min(free))
        point = points[n % len(points)]
        n += 1
        job = _job(plant, point, n, free[slot], rng, after)
        if n <= 2 or rng.random() < violations:
            _spoil(day, job, ("gas", "guard")[n - 1] if n <= 2 else rng.choice(QUIRKS), n <= 2, rng)
        day.jobs.append(job)
        free[slot] = job.finished + rng.randint(60, 600) * SECOND
    return day


def _job(plant: Plant, point: Point, n: int, started: int, rng: random.Random, after: int) -> Job:
    kind = "02" if n <= 2 else rng.choices([t for t, _ in MIX], [w for _, w in MIX])[0]
    finished = started + rng.randint(25, 150) * MINUTE
    workers = [f"W{1000 + (n * 4 + k) % 800}" for k in (0, 1)]
    return Job(f"{'HW' if kind in HOT else 'PT'}-{n + after:05d}", kind, point, f"C{n % 12 + 1:02d}", workers, f"G{100 + n % 58}", f"A{n % 24 + 1}",
               started - 40 * MINUTE, started - 13 * MINUTE, started - 4 * MINUTE, started, finished, finished + rng.randint(40, 110) * MINUTE, finished + 45 * MINUTE)  # fmt: skip


def _spoil(day: Day, job: Job, quirk: str, soon: bool, rng: random.Random) -> None:
    """Lets one thing go wrong, where the job's type allows it, and writes down what must be raised."""
    if quirk in ("gas", "stale", "early") and job.type not in HOT and job.type != "70":
        quirk = "guard"
    if quirk == "gas" and not _measurable(day, job):
        quirk = "guard"
    job.quirk, truth = quirk, day.truths.append
    job.since = job.started + (8 if soon else rng.randint(60, 900)) * SECOND
    match quirk:
        case "gas":
            job.until = job.since + 90 * SECOND
            truth(Truth("X-GAS-LIM", job.permit, job.since + 10 * SECOND))
        case "guard":
            job.until = job.since + 300 * SECOND
            truth(Truth("GUARD-ABSENT", job.permit, job.since + 60 * SECOND))
        case "stale":
            job.sampled = job.started - 47 * MINUTE
            job.requested = job.started - 70 * MINUTE
            truth(Truth("GAS-STALE", job.permit, job.issued))
        case "early":
            job.issued = job.started + 5 * MINUTE
            truth(Truth("X-T3", job.permit, job.started))
        case "video":
            job.until = job.since + 240 * SECOND
            if job.type in HOT or job.type == "70":
                truth(Truth("X-T4", job.permit, job.since + 10 * SECOND))
        case "overrun":
            job.valid_to = job.finished - 10 * MINUTE
            truth(Truth("TICKET-OVER", job.permit, job.valid_to + SECOND))


def _measurable(day: Day, job: Job) -> bool:
    channels = [day.atlas.channels[t] for t in job.point.detectors]
    return any(c.kind != "oxygen" and (limit_of(c, plant_terms(day.plant)) is not None) for c in channels)

