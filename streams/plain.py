"""What older senders write, understood: spellings, units of time, percentages, days; what cannot be understood is unknown and named (DQ-WORD)."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from streams import events as e
from streams.events import Any_
from streams.gases import ABSURD
from streams.words import (
    BAD,
    BEHAVIOUR,
    COLOUR,
    FIELDS,
    HAZARD,
    NO_GAS,
    NOBODY,
    PAPER,
    PASSED,
    ROLE,
    STATUS,
    TRADE,
    TYPE,
    day_of,
    folded,
    gas_of,
    misspelt,
    unit_of,
    word,
)

DAY: Final = 86_400_000
YEARS: Final = 3653 * DAY
"""A permit's instants lie within ten years of when it was asked for."""
CLOSE: Final = 400 * DAY
ON_LIVES: Final = frozenset({"permit.requested", "permit.gas_test", "permit.step", "scan", "tag", "guard", "isolation", "device"})
"""Kinds on which lives hang: never refused for one odd field."""
STAND_IN: Final[dict[str, dict[str, Any]]] = {"permit.requested": {"type": "", "point": "", "valid_from": 0, "valid_to": 0}, "permit.step": {"step": "unknown"},
                                            "isolation": {"state": "unknown"}, "guard": {"action": "unknown"}, "device": {"mode": "service"}}  # fmt: skip
"""What stands where a required field cannot be read: what is said of a device in a word that nobody knows leaves open whether it measures."""
LISTS: Final = frozenset({"workers", "guardians", "linked", "needs", "testers", "approvers", "isolators", "isolations", "tools"})
NAMES: Final = ("id", "name", "worker", "number", "permit", "isolation", "code")
"""Where the name stands when a list holds objects."""
UNREAD: Final = "?"
"""Stands after the name of a field that could not be read at all, as opposed to one that was understood though it was spelt otherwise."""
TEXTS: Final = frozenset({"contractor", "point", "type", "crew", "by", "device", "analyst", "door", "to", "from", "blind"})
"""Fields of one name: a list of one, or a number, is that name."""
INSTANTS: Final = frozenset({"at", "valid_from", "valid_to", "planned_start", "until", "due"})
E = TypeVar("E", bound=Struct)
Odd = list[str]


def in_reason(ms: int, at: int, within: int) -> int | None:
    """An instant in ms, also where it was written in s, µs or ns; None where it is out of all reason beside `at`."""
    for scale in (1, 1000, 1 / 1000, 1 / 1_000_000):
        meant = int(ms * scale)
        if abs(meant - at) <= within:
            return meant
    return None


def plain(event: Any_) -> tuple[Any_, Odd]:
    """An event in closed words, and the fields that were not (understood or unknown)."""
    read = READERS.get(type(event))
    if read is None:
        return event, []
    odd: Odd = []
    return read(event, odd), odd


def _set(event: E, odd: Odd, **fields: Any) -> E:
    changed = {name: value for name, value in fields.items() if getattr(event, name) != value}
    odd += changed
    return replace(event, **changed) if changed else event


def _requested(event: e.Requested, odd: Odd) -> e.Requested:
    instants: dict[str, Any] = {}
    for name in ("valid_from", "valid_to", "planned_start"):
        if (value := getattr(event, name)) is not None:
            instants[name] = in_reason(value, event.at, YEARS)
    odd += [name + UNREAD for name, meant in instants.items() if meant is None]
    instants["valid_from"] = event.at if instants["valid_from"] is None else instants["valid_from"]
    instants["valid_to"] = UNTOLD if instants["valid_to"] is None else instants["valid_to"]
    kind = word(TYPE, event.type)
    if kind is None and event.type:
        odd.append("type")
    return replace(_set(event, odd, **instants, **{name: _named(getattr(event, name)) for name in PEOPLE}), type=kind or event.type)


def _named(names: list[str]) -> list[str]:
    """The names, without what people write where nobody is named."""
    return [name for name in names if folded(name) not in NOBODY]


def _posted(event: e.Guard, odd: Odd) -> e.Guard:
    return _set(event, odd, to="") if event.to and folded(event.to) in NOBODY else event


def _decided(event: e.Decided, odd: Odd) -> e.Decided:
    """An answer and what was asked for, that in our words too: its source was told when it asked."""
    return replace(event, request=_requested(event.request, [])) if event.request else event


PEOPLE: Final = ("workers", "guardians", "testers", "approvers", "isolators")
UNTOLD: Final = -1
"""An end of validity that cannot be read: the longest of the permit's type."""


def _result(result: e.GasResult, odd: Odd) -> e.GasResult:
    gas = gas_of(result.gas) or result.gas
    unit = unit_of(result.unit, gas) or result.unit
    absurd = result.value is not None and not abs(result.value) < ABSURD
    odd += [name for name, strange in (("unit", unit_of(result.unit, gas) is None and folded(gas) not in NO_GAS), ("value", absurd)) if strange]
    return replace(result, gas=gas, unit=unit)


