"""A plant as its people describe it: plant.toml, points.csv (instruments) and places.csv (work points), read with errors that help.

    PlantError      something in a file is wrong: file, line, field, what is wrong, what to do
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from streams.calendar import Calendar
from streams.calendar import built_in as days_of
from streams.gases import limit_of, toxic_name
from streams.packs import BUILT_IN, Pack, Terms, built_in, find_pack, terms_of
from streams.reading import did_you_mean, syntax_line
from streams.topics import OF_KIND
from streams.words import GAS, NOBODY, UNIT, folded, gas_of, unit_of

LONGEST = 86_400_000
"""ms: no source is later, or less sure of its time, than a day."""
Count = Annotated[int, Meta(ge=0, le=65_535)]
"""A number of people, a register, a unit: none is larger."""


class Shop(Struct, frozen=True, forbid_unknown_fields=True):
    """A workshop."""

    id: str
    zh: str
    en: str


class Area(Struct, frozen=True, forbid_unknown_fields=True):
    """A rectangle of the plant, in metres from its origin."""

    id: str
    shop: str
    zh: str
    en: str
    x: float = 0
    y: float = 0
    w: float = 50
    h: float = 50


class Point(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A work point: where a permit may be, and the devices that watch it. Metres; `radius` is the guardian's fence."""

    id: str
    area: str
    x: float
    y: float
    z: float = 0
    radius: float = 15
    cameras: list[str] = []
    detectors: list[str] = []
    fans: list[str] = []
    stations: list[str] = []
    """Wind stations; none: every station counts."""
    aliases: list[str] = []
    """Other names of the same place in other systems."""
    equipment: str = ""
    unit: str = ""
    """Process unit: its deviations freeze the permits here."""
    risk: str = ""
    zone: Literal["", "fire", "safe"] = ""
    """Is the place a fire and explosion area?"""
    dike: str = ""
    """Inside this dike of a tank farm of a major hazard."""
    rack: bool = False
    line: str = ""
    space: str = ""
    forbidden: list[str] = []
    """Types (A.2 codes or families: hot, confined …) that may not be done here."""
    indoor: bool = False
    closed: bool | None = None
    """Is it a closed place (oxygen is asked of an analysis for hot work)? Unsaid: where a space is named."""
    enriched: bool = False
    """Declared enriched with oxygen (GB 30871-2022 6.4)."""
    toxics: list[str] = []
    """Toxic gases of the place, by the names of the gas table; `-` or 无: there are none, and it is written down."""

    @property
    def named_toxics(self) -> list[str]:
        return [toxic for toxic in self.toxics if folded(toxic) not in NOBODY]


