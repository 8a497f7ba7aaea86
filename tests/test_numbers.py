"""What a source says is numbered once and for ever: repeats, holes, lost and restored outboxes, and numbers that are used twice."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.outbox import Outbox
from streams import events as e
from streams import wall
from streams.correlate import Correlate
from streams.desk import Batch, Sending
from streams.events import Entry, Envelope, decode_envelope, encode
from streams.intake import Intake, Refusal
from streams.judging import Aside, Judging
from streams.kernel import Kernel
from streams.numbers import EPOCHS, Numbering, UsedTwice
from streams.outputs import Alert
from streams.topics import ALERTS, SNAPSHOTS, TIMELINE, Topic

BASE = 1_795_000_000_000


# ---- a series -------------------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.booleans(), max_size=12), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_what_came_once_is_a_repeat_and_what_did_not_come_is_a_hole(lives, random):
    """An outbox is opened several times and gives numbers, of which some are lost; the rest come in any order within a life, each of them once more later."""
    numbers, after, came, lost = Numbering(), 0, list[tuple[int, int, int]](), set[int]()
    for life, given_ in enumerate(lives):
        epoch = (life + 1) * 1000
        batch = [(epoch, after, epoch + n + 1) for n, arrives in enumerate(given_) if arrives]
        random.shuffle(batch)
        assert all(numbers.take(*one, BASE) for one in batch)
        came += batch
        if batch:
            lost |= {epoch + n + 1 for n, arrives in enumerate(given_) if not arrives}
            after = epoch + len(given_)
    assert not any(numbers.take(*one, BASE) for one in came)
    told = {n for lo, hi in numbers.holes() for n in range(lo, hi + 1)}
    first, last = {came[0][0]} if came else set(), {came[-1][0]} if came else set()
    beginning = {n for n in lost if n - n % 1000 in first and n < min(m for _, _, m in came if m - m % 1000 == n - n % 1000)}
    ending = {n for n in lost if n - n % 1000 in last and n > max(m for _, _, m in came if m - m % 1000 == n - n % 1000)}
    assert told == lost - beginning - ending, "only what went before the first word, or after the last, cannot be known"
    assert numbers.whole == (not told)


def test_of_two_outboxes_of_one_source_none_repeats_the_other():
    numbers = Numbering()
    for n in range(1, 50):
        assert numbers.take(1000, 0, 1000 + n, BASE)
        assert numbers.take(5000, 0, 5000 + n, BASE)
    assert numbers.whole


def test_old_beginnings_are_let_go_and_holes_are_not():
    numbers, after = Numbering(), 0
    for life in range(1, 40):
        numbers.take(life * 1000, after, life * 1000 + 1, BASE)
        if life == 3:
            numbers.take(life * 1000, after, life * 1000 + 3, BASE)
        after = life * 1000 + (3 if life == 3 else 1)
    assert len(numbers.epochs) <= EPOCHS + 1
    assert numbers.holes() == [(3002, 3002)]


def test_a_number_that_is_used_twice_is_no_repeat():
    numbers = Numbering()
    for n in (1, 2, 3):
        numbers.take(0, 0, n, BASE + n)
    assert not numbers.take(0, 0, 2, BASE + 2)
    with pytest.raises(UsedTwice):
        numbers.take(0, 0, 2, BASE + 4)
    assert numbers.take(0, 0, 4, BASE + 4)


# ---- the outbox -----------------------------------------------------------------------------------------------------


def _said(folder: Path, *workers: str) -> list[Envelope]:
    """What an outbox in a folder gives Kafka of these SOS calls, opened for them."""
    box = Outbox(folder / "outbox.db", "127.0.0.1:1")
    known = box.waiting()
    for worker in workers:
        box.put("story", "badges", e.TagSaid(at=int(time.time() * 1000), worker=worker, what="sos"))
    box.close()
    with sqlite3.connect(folder / "outbox.db") as db:
        return [decode_envelope(value) for (value,) in db.execute("select value from outbox order by id limit -1 offset ?", (known,))]


def _numbers(said: list[Envelope]) -> set[tuple[str, int]]:
    return {(envelope.lane, envelope.seq) for envelope in said}


@pytest.mark.parametrize("what", ["lost", "an old copy", "an old copy over the same file"])
def test_a_lost_or_restored_outbox_never_gives_a_number_again(tmp_path, what):
    first = _said(tmp_path, "W1", "W2")
    shutil.copytree(tmp_path, tmp_path / "copy")
    then = _said(tmp_path, "W3", "W4", "W5")
    if what == "an old copy over the same file":
        (tmp_path / "outbox.db").write_bytes((tmp_path / "copy" / "outbox.db").read_bytes())
    else:
        for file in tmp_path.glob("outbox.db*"):
            file.unlink()
        if what == "an old copy":
            shutil.copy(tmp_path / "copy" / "outbox.db", tmp_path)
    again = _said(tmp_path, "W6", "W7", "W8", "W9", "W10")
    assert not _numbers(again) & _numbers(first + then)
    entries = [Entry("story", m.source, m.seq, m.seen, "badge.events", e.TagSaid(at=m.seen, worker=f"W{n}", what="sos"), m.lane, epoch=m.epoch, after=m.after) for n, m in enumerate(first + then + again)]
    assert {a.numbers["worker"] for a in _alerts(entries) if a.code == "X-SOS"} == {f"W{n}" for n in range(10)}


def _alerts(entries: list[Entry], asides: list[Aside] | None = None) -> list[Alert]:
    judging = Judging(Kernel("story"), aside=(asides if asides is not None else []).append)
    out = [o for n, entry in enumerate(entries) for tick in (Entry("story", "\0", n + 1, entry.seen, "permit.events", e.Tick(at=entry.seen)), entry) for o in judging.step(tick)]
    last = max(entry.seen for entry in entries)
    out += [o for s in range(1, 91) for o in judging.step(Entry("story", "\0", 10_000 + s, last + s * 1000, "permit.events", e.Tick(at=last + s * 1000)))]
    return [o for o in out if isinstance(o, Alert)]


def _sos(n: int, seen: int, worker: str, epoch: int = 0, after: int = 0) -> Entry:
    return Entry("story", "badges", n, seen, "badge.events", e.TagSaid(at=seen, worker=worker, what="sos"), epoch=epoch, after=after)


# ---- the judge ------------------------------------------------------------------------------------------------------


def test_a_number_of_old_under_which_something_else_is_said_is_set_aside_and_told():
    """What an outbox of 0.2.0, restored from an old copy, sends: five SOS vanished behind a 202."""
    asides = list[Aside]()
    said = _alerts([_sos(n, BASE + n * 1000, f"W{n}") for n in range(1, 6)] + [_sos(n, BASE + 60_000 + n, f"V{n}") for n in range(1, 4)], asides)
    assert len(asides) == 3 and all("used before" in a.reason for a in asides)
    assert {(a.id, a.priority) for a in said if a.code == "SYS-ASIDE"} == {(next(a.id for a in said if a.code == "SYS-ASIDE"), 2)}


def test_a_true_repeat_says_nothing():
    asides, calls = list[Aside](), [_sos(n, BASE + n * 1000, f"W{n}") for n in range(1, 6)]
    said = _alerts(calls + calls, asides)
    assert not asides and not [a for a in said if a.code == "SYS-ASIDE"]


def test_what_was_given_before_a_new_beginning_and_did_not_come_is_told():
    """Kafka lost the end of a log and ingest was started anew: the power cut."""
    start = BASE * 1000
    said = _alerts([_sos(start + 1, BASE, "W1", start), _sos(start + 9_000_001, BASE + 9000, "W5", start + 9_000_000, start + 4)])
    told = [a for a in said if a.code == "DQ-SEQ"]
    assert [(a.numbers["lost"], a.numbers["first"], a.numbers["last"]) for a in told] == [(3, start + 2, start + 4)]


@pytest.mark.parametrize("seq, epoch, after, taken", [(7, 0, 0, True), (0, 0, 0, True), (7, 6, 0, True), (7, 6, 6, True), (7, 7, 0, False), (7, 6, 7, False), (7, 0, 3, False), (7, -1, -1, False), (7, 9, 0, False)])
def test_numbers_that_cannot_be_are_refused(seq, epoch, after, taken):
    event = e.TagSaid(at=BASE, worker="W1", what="sos")
    envelope = Envelope("story", "badges", seq, BASE, msgspec.Raw(e.encode(event)), epoch=epoch, after=after)
    read = Intake().take(e.encode(envelope), "badge.events")
    assert isinstance(read, Refusal) is not taken
    if isinstance(read, Refusal):
        assert read.reason == "impossible number" and "epoch" in read.detail


@pytest.mark.parametrize("event", [
    {"kind": "decided", "at": BASE, "worker": "W1", "door": "", "direction": "", "answer": "deny", "reasons": [], "gate": "application", "request": {"kind": "permit.requested", "at": BASE, "permit": "P", "type": "02", "point": "X", "valid_from": 1 << 70, "valid_to": -(1 << 70), "planned_start": 1 << 64}},
    {"kind": "decided", "at": BASE, "worker": "W1", "door": "", "direction": "", "answer": "deny", "reasons": [], "gate": "application", "request": {"kind": "permit.requested", "at": 1 << 70, "permit": "P", "type": "02", "point": "X", "valid_from": 0, "valid_to": 0}},
    {"kind": "permit.gas_test", "at": BASE, "permit": "P", "results": [{"gas": "o2", "value": 1e300, "unit": "%vol"}, {"gas": "x" * 100_000, "value": 1, "unit": "ppm"}]},
], ids=["instants of what was asked", "its own moment", "a gas of a hundred thousand letters"])  # fmt: skip
def test_what_lies_deeper_in_a_message_is_held_within_bounds_too(event):
    """No snapshot holds a number beyond 64 bits: found by `make fuzz`, seed 20261130, event 24,800."""
    read = Intake().take(e.encode(Envelope("story", "ptw", 1, BASE, msgspec.Raw(msgspec.json.encode(event)))), "badge.events" if event["kind"] == "decided" else "permit.events")
    if isinstance(read, Refusal):
        assert read.reason in ("impossible number", "too long") and ("request.at" in read.detail or "results[1].gas" in read.detail)
        return
    kernel = Kernel("story")
    kernel.step(read)
    assert kernel.snapshot()


def test_what_kafka_has_had_for_a_minute_leaves_the_disk(tmp_path, monkeypatch):
    box = Outbox(tmp_path / "outbox.db", "127.0.0.1:1")
    ids = []
    for n in range(6):
        box.put("story", "badges", e.TagSaid(at=int(time.time() * 1000), worker=f"W{n}", what="sos"))
    db = box._open("normal")
    ids = [row[0] for row in box._next(db)]
    box._has(db, {ident: ("badge.events", 0, n) for n, ident in enumerate(ids[:5])})
    assert (box.pending, box.waiting(), [row[0] for row in box._next(db)]) == (1, 1, ids[5:])
    box._trim(db)
    assert db.execute("select count(*) from outbox").fetchone() == (6,)
    monkeypatch.setattr(wall, "now", lambda: int(time.time() * 1000) + 61_000)
    box.purged = 0.0
    box._trim(db)
    assert db.execute("select count(*) from outbox").fetchone() == (1,)
    db.close()
    box.close()


# ---- the judge's own log --------------------------------------------------------------------------------------------


class Log:
    """A desk over a timeline of which the end may be cut off."""

    def __init__(self) -> None:
        self.lines: list[SimpleNamespace] = []
        self.saved: dict[str, SimpleNamespace] = {}
        self.said: list[Alert] = []

    def goes_on(self, *entries: Entry) -> None:
        for entry in entries:
            self.lines.append(SimpleNamespace(offset=len(self.lines), key=b"story", value=encode(entry)))

    def batch(self, begin: int) -> Batch:
        return Batch(TIMELINE.name, 0, self.lines[begin:])

    async def send(self, sendings: Iterable[Sending]) -> None:
        for topic, _, key, value in sendings:
            if topic is SNAPSHOTS:
                self.saved[key] = SimpleNamespace(key=key.encode(), value=value)
            elif topic is ALERTS:
                self.said.append(msgspec.json.decode(value, type=Alert))

    async def read(self, topic: Topic, partition: int) -> list[Any]:
        return list(self.saved.values())

    async def tail(self, topic: Topic, partition: int, most: int) -> list[Any]:
        return self.lines[-most:] if topic is TIMELINE else []

    def reached(self, topic: str, partition: int, next: int) -> None:
        pass

    def done(self, topic: str, partition: int, next: int) -> None:
        pass

    def told(self, code: str) -> set[str]:
        return {str(a.numbers.get("worker", a.id)) for a in self.said if a.code == code}


def _second(n: int) -> Entry:
    return Entry("story", "clock", BASE // 1000 + n, BASE + n * 1000, "site.events", e.Tick(at=BASE + n * 1000))


def _call(n: int) -> Entry:
    return Entry("story", "badges", n, BASE + n * 1000, "badge.events", e.TagSaid(at=BASE + n * 1000, worker=f"W{n}", what="sos"))


@pytest.mark.parametrize("way", ["the judge goes on, and reads from the beginning", "the judge goes on, and reads what is new", "the judge is started anew"])
def test_a_judge_whose_log_has_lost_its_end_goes_on_with_what_comes_and_says_so(way):
    """A timeline that lost its tail left 0.2.0 blind for minutes, with "all is well": what is new lay before the place that was read."""
    log, step = Log(), Correlate()
    log.goes_on(*(one for n in range(1, 11) for one in (_second(n), _call(n))))
    asyncio.run(step.take(log.batch(0), log))  # type: ignore[arg-type]
    asyncio.run(step._save(log))  # type: ignore[arg-type]
    del log.lines[12:]
    log.goes_on(_second(11), _call(11), _second(12))
    if "anew" in way:
        step = Correlate()
    asyncio.run(step.take(log.batch(12 if "new" in way and "anew" not in way else 0), log))  # type: ignore[arg-type]
    log.goes_on(_call(12), *(_second(n) for n in range(13, 80)))
    asyncio.run(step.take(log.batch(15), log))  # type: ignore[arg-type]
    assert log.told("X-SOS") == {f"W{n}" for n in range(1, 13)}
    assert len(log.told("SYS-LOST")) == 1
    assert len({(a.id, a.revision) for a in log.said}) == len(log.said), "what is read again is a repeat"
    asyncio.run(step._save(log))  # type: ignore[arg-type]
    before, anew = len(log.said), Correlate()
    log.goes_on(_second(90))
    asyncio.run(anew.take(log.batch(60), log))  # type: ignore[arg-type]
    assert not [a for a in log.said[before:] if a.code == "SYS-LOST"], "what was noticed once is not noticed again"


def test_a_judge_that_begins_before_its_snapshot_has_lost_nothing():
    log, step = Log(), Correlate()
    log.goes_on(*(one for n in range(1, 11) for one in (_second(n), _call(n))))
    asyncio.run(step.take(log.batch(0), log))  # type: ignore[arg-type]
    asyncio.run(step._save(log))  # type: ignore[arg-type]
    asyncio.run(Correlate().take(log.batch(4), log))  # type: ignore[arg-type]
    assert not log.told("SYS-LOST") and len(log.told("X-SOS")) == 10
