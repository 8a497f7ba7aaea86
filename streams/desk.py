"""A step's desk: what a step of the pipeline is given, what it may send, and what it may call done.

    Away            a dependency is down: the same batch is tried again for as long as it takes
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from faust.types import TP

from streams import wall
from streams.broker import security
from streams.outputs import DeadLetter
from streams.progress import Progress
from streams.topics import DEAD, Topic, named

log = logging.getLogger("permitwatch")
SLOW = 2.0
"""Seconds for an answer of another part after which a step says that it waits for it, and between two times that it says so."""
MOST_OF_IT = 4 << 20
"""So many bytes fit into a dead letter."""


class Away(Exception):
    """A dependency does not answer."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a step runs: Kafka, a prefix of topic names, which worker it is."""

    kafka: str
    prefix: str = ""
    worker: str = "1"
    folder: Path = Path("var/steps")
    """Where a step keeps what it had in hand."""

    @classmethod
    def from_environment(cls) -> Settings:
        env = os.environ
        return cls(env.get("PERMITWATCH_KAFKA", "127.0.0.1:9092"), env.get("PERMITWATCH_PREFIX", ""), env.get("PERMITWATCH_WORKER", "1"), Path(env.get("PERMITWATCH_DATA", "var")) / "steps")


@dataclass(frozen=True, slots=True)
class Batch:
    """All that is known of a partition up to now. `records` have .offset, .key, .value (bytes) and .timestamp (ms)."""

    topic: str
    partition: int
    records: list[Any]

    @property
    def next(self) -> int:
        return int(self.records[-1].offset) + 1


Sending = tuple[Topic, int, str, bytes]
"""(topic, partition, key, value)"""


class Desk(Protocol):
    """What a step may do beside thinking."""

    async def send(self, sendings: Iterable[Sending]) -> None:
        """Delivers all of them; returns when the broker has them."""

    def done(self, topic: str, partition: int, next: int) -> None:
        """Everything below `next` is finished with and may be committed."""

    async def read(self, topic: Topic, partition: int) -> list[Any]:
        """A whole partition, from its beginning to its end as it is now."""

    async def tail(self, topic: Topic, partition: int, most: int) -> list[Any]:
        """The last records of a partition as it is now."""

    async def committed(self, topic: str, partition: int) -> int | None:
        """Where this group stands."""

    def reached(self, topic: str, partition: int, next: int) -> None:
        """In the middle of a long batch: how far it is, for whoever watches whether the step moves."""

    def asking(self, whom: str) -> AbstractContextManager[None]:
        """While another part is asked: that it is waited for is said, as long as this process lives."""


class Step(Protocol):
    """A step of the pipeline: what it reads, and what it does with a batch. Raises Away to be asked again."""

    name: str
    beat: float
    patient: bool
    """May the broker gather messages for a second before it hands them over?"""

    @property
    def topics(self) -> tuple[Topic, ...]: ...

    async def start(self, desk: Desk) -> None: ...
    async def take(self, batch: Batch, desk: Desk) -> None: ...
    async def idle(self, desk: Desk) -> None: ...
    async def lost(self, partitions: set[tuple[str, int]]) -> None: ...
    async def stop(self, desk: Desk) -> None: ...


