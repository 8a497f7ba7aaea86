"""The live source: alerts and verdicts straight from Kafka, the pulse of the kernel, and the slow figures asked of ClickHouse once per process."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import os
from typing import Any
from zoneinfo import available_timezones

import httpx
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from dashboards.board import Board, alert_row, job_row
from dashboards.hub import Hub
from sql.store import Store, StoreError
from streams import wall
from streams.broker import security, why_not
from streams.events import PlantSaid, decode_envelope, decode_event
from streams.outputs import Alert, Minute, Verdict
from streams.plant import Plant
from streams.topics import ALERTS, MINUTES, SITE, VERDICTS, named

log = logging.getLogger("permitwatch")
SAID: dict[str, type[Alert | Verdict | Minute]] = {ALERTS.name: Alert, VERDICTS.name: Verdict, MINUTES.name: Minute}
LOOK_BACK = 12 * 3600 * 1000


class Live:
    """Everything that changes on a screen; one per process."""

    def __init__(self, kafka: str, sql: str, prefix: str) -> None:
        self.kafka, self.prefix = kafka, prefix
        self.hub = Hub(alerts="log", jobs="state", pulse="state", heat="state")
        self.boards: dict[str, Board] = {}
        self.plant: Plant | None = None
        self.store = Store(sql)
        self.heat: list[dict[str, Any]] = []
        self.deciders = [f"http://{d}" for d in os.environ.get("PERMITWATCH_DECIDE", "127.0.0.1:8091").split(",")]
        self.ready = asyncio.Event()
        self.dirty = False

    @property
    def board(self) -> Board:
        """What stands at the plant that these screens show."""
        return self.boards.setdefault(self.plant.site if self.plant else "", Board())

    async def run(self) -> None:
        """Runs until cancelled."""
        await asyncio.gather(self._follow(), self._pulse(), self._publish_jobs(), self._ask_heat())

    # ---- Kafka --------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Reads for ever; a broker that is away is waited for."""
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        while True:
            try:
                await self._session()
            except (KafkaError, OSError) as wrong:
                log.warning("%s (%s); tried again", await asyncio.to_thread(why_not, self.kafka, security()), wrong)
            await asyncio.sleep(2)

    async def _session(self) -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, **security().client(), enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=200, metadata_max_age_ms=30_000)
        await consumer.start()
        try:
            names = [named(t.name, self.prefix) for t in (ALERTS, VERDICTS, MINUTES, SITE)]
            parts = [TopicPartition(n, p) for n in names for p in sorted(await self._partitions(consumer, n))]
            consumer.assign(parts)
            await self._rewind(consumer, parts)
            ends = await consumer.end_offsets(parts)
            while True:
                for tp, run in (await consumer.getmany(timeout_ms=500)).items():
                    for record in run:
                        self._take(tp.topic[len(self.prefix) :], record.value)
                    ends.pop(tp, None) if ends.get(tp, 0) <= run[-1].offset + 1 else None
                if not self.ready.is_set() and not any([e > await consumer.position(tp) for tp, e in ends.items()]):
                    self.ready.set()
        finally:
            await consumer.stop()

    async def _partitions(self, consumer: Any, name: str) -> set[int]:
        for _ in range(100):
            found = consumer.partitions_for_topic(name) or await self._metadata(consumer, name)
            if found:
                return set(found)
            await asyncio.sleep(0.3)
        raise KafkaError(f"topic {name} does not exist; create it with `permitwatch topics`")

    async def _metadata(self, consumer: Any, name: str) -> set[int]:
        await consumer._client.add_topic(name)
        await consumer._client.force_metadata_update()
        return set(consumer.partitions_for_topic(name) or ())

    async def _rewind(self, consumer: Any, parts: list[Any]) -> None:
        """Back to half a day ago for outputs, to the beginning for the plant's description."""
        since = wall.now() - LOOK_BACK
        found = await consumer.offsets_for_times({tp: since for tp in parts if not tp.topic.endswith(SITE.name)})
        for tp in parts:
            at = found.get(tp)
            if tp.topic.endswith(SITE.name):
                await consumer.seek_to_beginning(tp)
            elif at is not None:
                consumer.seek(tp, at.offset)
            else:
                await consumer.seek_to_end(tp)

    def _take(self, topic: str, raw: bytes | None) -> None:
        if raw is None:
            return
        try:
            if topic == SITE.name:
                self._describe(raw)
                return
            said: Alert | Verdict | Minute = msgspec.json.decode(raw, type=SAID[topic])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return  # archive and notify say that it cannot be read
        if not self.boards.setdefault(said.site, Board()).take(said) or (self.plant and said.site != self.plant.site):
            return
        self.dirty = True
        if isinstance(said, Alert):
            self.hub.publish("alerts", alert_row(said))

    def _describe(self, raw: bytes) -> None:
        if b'"plant"' not in raw[:4000]:
            return
        envelope = decode_envelope(raw)
        event = decode_event(envelope.event)
        if isinstance(event, PlantSaid) and not envelope.virtual and event.plant.timezone in available_timezones():
            self.plant, self.dirty = event.plant, True

    # ---- the rest -----------------------------------------------------------------------------------------------

    async def _publish_jobs(self) -> None:
        """The jobs' state at most four times a second, and only when it changed."""
        while True:
            await asyncio.sleep(0.25)
            if self.dirty:
                self.dirty = False
                self.board.forget(wall.now())
                self.hub.publish("jobs", {"jobs": [job_row(v) for v in self.board.jobs()], **self.board.summary()})

    async def _pulse(self) -> None:
        """How far the kernel is behind, once a second; silence here is what makes a screen go stale."""
        async with httpx.AsyncClient(timeout=1.5, trust_env=False) as client:
            while True:
                sites: dict[str, int] = {}
                for address in self.deciders:
                    with contextlib.suppress(httpx.HTTPError, ValueError):
                        sites |= (await client.get(f"{address}/healthz")).json()["sites"]
                if sites:
                    site = self.plant.site if self.plant else ""
                    self.hub.publish("pulse", {"behind": sites.get(site, max(sites.values())), "now": wall.now()})
                await asyncio.sleep(1)

    async def _ask_heat(self) -> None:
        while True:
            if self.plant is not None:
                with contextlib.suppress(StoreError):
                    rows = await self.ask("risk_by_area_and_hour", site=self.plant.site)
                    fresh = [{"area": r["area"], "hour": _ms(r["hour"]), "risk": r["risk"], "jobs": r["jobs"]} for r in rows]
                    if fresh != self.heat:
                        self.heat = fresh
                        self.hub.publish("heat", fresh)
            await asyncio.sleep(5)

    async def ask(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        """A named question, off the event loop."""
        return await asyncio.to_thread(self.store.ask, name, **parameters)


def _ms(at: dt.datetime) -> int:
    """ClickHouse's times come without a zone and are UTC."""
    return int(at.replace(tzinfo=dt.UTC).timestamp() * 1000)
