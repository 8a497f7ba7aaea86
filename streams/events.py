"""The words: every fact that travels through PermitWatch, as frozen msgspec structs (what is concluded from them: streams.outputs).

Instants are integer milliseconds since 1970-01-01 UTC. `u` is the clock's uncertainty (± ms; None: the
source's own default), `grain` the width of a truncated stamp (60 000 for a minute: [at, at + grain)).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from streams.packs import Pack
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
    action: Literal["sign_in", "hand_over", "sign_out", "unknown"]
    to: str = ""


class TagSaid(Event, frozen=True, kw_only=True, tag="tag"):
    """What a person's tag says of itself: the button was pressed, its motion sensor sees no movement; or that this is `over`. Metres, where it knew to be."""

    worker: str
    what: Literal["sos", "still"]
    x: float | None = None
    y: float | None = None
    over: bool = False


class Decided(Event, frozen=True, kw_only=True, tag="decided"):
    """What a door was answered, kept because the answer is evidence."""

    worker: str
    door: str
    direction: str
    answer: Literal["allow", "deny", "pending"]
    reasons: list[str]
    gate: str = "entry"
    permit: str = ""
    mode: str = "full"
    """`full`, or what could not be looked at when it was answered; such an answer is judged again."""
    request: Requested | None = None
    """What was asked at the gate of applications."""


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
    linked: list[str] = []
    """Permits of the other special works of the same job."""
    needs: list[str] = []
    """Types (A.2) of the other special works that the job needs."""
    job: str = ""
    testers: list[str] = []
    approvers: list[str] = []
    isolators: list[str] = []
    isolations: list[str] = []
    """Isolations on which the work rests, by their own ids."""
    template: str = ""
    risk: str = ""
    equipment: str = ""
    upgraded: bool = False
    """Managed one level up, as holidays, rest days, nights and special times ask."""
    fall: float | None = None
    """Height of the work above what lies below, m."""
    layers: int = 0
    """Protective layers between work at height and what lies below."""
    blind: Literal["", "fit", "remove", "both"] = ""


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
    "jsa", "isolated", "briefed", "measures", "approved", "rejected", "issued", "checked", "started",
    "suspended", "resumed", "changed", "extended", "finished", "accepted", "cancelled", "tools_in", "tools_out",
)  # fmt: skip


class Step(Event, frozen=True, kw_only=True, tag="permit.step"):
    """One step of a permit's life; `issued` is the final approval, `accepted` closes. x, y, z, acc: where it was signed. `unknown`: a word that nobody knows."""

    permit: str
    step: Literal[
        "jsa", "isolated", "briefed", "measures", "approved", "rejected", "issued", "checked", "started",
        "suspended", "resumed", "changed", "extended", "finished", "accepted", "cancelled", "tools_in", "tools_out", "unknown",
    ]  # fmt: skip
    by: str = ""
    node: str = ""
    note: str = ""
    what: Literal["", "content", "scope", "place", "time", "measures", "people"] = ""
    """What a change changed."""
    tools: list[str] = []
    """What was taken in, or brought out again (`tools_in`, `tools_out`); brought out without names: everything."""
    x: float | None = None
    y: float | None = None
    z: float | None = None
    acc: float | None = None


class Isolation(Event, frozen=True, kw_only=True, tag="isolation"):
    """A blind, a lock or a removed spool that a permit stands on."""

    permit: str
    isolation: str
    state: Literal["applied", "verified", "removed", "opened", "unknown"]
    by: str = ""


# ---- camera.detections, evidence.clips -----------------------------------------------------------------------------


