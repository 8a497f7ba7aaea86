"""Folds each site's timeline through the kernel and publishes what it says; answers doors from memory."""

from __future__ import annotations

import logging
import os
import time

import msgspec
from aiohttp import web

from streams.desk import Batch, Desk, Sending
from streams.events import decode_entry, encode
from streams.kernel import Kernel, restore
from streams.outputs import Alert, Output, Verdict
from streams.packs import Pack
from streams.shadow import rebook
from streams.times import Stamp
from streams.topics import ALERTS, COMMANDS, SHADOW, SNAPSHOTS, TIMELINE, VERDICTS, Topic

SNAPSHOT_EVERY = float(os.environ.get("PERMITWATCH_SNAPSHOT_EVERY", "30"))
log = logging.getLogger("permitwatch")


class Correlate:
    """The step; its memory is a cache of the timeline, kept in site.snapshots."""

    name = "correlate"
    topics = (TIMELINE,)
    beat = 1.0
    patient = False

    def __init__(self, decide_at: tuple[str, int] | None = None, book: Pack | None = None) -> None:
        self.book = book
        """A pack in shadow: judged beside the one in force, in a group of its own; nobody is told."""
        self.name = "shadow" if book else "correlate"
        self.mark = "shadow|" if book else ""
        self.kernels: dict[int, dict[str, Kernel]] = {}
        self.next: dict[int, int] = {}
        self.saved: dict[int, int] = {}
        self.since = time.monotonic()
        self.decide_at = decide_at

    async def start(self, desk: Desk) -> None:
        if self.decide_at is None:
            return
        app = web.Application()
        app.add_routes([web.get("/decide", self.decide), web.get("/healthz", self.health)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, *self.decide_at).start()

    async def take(self, batch: Batch, desk: Desk) -> None:
        kernels = self.kernels.get(batch.partition)
        if kernels is None:
            kernels = self.kernels[batch.partition] = await self._recall(batch.partition, desk)
        floor = {site: k.memory.next for site, k in kernels.items()}
        out: list[Sending] = []
        for record in batch.records:
            entry = decode_entry(record.value)
            if record.offset < floor.get(entry.site, 0):
                continue
            kernel = kernels.get(entry.site)
            if kernel is None:
                kernel = kernels[entry.site] = Kernel(entry.site)
            seen = rebook(entry, self.book) if self.book else entry
            out += [self._line(o, batch.partition) for o in (kernel.step(seen) if seen else ()) if not self.book or isinstance(o, Alert)]
            kernel.memory.next = record.offset + 1
        await desk.send(out)
        self.next[batch.partition] = batch.next

    async def _recall(self, partition: int, desk: Desk) -> dict[str, Kernel]:
        """The sites of a partition as last saved."""
        latest = {r.key.decode(): r.value for r in await desk.read(SNAPSHOTS, partition) if r.value}
        kernels = {}
        for key, raw in latest.items():
            site = key.removeprefix(self.mark)
            if key != f"{self.mark}{site}" or (not self.mark and "|" in key):
                continue
            try:
                kernels[site] = restore(raw)
            except (msgspec.DecodeError, ValueError) as wrong:
                log.warning("the snapshot of %s is of another version (%s); its timeline is folded anew", site, wrong)
        return kernels

    async def idle(self, desk: Desk) -> None:
        if time.monotonic() - self.since >= SNAPSHOT_EVERY:
            await self._save(desk)

    async def _save(self, desk: Desk) -> None:
        """Snapshots first, then the right to forget what led to them."""
        for partition, next_ in list(self.next.items()):
            if self.saved.get(partition) == next_:
                continue
            await desk.send([(SNAPSHOTS, partition, f"{self.mark}{site}", k.snapshot()) for site, k in self.kernels.get(partition, {}).items()])
            desk.done(TIMELINE.name, partition, next_)
            self.saved[partition] = next_
        self.since = time.monotonic()

    async def lost(self, partitions: set[tuple[str, int]]) -> None:
        for _, partition in partitions:
            for table in (self.kernels, self.next, self.saved):
                table.pop(partition, None)  # type: ignore[attr-defined]

    async def stop(self, desk: Desk) -> None:
        await self._save(desk)

    def _line(self, output: Output, partition: int) -> Sending:
        topic: Topic = (SHADOW if self.book else ALERTS) if isinstance(output, Alert) else (VERDICTS if isinstance(output, Verdict) else COMMANDS)
        return topic, partition, output.site, encode(output)

    # ---- doors ------------------------------------------------------------------------------------------------------

    async def decide(self, request: web.Request) -> web.Response:
        """GET /decide?site&worker&door[&direction=in][&at=ms][&u=ms] → {answer, reasons, behind}."""
        q = request.query
        kernel = next((ks[q["site"]] for ks in self.kernels.values() if q.get("site") in ks), None)
        if kernel is None:
            return web.json_response({"answer": "pending", "reasons": ["SITE-NOT-HERE"]}, status=421)
        now = int(time.time() * 1000)
        at = Stamp(int(q.get("at", now)), int(q.get("u", 1000)))
        answer, reasons = kernel.decide(q.get("worker", ""), q.get("door", ""), q.get("direction", "in"), at)
        behind = 0 if kernel.memory.site.virtual else now - kernel.memory.site.now
        if behind > 10_000 and answer == "allow":
            answer, reasons = "pending", ["SYS-LAG"]
        return web.json_response({"answer": answer, "reasons": reasons, "behind_ms": max(0, behind)})

    async def health(self, request: web.Request) -> web.Response:
        """GET /healthz → the sites here and how far behind each is, ms."""
        now = int(time.time() * 1000)
        sites = {s: max(0, now - k.memory.site.now) for ks in self.kernels.values() for s, k in ks.items() if not k.memory.site.virtual}
        return web.json_response({"sites": sites})


