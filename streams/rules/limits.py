"""What kinds of work there are, and how a reading is held against the limit of its gas under a pack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streams.packs import Terms
from streams.plant import Channel

SPECIAL: Final = "01"
CONFINED: Final = "70"
HOT: Final = frozenset({"01", "02", "03"})
NEEDS_GAS: Final = HOT | {CONFINED}
"""Types that must not start without a gas analysis (AQ 3064.2-2025 5.4.3); temporary power (10) only in explosion areas."""

TYPES: Final = {
    "01": ("特级动火", "hot work, special"), "02": ("一级动火", "hot work, first class"), "03": ("二级动火", "hot work, second class"),
    "10": ("临时用电", "temporary power"), "21": ("高处Ⅰ级", "height Ⅰ"), "22": ("高处Ⅱ级", "height Ⅱ"), "23": ("高处Ⅲ级", "height Ⅲ"),
    "24": ("高处Ⅳ级", "height Ⅳ"), "30": ("动土", "excavation"), "40": ("断路", "road closure"), "50": ("盲板抽堵", "blinding"),
    "61": ("一级吊装", "lifting, first class"), "62": ("二级吊装", "lifting, second class"), "63": ("三级吊装", "lifting, third class"),
    "70": ("受限空间", "confined space"),
}  # fmt: skip

HEIGHT: Final = frozenset({"21", "22", "23", "24"})
LIFTING: Final = frozenset({"61", "62", "63"})
POWER: Final = "10"
BLINDING: Final = "50"
EXCAVATION: Final = "30"

RETEST: Final = {"01": "retest_special", "02": "retest_first", "03": "retest_second", "70": "retest_confined"}
"""The limit on an interruption, by type; longer ones ask for a new test (GB 30871-2022 5.3.1 d, 6.3 f)."""

VALID: Final = {"01": "valid_special", "02": "valid_first", "03": "valid_second", "70": "valid_confined", "10": "valid_power",
                "21": "valid_height", "22": "valid_height", "23": "valid_height", "24": "valid_height"}  # fmt: skip
"""The longest validity, by type (GB 30871-2022 5.1.5, 6.10, 8.2.11, 10.8)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a channel's value is held against, in the channel's own unit: near from `warn` (≥), over beyond `high` or below `low`."""

    high: float | None
    warn: float | None
    low: float | None
    clause: str
    gas: str
    unit: str


def family(type: str) -> str:
    """hot, confined, height, lifting, power, blinding, excavation, road."""
    if type in HOT:
        return "hot"
    if type in HEIGHT:
        return "height"
    if type in LIFTING:
        return "lifting"
    return {CONFINED: "confined", POWER: "power", BLINDING: "blinding", EXCAVATION: "excavation"}.get(type, "road")


def allowed_lel(gas: str, terms: Terms) -> float:
    """The limit in %LEL: the stricter of the pack's %vol (GB 30871-2022 5.3.2) and its %LEL. Unknown gas: the strictest known."""
    lel = terms.pack.lel
    if gas not in lel:
        return min(allowed_lel(known, terms) for known in lel)
    by_volume = terms["lel_vol_high"] if lel[gas] >= 4 else terms["lel_vol_low"]
    return min(terms["lel_percent"], 100 * by_volume / lel[gas])


def to_lel(value: float, unit: str, gas: str, terms: Terms) -> float | None:
    """A combustible concentration in %LEL; None where the unit cannot be converted without knowing the gas."""
    if unit == "%LEL":
        return value
    lel, scale = terms.pack.lel.get(gas), {"%vol": 1.0, "ppm": 1e-4}.get(unit)
    return None if lel is None or scale is None else 100 * value * scale / lel


def to_mg(value: float, unit: str, gas: str, terms: Terms) -> float | None:
    """A toxic concentration in mg/m³ at 25 °C and 101.325 kPa; None for a unit or a gas that is not known."""
    if unit in ("mg/m3", "mg/m³"):
        return value
    return value * terms.pack.molar[gas] / 24.45 if unit == "ppm" and gas in terms.pack.molar else None


def limit_of(channel: Channel, terms: Terms) -> Limit | None:
    """What a gas channel is held against, in its own unit, or None where there is nothing to hold it against."""
    match channel.kind:
        case "combustible":
            per_unit = to_lel(1.0, channel.unit, channel.gas, terms)
            if not per_unit:
                return None
            high = allowed_lel(channel.gas, terms) / per_unit
            clause = "GB 30871-2022 5.3.2" if terms["lel_percent"] == 100 else "29 CFR 1910.146(b)"
            return Limit(high, high * terms["rise_share"], None, clause, channel.gas or "?", channel.unit)
        case "oxygen":
            clause = "GB 30871-2022 6.4" if terms["lel_percent"] == 100 else "29 CFR 1910.146(b)"
            return Limit(terms["oxygen_high"], None, terms["oxygen_low"], clause, "O2", channel.unit)
        case "toxic":
            per_unit = to_mg(1.0, channel.unit, channel.gas, terms)
            if not per_unit or channel.gas not in terms.pack.toxic:
                return None
            high = terms.pack.toxic[channel.gas] / per_unit
            return Limit(high, high * terms["rise_share"], None, "GBZ 2.1-2019", channel.gas, channel.unit)
    return None


def test_passes(gas: str, value: float | None, unit: str, terms: Terms) -> bool | None:
    """Does one component of a gas analysis pass? None where it cannot be told."""
    if value is None:
        return None
    if gas in ("o2", "oxygen"):
        return terms["oxygen_low"] <= value <= terms["oxygen_high"]
    if gas in terms.pack.toxic:
        mg = to_mg(value, unit, gas, terms)
        return None if mg is None else mg <= terms.pack.toxic[gas]
    lel = to_lel(value, unit, gas, terms)
    return None if lel is None else lel <= allowed_lel(gas, terms)
