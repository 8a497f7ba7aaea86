"""Every topic: its name, what it holds, how long it is kept, and which kind of event goes where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

DAY: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """A Kafka topic keyed by site; `keep_ms` is its retention, -1 for ever."""

    name: str
    keep_ms: int = 7 * DAY
    keep_bytes: int = 2 << 30
    compacted: bool = False
    largest: int = 2 << 20
    flush: Literal["each", "second", ""] = "second"
    """On a single node, when the broker must have it on its disk: before it says that it has it, or a second later; what is derived may be derived again."""


READINGS = Topic("sensor.readings", 2 * DAY)
DETECTIONS = Topic("camera.detections")
CLIPS = Topic("evidence.clips")
BADGES = Topic("badge.events", flush="each")
PERMITS = Topic("permit.events", flush="each")
ROSTER = Topic("roster.events", flush="each")
WEATHER = Topic("weather.events")
SITE = Topic("site.events", flush="each")
ACTIONS = Topic("alert.actions", flush="each")
RAW: Final = (READINGS, DETECTIONS, CLIPS, BADGES, PERMITS, ROSTER, WEATHER, SITE, ACTIONS)

TIMELINE = Topic("site.timeline", 7 * DAY, 4 << 30, largest=4 << 20)
VERDICTS = Topic("verdicts", 30 * DAY)
ALERTS = Topic("alerts", 30 * DAY)
COMMANDS = Topic("commands", 30 * DAY)
MINUTES = Topic("minutes", 30 * DAY)
CODES = Topic("codes", -1, -1, compacted=True)
DELIVERIES = Topic("deliveries", 30 * DAY)
SNAPSHOTS = Topic("site.snapshots", -1, -1, compacted=True, largest=16 << 20)
SHADOW = Topic("shadow.alerts", 30 * DAY)
DEAD = Topic("dead.letters", 30 * DAY, largest=8 << 20)
ALL: Final = (*RAW, TIMELINE, VERDICTS, ALERTS, COMMANDS, MINUTES, CODES, DELIVERIES, SHADOW, SNAPSHOTS, DEAD)

OF_KIND: Final = {
    kind: topic
    for topic, kinds in (
        (READINGS, ("frame",)),
        (DETECTIONS, ("detection", "camera.beat")),
        (CLIPS, ("clip", "probe")),
        (BADGES, ("positions", "scan", "guard", "tag", "decided")),
        (PERMITS, ("permit.requested", "permit.gas_test", "permit.step", "isolation")),
        (ROSTER, ("worker", "certificate", "hr", "authorisation", "record", "registry", "contractor")),
        (WEATHER, ("weather", "warning")),
        (SITE, ("plant", "source", "clock", "activity", "production", "hazard", "device", "equipment", "special", "pack", "chain", "command.done", "tick")),
        (ACTIONS, ("action",)),
    )
    for kind in kinds
}
"""Which kind of event travels on which topic."""


def named(name: str, prefix: str = "") -> str:
    """A topic's name on a broker that several systems share (tests put a prefix before it)."""
    return prefix + name
