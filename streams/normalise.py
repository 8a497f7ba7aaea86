"""Validates, orders and ticks: raw topics in, one totally ordered site.timeline out; what cannot enter becomes a dead letter."""

from __future__ import annotations

import msgspec
from aiohttp import web

from streams import wall
from streams.asked import serve
from streams.desk import Batch, Desk, Sending
from streams.events import Entry, Tick, encode
from streams.intake import Intake, Refusal
from streams.merge import Virtual
from streams.outputs import DeadLetter
from streams.refused import Refused
from streams.topics import DEAD, RAW, TIMELINE

LAG = 1500
"""How old (ms) the newest live message of a batch may be before the tick calls itself late."""


class Normalise:
    """The step; holds nothing that cannot be read again from the raw topics."""

    name = "normalise"
    topics = RAW
    beat = 0.1
    patient = False

    def __init__(self, refused_at: tuple[str, int] | None = None) -> None:
        self.refused, self.refused_at = Refused(), refused_at
        self.filled: set[int] = set()
        """Partitions whose earlier refusals are known."""
        self.intake = Intake()
        self.virtual: dict[str, Virtual] = {}
        self.live: dict[str, int] = {}
        self.behind: dict[str, int] = {}
        self.second = 0

    async def start(self, desk: Desk) -> None:
        if self.refused_at is not None:
            await serve([web.get("/refused", self.refused.answer)], self.refused_at)

    async def take(self, batch: Batch, desk: Desk) -> None:
        out: list[Sending] = []
        now = wall.now()
        if batch.partition not in self.filled:
            self.filled.add(batch.partition)
            await self.refused.recall(desk, batch.partition, lambda letter: letter.topic != TIMELINE.name)
        for record in batch.records:
            said = self.intake.take(record.value, batch.topic, batch.partition, record.offset)
            if isinstance(said, Refusal):
                letter = _dead(batch, record.offset, said, record.value or b"", now)
                self.refused.add(letter)
                out.append((DEAD, batch.partition, said.site or "?", msgspec.json.encode(letter)))
            else:
                out += self._order(said, now)
        await desk.send(out)
        self._done(batch, desk)

    def _order(self, entry: Entry, now: int) -> list[Sending]:
        if entry.virtual:
            virtual = self.virtual.get(entry.site)
            if virtual is None:
                virtual = self.virtual[entry.site] = Virtual(entry.partition)
            return [_line(e) for e in virtual.add(entry)]
        if entry.topic == "site.events" or entry.site in self.live:
            self.live[entry.site] = entry.partition
        if entry.lane == "live":
            self.behind[entry.site] = max(self.behind.get(entry.site, 0), now - entry.seen)
        return [_line(entry)]

    def _done(self, batch: Batch, desk: Desk) -> None:
        """Nothing that still waits for other topics may be committed over."""
        self.virtual = {s: v for s, v in self.virtual.items() if not v.ended}
        here = [v for v in self.virtual.values() if v.partition == batch.partition]
        held = [o for v in here if (o := v.needed(batch.topic)) is not None]
        desk.done(batch.topic, batch.partition, min([batch.next, *held]))

    async def idle(self, desk: Desk) -> None:
        """Once a second, a tick for every live site whose site.events this worker reads."""
        second = wall.now() // 1000
        if second == self.second:
            return
        self.second = second
        ticks: list[Sending] = []
        for site, partition in self.live.items():
            behind = self.behind.pop(site, 0)
            tick = Tick(at=second * 1000, behind=behind if behind > LAG else 0)
            ticks.append(_line(Entry(site, "clock", second, second * 1000, "site.events", tick, partition=partition)))
        await desk.send(ticks)

    async def lost(self, partitions: set[tuple[str, int]]) -> None:
        gone = {p for _, p in partitions}
        self.live = {s: p for s, p in self.live.items() if p not in gone}
        self.virtual = {s: v for s, v in self.virtual.items() if v.partition not in gone}

    async def stop(self, desk: Desk) -> None:
        pass


def _line(entry: Entry) -> Sending:
    return TIMELINE, entry.partition, entry.site, encode(entry)


def _dead(batch: Batch, offset: int, refusal: Refusal, raw: bytes, now: int) -> DeadLetter:
    return DeadLetter(batch.topic, batch.partition, offset, refusal.reason, refusal.detail[:2000], now, raw, refusal.site, refusal.source)