def nameless(event: Any_, gases: Iterable[str]) -> list[str]:
    """`results.gas`, where an analysis names a gas of no vocabulary, nor of the pack's own (`gases`)."""
    return ["results.gas"] if isinstance(event, e.GasTest) and any(r.value and gas_of(r.gas, gases) is None and folded(r.gas) not in NO_GAS for r in event.results) else []


def _tested(event: e.GasTest, odd: Odd) -> e.GasTest:
    return replace(event, results=[_result(r, odd) for r in event.results])


def _detected(event: e.Detection, odd: Odd) -> e.Detection:
    sure = event.confidence / 100 if 1 < event.confidence <= 100 else event.confidence
    seen = word(BEHAVIOUR, event.behaviour)
    if seen is None:
        odd.append("behaviour")
    instants = {name: in_reason(value, event.at, CLOSE) for name in ("onset", "decided") if (value := getattr(event, name)) is not None}
    return replace(_set(event, odd, confidence=sure if 0 <= sure <= 1 else 0.0, **instants), behaviour=seen or event.behaviour)


def _day(text: str, odd: Odd, name: str, endless: bool) -> str:
    """A day in ISO, or nothing where it is none."""
    if not text:
        return text
    day = day_of(text)
    said = "" if day is None or (day.year == 9999 and not endless) else str(day)
    if said != text:
        odd.append(name)
    return said


def _certified(event: e.Certificate, odd: Odd) -> e.Certificate:
    day = _day(event.valid_to, odd, "valid_to", True)
    odd += ["trade"] if misspelt(TRADE, event.trade) else []
    return replace(event, trade=word(TRADE, event.trade) or event.trade, status=word(STATUS, event.status) or event.status, valid_to=day)


def _papers(event: e.Contractor, odd: Odd) -> e.Contractor:
    said = {name: word(PAPER, paper) or _day(paper, odd, f"papers.{name}", True) or UNTOLD_PAPER for name, paper in event.papers.items()}
    return replace(event, papers=said)


def _device(event: e.DeviceSaid, odd: Odd) -> e.DeviceSaid:
    return replace(event, calibrated_to=_day(event.calibrated_to, odd, "calibrated_to", True))


UNTOLD_PAPER: Final = "unread"
"""What a paper says that nobody can read: neither good nor missing."""
BACK: Final = frozenset({"解除", "取消", "cancelled", "canceled", "withdrawn", "cancel", "lifted"})


def _warned(event: e.OfficialWarning, odd: Odd) -> e.OfficialWarning:
    """A cancellation written as a colour, or as an end that has passed, is one; an end that cannot be read is a day away."""
    until = in_reason(event.until, event.at, YEARS)
    event = _set(event, odd, until=event.at + DAY if until is None else until)
    hazard = word(HAZARD, event.hazard)
    if hazard is None:
        odd.append("hazard")
    event = replace(event, hazard=hazard or event.hazard)
    if event.withdrawn:
        return event
    if folded(event.colour) in BACK:
        return replace(event, withdrawn=True, colour="")
    event = replace(event, colour=word(COLOUR, event.colour) or event.colour)
    return replace(event, withdrawn=True) if event.until <= event.at else event


def _listed(event: e.Worker, odd: Odd) -> e.Worker:
    """Trades and roles in our words; one that is almost a word is named, and stays what it is."""
    odd += [name for name, words in (("trades", TRADE), ("roles", ROLE)) if any(misspelt(words, said) for said in getattr(event, name))]
    return replace(event, trades=[word(TRADE, t) or t for t in event.trades], roles=[word(ROLE, r) or r for r in event.roles])


def _filed(event: e.Record, odd: Odd) -> e.Record:
    odd += ["trade"] if misspelt(TRADE, event.trade) else []
    return replace(event, trade=word(TRADE, event.trade) or event.trade)


def _framed(event: e.Frame, odd: Odd) -> e.Frame:
    if not event.bad:
        return event
    odd += ["bad"] if any(misspelt(BAD, said) for said in event.bad.values()) else []
    return _set(event, odd, bad={tag: word(BAD, said) or said for tag, said in event.bad.items()})


READERS: Final[dict[type, Callable[[Any, Odd], Any]]] = {
    e.Requested: _requested, e.GasTest: _tested, e.Detection: _detected, e.Certificate: _certified, e.Contractor: _papers, e.DeviceSaid: _device,
    e.OfficialWarning: _warned, e.Guard: _posted, e.Decided: _decided, e.Worker: _listed, e.Record: _filed, e.Frame: _framed,
}  # fmt: skip


# ---- what does not decode ------------------------------------------------------------------------------------------------


def mend(raw: bytes) -> tuple[Any_, Odd] | None:
    """An event of a kind on which lives hang, without the fields that cannot be read; None where it is of another kind, or what names it cannot be read."""
    try:
        tree = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(tree, dict) or tree.get("kind") not in ON_LIVES:
        return None
    return settled(str(tree["kind"]), tree)


