"""`permitwatch bench truth`: plays random plant-days through the kernel and prints recall, precision, delay and load; writes them as a benchmark for others."""

from __future__ import annotations

import heapq
import json
import random
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from infra.plant.reference import write_plant
from infra.truth.days import Days, Row
from infra.truth.ground import furnish
from infra.truth.quirks import spoil
from infra.truth.score import Score, lines, score
from streams.events import Entry, Envelope, Lane, PlantSaid, Tick, encode
from streams.kernel import Kernel
from streams.outputs import Alert, Verdict
from streams.plant import read_plant
from streams.times import SECOND
from streams.topics import OF_KIND

DUPLICATES, LATE, LATEST = 0.003, 0.005, 40 * SECOND
"""Shares of the base rates of `domain.md` 4.1: repeats, and facts that come up to 40 s late."""
LOSSY = "badge.events"
"""The topic in which numbers are lost."""
FIRST = "2026-03-09"
"""A Monday; the default first day. Thirty days from it hold a holiday and its neighbours."""


def make_days(folder: Path, days: int, per_day: int, seed: int, share: float, first: str = FIRST) -> Days:
    """Days of the whole reference plant with their truth; the same arguments give the same days."""
    plant = furnish(read_plant(write_plant(folder, 1.0, 15020, 14840)).plant)
    start = int(datetime.fromisoformat(first).replace(tzinfo=ZoneInfo(plant.timezone)).timestamp() * 1000)
    made = Days(plant, start, days, random.Random(seed))
    made.plan(per_day)
    spoil(made, share)
    made.write()
    return made


def arrivals(days: Days) -> Iterator[Row]:
    """Everything in order of arrival: some of it late, some of it twice."""
    rng = random.Random(days.rng.random())
    rows = []
    for at, source, event in days.rows:
        delay = int(rng.random() * LATEST) if rng.random() < LATE else 0
        rows.append((at + delay, source, event))
    rows.sort(key=lambda row: row[0])
    return heapq.merge(rows, days.telemetry(), key=lambda row: row[0])


def entries(days: Days) -> Iterator[Entry]:
    """The timeline: numbered facts, repeats, and a tick a second."""
    site, numbers, rng = days.plant.site, dict[tuple[str, str], int](), random.Random(7)
    tick = days.start
    yield Entry(site, "ingest", 1, days.start - SECOND, "site.events", PlantSaid(at=days.start - SECOND, u=0, plant=days.plant))
    for at, source, event in arrivals(days):
        while tick < at:
            if not any(a < tick < b for a, b in days.holes):
                yield Entry(site, "clock", tick // SECOND, tick, "site.events", Tick(at=tick, virtual=True))
            tick += SECOND
        topic = OF_KIND[str(event.__struct_config__.tag)].name if event else LOSSY
        numbers[source, topic] = n = numbers.get((source, topic), 0) + 1
        if event is None:
            continue
        entry = Entry(site, source, n, at, topic, event)
        yield entry
        if rng.random() < DUPLICATES:
            yield entry
    while tick <= days.end:
        yield Entry(site, "clock", tick // SECOND, tick, "site.events", Tick(at=tick, virtual=True))
        tick += SECOND


def judge_days(days: Days, say: bool = True) -> tuple[list[Alert | Verdict], int, float, int]:
    """(what the kernel said, entries, CPU seconds, bytes of its memory in the end)."""
    kernel, said, n = Kernel(days.plant.site), list[Alert | Verdict](), 0
    began, shown = time.process_time(), time.monotonic()
    for entry in entries(days):
        n += 1
        said += [o for o in kernel.step(entry) if isinstance(o, Alert | Verdict)]
        if say and n % 5000 == 0 and time.monotonic() - shown > 5:
            shown = time.monotonic()
            print(f"  day {(entry.seen - days.start) / 86_400_000:6.2f} of {days.days}, {n:,} entries", file=sys.stderr, flush=True)
    return said, n, time.process_time() - began, len(kernel.snapshot())


def truth(folder: Path, days: int, per_day: int, seed: int, share: float, write: Path | None, doc: Path | None = None) -> int:
    """0 if the goals are met on these days, 1 if not."""
    made = make_days(folder / "plant", days, per_day, seed, share)
    print(f"{days} day(s) of the reference plant from seed {seed}: {len(made.jobs)} permits, {len(made.truths)} injected truths")
    said, n, seconds, size = judge_days(made)
    result = score(made.truths, said, days)
    quirks = {j.permit: j.quirk for j in made.jobs}
    print("\n".join(lines(result, quirks)))
    print(f"{n:,} entries in {seconds:.1f} s CPU ({1e6 * seconds / n:.1f} µs each, {days * 86_400 / seconds:,.0f} × real time); snapshot {size / 1e6:.2f} MB in the end")
    if write:
        publish(made, result, write)
    if doc:
        doc.write_text(inserted(doc.read_text(encoding="utf-8"), made, seed, result, n), encoding="utf-8")
        _write_truth(made, doc.with_name(f"{doc.stem}-truth.jsonl"))
    return 0 if good(result) else 1


def good(result: Score) -> bool:
    """Are the goals met?"""
    urgent = [c for c, t in result.codes.items() if t.truths]
    hits, of = result.share(urgent, True)
    right, said = result.share(result.codes, False)
    decided = sum(result.outcomes[o] for o in ("consistent", "violation", "indeterminate"))
    return hits == of and right / max(1, said) >= 0.995 and result.outcomes["indeterminate"] / max(1, decided) <= 0.01


MARKS = "<!-- score: begin -->", "<!-- score: end -->"


def inserted(text: str, made: Days, seed: int, result: Score, n: int) -> str:
    """The text with the score between its marks."""
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    table = [f"Seed {seed}, {made.days} days: {len(made.jobs):,} permits, {len(made.truths)} truths of {len({t.code for t in made.truths})} codes, {n:,} entries.", "", "```text", *lines(result), "```"]
    return f"{before}{MARKS[0]}\n" + "\n".join(table) + f"\n{MARKS[1]}{after}"


def publish(days: Days, result: Score, folder: Path) -> None:
    """Writes the days in the event schema, one JSON a line (envelopes with topic), and their truth: anybody can judge them and be scored."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "events.jsonl").open("wb") as f:
        for entry in entries(days):
            envelope = Envelope(entry.site, entry.source, entry.seq, entry.seen, msgspec.Raw(encode(entry.event)), Lane.LIVE, virtual=True)
            f.write(b'{"topic":"%s","message":%s}\n' % (entry.topic.encode(), encode(envelope)))
    _write_truth(days, folder / "truth.jsonl")
    (folder / "score.txt").write_text("\n".join(lines(result)) + "\n", encoding="utf-8")


def _write_truth(days: Days, file: Path) -> None:
    file.write_text("".join(json.dumps(msgspec.to_builtins(t)) + "\n" for t in days.truths), encoding="utf-8")
