"""Tells people: every alert and request to a log and to webhooks, each attempt recorded in `deliveries`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from streams.desk import Batch, Desk, Sending
from streams.events import encode
from streams.outputs import Alert, Command, Delivery
from streams.topics import ALERTS, COMMANDS, DELIVERIES

log = logging.getLogger("permitwatch")
STALE_MS = 600_000
"""An alert older than this is recorded but not announced: whoever was to act has been told by another way, or it is history."""


class Notify:
    """The step. Delivery to people is at least once; a repeat after a crash says so."""

    name = "notify"
    topics = (ALERTS, COMMANDS)
    beat = 5.0
    patient = False

    def __init__(self, file: Path | None, webhooks: list[str]) -> None:
        self.file, self.webhooks = file, webhooks
        self.told: OrderedDict[tuple[str, int, str], None] = OrderedDict()
        self.read: set[int] = set()
        self.session: aiohttp.ClientSession | None = None

    async def start(self, desk: Desk) -> None:
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))

    async def take(self, batch: Batch, desk: Desk) -> None:
        if batch.partition not in self.read:
            await self._recall(batch.partition, desk)
        kind: Any = Alert if batch.topic == ALERTS.name else Command
        out: list[Sending] = []
        for record in batch.records:
            said = msgspec.json.decode(record.value, type=kind)
            out += [(DELIVERIES, batch.partition, said.site, encode(d)) for d in await self._tell(said)]
        await desk.send(out)
        desk.done(batch.topic, batch.partition, batch.next)

    async def _recall(self, partition: int, desk: Desk) -> None:
        """Who was told before this process began."""
        for record in (await desk.read(DELIVERIES, partition))[-20_000:]:
            d = msgspec.json.decode(record.value, type=Delivery)
            if d.outcome != "retry":
                self._remember(d.subject, d.revision, d.channel)
        self.read.add(partition)

    def _remember(self, subject: str, revision: int, channel: str) -> None:
        self.told[subject, revision, channel] = None
        while len(self.told) > 50_000:
            self.told.popitem(last=False)

    async def _tell(self, said: Alert | Command) -> list[Delivery]:
        channels = (["log"] if self.file else []) + [f"webhook {i + 1}" for i in range(len(self.webhooks))]
        fresh = [c for c in channels if (said.id, said.revision, c) not in self.told]
        return [await self._through(channel, said) for channel in fresh]

    async def _through(self, channel: str, said: Alert | Command) -> Delivery:
        now = int(time.time() * 1000)
        outcome, answer = "dry-run", ""
        if channel == "log" and self.file:
            outcome, answer = await asyncio.to_thread(_append, self.file, said)
        elif isinstance(said, Command) and said.dry_run:
            outcome = "dry-run"
        elif now - said.known > STALE_MS and not isinstance(said, Command):
            outcome, answer = "refused", "older than ten minutes: recorded, not announced"
        else:
            outcome, answer = await self._post(self.webhooks[int(channel.split()[1]) - 1], said)
        self._remember(said.id, said.revision, channel)
        return Delivery(said.site, said.id, said.revision, channel, now, outcome, answer[:300])  # type: ignore[arg-type]

    async def _post(self, url: str, said: Alert | Command) -> tuple[str, str]:
        body = alertmanager_body(said) if isinstance(said, Alert) else msgspec.to_builtins(said)
        for pause in (0.0, 0.5, 2.0):
            await asyncio.sleep(pause)
            try:
                assert self.session is not None
                async with self.session.post(url, json=body) as response:
                    answer = f"{response.status} {(await response.text())[:200]}"
                    if response.status < 300:
                        return "delivered", answer
                    if response.status < 500 and response.status != 429:
                        return "refused", answer
            except (aiohttp.ClientError, TimeoutError, OSError) as wrong:
                answer = f"{type(wrong).__name__}: {wrong}"
        return "retry", answer

    async def idle(self, desk: Desk) -> None:
        pass

    async def lost(self, partitions: set[tuple[str, int]]) -> None:
        self.read -= {p for _, p in partitions}

    async def stop(self, desk: Desk) -> None:
        if self.session:
            await self.session.close()


def alertmanager_body(alert: Alert) -> dict[str, Any]:
    """An alert as Alertmanager's webhook (version 4) says it."""
    resolved = alert.state in ("cleared", "retracted")
    labels = {"alertname": alert.code, "priority": f"P{alert.priority}", "site": alert.site, "area": alert.area, "point": alert.point, "permit": alert.permit}
    one = {
        "status": "resolved" if resolved else "firing", "labels": labels,
        "annotations": {"zh": alert.text["zh"], "en": alert.text["en"], "advice_zh": alert.advice["zh"], "advice_en": alert.advice["en"],
                        "clause": f"{alert.edition} {alert.clause} ({alert.confidence})", "revision": str(alert.revision)},
        "startsAt": _iso(alert.start), "endsAt": _iso(alert.end) if alert.end else "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": alert.id,
    }  # fmt: skip
    return {"version": "4", "groupKey": alert.incident, "truncatedAlerts": 0, "status": one["status"], "receiver": "permitwatch", "groupLabels": {"incident": alert.incident},
            "commonLabels": labels, "commonAnnotations": one["annotations"], "externalURL": os.environ.get("PERMITWATCH_URL", ""), "alerts": [one]}  # fmt: skip


def _iso(ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms / 1000)) + f".{ms % 1000:03d}Z"


def _append(file: Path, said: Alert | Command) -> tuple[str, str]:
    line = {"at": _iso(int(time.time() * 1000))} | msgspec.to_builtins(said)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as f:
        f.write(json.dumps(line, ensure_ascii=False) + "\n")
    return "delivered", str(file.name)
