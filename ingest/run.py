"""The ingest process: one task per source, one outbox, a clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
from aiohttp import web

from ingest import doors, modbus, opcua
from ingest.outbox import Outbox
from ingest.pace import Pace, ask
from streams import wall
from streams.events import ClockSaid, Frame, PlantSaid, SourceSaid
from streams.packs import BOOK
from streams.plant import Described, PlantError, plant_terms, read_plant, whole

log = logging.getLogger("permitwatch")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where ingest runs."""

    plant: Path
    outbox: Path
    kafka: str
    prefix: str
    host: str
    port: int
    deciders: list[str]
    refusers: list[str]


def run(settings: Settings) -> None:
    """Runs until stopped. Exits with one sentence where the plant's files are wrong."""
    try:
        described = read_plant(settings.plant)
    except PlantError as wrong:
        sys.exit(f"permitwatch ingest: {wrong}")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("pymodbus", "asyncua", "kafka", "aiohttp.access", "aiohttp.server"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    asyncio.run(_serve(settings, described))


async def _serve(settings: Settings, described: Described) -> None:
    site = described.plant.site
    outbox = Outbox(settings.outbox, settings.kafka, settings.prefix, pace=Pace(partial(ask, site, settings.deciders)))
    outbox.put(site, "ingest", PlantSaid(at=wall.now(), u=0, plant=whole(described.plant), version=BOOK))
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.8)) as session:
        runner = await _open_door(settings, described, outbox, session)
        tasks = [asyncio.create_task(work) for work in _sources(described, outbox)]
        tasks.append(asyncio.create_task(_beat(site, outbox)))
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(Exception):
            await runner.cleanup()
    outbox.close()


async def _open_door(settings: Settings, described: Described, outbox: Outbox, session: aiohttp.ClientSession) -> web.AppRunner:
    tokens = {h.name: os.environ.get(h.token_env, "") for h in described.wires.http}
    for http in described.wires.http:
        if not tokens[http.name]:
            log.warning("source %s has no token: set %s, or nothing can come from it", http.name, http.token_env)
        elif (first := next(h.name for h in described.wires.http if tokens[h.name] == tokens[http.name])) != http.name:
            log.warning("sources %s and %s have the same token: what comes with it counts as of %s; give each its own", first, http.name, first)
        if http.kinds is None:
            log.warning("the token of %s may send events of every kind, answers to alerts and packs too: name its kinds under [[http]] in plant.toml", http.name)
    sends = {h.name: h.sends() for h in described.wires.http}
    door = doors.Door(described.plant.site, outbox, tokens, settings.deciders, session, settings.refusers, sends, frozenset(d.id for d in described.plant.doors if d.shelter), frozenset(plant_terms(described.plant).gases))
    runner = web.AppRunner(doors.application(door), access_log=None, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, settings.host, settings.port, backlog=1024).start()
    return runner


def _sources(described: Described, outbox: Outbox):  # type: ignore[no-untyped-def]
    plant = described.plant

    def taker(source: str):  # type: ignore[no-untyped-def]
        def take(frame: Frame, offset: int = 0) -> None:
            outbox.accept(plant.site, source, frame, offset=offset).add_done_callback(lambda done: done.exception())

        return take

    def say(said: ClockSaid) -> None:
        outbox.accept(plant.site, "ingest", said).add_done_callback(lambda done: done.exception())

    for wire in described.wires.modbus:
        yield modbus.Endpoint(wire, [c for c in plant.channels if c.source == wire.name], taker(wire.name), say).run()
    for server in described.wires.opcua:
        yield opcua.Session(server, [c for c in plant.channels if c.source == server.name], taker(server.name), say).run()


async def _beat(site: str, outbox: Outbox) -> None:
    """A sign of life every five seconds: without it, what is missing is our blindness."""
    while True:
        outbox.accept(site, "ingest", SourceSaid(at=wall.now(), u=0, name="ingest", state="up"))
        await asyncio.sleep(5)
