"""Folds each site's timeline through the kernel and publishes what it says; answers doors from memory."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from streams import wall
from streams.asked import serve
from streams.desk import Batch, Desk, Sending
from streams.events import Entry, Requested, Tick, decode_entry, encode
from streams.judging import Judging
from streams.kernel import Kernel, restore
from streams.outputs import Alert, Code, Command, DeadLetter, Minute, Output, Verdict
from streams.packs import Pack
from streams.plain import plain
from streams.refused import Refused
from streams.rules import RULES
from streams.rules.gates import GATES, Answer, Question, always
from streams.sentences import REASONS
from streams.shadow import rebook
from streams.times import Stamp
from streams.topics import ALERTS, CODES, COMMANDS, DEAD, MINUTES, SHADOW, SNAPSHOTS, TIMELINE, VERDICTS, Topic

SNAPSHOT_EVERY = float(os.environ.get("PERMITWATCH_SNAPSHOT_EVERY", "30"))
BREATH = 0.02
"""Seconds for which a long batch is judged before what was said so far is sent, and doors that wait are answered."""
WORTH = 4
"""So many times as long as the last sending took it is judged before the next: a slow broker must not halve the speed."""
SAID_IN = {Verdict: VERDICTS, Command: COMMANDS, Minute: MINUTES}
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
        self.kernels: dict[int, dict[str, Judging]] = {}
        self.next: dict[int, int] = {}
        self.saved: dict[int, int] = {}
        self.again: dict[int, int] = {}
        """Partition → up to which place what it holds may be other than what was read there before: its log lost its end, and went on."""
        self.since = time.monotonic()
        self.decide_at = decide_at
        self.refused = Refused()

    async def start(self, desk: Desk) -> None:
        if self.decide_at is None:
            return
        await serve([web.get("/decide", self.decide), web.post("/decide", self.decide), web.get("/healthz", self.health), web.get("/refused", self.refused.answer)], self.decide_at)

    async def take(self, batch: Batch, desk: Desk) -> None:
        try:
            await self._take(batch, desk)
        except BaseException:  # what was judged and not sent is judged again from the snapshot, here or by another worker
            self._let_go(batch.partition)
            raise

    async def _take(self, batch: Batch, desk: Desk) -> None:
        kernels = self.kernels.get(batch.partition)
        if kernels is None:
            await self.refused.recall(desk, batch.partition, lambda letter: letter.topic == TIMELINE.name)
            kernels = self.kernels[batch.partition] = await self._recall(batch.partition, desk)
        floor = {site: k.kernel.memory.next for site, k in kernels.items()}
        out, due = await self._cut(kernels, batch, desk), time.monotonic() + BREATH
        for record in batch.records:
            if (now := time.monotonic()) > due:
                await desk.send(out)
                await asyncio.sleep(0)
                desk.reached(batch.topic, batch.partition, record.offset)
                out, due = [], time.monotonic() + max(BREATH, WORTH * (time.monotonic() - now))
            try:
                entry = decode_entry(record.value)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError) as wrong:
                out.append(self._letter(batch.topic, batch.partition, record.offset, f"the timeline's entry cannot be read: {wrong}", record.value or b"", None))
                continue
            if _new(kernels, entry) if record.offset < self.again.get(batch.partition, 0) else record.offset >= floor.get(entry.site, 0):
                out += self._judged(kernels, entry, batch, record)
        await desk.send(out)
        self.next[batch.partition] = batch.next

    async def _cut(self, kernels: dict[str, Judging], batch: Batch, desk: Desk) -> list[Sending]:
        """Does the log go on before the place that was read? Then that is said, and what lies there is read like anything new; whatever was read before is a repeat by its number."""
        known, begins = self.next.get(batch.partition), int(batch.records[0].offset)
        if known is None:
            last = await desk.tail(TIMELINE, batch.partition, 1)
            known = max((k.kernel.memory.next for k in kernels.values()), default=0)
            begins = last[-1].offset + 1 if last else known
        if begins >= known:
            return []
        log.error("%s lost the end of its log: it ended at %s and goes on at %s. What lies there is judged like anything new; SYS-LOST says so", TIMELINE.name, known, begins)
        self.again[batch.partition] = max(known, self.again.get(batch.partition, 0))
        self.next.pop(batch.partition, None)
        return [self._line(o, batch.partition) for j in kernels.values() for o in j.kernel.end_lost(TIMELINE.name, wall.now()) if not self.book]

    def _judged(self, kernels: dict[str, Judging], entry: Entry, batch: Batch, record: Any) -> list[Sending]:
        """What one entry makes the kernel say; what it cannot take becomes a dead letter with its bytes."""
        judging = kernels.get(entry.site)
        if judging is None:
            judging = kernels[entry.site] = Judging(Kernel(entry.site))
        letters: list[Sending] = []
        judging.aside = lambda aside: letters.append(self._letter(batch.topic, batch.partition, record.offset, aside.reason, record.value, aside.entry))
        seen = rebook(entry, self.book) if self.book else entry
        said = judging.step(seen) if seen else []
        judging.kernel.memory.next = record.offset + 1
        return [*(self._line(o, batch.partition) for o in said if not self.book or isinstance(o, Alert)), *letters]

    async def _recall(self, partition: int, desk: Desk) -> dict[str, Judging]:
        """The sites of a partition as last saved."""
        latest = {r.key.decode(): r.value for r in await desk.read(SNAPSHOTS, partition) if r.value}
        kernels = {}
        for key, raw in latest.items():
            site = key.removeprefix(self.mark)
            if key != f"{self.mark}{site}" or (not self.mark and "|" in key):
                continue
            try:
                kernels[site] = Judging(restore(raw))
            except (msgspec.DecodeError, ValueError, zlib.error) as wrong:
                log.warning("the snapshot of %s is of another version (%s); its timeline is folded anew", site, wrong)
        return kernels

    async def idle(self, desk: Desk) -> None:
        wall.now()  # asked often, so that it sees when the clock leaps
        if time.monotonic() - self.since >= SNAPSHOT_EVERY:
            await self._save(desk)

    async def _save(self, desk: Desk) -> None:
        """Snapshots first, then the right to forget what led to them."""
        for partition, next_ in list(self.next.items()):
            if self.saved.get(partition) == next_:
                continue
            await desk.send([s for site, judging in self.kernels.get(partition, {}).items() for s in self._saved(partition, site, judging)])
            desk.done(TIMELINE.name, partition, next_)
            self.saved[partition] = next_
        self.since = time.monotonic()

    def _saved(self, partition: int, site: str, judging: Judging) -> list[Sending]:
        """A site's snapshot, and what had to be set aside so that it could be taken."""
        letters: list[Sending] = []
        judging.aside = lambda aside: letters.append(self._letter(TIMELINE.name, partition, -1, aside.reason, encode(aside.entry), aside.entry))
        next_ = judging.kernel.memory.next
        raw, said = judging.stand()
        judging.kernel.memory.next = next_
        return [(SNAPSHOTS, partition, f"{self.mark}{site}", raw), *(self._line(o, partition) for o in said if not self.book), *letters]

    def _letter(self, topic: str, partition: int, offset: int, reason: str, raw: bytes, entry: Entry | None) -> Sending:
        """A dead letter, kept for its source to ask for."""
        site, source = (entry.site, entry.source) if entry else ("", "")
        letter = DeadLetter(topic, partition, offset, "cannot be judged", reason[:2000], wall.now(), raw, site, source)
        self.refused.add(letter)
        return DEAD, partition, site or "?", msgspec.json.encode(letter)

    async def lost(self, partitions: set[tuple[str, int]]) -> None:
        for _, partition in partitions:
            self._let_go(partition)

    def _let_go(self, partition: int) -> None:
        for table in (self.kernels, self.next, self.saved, self.again):
            table.pop(partition, None)  # type: ignore[attr-defined]

    async def stop(self, desk: Desk) -> None:
        await self._save(desk)

    def _line(self, output: Output, partition: int) -> Sending:
        if isinstance(output, Code):
            return CODES, partition, f"{output.site}|{output.who_is}|{output.who}", encode(output)
        topic: Topic = (SHADOW if self.book else ALERTS) if isinstance(output, Alert) else SAID_IN[type(output)]
        return topic, partition, output.site, encode(output)

    # ---- doors ------------------------------------------------------------------------------------------------------

    async def decide(self, request: web.Request) -> web.Response:
        """GET or POST /decide?site&for=entry|issue|start|resume|close|leave[&worker][&door][&permit][&at=ms][&u=ms]; for=application: POST the request → {answer, reasons, why, mode, names, behind_ms}."""
        q = request.query
        kernel = next((ks[q["site"]].kernel for ks in self.kernels.values() if q.get("site") in ks), None)
        if kernel is None:
            return web.json_response({"answer": "pending", "reasons": ["SITE-NOT-HERE"], "why": why(("SITE-NOT-HERE",))}, status=421)
        now = wall.now()
        try:
            asked = _question(q, await request.read(), now)
        except (ValueError, TypeError, msgspec.MsgspecError, RecursionError) as wrong:
            return web.json_response({"error": f"{wrong}"}, status=400)
        behind = 0 if kernel.memory.site.virtual else max(0, now - kernel.memory.site.now)
        try:
            said = kernel.decide(asked)
        except Exception as wrong:  # a fault of ours must not open a door, nor end the judge
            log.error("a question at a gate could not be answered (%s: %s): pending", type(wrong).__name__, wrong)
            said = Answer("allow" if asked.gate == "leave" else "pending", ("SYS-LAG",), "broken")
        free = asked.gate == "leave" or (said.mode != "broken" and always(kernel.known, asked) is not None)
        if behind > 10_000 and not free:
            said = Answer("pending" if said.answer == "allow" else said.answer, (*said.reasons, "SYS-LAG"), "behind", said.names)
        return web.json_response({"answer": said.answer, "reasons": list(said.reasons), "why": why(said.reasons), "mode": said.mode, "names": list(said.names), "behind_ms": behind})

    async def health(self, request: web.Request) -> web.Response:
        """GET /healthz → the sites here, how far behind each is (ms), and of each raw topic the offset of the last message that was judged."""
        now = wall.now()
        known = {s: j for ks in self.kernels.values() for s, j in ks.items() if not j.kernel.memory.site.virtual}
        return web.json_response({"sites": {s: max(0, now - j.kernel.memory.site.now) for s, j in known.items()}, "judged": {s: j.reached for s, j in known.items()}})


