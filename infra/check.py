"""`permitwatch check`: tries every part and says what is wrong and how to mend it."""

from __future__ import annotations

import json
import platform
import shutil
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from kafka.errors import KafkaError

from infra.kafka.jars import held
from infra.kafka.node import answers
from infra.up import LEAST_FREE, STEPS, Ports, sql_url
from infra.watch import Log, steps_seen
from sql.store import Store, StoreError, migrations
from streams.broker import security
from streams.plant import PlantError, read_plant

Finding = tuple[str, bool, str]
"""(what was tried, is it well, what was found or what to do)"""


def check(data: Path, offset: int, plant: Path | None) -> int:
    """Prints a line for each part; 0 if all is well."""
    ports, bad = Ports(offset), 0
    for name, well, said in (*_machine(data), *_plant(plant), *_kafka(ports), *_sql(data, ports), *_processes(ports), *_steps(data, ports)):
        bad += not well
        print(f"{'✓' if well else '✗'} {name:14} {said}")
    print("all is well" if not bad else f"{bad} {'thing' if bad == 1 else 'things'} to mend")
    return 1 if bad else 0


def _machine(data: Path) -> Iterator[Finding]:
    yield "python", sys.version_info >= (3, 11), f"{platform.python_version()}; 3.11 or newer is needed"
    free = shutil.disk_usage(data if data.exists() else ".").free
    yield "disk", free > LEAST_FREE, f"{free >> 30} GB free; {LEAST_FREE >> 30} GB are the least"
    jars = held(data.absolute() / "jars")
    yield "kafka jars", bool(jars), f"{len(jars)} jars as the lock says" if jars else "not fetched yet, or damaged; `permitwatch up` fetches them"


def _plant(plant: Path | None) -> Iterator[Finding]:
    if plant is None:
        return
    try:
        described = read_plant(plant)
        p, w = described.plant, described.wires
        yield "plant", True, f"{p.site}: {len(p.points)} work points, {len(p.channels)} channels, {len(w.modbus)} Modbus, {len(w.opcua)} OPC UA, {len(w.http)} HTTP sources"
        if untold := sorted(point.id for point in p.points if point.space and not point.toxics):
            yield "toxics", True, f"{len(untold)} confined spaces say nothing of toxic gases ({', '.join(untold[:5])}{' …' if len(untold) > 5 else ''}): an analysis for entry is asked for oxygen and combustible gas alone there; write `toxics` in places.csv (`-`: none)"
        for wire in w.modbus:
            host, _, port = wire.address.partition(":")
            yield wire.name, answers(host, int(port or 502)), f"Modbus TCP at {wire.address}; if it does not answer: is it powered, is the address right, does a firewall stand between?"
    except PlantError as wrong:
        yield "plant", False, str(wrong)


def _kafka(ports: Ports) -> Iterator[Finding]:
    if not answers("127.0.0.1", ports.kafka):
        yield "kafka", False, f"nothing answers on port {ports.kafka}; start the system with `permitwatch up`"
        return
    from kafka.admin import KafkaAdminClient

    from streams.topics import ALL

    admin = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{ports.kafka}", **security().client())
    there = set(admin.list_topics())
    missing = [t.name for t in ALL if t.name not in there]
    admin.close()
    yield "kafka", not missing, f"{len(there)} topics" if not missing else f"topics missing: {', '.join(missing)}; run `permitwatch topics`"


def _sql(data: Path, ports: Ports) -> Iterator[Finding]:
    try:
        store = Store(sql_url(data, ports))
        done = {row["name"] for row in store.rows("SELECT name FROM migrations")}
        missing = [name for name, _ in migrations() if name not in done]
        rows = store.rows("SELECT count() AS n FROM messages")[0]["n"]
        yield "clickhouse", not missing, f"{rows:,} messages kept" if not missing else f"schema is old ({', '.join(missing)}); run `permitwatch migrate`"
    except StoreError as wrong:
        yield "clickhouse", False, f"{wrong}; start the system with `permitwatch up`"


def _processes(ports: Ports) -> Iterator[Finding]:
    door = _get(f"http://127.0.0.1:{ports.ingest}/healthz")
    yield "ingest", bool(door and door["kafka"]), f"{door['waiting']} events wait on disk" if door else f"no door on port {ports.ingest}; see logs/ingest.log"
    kernel = _get(f"http://127.0.0.1:{ports.decide}/healthz")
    behind = max(kernel["sites"].values(), default=None) if kernel else None
    well = behind is not None and behind < 5000
    yield "kernel", well, f"{behind / 1000:.1f} s behind" if behind is not None else "no site is judged; see logs/normalise.log and logs/correlate.log"
    screens = _get(f"http://127.0.0.1:{ports.dashboards}/healthz")
    ready = "ready" if screens and screens["ready"] else "has not yet read what stands; after a start that takes some seconds, else see logs/dashboards.log"
    yield "dashboards", bool(screens and screens["ready"]), ready if screens else f"no screen on port {ports.dashboards}; see logs/dashboards.log"


def _steps(data: Path, ports: Ports) -> Iterator[Finding]:
    """Of each step of the pipeline: does it move, has it nothing to do, or does it wait for another part? Two looks, three seconds apart."""
    if not answers("127.0.0.1", ports.kafka):
        return
    log = Log(f"127.0.0.1:{ports.kafka}")
    try:
        first = dict(steps_seen(log, data.absolute() / "steps", STEPS))
        time.sleep(3)
        for name, look in steps_seen(log, data.absolute() / "steps", STEPS):
            moved = look.reached - first[name].reached if name in first else 0
            if look.waits:
                yield name, False, f"waits: {look.waits}; {look.waiting:,} messages wait for it"
            elif look.waiting and not moved:
                yield name, False, f"does not move, and {look.waiting:,} messages wait; see logs/{name}.log"
            else:
                yield name, True, f"{moved / 3:,.0f} messages/s, {look.waiting:,} wait"
    except (KafkaError, OSError) as wrong:
        yield "steps", False, f"Kafka does not say how far they are: {wrong}"
    finally:
        log.close()


def _get(url: str):  # type: ignore[no-untyped-def]
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:
            return json.load(answer)
    except (OSError, ValueError):
        return None
