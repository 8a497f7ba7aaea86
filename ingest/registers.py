"""Modbus words to values, purely: fewest reads, byte orders, scaling, ranges, status words."""

from __future__ import annotations

import math
import struct

from streams.plant import Channel

ORDER = {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}
SENTINELS = frozenset({0x7FFF, 0x8000, 0xFFFF})
GASES = frozenset({"combustible", "oxygen", "toxic"})
FAULTS = {1: "fault", 2: "calibration", 4: "warm-up", 8: "inhibited", 16: "bump test"}


def width(channel: Channel) -> int:
    """How many words a value takes."""
    return 2 if channel.type == "float32" else 1


def reads(channels: list[Channel], gap: int, most: int) -> list[tuple[int, int]]:
    """(address, count) pairs that cover every value and status word, merged over small gaps, at most `most` words each."""
    wanted = sorted({(c.register, width(c)) for c in channels} | {(c.status_register, 1) for c in channels if c.status_register is not None})
    out: list[tuple[int, int]] = []
    for address, count in wanted:
        if out and address - sum(out[-1]) <= gap and address + count - out[-1][0] <= most:
            start, length = out[-1]
            out[-1] = (start, max(length, address + count - start))
        else:
            out.append((address, count))
    return out


def float32(words: list[int], order: str) -> float:
    """Two words in one of the four byte orders as an IEEE float."""
    raw = struct.pack(">HH", *words)
    return float(struct.unpack(">f", bytes(raw[i] for i in ORDER[order]))[0])


def value_of(channel: Channel, words: dict[int, int], order: str) -> tuple[float | None, str]:
    """(value, "") or (None, why it is BAD). A failed read is never a number; a gas beyond its range is one, with the word `over`: what it means is judged, not dropped."""
    if channel.status_register is not None:
        status = words.get(channel.status_register)
        if status is None:
            return None, "no status"
        if status:
            return None, next((name for bit, name in FAULTS.items() if status & bit), f"status {status}")
    span = [words.get(channel.register + i) for i in range(width(channel))]
    if any(w is None for w in span):
        return None, "no answer"
    raw = _raw(channel, [w for w in span if w is not None], order)
    if raw is None:
        return None, "sentinel"
    value = raw * channel.scale + channel.offset
    if channel.kind in GASES:
        return round(value, 6), "over" if channel.high is not None and value > channel.high else ""
    return (None, "out of range") if _outside(channel, value) else (round(value, 6), "")


def _raw(channel: Channel, span: list[int], order: str) -> float | None:
    if channel.type == "float32":
        value = float32(span, order)
        return value if math.isfinite(value) else None
    if span[0] in SENTINELS:
        return None
    return float(span[0] - 0x10000 if channel.type == "int16" and span[0] >= 0x8000 else span[0])


def _outside(channel: Channel, value: float) -> bool:
    return (channel.low is not None and value < channel.low) or (channel.high is not None and value > channel.high)
