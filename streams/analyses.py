"""Gas analyses: records of one sampling taken together, each passed, failed or incomplete, and what the last of them says of a moment. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from streams.events import GasResult, GasTest
from streams.gases import is_combustible, test_passes
from streams.packs import Terms
from streams.plant import Point
from streams.rules.limits import CONFINED, HOT, POWER
from streams.times import MINUTE, Stamp, Truth, before, some, within
from streams.words import gas_of
from streams.work import Fact

ONE: Final = 10 * MINUTE
"""A result joins the analysis whose oldest result is at most so much older."""


@dataclass(frozen=True, slots=True)
class Record:
    """One message about gas that somebody measured or wrote down: when sampled, what it held, whether a value of it was beyond its limit."""

    at: Stamp
    ref: str
    event: GasTest
    calibrated: bool
    """False: its instrument's calibration had run out, so it does not count."""
    over: GasResult | None
    """The first of its values that is beyond its limit."""
    good: frozenset[str]
    """Its components within their limits."""

    @property
    def failed(self) -> bool:
        return self.calibrated and (self.over is not None or self.event.passed is False)


@dataclass(frozen=True, slots=True)
class Analysis:
    """Records of one sampling. `at`: its oldest result; `done`: its last; `failed_at`: the first that failed. passed: True, False, or None where it is incomplete."""

    at: Stamp
    done: Stamp
    passed: bool | None
    ref: str
    failed_at: Stamp | None = None


def required(type: str, point: Point | None) -> frozenset[str]:
    """The components that an analysis must hold (GB 30871-2022 5.3, 6.4, 10.1): `combustible`, `o2`, and the toxics that are written down for a confined place."""
    if type == CONFINED:
        return frozenset({"combustible", "o2", *((gas_of(t) or t) for t in (point.toxics if point else ()))})
    if type in HOT:
        closed = point is not None and (point.closed if point.closed is not None else bool(point.space))
        return frozenset({"combustible", "o2"} if closed else {"combustible"})
    return frozenset({"combustible"}) if type == POWER else frozenset()


def record_of(fact: Fact, at: Stamp, calibrated: bool, terms: Terms, enriched: bool) -> Record:
    """Reads one message."""
    event = fact.event
    assert isinstance(event, GasTest)
    judged = [(r, test_passes(r.gas, r.value, r.unit, terms, enriched)) for r in event.results]
    over = next((r for r, passes in judged if passes is False), None)
    named = [(gas_of(r.gas, terms.gases) or r.gas, passes) for r, passes in judged]
    good = {"combustible" if is_combustible(gas, terms) else gas for gas, passes in named if passes}
    return Record(at, fact.ref, event, calibrated, over, frozenset(good))


def analyses(records: Iterable[Record], needed: frozenset[str]) -> list[Analysis]:
    """Records in order of sampling as analyses."""
    out: list[Analysis] = []
    group: list[Record] = []
    for record in records:
        if not record.calibrated:
            continue
        if group and record.at.at - group[0].at.at > ONE:
            out += _analysis(group, needed)
            group = []
        group.append(record)
    return [*out, *_analysis(group, needed)] if group else out


def _analysis(group: Sequence[Record], needed: frozenset[str]) -> Iterator[Analysis]:
    """What one sampling came to, in the order in which it was known: passed once every component was there, failed from the first result that is beyond its limit on."""
    there: frozenset[str] = frozenset()
    passed = False
    for record in group:
        if record.failed:
            yield Analysis(group[0].at, record.at, False, record.ref if passed else group[0].ref, record.at)
            return
        there |= record.good
        if not passed and there and needed <= there:
            passed = True
            yield Analysis(group[0].at, record.at, True, group[0].ref)
    if not passed:
        yield Analysis(group[0].at, group[-1].at, None, group[0].ref)


# ---- what the last one says of a moment ----------------------------------------------------------------------------------


def _voided(found: Sequence[Analysis], passed: Analysis, reference: Stamp) -> Truth:
    """Did an analysis fail after this one and not after the reference?"""
    return some(before(passed.done, a.failed_at) & before(a.failed_at, reference) for a in found if a.failed_at is not None)


def _stands(found: Sequence[Analysis], passed: Analysis, reference: Stamp) -> Truth:
    """Was it there by the reference, and the last word?"""
    return before(passed.done, reference) & (Truth.TRUE - _voided(found, passed, reference))


def tested(found: Sequence[Analysis], reference: Stamp) -> Truth:
    """Is the last analysis not after the reference a passed one?"""
    return some(_stands(found, a, reference) for a in found if a.passed)


def fresh(found: Sequence[Analysis], reference: Stamp, limit: int) -> Truth:
    """T2: is there a passed analysis, not voided, whose oldest result lies in [reference − limit, reference]?"""
    return some(_stands(found, a, reference) & within(a.at, reference, limit) for a in found if a.passed)
