"""`permitwatch chaos`: kills every process under load and shows that nothing was lost and nothing counted twice."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from infra.plant.story import read_story
from infra.plant.tell import END, Telling
from infra.play import tell_through
from infra.replay import key_of
from infra.up import Ports, System, UpError
from sql.store import Store, StoreAway
from streams.events import encode
from streams.outputs import Verdict

STORIES = ("S09_camera_skew", "S19_guardian_absent", "S26_lel_12_methane", "S32_interruption_45_min")
VICTIMS = ("normalise", "correlate", "archive", "notify", "sql", "kafka", "ingest", "dashboards")


@dataclass
class Report:
    """What was compared. `faults` is empty if the disturbed run equals the undisturbed one."""

    killed: list[str] = field(default_factory=list)
    outputs: int = 0
    facts: int = 0
    faults: list[str] = field(default_factory=list)


def chaos(data: Path, offset: int, folder: Path, seed: int = 1, rounds: int = 1, outage: float = 60, say: Callable[[str], None] = print) -> int:
    """Starts a system of its own, tells stories calmly, tells them again while processes die, and compares; 0 if they are equal."""
    system = System(data, Ports(offset), scale=0.05, say=say)
    try:
        system.prepare()
        system.start()
        report = asyncio.run(compare(system, folder, seed, rounds, outage, say))
    except (UpError, TimeoutError) as wrong:
        say(f"permitwatch chaos: {wrong}")
        return 2
    finally:
        system.stop()
    say(f"killed {len(report.killed)} times: {', '.join(report.killed)}")
    say(f"{report.outputs} alerts, verdicts and requests and {report.facts} stored facts compared: " + ("equal" if not report.faults else "DIFFERENT"))
    for fault in report.faults[:20]:
        say(f"  {fault}")
    return 1 if report.faults else 0


async def compare(system: System, folder: Path, seed: int, rounds: int, outage: float, say: Callable[[str], None]) -> Report:
    """Tells the stories twice at sites of their own and holds the two against each other."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    kafka, report = f"127.0.0.1:{system.ports.kafka}", Report()
    calm = await _tell(folder, kafka, f"calm{seed}")
    say("told once, undisturbed; now again, and the processes die")
    stop, supervisor = asyncio.Event(), asyncio.create_task(_supervise(system))
    killer = asyncio.create_task(_kill(system, random.Random(seed), rounds, outage, stop, report, say))
    storm = await _tell(folder, kafka, f"storm{seed}", pause=lambda: not stop.is_set())
    await killer
    for name in STORIES:
        report.faults += _differences(name, calm[name], storm[name])
        report.outputs += len(_said(calm[name]))
    await asyncio.to_thread(_compare_stored, system, seed, report)
    supervisor.cancel()
    return report


async def _tell(folder: Path, kafka: str, prefix: str, pause: Callable[[], bool] | None = None) -> dict[str, Telling]:
    """Tells all stories side by side; with `pause`, again and again at the same sites until it says no (repeats change nothing)."""
    stories = {name: read_story(folder / f"{name}.toml", f"{prefix}-{name[:3]}") for name in STORIES}
    tellings = await asyncio.gather(*(tell_through(s, kafka, patience=600) for s in stories.values()))
    while pause and pause():
        await asyncio.sleep(0.2)
    return dict(zip(stories, tellings, strict=True))


async def _kill(system: System, rng: random.Random, rounds: int, outage: float, stop: asyncio.Event, report: Report, say: Callable[[str], None]) -> None:
    """kill -9 of each process in turn, then at random; ClickHouse and Kafka also stay away for a while; the supervisor starts them again."""
    order = [*VICTIMS, *(rng.choice(VICTIMS[:5]) for _ in range(4 * rounds))]
    for name, away in [*((n, 0.0) for n in order), ("sql", outage), ("kafka", outage)]:
        await asyncio.sleep(rng.uniform(0.3, 1.2))
        part = system.parts.get(name)
        if part and part.process and part.process.poll() is None:
            part.held = time.monotonic() + away
            os.kill(part.process.pid, signal.SIGKILL)
            report.killed.append(name)
            say(f"  kill -9 {name}" + (f", away for {away:.0f} s" if away else ""))
        await asyncio.sleep(1.5 + away)
    await asyncio.sleep(5)
    stop.set()


async def _supervise(system: System) -> None:
    while True:
        await asyncio.to_thread(system.watch)
        await asyncio.sleep(0.1)


def _said(telling: Telling) -> dict[tuple[str, str, int], bytes]:
    """The first bytes of each revision, the site's name taken out."""
    out: dict[tuple[str, str, int], bytes] = {}
    for o in telling.outputs:
        if isinstance(o, Verdict) and o.permit == END:
            continue
        topic, ident, revision = key_of(o)
        site = o.site
        out.setdefault((topic, ident.replace(site, "~"), revision), encode(o).replace(site.encode(), b"~"))
    return out


def _differences(name: str, calm: Telling, storm: Telling) -> list[str]:
    a, b = _said(calm), _said(storm)
    lost, extra = a.keys() - b.keys(), b.keys() - a.keys()
    other = [k for k in a.keys() & b.keys() if a[k] != b[k]]
    twice = _contradictions(storm)
    return [f"{name}: {what} {' '.join(map(str, k))}" for what, keys in (("lost", lost), ("extra", extra), ("different", other), ("two texts for one revision", twice)) for k in sorted(keys)]


def _contradictions(telling: Telling) -> set[tuple[str, str, int]]:
    """A revision repeated after a crash must carry the same bytes."""
    first: dict[tuple[str, str, int], bytes] = {}
    return {key_of(o) for o in telling.outputs if first.setdefault(key_of(o), encode(o)) != encode(o)}


def _compare_stored(system: System, seed: int, report: Report) -> None:
    """ClickHouse must hold, for both tellings, each numbered fact once, and each revision once."""
    store = Store(system.sql)
    sql = """SELECT substring(site, position(site, '-') + 1) AS story, startsWith(site, 'calm') AS calm, count() AS n, uniqExact(source, topic, lane, seq) AS u
             FROM (SELECT site, source, topic, lane, seq FROM facts UNION ALL SELECT site, source, 'sensor.readings', lane, seq FROM frames UNION ALL SELECT site, source, 'badge.events', lane, seq FROM positions)
             WHERE site LIKE {a:String} OR site LIKE {b:String} GROUP BY story, calm"""
    rows, deadline = {}, time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            rows = {(r["story"], bool(r["calm"])): (r["n"], r["u"]) for r in store.rows(sql, {"a": f"calm{seed}-%", "b": f"storm{seed}-%"})}
        except StoreAway:
            rows = {}
        if len(rows) == 2 * len(STORIES) and all(rows[s[:3], True] == rows[s[:3], False] for s in STORIES):
            break
        time.sleep(1)
    for name in STORIES:
        calm, storm = rows.get((name[:3], True)), rows.get((name[:3], False))
        report.facts += calm[0] if calm else 0
        if calm != storm or calm is None or calm[0] != calm[1]:
            report.faults.append(f"{name}: ClickHouse holds (rows, different numbers) {calm} undisturbed and {storm} disturbed")

