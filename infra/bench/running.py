"""The running system under load: latency to Kafka and to the pixel, CPU per reading, a storm, memory after an hour's worth, start-up."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import random
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from infra.bench.kernel import frames_of
from infra.bench.table import Table
from infra.up import Ports, System
from infra.watch import Log, steps_seen
from ingest.outbox import Outbox
from sql.store import Store
from streams.events import Frame, GasResult, GasTest, PlantSaid, Requested, Step
from streams.outputs import Alert
from streams.plant import Plant
from streams.topics import ALERTS

NAMES = ("normalise", "correlate", "archive", "sql", "kafka")
"""The processes between the outbox and the shelves."""
HOUR = 14_400
"""Frames of 475 readings in one plant-hour at 1.9 k readings/s."""


def system_figures(table: Table, plant: Plant, folder: Path, data: Path) -> None:
    """A system of its own with a twentieth of the plant in the box; the load goes in at the outbox. Then the whole plant through its wires."""
    with _running(folder / "data", data, 0.05) as (system, took):
        table.add("start of everything, jars at hand", [took], "s", "≤ 20")
        asyncio.run(_load(table, plant, system, folder))
        _decisions(table, system)
        for name, pid in system.pids().items():
            table.add(f"memory of {name} after an hour's readings at speed", [psutil.Process(pid).memory_info().rss / (1 << 20)], "MB", "")
    with _running(folder / "wires", data, 1.0) as (system, _):
        _wires(table, system)


@contextlib.contextmanager
def _running(folder: Path, data: Path, scale: float) -> Iterator[tuple[System, float]]:
    """(a system of its own, how long it took to start); the jars are taken over if there are any."""
    folder.mkdir(parents=True, exist_ok=True)
    jars = data.absolute() / "jars"
    if jars.exists():
        shutil.copytree(jars, folder / "jars", dirs_exist_ok=True)
    system = System(folder, Ports(2000), scale=scale, say=lambda s: None)
    try:
        system.prepare()
        began = time.monotonic()
        system.start()
        yield system, time.monotonic() - began
    finally:
        system.stop()


def _wires(table: Table, system: System, seconds: int = 40) -> None:
    """The whole reference plant over Modbus TCP, OPC UA and HTTP."""
    store = Store(system.sql)
    time.sleep(20)
    cpu, since = _cpu(system), _now()
    time.sleep(seconds)
    used, until = _cpu(system), _now()
    time.sleep(8)
    rows = store.rows("SELECT sum(length(names)) AS n FROM frames WHERE at BETWEEN fromUnixTimestamp64Milli({a:Int64}) AND fromUnixTimestamp64Milli({b:Int64})", {"a": since, "b": until})
    readings = max(1, int(rows[0]["n"]))
    table.add("the whole plant in the box: readings from Modbus and OPC UA", [readings / seconds], "/s", "")
    table.add("CPU of ingest per reading from the wire (clients, outbox, positions and beats included)", [1e6 * (used["ingest"] - cpu["ingest"]) / readings], "µs", "")
    table.add("CPU of the six processes at the whole plant", [100 * sum(used[n] - cpu[n] for n in (*NAMES, "ingest")) / seconds], "% core", "")
    for name in (*NAMES, "ingest", "dashboards"):
        table.add(f"CPU of {name} at the whole plant", [100 * (used[name] - cpu[name]) / seconds], "% core", "")


async def _load(table: Table, plant: Plant, system: System, folder: Path) -> None:
    outbox = Outbox(folder / "outbox.db", f"127.0.0.1:{system.ports.kafka}")
    outbox.put(plant.site, "bench", PlantSaid(at=_now(), u=0, plant=plant))
    _jobs(outbox, plant)
    await asyncio.sleep(10)
    rest, before = _cpu(system), time.monotonic()
    await asyncio.sleep(15)
    cpu = _cpu(system)
    idle = {name: (cpu[name] - rest[name]) / (time.monotonic() - before) for name in cpu}
    await _paced(table, outbox, plant, system, idle)
    await _calm(outbox, plant)
    await _beside_a_long_post(table, plant, system)
    await _burst(table, outbox, plant, system)
    outbox.close()


async def _paced(table: Table, outbox: Outbox, plant: Plant, system: System, idle: dict[str, float], seconds: int = 60) -> None:
    """One plant's load for a minute: how long alerts take, and what the processes use."""
    started: dict[str, float] = {}
    async with _alerts(system) as arrived:
        with _screen(system) as pixels:
            cpu = _cpu(system)
            sent = await _drive(outbox, plant, seconds, started)
            used = _cpu(system)
            await asyncio.sleep(2)
            seen = await asyncio.to_thread(pixels)
    _percentiles(table, "accepted → pixel in Chromium", seen, "p99 ≤ 250")
    waits = sorted(1000 * (arrived[k] - t) for k, t in started.items() if k in arrived)
    _percentiles(table, f"accepted → alert in Kafka at {sent / seconds:,.0f} readings/s", waits, "p50 ≤ 15, p99 ≤ 60")
    for name in NAMES:
        table.add(f"CPU of {name} at that load", [100 * (used[name] - cpu[name]) / seconds], "% core", "")
    table.add("CPU of the five at rest (a twentieth of the plant in the box)", [100 * sum(idle[n] for n in NAMES)], "% core", "")
    table.add("CPU per reading at that load, beyond rest", [1e6 * sum(used[n] - cpu[n] - idle[n] * seconds for n in NAMES) / sent], "µs", "≤ 5")