class Detection(Event, frozen=True, kw_only=True, tag="detection"):
    """A behaviour seen by a camera at a work point."""

    camera: str
    behaviour: str
    confidence: float
    point: str = ""
    phase: Literal["start", "update", "end"] = "update"
    """A `start` goes on until its `end`, ten minutes at most, though nothing else comes; an `update` alone is one look."""
    track: str = ""
    onset: int | None = None
    """Since when the detector has seen it: what it waited before it said so is not waited for again."""
    decided: int | None = None
    """When the detector was sure."""


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
    hazard: str = ""
    """The hidden danger whose remedy it shows."""
    stage: Literal["", "risk", "protection", "initial", "finish", "before", "after", "panorama", "report"] = ""
    sharpness: float | None = None
    """0 (blurred) to 1."""
    device: str = ""
    asset: str = ""
    worker: str = ""
    away: float | None = None
    """Distance from the fault, m, with `acc` its error."""
    acc: float = 0


class Probe(Event, frozen=True, kw_only=True, tag="probe"):
    """Somebody tried to fetch a piece of evidence: is it still there?"""

    uri: str
    found: bool
    recorded: int
    """When the evidence was recorded, ms."""
    permit: str = ""


# ---- roster.events, weather.events ---------------------------------------------------------------------------------


class Worker(Event, frozen=True, kw_only=True, tag="worker"):
    """A person under a pseudonym: what the rules need to know and no more."""

    worker: str
    crew: str = ""
    employer: str = ""
    trades: list[str] = []
    roles: list[str] = []
    """rescue, fire …; believed of roster sources only."""
    contractor: bool = False


class Certificate(Event, frozen=True, kw_only=True, tag="certificate"):
    """A certificate; `valid_to` is the last valid local day (YYYY-MM-DD)."""

    worker: str
    number: str
    trade: str
    valid_to: str
    status: Literal["", "valid", "revoked", "re-examination", "review overdue"] = ""


class HrChange(Event, frozen=True, kw_only=True, tag="hr"):
    """HR says that a person left, joined or moved."""

    worker: str
    change: Literal["left", "joined", "moved"]


class Authorisation(Event, frozen=True, kw_only=True, tag="authorisation"):
    """A person's account in the permit and access systems was switched on or off."""

    worker: str
    active: bool


class Record(Event, frozen=True, kw_only=True, tag="record"):
    """A line in a person's file: overtime (h), a violation, an exam (points), practice of a trade, training (h), a state given by the EAP (0–1)."""

    worker: str
    what: Literal["overtime", "violation", "exam", "practice", "training", "eap"]
    value: float = 1
    trade: str = ""


class Registry(Event, frozen=True, kw_only=True, tag="registry"):
    """What an official register counts as valid certificates today."""

    authority: str
    valid: int


class Contractor(Event, frozen=True, kw_only=True, tag="contractor"):
    """A contractor's papers: name → last valid local day (YYYY-MM-DD), `missing` or `void`."""

    contractor: str
    papers: dict[str, str]


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
    id: str = ""
    withdrawn: bool = False
    """The warning of this id (else the latest of this hazard and colour from the same source) no longer stands."""


# ---- site.events, alert.actions ------------------------------------------------------------------------------------


class PlantSaid(Event, frozen=True, kw_only=True, tag="plant"):
    """The plant's configuration, its pack and calendar with it, in the log so that a replay knows what was known; and by which version of the rules it was first judged."""

    plant: Plant
    version: str = ""


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


class Activity(Event, frozen=True, kw_only=True, tag="activity"):
    """Something that may not go together with a permit beside it, from its start to its end. Metres; `acc` is its place's error."""

    activity: str
    what: Literal["gas_discharge", "liquid_discharge", "solvent", "painting", "dust", "water_draw", "sampling", "train"]
    phase: Literal["start", "end"]
    x: float = 0
    y: float = 0
    z: float = 0
    acc: float = 0
    dike: str = ""
    space: str = ""


class Production(Event, frozen=True, kw_only=True, tag="production"):
    """The MES plans production on an equipment."""

    order: str
    equipment: str
    since: int
    until: int
    cancelled: bool = False


class Hazard(Event, frozen=True, kw_only=True, tag="hazard"):
    """A step in the life of a hidden danger. `due`: until when it is to be rectified."""

    hazard: str
    state: Literal["found", "acknowledged", "rectified", "returned", "closed"]
    asset: str = ""
    due: int | None = None
    by: str = ""
    sharpness: float | None = None
    anonymous: bool = False


