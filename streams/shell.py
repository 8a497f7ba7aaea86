"""The one door to Faust: a partition's records at a time, raw bytes in, acknowledgements in order and only for what is done.

    Away            a dependency is down: the same batch is tried again for as long as it takes
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.topics import Topic, named

driver.RoundRobinPartitionAssignor = RangePartitionAssignor
"""Range keeps same-numbered partitions of all topics on one worker; RoundRobin would split a site."""

log = logging.getLogger("permitwatch")


class Away(Exception):
    """A dependency does not answer."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a step runs: Kafka, a prefix of topic names, which worker it is."""

    kafka: str
    prefix: str = ""
    worker: str = "1"

    @classmethod
    def from_environment(cls) -> Settings:
        env = os.environ
        return cls(env.get("PERMITWATCH_KAFKA", "127.0.0.1:9092"), env.get("PERMITWATCH_PREFIX", ""), env.get("PERMITWATCH_WORKER", "1"))


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

    async def committed(self, topic: str, partition: int) -> int | None:
        """Where this group stands."""


class Step(Protocol):
    """A step of the pipeline: what it reads, and what it does with a batch. Raises Away to be asked again."""

    name: str
    beat: float

    @property
    def topics(self) -> tuple[Topic, ...]: ...

    async def start(self, desk: Desk) -> None: ...
    async def take(self, batch: Batch, desk: Desk) -> None: ...
    async def idle(self, desk: Desk) -> None: ...
    async def lost(self, partitions: set[tuple[str, int]]) -> None: ...
    async def stop(self, desk: Desk) -> None: ...


class _Consumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer, one event for each partition and poll; commits what a step called done, and nothing else."""

    marks: dict[TP, int]

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        if not self.flow_active:
            await self.perform_seek()
            return
        for tp, run in records.items():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                break
            if active is None or tp in active or tp in self._buffered_partitions:
                last = run[-1]
                yield tp, ConsumerMessage(last.topic, last.partition, last.offset, last.timestamp / 1000, last.timestamp_type, [], None, run, None, None,
                                          None, tp, generation_id=generation)  # fmt: skip

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        pass

    def _new_offset(self, tp: TP) -> int | None:
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        marks: dict[TP, int] = self.app.marks
        return marks.get(tp)


class _Transport(driver.Transport):  # type: ignore[misc]
    Consumer = _Consumer


class _Whole(faust.Schema):  # type: ignore[misc]
    """Keys and values stay as they came."""

    def loads_key(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return None

    def loads_value(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.value


class _Desk:
    def __init__(self, app: Any, settings: Settings, group: str) -> None:
        self.app, self.settings, self.group = app, settings, group

    async def send(self, sendings: Iterable[Sending]) -> None:
        waiting = []
        for topic, partition, key, value in sendings:
            name = named(topic.name, self.settings.prefix)
            waiting.append(await self.app.producer.send(name, key.encode(), value, partition, None, None))
        for future in waiting:
            try:
                await future
            except MessageSizeTooLargeError:
                log.error("an output larger than its topic allows was left out; raise max.message.bytes of %s", name)
            except KafkaError as wrong:
                raise Away(f"Kafka: {wrong}") from None

    def done(self, topic: str, partition: int, next: int) -> None:
        tp = TP(named(topic, self.settings.prefix), partition)
        self.app.marks[tp] = next
        _ = self.app.consumer._acked[tp]

    async def read(self, topic: Topic, partition: int) -> list[Any]:
        return await read_partition(self.settings, topic, partition)

    async def committed(self, topic: str, partition: int) -> int | None:
        tp = TP(named(topic, self.settings.prefix), partition)
        return self.app.consumer._committed_offset.get(tp)  # type: ignore[no-any-return]


async def read_partition(settings: Settings, topic: Topic, partition: int) -> list[Any]:
    """All records of a partition as it is now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, enable_auto_commit=False, auto_offset_reset="earliest", max_partition_fetch_bytes=16 << 20)
    await consumer.start()
    try:
        tp = TopicPartition(named(topic.name, settings.prefix), partition)
        consumer.assign([tp])
        end = (await consumer.end_offsets([tp]))[tp]
        out: list[Any] = []
        await consumer.seek_to_beginning(tp)
        while await consumer.position(tp) < end:
            for run in (await consumer.getmany(tp, timeout_ms=1000)).values():
                out += run
        return out
    finally:
        await consumer.stop()


def application(step: Step, settings: Settings) -> Any:
    """A Faust app with one agent that hands batches to the step."""
    group = f"{settings.prefix}permitwatch-{step.name}"
    app = faust.App(
        group, broker=f"kafka://{settings.kafka}", store="memory://", topic_disable_leader=True, topic_allow_declare=False, web_enabled=False,
        broker_max_poll_records=5000, stream_wait_empty=False, broker_session_timeout=6.0, broker_heartbeat_interval=1.0, broker_commit_interval=0.5,
        broker_max_poll_interval=7200.0, stream_buffer_maxsize=4, consumer_group_instance_id=f"{group}-{settings.worker}",
        consumer_auto_offset_reset="earliest", consumer_max_fetch_size=8 << 20, producer_linger=0.0, producer_acks=-1,
        producer_compression_type="lz4", producer_max_request_size=16 << 20, stream_publish_on_commit=False, processing_guarantee="at_least_once",
    )  # fmt: skip
    app._new_transport = lambda: _Transport([app.conf.broker[0]], app)
    app.marks = {}
    desk, lock = _Desk(app, settings, group), asyncio.Lock()
    _connect(app, step, desk, lock, settings)
    return app


