"""A story: a TOML timeline of what happened at a work point, and what must be said about it.

    StoryError      something in a story is wrong: file, line, field, what to do
"""

from __future__ import annotations

import datetime as dt
import random
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from streams.events import Any_, CameraBeat, Envelope, Frame, Lane, PlantSaid, Positions, SourceSaid, encode
from streams.limits import LIMITS
from streams.packs import Pack, Setting, built_in
from streams.plant import Area, Channel, Door, Plant, Point, Policy, Shop, Zone
from streams.reading import syntax_line
from streams.sentences import CODES
from streams.times import SECOND
from streams.topics import OF_KIND

SITE = "story"
HERE = "{site}"
"""In the bytes of a raw message: the site the story is told at, each time another one."""
TIMES = frozenset({"at", "valid_from", "valid_to", "planned_start", "until", "arrives", "effective", "recorded", "due", "since", "onset", "decided"})


class StoryError(Exception):
    """Something in a story is wrong: says where, what, and what to do."""

    def __init__(self, file: Path, line: int, field: str, what: str, remedy: str) -> None:
        super().__init__(f"{file}:{line}: {field}: {what}. {remedy}")


class Stream(Struct, forbid_unknown_fields=True):
    """A series that a device sends: fixes of a person, readings of a channel, beats of a camera, or signs of life of our own door (`ingest`). Times are HH:MM:SS."""

    what: str
    since: str
    until: str
    every: float = 0
    worker: str = ""
    tag: str = ""
    camera: str = ""
    x: float = 0
    y: float = 0
    acc: float = 3
    noise: float = 0
    seed: int = 1
    value: float = 0
    ramp: list[float] = []
    recording: bool = True
    clock: int = 0
    source: str = ""
    arrives: str = ""
    """All of it arrives then, by the backlog: a gateway had kept it."""

    def level(self, since: int, until: int, at: int) -> float:
        """The value of a gas stream at a moment (all ms): constant, or on its ramp."""
        return self.ramp[0] + (self.ramp[1] - self.ramp[0]) * (at - since) / max(1, until - since) if self.ramp else self.value


class Expect(Struct, forbid_unknown_fields=True):
    """An alert that must come: its code, priority, when (within `within` s), for which permit (`-`: for none), and what is asked of other systems."""

    code: str
    priority: int
    at: str
    within: float = 1
    permit: str = ""
    aq: str = ""
    state: str = ""
    revised: str = ""
    ended: str = ""
    """When what it speaks of was over."""
    commands: list[str] = []
    pack: str = ""
    members: int = 0
    revisions: int = 0
    """At most so many."""


class Ruling(Struct, forbid_unknown_fields=True):
    """The verdict that a permit must have in the end, and single checks of it."""

    permit: str
    outcome: str
    checks: dict[str, str] = {}
    at: str = ""


class Decision(Struct, forbid_unknown_fields=True):
    """What a gate must be answered; `reasons` is the exact list. `for`: entry, leave, issue, start, resume, close, application (with `request`, as it would be sent)."""

    at: str
    answer: str
    worker: str = ""
    door: str = "DOOR"
    direction: str = "in"
    gate: str = msgspec.field(default="entry", name="for")
    permit: str = ""
    mode: str = ""
    request: dict[str, Any] = {}
    u: int = 0
    reasons: list[str] = []


class Arrival(Struct, forbid_unknown_fields=True):
    """How the messages come in: each up to so many seconds late, so out of order, with so many repeats (a share), by a seed."""

    shuffle: float = 0
    repeats: float = 0
    seed: int = 1


