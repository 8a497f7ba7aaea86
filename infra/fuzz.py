"""`permitwatch fuzz`: events of every kind, plausible and absurd, the whole way in one process; nothing may raise and no other permit may notice."""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import copy
import json
import random
import re
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect as look

from infra.bench.table import machine
from ingest.doors import Read, read_row
from streams.archive import Archive
from streams.channels import body_of
from streams.desk import Batch, Sending
from streams.events import Activity, Any_, Entry, Envelope, Lane, PlantSaid, Requested, SourceSaid, Tick, decode_entry, encode
from streams.intake import Intake, Refusal
from streams.kernel import KEYS, Kernel, restore
from streams.normalise import Normalise
from streams.numbers import UsedTwice
from streams.outputs import Alert, Output
from streams.packs import built_in
from streams.plant import Plant
from streams.routes import Receiver
from streams.rules import RULES
from streams.rules.gates import GATES, Question
from streams.times import HOUR, MINUTE, SECOND, Stamp
from streams.topics import OF_KIND

EPILOG: Final = """examples:
  permitwatch fuzz --events 20000 --seed 1
  permitwatch fuzz --events 20000 --seed 1 --at 4711      tells what led to event 4711 and shows it
  permitwatch fuzz --events 200000 --seed 7 --write docs/fuzz.md
"""
SITE: Final = "FUZZ"
BASE: Final = 1_773_100_800_000
"""2026-03-10 08:00 at the plant."""
STEP: Final = 12 * SECOND
KINDS: Final = {str(s.tag): s for s in look.multi_type_info(Any_.__args__) if isinstance(s, look.StructType)}
SELDOM: Final = frozenset({"plant", "pack", "tick"})
"""Kinds that change everything: one event in two hundred is of such a kind."""
SITE_WIDE: Final = frozenset({*SELDOM, "special", "warning"})
"""Kinds that rightly concern every permit of a site."""
T = TypeVar("T")
Say = Callable[[str], None]
CHAPTER: Final = 2500
"""After so many events sixty quiet hours are told and a kernel begins anew, so that a fault is told again in seconds."""
BESIDE: Final = 2 * CHAPTER
"""So many events at most are told beside one clean permit: a site that hears more in three hours is none."""
FAR: Final = 50 * CHAPTER
"""From so many events on it says how far it is."""
SLOW: Final = 2.0
STORM: Final = 100
"""So many revisions of one rule's alerts about one subject, within as many events, are a fault: nobody can read them."""
RECEIVER: Final = Receiver("all", "webhook")

# ---- what is told ---------------------------------------------------------------------------------------------------

