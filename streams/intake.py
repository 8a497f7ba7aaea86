"""What may enter the timeline: raw bytes in, an accepted entry or a refusal with its reason out. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec.structs import replace

from streams import events as e
from streams.events import Activity, Any_, ClockSaid, Entry, Envelope, Frame, PackSaid, PlantSaid, Positions, Tick, decode_envelope, decode_event
from streams.plain import CLOSE, DAY, in_reason, mend
from streams.sound import FARTHEST, sound_pack, sound_plant
from streams.strict import faults
from streams.topics import OF_KIND

LONGEST: Final = 16_384
LARGEST: Final = 1 << 20
COLUMNS: Final = 500
DEEPEST: Final = 64
EXACT: Final = 1 << 53
"""Whole numbers beyond this are not the same in every system that reads them."""
UNSUREST: Final = 366 * DAY
"""ms: a clock that may be off by more says nothing."""
NAMED_BY: Final[dict[type, tuple[str, ...]]] = {
    e.Scan: ("worker",), e.Guard: ("permit", "worker"), e.TagSaid: ("worker",), e.Requested: ("permit",), e.GasTest: ("permit",), e.Step: ("permit",), e.Isolation: ("isolation",),
    e.Detection: ("camera",), e.CameraBeat: ("camera",), e.Probe: ("uri",), e.Worker: ("worker",), e.Certificate: ("worker",), e.HrChange: ("worker",), e.Authorisation: ("worker",),
    e.Record: ("worker",), e.Contractor: ("contractor",), e.Weather: ("station",), e.ClockSaid: ("device",), e.Activity: ("activity",), e.Production: ("order", "equipment"),
    e.Hazard: ("hazard",), e.DeviceSaid: ("device",), e.EquipmentSaid: ("equipment",), e.Done: ("command",), e.Action: ("alert",),
}  # fmt: skip
"""Kind → the fields without which nobody knows of what it speaks: empty, it would speak of everything that names nothing there."""
EARLIEST: Final = 946_684_800_000
LATEST: Final = 7_258_118_400_000
"""2000 and 2200: no gateway's clock says less or more."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a raw message may not enter: a word for counting, a sentence for whoever must mend it."""

    reason: str
    detail: str
    site: str = ""
    source: str = ""