class DeviceSaid(Event, frozen=True, kw_only=True, tag="device"):
    """What is known of an instrument: until which local day it is calibrated, and whether it is being bump-tested or out of service."""

    device: str
    calibrated_to: str = ""
    mode: Literal["", "normal", "bump", "service", "calibration"] = ""


class EquipmentSaid(Event, frozen=True, kw_only=True, tag="equipment"):
    """Whether an equipment runs."""

    equipment: str
    running: bool


class SpecialTime(Event, frozen=True, kw_only=True, tag="special"):
    """A time for which a site or an authority asks upgraded management."""

    name: str
    until: int


class PackSaid(Event, frozen=True, kw_only=True, tag="pack"):
    """A rule pack comes into force at `effective` (ms)."""

    pack: Pack
    effective: int


class ChainSaid(Event, frozen=True, kw_only=True, tag="chain"):
    """The archive's hash chain was verified and does not hold: the first broken link."""

    link: str
    detail: str = ""
    """`link` (one was taken out or changed), `rows` (what is stored is not what was written), or what somebody wrote."""


class Done(Event, frozen=True, kw_only=True, tag="command.done"):
    """What a system answered to a request of ours."""

    command: str
    outcome: Literal["done", "refused"]
    by: str = ""
    note: str = ""


class Tick(Event, frozen=True, kw_only=True, tag="tick"):
    """A second of a site's time. `behind` ms: how late we ourselves are; `idle` ms: how long before it nothing was due, so that no second was told;
    `virtual`: a player drives the clock; `last`: it has told all."""

    behind: int = 0
    idle: int = 0
    virtual: bool = False
    last: bool = False


class Action(Event, frozen=True, kw_only=True, tag="action"):
    """What a person did about an alert. `until`: shelved until (ms); `to`: handed over to; `photo`: sha256; `truth`: was the alert right?"""

    alert: str
    action: Literal["acknowledge", "start", "resolve", "verify", "close", "shelve", "unshelve", "hand_over", "judge"]
    by: str
    note: str = ""
    until: int | None = None
    to: str = ""
    photo: str = ""
    truth: bool | None = None


Any_ = (
    Frame | Positions | Scan | Guard | TagSaid | Decided | Requested | GasTest | Step | Isolation | Detection | CameraBeat | Clip | Probe | Worker | Certificate
    | HrChange | Authorisation | Record | Registry | Contractor | Weather | OfficialWarning | PlantSaid | SourceSaid | ClockSaid | Activity | Production
    | Hazard | DeviceSaid | EquipmentSaid | SpecialTime | PackSaid | ChainSaid | Done | Tick | Action
)  # fmt: skip


class Lane(StrEnum):
    """What is new, and what a gateway kept while it was cut off: the second must never delay the first."""

    LIVE = "live"
    BACKLOG = "backlog"


class Envelope(Struct, frozen=True, omit_defaults=True):
    """A fact as its gateway numbered it. (source, topic, lane, seq) names it for ever; `seen` is the gateway's clock."""

    site: str
    source: str
    seq: int
    seen: int
    event: Raw
    lane: Lane = Lane.LIVE
    virtual: bool = False
    """A player drives this site's clock."""
    schema: int = 1
    """2: held to closed words, known and required fields."""
    epoch: int = 0
    """The number before the first that its outbox gave since it was opened: a lost or restored outbox never gives a number again. 0: it says none."""
    after: int = 0
    """The last number that this series gave before `epoch`; 0: it gave none."""


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
    odd: list[str] = []
    """Fields of it that could not be read, or only by their spelling."""
    epoch: int = 0
    after: int = 0

    @property
    def ref(self) -> str:
        return f"{self.topic}/{self.source}/{self.lane}/{self.seq}"


ENCODER = msgspec.json.Encoder()
decode_envelope = msgspec.json.Decoder(Envelope).decode
decode_event = msgspec.json.Decoder(Any_).decode
decode_entry = msgspec.json.Decoder(Entry).decode
encode = ENCODER.encode