def settled(kind: str, tree: dict[str, Any]) -> tuple[Any_, Odd] | None:
    """As `mend`, of a JSON object."""
    odd: Odd = []
    known: dict[str, Any] = {name: _understood(kind, name, value, odd) for name, value in tree.items()} | {"kind": kind}
    for _ in range(24):
        try:
            return msgspec.convert(known, Any_), sorted(set(odd))  # type: ignore[arg-type]
        except (msgspec.ValidationError, RecursionError, OverflowError) as wrong:
            field = field_of(str(wrong))
            stand_in = STAND_IN.get(kind, {})
            if field not in known and field not in stand_in:
                return None
            if field in stand_in and known.get(field) != stand_in[field]:
                known[field] = stand_in[field]
            elif field in ("at", "permit", "worker", "door", "device", "kind", "isolation", "state", "action", "what"):
                return None
            else:
                known.pop(field, None)
            odd.append(field + UNREAD)
    return None


def shown(odd: Iterable[str]) -> list[str]:
    """The fields as they are told to people."""
    return sorted({name.removesuffix(UNREAD) for name in odd})


def unread(odd: Iterable[str]) -> tuple[str, ...]:
    """The fields of which nothing is known, though something was said."""
    return tuple(sorted({name.removesuffix(UNREAD) for name in odd if name.endswith(UNREAD)}))


def field_of(said: str) -> str:
    """The field that a message of the schema is about."""
    if m := re.search(r"field `(\w+)`", said):
        return m[1]
    return m[1] if (m := re.search(r"`\$\.(\w+)", said)) else ""


def _understood(kind: str, name: str, value: Any, odd: Odd) -> Any:
    """A value in our words where a spelling, an ISO time or a list in one string is written."""
    if name in LISTS:
        return _named_in(name, value, odd)
    if kind == "permit.gas_test" and name in ("results", "passed"):
        return _results(value, odd) if name == "results" else _passed(value, odd)
    meant = value
    if isinstance(value, str):
        words = FIELDS.get(kind, {}).get(name)
        if words is not None:
            meant = word(words, value) or value
        elif name in INSTANTS:
            meant = _instant(value)
    elif name in TEXTS and value is not None:
        meant = value[0] if isinstance(value, list) and len(value) == 1 else f"{value}" if isinstance(value, int) and not isinstance(value, bool) else value
    if meant != value:
        odd.append(name)
    return meant


def _named_in(name: str, value: Any, odd: Odd) -> list[str]:
    """A list of names as it can have been meant: of one text, of numbers, of objects that bear a name; what bears none leaves the list unread."""
    if isinstance(value, str):
        odd.append(name)
        return [w for w in re.split(r"[,,;;、\s]+", value) if w]
    out = list[str]()
    for one in value if isinstance(value, list) else [value]:
        meant = next((one[key] for key in NAMES if isinstance(one.get(key), str | int)), None) if isinstance(one, dict) else one
        if isinstance(meant, str) or (isinstance(meant, int) and not isinstance(meant, bool)):
            out.append(f"{meant}")
        else:
            odd.append(name + UNREAD)
    if out != value:
        odd.append(name)
    return out


def _results(value: Any, odd: Odd) -> list[dict[str, Any]]:
    """What an analysis held, each component by itself: one that cannot be read takes no other with it."""
    out = list[dict[str, Any]]()
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, dict):
            odd.append("results" + UNREAD)
            continue
        measured = _number(one.get("value"))
        gas, unit = (said if isinstance(said := one.get(key), str) and said.strip() else none for key, none in (("gas", UNREAD), ("unit", "")))
        if (measured is None and one.get("value") is not None) or gas == UNREAD:
            odd.append("results" + UNREAD)
        if (gas, measured, unit) != (one.get("gas"), one.get("value"), one.get("unit")):
            odd.append("results")
        out.append({"gas": gas, "value": measured, "unit": unit})
    return out


def _number(value: Any) -> float | None:
    """A number, also one that was written as text; None where it is none."""
    if isinstance(value, str):
        try:
            value = float(unicodedata.normalize("NFKC", value))  # a comma may part thousands or tenths: it is not read
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def _passed(value: Any, odd: Odd) -> bool | None:
    """Whether the tester said that it passed, in whichever words; what they say is not known where nobody can read them."""
    if value is None or isinstance(value, bool):
        return value
    said = folded(f"{value}")
    meant = next((meant for meant, words in PASSED.items() if said in words), None)
    odd.append("passed" if meant is not None else "passed" + UNREAD)
    return meant


def _instant(text: str) -> Any:
    """ISO 8601 with an offset, or digits, in ms; anything else as it is: without an offset it is no instant."""
    if re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return int(at.timestamp() * 1000) if at.tzinfo is not None else text