class Told(Struct, forbid_unknown_fields=True):
    """A story as written."""

    story: str
    zh: str
    en: str
    day: dt.date = dt.date(2026, 3, 10)
    since: str = "07:30:00"
    until: str = "12:30:00"
    timezone: str = "Asia/Shanghai"
    pack: str = "GB"
    limits: dict[str, float] = {}
    """Figures of a plant's own pack over `pack`."""
    rules: dict[str, Setting] = {}
    evidence: dict[str, list[str]] = {}
    """Over its pack: type of work → the kinds of evidence that are asked before the issue."""
    seeds: list[str] = []
    decided: str = ""
    dead_letters: int = 0
    also: list[str] = []
    dark: list[tuple[str, str]] = []
    """Spans without a tick: we ourselves were away."""
    annunciations: int = 0
    """At most so many revisions may be told to people; 0: not counted."""
    scene: dict[str, Any] = {}
    arrival: Arrival = msgspec.field(default_factory=Arrival)
    event: list[dict[str, Any]] = []
    stream: list[Stream] = []
    expect: list[Expect] = []
    verdict: list[Ruling] = []
    decision: list[Decision] = []


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it arrives: when (ms), on which topic, and its bytes."""

    arrives: int
    topic: str
    raw: bytes


@dataclass
class Story:
    """A story ready to be told: its messages in order of arrival, and what is expected."""

    file: Path
    told: Told
    start: int
    end: int
    messages: list[Message] = field(default_factory=list)
    singles: list[tuple[int, Any_]] = field(default_factory=list)
    """(when it arrives, the event) of everything that is not a stream, for the wires of a plant in a box."""

    def ms(self, text: str) -> int:
        return moment(self.told, text)

    def ticks(self, at: int) -> bool:
        """Does the clock of the site tick at a moment?"""
        return not any(self.ms(a) < at < self.ms(b) for a, b in self.told.dark)

    def busy(self) -> list[tuple[int, int]]:
        """(each second in which something comes or is awaited, and every tenth; how long before it (ms) no second was told that is not dark)."""
        told, comes = self.told, {-(-m.arrives // SECOND) for m in self.messages} | {-(-at // SECOND) - 1 for at, _ in self.singles}
        awaited = [t for e in told.expect for t in (e.at, e.revised, e.ended)] + [v.at for v in told.verdict] + [d.at for d in told.decision]
        near = {self.ms(t) // SECOND + off for t in awaited if t for off in range(-2, 3)}
        seconds, idle, last = list[tuple[int, int]](), 0, self.end // SECOND
        for second in range(self.start // SECOND, last + 1):
            if not self.ticks(second * SECOND):
                continue
            if second in comes or second in near or second % 10 == 0 or second == last:
                seconds.append((second * SECOND, idle))
                idle = 0
            else:
                idle += SECOND
        return seconds


def moment(told: Told, text: str) -> int:
    """`HH:MM[:SS[.mmm]]`, optionally with `D±n ` before it, in plant time → ms. 24:00 is the next midnight."""
    m = re.fullmatch(r"(?:D([+-]\d+) )?(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?", text)
    if not m:
        raise ValueError(f"{text!r} is not a time like 08:40:00 or D-1 14:00:00")
    midnight = dt.datetime.combine(told.day, dt.time(), ZoneInfo(told.timezone))
    seconds = int(m[2]) * 3600 + int(m[3]) * 60 + int(m[4] or 0)
    return int(midnight.timestamp() + (int(m[1] or 0) * 86400) + seconds) * 1000 + int((m[5] or "0").ljust(3, "0"))


def read_story(path: Path, site: str = SITE) -> Story:
    """Reads a story's file, played at a site of that name. Raises StoryError with line and remedy."""
    text = path.read_text(encoding="utf-8")
    try:
        told = msgspec.convert(tomllib.loads(text), Told)
    except tomllib.TOMLDecodeError as wrong:
        raise StoryError(path, syntax_line(wrong), "syntax", str(wrong), "Mend the TOML on this line") from None
    except msgspec.ValidationError as wrong:
        raise _story_error(path, text, str(wrong)) from None
    return _prepare(path, text, told, site)


def _prepare(path: Path, text: str, told: Told, site: str) -> Story:
    try:
        story = Story(path, told, moment(told, told.since), moment(told, told.until))
    except ValueError as wrong:
        raise StoryError(path, 1, "since/until", str(wrong), "Write HH:MM:SS") from None
    numbered = _Numbered(told, site)
    try:
        numbered.put(story.start, "site", PlantSaid(at=story.start, u=0, plant=scene(told, site)))
    except (ValueError, KeyError) as wrong:
        raise StoryError(path, 1, "scene", str(wrong), "docs/stories.md lists what a stage may be") from None
    for i, row in enumerate(told.event):
        line = _line(text, "event", i)
        try:
            numbered.event(row)
        except (ValueError, msgspec.ValidationError, KeyError) as wrong:
            raise StoryError(path, line, f"event {i + 1}", str(wrong), "Write the fields that the JSON Schema gives for this kind") from None
    story.singles = [(arrives, event) for arrives, _, _, event in numbered.rows[1:] if not isinstance(event, bytes)]
    for i, stream in enumerate(told.stream):
        try:
            numbered.stream(stream)
        except ValueError as wrong:
            raise StoryError(path, _line(text, "stream", i), f"stream {i + 1}", str(wrong), "Write fixes, gas, beats or ingest with since, until and every") from None
    for table in ("expect", "verdict", "decision"):
        for i, row in enumerate(getattr(told, table)):
            try:
                _ = row.at and moment(told, row.at)
            except ValueError as wrong:
                raise StoryError(path, _line(text, table, i), "at", str(wrong), "Write HH:MM:SS") from None
    story.messages = numbered.messages(told.arrival)
    return story


