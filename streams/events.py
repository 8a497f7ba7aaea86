"""The words: every fact, output and dead letter that travels through PermitWatch, as frozen msgspec structs.

Instants are integer milliseconds since 1970-01-01 UTC. `u` is the clock's uncertainty (± ms; None: the
source's own default), `grain` the width of a truncated stamp (60 000 for a minute: [at, at + grain)).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from streams.plant import Plant


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What every fact says of itself: when it was true, and how well its clock knows."""

    at: int
    u: int | None = None
    grain: int = 0


# ---- sensor.readings ------------------------------------------------------------------------------------------------


class Frame(Event, frozen=True, kw_only=True, tag="frame"):
    """Readings of one source within one second, columnar: `values[i]` belongs to `names[i]`; None is BAD, its reason in `bad`."""

    names: list[str]
    values: list[float | None]
    bad: dict[str, str] = {}
    units: dict[str, str] = {}


# ---- badge.events ---------------------------------------------------------------------------------------------------


class Positions(Event, frozen=True, kw_only=True, tag="positions"):
    """Fixes of many tags within one second, columnar, in metres; `acc` is the 1-sigma error of each fix."""

    workers: list[str]
    x: list[float]
    y: list[float]
    z: list[float]
    acc: list[float]


class Scan(Event, frozen=True, kw_only=True, tag="scan"):
    """A badge, QR code or face at a door, with the direction it opened to."""

    worker: str
    door: str
    direction: Literal["in", "out"] = "in"


class Guard(Event, frozen=True, kw_only=True, tag="guard"):
    """A guardian takes a post (sign-in), hands it to `to`, or leaves it."""

    permit: str
    worker: str
    action: Literal["sign_in", "hand_over", "sign_out"]
    to: str = ""


class Decided(Event, frozen=True, kw_only=True, tag="decided"):
    """What a door was answered, kept because the answer is evidence."""

    worker: str
    door: str
    direction: str
    answer: Literal["allow", "deny", "pending"]
    reasons: list[str]


# ---- permit.events --------------------------------------------------------------------------------------------------


class Requested(Event, frozen=True, kw_only=True, tag="permit.requested"):
    """A permit as asked for. `type` is the AQ 3064.2 Table A.2 code (01 special hot work … 70 confined space)."""

    permit: str
    type: str
    point: str
    valid_from: int
    valid_to: int
    planned_start: int | None = None
    crew: str = ""
    workers: list[str] = []
    guardians: list[str] = []
    responsible: str = ""
    contractor: str = ""
    content: str = ""
    channel: Literal["app", "paper", "voice"] = "app"


class GasResult(Struct, frozen=True, omit_defaults=True):
    """One component of a gas analysis; `unit` is %vol, %LEL, ppm or mg/m3."""

    gas: str
    value: float | None
    unit: str


class GasTest(Event, frozen=True, kw_only=True, tag="permit.gas_test"):
    """A gas analysis or a recorded reading for one permit; `at` is the sampling time."""

    permit: str
    results: list[GasResult] = []
    passed: bool | None = None
    method: Literal["manual", "auto", "lab"] = "auto"
    device: str = ""
    analyst: str = ""


STEPS = (
    "jsa", "isolated", "briefed", "measures", "approved", "rejected", "issued", "started",
    "suspended", "resumed", "changed", "finished", "accepted", "cancelled",
)  # fmt: skip


class Step(Event, frozen=True, kw_only=True, tag="permit.step"):
    """One step of a permit's life; `issued` is the final approval, `accepted` closes. x, y, z, acc: where it was signed."""

    permit: str
    step: Literal[
        "jsa", "isolated", "briefed", "measures", "approved", "rejected", "issued", "started",
        "suspended", "resumed", "changed", "finished", "accepted", "cancelled",
    ]  # fmt: skip
    by: str = ""
    node: str = ""
    note: str = ""
    x: float | None = None
    y: float | None = None
    z: float | None = None
    acc: float | None = None


# ---- camera.detections, evidence.clips -----------------------------------------------------------------------------


class Detection(Event, frozen=True, kw_only=True, tag="detection"):
    """A behaviour seen by a camera at a work point."""

    camera: str
    behaviour: str
    confidence: float
    point: str = ""
    phase: Literal["start", "update", "end"] = "update"
    track: str = ""


class CameraBeat(Event, frozen=True, kw_only=True, tag="camera.beat"):
    """A camera's sign of life: is it recording (None: its recorder does not say)?"""

    camera: str
    recording: bool | None = None


class Clip(Event, frozen=True, kw_only=True, tag="clip"):
    """An index entry of evidence, from `at` to `until`; the bytes stay where they are."""

    camera: str
    until: int
    permit: str = ""
    point: str = ""
    medium: Literal["video", "photo", "voice", "document"] = "video"
    sha256: str = ""
    uri: str = ""


# ---- roster.events, weather.events ---------------------------------------------------------------------------------


class Worker(Event, frozen=True, kw_only=True, tag="worker"):
    """A person under a pseudonym: what the rules need to know and no more."""

    worker: str
    crew: str = ""
    employer: str = ""
    trades: list[str] = []
    contractor: bool = False


class Certificate(Event, frozen=True, kw_only=True, tag="certificate"):
    """A certificate; `valid_to` is the last valid local day (YYYY-MM-DD)."""

    worker: str
    number: str
    trade: str
    valid_to: str
    status: Literal["valid", "revoked", "re-examination", "review overdue"] = "valid"


class Weather(Event, frozen=True, kw_only=True, tag="weather"):
    """An observation: wind in m/s, temperature in °C."""

    station: str
    wind_mean: float | None = None
    wind_gust: float | None = None
    temperature: float | None = None


