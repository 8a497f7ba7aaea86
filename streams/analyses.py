"""Gas analyses: records of one sampling taken together, each passed, failed or incomplete, and what the last of them says of a moment. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from streams.events import GasResult, GasTest
from streams.gases import ABSURD, is_combustible, test_passes, toxic_name
from streams.packs import Terms
from streams.plain import UNREAD
from streams.plant import Point
from streams.rules.limits import CONFINED, HOT, POWER
from streams.times import Stamp, Truth, agreed, before, cases, every, some
from streams.words import INERT, NO_GAS, folded, gas_of, unit_of
from streams.work import Fact


class Record(Struct, frozen=True):
    """One message about gas that somebody measured or wrote down: when sampled, what it held, whether a value of it was beyond its limit."""

    at: Stamp
    ref: str
    event: GasTest
    calibrated: bool
    """False: its instrument's calibration had run out, so it cannot make an analysis pass; that it failed is heard."""
    over: GasResult | None
    """The first of its values that is beyond its limit."""
    good: frozenset[str]
    """Its components within their limits."""
    span: int
    """How long after it (ms) a result still belongs to the analysis that it begins."""
    open: frozenset[str] = frozenset()
    """Its components that were there and can be held against no limit: a gas that nobody knows, a unit that its limit is not told in."""

    @property
    def failed(self) -> bool:
        return self.over is not None or self.event.passed is False

    @property
    def counts(self) -> bool:
        """Does it say anything: that it failed, what nobody can judge, or a value by an instrument in calibration?"""
        return self.failed or bool(self.open) or (self.calibrated and bool(self.good))


class Analysis(Struct, frozen=True):
    """Records of one sampling. `at`: its oldest result; `done`: the one that made it whole, or its last; `results`: what was good in it; `holds`: when each required component was; `failures`: those of its results that failed; `open`: those with a component that nobody can judge and that nothing in it makes good. passed: True, False, or None where it is incomplete."""

    at: Stamp
    done: Stamp
    passed: bool | None
    ref: str
    failures: tuple[Stamp, ...] = ()
    results: tuple[Stamp, ...] = ()
    holds: tuple[tuple[Stamp, ...], ...] = ()
    open: tuple[Stamp, ...] = ()

    @property
    def failed_at(self) -> Stamp | None:
        return self.failures[0] if self.failures else None


def required(type: str, point: Point | None) -> frozenset[str]:
    """The components that an analysis must hold (GB 30871-2022 5.3, 6.4, 10.1): `combustible`, `o2`, and the toxics that are written down for a confined place."""
    if type == CONFINED:
        return frozenset({"combustible", "o2", *((gas_of(t) or t) for t in (point.named_toxics if point else ()))})
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
    if fact.ahead and (over is not None or event.passed is False):
        at = Stamp(at.hi)  # a danger is believed at once
    good = {name for (r, _), (gas, passes) in zip(judged, named, strict=True) if passes for name in _shows(gas, r.unit, terms)}
    open_ = {gas for (r, _), (gas, passes) in zip(judged, named, strict=True) if passes is None and _tells(r, gas)} | ({UNREAD} if {"results", "passed"} & {*fact.unread} else set())
    return Record(at, fact.ref, event, calibrated, over, frozenset(good) if calibrated else frozenset(), terms.ms["analysis_span"], frozenset(open_))


def _tells(result: GasResult, gas: str) -> bool:
    """Was something measured that could matter: more than nothing, of what is a gas and not inert?"""
    return result.value is not None and not result.value <= 0 and gas not in INERT and folded(gas) not in NO_GAS


def unjudged(event: GasTest, terms: Terms) -> list[str]:
    """The fields of an analysis that leave a value without a limit: a gas of no vocabulary, a unit that its limit is not told in."""
    told = [r for r in event.results if _tells(r, gas_of(r.gas, terms.gases) or r.gas) and r.value is not None and r.value < ABSURD and unit_of(r.unit, gas_of(r.gas, terms.gases) or "")]
    lost = [r for r in told if test_passes(r.gas, r.value, r.unit, terms) is None]
    return sorted({"results.gas" if gas_of(r.gas, terms.gases) is None else "results.unit" for r in lost})


def _shows(gas: str, unit: str, terms: Terms) -> set[str]:
    """Of which components a good value speaks: as a toxic by its own name, also one that burns; else as a combustible one."""
    toxic = toxic_name(gas, terms) in terms.pack.toxic
    if toxic and unit_of(unit, gas) in ("ppm", "ppb", "mg/m3"):
        return {gas, toxic_name(gas, terms)}
    if is_combustible(gas, terms):
        return {"combustible"} if toxic else {"combustible", gas}
    return {gas}


