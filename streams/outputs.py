"""The words for what is concluded: alerts, verdicts, requests, deliveries, dead letters; and the JSON Schema of everything on the wire."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any, Literal

import msgspec
from msgspec import Struct

from streams.events import Any_, Entry, Envelope


class Alert(Struct, frozen=True, omit_defaults=False):
    """One revision of an alert. `id` is derived from (code, site, subject, n-th interval in event time)."""

    id: str
    revision: int
    site: str
    code: str
    priority: int
    state: Literal["raised", "acknowledged", "in_progress", "cleared", "verified", "closed", "shelved", "suppressed", "retracted"]
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
    """Who acted last."""
    owner: Literal["crew", "workshop", "director"] = "crew"
    announce: bool = False
    """Is this revision to be told to people? The first, a higher priority, a higher owner; never what is shelved, suppressed or late."""
    late: bool = False
    """It became known long after it was true: recorded, nobody is woken."""
    hold: str = ""
    """Why it is suppressed by design."""
    until: int | None = None
    """Shelved until."""
    members: int = 1
    """How many raw conditions it gathers."""
    life: int = 1
    """Which life of the permit it is about."""


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
    life: int = 1
    """A permit sent back, called off or finished and asked for again begins the next one; revisions count per life."""


class Command(Struct, frozen=True):
    """A request to the system that owns a function; never an actuation. Dry-run unless a plant says otherwise."""

    id: str
    site: str
    action: Literal[
        "permit.suspend", "permit.lock", "permit.block", "permit.freeze", "authorization.freeze", "siren.on", "access.deny", "evacuate", "roll_call", "training.request"
    ]  # fmt: skip
    target: str
    alert: str
    revision: int
    known: int
    expires: int
    dry_run: bool = True
    withdrawn: bool = False
    """The alert was taken back: what was asked is asked no more."""


class Code(Struct, frozen=True):
    """The code of a person or a contractor (000-27, 001-10): what a gate takes from the papers that were ever told of, and why."""

    site: str
    who: str
    who_is: Literal["person", "contractor"]
    revision: int
    known: int
    colour: Literal["green", "yellow", "red", "grey"]
    reasons: list[str]


class Ledger(Struct, frozen=True):
    """What of the work of lives and minutes was watched, in ms; a list a column, a row a life and minute."""

    permit: list[str] = []
    life: list[int] = []
    work: list[int] = []
    gas: list[int | None] = []
    filmed: list[int] = []
    seen: list[int | None] = []
    guard: list[int] = []
    permitted: list[int] = []
    all: list[int] = []
    nobody: list[int] = []


class Jobs(Ledger, frozen=True):
    """The jobs of a minute: a list a column, a row a job at which people worked in it. Lengths of time in ms.

    `barriers`, `weight`, `factors`, `risk`: as they stood at its end (`domain.md` 4.5, *Risk of an area*); a job that rested then has
    none of them, and risk 0. `work` and after it: what of the minute was worked, and of that what was watched: by every gas channel of the
    point (None: no gas is asked of this work), by a recorder (`filmed`), by a camera that sees (`seen`; None: there is none), by a guardian,
    under a permit in force; by all that is asked; by none of gas, video and guardian.
    """

    type: list[str] = []
    family: list[str] = []
    trades: list[list[str]] = []
    area: list[str] = []
    shop: list[str] = []
    point: list[str] = []
    crew: list[str] = []
    weight: list[int] = []
    barriers: list[dict[str, str]] = []
    factors: list[dict[str, float]] = []
    """What raises the risk and by how much; the largest counts."""
    risk: list[float] = []


class Again(Ledger, frozen=True):
    """Minutes of which a fact was heard later than they were told: what was worked and watched in each, anew. A list a column."""

    at: list[int] = []


class Inside(Struct, frozen=True):
    """Who is inside, as far as a reader or a fix says: a list a column; `age`: ms since that was said."""

    worker: list[str] = []
    area: list[str] = []
    point: list[str] = []
    source: list[str] = []
    age: list[int] = []


class Minute(Struct, frozen=True):
    """One minute of a site, whole, as it was known at its end: its jobs, the risk of its areas, who is inside. `at`: its beginning, ms."""

    site: str
    at: int
    known: int
    shift: str
    jobs: Jobs
    areas: dict[str, list[float]]
    """area → [risk index, 0 to 100; the sum that it is the cap of]; areas without a job at work have none."""
    inside: Inside
    again: Again


class Delivery(Struct, frozen=True):
    """Who was told what, when, by which channel, and what it answered."""

    site: str
    subject: str
    revision: int
    channel: str
    at: int
    outcome: Literal["delivered", "retry", "refused", "dry-run", "gathered", "expired"]
    answer: str = ""
    repeat: bool = False
    receiver: str = ""
    step: str = ""


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


Output = Alert | Verdict | Command | Code | Minute


def schema() -> dict[str, Any]:
    """The JSON Schema of everything on the wire, one definition per kind."""
    words = [Envelope, Entry, Alert, Verdict, Command, Code, Minute, Delivery, DeadLetter, *Any_.__args__]
    _, definitions = msgspec.json.schema_components(words, ref_template="#/$defs/{name}")
    for one in definitions.values():
        one["description"] = cleandoc(one.get("description", ""))  # msgspec strips it from 0.23 on
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "PermitWatch events", "$defs": definitions}