class Intake:
    """Accepts or refuses raw messages, each by itself."""

    def take(self, raw: bytes, topic: str, partition: int = 0, offset: int = -1) -> Entry | Refusal:
        """One raw message. Never raises."""
        if raw is None:
            return Refusal("empty", "the message has no value. Send the envelope as JSON")
        if len(raw) > LARGEST and topic != "site.events":
            return Refusal("too large", f"{len(raw)} bytes, at most {LARGEST}. Send less in one message")
        if _deep(raw):
            return Refusal("undecodable", f"nested deeper than {DEEPEST}. Send flat JSON as in the published JSON Schema")
        try:
            envelope = decode_envelope(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
            return Refusal("undecodable", f"the envelope cannot be read: {wrong}. See the published JSON Schema")
        read = self._read(envelope)
        if isinstance(read, Refusal):
            return read
        event, odd = read
        if envelope.schema < 2 and not isinstance(event, Tick) and abs(event.at - envelope.seen) > CLOSE and (at := in_reason(event.at, envelope.seen, CLOSE)):
            event, odd = replace(event, at=at), [*odd, "at"]
        refusal = self._wrong(envelope, event, topic)
        if refusal:
            return refusal
        return Entry(envelope.site, envelope.source, envelope.seq, envelope.seen, topic, event, envelope.lane, partition, offset, envelope.virtual, odd, envelope.epoch, envelope.after)

    def _read(self, envelope: Envelope) -> tuple[Any_, list[str]] | Refusal:
        """The event, and the fields of it that could not be read; under schema 2 nothing is read leniently."""
        if envelope.schema >= 2:
            return self._strict(envelope)
        try:
            return decode_event(envelope.event), []
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
            mended = mend(bytes(envelope.event))
            return mended if mended else self._refuse(envelope, "wrong event", f"{wrong}. See the published JSON Schema")

    def _strict(self, envelope: Envelope) -> tuple[Any_, list[str]] | Refusal:
        try:
            event = decode_event(envelope.event)
            wrong = faults(str(event.__struct_config__.tag), msgspec.json.decode(envelope.event), None)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as bad:
            return self._refuse(envelope, "wrong event", f"{bad}. See the published JSON Schema")
        return self._refuse(envelope, "wrong event", "; ".join(wrong[:8])) if wrong else (event, [])

    def _wrong(self, envelope: Envelope, event: Any_, topic: str) -> Refusal | None:
        kind = event.__struct_config__.tag
        if not envelope.site or not envelope.source:
            return self._refuse(envelope, "unnamed", "site and source must be named")
        if not (EARLIEST <= envelope.seen <= LATEST) or not 0 <= envelope.seq < EXACT:
            return self._refuse(envelope, "impossible time", f"seen = {envelope.seen}, seq = {envelope.seq}: seen is ms since 1970, seq counts from 1. Set the gateway's clock")
        if not 0 <= envelope.after <= envelope.epoch < envelope.seq + (envelope.epoch == 0):
            return self._refuse(envelope, "impossible number", f"after = {envelope.after}, epoch = {envelope.epoch}, seq = {envelope.seq}: each number is larger than its epoch, and that is not smaller than what was before it. Leave out `epoch` and `after` where there is no outbox")
        if OF_KIND[str(kind)].name != topic and not (isinstance(event, Tick) and event.virtual):
            return self._refuse(envelope, "wrong topic", f"{kind} belongs to {OF_KIND[str(kind)].name}, not to {topic}")
        if not isinstance(event, Tick) and (late := _out_of_time(event.at, envelope.seen)):
            return self._refuse(envelope, "impossible time", late)
        if isinstance(event, Tick) and not (event.virtual and envelope.virtual):
            return self._refuse(envelope, "wrong event", "the seconds of a live site are told by normalise alone. Do not send ticks")
        if isinstance(event, Tick) and not EARLIEST <= event.at <= LATEST:
            return self._refuse(envelope, "impossible time", f"at = {event.at} ms is no time of a clock")
        if odd := too_much(event):
            return self._refuse(envelope, *odd)
        if isinstance(event, PackSaid | PlantSaid) and (unsound := _unsound(event)):
            return self._refuse(envelope, "cannot be judged by", unsound)
        if isinstance(event, Frame | Positions) and (ragged := _ragged(event)):
            return self._refuse(envelope, "ragged frame", ragged)
        return None

    @staticmethod
    def _refuse(envelope: Envelope, reason: str, detail: str) -> Refusal:
        return Refusal(reason, detail, envelope.site, envelope.source)


def _unsound(event: PackSaid | PlantSaid) -> str:
    """Why a pack or a plant cannot be judged by, or nothing."""
    try:
        sound_pack(event.pack) if isinstance(event, PackSaid) else sound_plant(event.plant)
    except Exception as wrong:  # time zones, packs and days each have an error of their own
        return f"{type(wrong).__name__}: {wrong}. `permitwatch rules check` and `permitwatch check` read files before they are sent"
    return ""


def _deep(raw: bytes) -> bool:
    """Could it be nested too deep to be read? Brackets that open, whatever is between them, are counted first: almost no message has so many."""
    if raw.count(b"{") + raw.count(b"[") <= DEEPEST:
        return False
    depth = most = 0
    for byte in raw:
        depth += (byte in b"{[") - (byte in b"}]")
        most = max(most, depth)
    return most > DEEPEST


def _out_of_time(at: int, seen: int) -> str:
    if at < seen - CLOSE:
        return f"at = {at} ms is more than {CLOSE // DAY} days before it was seen ({seen} ms). Set the device's clock"
    if at > seen + CLOSE:
        return f"at = {at} ms is more than {CLOSE // DAY} days after it was seen ({seen} ms). Set the device's clock"
    return ""


READ_LATER: Final = frozenset({(e.Requested, "valid_from"), (e.Requested, "valid_to"), (e.Requested, "planned_start"), (e.OfficialWarning, "until"), (e.GasResult, "value")})
"""Instants that the kernel reads in whichever unit they were written, and what was measured; what is out of reason is unknown there."""
PLACED: Final = ("x", "y", "z", "acc")


def _beyond(said: msgspec.Struct, where: str = "") -> tuple[str, str] | None:
    """(reason, sentence) where a text is too long or a number cannot be kept, in any field, at any depth, that is not a column."""
    for field in said.__struct_fields__:
        value, name = getattr(said, field), where + field
        if isinstance(value, str) and len(value) > LONGEST:
            return "too long", f"{name} has {len(value)} characters, at most {LONGEST}. Send a reference instead"
        if isinstance(value, int | float) and not -EXACT <= value <= EXACT and (type(said), field) not in READ_LATER:
            return "impossible number", f"{name} = {value} cannot be meant. Write a number within ± 2^53"
        if isinstance(value, list) and len(value) > LONGEST:
            return "too long", f"{name} has {len(value)} entries, at most {LONGEST}. Send several messages"
        parts = value if isinstance(value, list) and value and isinstance(value[0], msgspec.Struct) else [value] if isinstance(value, e.Requested) else ()
        if wrong := next((wrong for n, part in enumerate(parts) if (wrong := _beyond(part, f"{name}[{n}]." if parts is value else f"{name}."))), None):
            return wrong
    return None


def too_much(event: Any_) -> tuple[str, str] | None:
    """(reason, sentence) where a text is too long or a number cannot be meant."""
    if wrong := _beyond(event):
        return wrong
    for name in NAMED_BY.get(type(event), ()):
        if not getattr(event, name).strip():
            return "unnamed", f"{name} is empty: it says of what the message speaks. Name it, as the schema says"
    if isinstance(event, Activity) and (far := [f"{name} = {value:g}" for name in PLACED if not (value := getattr(event, name)) <= FARTHEST or value < (0 if name == "acc" else -FARTHEST)]):
        return "impossible number", f"{far[0]}: metres from the plant's origin, within {FARTHEST / 1000:,.0f} km, and how unsure they are. What is known so badly lies beside everything"
    if event.u is not None and event.u < 0:
        return "impossible number", f"u = {event.u}: an uncertainty is not negative"
    if event.u is not None and event.u > UNSUREST:
        return "impossible number", f"u = {event.u} ms is more than a year: what is known so badly says nothing of when. Leave u out where it is not known"
    if isinstance(event, ClockSaid) and max(abs(event.offset), abs(event.residual)) > UNSUREST:
        return "impossible number", f"offset = {event.offset}, residual = {event.residual} ms: a clock that is off by more than a year was not measured. Send the difference to true time in ms"
    return ("impossible number", f"grain = {event.grain}: 0 to an hour, in ms") if not 0 <= event.grain <= 3_600_000 else None


def _ragged(event: Frame | Positions) -> str:
    columns = [event.names, event.values] if isinstance(event, Frame) else [event.workers, event.x, event.y, event.z, event.acc]
    lengths = [len(c) for c in columns]  # type: ignore[arg-type]
    if len(set(lengths)) > 1:
        return f"columns of different length: {lengths}. Every column needs one value per name"
    if lengths[0] > COLUMNS:
        return f"{lengths[0]} columns, at most {COLUMNS}. Send several frames"
    if isinstance(event, Positions) and not all(math.isfinite(v) and abs(v) < 1e9 for c in (event.x, event.y, event.z, event.acc) for v in c):
        return "a place is no number. Send metres"
    return ""
