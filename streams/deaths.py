"""What a step had in hand when it died: a record on which it dies three times steps out of the line with its bytes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from streams.desk import Batch
from streams.progress import put_down

ENOUGH: Final = 3
"""So many deaths at one record are no accident."""
WIDE: Final = 512
"""Bytes of the mark of what is in hand: written in place, so that it outlives the process and costs no rename."""


class Kept(Struct):
    """What is kept of deaths: runs of records in which one of them must be looked for, and how often each single one was in hand at a death."""

    runs: list[tuple[str, int, int, int]] = []
    """(topic, partition, first offset, last offset)"""
    died: dict[str, int] = {}
    """topic/partition/offset → deaths"""


def forgive(folder: Path, step: str) -> None:
    """The step was ended from outside, while it waited: what it had in hand was not the cause."""
    with contextlib.suppress(OSError):
        (folder / f"{step}.hand").write_bytes(b" " * WIDE)


class Deaths:
    """Kept in a folder, for each step and worker. Records in which a step died are handed to it one at a time, so that the next death names one."""

    def __init__(self, folder: Path, step: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / f"{step}.deaths"
        self.mark = os.open(folder / f"{step}.hand", os.O_RDWR | os.O_CREAT, 0o600)
        self.kept = self._read()
        in_hand = os.pread(self.mark, WIDE, 0).strip(b" \0")
        if in_hand:
            self._died(in_hand)
        self.let_go()

    def _read(self) -> Kept:
        try:
            return msgspec.json.decode(self.file.read_bytes(), type=Kept)
        except (OSError, msgspec.DecodeError):
            return Kept()

    def _died(self, in_hand: bytes) -> None:
        try:
            topic, partition, first, last = msgspec.json.decode(in_hand, type=tuple[str, int, int, int])
        except msgspec.DecodeError:
            return
        if first == last:
            key = f"{topic}/{partition}/{first}"
            self.kept.died[key] = self.kept.died.get(key, 0) + 1
        if not any(t == topic and p == partition and a <= first and last <= b for t, p, a, b in self.kept.runs):
            self.kept.runs = [*self.kept.runs[-50:], (topic, partition, first, last)]
        self._write()

    def _write(self) -> None:
        put_down(self.file, msgspec.json.encode(self.kept))

    def hold(self, batch: Batch) -> None:
        """These records are in hand from now on."""
        said = msgspec.json.encode((batch.topic, batch.partition, int(batch.records[0].offset), int(batch.records[-1].offset)))
        os.pwrite(self.mark, said.ljust(WIDE)[:WIDE], 0)

    def let_go(self) -> None:
        """Nothing is in hand."""
        os.pwrite(self.mark, b" " * WIDE, 0)

    def parts(self, batch: Batch) -> Iterator[Batch]:
        """A batch as it is to be handed on: whole, or one record at a time where a death lies."""
        first, last = batch.records[0].offset, batch.records[-1].offset
        runs = [(a, b) for t, p, a, b in self.kept.runs if (t, p) == (batch.topic, batch.partition)]
        runs += [(o, o) for o in self._deadly(batch.topic, batch.partition)]
        if not any(a <= last and first <= b for a, b in runs):
            yield batch
            return
        for record in batch.records:
            yield Batch(batch.topic, batch.partition, [record])

    def _deadly(self, topic: str, partition: int) -> Iterator[int]:
        """The records of a partition that were set aside: read again, they are again."""
        place = f"{topic}/{partition}/"
        yield from (int(key.removeprefix(place)) for key, times in self.kept.died.items() if times >= ENOUGH and key.startswith(place))

    def deadly(self, batch: Batch) -> int:
        """How often the step has died on this one record, if that is enough to set it aside; else 0."""
        if not self.kept.died or len(batch.records) > 1:
            return 0
        times = self.kept.died.get(f"{batch.topic}/{batch.partition}/{batch.records[0].offset}", 0)
        return times if times >= ENOUGH else 0

    def told(self, batch: Batch) -> None:
        """Its dead letter is written; read again, it is passed over without another."""
        self.kept.died[f"{batch.topic}/{batch.partition}/{batch.records[0].offset}"] = ENOUGH + 1
        self._write()

    def passed(self, batch: Batch) -> None:
        """These records were taken, or set aside: a run that lies behind them is looked at no more."""
        left = [run for run in self.kept.runs if run[:2] != (batch.topic, batch.partition) or run[3] > batch.records[-1].offset]
        if len(left) < len(self.kept.runs):
            self.kept.runs = left
            self._write()
