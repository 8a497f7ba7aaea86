"""What may enter the timeline: raw bytes in, an accepted entry or a refusal with its reason out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from streams.events import Any_, Entry, Envelope, Frame, Positions, Tick, decode_envelope, decode_event
from streams.topics import DAY, OF_KIND

OLDEST: Final = 400 * DAY
AHEAD: Final = DAY
LONGEST: Final = 16_384
LARGEST: Final = 1 << 20
COLUMNS: Final = 500


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
        if len(raw) > LARGEST and topic != "site.events":
            return Refusal("too large", f"{len(raw)} bytes, at most {LARGEST}. Send less in one message")
        try:
            envelope = decode_envelope(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
            return Refusal("undecodable", f"the envelope cannot be read: {wrong}. See the published JSON Schema")
        try:
            event = decode_event(envelope.event)
        except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
            return self._refuse(envelope, "wrong event", f"{wrong}. See the published JSON Schema")
        refusal = self._wrong(envelope, event, topic)
        if refusal:
            return refusal
        return Entry(envelope.site, envelope.source, envelope.seq, envelope.seen, topic, event, envelope.lane, partition, offset, envelope.virtual)

    def _wrong(self, envelope: Envelope, event: Any_, topic: str) -> Refusal | None:
        kind = event.__struct_config__.tag
        if not envelope.site or not envelope.source:
            return self._refuse(envelope, "unnamed", "site and source must be named")
        if OF_KIND[str(kind)].name != topic and not (isinstance(event, Tick) and event.virtual):
            return self._refuse(envelope, "wrong topic", f"{kind} belongs to {OF_KIND[str(kind)].name}, not to {topic}")
        if not isinstance(event, Tick) and (late := _out_of_time(event.at, envelope.seen)):
            return self._refuse(envelope, "impossible time", late)
        if long := _too_long(event):
            return self._refuse(envelope, "too long", long)
        if isinstance(event, Frame | Positions) and (ragged := _ragged(event)):
            return self._refuse(envelope, "ragged frame", ragged)
        return None

    @staticmethod
    def _refuse(envelope: Envelope, reason: str, detail: str) -> Refusal:
        return Refusal(reason, detail, envelope.site, envelope.source)


def _out_of_time(at: int, seen: int) -> str:
    if at < seen - OLDEST:
        return f"at = {at} ms is more than 400 days before it was seen ({seen} ms). Set the device's clock"
    if at > seen + AHEAD:
        return f"at = {at} ms is more than a day after it was seen ({seen} ms). Set the device's clock"
    return ""


def _too_long(event: Any_) -> str:
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, str) and len(value) > LONGEST:
            return f"{name} has {len(value)} characters, at most {LONGEST}. Send a reference instead"
    return ""


def _ragged(event: Frame | Positions) -> str:
    columns = [event.names, event.values] if isinstance(event, Frame) else [event.workers, event.x, event.y, event.z, event.acc]
    lengths = [len(c) for c in columns]  # type: ignore[arg-type]
    if len(set(lengths)) > 1:
        return f"columns of different length: {lengths}. Every column needs one value per name"
    return f"{lengths[0]} columns, at most {COLUMNS}. Send several frames" if lengths[0] > COLUMNS else ""
