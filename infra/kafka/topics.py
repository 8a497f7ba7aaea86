"""Creates the topics on any Kafka, and says which settings differ."""

from __future__ import annotations

import time

from kafka.admin import ConfigResource, KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from streams.broker import security, why_not
from streams.topics import ALL, Topic, named

PARTITIONS = 4
FLUSH = {"each": {"flush.messages": "1"}, "second": {"flush.ms": "1000"}, "": {}}
"""On one node nobody else has what a power cut takes: what people's lives hang on is on the disk before it is acknowledged. Where there are replicas they are the copy."""


class NoKafka(RuntimeError):
    """It cannot be used: says why, and what to set."""


def create_topics(bootstrap: str, prefix: str = "", partitions: int = PARTITIONS, replication: int = 1, patience: float = 30) -> list[str]:
    """Creates what is missing; returns the names that were new. Raises NoKafka."""
    admin = _admin(bootstrap, patience)
    try:
        there = set(admin.list_topics())
        missing = [t for t in ALL if named(t.name, prefix) not in there]
        if missing:
            admin.create_topics([_new(t, prefix, partitions, replication) for t in missing])
        if replication == 1 and (old := [t for t in ALL if t not in missing and t.flush]):
            admin.alter_configs([ConfigResource("TOPIC", named(t.name, prefix), FLUSH[t.flush]) for t in old], raise_on_unknown=False)
        return [t.name for t in missing]
    except TopicAlreadyExistsError:
        return []
    finally:
        admin.close()


def _admin(bootstrap: str, patience: float) -> KafkaAdminClient:
    deadline = time.monotonic() + patience
    while True:
        try:
            return KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=3000, **security().client())
        except (KafkaError, OSError, ValueError):
            if time.monotonic() > deadline:
                raise NoKafka(why_not(bootstrap, security())) from None
            time.sleep(0.3)


def _new(topic: Topic, prefix: str, partitions: int, replication: int) -> NewTopic:
    settings = {"max.message.bytes": str(topic.largest), "segment.bytes": str(16 << 20 if topic.compacted else 128 << 20)}
    if replication == 1:
        settings |= FLUSH[topic.flush]
    if topic.compacted:
        settings |= {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.2", "segment.ms": "600000", "max.compaction.lag.ms": "3600000"}
    else:
        settings |= {"retention.ms": str(topic.keep_ms), "retention.bytes": str(topic.keep_bytes)}
    return NewTopic(named(topic.name, prefix), partitions, replication, topic_configs=settings)