def _line(text: str, table: str, nth: int) -> int:
    """The line of the n-th row of a table, written as [[table]] or as `table = [` with one row a line."""
    lines = text.splitlines()
    heads = [i + 1 for i, line in enumerate(lines) if line.strip() == f"[[{table}]]"]
    opened = next((i for i, line in enumerate(lines) if re.match(rf"{table}\s*=\s*\[", line)), None)
    if not heads and opened is not None:
        closed = next((i for i, line in enumerate(lines) if i > opened and line.startswith("]")), len(lines))
        heads = [i + 1 for i in range(opened, closed) if lines[i].lstrip().startswith("{")]
    return heads[nth] if nth < len(heads) else 1


def _story_error(path: Path, text: str, said: str) -> StoryError:
    m = re.search(r"`\$\.(\w+)(?:\[(\d+)\])?", said)
    line = _line(text, m[1], int(m[2] or 0)) if m else 1
    field_ = f[1] if (f := re.search(r"field `(\w+)`", said)) else (m[1] if m else "file")
    return StoryError(path, line, field_, said.split(" - at")[0], "docs/stories.md lists what a story may say")


def scene(told: Told, site: str = SITE) -> Plant:
    """The stage: point P (radius 15 m) with camera C, methane detector D and a door, unless the story sets it otherwise."""
    given = told.scene
    points = [Point("P", "A1", 0, 0, 0, 15, ["C"], ["D"])]
    channels = [Channel("D", "gas", "combustible", "%LEL", "A1", "methane")]
    plant = Plant(
        site, "故事工厂", "story plant", told.timezone, told.pack, _book(told),
        msgspec.convert(given.get("policy", {}), Policy), [Shop("W1", "一车间", "shop 1")], [Area("A1", "W1", "一区", "area 1")],
        msgspec.convert(given["points"], list[Point]) if "points" in given else points,
        msgspec.convert(given["channels"], list[Channel]) if "channels" in given else channels,
        msgspec.convert(given["doors"], list[Door]) if "doors" in given else [Door("DOOR", ["P"]), Door("GATE", [], ["A1"])],
        msgspec.convert(given.get("zones", []), list[Zone]), roster=msgspec.convert(given.get("roster", []), list[str]), push_delay=msgspec.convert(given.get("push_delay", {}), dict[str, int]),
    )  # fmt: skip
    return plant


def _book(told: Told) -> Pack | None:
    """The story's own figures and switches over its pack."""
    if not told.limits and not told.rules and not told.evidence:
        return None
    strange = [name for name in told.limits if name not in LIMITS] + [code for code in told.rules if code not in CODES]
    if strange:
        raise ValueError(f"no limit or rule {strange[0]}")
    base = built_in(told.pack)
    return msgspec.structs.replace(base, name=f"{base.name}*", limits=base.limits | told.limits, rules=base.rules | told.rules, evidence=base.evidence | told.evidence)


