"""Rule packs: versioned, effective-dated data over the rule functions, layered national ⊂ group ⊂ plant, read with errors that help.

    PackError       something in a pack is wrong: file, line, key, what is wrong, what to do
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from streams.codes import NORMAL
from streams.limits import LIMITS, SCALE, When
from streams.reading import line_of, nearest, syntax_line
from streams.sentences import CODES, SENTENCES
from streams.waivers import PUBLIC, unsigned
from streams.words import gas_of

BOOK: Final = "0.3.0"
"""The version of the rule functions, carried by every alert beside the pack's."""
BUILT_IN: Final = ("gb", "aq", "osha", "nfpa", "site_example")
DEEPEST: Final = 8
RANK: Final = {"national": 0, "group": 1, "plant": 2}


class Setting(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a pack says of one rule: on or off, its priority, delays in s, its sentence."""

    on: bool | None = None
    priority: Literal[1, 2, 3, 4] | None = None
    on_delay: float | None = None
    off_delay: float | None = None
    zh: str = ""
    en: str = ""


class Waiver(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Leave to be looser than the layer below: for one key, until a day, by somebody, for a reason; `signature` (Ed25519, base64) over all of it and the value."""

    key: str
    until: str
    by: str
    reason: str
    signature: str = ""


class Pack(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A pack. As written, it holds what it changes; resolved, everything (`base` is then what it stands on, for show)."""

    name: str
    version: str
    layer: Literal["national", "group", "plant"]
    edition: str
    since: str
    zh: str
    en: str
    base: str = ""
    limits: dict[str, float] = {}
    lel: dict[str, float] = {}
    toxic: dict[str, float] = {}
    molar: dict[str, float] = {}
    clauses: dict[str, str] = {}
    """figure → the clause that it comes from, with its edition."""
    warn_days: dict[str, list[int]] = {}
    trades: dict[str, list[str]] = {}
    evidence: dict[str, list[str]] = {}
    """type → the kinds of evidence (stage or medium) without which it is not issued (000-23)."""
    rules: dict[str, Setting] = {}
    waivers: list[Waiver] = []

    @property
    def label(self) -> str:
        return f"{self.name} {self.version}"


class PackError(Exception):
    """Something in a pack is wrong: says where, what, and what to do."""

    def __init__(self, file: str, line: int, key: str, what: str, remedy: str) -> None:
        super().__init__(f"{file}:{line}: {key}: {what}. {remedy}")
        self.file, self.line, self.key, self.what, self.remedy = file, line, key, what, remedy


# ---- reading --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def built_in(name: str) -> Pack:
    """One of the packs that come with us, resolved. Raises KeyError."""
    if name.lower().replace("-", "_") not in BUILT_IN:
        raise KeyError(name)
    book = Path(str(files("streams").joinpath("book")))
    text = (book / f"{name.lower().replace('-', '_')}.toml").read_text(encoding="utf-8")
    return read_text(text, f"{name.lower()}.toml", book, None)


def read_pack(path: Path, today: date | None = None) -> Pack:
    """Reads and resolves a pack file; its base is a built-in name or a file beside it. Raises PackError; the pack in force then stays."""
    if not path.exists():
        raise PackError(str(path), 1, "file", "there is no such pack", f"Give a file, or one of {', '.join(b.upper() for b in BUILT_IN)}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as wrong:
        raise PackError(str(path), 1, "file", f"not UTF-8: {wrong}", "Save it as UTF-8") from None
    return read_text(text, str(path), path.parent, today)


def written_pack(path: Path) -> Pack:
    """A pack file as it is written, neither checked nor resolved. Raises PackError, OSError."""
    return _parse(path.read_text(encoding="utf-8"), str(path))


def find_pack(name: str, folder: Path, today: date | None = None) -> Pack:
    """A built-in pack by name, or a file beside `folder`."""
    if name.lower().replace("-", "_") in BUILT_IN:
        return built_in(name)
    return read_pack(folder / name, today)


def read_text(text: str, file: str, folder: Path, today: date | None, chain: tuple[str, ...] = ()) -> Pack:
    """A pack's text, resolved on its base and checked against it."""
    written = _parse(text, file)
    _check_words(written, text, file)
    if not written.base:
        _complete(written, text, file)
        return written
    base = _base(written, text, file, folder, today, (*chain, Path(file).name))
    _check_order(written, base, text, file)
    _check_looser(written, base, text, file, today)
    _check_signed(written, text, file, folder / PUBLIC)
    return _over(written, base)


def _parse(text: str, file: str) -> Pack:
    tree: dict[str, Any] = {}
    try:
        tree = tomllib.loads(text)
        return msgspec.convert(tree, Pack)
    except tomllib.TOMLDecodeError as wrong:
        raise PackError(file, syntax_line(wrong), "syntax", str(wrong), "Mend the TOML on this line (a key may stand once in a table)") from None
    except msgspec.ValidationError as wrong:
        said = str(wrong)
        where = m[1] if (m := re.search(r"`\$\.?(.*?)`$", said)) else ""
        key = f[1] if (f := re.search(r"field `(\w+)`", said)) else (_culprit(tree, where) or where.split(".")[-1].strip("[]") or "file")
        raise PackError(file, line_of(text, key), key, said.split(" - at")[0], "docs/rules.md lists what a pack may say") from None


def _culprit(tree: dict[str, Any], where: str) -> str:
    """Which key of a table has a value of the wrong kind, where the library only names the table."""
    table = tree.get(where.split("[")[0].split(".")[0])
    numbers = where.startswith(("limits", "lel", "toxic", "molar"))
    return next((str(k) for k, v in table.items() if numbers and not isinstance(v, int | float)), "") if isinstance(table, dict) else ""


def _base(written: Pack, text: str, file: str, folder: Path, today: date | None, chain: tuple[str, ...]) -> Pack:
    name = written.base
    if name in chain or f"{name.lower()}.toml" in chain or len(chain) > DEEPEST:
        raise PackError(file, line_of(text, "base"), "base", f"{' → '.join((*chain, name))} goes in a circle", "Let the lowest pack stand on GB or OSHA")
    if name.lower().replace("-", "_") in BUILT_IN:
        return built_in(name)
    path = folder / name
    if not path.exists():
        raise PackError(file, line_of(text, "base"), "base", f"there is no pack {name}", f"Name a file beside this one, or one of {', '.join(b.upper() for b in BUILT_IN)}")
    return read_text(path.read_text(encoding="utf-8"), str(path), path.parent, today, chain)


# ---- checks ---------------------------------------------------------------------------------------------------------


def _check_words(pack: Pack, text: str, file: str) -> None:
    """Known limits within what can be meant, known rules, sentences in both languages with numbers that the rule has, real days."""
    for name, value in pack.limits.items():
        limit = LIMITS.get(name)
        if limit is None:
            raise PackError(file, line_of(text, name), f"limits.{name}", "no such limit", nearest(name, list(LIMITS)))
        if not limit.low <= value <= limit.high:
            raise PackError(file, line_of(text, name), f"limits.{name}", f"{value:g} {limit.unit} cannot be meant", f"Write {limit.low:g} to {limit.high:g} {limit.unit}")
    for gas in {**pack.lel, **pack.toxic, **pack.molar}:
        if (meant := gas_of(gas)) is not None and meant != gas:
            raise PackError(file, line_of(text, gas), f"gas {gas}", f"is a spelling of {meant}, so that analyses of it would be of another gas", f"Write {meant}, or give the other gas a name of its own")
    for code, setting in pack.rules.items():
        if code not in CODES:
            raise PackError(file, line_of(text, code), f"rules.{code}", "no such rule", nearest(code, sorted(CODES)))
        _check_sentence(code, setting, text, file)
    for day in (pack.since, *(w.until for w in pack.waivers)):
        try:
            date.fromisoformat(day)
        except ValueError:
            raise PackError(file, line_of(text, day), "since/until", f"{day!r} is not a day", "Write YYYY-MM-DD") from None


def _check_sentence(code: str, setting: Setting, text: str, file: str) -> None:
    if bool(setting.zh) != bool(setting.en):
        missing = "en" if setting.zh else "zh"
        raise PackError(file, line_of(text, code), f"rules.{code}.{missing}", "a sentence is missing in one language", f"Write {missing} too")
    known = {w for lang in SENTENCES[code] for w in _slots(lang)}
    for said in (setting.zh, setting.en):
        strange = _slots(said) - known
        if strange:
            raise PackError(file, line_of(text, code), f"rules.{code}", f"the rule has no {{{min(strange)}}}", f"It has {', '.join(sorted(known))}")


def _slots(said: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(said) if name}


def _complete(pack: Pack, text: str, file: str) -> None:
    missing = [name for name in LIMITS if name not in pack.limits]
    if missing:
        raise PackError(file, 1, f"limits.{missing[0]}", "a pack without a base must give every limit", 'Add it, or write base = "GB"')


def _check_order(pack: Pack, base: Pack, text: str, file: str) -> None:
    if RANK[pack.layer] < RANK[base.layer]:
        raise PackError(file, line_of(text, "layer"), "layer", f"a {pack.layer} pack cannot stand on a {base.layer} pack", "Layers go national, group, plant")
    if pack.layer != "national" and date.fromisoformat(pack.since) < date.fromisoformat(base.since):
        raise PackError(file, line_of(text, "since"), "since", f"{pack.since} is before its base came into force ({base.since})", "Let it begin later")


LEL_HIGH = 4.0
"""%vol: from this lower explosive limit on more gas passes (GB 30871-2022 5.3.2)."""


def looser(pack: Pack, base: Pack) -> list[str]:
    """The keys in which a pack asks for less than its base."""
    out = []
    for name, value in pack.limits.items():
        direction, was = LIMITS[name].stricter, base.limits[name]
        if (direction == "lower" and value > was) or (direction == "higher" and value < was):
            out.append(f"limits.{name}")
    out += [f"toxic.{gas}" for gas, value in pack.toxic.items() if gas in base.toxic and value > base.toxic[gas]]
    out += [f"lel.{gas}" for gas, value in pack.lel.items() if gas in base.lel and (value < base.lel[gas] or value >= LEL_HIGH > base.lel[gas])]
    out += [f"molar.{gas}" for gas, value in pack.molar.items() if gas in base.molar and abs(value / base.molar[gas] - 1) > 0.01]
    out += [f"evidence.{type}" for type, kinds in pack.evidence.items() if set(base.evidence.get(type, ())) - set(kinds)]
    out += [f"trades.{type}" for type, trades in pack.trades.items() if set(base.trades.get(type, ())) - set(trades)]
    out += [f"warn_days.{trade}" for trade, days in pack.warn_days.items() if set(base.warn_days.get(trade, base.warn_days.get("*", ()))) - set(days)]
    for code, setting in pack.rules.items():
        was_set = base.rules.get(code, Setting())
        off = setting.on is False and was_set.on is not False
        lower = setting.priority is not None and setting.priority > (was_set.priority or NORMAL.get(code, 4))
        slower = any((getattr(setting, d) or 0) > (getattr(was_set, d) or 0) for d in ("on_delay",))
        out += [f"rules.{code}"] if off or lower or slower else []
    return out


def _check_looser(pack: Pack, base: Pack, text: str, file: str, today: date | None) -> None:
    """A national pack may say what it likes; a group or a plant may only be stricter, or have leave that has not run out."""
    if pack.layer == "national":
        return
    waived = {w.key: w for w in pack.waivers}
    for key in looser(pack, base):
        waiver, line = waived.get(key), line_of(text, key.split(".")[-1])
        if waiver is None:
            raise PackError(file, line, key, f"looser than {base.label}", f'Be at least as strict, or add [[waivers]] with key = "{key}", until, by and reason')
        if today is not None and date.fromisoformat(waiver.until) < today:
            raise PackError(file, line_of(text, waiver.until), key, f"the waiver ran out on {waiver.until}", "Renew it, or be as strict as the base")
        if not (waiver.by.strip() and waiver.reason.strip()):
            raise PackError(file, line_of(text, waiver.key), key, "a waiver needs somebody and a reason", "Fill in by and reason")


def _check_signed(pack: Pack, text: str, file: str, public: Path) -> None:
    """Where the signer's key lies beside a pack, every waiver must bear a signature that fits it."""
    if not (pack.waivers and public.is_file()):
        return
    try:
        wrong = unsigned(pack, public.read_bytes())
    except ValueError as bad:
        raise PackError(str(public), 1, "key", f"no Ed25519 public key: {bad}", "openssl pkey -in waivers.key -pubout -out waivers.pub") from None
    if wrong:
        raise PackError(file, line_of(text, wrong[0].key), wrong[0].key, f"its waiver bears no signature that fits {public.name}", "Have `permitwatch rules sign` sign it as it now stands")


def _over(pack: Pack, base: Pack) -> Pack:
    merged: dict[str, Any] = {name: getattr(base, name) | getattr(pack, name) for name in ("limits", "lel", "toxic", "molar", "warn_days", "trades", "evidence")}
    own = {name: pack.label for name, value in pack.limits.items() if base.limits.get(name) != value}
    merged["clauses"] = base.clauses | own | ({"toxic": pack.label} if pack.toxic.items() - base.toxic.items() else {}) | pack.clauses
    rules = {code: _merged(base.rules.get(code, Setting()), pack.rules.get(code, Setting())) for code in sorted({*base.rules, *pack.rules})}
    return msgspec.structs.replace(pack, **merged, rules=rules, waivers=[*base.waivers, *pack.waivers])


def _merged(under: Setting, over: Setting) -> Setting:
    values = {f: getattr(over, f) if getattr(over, f) not in (None, "") else getattr(under, f) for f in Setting.__struct_fields__}
    return Setting(**values)


# ---- in force -------------------------------------------------------------------------------------------------------


class Terms:
    """A resolved pack made ready for rules: durations in ms, everything else in its own unit. A rule sees only the figures of one moment (`fact`, `permit`, `now`)."""

    def __init__(self, pack: Pack, when: When | None = None) -> None:
        self.pack = pack
        # a pack of an older log gives no figure that is newer than it: the national one stands there
        figures = pack.limits if LIMITS.keys() <= pack.limits.keys() else built_in("gb").limits | pack.limits
        self.limits: dict[str, float] = {name: value * SCALE.get(LIMITS[name].unit, 1.0) for name, value in figures.items() if name in LIMITS and when in (None, LIMITS[name].when)}
        self.ms: dict[str, int] = {name: int(value) for name, value in self.limits.items() if LIMITS[name].unit in SCALE}
        self.gases = frozenset({*pack.lel, *pack.toxic, *pack.molar})
        self.off = frozenset(code for code, setting in pack.rules.items() if setting.on is False)

    @cached_property
    def fact(self) -> Terms:
        """Only the figures that are taken as of a fact's own time."""
        return Terms(self.pack, "fact")

    @cached_property
    def permit(self) -> Terms:
        """Only the figures that are taken as of a permit's approval."""
        return Terms(self.pack, "permit")

    @cached_property
    def now(self) -> Terms:
        """Only the figures that are taken as of now."""
        return Terms(self.pack, "now")

    def __getitem__(self, name: str) -> float:
        return self.limits[name]

    def clause(self, name: str) -> str:
        """Where a figure comes from, as the pack that gave it says."""
        return self.pack.clauses.get(name, self.pack.edition)

    def setting(self, code: str) -> Setting:
        return self.pack.rules.get(code, PLAIN)

    def warn_days(self, trade: str) -> list[int]:
        days: Mapping[str, list[int]] = self.pack.warn_days
        return sorted(set(days.get(trade, days.get("*", []))), reverse=True)


PLAIN: Final = Setting()


_ready: list[tuple[Pack, Terms]] = []


def terms_of(pack: Pack) -> Terms:
    """The terms of a pack, made once and kept while it is in use."""
    for known, terms in _ready:
        if known is pack:
            return terms
    terms = Terms(pack)
    _ready.append((pack, terms))
    del _ready[:-16]
    return terms
