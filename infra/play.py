"""`permitwatch play`: judges stories, on the pure kernel or through the running Kafka and Faust."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from infra.plant.story import Story, StoryError, read_story
from infra.plant.tell import END, Telling, judge, tell
from infra.plant.transcript import transcript
from streams.broker import security
from streams.events import Envelope, Requested, Tick, encode
from streams.intake import Refusal
from streams.outputs import Alert, Command, DeadLetter, Output, Verdict
from streams.times import SECOND
from streams.topics import ALERTS, COMMANDS, DEAD, RAW, SITE, VERDICTS, named

PATIENCE = 90.0
KNOWN = 15.0
"""Seconds for the topics to be known."""
IDLE = 600 * SECOND
"""Of the story's time: a topic that said nothing for so long says how far it has come."""


def play(paths: list[Path], through_kafka: bool, kafka: str, prefix: str, verbose: bool, write: Path | None = None) -> int:
    """Judges each story; 0 if all are as expected, 1 if not, 2 if a file is wrong. `write`: all that was said, into this file."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    wrong, said = 0, list[str]()
    for path in paths:
        began = time.perf_counter()
        try:
            story = read_story(path, f"{path.stem}-{os.getpid()}-{time.time_ns() % 10**6}") if through_kafka else read_story(path)
            telling = asyncio.run(tell_through(story, kafka, prefix)) if through_kafka else tell(story)
        except StoryError as error:
            print(f"✗ {error}", file=sys.stderr)
            return 2
        except (KafkaError, OSError, TimeoutError) as error:
            print(f"✗ {path.name}: {error}. Is the system up? Try `permitwatch check`", file=sys.stderr)
            return 2
        faults = judge(story, telling)
        wrong += bool(faults)
        print(f"{'✗' if faults else '✓'} {story.told.story:6} {story.told.en}  ({len(story.messages)} messages, {(time.perf_counter() - began) * 1000:.0f} ms)")
        for fault in faults:
            print(f"    {fault}")
        lines = list(transcript(story, telling))
        said += lines
        if verbose or faults:
            print(*lines[1:], sep="\n")
    if write:
        write.write_text("\n".join(said) + "\n", encoding="utf-8")
    return 1 if wrong else 0


async def tell_through(story: Story, kafka: str, prefix: str = "", patience: float = PATIENCE) -> Telling:
    """Plays a story into the raw topics under its own clock and collects what the running system says."""
    site = msgspec.json.decode(story.messages[0].raw, type=Envelope).site
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, **security().client(), enable_auto_commit=False)
    await consumer.start()
    try:
        names = [named(t.name, prefix) for t in (ALERTS, VERDICTS, COMMANDS, DEAD)]
        parts = await _partitions(consumer, names)
        consumer.assign(parts)
        await consumer.seek_to_end(*parts)
        for tp in parts:
            await consumer.position(tp)
        await _send(story, site, kafka, prefix)
        telling = await _collect(consumer, site, len(prefix), patience)
        telling.outputs = [said for said in telling.outputs if said.known <= story.end]  # the seconds that end a story through Kafka are none of its own
        return telling
    finally:
        with contextlib.suppress(asyncio.CancelledError, KafkaError):  # aiokafka cancels itself where the broker is away
            await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, names: list[str]) -> list[TopicPartition]:
    """All partitions of the topics. A topic that the client does not know yet would never be heard: it is asked for again. Raises TimeoutError."""
    await asyncio.gather(*(consumer._client.add_topic(n) for n in names))
    deadline = time.monotonic() + KNOWN
    while not all(consumer.partitions_for_topic(n) for n in names):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Kafka does not know {', '.join(n for n in names if not consumer.partitions_for_topic(n))}; run `permitwatch topics`")
        await consumer._client.force_metadata_update()
        await asyncio.sleep(0.1)
    return [TopicPartition(n, p) for n in names for p in sorted(consumer.partitions_for_topic(n) or ())]


async def _send(story: Story, site: str, kafka: str, prefix: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, **security().client(), enable_idempotence=True, linger_ms=20, max_batch_size=1 << 18, compression_type="lz4", max_request_size=16 << 20)
    await producer.start()
    try:
        sent = [await producer.send(named(topic, prefix), raw, key=site.encode()) for topic, raw in messages(story, site)]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


def messages(story: Story, site: str) -> list[tuple[str, bytes]]:
    """The story's messages with its clock: a tick in site.events for every second in which something comes or is awaited, and a mark in every other topic that has been idle for long."""
    out: list[tuple[str, bytes]] = []
    others = [t.name for t in RAW if t is not SITE]
    reached = dict.fromkeys(others, story.start - SECOND)
    out += [(name, _tick(site, story.start - SECOND)) for name in (*others, SITE.name)]
    seconds = deque(story.busy())
    for message in story.messages:
        if message.arrives > story.end:  # as in memory: what comes after the end is not told, and a topic that had come further than the end would let go before it
            continue
        while seconds and seconds[0][0] < message.arrives:
            out.append((SITE.name, _tick(site, *seconds.popleft())))
        tick = -(-message.arrives // SECOND) * SECOND
        reached[message.topic] = tick
        idle = [name for name, at in reached.items() if at < tick - IDLE and name != SITE.name]
        reached |= dict.fromkeys(idle, tick - SECOND)
        out += [(name, _tick(site, tick - SECOND)) for name in idle]
        out.append((message.topic, message.raw))
    out += [(SITE.name, _tick(site, *second)) for second in seconds]
    tick = story.end // SECOND * SECOND + SECOND
    end = Requested(at=story.end, u=0, permit=END, type="30", point="?", valid_from=story.end, valid_to=story.end)
    out.append(("permit.events", _tick(site, tick - SECOND)))
    out.append(("permit.events", encode(Envelope(site, END, 1, story.end, msgspec.Raw(encode(end)), virtual=True))))
    last = tick + SECOND
    return out + [(name, _tick(site, last, last=True)) for name in (*others, SITE.name)]


def _tick(site: str, at: int, idle: int = 0, last: bool = False) -> bytes:
    return encode(Envelope(site, "player", at // SECOND, at, msgspec.Raw(encode(Tick(at=at, idle=idle, virtual=True, last=last))), virtual=True))


async def _collect(consumer: AIOKafkaConsumer, site: str, cut: int, patience: float) -> Telling:
    telling, deadline = Telling(), time.monotonic() + patience
    kinds: dict[str, type[Output]] = {ALERTS.name: Alert, VERDICTS.name: Verdict, COMMANDS.name: Command}
    while time.monotonic() < deadline:
        done = False
        for tp, run in (await _poll(consumer, 300)).items():
            for record in run:
                if record.key != site.encode():
                    continue
                topic = tp.topic[cut:]
                if topic == DEAD.name:
                    letter = msgspec.json.decode(record.value, type=DeadLetter)
                    telling.refusals.append(Refusal(letter.reason, letter.detail, letter.site, letter.source))
                    continue
                said = msgspec.json.decode(record.value, type=kinds[topic])
                done = done or (isinstance(said, Verdict) and said.permit == END)
                telling.outputs.append(said)
        if done:
            await _drain(consumer, site, cut, telling, kinds)
            return telling
    raise TimeoutError(f"the running system did not tell the end of the story at {site} within {patience:.0f} s")


async def _poll(consumer: AIOKafkaConsumer, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
    """What came; nothing while the broker is away."""
    try:
        return dict(await consumer.getmany(timeout_ms=timeout_ms))
    except KafkaError:
        await asyncio.sleep(0.3)
        return {}


async def _drain(consumer: AIOKafkaConsumer, site: str, cut: int, telling: Telling, kinds: dict[str, type[Output]]) -> None:
    """Alerts and verdicts are separate topics: what was said before the end may still be on its way, so all is read that stands in them now, and what comes within half a second."""
    ends, deadline, quiet = await consumer.end_offsets(consumer.assignment()), time.monotonic() + 10, 0
    while quiet < 3 and time.monotonic() < deadline:
        for tp, run in (await _poll(consumer, 150)).items():
            telling.outputs += [msgspec.json.decode(r.value, type=kinds[tp.topic[cut:]]) for r in run if r.key == site.encode() and tp.topic[cut:] in kinds]
        quiet += all([await consumer.position(tp) >= end for tp, end in ends.items()])
