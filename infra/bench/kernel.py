"""The kernel alone: CPU by kind of entry, and how much faster than real time it judges again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from infra.bench.table import Table
from infra.truth.bench import make_days
from streams.events import Any_, CameraBeat, Entry, Frame, GasResult, GasTest, PlantSaid, Positions, Requested, Scan, Step, Tick, decode_entry, encode
from streams.kernel import SILENCE, Kernel
from streams.plant import Plant
from streams.times import SECOND
from streams.topics import OF_KIND


def kernel_figures(table: Table, plant: Plant, folder: Path) -> None:
    """CPU µs by kind of entry, five rounds."""
    for what, make, per, goal in (
        ("kernel, a framed reading (95 a frame, nothing wrong)", _frames, 95, "≤ 0.2"),
        ("kernel, a single event (57 % camera, 38 % scan, 5 % permit)", _mix, 1, "≤ 20"),
        ("kernel, a fix of 800 tags (58 guardians watched)", _fixes, 400, ""),
        ("decode a frame, per reading", _decoding, 95, ""),
    ):
        table.add(what, [make(plant, seed) / per for seed in range(5)], "µs CPU", goal)
    for share, said in ((0.1, "every tenth"), (0.5, "every other")):
        table.add(f"1,000 permits judged again without streams, something wrong with {said}", [_permits_again(folder, seed, share) for seed in range(3)], "s CPU", "≤ 2.7")
    table.add("replay of a plant-hour at 1.9 k readings/s, × real time", [_replay_speed(plant, seed) for seed in range(3)], "×", "≥ 2,000")


def _ready(plant: Plant, jobs: int) -> tuple[Kernel, int]:
    kernel, at = Kernel(plant.site), 1_795_000_000_000
    numbers: dict[str, int] = {}
    kernel.step(_entry(plant, numbers, PlantSaid(at=at, u=0, plant=plant), at))
    for k in range(jobs):
        p = plant.points[k]
        for event in (
            Requested(at=at, u=0, permit=f"P{k}", type=("02", "03", "70")[k % 3], point=p.id, valid_from=at, valid_to=at + 36_000_000, workers=[f"W{k}"], guardians=[f"G{k}"]),
            GasTest(at=at + 1000, u=0, permit=f"P{k}", results=[GasResult("o2", 20.8, "%vol")]), Step(at=at + 2000, u=0, permit=f"P{k}", step="issued"), Step(at=at + 3000, u=0, permit=f"P{k}", step="started"),
        ):  # fmt: skip
            kernel.step(_entry(plant, numbers, event, event.at))
    kernel.step(Entry(plant.site, "clock", 1, at + 5000, "site.events", Tick(at=at + 5000)))
    return kernel, at + 5000


def _entry(plant: Plant, numbers: dict[str, int], event: Any_, seen: int, source: str = "bench") -> Entry:
    topic = OF_KIND[str(event.__struct_config__.tag)].name
    numbers[topic + source] = n = numbers.get(topic + source, 0) + 1
    return Entry(plant.site, source, n, seen, topic, event)


def _timed(work: Callable[[], None], n: int) -> float:
    began = time.process_time()
    work()
    return 1e6 * (time.process_time() - began) / n


def _fold(kernel: Kernel, entries: list[Entry]) -> float:
    def work() -> None:
        for entry in entries:
            kernel.step(entry)

    return _timed(work, len(entries))


def frames_of(plant: Plant, at: int, rng: random.Random) -> list[Frame]:
    """A second of a plant's telemetry: 1,420 channels in frames of 95."""
    names = [c.tag for c in plant.channels]
    base = {c.tag: 20.8 if c.kind == "oxygen" else 0.5 for c in plant.channels}
    return [Frame(at=at, u=500, names=names[i : i + 95], values=[base[n] + rng.random() / 10 for n in names[i : i + 95]]) for i in range(0, len(names), 95)]


def _frames(plant: Plant, seed: int) -> float:
    kernel, at = _ready(plant, 53)
    rng, numbers = random.Random(seed), dict[str, int]()
    entries = [_entry(plant, numbers, f, at + s * 1000, f"s{i}") for s in range(121) for i, f in enumerate(frames_of(plant, at + s * 1000, rng)[:-1])]
    second = len(entries) // 121
    _fold(kernel, entries[:second])
    return _fold(kernel, entries[second:])


