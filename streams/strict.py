"""What `schema: 2` holds a sender to: known and required fields, closed words, instants within reason; each fault with its JSON path and the nearest words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

import msgspec

from streams import events as e
from streams.events import Any_
from streams.plain import CLOSE, YEARS
from streams.words import BEHAVIOUR, COLOUR, ENDLESS, GAS, HAZARD, ISO, NO_GAS, PAPER, ROLE, TRADE, TYPE, UNIT, day_of, folded, gas_of, misspelt, word

KINDS: Final[dict[str, type[Any]]] = {str(kind.__struct_config__.tag): kind for kind in Any_.__args__}  # type: ignore[attr-defined]
OPEN: Final = frozenset({"kind", "schema"})
Gases = frozenset[str] | None


def strange_fields(kind: str, row: Mapping[str, Any]) -> list[str]:
    """The fields of a row that its kind does not have."""
    known = {f.encode_name for f in msgspec.structs.fields(KINDS[kind])} | OPEN
    return sorted(name for name in row if name not in known)


def fields_of(kind: str) -> list[str]:
    """The fields that a kind has."""
    return [f.encode_name for f in msgspec.structs.fields(KINDS[kind])]


def faults(kind: str, row: Mapping[str, Any], gases: frozenset[str] | None = frozenset()) -> list[str]:
    """What is wrong with a row under schema 2, one sentence each; `gases`: a pack's own (None: whoever asks knows no pack, and any may be one). The row is read as JSON, times in ms."""
    known = fields_of(kind)
    strange = [f"unknown field `$.{name}`.{_nearest(name, known)}" for name in strange_fields(kind, row)]
    try:
        event = msgspec.convert({k: v for k, v in row.items() if k != "schema"} | {"kind": kind}, Any_)  # type: ignore[arg-type]
    except (msgspec.ValidationError, RecursionError, OverflowError) as wrong:
        return [*strange, _wrong_word(kind, str(wrong))]
    return [*strange, *wrong_words(event, gases)]


def _wrong_word(kind: str, said: str) -> str:
    """What the library says of a word that is none of its field's, with the nearest of those that are."""
    found = re.match(r"Invalid enum value '(.*)' - at `\$\.(\w+)`$", said)
    field = next((f for f in msgspec.structs.fields(KINDS[kind]) if found and f.encode_name == found[2]), None)
    words = [w for w in get_args(field.type) if isinstance(w, str)] if field else []
    return f"{found[1]!r} is no word of `$.{found[2]}`.{_nearest(found[1], words)}" if found and words else said


def wrong_words(event: Any_, gases: frozenset[str] | None = frozenset()) -> list[str]:
    """The words, days, shares and instants of an event that schema 2 does not take."""
    check = CHECKS.get(type(event))
    return list(check(event, gases)) if check else []


def _word(path: str, said: str, words: Mapping[str, Any] | frozenset[str]) -> Iterator[str]:
    if said not in words:
        yield f"{said!r} is no word of `{path}`.{_nearest(said, list(words), words if isinstance(words, Mapping) else {})}"


def _nearest(said: str, words: list[str], spelled: Mapping[str, tuple[str, ...]] | None = None) -> str:
    meant = [name for name, spellings in (spelled or {}).items() if isinstance(spellings, tuple) and folded(said) in {folded(s) for s in (name, *spellings)}]
    close = meant or difflib.get_close_matches(said, words, 3, 0.5)
    return f" Did you mean {', '.join(close)}?" if close else f" Known: {', '.join(words[:20])}"


def _day(path: str, said: str, endless: bool = False) -> Iterator[str]:
    if said and (not ISO.fullmatch(said) or day_of(said) is None or ((day_of(said) or 0) and not endless and said.startswith("9999"))):
        yield f"{said!r} is no day at `{path}`. Write YYYY-MM-DD{', or 9999-12-31 for no end' if endless or folded(said) in ENDLESS else ''}"


def _instant(path: str, ms: int | None, at: int, within: int) -> Iterator[str]:
    if ms is not None and abs(ms - at) > within:
        yield f"{ms} at `{path}` is out of reason beside at = {at}. Write ms since 1970 (not s, µs or ns), or ISO 8601 with an offset"


