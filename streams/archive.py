"""Every topic into ClickHouse with exactly-once effect: a batch's bounds are written before it, and its token is made of them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Iterable
from typing import Any

from sql.store import Store, StoreAway, StoreError
from streams.desk import Away, Batch, Desk
from streams.topics import ALL, SNAPSHOTS

log = logging.getLogger("permitwatch")
EVERY = float(os.environ.get("PERMITWATCH_ARCHIVE_EVERY", "4"))
MOST = 20_000
ROWS = 5_000
BYTES = 1 << 20
"""One insert is one block: the engine takes further blocks under one token for repeats and drops them (measured on 26.9)."""
Key = tuple[str, int]


def _one_block(run: list[Any]) -> list[Any]:
    """As many records from the front as fit one block."""
    size = 0
    for n, record in enumerate(run[:ROWS]):
        size += len(record.value)
        if size > BYTES and n:
            return run[:n]
    return run[:ROWS]


def digest_of(previous: str, bodies: Iterable[str]) -> str:
    """sha256 over the link before and every body, each with its length, so that nothing can be moved between bodies."""
    h = hashlib.sha256(previous.encode())
    for body in bodies:
        raw = body.encode()
        h.update(len(raw).to_bytes(8, "big") + raw)
    return h.hexdigest()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


class Archive:
    """The step; what it buffers is not acknowledged until ClickHouse has it."""

    name = "archive"
    topics = tuple(t for t in ALL if t is not SNAPSHOTS)
    beat = 0.5
    patient = True

    def __init__(self, url: str) -> None:
        self.store = Store(url)
        self.waiting: dict[Key, list[Any]] = {}
        self.bounds: dict[Key, list[int]] = {}
        self.written: dict[Key, int] = {}
        self.since = time.monotonic()
        self.digests: dict[Key, str] = {}
        """The last link of each partition's hash chain."""

    async def start(self, desk: Desk) -> None:
        pass

    async def take(self, batch: Batch, desk: Desk) -> None:
        key = batch.topic, batch.partition
        if key not in self.bounds:
            self.bounds[key] = await self._open_intents(desk, key, batch.records[0].offset)
        run = self.waiting.setdefault(key, [])
        start = run[-1].offset + 1 if run else self.written.get(key, 0)
        run += [r for r in batch.records if r.offset >= start and r.value is not None]
        if len(run) >= MOST or self.bounds[key]:
            await self._flush(key, desk)

    async def _open_intents(self, desk: Desk, key: Key, first: int) -> list[int]:
        """Ends of batches that were announced and perhaps not written: they are formed again exactly."""
        sql = "SELECT end FROM intents FINAL WHERE topic = {t:String} AND partition = {p:UInt16} AND start >= {f:UInt64} ORDER BY start"
        return [row["end"] for row in await self._ask(desk, self.store.rows, sql, {"t": key[0], "p": key[1], "f": first})]

    async def idle(self, desk: Desk) -> None:
        if time.monotonic() - self.since < EVERY:
            return
        self.since = time.monotonic()
        for key in [k for k, run in self.waiting.items() if run]:
            await self._flush(key, desk)

    async def _flush(self, key: Key, desk: Desk) -> None:
        """Writes what waits in one partition, cut where an announced batch ended."""
        run, bounds = self.waiting[key], self.bounds.get(key, [])
        while run:
            while bounds and bounds[0] <= run[0].offset:
                bounds.pop(0)
            end = bounds[0] if bounds else run[-1].offset + 1
            if run[-1].offset + 1 < end:
                return
            part = [r for r in run if r.offset < end] if bounds else _one_block(run)
            end = end if bounds else part[-1].offset + 1
            await self._write(desk, key, part, end, announce=not bounds)
            del run[: len(part)]
            self.written[key] = end
            desk.done(key[0], key[1], end)

    async def _write(self, desk: Desk, key: Key, part: list[Any], end: int, announce: bool) -> None:
        topic, partition = key
        start = part[0].offset
        if announce:
            await self._ask(desk, self.store.insert, "intents", ("topic", "partition", "start", "end", "generation"), [(topic, partition, start, end, 0)])
        rows = [(topic, partition, r.offset, r.value.decode("utf-8", "replace")) for r in part]
        link = await self._link(desk, key, start, end, [row[3] for row in rows])
        token = f"{topic}:{partition}:{start}-{end}" if len(rows) > 1 or len(rows[0][3]) < BYTES else ""
        try:
            await self._ask(desk, self.store.insert, "messages", ("topic", "partition", "offset", "body"), rows, token)
            await self._ask(desk, self.store.insert, "links", ("topic", "partition", "start", "end", "digest", "previous"), [(topic, partition, start, end, *link)])
            self.digests[key] = link[0]
        except StoreError as wrong:
            if isinstance(wrong, StoreAway):
                raise
            log.error("ClickHouse refuses %s[%s] %s-%s: %s", topic, partition, start, end, wrong)
            raise Away(str(wrong)) from None

    async def _link(self, desk: Desk, key: Key, start: int, end: int, bodies: list[str]) -> tuple[str, str]:
        """(this batch's digest, the one before): the same batch formed again makes the same link."""
        if key not in self.digests:
            sql = "SELECT digest FROM links FINAL WHERE topic = {t:String} AND partition = {p:UInt16} AND end <= {s:UInt64} ORDER BY start DESC LIMIT 1"
            found = await self._ask(desk, self.store.rows, sql, {"t": key[0], "p": key[1], "s": start})
            self.digests[key] = _text(found[0]["digest"]) if found else ""
        previous = self.digests[key]
        return digest_of(previous, bodies), previous

    async def _ask(self, desk: Desk, work: Any, *args: Any) -> Any:
        try:
            with desk.asking("ClickHouse"):
                return await asyncio.to_thread(work, *args)
        except StoreAway as away:
            raise Away(str(away)) from None

    async def lost(self, partitions: set[Key]) -> None:
        for key in partitions:
            self.waiting.pop(key, None)
            self.bounds.pop(key, None)
            self.written.pop(key, None)
            self.digests.pop(key, None)

    async def stop(self, desk: Desk) -> None:
        for key in list(self.waiting):
            await self._flush(key, desk)