class _Numbered:
    """Gives each message the next number of its source, in order of arrival."""

    def __init__(self, told: Told, site: str) -> None:
        self.told, self.site = told, site
        self.rows: list[tuple[int, str, str, Any_ | bytes]] = []
        self.lost: set[int] = set()
        """The rows that were numbered and never came."""
        self.kept: set[int] = set()
        """The rows that come by the backlog."""
        self.said: dict[tuple[int, str, int, type], int] = {}
        """When a sample arrives, its source, its own time and kind → its row: what a source samples at one moment is one message."""

    def put(self, arrives: int, source: str, event: Any_, kept: bool = False) -> None:
        if kept:
            self.kept.add(len(self.rows))
        self.rows.append((arrives, source, OF_KIND[str(event.__struct_config__.tag)].name, event))

    def event(self, row: dict[str, Any]) -> None:
        row = dict(row)
        source, clock = row.pop("source", "ptw"), row.pop("clock", 0)
        if "raw" in row:
            topic, raw = row["topic"], row["raw"].replace(HERE, self.site).encode()
            self.rows.append((moment(self.told, row["arrives"]), source, topic, raw))
            return
        arrives = row.pop("arrives", None) or row["at"]
        if row.pop("lost", False):
            self.lost.add(len(self.rows))
        dated = TIMES - {"valid_to"} if row.get("kind") == "certificate" else TIMES
        timed = {k: (moment(self.told, v) if k in dated and isinstance(v, str) else v) for k, v in row.items()}
        timed["at"] += clock * 1000
        if row.get("kind") == "pack":
            base, version, limits = str(timed.pop("base", "GB")), str(timed.pop("version", "2")), dict[str, float](timed.pop("limits", {}))  # type: ignore[arg-type]
            timed["pack"] = msgspec.to_builtins(_pack(base, version, limits))
        event: Any_ = msgspec.convert({"u": 0} | timed, Any_)  # type: ignore[arg-type]
        self.put(moment(self.told, arrives) if isinstance(arrives, str) else arrives, source, event)

    def stream(self, s: Stream) -> None:
        arrives = moment(self.told, s.arrives) if s.arrives else None
        for at, source, event in samples(self.told, s):
            comes = at if arrives is None else arrives
            key = (comes, source, event.at, type(event))
            row = self.said.get(key)
            both = _together(self.rows[row][3], event) if row is not None else None
            if row is not None and both is not None:
                self.rows[row] = (*self.rows[row][:3], both)
            else:
                self.said[key] = len(self.rows)
                self.put(comes, source, event, arrives is not None)

    def messages(self, arrival: Arrival) -> list[Message]:
        rng = random.Random(arrival.seed)
        late = [int(rng.uniform(0, arrival.shuffle) * 1000) if arrival.shuffle else 0 for _ in self.rows]
        rows = [(row[0] + ms, i, row[1], row[2], row[3]) for i, (row, ms) in enumerate(zip(self.rows, late, strict=True))]
        first = min(r[0] for r in rows)
        plant = rows[0][4]
        assert isinstance(plant, PlantSaid)
        rows[0] = (first, 0, rows[0][2], rows[0][3], msgspec.structs.replace(plant, at=min(first, plant.at)))
        rows.sort(key=lambda r: r[:2])
        seqs: dict[tuple[str, str, Lane], int] = {}
        out = []
        for at, i, source, topic, event in rows:
            lane = Lane.BACKLOG if i in self.kept else Lane.LIVE
            n = seqs[source, topic, lane] = seqs.get((source, topic, lane), 0) + 1
            raw = event if isinstance(event, bytes) else _envelope(self.site, source, n, at, event, lane)
            if i in self.lost:
                continue
            out.append(Message(at, topic, raw))
            if rng.random() < arrival.repeats:
                out.append(Message(at, topic, raw))
                n = seqs[source, topic, lane] = n + 1
                out.append(Message(at, topic, _envelope(self.site, source, n, at, event, lane) if not isinstance(event, bytes) else event))
        return out


def _together(one: Any_ | bytes, other: Any_) -> Any_ | None:
    """What two streams of one source say at one moment, as a source says it: in one message. None: they speak of the same, or of different things."""
    match one, other:
        case Positions(), Positions() if not {*one.workers} & {*other.workers}:
            return msgspec.structs.replace(one, workers=one.workers + other.workers, x=one.x + other.x, y=one.y + other.y, z=one.z + other.z, acc=one.acc + other.acc)
        case Frame(), Frame() if not {*one.names} & {*other.names}:
            return msgspec.structs.replace(one, names=one.names + other.names, values=one.values + other.values)
    return None


def _pack(base: str, version: str, limits: dict[str, float]) -> Pack:
    """A pack that changes a few figures of a built-in one."""
    under = built_in(base)
    return msgspec.structs.replace(under, version=version, limits=under.limits | limits)


def _envelope(site: str, source: str, seq: int, at: int, event: Any_, lane: Lane = Lane.LIVE) -> bytes:
    return encode(Envelope(site, source, seq, at, msgspec.Raw(encode(event)), lane, virtual=True))


def samples(told: Told, s: Stream) -> Iterator[tuple[int, str, Any_]]:
    """(when, source, event) of each message of a stream."""
    since, until = moment(told, s.since), moment(told, s.until)
    step = int(1000 * (s.every or {"fixes": 5, "gas": 1, "beats": 10, "ingest": 10}.get(s.what, 1)))
    rng = random.Random(s.seed)
    for at in range(since, until + 1, step):
        yield at, *_sample(s, at, since, until, rng)


def _sample(s: Stream, at: int, since: int, until: int, rng: random.Random) -> tuple[str, Any_]:
    stamp = at + s.clock * 1000
    match s.what:
        case "fixes":
            x, y = s.x + rng.gauss(0, s.noise), s.y + rng.gauss(0, s.noise)
            return s.source or "tags", Positions(at=stamp, u=0, workers=[s.worker], x=[x], y=[y], z=[0.0], acc=[s.acc])
        case "gas":
            return s.source or "gas", Frame(at=stamp, u=0, names=[s.tag], values=[round(s.level(since, until, at), 6)])
        case "ingest":
            return "ingest", SourceSaid(at=stamp, u=0, name="ingest", state="up")
        case "beats":
            return s.source or f"cam-{s.camera}", CameraBeat(at=stamp, u=0, camera=s.camera, recording=s.recording)
    raise ValueError(f"what = {s.what!r} is not a kind of stream")