PEOPLE, TAGS, POINTS = ("W1", "W2", "W3", "G1", "G2", "A1"), ("GD1", "GD2", "OX1", "TX1", "FAN1", "ISO1", "PT1"), ("PA", "PB", "PC")
WORDS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("worker", "workers", "guardians", "by", "to", "analyst", "responsible"), PEOPLE), "point": POINTS, "names": TAGS, "door": ("D1", "D2"),
    "camera": ("C1", "C2"), "device": (*TAGS, "C1", "D1"), "gas": ("methane", "o2", "h2s", "co", "unobtainium"), "unit": ("%vol", "%LEL", "ppm", "mg/m3"),
    **dict.fromkeys(("type", "needs"), tuple(f"{n:02}" for n in (1, 2, 3, 10, 21, 24, 30, 40, 50, 61, 70))), "trade": ("welding", "electrician", "height"),
    "trades": ("welding", "lifting"), "behaviour": ("welding", "flame", "fire", "no_helmet", "person"), "station": ("WS1", "WS2"), "hazard": ("lightning", "wind", "H1", "H2"),
    "colour": ("yellow", "red"), "equipment": ("E1", "E2"), "asset": ("E1", "E2"), "contractor": ("K1", "K2"), "name": ("gas", "ptw", "tags", "ingest"), "reasons": ("CERT-EXP",),
    "valid_to": ("2026-12-31", "2026-03-10", "2026-04-01"), "calibrated_to": ("2026-12-31", "2026-03-09"), "papers": ("2026-12-31", "missing", "void"), "sha256": ("ab" * 32, ""),
    "uri": ("cam://1", "cam://2"), "activity": ("ACT1", "ACT2"), "order": ("MO1",), "isolation": ("ISO1", "BL1"), "dike": ("", "T1"), "space": ("", "V1"), "track": ("t1", "t2"),
    "alert": tuple(f"{r.code}:{SITE}:{s}:{n}" for r in RULES for s in ("HW-0", "PA", "GD1", "W1") for n in (1, 2)),
}  # fmt: skip
TIMES: Final = frozenset({"at", "valid_from", "valid_to", "planned_start", "until", "recorded", "since", "due", "effective"})
STRINGS: Final = (
    "", " ", "\0", "\x1b[31m", "a\nb", "a|b", "a#b", "a:b:1", "../../a/b", "~end", "{permit}", "%s{0}", "ＨＷ－１", "１２", "\ud800", "a\udfffb", "\U0001f525", "\u202eX", "x" * 16_385, "字" * 300,
    "2026/12/31", "长期", "9999-12-31", "0000-00-00", "2026-02-30", "0001-01-01", "2026-W10-2", "20261231", "２０２６-12-31", "2026-12-31T00:00:00+08:00", "2026-03-10T10:00:00",
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-03-10T10:00:00+14:00", "null", "NaN", "true", "1e308", "-1", "A" * 120, "HW-0|gas", "verdict|HW-0", "HW-0",
)  # fmt: skip
NUMBERS: Final = (
    0, -1, 1, -0.0, 5e-324, 1e308, -1e308, 1e16, 0.1, 12, 100, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 2**70, 10**30,
    float("nan"), float("inf"), -62_135_596_800_000, 253_402_300_799_999, 253_402_300_800_000, 86_400_000, -86_400_000,
)  # fmt: skip
OTHERS: Final[tuple[Any, ...]] = (None, True, False, [], {}, [[]], [None], {"a": {"b": [{"c": 1}]}}, ["W1", "W1"], [1e308, -1e308], "~deep~", "~long~")
DEEP: Final = {'"~deep~"': "[" * 3000 + "]" * 3000, '"~long~"': "9" * 5000}
LIFE: Final[tuple[dict[str, Any], ...]] = (
    {"kind": "permit.requested", "type": "02", "point": "PA", "workers": ["W1", "W2"], "guardians": ["G1"], "crew": "K", "contractor": "K1"},
    *({"kind": "permit.step", "step": s, "by": "A1"} for s in ("jsa", "isolated", "measures", "briefed")),
    {"kind": "permit.gas_test", "results": [{"gas": "methane", "value": 0.05, "unit": "%vol"}, {"gas": "o2", "value": 20.8, "unit": "%vol"}], "device": "GD1", "analyst": "W3"},
    {"kind": "permit.step", "step": "issued", "by": "A1", "x": 1.0, "y": 1.0, "z": 0.0, "acc": 2.0}, {"kind": "guard", "worker": "G1", "action": "sign_in"},
    *({"kind": "permit.step", "step": s, "by": "W1"} for s in ("started", "tools_in", "suspended", "resumed", "changed", "tools_out", "finished", "accepted")),
)  # fmt: skip


def plant() -> Plant:
    """A small plant that the events know, and, far away, a place of its own for the permit that must notice nothing."""
    points = [{"id": p, "area": "A", "x": 40.0 * n, "y": 0.0, "cameras": ["C1", "C2"][n % 2 :], "detectors": [*TAGS[:4]][n:], "fans": ["FAN1"], "aliases": [f"{p}-alias"], "equipment": "E1",
               "unit": "U1", "zone": "fire", "dike": "T1" if n else "", "space": "V1"} for n, p in enumerate(POINTS)]  # fmt: skip
    clean = {"id": "PZ", "area": "Z", "x": 90_000.0, "y": 90_000.0, "cameras": ["CZ"], "detectors": ["GZ"], "stations": ["WZ"]}
    kinds = {"GD1": ("combustible", "%LEL"), "GD2": ("combustible", "%LEL"), "GZ": ("combustible", "%LEL"), "OX1": ("oxygen", "%vol"), "TX1": ("toxic", "mg/m3"), "FAN1": ("fan", ""), "ISO1": ("isolation", "")}
    gases = {"OX1": "o2", "TX1": "h2s"}
    channels = [{"tag": t, "source": "gas", "kind": kinds.get(t, ("process", "bar"))[0], "unit": kinds.get(t, ("process", "bar"))[1], "area": "Z" if t == "GZ" else "A", "gas": gases.get(t, "methane"),
                 "low": 0.0, "high": 100.0, "setpoint": 5.0 if t == "PT1" else None, "process_unit": "U1", "isolation": "ISO1" if t == "ISO1" else ""} for t in (*TAGS, "GZ")]  # fmt: skip
    zones = [{"id": "ZO", "zh": "区", "en": "zone", "x": -20.0, "y": -20.0, "w": 200.0, "h": 200.0, "area": "A", "restricted": True, "most": 2, "least": 1}]
    areas = [{"id": a, "shop": "S", "zh": a, "en": a, "x": x, "y": x} for a, x in (("A", 0.0), ("Z", 90_000.0))]
    doors = [{"id": "D1", "points": ["PA", "PB"]}, {"id": "D2", "areas": ["A"]}, {"id": "DZ", "points": ["PZ"]}]
    return msgspec.convert({"site": SITE, "zh": "试", "en": "fuzz", "shops": [{"id": "S", "zh": "S", "en": "S"}], "areas": areas, "points": [*points, clean], "channels": channels, "doors": doors, "zones": zones}, Plant)


