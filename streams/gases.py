"""How a reading or an analysis is held against the limit of its gas under a pack, and in which unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streams.packs import LEL_HIGH, Terms
from streams.words import gas_of, unit_of

if TYPE_CHECKING:
    from streams.plant import Channel


@dataclass(frozen=True, slots=True)
class Limit:
    """What a channel's value is held against, in the channel's own unit: near from `warn` (≥), over beyond `high` or below `low`."""

    high: float | None
    warn: float | None
    low: float | None
    clause: str
    gas: str
    unit: str


def is_combustible(gas: str, terms: Terms) -> bool:
    """Is a component a combustible one: named in the pack's table, or not said which?"""
    return gas == "combustible" or gas in terms.pack.lel


def allowed_lel(gas: str, terms: Terms) -> float:
    """The limit in %LEL: the stricter of the pack's %vol (GB 30871-2022 5.3.2) and its %LEL. Unknown gas: the strictest known; of a pack that names none, its %LEL."""
    lel = terms.pack.lel
    if gas not in lel:
        return min((allowed_lel(known, terms) for known in lel), default=terms["lel_percent"])
    by_volume = terms["lel_vol_high"] if lel[gas] >= LEL_HIGH else terms["lel_vol_low"]
    return min(terms["lel_percent"], 100 * by_volume / lel[gas])


def _lel_figure(gas: str, allowed: float, terms: Terms) -> str:
    """The pack's figure on which a combustible limit (%LEL) rests."""
    if allowed >= terms["lel_percent"]:
        return "lel_percent"
    return "lel_vol_high" if terms.pack.lel.get(gas, LEL_HIGH) >= LEL_HIGH else "lel_vol_low"


def to_lel(value: float, unit: str, gas: str, terms: Terms) -> float | None:
    """A combustible concentration in %LEL; None where the unit cannot be converted without knowing the gas."""
    if unit == "%LEL":
        return value
    lel, scale = terms.pack.lel.get(gas), {"%vol": 1.0, "ppm": 1e-4, "ppb": 1e-7}.get(unit)
    return None if lel is None or scale is None else 100 * value * scale / lel


def to_mg(value: float, unit: str, gas: str, terms: Terms) -> float | None:
    """A toxic concentration in mg/m³ at 25 °C and 101.325 kPa; None for a unit or a gas that is not known."""
    if unit == "mg/m3":
        return value
    scale = {"ppm": 1.0, "ppb": 1e-3, "%vol": 1e4}.get(unit)
    return value * scale * terms.pack.molar[gas] / 24.45 if scale and gas in terms.pack.molar else None


def limit_of(channel: Channel, terms: Terms) -> Limit | None:
    """What a gas channel is held against, in its own unit, or None where there is nothing to hold it against."""
    match channel.kind:
        case "combustible":
            gas = "" if channel.gas == "combustible" else channel.gas
            per_unit = to_lel(1.0, channel.unit, gas, terms)
            if not per_unit:
                return None
            allowed = allowed_lel(gas, terms)
            high = allowed / per_unit
            return Limit(high, high * terms["rise_share"], None, terms.clause(_lel_figure(gas, allowed, terms)), channel.gas or "?", channel.unit)
        case "oxygen":
            return Limit(terms["oxygen_high"], None, terms["oxygen_low"], terms.clause("oxygen_low"), "O2", channel.unit) if channel.unit == "%vol" else None
        case "toxic":
            gas = toxic_name(channel.gas, terms)
            per_unit = to_mg(1.0, channel.unit, gas, terms)
            if not per_unit or gas not in terms.pack.toxic:
                return None
            high = terms.pack.toxic[gas] / per_unit
            return Limit(high, high * terms["rise_share"], None, terms.clause("toxic"), channel.gas, channel.unit)
    return None


def toxic_name(gas: str, terms: Terms) -> str:
    """The row of the toxic table for a gas that may stand in the combustible one too (benzene → benzene_tox)."""
    return gas if gas in terms.pack.toxic else f"{gas}_tox"


