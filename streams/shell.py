"""The one door to Faust: a partition's records at a time, raw bytes in, acknowledgements in order and only for what is done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import faust
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.broker import Security, security, why_not
from streams.deaths import ENOUGH, Deaths
from streams.desk import Away, Batch, Desk, FaustDesk, Settings, Step, letter_of, takes_us
from streams.logs import quiet_logging
from streams.progress import Progress
from streams.topics import named

LET_GO = 20.0
"""How long (s) a batch in hand may go on after its partitions were taken away, before the process ends instead."""

driver.RoundRobinPartitionAssignor = RangePartitionAssignor
"""Range keeps same-numbered partitions of all topics on one worker; RoundRobin would split a site."""

log = logging.getLogger("permitwatch")


PATIENT_BYTES, PATIENT_MS = 1 << 20, 1000
"""A step that is in no hurry lets the broker gather a second's worth: fewer wake-ups of everybody."""


class _Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        if self.app.patient:
            consumer._fetch_min_bytes, consumer._fetch_max_wait_ms = PATIENT_BYTES, PATIENT_MS
        return consumer


class _Consumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer, one event for each partition and poll; commits what a step called done, and nothing else."""

    marks: dict[TP, int]

    def _new_consumer_thread(self) -> Any:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

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


def _credentials(known: Security) -> Any:
    if known.named:
        return faust.SASLCredentials(username=known.user, password=known.password, mechanism=known.mechanism, ssl_context=known.context)
    return faust.SSLCredentials(known.context) if known.context else None


def application(step: Step, settings: Settings) -> Any:
    """A Faust app with one agent that hands batches to the step."""
    group = f"{settings.prefix}permitwatch-{step.name}"
    app = faust.App(
        group, broker=f"kafka://{settings.kafka}", broker_credentials=_credentials(security()), store="memory://", topic_disable_leader=True, topic_allow_declare=False, web_enabled=False,
        broker_max_poll_records=5000, stream_wait_empty=False, broker_session_timeout=6.0, broker_heartbeat_interval=1.0, broker_commit_interval=0.5,
        broker_max_poll_interval=7200.0, stream_buffer_maxsize=4, consumer_group_instance_id=f"{group}-{settings.worker}",
        consumer_auto_offset_reset="earliest", consumer_max_fetch_size=8 << 20, producer_linger=0.0, producer_acks=-1,
        producer_compression_type="lz4", producer_max_request_size=16 << 20, stream_publish_on_commit=False, processing_guarantee="at_least_once",
    )  # fmt: skip
    app._new_transport = lambda: _Transport([app.conf.broker[0]], app)
    app.marks, app.turn, app.patient = {}, 0, step.patient
    named_so = f"{settings.prefix}{step.name}-{settings.worker}"
    progress = Progress(settings.folder, named_so, [t.name for t in step.topics])
    _connect(app, step, FaustDesk(app, settings, group, progress), asyncio.Lock(), settings, Deaths(settings.folder, named_so))
    return app


def _connect(app: Any, step: Step, desk: FaustDesk, lock: asyncio.Lock, settings: Settings, deaths: Deaths) -> None:
    source = app.topic(*(named(t.name, settings.prefix) for t in step.topics), schema=_Whole())
    cut, progress = len(settings.prefix), desk.progress

    @app.agent(source, concurrency=1, name=step.name)  # type: ignore[untyped-decorator]
    async def work(stream: Any) -> None:
        async for event in stream.noack().events():
            tp, turn = event.message.tp, app.turn
            async with lock:
                for part in deaths.parts(Batch(tp.topic[cut:], tp.partition, list(event.value))):
                    await _insist(step, part, desk.of(turn), deaths)
                    desk.reached(part.topic, part.partition, part.next)
            event.ack()

    @app.task  # type: ignore[untyped-decorator]
    async def begin() -> None:
        await step.start(desk)
        while not app.should_stop:
            await asyncio.sleep(step.beat)
            now = desk.of(app.turn)  # not after the lock: partitions may go while it is waited for, and what is known of them with them
            async with lock:
                await _between(step, now)
            progress.write()

    @app.on_partitions_revoked.connect  # type: ignore[untyped-decorator]
    async def revoked(app: Any, revoked: set[TP], **_: Any) -> None:
        """A batch in hand is let go before its state is; whatever it calls done from now on is not."""
        app.turn += 1
        app.marks.clear()
        try:
            async with asyncio.timeout(LET_GO), lock:
                await step.lost({(tp.topic[cut:], tp.partition) for tp in revoked})
                progress.lost({(tp.topic[cut:], tp.partition) for tp in revoked})
        except TimeoutError:
            log.error("%s was still busy %.0f s after its partitions were taken away; the process ends so that it can be started anew", step.name, LET_GO)
            os._exit(70)

    @app.on_before_shutdown.connect  # type: ignore[untyped-decorator]
    async def stop(app: Any, **_: Any) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(8), lock:
                await step.stop(desk.of(app.turn))
                await app.consumer.commit()


async def _between(step: Step, desk: FaustDesk) -> None:
    """What a step does between batches; an outage waits, anything else ends the process."""
    try:
        await step.idle(desk)
        desk.progress.waits()
    except Away as away:
        desk.waits(f"{away}")
    except Exception:
        log.exception("%s failed between batches; the process ends so that it can be started anew", step.name)
        os._exit(70)


async def _insist(step: Step, batch: Batch, desk: FaustDesk, deaths: Deaths) -> None:
    """Nothing escapes an agent: a batch is taken, or tried again, or the process ends and another takes it; once its partition is lost it is dropped. A record on which it died three times is set aside."""
    since, pause = 0.0, 0.2
    if times := deaths.deadly(batch):
        if times == ENOUGH:
            await _set_aside(step, batch, desk, times)
            deaths.told(batch)
        deaths.passed(batch)
        return
    while desk.ours:
        try:
            deaths.hold(batch)
            await step.take(batch, desk)
            deaths.let_go()
            deaths.passed(batch)
            desk.progress.waits()
            if since:
                log.warning("%s: goes on after %.0f s", step.name, time.monotonic() - since)
            return
        except Away as away:
            deaths.let_go()
            if not since:
                since = time.monotonic()
                log.warning("%s: waits: %s", step.name, away)
            desk.waits(f"{away}")
            await asyncio.sleep(pause)
            pause = min(2.0, pause * 2)
        except asyncio.CancelledError:
            deaths.let_go()
            raise
        except Exception:
            log.exception("%s cannot go on at %s[%s]@%s; the process ends so that it can be started anew", step.name, batch.topic, batch.partition, batch.next)
            os._exit(70)
    desk.progress.waits()


async def _set_aside(step: Step, batch: Batch, desk: Desk, times: int) -> None:
    """A record that ends the step whenever it is taken becomes a dead letter with its bytes, and the step goes on behind it."""
    record = batch.records[0]
    log.error("%s has died %d times on %s[%s]@%s: the record is set aside in dead.letters, and the step goes on behind it", step.name, times, batch.topic, batch.partition, record.offset)
    await desk.send([letter_of(batch, record, f"{step.name} died {times} times on it", "ends the step")])


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


def wait_for_kafka(settings: Settings) -> None:
    """Returns when the broker lets us in; says once that it waits, and why."""
    said = False
    while not asyncio.run(takes_us(settings.kafka)):
        if not said:
            log.warning("waits for Kafka: %s", why_not(settings.kafka, security()))
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