async def _calm(outbox: Outbox, plant: Plant, seconds: int = 40) -> None:
    """Good readings of every channel, until no alarm stands."""
    rng = random.Random(3)
    for _ in range(seconds):
        for i, frame in enumerate(frames_of(plant, _now(), rng)):
            outbox.accept(plant.site, f"s{i}", frame)
        await asyncio.sleep(1)


async def _beside_a_long_post(table: Table, plant: Plant, system: System) -> None:
    """One legal post of 90,000 scans at the door, and beside it gas alarms at the same door, until the last scan is judged: how long they take."""
    now, waits = _now(), dict[str, float]()
    scans = [{"at": now - 1000 * (n % 600), "worker": f"W{n % 400}", "door": "GATE-A1", "direction": "in" if n % 2 else "out"} for n in range(90_000)]
    body, tags, began = msgspec.json.encode(scans), iter([t for p in plant.points[:53] for t in p.detectors]), time.monotonic()
    async with _alerts(system) as arrived, httpx.AsyncClient(base_url=f"http://127.0.0.1:{system.ports.ingest}", timeout=120, trust_env=False) as client:
        async with asyncio.timeout(900), asyncio.TaskGroup() as both:
            posted = both.create_task(client.post("/events/scan", content=body, headers=_token(system, "badges")))
            judged = both.create_task(_judged(system, posted))
            while not judged.done() and (tag := next(tags, "")):
                waits[tag] = time.monotonic()
                await client.post("/events/frame", json={"at": _now(), "names": [tag], "values": [30.0]}, headers=_token(system, "gateway"))
                await asyncio.sleep(1.5)
        answer, took = posted.result(), judged.result() - began
        await asyncio.sleep(3)
    if answer.status_code != 202:
        raise RuntimeError(f"the long post was refused: {answer.text[:300]}")
    table.add("one post of 90,000 scans, until the last is judged", [took], "s", "")
    _percentiles(table, "accepted → alert beside one post of 90,000 scans", sorted(1000 * (arrived[t] - at) for t, at in waits.items() if arrived.get(t, 0) > at), "p99 ≤ 1,000")
    table.add("alarms beside it that nobody was told of", [sum(t not in arrived for t in waits)], "", "0")


