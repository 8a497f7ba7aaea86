"""How far a step has read, kept in a file for whoever watches whether it moves."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

EVERY: Final = 1.0
"""Seconds between two writings."""
STALE: Final = 5.0
"""Seconds after which it is not believed any more that a step waits: it says so every two."""


class Reached(Struct):
    """Where a step stands: topic → partition → the offset it reads next; what it waits for, if it waits for another part."""

    topics: list[str]
    next: dict[str, dict[int, int]] = {}
    waits: str = ""


def put_down(file: Path, raw: bytes) -> None:
    """Writes a file so that who reads it finds the old or the new, never half. Raises OSError."""
    part = file.with_name(f"{file.name}.part")
    part.write_bytes(raw)
    part.replace(file)


class Progress:
    """Kept in a folder, for each step and worker; written by the step's own turn, so that one that hangs writes nothing."""

    def __init__(self, folder: Path, step: str, topics: list[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / f"{step}.reached"
        self.reached = Reached(topics)
        self.fresh, self.written = True, -EVERY
        self.write()

    def took(self, topic: str, partition: int, next: int) -> None:
        """It has taken all of a partition below `next`."""
        self.reached.next.setdefault(topic, {})[partition] = next
        self.fresh = True

    def waits(self, why: str = "") -> None:
        """It waits for another part, or no more."""
        self.fresh = self.fresh or why != self.reached.waits
        self.reached.waits = why

    def lost(self, partitions: set[tuple[str, int]]) -> None:
        """Partitions that another worker has now."""
        for topic, partition in partitions:
            self.reached.next.get(topic, {}).pop(partition, None)
        self.fresh = True

    def write(self, again: bool = False) -> None:
        """Puts it down where something is new, or `again`: it is still so. A disk that does not take it is no reason to end a step."""
        if not (self.fresh or again) or time.monotonic() - self.written < EVERY:
            return
        try:
            put_down(self.file, msgspec.json.encode(self.reached))
        except OSError:
            return
        self.fresh, self.written = False, time.monotonic()


def read_progress(folder: Path, step: str) -> Reached | None:
    """What a step wrote last; None: nothing, or nothing that can be read. What it waits for it says again and again, or it waits no more."""
    file = folder / f"{step}.reached"
    try:
        reached = msgspec.json.decode(file.read_bytes(), type=Reached)
        if reached.waits and time.time() - file.stat().st_mtime > STALE:
            reached.waits = ""
        return reached
    except (OSError, msgspec.DecodeError):
        return None
