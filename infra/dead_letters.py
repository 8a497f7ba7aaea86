"""`permitwatch dead-letters`: lists what was refused and why, shows one with its bytes, sends one again with a new number."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from aiokafka.errors import KafkaError

from infra.kafka.topics import PARTITIONS
from infra.up import secrets_of
from streams.desk import Settings, read_partition
from streams.events import decode_envelope
from streams.outputs import DeadLetter
from streams.topics import DEAD


def dead_letters(kafka: str, prefix: str, show: str | None, resend: str | None) -> int:
    """0 if done, 1 if there is no such letter or it cannot be sent again."""
    try:
        letters = _read(kafka, prefix)
    except (KafkaError, OSError) as wrong:
        print(f"permitwatch dead-letters: no Kafka at {kafka}: {wrong}", file=sys.stderr)
        return 2
    if show or resend:
        letter = letters.get(show or resend or "")
        if letter is None:
            print(f"no dead letter {show or resend}; the list shows them as PARTITION:OFFSET", file=sys.stderr)
            return 1
        return _resend(letter) if resend else _show(letter)
    for place, letter in list(letters.items())[-100:]:
        at = time.strftime("%m-%d %H:%M:%S", time.localtime(letter.at / 1000))
        print(f"{place:>10}  {at}  {letter.topic:18} {letter.source or '?':12} {letter.reason:16} {letter.detail[:110]}")
    counts = Counter(letter.reason for letter in letters.values())
    print(f"{len(letters)} dead letters" + (f": {', '.join(f'{n} {r}' for r, n in counts.most_common())}. `--show PARTITION:OFFSET` prints one whole" if letters else ""))
    return 0


def _read(kafka: str, prefix: str) -> dict[str, DeadLetter]:
    settings, out = Settings(kafka, prefix), {}
    for partition in range(PARTITIONS):
        for record in asyncio.run(read_partition(settings, DEAD, partition)):
            out[f"{partition}:{record.offset}"] = _letter(partition, record)
    return out


def _letter(partition: int, record: Any) -> DeadLetter:
    """A dead letter; what is none, and lies among them, is shown as it is."""
    raw = record.value or b""
    try:
        return msgspec.json.decode(raw, type=DeadLetter)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        return DeadLetter(DEAD.name, partition, record.offset, "no dead letter", f"{wrong}"[:200], record.timestamp, raw)


def _show(letter: DeadLetter) -> int:
    print(f"from {letter.topic}[{letter.partition}]@{letter.offset}, source {letter.source or '?'}\n{letter.reason}: {letter.detail}\n")
    sys.stdout.buffer.write(letter.raw[:20_000] + b"\n")
    return 0


def _resend(letter: DeadLetter) -> int:
    """Through ingest's door, with the token of the source that had sent it, or else of `operator`: it gets a new number there."""
    try:
        event = msgspec.json.decode(decode_envelope(letter.raw).event)
        kind = event.pop("kind")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError, KeyError, TypeError):
        print("its envelope cannot be read, so there is nothing to send again; its source must send it anew", file=sys.stderr)
        return 1
    door = os.environ.get("PERMITWATCH_DOOR", "http://127.0.0.1:8090")
    data = Path(os.environ.get("PERMITWATCH_DATA", "var"))
    secrets = (secrets_of(data) if (data / "tokens").exists() else {}) | os.environ
    token = secrets.get(f"PERMITWATCH_TOKEN_{letter.source.upper()}") or secrets.get("PERMITWATCH_TOKEN_OPERATOR", "")
    request = urllib.request.Request(f"{door}/events/{kind}", json.dumps(event).encode(), {"authorization": f"Bearer {token}", "content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            print(f"sent again: {answer.status}")
            return 0
    except urllib.error.HTTPError as wrong:
        print(f"refused again: {wrong.read().decode()[:500]}", file=sys.stderr)
    except OSError as wrong:
        print(f"no door at {door}: {wrong}. Set PERMITWATCH_DOOR, and PERMITWATCH_TOKEN_{letter.source.upper() or 'OPERATOR'}", file=sys.stderr)
    return 1
