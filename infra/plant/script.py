"""What the devices of a plant in a box act out: a day's random jobs or a story, as functions of time and as events that systems push."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec
import tomli_w

from infra.plant.reference import write_csv
from infra.plant.story import Story, Stream, moment, samples
from streams.events import Any_, CameraBeat, Certificate, Clip, Detection, Guard, OfficialWarning, Positions, Scan, Weather, Worker
from streams.plant import Channel, Http, Modbus, OpcUa, Plant
from streams.times import SECOND

Fix = tuple[str, float, float, float]
"""(worker, x m, y m, 1-sigma error m)"""
INSTANTS = ("at", "valid_from", "valid_to", "planned_start", "until", "due")
PANEL, DCS = "panel-1", "dcs"
BEGAN = "began"
"""The file beside plant.toml that keeps when a story began, so that a box that died goes on where it was."""
GASES = frozenset({"combustible", "oxygen", "toxic"})
SYSTEMS: dict[type[Any], str] = {Scan: "badges", Guard: "badges", Positions: "tags", Detection: "cameras", CameraBeat: "cameras", Clip: "cameras",
                                 Worker: "hr", Certificate: "hr", Weather: "weather", OfficialWarning: "weather"}  # fmt: skip
"""Which of the plant's systems would push an event; what is not here comes from the permit system or from people."""


class Script(Protocol):
    """What happens, as devices see it. Instants are ms."""

    plant: Plant
    seed: int

    def events(self) -> list[tuple[int, str, Any_]]:
        """(when it is pushed, by which system, what), in order."""

    def readings(self, channels: list[Channel], at: int) -> list[float | None]:
        """What each channel measures; None where its device has no value to give."""

    def fixes(self, at: int) -> list[Fix]:
        """Where the tags are."""

    def recording(self, camera: str, at: int) -> bool | None:
        """Does its recorder record? None: it does not say."""


class StoryScript:
    """A story acted out on the wires: `since` of its own time is now; what came before is pushed at once, with its own times."""

    seed = 1

    def __init__(self, story: Story, plant: Plant, since: str, now: int) -> None:
        self.story, self.plant = story, plant
        self.began = story.ms(since) if since else story.start
        self.shift = now - self.began
        self.days = dt.timedelta(days=round(self.shift / 86_400_000))
        self.noise = random.Random(1)

    @property
    def over(self) -> int:
        """When the story has been told, ms."""
        return self.story.end + self.shift

    def events(self) -> list[tuple[int, str, Any_]]:
        rows = [(arrives + self.shift, self._system(event), self._moved(event)) for arrives, event in (*self.story.singles, *self._before())]
        return sorted(rows, key=lambda row: row[0])

    def _before(self) -> Iterator[tuple[int, Any_]]:
        """What tags and cameras had sent before the moment that is now; a wire cannot tell the past."""
        for s in self.story.told.stream:
            if s.what in ("fixes", "beats"):
                yield from ((at, event) for at, _, event in samples(self.story.told, s) if at < self.began)

    @staticmethod
    def _system(event: Any_) -> str:
        kind = str(event.__struct_config__.tag)
        return SYSTEMS.get(type(event), "ptw" if kind.startswith("permit.") else "operator")

    def _moved(self, event: Any_) -> Any_:
        changes: dict[str, Any] = {}
        for name in INSTANTS:
            value = getattr(event, name, None)
            if isinstance(value, int):
                changes[name] = value + self.shift
        if isinstance(event, Certificate):
            changes["valid_to"] = str(dt.date.fromisoformat(event.valid_to) + self.days)
        return msgspec.structs.replace(event, **changes)  # type: ignore[no-any-return]

    def _streams(self, what: str, at: int) -> Iterator[tuple[Stream, int, int, int]]:
        then = at - self.shift
        for s in self.story.told.stream:
            since, until = moment(self.story.told, s.since), moment(self.story.told, s.until)
            if s.what == what and since <= then <= until + SECOND:
                yield s, since, until, then

    def readings(self, channels: list[Channel], at: int) -> list[float | None]:
        now = {s.tag: s.level(since, until, then) for s, since, until, then in self._streams("gas", at)}
        return [now.get(c.tag) for c in channels]

    def fixes(self, at: int) -> list[Fix]:
        return [(s.worker, s.x + self.noise.gauss(0, s.noise), s.y + self.noise.gauss(0, s.noise), s.acc) for s, *_ in self._streams("fixes", at)]

    def recording(self, camera: str, at: int) -> bool | None:
        return next((s.recording for s, *_ in self._streams("beats", at) if s.camera == camera), None)


def write_story_plant(folder: Path, story: Story, plant: Plant, sources: Iterable[str], modbus_port: int, opcua_port: int) -> Path:
    """The stage of a story as the files of a plant with real wires: gas on a Modbus panel, the rest on OPC UA; returns plant.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BEGAN).unlink(missing_ok=True)
    wired = [_wired(c, i) for i, c in enumerate(plant.channels)]
    tree = {key: value for key, value in msgspec.to_builtins(plant).items() if value not in (None, [], {})}
    channels, points = [msgspec.to_builtins(c) for c in wired], tree.pop("points", [])
    tree.pop("channels", None)
    tree["modbus"] = [msgspec.to_builtins(Modbus(PANEL, f"127.0.0.1:{modbus_port}"))]
    tree["opcua"] = [msgspec.to_builtins(OpcUa(DCS, f"opc.tcp://127.0.0.1:{opcua_port}/plant/"))]
    tree["http"] = [msgspec.to_builtins(Http(s, f"PERMITWATCH_TOKEN_{s.upper()}", ["*"])) for s in sources]
    (folder / "plant.toml").write_text(f"# The stage of story {story.told.story}.\n" + tomli_w.dumps(tree), encoding="utf-8")
    write_csv(folder / "points.csv", channels or [{"tag": ""}])
    write_csv(folder / "places.csv", points)
    return folder / "plant.toml"


def began(folder: Path, now: int) -> int:
    """When the story on these files began, ms: now, if it begins now."""
    file = folder / BEGAN
    if not file.exists():
        file.write_text(str(now))
    return int(file.read_text())


def _wired(channel: Channel, i: int) -> Channel:
    if channel.kind in GASES:
        return msgspec.structs.replace(channel, source=PANEL, register=2 * i, status_register=2 * i + 1, type="uint16", scale=0.01)
    return msgspec.structs.replace(channel, source=DCS, node=f"ns=2;s={channel.tag}")