def _requested(event: e.Requested, gases: Gases) -> Iterator[str]:
    yield from _word("$.type", event.type, TYPE)
    for name in ("valid_from", "valid_to", "planned_start"):
        yield from _instant(f"$.{name}", getattr(event, name), event.at, YEARS)
    if event.valid_to <= event.valid_from:
        yield f"`$.valid_to` {event.valid_to} is not after `$.valid_from` {event.valid_from}. Swap them or mend one"


def _tested(event: e.GasTest, gases: Gases) -> Iterator[str]:
    for i, result in enumerate(event.results):
        if gases is not None and result.gas not in gases:
            yield from _gas(f"$.results[{i}].gas", result.gas, gases)
        yield from _word(f"$.results[{i}].unit", result.unit, UNIT)


def _gas(path: str, said: str, gases: frozenset[str]) -> Iterator[str]:
    """No gas is offered because its name is near: SO2 is no oxygen."""
    if said in GAS or folded(said) in NO_GAS:
        return
    meant = gas_of(said, gases)
    hint = f"Did you mean {meant}?" if meant else f"Known: {', '.join((*GAS, *sorted(gases)))}"
    yield f"{said!r} is no word of `{path}`. {hint}"


SEEN: Final[dict[str, tuple[str, ...]]] = {k: ((*v, "flame") if k == "fire" else v) for k, v in BEHAVIOUR.items() if k != "flame"}
"""`flame` of old logs means hot work; whoever keeps to the words says `fire` or `hot_work`."""


def _detected(event: e.Detection, gases: Gases) -> Iterator[str]:
    yield from _word("$.behaviour", event.behaviour, SEEN)
    if not 0 <= event.confidence <= 1:
        yield f"{event.confidence:g} at `$.confidence` is no share. Write 0 to 1 (0.35 for 35 %)"
    for name in ("onset", "decided"):
        yield from _instant(f"$.{name}", getattr(event, name), event.at, CLOSE)


def _certified(event: e.Certificate, gases: Gases) -> Iterator[str]:
    yield from _day("$.valid_to", event.valid_to or "—", True)
    yield from _spelled("$.trade", event.trade, TRADE)


def _spelled(path: str, said: str, words: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Of words to which a plant may add its own: no other spelling of one, nor almost one."""
    if said not in words and (word(words, said) is not None or misspelt(words, said)):
        yield from _word(path, said, words)


def _listed(event: e.Worker, gases: Gases) -> Iterator[str]:
    for name, words in (("trades", TRADE), ("roles", ROLE)):
        for i, said in enumerate(getattr(event, name)):
            yield from _spelled(f"$.{name}[{i}]", said, words)


def _filed(event: e.Record, gases: Gases) -> Iterator[str]:
    yield from _spelled("$.trade", event.trade, TRADE)


def _warned(event: e.OfficialWarning, gases: Gases) -> Iterator[str]:
    yield from _word("$.hazard", event.hazard, HAZARD)
    if event.colour or not event.withdrawn:
        yield from _word("$.colour", event.colour, COLOUR)
    yield from _instant("$.until", event.until, event.at, YEARS)


def _papers(event: e.Contractor, gases: Gases) -> Iterator[str]:
    for name, paper in event.papers.items():
        if paper not in PAPER:
            yield from _day(f"$.papers.{name}", paper or "—", True)


def _device(event: e.DeviceSaid, gases: Gases) -> Iterator[str]:
    yield from _day("$.calibrated_to", event.calibrated_to)


def _units(event: e.Frame, gases: Gases) -> Iterator[str]:
    for tag, unit in event.units.items():
        yield from _spelled(f"$.units.{tag}", unit, UNIT)


def _until(event: e.Clip | e.Probe, gases: Gases) -> Iterator[str]:
    yield from _instant("$.until", getattr(event, "until", None), event.at, CLOSE)
    yield from _instant("$.recorded", getattr(event, "recorded", None), event.at, YEARS)


def _stepped(event: e.Step, gases: Gases) -> Iterator[str]:
    if event.step == "unknown":
        yield f"'unknown' is no step at `$.step`. Known: {', '.join(e.STEPS)}"


CHECKS: Final[dict[type, Any]] = {
    e.Requested: _requested, e.GasTest: _tested, e.Detection: _detected, e.Certificate: _certified, e.Contractor: _papers, e.DeviceSaid: _device, e.Frame: _units,
    e.Clip: _until, e.Probe: _until, e.Step: _stepped, e.Worker: _listed, e.Record: _filed, e.OfficialWarning: _warned,
}  # fmt: skip
