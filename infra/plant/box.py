"""The plant-in-a-box process: reads a plant's files and acts out a random day from a seed, or a story, in real time on the wires."""

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
from infra.plant.reference import CLOCKS, SOURCES
from infra.plant.script import Script, StoryScript, began
from infra.plant.story import read_story
from streams.plant import Plant, read_plant


def run(plant: Path, scale: float, seed: int, door: str, tokens: dict[str, str], story: Path | None = None, since: str = "") -> None:
    """Plays until stopped. Of a random day, what was injected stands in truth.jsonl beside the plant."""
    logging.basicConfig(level=logging.WARNING)
    described = read_plant(plant)
    now = int(time.time()) * 1000
    script: Script = StoryScript(read_story(story, described.plant.site), described.plant, since, began(plant.parent, now)) if story else _day(plant, described.plant, scale, seed, now)
    devices = Devices(script, described.wires.modbus, described.wires.opcua[0].endpoint, door, {s: tokens[s] for s in SOURCES}, {} if story else CLOCKS)
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_until_stopped(devices))


def _day(file: Path, plant: Plant, scale: float, seed: int, start: int) -> Script:
    numbers = file.parent / "numbers"
    after = int(numbers.read_text()) if numbers.exists() else 0
    day = make_day(plant, start, 24, max(4, round(53 * scale)), seed, after=after)
    numbers.write_text(str(after + len(day.jobs)))
    (file.parent / "truth.jsonl").write_text("".join(json.dumps(msgspec.to_builtins(t)) + "\n" for t in day.truths))
    return day


async def _until_stopped(devices: Devices) -> None:
    task = asyncio.create_task(devices.run())
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, task.cancel)
    await task
