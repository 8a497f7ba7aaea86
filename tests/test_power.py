"""A power cut takes the end of the broker's log: what was acknowledged is not lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition

from infra.kafka.node import Node
from infra.kafka.topics import create_topics
from ingest.outbox import Outbox
from streams import events as e
from streams.events import decode_envelope

JARS = Path(__file__).parent.parent / "var" / "jars"

def _in(address: str, topic: str) -> list[int]:
    consumer = KafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest", consumer_timeout_ms=2000)
    consumer.assign([TopicPartition(topic, part) for part in consumer.partitions_for_topic(topic) or ()])
    numbers = [decode_envelope(record.value).seq for record in consumer]
    consumer.close()
    return numbers


def _cut(home: Path, topic: str, share: float) -> None:
    """Takes the end of a topic's log, as a power cut takes what was not on the disk."""
    segment = max(home.glob(f"data/{topic}-*/*.log"), key=lambda file: file.stat().st_size)
    with segment.open("r+b") as file:
        file.truncate(int(segment.stat().st_size * share))


@pytest.mark.broker
@pytest.mark.parametrize("meanwhile", ["ingest goes on", "ingest is started anew"])
def test_what_a_power_cut_takes_from_the_brokers_disk_is_sent_again(tmp_path, meanwhile, caplog):
    node = Node(tmp_path / "kafka", JARS, 6700)
    node.start()
    try:
        create_topics(node.address)
        box = Outbox(tmp_path / "outbox.db", node.address)
        given_ = _put(box, 20)
        _wait(lambda: box.pending == 0)
        assert sorted(_in(node.address, "badge.events")) == given_
        if meanwhile == "ingest is started anew":
            box.close()
        node.kill()
        _cut(tmp_path / "kafka", "badge.events", 0.6)
        node.start()
        assert len(set(_in(node.address, "badge.events"))) < 20
        if meanwhile == "ingest is started anew":
            box = Outbox(tmp_path / "outbox.db", node.address)
        given_ += _put(box, 1)
        _wait(lambda: box.pending == 0)
        _wait(lambda: set(_in(node.address, "badge.events")) == set(given_))
        assert sum("lost the end" in r.message for r in caplog.records) == 1
        box.close()
    finally:
        node.kill()


def _put(box: Outbox, count: int) -> list[int]:
    out = []
    for n in range(count):
        box.put("story", "badges", e.TagSaid(at=int(time.time() * 1000), worker=f"W{n}", what="sos"))
        out.append(box.numbers["badges", "badge.events", "live"])
        time.sleep(0.02)
    return out


def _wait(question: Callable[[], bool], patience: float = 60) -> None:
    deadline = time.monotonic() + patience
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.2)