class OfficialWarning(Event, frozen=True, kw_only=True, tag="warning"):
    """An official weather warning and the time until which it stands."""

    hazard: str
    colour: str
    until: int


# ---- site.events, alert.actions ------------------------------------------------------------------------------------


class PlantSaid(Event, frozen=True, kw_only=True, tag="plant"):
    """The plant's configuration, in the log so that a replay knows what was known."""

    plant: Plant


class SourceSaid(Event, frozen=True, kw_only=True, tag="source"):
    """A source's sign of life or of its end."""

    name: str
    state: Literal["up", "down"]
    reason: str = ""


class ClockSaid(Event, frozen=True, kw_only=True, tag="clock"):
    """A device's clock was compared with ours: `offset` = device − true time, `residual` its error, both ms."""

    device: str
    offset: int
    residual: int = 0


class Tick(Event, frozen=True, kw_only=True, tag="tick"):
    """A second of a site's time. `behind` ms: how late we ourselves are; `virtual`: a player drives the clock; `last`: it has told all."""

    behind: int = 0
    virtual: bool = False
    last: bool = False


class Action(Event, frozen=True, kw_only=True, tag="action"):
    """What a person did about an alert."""

    alert: str
    action: Literal["acknowledge", "resolve"]
    by: str
    note: str = ""


Any_ = (
    Frame | Positions | Scan | Guard | Decided | Requested | GasTest | Step | Detection | CameraBeat | Clip | Worker
    | Certificate | Weather | OfficialWarning | PlantSaid | SourceSaid | ClockSaid | Tick | Action
)  # fmt: skip


class Lane(StrEnum):
    """What is new, and what a gateway kept while it was cut off: the second must never delay the first."""

    LIVE = "live"
    BACKLOG = "backlog"


class Envelope(Struct, frozen=True, omit_defaults=True):
    """A fact as its source numbered it. (source, topic, lane, seq) names it for ever; `seen` is the gateway's clock."""

    site: str
    source: str
    seq: int
    seen: int
    event: Raw
    lane: Lane = Lane.LIVE
    virtual: bool = False
    """A player drives this site's clock."""


class Entry(Struct, frozen=True, omit_defaults=True):
    """A record of site.timeline: an accepted fact and where its raw message lies."""

    site: str
    source: str
    seq: int
    seen: int
    topic: str
    event: Any_
    lane: Lane = Lane.LIVE
    partition: int = 0
    offset: int = -1
    virtual: bool = False

    @property
    def ref(self) -> str:
        return f"{self.topic}/{self.source}/{self.lane}/{self.seq}"


# ---- outputs --------------------------------------------------------------------------------------------------------


class Alert(Struct, frozen=True, omit_defaults=False):
    """One revision of an alert. `id` is derived from (code, site, subject, n-th interval in event time)."""

    id: str
    revision: int
    site: str
    code: str
    priority: int
    state: Literal["raised", "acknowledged", "cleared", "retracted"]
    subject: str
    incident: str
    permit: str
    point: str
    area: str
    start: int
    end: int | None
    raised: int
    known: int
    deadline: int
    aq: str
    clause: str
    edition: str
    confidence: str
    pack: str
    text: dict[str, str]
    advice: dict[str, str]
    numbers: dict[str, Any]
    evidence: list[str]
    by: str = ""


class Check(Struct, frozen=True):
    """One inequality of the three-timestamp algebra and what is known of it."""

    outcome: Literal["consistent", "violation", "indeterminate", "pending"]
    text: dict[str, str]


class Verdict(Struct, frozen=True):
    """All that is concluded of one permit: T1…T9, its barriers and its light."""

    site: str
    permit: str
    revision: int
    known: int
    outcome: Literal["consistent", "violation", "indeterminate", "pending"]
    status: str
    light: Literal["green", "yellow", "red", "grey"]
    why: dict[str, str]
    barriers: dict[str, str]
    checks: dict[str, Check]
    times: dict[str, list[int]]
    point: str
    area: str
    shop: str
    type: str
    crew: str
    workers: list[str]
    guardians: list[str]
    valid_from: int
    valid_to: int
    evidence: list[str]


class Command(Struct, frozen=True):
    """A request to the system that owns a function; never an actuation. Dry-run unless a plant says otherwise."""

    id: str
    site: str
    action: Literal["permit.suspend", "permit.lock", "authorization.freeze", "siren.on", "access.deny"]
    target: str
    alert: str
    revision: int
    known: int
    expires: int
    dry_run: bool = True


class Delivery(Struct, frozen=True):
    """Who was told what, when, by which channel, and what it answered."""

    site: str
    subject: str
    revision: int
    channel: str
    at: int
    outcome: Literal["delivered", "retry", "refused", "dry-run"]
    answer: str = ""
    repeat: bool = False


class DeadLetter(Struct, frozen=True):
    """What could not be understood: its bytes (base64), where they came from and why they were refused."""

    topic: str
    partition: int
    offset: int
    reason: str
    detail: str
    at: int
    raw: bytes
    site: str = ""
    source: str = ""


Output = Alert | Verdict | Command

ENCODER = msgspec.json.Encoder()
decode_envelope = msgspec.json.Decoder(Envelope).decode
decode_event = msgspec.json.Decoder(Any_).decode
decode_entry = msgspec.json.Decoder(Entry).decode
encode = ENCODER.encode


def schema() -> dict[str, Any]:
    """The JSON Schema of everything on the wire, one definition per kind."""
    words = [Envelope, Entry, Alert, Verdict, Command, Delivery, DeadLetter, *Any_.__args__]
    _, definitions = msgspec.json.schema_components(words, ref_template="#/$defs/{name}")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "PermitWatch events", "$defs": definitions}