def _decoding(plant: Plant, seed: int) -> float:
    raws = [encode(_entry(plant, {}, f, 0)) for f in frames_of(plant, 1_795_000_000_000, random.Random(seed))[:-1]] * 100

    def work() -> None:
        for raw in raws:
            decode_entry(raw)

    return _timed(work, len(raws))


def _mix(plant: Plant, seed: int) -> float:
    kernel, at = _ready(plant, 53)
    rng, numbers = random.Random(seed), dict[str, int]()
    cameras = sorted({c for p in plant.points for c in p.cameras})
    out = []
    for n in range(6000):
        t, k = at + n * 20, rng.randrange(53)
        kind = rng.random()
        event: Any_ = CameraBeat(at=t, u=0, camera=rng.choice(cameras), recording=True)
        if kind < 0.38:
            inside = rng.random() < 0.2
            event = Scan(at=t, u=0, worker=f"W{k if inside else rng.randrange(400)}", door=f"D-{plant.points[k].id}" if inside else f"GATE-{plant.points[k].area}", direction=rng.choice(("in", "out")))
        elif kind < 0.40:
            event = GasTest(at=t, u=0, permit=f"P{k}", results=[GasResult("o2", 20.8, "%vol")])
        elif kind < 0.43:
            event = Step(at=t, u=0, permit=f"P{k}", step=rng.choice(("measures", "briefed", "suspended", "resumed")))
        out.append(_entry(plant, numbers, event, t))
    return _fold(kernel, out)


def _fixes(plant: Plant, seed: int) -> float:
    kernel, at = _ready(plant, 53)
    rng, numbers = random.Random(seed), dict[str, int]()
    workers = [f"G{k}" for k in range(53)] + [f"W{k}" for k in range(347)]
    out = []
    for s in range(100):
        points = [plant.points[k % 53] for k in range(400)]
        event = Positions(at=at + s * 2000, u=0, workers=workers, x=[p.x + rng.gauss(0, 2) for p in points], y=[p.y for p in points], z=[0.0] * 400, acc=[2.0] * 400)
        out.append(_entry(plant, numbers, event, event.at))
    return _fold(kernel, out)


def _replay_speed(plant: Plant, seed: int) -> float:
    """An hour of frames, fixes, beats and ticks decoded and folded, as × real time."""
    kernel, at = _ready(plant, 53)
    rng, numbers, raws, seconds = random.Random(seed), dict[str, int](), [], 600
    frames = frames_of(plant, at, rng)
    for s in range(seconds):
        t = at + s * 1000
        raws += [encode(_entry(plant, numbers, msgspec.structs.replace(f, at=t), t, f"s{i}")) for i, f in enumerate(frames)]
        if s % 2 == 0:
            raws.append(encode(_entry(plant, numbers, Positions(at=t, u=0, workers=[f"G{k}" for k in range(400)], x=[p.x for p in plant.points[:400]], y=[p.y for p in plant.points[:400]], z=[0.0] * 400, acc=[2.0] * 400), t)))
        raws.append(encode(Entry(plant.site, "clock", s, t + 1000, "site.events", Tick(at=t + 1000))))
    began = time.process_time()
    for raw in raws:
        kernel.step(decode_entry(raw))
    return seconds / (time.process_time() - began)


def _permits_again(folder: Path, seed: int, share: float) -> float:
    """Forty days of permits and people without streams, as `replay --pack … --permits-only` tells them: the goal is a year of 22,000 in a minute."""
    days = make_days(folder / "year", 40, 76, seed, share)
    plant, at = days.plant, days.start - SECOND
    kernel, numbers = Kernel(plant.site, left_out=SILENCE), dict[str, int]()
    began = time.process_time()
    kernel.step(_entry(plant, numbers, PlantSaid(at=at, u=0, plant=plant), at))
    for at, source, event in sorted(days.rows, key=lambda row: row[0]):
        kernel.advance(at)
        if event is not None:
            kernel.step(_entry(plant, numbers, event, at, source))
    return 1000 * (time.process_time() - began) / len(days.jobs)