async def _judged(system: System, posted: asyncio.Task[httpx.Response]) -> float:
    """When (monotonic s) all that was posted was judged: neither the outbox nor a step holds more than a moment's worth."""
    await asyncio.wait([posted])
    log = Log(f"127.0.0.1:{system.ports.kafka}")
    while True:
        await asyncio.sleep(0.5)
        waits = (await asyncio.to_thread(httpx.get, f"http://127.0.0.1:{system.ports.ingest}/healthz", trust_env=False)).json()["waiting"]
        steps = await asyncio.to_thread(lambda: dict(steps_seen(log, system.data / "steps", ("normalise", "correlate"))))
        if waits < 50 and all(step.waiting < 50 for step in steps.values()):
            log.close()
            return time.monotonic()


def _token(system: System, source: str) -> dict[str, str]:
    return {"authorization": f"Bearer {system.environment()[f'PERMITWATCH_TOKEN_{source.upper()}']}"}


def _percentiles(table: Table, what: str, waits: list[float], goal: str, of: str = "alerts") -> None:
    if waits:
        table.add(f"{what} ({len(waits):,} {of})", waits, "ms", goal)
        table.add(f"{what}, p95", [waits[int(len(waits) * 0.95)]], "ms", "")
        table.add(f"{what}, p99", [waits[min(len(waits) - 1, int(len(waits) * 0.99))]], "ms", goal)


@contextlib.asynccontextmanager
async def _alerts(system: System) -> AsyncIterator[dict[str, float]]:
    """When (monotonic s) the first gas alarm of each channel stood in Kafka."""
    consumer = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{system.ports.kafka}", fetch_max_wait_ms=100)
    await consumer.start()
    consumer.assign([TopicPartition(ALERTS.name, p) for p in range(4)])
    await consumer.seek_to_end()
    arrived: dict[str, float] = {}
    reader = asyncio.create_task(_read(consumer, arrived))
    try:
        yield arrived
    finally:
        reader.cancel()
        await consumer.stop()


async def _burst(table: Table, outbox: Outbox, plant: Plant, system: System) -> None:
    """A plant-hour of readings as fast as the outbox takes them, until ClickHouse and the kernel have the last."""
    rng, store = random.Random(2), Store(system.sql)
    tags = [c.tag for c in plant.channels if c.kind in ("combustible", "process")][:475]
    cpu, began = _cpu(system), time.monotonic()
    for n in range(HOUR):
        accepted = outbox.accept(plant.site, "burst", Frame(at=_now(), u=500, names=tags, values=[round(100 * rng.random(), 2) for _ in tags]))
        if n % 500 == 499:
            await asyncio.wrap_future(accepted)
    rows = [{"n": 0}]
    while rows[0]["n"] < HOUR and time.monotonic() - began < 600:
        await asyncio.sleep(0.5)
        rows = await asyncio.to_thread(store.rows, "SELECT uniqExact(lane, seq) AS n FROM frames WHERE source = 'burst'")
    took, used, readings = time.monotonic() - began, _cpu(system), HOUR * len(tags)
    table.add(f"a storm of {readings / 1e6:.1f} M readings (a plant-hour), outbox to ClickHouse and kernel", [readings / took], "/s", "≥ 32,000")
    table.add("readings of the storm that did not arrive", [(HOUR - rows[0]["n"]) * len(tags)], "", "0")
    table.add("CPU per reading in the storm, Kafka to ClickHouse and kernel", [1e6 * sum(used[n] - cpu[n] for n in NAMES) / readings], "µs", "≤ 5")
    for name in NAMES:
        table.add(f"of it in {name}", [1e6 * (used[name] - cpu[name]) / readings], "µs", "")


