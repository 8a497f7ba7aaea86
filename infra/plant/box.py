"""The plant-in-a-box process: reads a plant's files, makes a day from a seed, and plays it in real time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import time
from pathlib import Path

import msgspec

from infra.plant.day import make_day
from infra.plant.devices import Devices
from infra.plant.reference import SOURCES
from streams.plant import read_plant


def run(plant: Path, scale: float, seed: int, door: str, tokens: dict[str, str]) -> None:
    """Plays a random day until stopped; what was injected stands in truth.jsonl beside the plant."""
    logging.basicConfig(level=logging.WARNING)
    described = read_plant(plant)
    start = int(time.time()) * 1000
    day = make_day(described.plant, start, 24, max(4, round(53 * scale)), seed)
    (plant.parent / "truth.jsonl").write_text("".join(json.dumps(msgspec.to_builtins(t)) + "\n" for t in day.truths))
    devices = Devices(day, described.wires.modbus, described.wires.opcua[0].endpoint, door, {s: tokens[s] for s in SOURCES})
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_until_stopped(devices))


async def _until_stopped(devices: Devices) -> None:
    task = asyncio.create_task(devices.run())
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, task.cancel)
    await task
