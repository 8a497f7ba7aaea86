"""Tells people: every alert worth telling and every request through a routing tree to its receivers, each attempt recorded in `deliveries`."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import logging
import os
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from pathlib import Path
from smtplib import SMTPException
from typing import Any, Literal
from zoneinfo import ZoneInfo

import aiohttp
import msgspec

from streams import wall
from streams.channels import body_of, iso, mail, request_body, signed, syslog, verdict_on
from streams.desk import Away, Batch, Desk, Sending, letter_of
from streams.events import Done, Envelope, PlantSaid, decode_event, encode
from streams.outputs import Alert, Command, Delivery
from streams.routes import Receiver, Request, Route, Routing
from streams.topics import ALERTS, COMMANDS, DELIVERIES, SITE

log = logging.getLogger("permitwatch")
STALE_MS = 600_000
"""An alert older than this is recorded but not announced: whoever was to act has been told by another way, or it is history."""
LARGEST_LOG = 50 << 20
"""Bytes of notify.jsonl, after which it is kept as .1 and begins anew."""
PAUSES = (0.0, 0.5, 2.0, 8.0)
GONE = ("cleared", "retracted", "closed", "verified")
Outcome = Literal["delivered", "retry", "refused", "dry-run", "gathered", "expired"]


@dataclass
class Item:
    """Something to tell, and the record that it came from."""

    said: Alert | Command
    key: tuple[str, int]
    offset: int
    partition: int
    repeat: bool = False
    left: int = 1


@dataclass
class Open:
    """The offsets of a partition that are still on their way to somebody."""

    next: int = 0
    waiting: dict[int, int] = field(default_factory=dict)

    def done_below(self) -> int:
        return min(self.waiting, default=self.next)


def from_environment(file: Path | None, webhooks: list[str]) -> Routing:
    """Where there is no receivers.toml: everything to the log, what is announced to each webhook."""
    receivers = ([Receiver("log", "log")] if file else []) + [Receiver(f"webhook {i + 1}", "webhook", url=u, gather=0.0, resolved=True, per_minute=600) for i, u in enumerate(webhooks)]
    return Routing(receivers, [Route([r.name], go_on=True) for r in receivers], [Request(r.name) for r in receivers])


class Notify:
    """The step. Delivery to people is at least once; a repeat after a crash says so. One queue a receiver, so that none waits for another."""

    name = "notify"
    topics = (ALERTS, COMMANDS, SITE)
    beat = 0.5
    patient = False

    def __init__(self, file: Path | None, routing: Routing) -> None:
        self.file, self.routing = file, routing
        self.told: OrderedDict[tuple[str, int, str], None] = OrderedDict()
        self.announced: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.recalled: set[int] = set()
        self.open: dict[tuple[str, int], Open] = {}
        self.zones: dict[str, ZoneInfo] = {}
        self.asked: dict[str, Command] = {}
        self.posts = {r.name: Post(self, r) for r in routing.receiver}
        self.session: aiohttp.ClientSession | None = None
        self.desk: Desk | None = None

    async def start(self, desk: Desk) -> None:
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=8))
        for post in self.posts.values():
            post.task = asyncio.create_task(post.run())

    # ---- in -----------------------------------------------------------------------------------------------------

    async def take(self, batch: Batch, desk: Desk) -> None:
        self.desk = desk
        if batch.topic == SITE.name:
            await self._site(batch, desk)
            return
        if batch.partition not in self.recalled:
            await self._recall(batch.partition, desk)
        open_ = self.open.setdefault((batch.topic, batch.partition), Open())
        kind: Any = Alert if batch.topic == ALERTS.name else Command
        letters = list[Sending]()
        for record in batch.records:
            try:
                said = msgspec.json.decode(record.value or b"", type=kind)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
                letters.append(letter_of(batch, record, f"what people are to be told cannot be read: {wrong}"))
                continue
            self._route(said, (batch.topic, batch.partition), record.offset, batch.partition)
        if letters:
            await desk.send(letters)
        open_.next = max(open_.next, batch.next)
        desk.done(batch.topic, batch.partition, open_.done_below())

    def _route(self, said: Alert | Command, key: tuple[str, int], offset: int, partition: int) -> None:
        names = self.routing.told(said, self._hour(said)) if isinstance(said, Alert) else self.routing.asked(said)
        fresh = [n for n in names if (said.id, said.revision, n) not in self.told and self._wanted(said, self.routing.named(n))]
        if fresh:
            item = Item(said, key, offset, partition, left=len(fresh))
            self.open[key].waiting[offset] = self.open[key].waiting.get(offset, 0) + len(fresh)
            for name in fresh:
                self.posts[name].queue.put_nowait(item)

    def _wanted(self, said: Alert | Command, receiver: Receiver) -> bool:
        """The log gets everything; people what is worth telling, and its end if they were told of it and want to know."""
        if receiver.kind == "log" or isinstance(said, Command):
            return True
        return said.announce or (receiver.resolved and said.state in GONE and (said.id, receiver.name) in self.announced)

    def _hour(self, alert: Alert) -> int:
        return dt.datetime.fromtimestamp(alert.known / 1000, self.zones.get(alert.site) or dt.UTC).hour

    async def _site(self, batch: Batch, desk: Desk) -> None:
        """Learns each site's time zone and what systems answered to requests."""
        for record in batch.records:
            begins = (record.value or b"")[:4000]
            if b'"command.done"' not in begins and b'"plant"' not in begins:
                continue
            try:
                envelope = msgspec.json.decode(record.value, type=Envelope)
                event = decode_event(envelope.event)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            if isinstance(event, PlantSaid):
                with contextlib.suppress(ValueError, KeyError, OSError):  # normalise says what is wrong with a plant
                    self.zones[envelope.site] = ZoneInfo(event.plant.timezone)
            elif isinstance(event, Done) and (command := self.asked.pop(event.command, None)):
                outcome: Outcome = "delivered" if event.outcome == "done" else "refused"
                await self._record([Delivery(envelope.site, event.command, command.revision, "answer", event.at, outcome, f"{event.by} {event.note}".strip(), step="done")], batch.partition)
        desk.done(batch.topic, batch.partition, batch.next)

    async def _recall(self, partition: int, desk: Desk) -> None:
        """Who was told before this process began."""
        for record in (await desk.read(DELIVERIES, partition))[-20_000:]:
            try:
                d = msgspec.json.decode(record.value or b"", type=Delivery)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            if d.outcome != "retry":
                self.remember(d.subject, d.revision, d.receiver or d.channel)
        self.recalled.add(partition)

    # ---- out ----------------------------------------------------------------------------------------------------

    def remember(self, subject: str, revision: int, receiver: str) -> None:
        self.told[subject, revision, receiver] = None
        self.announced[subject, receiver] = None
        for table in (self.told, self.announced):
            while len(table) > 50_000:
                table.popitem(last=False)

    async def settled(self, items: list[Item], receiver: Receiver, outcome: Outcome, answer: str, step: str) -> None:
        """Records an attempt; unless it is tried again, the records are done with."""
        now = wall.now()
        if items:
            deliveries = [Delivery(i.said.site, i.said.id, i.said.revision, receiver.kind, now, outcome, answer[:300], i.repeat, receiver.name, step) for i in items]
            for partition in {i.partition for i in items}:
                await self._record([d for d, i in zip(deliveries, items, strict=True) if i.partition == partition], partition)
        if outcome == "retry":
            return
        for item in items:
            self.remember(item.said.id, item.said.revision, receiver.name)
            if isinstance(item.said, Command) and outcome == "delivered" and receiver.kind != "log":
                self.asked[item.said.id] = item.said
            self._finish(item)

    def _finish(self, item: Item) -> None:
        open_ = self.open.get(item.key)
        if open_ is None or item.offset not in open_.waiting:
            return
        open_.waiting[item.offset] -= 1
        if open_.waiting[item.offset] <= 0:
            del open_.waiting[item.offset]
        if self.desk:
            self.desk.done(item.key[0], item.key[1], open_.done_below())

    async def _record(self, deliveries: list[Delivery], partition: int) -> None:
        if self.desk:
            try:
                await self.desk.send([(DELIVERIES, partition, d.site, encode(d)) for d in deliveries])
            except Away:
                return

    async def idle(self, desk: Desk) -> None:
        """A request that nobody answered before it expired is recorded as expired."""
        self.desk = desk
        now = wall.now()
        for ident, command in list(self.asked.items()):
            if command.expires < now:
                del self.asked[ident]
                await self._record([Delivery(command.site, ident, command.revision, "answer", now, "expired", "no answer before it expired", step="timeout")], 0)

    async def lost(self, partitions: set[tuple[str, int]]) -> None:
        for key in partitions:
            self.open.pop(key, None)
            self.recalled.discard(key[1])
        for post in self.posts.values():
            post.drop(partitions)

    async def stop(self, desk: Desk) -> None:
        for post in self.posts.values():
            if post.task:
                post.task.cancel()
        if self.session:
            await self.session.close()


