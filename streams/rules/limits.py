"""Every number the rules judge by, with its clause; a pack is chosen by the plant (`pack = "GB"` or `"OSHA"`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streams.plant import Channel
from streams.times import MINUTE

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

TRADE: Final = {"01": "welding", "02": "welding", "03": "welding", "10": "electrician", "21": "height", "22": "height", "23": "height", "24": "height",
                "61": "lifting", "62": "lifting", "63": "lifting"}  # fmt: skip
"""The trade whose certificate a type of work asks of its workers (GB 30871-2022 4.9; the mapping is practice, C)."""

GAS_FRESH: Final = 30 * MINUTE
"""Sampling → start (GB 30871-2022 5.3.1 c, 6.3 a)."""

RETEST_AFTER: Final = {"01": 30 * MINUTE, "02": 30 * MINUTE, "03": 60 * MINUTE, "70": 60 * MINUTE}
"""An interruption longer than this asks for a new test (GB 30871-2022 5.3.1 d, 6.3 f)."""

RECORD_EVERY: Final = 120 * MINUTE
"""Confined space: a reading is written down at least so often (GB 30871-2022 6.5)."""

VIDEO_GAP_PER_HOUR: Final = 10_000
"""Total gap in any sliding hour where the whole work is filmed (our figure; the duty is GB 30871-2022 5.2.11)."""

CLOCK_OFF: Final = 5_000
CAMERA_CLOCK_OFF: Final = 30_000
"""|offset| beyond which a clock is a finding (our figures)."""

LEL: Final = {
    "methane": 5.0, "methanol": 6.0, "chloromethane": 8.1, "dimethyldichlorosilane": 3.4, "trimethylchlorosilane": 1.8,
    "propane": 2.1, "hydrogen": 4.0, "gasoline": 1.4, "benzene": 1.2, "toluene": 1.1,
}  # fmt: skip
"""Lower explosive limits, %vol (C: a site confirms them from its safety data sheets)."""

TOXIC: Final = {"h2s": (10.0, 34.08), "co": (30.0, 28.01), "nh3": (30.0, 17.03), "cl2": (1.0, 70.9), "hcl": (7.5, 36.46)}
"""mg/m³ (GBZ 2.1-2019: MAC or PC-STEL) and g/mol."""

OXYGEN_LOW: Final = 19.5
OXYGEN_HIGH: Final = 23.5
"""%vol (GB 30871-2022 6.4; 21–23.5 is looked into, above 23.5 is stopped)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a channel's value is held against, in the channel's own unit: near from `warn` (≥), over beyond `high` or below `low`."""

    high: float | None
    warn: float | None
    low: float | None
    clause: str
    gas: str
    unit: str


def allowed_lel(gas: str, pack: str) -> float:
    """The limit in %LEL: GB 30871-2022 5.3.2 (≤ 0.5 %vol where LEL ≥ 4 %, else ≤ 0.2 %vol); OSHA 10 % LFL. Unknown gas: the strictest known."""
    if pack == "OSHA":
        return 10.0
    if gas in LEL:
        return 100 * (0.5 if LEL[gas] >= 4 else 0.2) / LEL[gas]
    return min(allowed_lel(known, pack) for known in LEL)


def to_lel(value: float, unit: str, gas: str) -> float | None:
    """A combustible concentration in %LEL; None where the unit cannot be converted without knowing the gas."""
    if unit == "%LEL":
        return value
    if gas not in LEL:
        return None
    scale = {"%vol": 1.0, "ppm": 1e-4}.get(unit)
    return None if scale is None else 100 * value * scale / LEL[gas]


def to_mg(value: float, unit: str, gas: str) -> float | None:
    """A toxic concentration in mg/m³ at 25 °C and 101.325 kPa; None for a unit or a gas that is not known."""
    if unit in ("mg/m3", "mg/m³"):
        return value
    return value * TOXIC[gas][1] / 24.45 if unit == "ppm" and gas in TOXIC else None


def limit_of(channel: Channel, pack: str) -> Limit | None:
    """What a channel is held against, in its own unit, or None where there is nothing to hold it against."""
    match channel.kind:
        case "combustible":
            per_unit = to_lel(1.0, channel.unit, channel.gas)
            if not per_unit:
                return None
            high = allowed_lel(channel.gas, pack) / per_unit
            clause = "GB 30871-2022 5.3.2" if pack == "GB" else "29 CFR 1910.146(b)"
            return Limit(high, high / 2, None, clause, channel.gas or "?", channel.unit)
        case "oxygen":
            clause = "GB 30871-2022 6.4" if pack == "GB" else "29 CFR 1910.146(b)"
            return Limit(OXYGEN_HIGH, None, OXYGEN_LOW, clause, "O2", channel.unit)
        case "toxic":
            per_unit = to_mg(1.0, channel.unit, channel.gas)
            if not per_unit or channel.gas not in TOXIC:
                return None
            high = TOXIC[channel.gas][0] / per_unit
            return Limit(high, high / 2, None, "GBZ 2.1-2019", channel.gas, channel.unit)
    return None


def test_passes(gas: str, value: float | None, unit: str, pack: str) -> bool | None:
    """Does one component of a gas analysis pass? None where it cannot be told."""
    if value is None:
        return None
    if gas in ("o2", "oxygen"):
        return OXYGEN_LOW <= value <= OXYGEN_HIGH
    if gas in TOXIC:
        mg = to_mg(value, unit, gas)
        return None if mg is None else mg <= TOXIC[gas][0]
    lel = to_lel(value, unit, gas)
    return None if lel is None else lel <= allowed_lel(gas, pack)