def factors(channel: Channel, terms: Terms) -> list[float]:
    """How many times a reading in another unit that its kind can have is the number in its own."""
    convert = to_lel if channel.kind == "combustible" else to_mg
    units = ("%LEL", "%vol", "ppm") if channel.kind == "combustible" else (("ppm", "ppb", "mg/m3") if channel.kind == "toxic" else ())
    gas = toxic_name(channel.gas, terms) if channel.kind == "toxic" else channel.gas
    own = convert(1.0, channel.unit, gas, terms) if units else None
    others = [convert(1.0, unit, gas, terms) for unit in units if unit != channel.unit]
    return [own / other for other in others if own and other]


def limit_of_test(said: str, value: float | None, written: str, terms: Terms, enriched: bool = False) -> tuple[float, str] | None:
    """(the limit that a component of an analysis is held against, in the unit that was written; its clause), None where it cannot be told."""
    gas, unit = _component(said, written, terms)
    if value is None or unit is None:
        return None
    if gas == "o2":
        name = "oxygen_low" if value < terms["oxygen_low"] else "oxygen_high" if enriched else "oxygen_pass"
        return terms[name], terms.clause(name)
    if toxic := _as_toxic(gas, unit, terms):
        per_unit = to_mg(1.0, unit, toxic, terms)
        return (terms.pack.toxic[toxic] / per_unit, terms.clause("toxic")) if per_unit else None
    return _as_burning(gas, unit, terms)


def _component(said: str, written: str, terms: Terms) -> tuple[str, str | None]:
    """A component of an analysis in our words (as it was written, where nobody knows it), and its unit, None where that is not known."""
    gas = gas_of(said, terms.gases) or said
    return gas, unit_of(written, gas)


def _as_toxic(gas: str, unit: str, terms: Terms) -> str:
    """The row of the toxic table by which a component counts; empty where it counts as one that burns: whatever is told in %LEL does."""
    toxic = toxic_name(gas, terms)
    return toxic if toxic in terms.pack.toxic and unit != "%LEL" and (gas not in terms.pack.lel or unit in ("ppm", "ppb", "mg/m3")) else ""


def _as_burning(gas: str, unit: str, terms: Terms) -> tuple[float, str] | None:
    """(limit, clause) of what burns, in the unit that was written: of the gas, or where nobody said which it is the strictest of the table; None where it cannot be told."""
    lel = terms.pack.lel
    if unit == "%LEL" or gas in lel:
        per_unit, allowed = to_lel(1.0, unit, gas, terms), allowed_lel(gas, terms)
        return (allowed / per_unit, terms.clause(_lel_figure(gas, allowed, terms))) if per_unit else None
    scale = {"%vol": 1.0, "ppm": 1e-4, "ppb": 1e-7}.get(unit)
    if gas != "combustible" or scale is None or not lel:
        return None
    strictest = min(lel, key=lambda g: allowed_lel(g, terms) * lel[g])
    allowed = allowed_lel(strictest, terms)
    return allowed * lel[strictest] / 100 / scale, terms.clause(_lel_figure(strictest, allowed, terms))


ABSURD: Final = 1e9
"""A number beyond this is no concentration, whatever its unit."""
BELOW_LEL: Final = -5.0
BELOW_TOXIC: Final = -0.1
"""A value of an analysis further below zero (%LEL; share of a toxic's limit) is a fault of the instrument, and says nothing (`domain.md` 4.5)."""


def test_passes(said: str, value: float | None, written: str, terms: Terms, enriched: bool = False) -> bool | None:
    """Does one component of a gas analysis pass? None where it cannot be told: what is told in %LEL and not known to burn may be too much, but never little enough. `enriched`: the place is declared so."""
    gas, unit = _component(said, written, terms)
    if value is None or unit is None or abs(value) >= ABSURD:
        return None
    if gas == "o2":
        return terms["oxygen_low"] <= value <= terms["oxygen_high" if enriched else "oxygen_pass"] if unit == "%vol" else None
    if toxic := _as_toxic(gas, unit, terms):
        mg = to_mg(value, unit, toxic, terms)
        return None if mg is None or mg < BELOW_TOXIC * terms.pack.toxic[toxic] else mg <= terms.pack.toxic[toxic]
    held = _as_burning(gas, unit, terms)
    if held is None or value * allowed_lel(gas, terms) < BELOW_LEL * held[0] or (value < 0 and not held[0]):
        return None
    return value <= held[0] if is_combustible(gas, terms) or value > held[0] else None