def _connect(app: Any, step: Step, desk: _Desk, lock: asyncio.Lock, settings: Settings) -> None:
    source = app.topic(*(named(t.name, settings.prefix) for t in step.topics), schema=_Whole())
    cut = len(settings.prefix)

    @app.agent(source, concurrency=1, name=step.name)  # type: ignore[untyped-decorator]
    async def work(stream: Any) -> None:
        async for event in stream.noack().events():
            tp = event.message.tp
            async with lock:
                await _insist(step, Batch(tp.topic[cut:], tp.partition, list(event.value)), desk)
            event.ack()

    @app.task  # type: ignore[untyped-decorator]
    async def begin() -> None:
        await step.start(desk)
        while not app.should_stop:
            await asyncio.sleep(step.beat)
            async with lock:
                try:
                    await step.idle(desk)
                except Away:
                    continue
                except Exception:
                    log.exception("%s failed between batches; the process ends so that it can be started anew", step.name)
                    os._exit(70)

    @app.on_partitions_revoked.connect  # type: ignore[untyped-decorator]
    async def revoked(app: Any, revoked: set[TP], **_: Any) -> None:
        for tp in revoked:
            app.marks.pop(tp, None)
        await step.lost({(tp.topic[cut:], tp.partition) for tp in revoked})

    @app.on_before_shutdown.connect  # type: ignore[untyped-decorator]
    async def stop(app: Any, **_: Any) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(8), lock:
                await step.stop(desk)
                await app.consumer.commit()


async def _insist(step: Step, batch: Batch, desk: Desk) -> None:
    """Nothing escapes an agent: a batch is taken, or tried again, or the process ends and another takes it."""
    since, pause = 0.0, 0.2
    while True:
        try:
            await step.take(batch, desk)
            if since:
                log.warning("%s: goes on after %.0f s", step.name, time.monotonic() - since)
            return
        except Away as away:
            if not since:
                since = time.monotonic()
                log.warning("%s: waits: %s", step.name, away)
            await asyncio.sleep(pause)
            pause = min(5.0, pause * 2)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("%s cannot go on at %s[%s]@%s; the process ends so that it can be started anew", step.name, batch.topic, batch.partition, batch.next)
            os._exit(70)


def watch_coordinator(app: Any) -> None:
    """A thread that frees aiokafka's coordinator where Faust leaves it parked for ever (notes/streams.md 1.5), or ends the process."""

    def look() -> None:
        while True:
            time.sleep(1.0)
            thread: Any = getattr(getattr(app, "_consumer", None), "_thread", None)
            coordinator = getattr(getattr(thread, "_consumer", None), "_coordinator", None)
            if coordinator is None or not hasattr(coordinator, "_error_consumed_fut"):
                continue
            if coordinator._coordination_task.done():
                os._exit(70)
            if coordinator._error_consumed_fut is not None:
                with contextlib.suppress(Exception):
                    thread.thread_loop.call_soon_threadsafe(_free, coordinator)

    threading.Thread(target=look, name="coordinator-watch", daemon=True).start()


def _free(coordinator: Any) -> None:
    with contextlib.suppress(Exception):
        coordinator.check_errors()


class Sparing(logging.Filter):
    """Lets a library's complaint through once in ten minutes: an outage is one line, not thousands."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("permitwatch"):
            return True
        key, now = f"{record.name}{record.levelno}{str(record.msg)[:60]}", time.monotonic()
        if now - self.last.get(key, -1e9) < 600:
            return False
        self.last[key] = now
        return True


def quiet_logging() -> None:
    """Normal operation logs nothing."""
    handler = logging.StreamHandler()
    handler.addFilter(Sparing())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("aiokafka", "faust", "mode", "kafka"):
        logging.getLogger(name).setLevel(logging.ERROR)


def wait_for_kafka(settings: Settings) -> None:
    """Returns when the broker takes connections; says once that it waits."""
    host, _, port = settings.kafka.split(",")[0].rpartition(":")
    said = False
    while True:
        try:
            socket.create_connection((host, int(port)), 2).close()
            return
        except OSError as wrong:
            if not said:
                log.warning("waits for Kafka at %s: %s", settings.kafka, wrong)
            said = True
            time.sleep(0.3)


def run(step: Step) -> None:
    """Runs a step until it is stopped."""
    os.environ.setdefault("FAUST_LOOP", "uvloop")
    import uvloop

    uvloop.install()
    quiet_logging()
    settings = Settings.from_environment()
    wait_for_kafka(settings)
    app = application(step, settings)
    watch_coordinator(app)
    worker = faust.Worker(app, loglevel="ERROR", redirect_stdouts=False, override_logging=False, quiet=True, logging_config={"version": 1, "disable_existing_loggers": False})
    worker.execute_from_commandline()