def _new(kernels: dict[str, Judging], entry: Entry) -> bool:
    """Is it more than a second of the clock that has been told already?"""
    judging = kernels.get(entry.site)
    return judging is None or not isinstance(entry.event, Tick) or entry.event.at > judging.kernel.memory.site.now


def _question(q: Mapping[str, str], body: bytes, now: int) -> Question:
    """What is asked. Raises ValueError with what to write."""
    gate = q.get("for") or ("leave" if q.get("direction") == "out" else "entry")
    if gate not in GATES:
        raise ValueError(f"for={gate}: no such gate. Known: {', '.join(GATES)}")
    at, u = q.get("at", str(now)), q.get("u", "1000")
    if not (at.isdigit() and u.isdigit() and len(at) < 16 and len(u) < 10):
        raise ValueError("at and u are whole ms")
    asked = plain(msgspec.convert(msgspec.json.decode(body) | {"kind": "permit.requested"}, Requested))[0] if body and gate == "application" else None
    if gate == "application" and asked is None:
        raise ValueError("for=application: POST the request as it would be sent")
    return Question(gate, q.get("worker", ""), q.get("door", ""), q.get("permit", ""), Stamp(int(at), int(u)), asked)  # type: ignore[arg-type]


def why(codes: Iterable[str]) -> list[dict[str, str]]:
    """Each reason with its clause and a sentence in both languages."""
    clauses = {r.code: f"{r.clause} ({r.edition})" for r in reversed(RULES)}
    return [{"code": c, "clause": clauses.get(c, "rule of the site"), "zh": REASONS[c][0], "en": REASONS[c][1]} for c in codes if c in REASONS]