def plausible(rng: random.Random, info: look.Type, name: str, now: int, permits: tuple[str, ...]) -> Any:
    """A value of a type as a field of that name would have it."""
    match info:
        case look.StructType():
            return {f.encode_name: plausible(rng, f.type, f.encode_name, now, permits) for f in info.fields if f.required or rng.random() < 0.5}
        case look.IntType():
            return now + rng.choice((0, 0, 0, -5, -3600, 3600, 28_800)) * SECOND if name in TIMES else rng.choice((0, 1, 1000, 60_000))
        case look.FloatType():
            return rng.choice((0.0, 0.5, 1.0, 5.0, 12.0, 20.8, round(rng.uniform(-50, 150), 3)))
        case look.StrType():
            return rng.choice(permits if name in ("permit", "linked", "command") else WORDS.get(name, ("x", "y", "z")))
        case look.LiteralType():
            return rng.choice(info.values)
        case look.ListType() | look.VarTupleType():
            return [plausible(rng, info.item_type, name, now, permits) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
        case look.DictType():
            return {rng.choice(TAGS): plausible(rng, info.value_type, name, now, permits) for _ in range(rng.randint(0, 2))}
        case look.UnionType():
            return plausible(rng, rng.choice(info.types), name, now, permits)
    return rng.random() < 0.5 if isinstance(info, look.BoolType) else None


def row_of(rng: random.Random, k: int, now: int) -> dict[str, Any]:
    """A plausible event with its kind: one of the life of a permit, or of any kind."""
    permits = (f"HW-{k // 600}", f"HW-{max(0, k // 600 - 1)}", "CS-1", "HW|2", "HW#3:a/b", "HW\n4")
    if rng.random() < 0.25:
        stage = LIFE[min(len(LIFE) - 1, (k % 600) * len(LIFE) // 590)]
        return {"at": now, "permit": permits[0], **({"valid_from": now - HOUR, "valid_to": now + 2 * HOUR} if stage["kind"] == "permit.requested" else {}), **stage}
    kind = rng.choice(sorted(SELDOM if rng.random() < 0.005 else KINDS.keys() - SELDOM))
    row: dict[str, Any] = plausible(rng, KINDS[kind], kind, now, permits)
    if kind in ("frame", "positions"):
        n = rng.choice((1, 2, 3, 3, 500 if rng.random() < 0.1 else 1))
        row |= {f: [rng.choice(WORDS[f]) if f in WORDS else rng.choice((0.0, 1.5, 12.0, 30.0)) for _ in range(n)] for f in row if isinstance(row[f], list)}
    whole = {"plant": plant(), "pack": built_in("GB")}.get(kind)
    return row | {"kind": kind, "at": now} | ({kind: msgspec.to_builtins(whole)} if whole else {})


def slots(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a JSON value: its container and its key or index."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from slots(tree[key])


def absurd(rng: random.Random, old: Any, now: int) -> Any:
    """Something that is not meant, mostly of the same type."""
    if rng.random() < 0.2:
        return rng.choice((*OTHERS, *STRINGS, *NUMBERS))
    if isinstance(old, str):
        return rng.choice(STRINGS)
    if isinstance(old, bool) or old is None:
        return rng.choice((*OTHERS, 0, "1"))
    if isinstance(old, int | float):
        far = (now // 1000, now * 1000, now * 10**6, now + 10**11, now - 10**11, now - 399 * 24 * HOUR, now + 23 * HOUR, -now, now + 0.5)
        return rng.choice(far if rng.random() < 0.3 else NUMBERS)
    if isinstance(old, list):
        return rng.choice(([], old + old, old * 200, old[:-1], [*old, None], [old], [*old, *old[:1]], {}))
    return rng.choice((*OTHERS, {**old, "": ""}, {"x": old}))


def spoil(rng: random.Random, row: dict[str, Any], now: int) -> None:
    """Makes one place of an event absurd, leaves it out, or puts one in."""
    container, key = rng.choice(list(slots(row)) or [(row, "at")])
    what = rng.random()
    if what < 0.08 and isinstance(container, dict):
        container.pop(key, None)
    elif what < 0.14 and isinstance(container, dict):
        container[rng.choice(STRINGS)] = copy.deepcopy(rng.choice(OTHERS))
    else:
        container[key] = copy.deepcopy(absurd(rng, container.get(key) if isinstance(container, dict) else container[key], now))


def event(seed: int, k: int, now: int) -> tuple[str, Any]:
    """The k-th event of a seed, (kind, body): five in six with something absurd in them."""
    rng = random.Random(f"{seed}:{k}")
    row = copy.deepcopy(row_of(rng, k, now))
    kind = str(row.pop("kind"))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        spoil(rng, row, now)
    return kind, row if rng.random() < 0.99 else rng.choice((*OTHERS, [row]))


def text_of(row: Any) -> str:
    """Its JSON; NaN, lone surrogates and depth as a careless sender writes them."""
    text = json.dumps(row)
    for mark, said in DEEP.items():
        text = text.replace(mark, said)
    return text


def wrap(rng: random.Random, text: str, source: str, seq: int, now: int) -> str:
    """An envelope around any text, as another program would put it into a topic; one in six has something absurd of its own."""
    envelope: dict[str, Any] = {"site": SITE, "source": source, "seq": seq, "seen": now, "schema": rng.choice((1, 1, 2))}
    if rng.random() < 0.17:
        envelope |= {"lane": "backlog", "virtual": rng.random() < 0.2}
        spoil(rng, envelope, now)
    return text_of(envelope)[:-1] + f', "event": {text}}}'


def as_bytes(rng: random.Random, text: str) -> bytes:
    """One text in a hundred is cut short or no UTF-8."""
    raw, n = text.encode(), rng.randrange(len(text) or 1)
    return raw if rng.random() < 0.99 else rng.choice((raw[:n], raw[:n] + b"\xff" + raw[n + 1 :], raw[:n] + b"\xed\xa0\x80" + raw[n + 1 :]))


# ---- the whole way --------------------------------------------------------------------------------------------------


class Desk:
    """What steps send, kept until it is asked for."""

    def __init__(self) -> None:
        self.sent: list[Sending] = []

    async def send(self, sendings: list[Sending]) -> None:
        for _, _, key, _ in sendings:
            key.encode()
        self.sent += sendings

    def done(self, topic: str, partition: int, next: int) -> None:
        pass

    def reached(self, topic: str, partition: int, next: int) -> None:
        pass

    def asking(self, whom: str) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    async def tail(self, topic: Any, partition: int, most: int) -> list[Any]:
        return []


class Rows:
    """A store that only encodes the rows it is given."""

    def rows(self, sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        return []

    def insert(self, table: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]], token: str = "") -> None:
        msgspec.json.encode(rows)


@dataclass
class Fault:
    """One place where something raised: the steps in which it did, and the first event that made it."""

    said: str
    place: str
    at: int
    event: str
    raw: bytes
    steps: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        said = " ".join(self.said.split())
        steps = ", ".join(name for name, _ in self.steps.most_common(3)) + (" …" if len(self.steps) > 3 else "")
        return f"{self.steps.total()} × {said} at {self.place}, in {len(self.steps)} steps ({steps})"


@dataclass
class Report:
    """What came of the events."""

    made: Counter[str] = field(default_factory=Counter)
    door: Counter[tuple[str, str]] = field(default_factory=Counter)
    intake: Counter[tuple[str, str]] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)
    faults: dict[tuple[str, str], Fault] = field(default_factory=dict)
    once: list[str] = field(default_factory=list)
    """Steps that were slow and were not when they were told again: the machine's, not theirs."""
    outputs: int = 0
    compared: int = 0
    seconds: float = 0

    @property
    def raised(self) -> int:
        return sum(f.steps.total() for f in self.faults.values())

    @property
    def often(self) -> list[Fault]:
        return sorted(self.faults.values(), key=lambda f: -f.steps.total())


def _step(kernel: Kernel, entry: Entry) -> list[Output]:
    """As `Judging` does it: of what bears a number that was used before for something else it is only said that it came."""
    try:
        return kernel.step(entry)
    except UsedTwice as wrong:
        return kernel.set_aside(entry, str(wrong))


class Way:
    """One kernel and all that lies before and behind it."""

    def __init__(self, n: int, seed: int, report: Report, say: Say, at: int | None = None) -> None:
        self.n, self.seed, self.report, self.say, self.at = n, seed, report, say, at
        self.normalise, self.archive, self.desk = Normalise(), Archive("http://127.0.0.1:1"), Desk()
        self.loop = asyncio.new_event_loop()
        self.archive.store = Rows()  # type: ignore[assignment]
        self.k, self.text, self.raw, self.offset = 0, "", b"", 0
        self.begin(BASE)

    def begin(self, now: int) -> None:
        """A kernel that knows nothing but the plant."""
        self.kernel, self.safe = anew(now), b""
        self.seqs, self.lately = Counter[tuple[str, str]](), Counter[tuple[str, str]]()

    def end(self, now: int) -> None:
        """Sixty hours in which nothing comes: what is due falls due, and memory lets go."""
        self.lately.clear()
        for minutes in range(30, 3600, 30):
            self.judge(self.kernel, clock(now + minutes * MINUTE, 30 * MINUTE), "tick")
        if raw := self.attempt("snapshot", self.kernel.snapshot):
            self.attempt("restore", restore, raw)

    def attempt(self, step: str, work: Callable[..., T], *args: Any) -> T | None:
        """Does a step; what it raises is a fault, and so is taking longer than two seconds."""
        began = time.process_time()
        try:
            return work(*args)
        except Exception as wrong:
            said = traceback.format_exception_only(wrong)[-1].strip()
            self.fault(step, type(wrong).__name__, place_of(wrong), said)
            return None
        finally:
            if (took := time.process_time() - began) > SLOW:
                self.fault(step, "slow", step, f"it took {took:.1f} s")

    def fault(self, step: str, kind: str, place: str, said: str) -> None:
        key = kind, place.partition(" < ")[0]
        fresh = key not in self.report.faults
        fault = self.report.faults.setdefault(key, Fault(said[:200], place, self.k, self.text[:2000], self.raw))
        fault.steps[step] += 1
        if fresh:
            self.say(f"✗ {step}: {fault.said}\n    {place}\n    {fault.event[:600]}\n    {self.again(fault)}")

    def again(self, fault: Fault) -> str:
        """How to see a fault once more."""
        raw = f"   raw: {base64.b64encode(fault.raw).decode()}" if 0 < len(fault.raw) < 1500 else ""
        return f"python -m infra.fuzz --events {self.n} --seed {self.seed} --at {fault.at}{raw}"

    # ---- one event --------------------------------------------------------------------------------------------------

    def bring(self, k: int, now: int) -> Entry | None:
        """The k-th event, by the door or straight into a topic, as an entry of the timeline; None if it is refused."""
        kind, row, rng = *event(self.seed, k, now), random.Random(f"{self.seed}:{k}:way")
        self.k, self.now, self.text, self.raw = k, now, text_of({"kind": kind} | row if isinstance(row, dict) else row), b""
        self.report.made[kind] += 1
        if k % STORM == 0:
            self.lately.clear()
        read = self.attempt("door", self.through_door, kind, as_bytes(rng, text_of(row)))
        topic = OF_KIND[kind].name if rng.random() < 0.98 else "weather.events"
        source = rng.choice(("gas", "ptw", "tags", "cam"))
        seq = self.seqs[source, topic] = self.seqs[source, topic] + (1 if rng.random() < 0.97 else rng.choice((0, 2, -1)))
        if read is not None and rng.random() < 0.6:
            self.raw = encode(Envelope(SITE, source, seq, now, msgspec.Raw(read.raw), Lane.LIVE, schema=read.schema))
        else:
            self.raw = as_bytes(rng, wrap(rng, self.text, source, seq, now))
        return self.take(kind, topic)

    def through_door(self, kind: str, body: bytes) -> Read | None:
        """What the door makes of a body; None with the reason counted where it answers 422 (see `ingest.doors.take`)."""
        try:
            row = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
            self.report.door[kind, f"not JSON: {reason(str(wrong))}"] += 1
            return None
        try:
            return read_row(kind, row, 1, self.now)
        except (msgspec.ValidationError, RecursionError, OverflowError) as wrong:
            self.report.door[kind, reason(str(wrong))] += 1
            return None

    def take(self, kind: str, topic: str) -> Entry | None:
        """Through the intake and over the wire; the normaliser and the archive see it too."""
        record = SimpleNamespace(offset=self.offset, value=self.raw)
        self.offset += 1
        said = self.attempt("intake", Intake().take, self.raw, topic, 0, record.offset)
        self.attempt("normalise", self.whole, self.normalise.take, Batch(topic, 0, [record]), self.desk)
        self.archive.waiting.setdefault((topic, 0), []).append(record)
        if self.offset % 500 == 0:
            self.store()
        if self.k == self.at:
            self.say(f"{self.text}\n{self.raw.decode(errors='replace')}\n{said}")
        if isinstance(said, Refusal):
            self.report.intake[kind, said.reason] += 1
        if not isinstance(said, Entry):
            return None
        self.report.taken[kind] += 1
        return self.attempt("wire", carried, said)

    def whole(self, work: Callable[..., Any], *args: Any) -> None:
        self.loop.run_until_complete(work(*args))

    def store(self) -> None:
        """All that lies in the topics becomes rows of the archive."""
        for n, (topic, _, _, value) in enumerate(self.desk.sent):
            record = SimpleNamespace(offset=self.offset + n, value=value)
            self.archive.waiting.setdefault((topic.name, 0), []).append(record)
        self.desk.sent = []
        self.attempt("archive", self.whole, self.archive.stop, self.desk)
        self.archive.waiting.clear()

    def judge(self, kernel: Kernel, entry: Entry, step: str = "step") -> list[Output]:
        """Steps a kernel; what a rule raises inside is a fault too, though the kernel goes on."""
        out = self.attempt(step, _step, kernel, entry) or []
        for key in list(kernel.memory.broken):
            rule, _, name = key.partition("|")
            said = kernel.memory.broken.pop(key)
            if self.attempt(f"rule {rule}", RULES[KEYS.index(rule)].judge, kernel.known, name) is not None:
                self.fault(f"rule {rule}", said.partition(":")[0], "once, and not when asked again", said)
        for one in out:
            self.said(one)
        return out

    def said(self, one: Output) -> None:
        """An output over the wire, and as a message to people."""
        self.report.outputs += 1
        if raw := self.attempt("output", encode, one):
            self.attempt("output read", lambda: msgspec.json.decode(raw, type=type(one)))
        if isinstance(one, Alert):
            self.attempt("message", body_of, RECEIVER, [one], False)
            self.lately[one.code, one.subject] += 1
            if self.lately[one.code, one.subject] > STORM:
                self.fault("step", "storm", one.code, f"more than {STORM} alerts {one.code} of one subject in {STORM} events")
                self.lately.clear()

    def tell(self, k: int, now: int) -> None:
        """The k-th event into the kernel, a tick, and now and then a question, a snapshot, and the plant again."""
        entry = self.bring(k, now)
        before = self.report.raised
        if entry is not None and not isinstance(entry.event, Tick):
            self.judge(self.kernel if entry.site == SITE else Kernel(entry.site), entry)
        self.judge(self.kernel, clock(now, 0 if k % 97 == 0 else STEP), "tick")
        if k % 7 == 0:
            asked = entry.event if entry is not None and isinstance(entry.event, Requested) else None
            for gate in GATES:
                about = PEOPLE[k % 6], ("D1", "D2", "", "?")[k % 4], (f"HW-{k // 600}", "CS-1", "")[k % 3]
                self.attempt(f"decide {gate}", self.kernel.decide, Question(gate, *about, Stamp(now, 1000), asked))
        if k % 40 == 0:
            self.judge(self.kernel, staged(now, k + 2))
        raw = self.attempt("snapshot", self.kernel.snapshot) if k % 50 == 0 else None
        if raw and (again := self.attempt("restore", restore, raw)):
            self.kernel, self.safe = again, raw
        if self.report.raised != before:
            self.kernel, self.safe = restore(self.safe) if self.safe else anew(now), b""


def anew(now: int) -> Kernel:
    """A kernel that knows the plant."""
    kernel = Kernel(SITE)
    kernel.step(staged(now, 1))
    kernel.step(clock(now))
    return kernel


def staged(now: int, seq: int) -> Entry:
    return Entry(SITE, "site", seq, now, "site.events", PlantSaid(at=now, plant=plant()))


def clock(now: int, idle: int = 0) -> Entry:
    return Entry(SITE, "clock", now // SECOND, now, "site.events", Tick(at=now, idle=idle))


def carried(entry: Entry) -> Entry:
    """An entry as the timeline brings it. Raises ValueError where it is another afterwards."""
    again = decode_entry(encode(entry))
    if again != entry:
        raise ValueError("an entry changes on the timeline")
    return again


def reason(said: str) -> str:
    """A refusal's sentence without its values."""
    said = said.partition(" - at")[0].partition("(")[0].strip()
    return re.sub(r"^'.*' is not|^'.*' has no|Invalid enum value .*|Object contains unknown field .*", _plain, said, flags=re.S)[:60]


def _plain(found: re.Match[str]) -> str:
    return "it is not" if found[0].endswith("is not") else ("it has no" if found[0].endswith("has no") else "a word that is not known")


def place_of(wrong: BaseException) -> str:
    """Where it was raised: our innermost three lines."""
    here = Path(__file__).parent.parent
    found = [f for f in traceback.extract_tb(wrong.__traceback__) if Path(f.filename).is_relative_to(here)]
    ours = [f for f in found if ".venv" not in f.filename and f.filename != __file__]
    return " < ".join(f"{Path(f.filename).relative_to(here)}:{f.lineno} {f.name}" for f in ours[:-4:-1]) or "in a library"


# ---- a clean permit beside ------------------------------------------------------------------------------------------


def clean_story() -> list[tuple[int, str, dict[str, Any]]]:
    """(ms, source, event) of a permit far away: its life, gas over the limit for five minutes, a guardian who leaves for ten."""
    asked = {"kind": "permit.requested", "type": "02", "point": "PZ", "workers": ["Z1"], "guardians": ["ZG"], "crew": "KZ",
             "valid_from": BASE + HOUR // 2, "valid_to": BASE + 8 * HOUR}  # fmt: skip
    tested = {"kind": "permit.gas_test", "results": [{"gas": "methane", "value": 0.05, "unit": "%vol"}], "device": "z-dev"}
    steps = {2: "jsa", 3: "measures", 4: "briefed", 60: "issued", 65: "started", 150: "finished", 165: "accepted"}
    life: list[tuple[int, dict[str, Any]]] = [(60, asked), *((m * 60, {"kind": "permit.step", "step": s, "by": "ZA"}) for m, s in steps.items()), (3000, tested)]
    out: list[tuple[int, str, dict[str, Any]]] = [(s, "z-ptw", row | {"permit": "HW-Z"}) for s, row in life]
    for s in range(5, 10_700, 10):
        out.append((s, "z-gas", {"kind": "frame", "names": ["GZ"], "values": [12.0 if 7200 < s < 7500 else 0.5]}))
        away = 500.0 if 5400 < s < 6000 else 3.0
        columns = {"workers": ["ZG"], "x": [90_000.0 + away], "y": [90_000.0], "z": [0.0], "acc": [2.0]}
        out += [(s, "z-tags", {"kind": "positions", **columns}), (s, "z-cam", {"kind": "camera.beat", "camera": "CZ", "recording": True})]
    return [(BASE + s * SECOND, source, row | {"at": BASE + s * SECOND, "u": 0}) for s, source, row in sorted(out, key=lambda r: r[0])]


def entry_of(source: str, row: dict[str, Any], seq: int) -> Entry:
    event: Any_ = msgspec.convert(row, Any_)
    return Entry(SITE, source, seq, row["at"], OF_KIND[row["kind"]].name, event)


def concerns(one: Output) -> bool:
    return "HW-Z" in (getattr(one, "permit", ""), getattr(one, "target", "")) or getattr(one, "point", "") == "PZ"


NEAR: Final = 60_000.0
"""Metres: an activity whose place is known no better than that may be beside the clean permit, 127 km away."""


def rightly_wide(entry: Entry) -> bool:
    """May an event concern every permit of a site?"""
    event = entry.event
    return str(event.__struct_config__.tag) in SITE_WIDE or (isinstance(event, SourceSaid) and event.name == "ingest") or (isinstance(event, Activity) and event.acc > NEAR)


def beside(way: Way, first: int, n: int) -> None:
    """Tells a clean permit to two kernels, one of which also hears `n` events about others: what is said of it must be equal."""
    alone, among, seqs = anew(BASE), anew(BASE), Counter[str]()
    story, k, last = deque(clean_story()), first, 3 * HOUR // SECOND
    for s in range(1, last + 1):
        now, calm, said = BASE + s * SECOND, list[Output](), list[Output]()
        while story and story[0][0] <= now:
            _, source, row = story.popleft()
            seqs[source] += 1
            told = entry_of(source, row, seqs[source])
            calm += alone.step(told)
            said += way.judge(among, told)
        if way.at is not None and k > way.at:
            return
        while k < first + n * s // last:
            entry, k = way.bring(k, now), k + 1
            if entry is not None and entry.site == SITE and not rightly_wide(entry):
                said += way.judge(among, entry)
        calm += alone.step(clock(now))
        said += way.judge(among, clock(now), "tick")
        compare(way, [encode(o) for o in calm if concerns(o)], [encode(o) for o in said if concerns(o)])


def compare(way: Way, calm: list[bytes], said: list[bytes]) -> None:
    way.report.compared += len(calm)
    if calm != said:
        odd = next((o for o in [*calm, *said] if (o in calm) != (o in said)), b"their order").decode()
        way.fault("beside", "another permit", "what is said of a permit", f"{len(calm)} expected, {len(said)} came: {odd}")


# ---- the command ----------------------------------------------------------------------------------------------------


def so_far(k: int, n: int, began: float, report: Report) -> None:
    """Says on standard error how far it is, as long as that is a matter of minutes."""
    if n >= FAR:
        gone = (time.monotonic() - began) / 60
        print(f"  {k:,} of {n:,} events, {gone:.0f} min, about {gone * (n - k) / k:.0f} min more; {len(report.faults)} kinds of fault", file=sys.stderr, flush=True)


def run(n: int, seed: int, say: Say = print, at: int | None = None) -> Report:
    """Tells n events: three in four in chapters, the rest beside clean permits. With `at`, only the chapter of that one, up to it."""
    report, began = Report(), time.monotonic()
    way, alone = Way(n, seed, report, say, at), n * 3 // 4
    first, last = (0, alone) if at is None else (min(at, alone) // CHAPTER * CHAPTER, min(alone, at + 1))
    for k in range(first, last if at is None or at < alone else first):
        if k % CHAPTER == 0:
            way.begin(BASE + k * STEP)
        way.tell(k, BASE + (k + 1) * STEP)
        if k % CHAPTER == CHAPTER - 1 or k == alone - 1:
            way.end(BASE + (k + 1) * STEP)
            if (k // CHAPTER) % max(1, n // CHAPTER // 50) == 0:
                so_far(k + 1, n, began, report)
    for k in range(alone, n, BESIDE):
        if at is None or k <= at < k + BESIDE:
            beside(way, k, min(BESIDE, n - k))
            so_far(min(k + BESIDE, n), n, began, report)
    way.store()
    way.loop.close()
    report.seconds = time.monotonic() - began
    return report


def page(report: Report, n: int, seed: int) -> str:
    """The report as a small page."""
    made, taken = report.made, report.taken
    sums = [sum(c.values()) for c in (made, report.door, report.intake, taken)]
    by_kind = [(k, made[k], _of(report.door, k), _of(report.intake, k), taken[k]) for k in sorted(made)]
    lines = ["| kind | made | refused at the door | refused by the intake | taken |", "|---|---:|---:|---:|---:|"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in (*by_kind, ("all", *sums))]
    for title, counted in (("At the door", report.door), ("By the intake", report.intake)):
        reasons = Counter({why: sum(m for (_, w), m in counted.items() if w == why) for _, why in counted})
        lines += ["", f"{title}:", "", *(f"- {m} × {why}" for why, m in reasons.most_common(25))]
    faults = [*(f"- {f}" for f in report.often), *(f"- {said}" for said in report.once)] if report.often or report.once else ["No fault."]
    return "\n".join([
        "# Events of every kind, plausible and absurd", "", f"`permitwatch fuzz --events {n} --seed {seed}` on {machine()}: {report.seconds / 60:.1f} min.", "",
        f"{report.outputs} outputs were encoded and read again. {report.compared} outputs about a clean permit were compared.", "", *faults, "", *lines, "",
    ])  # fmt: skip


def _of(counted: Counter[tuple[str, str]], kind: str) -> int:
    return sum(m for (k, _), m in counted.items() if k == kind)


def look_again(report: Report, n: int, seed: int) -> None:
    """Slow steps are told again: what is slow only once was kept waiting by the machine."""
    for key, fault in [(k, f) for k, f in report.faults.items() if k[0] == "slow"]:
        if not any(k == key for k in run(n, seed, lambda said: None, fault.at).faults):
            report.once.append(f"event {fault.at}: {fault.place}: {fault.said}, and no more than {SLOW:g} s when it was told again")
            del report.faults[key]


def fuzz(n: int, seed: int, write: Path | None, at: int | None = None) -> int:
    """Tells n events the whole way and says what came of them; 1 if anything raised or a clean permit noticed."""
    report = run(n, seed, print, at)
    if at is None:
        look_again(report, n, seed)
    if write:
        write.write_text(page(report, n, seed), encoding="utf-8")
    print(page(report, n, seed) if at is None else f"{len(report.faults)} faults up to event {at}")
    return 1 if report.faults else 0


def main() -> int:
    p = argparse.ArgumentParser("permitwatch fuzz", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--events", type=int, default=20_000, help="how many")
    p.add_argument("--seed", type=int, default=1, help="the same seed makes the same events")
    p.add_argument("--at", type=int, help="stop after this event and show it")
    p.add_argument("--write", type=Path, help="write the report to a file, too")
    a = p.parse_args()
    return fuzz(a.events, a.seed, a.write, a.at)


if __name__ == "__main__":
    sys.exit(main())
