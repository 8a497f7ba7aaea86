"""`permitwatch replay`: judges a span of the timeline again and holds what comes against what was said then, byte for byte."""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from aiokafka.errors import KafkaError

from infra.kafka.topics import PARTITIONS
from infra.what_if import STREAMED, compare, permits_alone, report
from sql.store import Store, StoreError
from streams.desk import Settings, runs_of
from streams.events import decode_entry, encode
from streams.kernel import SILENCE, Kernel
from streams.outputs import Alert, Code, Command, Minute, Output, Verdict
from streams.packs import PackError, find_pack
from streams.rules import RULES
from streams.topics import ALERTS, CODES, COMMANDS, MINUTES, TIMELINE, VERDICTS, Topic

Said = dict[tuple[str, str, int], bytes]
"""(topic, id or permit, revision) → the bytes."""


def replay(source: str, kafka: str, sql: str, since: str | None, until: str | None, prefix: str, out: Path | None, pack: str = "", permits_only: bool = False) -> int:
    """Folds from the beginning of what is kept, muted up to `since`; 0 if all that was said is said again, byte for byte, and nothing else."""
    span = (_ms(since) if since else 0, _ms(until) if until else 1 << 62)
    try:
        reader = from_clickhouse(sql) if source == "clickhouse" else from_kafka(kafka, prefix)
        if pack:
            return _what_if(reader(TIMELINE, STREAMED) if permits_only else reader(TIMELINE), pack, span, permits_only)
        began = time.perf_counter()
        judged, entries, seconds = again(reader(TIMELINE), span)
        took = time.perf_counter() - began
        then = {k: v for topic in (ALERTS, VERDICTS, COMMANDS, CODES, MINUTES) for k, v in recorded(topic, reader(topic)).items() if span[0] <= known(v) < span[1]}
    except (KafkaError, StoreError, OSError, PackError) as wrong:
        print(f"permitwatch replay: {wrong}", file=sys.stderr)
        return 2
    if out:
        out.write_bytes(b"".join(v + b"\n" for v in judged.values()))
    different = [k for k in judged.keys() & then.keys() if judged[k] != then[k]]
    missing, new = then.keys() - judged.keys(), judged.keys() - then.keys()
    print(f"{entries} entries, {seconds / 3600:.2f} h of plant time judged again in {took:.2f} s: {seconds / max(took, 1e-9):,.0f} × real time")
    print(f"{len(then)} outputs then, {len(judged)} now: {len(judged.keys() & then.keys()) - len(different)} the same byte for byte, {len(different)} different, {len(missing)} missing, {len(new)} new")
    for name, keys in (("different", different), ("missing", sorted(missing)), ("new", sorted(new))):
        for key in keys[:5]:
            print(f"  {name}: {' '.join(map(str, key))}")
    return 0 if not (different or missing or new) else 1


def _what_if(bodies: Iterator[bytes], name: str, span: tuple[int, int], permits_only: bool) -> int:
    """What another pack would have said; 0 if nothing differs, 1 if something does."""
    pack = find_pack(name, Path(), dt.date.today())
    began = time.perf_counter()
    was, would, n, hours = compare(bodies, pack, span, permits_only)
    print(f"{n} entries, {hours:.2f} h of plant time, judged twice in {time.perf_counter() - began:.1f} s")
    if permits_only:
        print("only permits, people and the site; left out, since they speak of streams that were not told: verdicts, " + ", ".join(sorted({RULES[i].code for i in SILENCE if i >= 0})))
    print("\n".join(report(was, would, pack, hours)))
    return 0 if was.standing().keys() == would.standing().keys() else 1


def again(bodies: Iterator[bytes], span: tuple[int, int]) -> tuple[Said, int, float]:
    """(what is said within the span, how many entries, seconds of plant time)."""
    kernels: dict[str, Kernel] = {}
    first: dict[str, int] = {}
    said: Said = {}
    n = 0
    for body in bodies:
        entry = decode_entry(body)
        n += 1
        kernel = kernels.get(entry.site)
        if kernel is None:
            kernel = kernels[entry.site] = Kernel(entry.site)
        for output in kernel.step(entry):
            if span[0] <= output.known < span[1]:
                said.setdefault(key_of(output), encode(output))
        if entry.site not in first and kernel.memory.site.now:
            first[entry.site] = kernel.memory.site.now
    return said, n, sum((k.memory.site.now - first.get(s, 0)) / 1000 for s, k in kernels.items() if s in first)


def key_of(output: Output) -> tuple[str, str, int]:
    match output:
        case Alert():
            return ALERTS.name, output.id, output.revision
        case Verdict():
            return VERDICTS.name, f"{output.site}:{output.permit}:{output.life}", output.revision
        case Code():
            return CODES.name, f"{output.site}:{output.who_is}:{output.who}", output.revision
        case Command():
            return COMMANDS.name, output.id, output.revision
        case Minute():
            return MINUTES.name, f"{output.site}:{output.at}", 0


def recorded(topic: Topic, bodies: Iterator[bytes]) -> Said:
    """The first of each revision that was published; a repeat after a crash carries the same bytes or is a fault."""
    kind = {ALERTS: Alert, VERDICTS: Verdict, COMMANDS: Command, CODES: Code, MINUTES: Minute}[topic]
    said: Said = {}
    for body in bodies:
        said.setdefault(key_of(msgspec.json.decode(body, type=kind)), body)
    return said


def known(body: bytes) -> int:
    return int(msgspec.json.decode(body)["known"])


def from_kafka(kafka: str, prefix: str):  # type: ignore[no-untyped-def]
    settings = Settings(kafka, prefix)

    def read(topic: Topic, without: tuple[bytes, ...] = ()) -> Iterator[bytes]:
        for partition in range(PARTITIONS):
            with asyncio.Runner() as loop:
                runs = runs_of(settings, topic, partition)
                while run := loop.run(anext(runs, [])):  # type: ignore[arg-type]
                    bodies = (record.value for record in run)
                    yield from permits_alone(bodies) if without else bodies

    return read


def from_clickhouse(url: str):  # type: ignore[no-untyped-def]
    store = Store(url)

    def read(topic: Topic, without: tuple[bytes, ...] = ()) -> Iterator[bytes]:
        unlike = "".join(f" AND position(body, '{mark.decode()}') = 0" for mark in without)
        for partition in range(PARTITIONS):
            at = -1
            while rows := store.rows(
                "SELECT offset, body FROM messages FINAL WHERE topic = {t:String} AND partition = {p:UInt16} AND toInt64(offset) > {o:Int64}" + unlike + " ORDER BY offset LIMIT 50000",
                {"t": topic.name, "p": partition, "o": at},
            ):
                yield from (row["body"].encode() for row in rows)
                at = rows[-1]["offset"]

    return read


def _ms(text: str) -> int:
    at = dt.datetime.fromisoformat(text)
    return int((at if at.tzinfo else at.astimezone()).timestamp() * 1000)