def analyses(records: Iterable[Record], needed: frozenset[str]) -> list[Analysis]:
    """Records in order of sampling as analyses."""
    out: list[Analysis] = []
    group: list[Record] = []
    for record in records:
        if not record.counts:
            continue
        if group and record.at.at - group[0].at.at > group[0].span:
            out += _analysis(group, needed)
            group = []
        group.append(record)
    return [*out, *_analysis(group, needed)] if group else out


def _analysis(group: Sequence[Record], needed: frozenset[str]) -> Iterator[Analysis]:
    """What one sampling came to: passed once every component was there, unless a result beyond its limit surely came first; failed from such a result on."""
    failures, good = tuple(r.at for r in group if r.failed), frozenset(name for r in group for name in r.good)
    open_ = tuple(r.at for r in group if r.open - good)
    passed = _whole(group, [r for r in group if not r.failed], needed)
    passed = replace(passed, open=open_) if passed else None
    if passed and not any(before(at, passed.done) is Truth.TRUE for at in failures):
        yield passed
    else:
        passed = None
    if failures:
        first = next(r for r in group if r.failed)
        yield Analysis(group[0].at, first.at, False, first.ref if passed else group[0].ref, failures, open=open_)
    elif not passed:
        yield Analysis(group[0].at, group[-1].at, None, group[0].ref, open=open_)


def _whole(group: Sequence[Record], good: Sequence[Record], needed: frozenset[str]) -> Analysis | None:
    """Results that hold every component between them, done with the first by which they do; None where they never do."""
    there: frozenset[str] = frozenset()
    for record in good:
        there |= record.good
        if there and needed <= there:
            holds = tuple(tuple(r.at for r in good if gas in r.good) for gas in sorted(needed)) or (tuple(r.at for r in good if r.good),)
            return Analysis(group[0].at, record.at, True, group[0].ref, tuple(r.at for r in group if r.failed), tuple(r.at for r in good), holds)
    return None


# ---- what the last one says of a moment ----------------------------------------------------------------------------------


def _voided(found: Sequence[Analysis], passed: Analysis, reference: Stamp) -> Truth:
    """Did a result of the same sampling, or one of a later, fail not after the reference?"""
    own = (before(at, reference) for at in passed.failures)
    return some(own) | some(before(passed.done, at) & before(at, reference) for a in found if a.passed is False for at in a.failures)


def _doubted(found: Sequence[Analysis], passed: Analysis, reference: Stamp) -> Truth:
    """Did the same sampling or a later one, not after the reference, hold what nobody can judge? Never surely: it may have been harmless."""
    own = some(before(at, reference) for at in passed.open)
    later = some(before(passed.done, at) & before(at, reference) for a in found if a is not passed for at in a.open)
    return (own | later) & Truth.UNKNOWN


def _stands(found: Sequence[Analysis], passed: Analysis, reference: Stamp) -> Truth:
    """Was it whole by the reference, and the last word?"""
    return every(some(before(at, reference) for at in held) for held in passed.holds) & ~_voided(found, passed, reference) & ~_doubted(found, passed, reference)


def tested(found: Sequence[Analysis], reference: Stamp) -> Truth:
    """Is the last analysis not after the reference a passed one?"""
    return agreed(some(_stands(found, a, at) for a in found if a.passed) for at in cases(reference, *_marks(found)))


def _marks(found: Sequence[Analysis], *later: int) -> Iterator[int]:
    """The moments at which the answer may change, `later` ms after a result too."""
    for at in (s for a in found for s in (*a.results, *a.failures, *a.open)):
        yield from (m + by for m in (at.lo, at.hi) for by in (0, *later))


def fresh(found: Sequence[Analysis], reference: Stamp, limit: int) -> Truth:
    """T2: is there a passed analysis, not voided, whose oldest result lies in [reference − limit, reference]?"""
    return agreed(some(_stands(found, a, at) & _young(a, at, limit) for a in found if a.passed) for at in cases(reference, *_marks(found, limit)))


def _young(passed: Analysis, reference: Stamp, limit: int) -> Truth:
    """Was none of its results that were there by the reference older than the limit?"""
    return every(~before(at, reference) | before(reference, at.shift(limit)) for at in passed.results)