class Channel(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One measured quantity and where on a wire it is. `gas` names a row of the gas table; `low`/`high`: instrument range."""

    tag: str
    source: str
    kind: Literal["combustible", "oxygen", "toxic", "process", "wind", "fan", "isolation"]
    """`fan`: 0 is stopped; `isolation`: 1 is opened; `process` with a set point is held against it."""
    unit: str
    area: str = ""
    gas: str = ""
    low: float | None = None
    high: float | None = None
    unit_id: Count = 1
    register: Count = 0
    type: Literal["float32", "int16", "uint16"] = "uint16"
    scale: float = 1
    offset: float = 0
    status_register: Count | None = None
    node: str = ""
    setpoint: float | None = None
    process_unit: str = ""
    isolation: str = ""


class Door(Struct, frozen=True, forbid_unknown_fields=True):
    """A reader and the work points or areas behind it."""

    id: str
    points: list[str] = []
    areas: list[str] = []
    shelter: bool = False
    """The door of a shelter: whoever comes is let in, whatever is known of him, of the weather or of us."""


class Zone(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A rectangle with rules of its own for people, metres: who may be there, how many, how long."""

    id: str
    zh: str
    en: str
    x: float
    y: float
    w: float
    h: float
    area: str = ""
    restricted: bool = False
    """Only those whom a permit names at a work point inside, or `allowed`, may be here."""
    allowed: list[str] = []
    most: Count | None = None
    least: Count | None = None
    gather: bool = True


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """How a site's own systems behave, in seconds; what its rules ask stands in its pack."""

    index_delay: Annotated[int, Meta(ge=0, le=86_400)] = 600
    hole_stays: Annotated[int, Meta(ge=0, le=86_400)] = 30
    commands: Literal["dry-run", "send"] = "dry-run"


class Plant(Struct, frozen=True, forbid_unknown_fields=True):
    """All that the rules need to know of a site; travels in the log as one event."""

    site: str
    zh: str
    en: str
    timezone: str = "Asia/Shanghai"
    pack: str = "GB"
    """A built-in pack's name, or a pack file beside plant.toml."""
    book: Pack | None = None
    """The pack resolved, where it is a file; a built-in one is known by its name."""
    policy: Policy = Policy()
    shops: list[Shop] = []
    areas: list[Area] = []
    points: list[Point] = []
    channels: list[Channel] = []
    doors: list[Door] = []
    zones: list[Zone] = []
    calendar: Calendar | None = None
    """The plant's own; None: the country's."""
    uncertainty: dict[str, int] = {}
    push_delay: dict[str, int] = {}
    """Source → within how many ms a message of it surely arrives: where that is declared, arrivals measure its clock from both sides."""
    roster: list[str] = []
    """Sources whose word on a person's roles (rescue, fire) counts."""


def plant_terms(plant: Plant | None) -> Terms:
    """The terms that a plant begins with."""
    return terms_of(plant.book if plant and plant.book else built_in(plant.pack if plant else "GB"))


def whole(plant: Plant) -> Plant:
    """The plant with all that judges it written out: its pack and its calendar, also where they are ours, so that a later version that brings others judges an old log by these."""
    return msgspec.structs.replace(plant, book=plant.book or built_in(plant.pack), calendar=plant.calendar or days_of())


class ClockRegister(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a panel shows its clock. `device`: the name by which others (gas tests, its log) call the panel; its readings are stamped by us."""

    device: str
    register: Count
    unit_id: Count = 1
    kind: Literal["unix", "ymdhms"] = "unix"
    """Seconds since 1970 in two words, or year, month, day, hour, minute, second in six."""
    zone: str = "Asia/Shanghai"


class Modbus(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A Modbus TCP endpoint; `name` is what points.csv calls its source."""

    name: str
    address: str
    period: float = 1.0
    timeout: float = 0.8
    order: Literal["ABCD", "CDAB", "BADC", "DCBA"] = "ABCD"
    max_words: Count = 125
    gap: Count = 16
    clock: ClockRegister | None = None
    """Where the panel shows its own clock: it is read once a minute and held against ours."""


class OpcUa(Struct, frozen=True, forbid_unknown_fields=True):
    """An OPC UA server; a session ends after `silence` s without its clock."""

    name: str
    endpoint: str
    publish_ms: Count = 250
    silence: float = 6.0
    policy: Literal["None", "Basic256Sha256"] = "None"
    certificate: str = ""
    private_key: str = ""


SOURCED: Final = frozenset(OF_KIND) - {"tick"}
"""Kinds that a source may say: our own clock's seconds are nobody else's."""


class Http(Struct, frozen=True, forbid_unknown_fields=True):
    """A system that pushes to our door: its source name, the environment variable that holds its token, and what that token may send."""

    name: str
    token_env: str
    kinds: list[str] | None = None
    """Kinds of events, or a family (`permit.*`); `decided` lets it ask at gates. None: all of them, which ingest says when it starts; `["*"]`: all of them, and it is meant."""

    def sends(self) -> frozenset[str]:
        """The kinds of events that its token may send."""
        return frozenset(kind for kind in SOURCED if self.kinds is None or any(fnmatchcase(kind, named) for named in self.kinds))


class Wires(Struct, frozen=True):
    """Everything ingest listens to."""

    modbus: list[Modbus] = []
    opcua: list[OpcUa] = []
    http: list[Http] = []


class PlantError(Exception):
    """Something in a plant's files is wrong: says where, what, and what to do."""

    def __init__(self, file: Path, line: int, field: str, what: str, remedy: str) -> None:
        super().__init__(f"{file}:{line}: {field}: {what}. {remedy}")
        self.file, self.line, self.field, self.what, self.remedy = file, line, field, what, remedy


class Described(Struct, frozen=True):
    """A plant with its wires, as read from its folder."""

    plant: Plant
    wires: Wires


def read_plant(path: Path) -> Described:
    """Reads `path` (plant.toml) and the tables it names (default: points.csv and places.csv beside it)."""
    text = path.read_text(encoding="utf-8") if path.exists() else None
    if text is None:
        raise PlantError(path, 1, "plant.toml", "there is no such file", "Give the path of a plant.toml; docs/operators.md shows one")
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise PlantError(path, syntax_line(wrong), "syntax", str(wrong), "Mend the TOML on this line") from None
    tables = tree.pop("tables", {})
    here = path.parent
    wires = {name: tree.pop(name, []) for name in ("modbus", "opcua", "http")}
    tree["channels"] = read_table(here / tables.get("points", "points.csv"), Channel)
    tree["points"] = read_table(here / tables.get("places", "places.csv"), Point)
    pack = str(tree.get("pack", "GB"))
    if pack.endswith(".toml"):
        tree["book"] = msgspec.to_builtins(find_pack(pack, here))
    elif pack.lower() not in BUILT_IN:
        raise PlantError(path, _line_of(text, "", "pack"), "pack", f"there is no pack {pack}", f"Write one of {', '.join(b.upper() for b in BUILT_IN)}, or the name of a pack file beside plant.toml")
    plant = _convert(path, text, tree, Plant)
    described = Described(plant, _convert(path, text, wires, Wires))
    _check_references(path, here / tables.get("places", "places.csv"), here / tables.get("points", "points.csv"), text, described)
    return described


def read_table(path: Path, row_type: type[Any]) -> list[Any]:
    """A CSV (utf-8 or gb18030) whose columns are the fields of `row_type`; lists are separated by spaces; empty cells are left out."""
    if not path.exists():
        raise PlantError(path, 1, path.name, "there is no such file", "Put it beside plant.toml, or name another under [tables]")
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("gb18030", "replace")
    reader = csv.DictReader(io.StringIO(text))
    known = {f.encode_name: f for f in msgspec.structs.fields(row_type)}
    for column in reader.fieldnames or []:
        if column not in known:
            raise PlantError(path, 1, column, "unknown column", _nearest(column, list(known)))
    return [_row(path, reader.line_num, cells, row_type, known) for cells in reader]


def _row(path: Path, line: int, cells: dict[str, str], row_type: type[Any], known: dict[str, Any]) -> Any:
    filled = {k: v.strip() for k, v in cells.items() if v and v.strip()}
    values = {k: v.split() if known[k].type == list[str] else v for k, v in filled.items()}
    try:
        return msgspec.convert(values, row_type, strict=False)
    except msgspec.ValidationError as wrong:
        field = m[1] if (m := re.search(r"\$\.(\w+)|field `(\w+)`", str(wrong))) and m[1] else (m[2] if m else "row")
        raise PlantError(path, line, field, str(wrong).split(" - at")[0], f"Write a value of the right kind in column {field}") from None


def _convert(path: Path, text: str, tree: Any, kind: type[Any]) -> Any:
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as wrong:
        said = str(wrong)
        where = m[1] if (m := re.search(r"`\$\.?(.*?)`$", said)) else ""
        field = m[1] if (m := re.search(r"field `(\w+)`", said)) else where.split(".")[-1]
        known = [f.encode_name for f in msgspec.structs.fields(_type_at(kind, where))]
        remedy = _nearest(field, known) if "unknown field" in said else f"Write {field} as the guide for operators shows"
        raise PlantError(path, _line_of(text, where, field), field or "file", said.split(" - at")[0], remedy) from None


def _type_at(kind: type[Any], where: str) -> type[Any]:
    if ".clock" in where:
        return ClockRegister
    table = {"areas": Area, "shops": Shop, "doors": Door, "zones": Zone, "policy": Policy, "modbus": Modbus, "opcua": OpcUa, "http": Http}
    return table.get(re.split(r"[.\[]", where)[0], kind)


def _line_of(text: str, where: str, field: str) -> int:
    """The line of `field` in the n-th table that `where` (areas[2].id) names, or of that table's head, or 1."""
    table, nth = (m[1], int(m[2] or 0)) if (m := re.match(r"(\w+)(?:\[(\d+)\])?", where)) else ("", 0)
    lines = text.splitlines()
    heads = [i for i, line in enumerate(lines) if re.match(rf"\s*\[+\s*{re.escape(table)}\s*\]+", line)] if table else []
    start = heads[nth] if nth < len(heads) else -1
    for i in range(start + 1, len(lines)):
        if re.search(rf"(?:^|[{{,])\s*{re.escape(field)}\s*=", lines[i]):
            return i + 1
        if start >= 0 and lines[i].lstrip().startswith("["):
            break
    return max(1, start + 1)


def _nearest(word: str, known: list[str]) -> str:
    return did_you_mean(word, known) or f"Known here: {', '.join(known)}"


def _check_references(path: Path, places: Path, points: Path, text: str, described: Described) -> None:
    """Every name that one table uses stands in another."""
    plant, wires = described.plant, described.wires
    try:
        ZoneInfo(plant.timezone)
    except Exception:
        raise PlantError(path, _line_of(text, "", "timezone"), "timezone", f"unknown time zone {plant.timezone}", "Write one like Asia/Shanghai") from None
    shops, areas = {s.id for s in plant.shops}, {a.id for a in plant.areas}
    tags = {c.tag for c in plant.channels}
    sources = {m.name for m in wires.modbus} | {o.name for o in wires.opcua} | {h.name for h in wires.http}
    for i, area in enumerate(plant.areas):
        if area.shop not in shops:
            raise PlantError(path, _line_of(text, f"areas[{i}]", "shop"), "shop", f"no shop {area.shop}", _nearest(area.shop, sorted(shops)))
    for row, point in enumerate(plant.points, 2):
        _known(places, row, "area", [point.area], areas)
        _known(places, row, "detectors", point.detectors, tags)
        _known(places, row, "fans", point.fans, tags)
    _check_aliases(places, plant.points)
    _check_gases(points, plant)
    terms = plant_terms(plant)
    for row, point in enumerate(plant.points, 2):
        for toxic in point.named_toxics:
            gas = gas_of(toxic, terms.gases)
            if gas is None:
                raise PlantError(places, row, "toxics", f"{toxic} is no gas that is known", _nearest(toxic, sorted({*GAS, *terms.gases})))
            if toxic_name(gas, terms) not in terms.pack.toxic:
                raise PlantError(places, row, "toxics", f"{toxic}: the pack has no limit for it as a toxic, so no analysis could pass", "Give the pack its limit (mg/m3), or leave it out")
    for i, panel in enumerate(wires.modbus):
        if panel.clock and panel.clock.device in sources:
            raise PlantError(path, _line_of(text, f"modbus[{i}]", "clock"), "clock.device", f"{panel.clock.device} is a source, whose readings are stamped here", "Write the name by which gas tests call the panel")
    for i, http in enumerate(wires.http):
        if nothing := [named for named in http.kinds or () if not msgspec.structs.replace(http, kinds=[named]).sends()]:
            raise PlantError(path, _line_of(text, f"http[{i}]", "kinds"), "kinds", f"{nothing[0]} is no kind of event", _nearest(nothing[0], sorted(SOURCED)))
    for name, ms in plant.push_delay.items():
        if name not in sources or not 0 <= ms <= LONGEST:
            raise PlantError(path, _line_of(text, "push_delay", name), f"push_delay.{name}", f"{name} = {ms} is no delay of a source", _nearest(name, sorted(sources)) if name not in sources else "Write ms, 0 to a day")
    for name, ms in plant.uncertainty.items():
        if not 0 <= ms <= LONGEST:
            raise PlantError(path, _line_of(text, "uncertainty", name), f"uncertainty.{name}", f"{name} = {ms} is no uncertainty of a clock", "Write ms, 0 to a day")
    for row, channel in enumerate(plant.channels, 2):
        _known(points, row, "area", [channel.area] if channel.area else [], areas)
        _known(points, row, "source", [channel.source], sources)
    for what, file, names in (("id", places, [p.id for p in plant.points]), ("tag", points, [c.tag for c in plant.channels])):
        seen: set[str] = set()
        for row, name in enumerate(names, 2):
            if name in seen:
                raise PlantError(file, row, what, f"{name} stands twice", "Give each row a name of its own")
            seen.add(name)


def _check_gases(points: Path, plant: Plant) -> None:
    """Every gas channel can be held against a limit: a gas and a unit that are known, and convert."""
    terms = plant_terms(plant)
    for row, channel in enumerate(plant.channels, 2):
        if channel.kind not in ("combustible", "oxygen", "toxic"):
            continue
        gas = gas_of(channel.gas, terms.gases) if channel.gas else ("o2" if channel.kind == "oxygen" else "combustible")
        if gas is None:
            raise PlantError(points, row, "gas", f"{channel.gas} is no gas that is known", _nearest(channel.gas, sorted({*GAS, *terms.gases})))
        unit = unit_of(channel.unit, gas)
        if unit is None:
            raise PlantError(points, row, "unit", f"{channel.unit} is no unit of a gas", _nearest(channel.unit, list(UNIT)))
        if limit_of(msgspec.structs.replace(channel, gas=gas, unit=unit), terms) is None:
            raise PlantError(points, row, "gas", f"{channel.tag}: no limit for {channel.kind} {channel.gas} in {channel.unit}", "Name a gas of the pack's table in a unit that can be converted, or give the pack its limit")


def _check_aliases(file: Path, points: list[Point]) -> None:
    """An alias names one place; following aliases never comes back to where it began."""
    rows = {p.id: row for row, p in enumerate(points, 2)}
    owner: dict[str, str] = {}
    for point in points:
        for alias in point.aliases:
            if owner.setdefault(alias, point.id) != point.id:
                raise PlantError(file, rows[point.id], "aliases", f"{alias} is an alias of {owner[alias]} and of {point.id}", "Let each alias name one place")
    for point in points:
        path = [point.id]
        while path[-1] in owner and len(path) <= len(points):
            path.append(owner[path[-1]])
            if path[-1] in path[:-1]:
                raise PlantError(file, rows[point.id], "aliases", f"{' → '.join(path)} goes in a circle", "Let one of them be the place and the other its alias")
        if point.id in owner:
            raise PlantError(file, rows[point.id], "aliases", f"{point.id} is a work point and an alias of {owner[point.id]}", "Take out one of the two")


def _known(file: Path, line: int, field: str, names: list[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            raise PlantError(file, line, field, f"{name} is not described", _nearest(name, sorted(known)))
