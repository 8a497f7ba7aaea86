"""`permitwatch bench truth`: plays random plant-days through the kernel and prints recall, precision, delay and load; writes them as a benchmark for others."""

from __future__ import annotations

import heapq
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from infra.plant.reference import write_plant
from infra.truth.days import Ask, Days, Job, Row, Truth
from infra.truth.ground import furnish
from infra.truth.quirks import spoil
from infra.truth.score import Score, lines, score
from infra.truth.verdicts import Facts, agree
from streams.events import Entry, Envelope, Lane, PlantSaid, Tick, encode
from streams.kernel import Kernel
from streams.outputs import Alert, Command, Verdict
from streams.plant import read_plant
from streams.rules.gates import Answer, Question
from streams.times import SECOND, exactly
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
    made = Days(plant, start, days, random.Random(seed), seed)
    made.plan(per_day)
    spoil(made, share)
    made.write()
    return made


def arrivals(days: Days) -> Iterator[Row]:
    """Everything in order of arrival: some of it late, some of it twice."""
    rows = sorted(((at + delay, source, event) for (at, source, event), delay in zip(days.rows, delays(days), strict=True)), key=lambda row: row[0])
    return heapq.merge(rows, days.telemetry(), key=lambda row: row[0])


def delays(days: Days) -> list[int]:
    """By how much each row comes late: the same days, the same delays."""
    rng = random.Random(days.seed)
    return [int(rng.random() * LATEST) if rng.random() < LATE else 0 for _ in days.rows]


NAMES = ("permit", "worker", "device", "point", "camera", "contractor", "activity", "isolation", "order", "analyst", "hazard")


def graced(days: Days) -> list[Truth]:
    """The truths, each with the grace of the facts of its permit (its people, its place) that come late around it: no later fact, no grace."""
    jobs, late = {j.permit: j for j in days.jobs}, _late(days)
    return [replace(t, grace=_grace(t, jobs, late)) for t in days.truths]


def late_facts(days: Days) -> Callable[[Alert], bool]:
    """Does a fact of its permit (or thing) that came only after it was raised, and was true before, explain that an alert was taken back?"""
    jobs, late = {j.permit: j for j in days.jobs}, _late(days)
    return lambda alert: any(at <= alert.raised <= at + delay for name in _names(alert.permit or alert.subject, jobs) for at, delay in late.get(name, ()))


def _late(days: Days) -> dict[str, list[tuple[int, int]]]:
    """Name → (ms, by how much late) of the facts that carry it."""
    late: dict[str, list[tuple[int, int]]] = {}
    for (at, source, event), delay in zip(days.rows, delays(days), strict=True):
        for name in {source, type(event).__name__, *(str(getattr(event, n, "")) for n in NAMES)} - {"", "ptw", "cameras", "tags", "badges", "operator", "hr", "app", "vms"} if delay else ():
            late.setdefault(name, []).append((at, delay))
    return late


def _names(subject: str, jobs: dict[str, Job]) -> set[str]:
    job = jobs.get(subject)
    return {subject, *(("Positions",) if subject.startswith("Z") else ()), *((*job.workers, job.guardian, job.signer, job.point.id, *job.point.cameras, *job.point.detectors) if job else ())}


def _grace(truth: Truth, jobs: dict[str, Job], late: dict[str, list[tuple[int, int]]]) -> int:
    return max((delay for name in _names(truth.subject, jobs) for at, delay in late.get(name, ()) if at <= truth.at + truth.within + LATEST and at + delay >= truth.at), default=0)


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


@dataclass
class Judged:
    """What the kernel said of the days and answered at the gates, and what it cost."""

    said: list[Alert | Verdict | Command] = field(default_factory=list)
    answers: list[tuple[Ask, Answer]] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    """Seconds that each answer took."""
    facts: Facts = field(default_factory=Facts)
    entries: int = 0
    seconds: float = 0.0
    snapshot: int = 0
    now: int = 0


def judge_days(days: Days, say: bool = True) -> Judged:
    """Plays the days through the kernel; each question is asked at its moment."""
    kernel, judged = Kernel(days.plant.site), Judged()
    said, asks, n = judged.said, sorted(days.asks, key=lambda a: a.at), 0
    began, shown = time.process_time(), time.monotonic()
    for entry in entries(days):
        n += 1
        while asks and asks[0].at < entry.seen:
            ask = asks.pop(0)
            asked = time.perf_counter()
            judged.answers.append((ask, kernel.decide(Question(ask.gate, ask.worker, ask.door, ask.permit, exactly(ask.at)))))  # type: ignore[arg-type]
            judged.took.append(time.perf_counter() - asked)
        judged.facts.note(entry)
        said += [o for o in kernel.step(entry) if isinstance(o, Alert | Verdict | Command)]
        if say and n % 5000 == 0 and time.monotonic() - shown > 5:
            shown = time.monotonic()
            print(f"  day {(entry.seen - days.start) / 86_400_000:6.2f} of {days.days}, {n:,} entries", file=sys.stderr, flush=True)
    judged.entries, judged.seconds, judged.snapshot, judged.now = n, time.process_time() - began, len(kernel.snapshot()), kernel.memory.site.now
    return judged


def scored(made: Days, judged: Judged) -> Score:
    """All of it held against the truth."""
    verdicts = agree(judged.facts, (v for v in judged.said if isinstance(v, Verdict)), made.plant, judged.now, made.bad_clock)
    return score(graced(made), judged.said, made.days, judged.answers, verdicts, late_facts(made))


def truth(folder: Path, days: int, per_day: int, seed: int, share: float, write: Path | None, doc: Path | None = None) -> int:
    """0 if the goals are met on these days, 1 if not, 2 if the page cannot take the score."""
    if doc and any(mark not in doc.read_text(encoding="utf-8") for mark in MARKS):
        print(f"permitwatch bench truth: {doc} has no place for the score: put the lines {MARKS[0]} and {MARKS[1]} into it", file=sys.stderr)
        return 2
    made = make_days(folder / "plant", days, per_day, seed, share)
    print(f"{days} day(s) of the reference plant from seed {seed}: {len(made.jobs)} permits, {len(made.truths)} injected truths")
    judged = judge_days(made)
    n, seconds, size = judged.entries, judged.seconds, judged.snapshot
    result = scored(made, judged)
    quirks = {j.permit: j.quirk for j in made.jobs}
    print("\n".join(lines(result, quirks)))
    print(f"{n:,} entries in {seconds:.1f} s CPU ({1e6 * seconds / n:.1f} µs each, {days * 86_400 / seconds:,.0f} × real time); snapshot {size / 1e6:.2f} MB in the end")
    if took := sorted(judged.took):
        print(f"{len(took)} answers at gates: median {1000 * took[len(took) // 2]:.2f} ms, p99 {1000 * took[int(0.99 * (len(took) - 1))]:.2f} ms, worst {1000 * took[-1]:.2f} ms (the kernel alone; the door and the network come on top)")
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
    exact = not (result.priorities.wrong or result.commands.wrong or result.ends.wrong or result.answers.wrong or (result.verdicts and result.verdicts.wrong))
    return hits == of and right >= 0.995 * said and result.unsure_where_good <= 0.01 * max(1, decided) and exact


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
    file.write_text("".join(json.dumps(msgspec.to_builtins(t)) + "\n" for t in graced(days)), encoding="utf-8")