@contextlib.contextmanager
def _screen(system: System) -> Iterator[Callable[[], list[float]]]:
    """A wall in Chromium, if there is one: how long (ms) from acceptance until an alert was painted."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    script = Path(__file__).with_name("watch_pixels.py")
    if path is None or importlib.util.find_spec("playwright") is None:
        print("  (no Chromium or playwright here: the way to the pixel is not measured)", file=sys.stderr)
        yield list
        return
    watcher = subprocess.Popen([sys.executable, str(script), path, f"http://127.0.0.1:{system.ports.dashboards}/wall"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def pixels() -> list[float]:
        out, _ = watcher.communicate(b"\n", 20)
        return sorted(float(x) for x in out.split())

    try:
        yield pixels
    finally:
        watcher.kill()


def _jobs(outbox: Outbox, plant: Plant) -> None:
    at = _now()
    for k in range(53):
        p = plant.points[k]
        for event in (
            Requested(at=at - 900_000, u=0, permit=f"B{k}", type="03", point=p.id, valid_from=at, valid_to=at + 36_000_000, guardians=[f"G{k}"]),
            GasTest(at=at - 600_000, u=0, permit=f"B{k}", results=[GasResult("o2", 20.8, "%vol")]), Step(at=at - 300_000, u=0, permit=f"B{k}", step="issued"), Step(at=at, u=0, permit=f"B{k}", step="started"),
        ):  # fmt: skip
            outbox.put(plant.site, "bench", event)


async def _drive(outbox: Outbox, plant: Plant, seconds: int, started: dict[str, float]) -> int:
    """Frames of 95 readings, 20 a second, evenly; every 250 ms one bound channel of a fresh job goes over its limit."""
    rng, sent, began = random.Random(1), 0, time.monotonic()
    alarms = iter([p for p in plant.points[:53] for _ in (0, 1)] * 4)
    combustible = {c.tag for c in plant.channels if c.kind == "combustible"}
    frames = frames_of(plant, _now(), rng)
    for n in range(seconds * 20):
        frame = msgspec.structs.replace(frames[n % len(frames)], at=_now())
        outbox.accept(plant.site, f"s{n % len(frames)}", frame)
        sent += len(frame.names)
        if n % 5 == 4:
            point = next(alarms, None)
            tag = point.detectors[0] if point else ""
            if tag in combustible and tag not in started:
                started[tag] = time.monotonic()
                outbox.accept(plant.site, f"a{tag}", Frame(at=_now(), u=0, names=[tag], values=[60.0]))
        await asyncio.sleep(max(0.0, began + (n + 1) / 20 - time.monotonic()))
    return sent


async def _read(consumer: AIOKafkaConsumer, arrived: dict[str, float]) -> None:
    async for record in consumer:
        alert = msgspec.json.decode(record.value, type=Alert)
        if alert.code == "X-GAS-LIM" and alert.revision == 1:
            arrived.setdefault(str(alert.numbers["tag"]), time.monotonic())


def _cpu(system: System) -> dict[str, float]:
    return {name: sum(psutil.Process(pid).cpu_times()[:2]) for name, pid in system.pids().items()}


def _decisions(table: Table, system: System, each: int = 400) -> None:
    """Every gate asked at ingest's door, in turn: what a turnstile and a permit system wait for."""
    head = {"authorization": f"Bearer {system.environment()['PERMITWATCH_TOKEN_BADGES']}"}
    asked = ["worker=W1&door=D-101-P01", *(f"for={gate}&permit=B{k}" for k, gate in enumerate(("issue", "start", "resume", "close")))]
    waits = []
    for n in range(each * len(asked)):
        request = urllib.request.Request(f"http://127.0.0.1:{system.ports.ingest}/decide?{asked[n % len(asked)]}", headers=head)
        began = time.perf_counter()
        with urllib.request.urlopen(request, timeout=3) as answer:
            answer.read()
        waits.append(1000 * (time.perf_counter() - began))
    _percentiles(table, "an answer at a gate, GET /decide at ingest's door", sorted(waits), "p99 ≤ 20", "of five gates")


def _now() -> int:
    return int(time.time() * 1000)