class Post:
    """One receiver's queue: P1 and requests alone and at once, the rest gathered; limits kept, refusals seen, tried again, then the next channel."""

    def __init__(self, notify: Notify, receiver: Receiver) -> None:
        self.notify, self.receiver = notify, receiver
        self.queue: asyncio.Queue[Item] = asyncio.Queue()
        self.held: list[Item] = []
        self.since = 0.0
        self.sent: deque[float] = deque()
        self.task: asyncio.Task[None] | None = None
        self.down = False

    async def run(self) -> None:
        """Runs until cancelled; nothing that a channel does ends it."""
        while True:
            try:
                await self._step()
            except asyncio.CancelledError:
                raise
            except Exception as wrong:
                log.error("receiver %s: %s: %s; it goes on", self.receiver.name, type(wrong).__name__, wrong)

    async def _step(self) -> None:
        wait = max(0.05, self.since + self.receiver.gather - time.monotonic()) if self.held else None
        try:
            item = await asyncio.wait_for(self.queue.get(), wait)
        except TimeoutError:
            gathered, self.held = self.held, []
            await self.tell(gathered)
            return
        if isinstance(item.said, Command) or item.said.priority == 1 or self.receiver.gather <= 0 or self.receiver.kind == "log":
            await self.tell([item])
            return
        if not self.held:
            self.since = time.monotonic()
        self.held.append(item)

    def drop(self, keys: set[tuple[str, int]]) -> None:
        """Partitions went to another worker: what waits here is told there."""
        self.held = [i for i in self.held if i.key not in keys]
        kept = []
        while not self.queue.empty():
            kept.append(self.queue.get_nowait())
        for item in kept:
            if item.key not in keys:
                self.queue.put_nowait(item)

    async def tell(self, items: list[Item]) -> None:
        """Through this receiver, or through those that stand behind it."""
        now = wall.now()
        old = [i for i in items if isinstance(i.said, Alert) and self.receiver.kind != "log" and now - i.said.known > STALE_MS]
        dry = [i for i in items if isinstance(i.said, Command) and i.said.dry_run and self.receiver.kind != "log"]
        dead = [i for i in items if isinstance(i.said, Command) and not i.said.dry_run and i.said.expires < now and self.receiver.kind != "log"]
        await self.notify.settled(old, self.receiver, "refused", "older than ten minutes: recorded, not announced", "")
        await self.notify.settled(dry, self.receiver, "dry-run", "", "")
        await self.notify.settled(dead, self.receiver, "expired", "expired before it could be sent", "")
        rest = [i for i in items if i not in old and i not in dry and i not in dead]
        if rest:
            await self._through(rest)

    async def _through(self, items: list[Item]) -> None:
        receiver, step = self.receiver, ""
        while True:
            for attempt, pause in enumerate(PAUSES):
                await asyncio.sleep(pause)
                await self._limit(receiver)
                outcome, answer = await self._send(receiver, items)
                final = outcome != "retry" or attempt == len(PAUSES) - 1
                if outcome == "delivered" or not final:
                    await self.notify.settled(items, receiver, outcome, answer, step)
                if outcome == "delivered":
                    self._back()
                    return
                if final:
                    break
            if not receiver.fallback:
                await self.notify.settled(items, receiver, "refused", answer, step)
                self._away(answer)
                return
            await self.notify.settled(items, receiver, "retry", answer, step)
            self._away(answer)
            receiver, step = self.notify.routing.named(receiver.fallback), f"instead of {receiver.name}"

    async def _limit(self, receiver: Receiver) -> None:
        """No more messages a minute than a channel takes."""
        while self.sent and self.sent[0] < time.monotonic() - 60:
            self.sent.popleft()
        if receiver.kind != "log" and len(self.sent) >= receiver.per_minute:
            await asyncio.sleep(max(0.0, self.sent[0] + 60 - time.monotonic()))
        self.sent.append(time.monotonic())

    async def _send(self, receiver: Receiver, items: list[Item]) -> tuple[Outcome, str]:
        address = receiver.url or os.environ.get(receiver.url_env, "")
        secret = secret_of(receiver)
        alerts = [i.said for i in items if isinstance(i.said, Alert)]
        if receiver.kind == "log":
            return await asyncio.to_thread(append, self.notify.file, [i.said for i in items])
        if not address:
            return "refused", f"{receiver.url_env} is not set"
        try:
            if receiver.kind == "smtp":
                return "delivered", await asyncio.to_thread(mail, receiver, address, alerts, any(i.repeat for i in items), secret)
            if receiver.kind == "syslog":
                return "delivered", await asyncio.to_thread(syslog, address, alerts, receiver.lang)
            return await self._post(receiver, address, secret, items, alerts)
        except (aiohttp.ClientError, TimeoutError, OSError, SMTPException) as wrong:
            return "retry", f"{type(wrong).__name__}: {wrong}"

    async def _post(self, receiver: Receiver, address: str, secret: str, items: list[Item], alerts: list[Alert]) -> tuple[Outcome, str]:
        assert self.notify.session is not None
        body = request_body(items[0].said) if isinstance(items[0].said, Command) else body_of(receiver, alerts, any(i.repeat for i in items))
        head = {"authorization": f"Bearer {secret}"} if secret and receiver.kind in ("webhook", "command") else {}
        async with self.notify.session.post(signed(receiver, address, secret, wall.now()), json=body, headers=head) as response:
            answer = (await response.text())[:300]
        return verdict_on(receiver.kind, response.status, answer), f"{response.status} {answer}"  # type: ignore[return-value]

    def _away(self, answer: str) -> None:
        if not self.down:
            log.warning("receiver %s does not take messages: %s", self.receiver.name, answer)
        self.down = True

    def _back(self) -> None:
        if self.down:
            log.warning("receiver %s takes messages again", self.receiver.name)
        self.down = False


def secret_of(receiver: Receiver) -> str:
    """From the environment, or from the file that the variable names with @."""
    value = os.environ.get(receiver.secret_env, "") if receiver.secret_env else ""
    return Path(value[1:]).read_text(encoding="utf-8").strip() if value.startswith("@") else value


def append(file: Path | None, said: list[Alert | Command]) -> tuple[Outcome, str]:
    """The log: one JSON a line."""
    if file is None:
        return "refused", "no log file"
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and file.stat().st_size > LARGEST_LOG:
        file.replace(file.with_name(f"{file.name}.1"))
    with file.open("a", encoding="utf-8") as f:
        for one in said:
            f.write(json.dumps({"at": iso(wall.now())} | msgspec.to_builtins(one), ensure_ascii=False) + "\n")
    return "delivered", file.name
