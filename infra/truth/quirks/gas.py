"""What goes wrong with gas tests and gas readings."""

from __future__ import annotations

from infra.truth.book import CONFINED, HOT, NEEDS_GAS, SPECIAL
from infra.truth.days import BEAT, PASS, Days, Job, U
from infra.truth.quirk import SLOW, Quirk, mid, on_beat, say
from streams.events import GasResult, GasTest
from streams.times import HOUR, MINUTE, SECOND


def gas_over(days: Days, job: Job) -> bool:
    if job.type not in HOT or days.atlas.channels[job.tag].kind != "combustible":
        return False
    at = mid(days, job)
    days.reads(job.tag, at, at + 3 * MINUTE, 16.0, 16.0)
    days.truth("X-GAS-LIM", job.permit, at, SLOW, ("X-GAS-RISE",), end=at + 3 * MINUTE)
    return True


def gas_rise(days: Days, job: Job) -> bool:
    """More than half of the limit, for three minutes."""
    if job.type not in HOT or days.atlas.channels[job.tag].gas != "methane":
        return False
    at = mid(days, job)
    days.reads(job.tag, at, at + 3 * MINUTE, 6.5, 6.5)
    days.truth("X-GAS-RISE", job.permit, at, SLOW, end=at + 3 * MINUTE)
    return True


def tested_after(days: Days, job: Job) -> bool:
    """The test is taken when the approval is already there."""
    if job.type not in NEEDS_GAS or job.started - job.issued < 3 * MINUTE:
        return False
    job.sampled = job.issued + 90 * SECOND
    days.truth("X-T1", job.permit, job.sampled, also=("GAS-NONE", "GAS-STALE", "GAS-2H"))
    return True


def gas_none(days: Days, job: Job) -> bool:
    if job.type not in NEEDS_GAS:
        return False
    job.sampled = None
    days.truth("GAS-NONE", job.permit, job.issued, also=("GAS-2H", "X-T1"))
    return True


def gas_stale(days: Days, job: Job) -> bool:
    if job.type not in NEEDS_GAS:
        return False
    job.sampled = job.started - 47 * MINUTE
    days.truth("GAS-STALE", job.permit, job.issued, also=("GAS-2H",))
    return True


def gas_interrupt(days: Days, job: Job) -> bool:
    if job.type not in NEEDS_GAS or job.finished - job.started < 60 * MINUTE:
        return False
    at = job.started + 10 * MINUTE
    job.finished, job.accepted = job.finished + 80 * MINUTE, (job.accepted or 0) + 80 * MINUTE
    job.pauses.append((at, at + 70 * MINUTE))
    say(days, at, job.permit, "suspended")
    say(days, at + 70 * MINUTE, job.permit, "resumed")
    days.truth("GAS-INTERRUPT", job.permit, at + 70 * MINUTE, also=("GAS-2H",))
    return True


def gas_record(days: Days, job: Job) -> bool:
    if job.type != CONFINED:
        return False
    job.records, job.finished = False, job.started + 150 * MINUTE
    job.accepted = job.finished + 8 * MINUTE
    days.truth("GAS-2H", job.permit, (job.sampled or job.started) + 120 * MINUTE)
    return True


def gas_gap(days: Days, job: Job) -> bool:
    if job.type not in (SPECIAL, CONFINED):
        return False
    at = on_beat(days, mid(days, job))
    days.reads(job.tag, at, at + 3 * MINUTE, None, 0.0)
    days.truth("X-GAS-GAP", job.permit, at - BEAT + 60 * SECOND, BEAT + SLOW)
    return True


def gas_typed(days: Days, job: Job) -> bool:
    """Typed as clean while the detector of the point reads something else."""
    if job.type not in HOT or job.sampled is None or days.atlas.channels[job.tag].kind != "combustible":
        return False
    gas, at = days.atlas.channels[job.tag].gas, job.sampled
    days.reads(job.tag, at - 4 * MINUTE, at + 3 * MINUTE, 4.6, 4.6)
    job.sampled = None
    days.say(at, "ptw", GasTest(at=at, u=U, permit=job.permit, results=[GasResult(gas, 0.001, "%vol"), PASS[1]], method="manual", analyst="AN-1"))
    days.truth("X-GAS-MISMATCH", job.permit, at)
    return True


def gas_daily(days: Days, job: Job) -> bool:
    """Stopped in the evening, gone on in the morning without a new analysis."""
    if job.type != "03" or days.day_of(job) + 1 >= days.days or not days.is_workday(job.started + 24 * HOUR) or job.finished - job.started < 40 * MINUTE:
        return False
    job.point, job.valid_to = days.outside("R"), job.valid_from + 40 * HOUR
    rest, again = job.started + 20 * MINUTE, days.local(days.day_of(job) + 1, 8.5)
    job.pauses.append((rest, again))
    say(days, rest, job.permit, "suspended")
    say(days, again, job.permit, "resumed")
    job.finished, job.accepted = again + 40 * MINUTE, again + 80 * MINUTE
    days.truth("GAS-DAILY", job.permit, again)
    return True


def typed_late(days: Days, job: Job) -> bool:
    """A second test, said to have been taken before the approval, typed in long after it."""
    if job.sampled is None:
        return False
    at, typed = job.sampled + 2 * MINUTE, job.issued + 40 * MINUTE
    days.say(at, f"typed-{job.permit}", GasTest(at=at, u=U, permit=job.permit, results=PASS, method="manual", analyst=f"AN-{job.permit}"), late=typed - at)
    days.truth("X-FRAUD-TYPED", job.permit, typed, also=(f"DQ-LATE@typed-{job.permit}",))
    return True


def round_numbers(days: Days, job: Job) -> bool:
    """Eight tests by one analyst with the same numbers to the last digit."""
    if job.type not in NEEDS_GAS or job.finished - job.started < 50 * MINUTE:
        return False
    analyst = f"AR-{job.permit}"
    for k in range(8):
        at = job.started + (k + 1) * 5 * MINUTE
        days.say(at, "ptw", GasTest(at=at, u=U, permit=job.permit, results=PASS, method="manual", analyst=analyst))
    days.truth("X-FRAUD-ROUND", analyst, job.started + 40 * MINUTE)
    return True


QUIRKS: dict[str, Quirk] = {
    "gas_over": gas_over, "gas_none": gas_none, "gas_stale": gas_stale, "gas_interrupt": gas_interrupt, "gas_record": gas_record, "gas_gap": gas_gap,
    "gas_typed": gas_typed, "gas_rise": gas_rise, "tested_after": tested_after, "gas_daily": gas_daily, "typed_late": typed_late, "round_numbers": round_numbers,
}  # fmt: skip