class FaustDesk:
    """The desk of one turn: from an assignment of partitions to their revocation. What a past turn calls done is not committed."""

    def __init__(self, app: Any, settings: Settings, group: str, progress: Progress, turn: int = 0) -> None:
        self.app, self.settings, self.group, self.progress, self.turn = app, settings, group, progress, turn

    def of(self, turn: int) -> FaustDesk:
        """The same desk in a given turn."""
        return self if turn == self.turn else FaustDesk(self.app, self.settings, self.group, self.progress, turn)

    @property
    def ours(self) -> bool:
        """Are the partitions of this turn still ours?"""
        return bool(self.turn == self.app.turn)

    async def send(self, sendings: Iterable[Sending]) -> None:
        """Goes on until the broker has all of them: what led to them is thought already and is not thought again. Away only once the turn is over."""
        left, since = list(sendings), 0.0
        while left and self.ours:
            try:
                with self.asking("Kafka"):
                    await self._deliver(left)
            except KafkaError as wrong:
                self.waits(f"Kafka does not take its outputs: {wrong}")
                if not since:
                    since = time.monotonic()
                    log.warning("%s: Kafka does not take its outputs (%s); they are kept and sent again", self.group, wrong)
                await asyncio.sleep(1)
                continue
            if since:
                log.warning("%s: Kafka has its outputs again after %.0f s", self.group, time.monotonic() - since)
            return
        if not self.ours:
            raise Away("the partitions went to another worker")

    def waits(self, why: str) -> None:
        """The step waits for another part, and says so as long as it does."""
        self.progress.waits(why)
        self.progress.write(again=True)

    @contextmanager
    def asking(self, whom: str) -> Iterator[None]:
        saying = asyncio.ensure_future(self._say(f"{whom} has not answered yet"))
        try:
            yield
        finally:
            saying.cancel()
            self.progress.waits()

    async def _say(self, why: str) -> None:
        while True:
            await asyncio.sleep(SLOW)
            self.waits(why)

    def reached(self, topic: str, partition: int, next: int) -> None:
        self.progress.took(topic, partition, next)
        self.progress.write()

    async def _deliver(self, sendings: list[Sending]) -> None:
        letters = [_too_large(*said) for said in await self._refused(sendings) if said[0] is not DEAD]
        await self._refused(letters)

    async def _refused(self, sendings: list[Sending]) -> list[Sending]:
        """Sends; returns what the broker finds too large for its topic, and says so."""
        waiting, refused = [], []
        for sending in sendings:
            topic, partition, key, value = sending
            waiting.append((sending, await self.app.producer.send(named(topic.name, self.settings.prefix), key.encode(), value, partition, None, None)))
        for sending, future in waiting:
            try:
                await future
            except MessageSizeTooLargeError:
                log.error("%s: an output of %d bytes is larger than %s takes; it is set aside in dead.letters. Raise max.message.bytes of that topic", self.group, len(sending[3]), sending[0].name)
                refused.append(sending)
        return refused

    def done(self, topic: str, partition: int, next: int) -> None:
        if not self.ours:
            return
        tp = TP(named(topic, self.settings.prefix), partition)
        self.app.marks[tp] = next
        _ = self.app.consumer._acked[tp]

    async def read(self, topic: Topic, partition: int) -> list[Any]:
        return await read_partition(self.settings, topic, partition)

    async def tail(self, topic: Topic, partition: int, most: int) -> list[Any]:
        return [record async for run in runs_of(self.settings, topic, partition, most) for record in run]

    async def committed(self, topic: str, partition: int) -> int | None:
        tp = TP(named(topic, self.settings.prefix), partition)
        return self.app.consumer._committed_offset.get(tp)  # type: ignore[no-any-return]


def _letter(topic: str, partition: int, offset: int, reason: str, why: str, raw: bytes, site: str) -> Sending:
    return DEAD, partition, site or "?", msgspec.json.encode(DeadLetter(topic, partition, offset, reason, why[:2000], wall.now(), raw[:MOST_OF_IT], site))


def letter_of(batch: Batch, record: Any, why: str, reason: str = "cannot be read") -> Sending:
    """The dead letter of a record that a step cannot take, with its bytes."""
    return _letter(batch.topic, batch.partition, int(record.offset), reason, why, record.value or b"", (record.key or b"").decode("utf-8", "replace"))


def _too_large(topic: Topic, partition: int, key: str, value: bytes) -> Sending:
    """A dead letter about an output that its topic does not take, with as many of its bytes as fit."""
    return _letter(topic.name, partition, -1, "refused by the broker", f"an output of {len(value):,} bytes is larger than the topic takes", value, key)


async def read_partition(settings: Settings, topic: Topic, partition: int) -> list[Any]:
    """All records of a partition as it is now."""
    return [record async for run in runs_of(settings, topic, partition) for record in run]


async def runs_of(settings: Settings, topic: Topic, partition: int, most: int = 0) -> AsyncGenerator[list[Any]]:
    """The records of a partition as it is now, some at a time; `most`: only the last so many."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, **security().client(), enable_auto_commit=False, auto_offset_reset="earliest", max_partition_fetch_bytes=16 << 20)
    await consumer.start()
    try:
        tp = TopicPartition(named(topic.name, settings.prefix), partition)
        consumer.assign([tp])
        end = (await consumer.end_offsets([tp]))[tp]
        await consumer.seek_to_beginning(tp)
        if most and (first := await consumer.position(tp)) < end - most:
            consumer.seek(tp, max(first, end - most))
        while await consumer.position(tp) < end:
            for run in (await consumer.getmany(tp, timeout_ms=1000)).values():
                yield run
    finally:
        await consumer.stop()

async def takes_us(address: str) -> bool:
    """Does a Kafka answer, and let us in?"""
    try:
        client = AIOKafkaClient(bootstrap_servers=address, request_timeout_ms=4000, **security().client())
    except ValueError:  # no address
        return False
    try:
        await client.bootstrap()
    except (KafkaError, OSError, ValueError):
        return False
    finally:
        await client.close()
    return True
