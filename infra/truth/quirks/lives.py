"""What goes wrong with a permit's lives, analyses and clocks: sent back, called off, asked for again, tested in half, failed, from the future, suspended and worked on; and each limit, one step inside and one outside."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from infra.truth.book import CONFINED, HOT, NEEDS_GAS
from infra.truth.days import PASS, Days, Job, U
from infra.truth.quirk import Quirk, mid, say
from streams.events import ClockSaid, Detection, DeviceSaid, GasResult, GasTest, Requested
from streams.times import HOUR, MINUTE, SECOND

METHANE, OXYGEN = PASS
STEP = SECOND
"""One step beside a limit: more than what two clocks of a permit system may differ by."""


def _ask(days: Days, job: Job, at: int) -> None:
    days.say(at, "ptw", Requested(at=at, u=U, permit=job.permit, type=job.type, point=job.point.id, valid_from=job.valid_from, valid_to=job.valid_to, planned_start=job.valid_from,
                                  workers=job.workers, guardians=[job.guardian], **job.extra))  # fmt: skip


def _tested(days: Days, job: Job, at: int, *results: GasResult, source: str = "ptw", seen: int | None = None, **more: object) -> None:
    days.say(at if seen is None else seen, source, GasTest(at=at, u=more.pop("u", U), permit=job.permit, results=list(results or PASS), **more))  # type: ignore[arg-type]


def _outside(days: Days) -> bool:
    return days.rng.random() < 0.5


# ---- lives ---------------------------------------------------------------------------------------------------------------


def sent_back(days: Days, job: Job) -> bool:
    """Rejected once, asked for again, and then as it should be: nothing may come of it."""
    _ask(days, job, job.requested - 40 * MINUTE)
    say(days, job.requested - 20 * MINUTE, job.permit, "rejected")
    return True


def called_off(days: Days, job: Job) -> bool:
    """Approved and called off before its work, asked for again under the same number, and then as it should be."""
    _ask(days, job, job.requested - 50 * MINUTE)
    say(days, job.requested - 10 * MINUTE, job.permit, "cancelled")
    return True


def rejected_started(days: Days, job: Job) -> bool:
    """Sent back, and the work is started all the same."""
    job.skip.add("issued")
    say(days, job.issued, job.permit, "rejected")
    days.truth("X-T3", job.permit, job.started)
    days.ask(job.started - MINUTE, "start", job.permit, "deny", "NOT-APPROVED")
    _come_in(days, job)
    return True


def cancelled_started(days: Days, job: Job) -> bool:
    """Called off after its approval, and the work is started all the same."""
    say(days, job.started - MINUTE, job.permit, "cancelled")
    days.truth("TICKET-NONE", job.permit, job.started)
    _come_in(days, job)
    return True


def _come_in(days: Days, job: Job) -> None:
    """Whoever goes into a space although its permit is over is named by none that is in force."""
    for worker in job.workers if job.type == CONFINED else ():
        days.truth("X-BADGE-NOPERMIT", worker, job.started + 20 * SECOND)


def again(days: Days, job: Job) -> bool:
    """Asked for again under its number an hour after it was accepted; with an analysis of its own, or on the old one."""
    if job.type not in NEEDS_GAS or job.accepted is None or job.started > days.local(days.day_of(job), 11):
        return False
    shift = job.accepted - job.started + 90 * MINUTE
    moved = {name: getattr(job, name) + shift for name in ("requested", "issued", "started", "valid_from", "valid_to")}
    stale = _outside(days)
    other = replace(job, **moved, sampled=None if stale else (job.sampled or job.started - 13 * MINUTE) + shift, finished=job.started + shift + 30 * MINUTE,  # type: ignore[arg-type]
                    accepted=job.started + shift + 70 * MINUTE, skip=set(job.skip), extra=dict(job.extra), quirk="(the life after)", pauses=[], away=[], dark=[], mute=[], stopped=[])  # fmt: skip
    days.jobs.append(other)
    if stale:
        days.truth("GAS-STALE", job.permit, other.issued, also=("GAS-2H",))
    return True


def beside(days: Days, job: Job) -> bool:
    """One to three more permits at the same work point, of kinds that do not disturb each other: nothing may come of it."""
    if job.type not in HOT | {CONFINED}:
        return False
    kinds = ["30", "40", *(["03"] if job.type == "02" else [])][: days.rng.choice((1, 2, 3))]
    for k, kind in enumerate(kinds):
        names = {"workers": [f"N{k}-{job.permit}a", f"N{k}-{job.permit}b"], "guardian": f"NG{k}-{job.permit}"}
        days.jobs.append(replace(job, permit=f"{job.permit}n{k}", type=kind, **names, sampled=job.sampled if kind in NEEDS_GAS else None, skip=set(), extra={}, quirk="(beside)",  # type: ignore[arg-type]
                                 pauses=[], away=[], dark=[], mute=[], stopped=[]))  # fmt: skip
        days.certified(names["workers"])  # type: ignore[arg-type]
    return True


def paused_worked(days: Days, job: Job) -> bool:
    """Welding is seen while the permit system says that the work is stopped."""
    if job.type not in HOT or job.finished - job.started < 50 * MINUTE:
        return False
    at = job.started + 12 * MINUTE
    job.pauses.append((at, at + 25 * MINUTE))
    say(days, at, job.permit, "suspended")
    say(days, at + 25 * MINUTE, job.permit, "resumed")
    for k in range(4):
        when = at + 5 * MINUTE + k * 6 * SECOND
        days.say(when, "cameras", Detection(at=when, u=100, camera=job.point.cameras[0], behaviour="welding", confidence=0.94, point=job.point.id))
    days.truth("X-T3", job.permit, at + 5 * MINUTE, 14 * SECOND)
    return True


# ---- analyses ------------------------------------------------------------------------------------------------------------


def failed(days: Days, job: Job) -> bool:
    """An analysis fails between the approval and the start."""
    if job.type not in NEEDS_GAS or job.sampled is None:
        return False
    at = job.started - 2 * MINUTE
    _tested(days, job, at, GasResult("methane", 0.8, "%vol"), OXYGEN)
    days.truth("GAS-NONE", job.permit, at, also=("GAS-2H", "X-GAS-MISMATCH"))
    days.ask(job.started - MINUTE, "start", job.permit, "deny", "GAS-NONE")
    return True


def halves(days: Days, job: Job) -> bool:
    """Combustibles and oxygen in two records, ten minutes apart or a step more."""
    if job.type != CONFINED:
        return False
    late, first = _outside(days), job.started - 26 * MINUTE
    job.sampled = None
    _tested(days, job, first, METHANE)
    _tested(days, job, first + 10 * MINUTE + (STEP if late else -STEP), OXYGEN)
    if late:
        days.truth("GAS-NONE", job.permit, job.issued, also=("GAS-2H", "X-T1"))
    return True


def air(days: Days, job: Job) -> bool:
    """Oxygen of the analysis at 19.5 or 21.0 %, or a tenth beyond."""
    if job.type != CONFINED or job.sampled is None:
        return False
    at, value = job.sampled, days.rng.choice((19.5, 19.4, 21.0, 21.1))
    job.sampled = None
    _tested(days, job, at, METHANE, GasResult("o2", value, "%vol"))
    if value in (19.4, 21.1):
        days.truth("GAS-NONE", job.permit, job.issued, also=("GAS-2H", "X-T1"))
    return True


def calibrated(days: Days, job: Job) -> bool:
    """The instrument's calibration runs out on the day of sampling (it counts), or the day before."""
    if job.type not in NEEDS_GAS or job.sampled is None:
        return False
    device, day, gone = f"GE-{job.permit}", datetime.fromtimestamp(job.sampled / 1000, days.zone).date(), _outside(days)
    days.say(job.requested - HOUR, "operator", DeviceSaid(at=job.requested - HOUR, u=U, device=device, calibrated_to=str(day - timedelta(days=int(gone)))))
    at, job.sampled = job.sampled, None
    _tested(days, job, at, device=device)
    if gone:
        days.truth("DQ-CAL", job.permit, at, also=("GAS-NONE", "GAS-2H", "X-T1"))
    return True


# ---- limits, one step beside ---------------------------------------------------------------------------------------------


def age(days: Days, job: Job) -> bool:
    """Sampled thirty minutes before the start, a step less or a step more."""
    if job.type not in HOT:
        return False
    late = _outside(days)
    job.sampled = job.started - 30 * MINUTE + (-STEP if late else STEP)
    days.ask(job.started - 5 * SECOND, "start", job.permit, "allow")
    if late:
        days.truth("GAS-STALE", job.permit, job.started, also=("GAS-2H",))
    return True


def pause(days: Days, job: Job) -> bool:
    """A pause as long as its type allows without a new analysis, a step less or a step more."""
    if job.type not in NEEDS_GAS or job.finished - job.started < 60 * MINUTE:
        return False
    late, longest = _outside(days), (30 if job.type in ("01", "02") else 60) * MINUTE
    at = job.started + 10 * MINUTE
    until = at + longest + (STEP if late else -STEP)
    job.finished, job.accepted = job.finished + longest + 10 * MINUTE, (job.accepted or 0) + longest + 10 * MINUTE
    job.pauses.append((at, until))
    say(days, at, job.permit, "suspended")
    say(days, until, job.permit, "resumed")
    days.ask(until - U, "resume", job.permit, "deny" if late else "allow", "GAS-INTERRUPT" if late else "")
    if late:
        days.truth("GAS-INTERRUPT", job.permit, until, also=("GAS-2H",))
    return True


def limit(days: Days, job: Job) -> bool:
    """A methane detector reads its limit for three minutes, or a tenth of a %LEL more."""
    if job.type not in HOT or days.atlas.channels[job.tag].gas != "methane" or days.atlas.channels[job.tag].unit != "%LEL":
        return False
    over, at = _outside(days), mid(days, job)
    value = 10.1 if over else 10.0
    days.reads(job.tag, at, at + 3 * MINUTE, value, value)
    days.truth("X-GAS-LIM" if over else "X-GAS-RISE", job.permit, at, 22 * SECOND, ("X-GAS-RISE",), end=at + 3 * MINUTE)
    return True


def validity(days: Days, job: Job) -> bool:
    """Finished a step before its validity ends, or a step after."""
    if job.finished - STEP - 32 * MINUTE <= job.started:
        return False
    over = _outside(days)
    job.valid_to = job.finished + (-STEP if over else STEP)
    days.truth("X-NEAR-EXP", job.permit, job.valid_to - 30 * MINUTE)
    if over:
        days.truth("TICKET-OVER", job.permit, job.valid_to, end=job.finished)
    return True


# ---- clocks --------------------------------------------------------------------------------------------------------------


def portable(days: Days, job: Job) -> bool:
    """A tester whose clock is unsure by two minutes, near the limit of thirty: it cannot be told, and nobody is called."""
    if job.type not in HOT:
        return False
    job.sampled = None
    _tested(days, job, job.started - 30 * MINUTE + days.rng.randrange(-60, 61) * SECOND, u=2 * MINUTE)
    days.bad_clock.add(job.permit)
    return True


def wrong_clock(days: Days, job: Job) -> bool:
    """A tester seven minutes ahead, which was compared: its times are corrected (the comparison fades by a second an hour), and five seconds decide."""
    if job.type not in HOT:
        return False
    late, device, ahead = _outside(days), f"GW-{job.permit}", 7 * MINUTE
    days.say(job.requested - HOUR, "operator", ClockSaid(at=job.requested - HOUR, u=U, device=device, offset=ahead, residual=100))
    at = job.started - 30 * MINUTE + (-5 * STEP if late else 5 * STEP)
    job.sampled, job.valid_from = None, job.started
    _tested(days, job, at + ahead, seen=at, device=device)
    days.truth("DQ-CLOCK", device, job.requested - HOUR)
    if late:
        days.truth("GAS-STALE", job.permit, job.issued, also=("GAS-2H",))
    return True


def from_the_future(days: Days, job: Job) -> bool:
    """A laboratory stamps its analysis twenty minutes ahead: how old it is cannot be told."""
    if job.type not in NEEDS_GAS or job.sampled is None:
        return False
    at, source = job.sampled, f"lab-{job.permit}"
    job.sampled = None
    _tested(days, job, at + 20 * MINUTE, source=source, seen=at)
    days.truth("DQ-CLOCK", source, at)
    days.bad_clock.add(job.permit)
    return True


QUIRKS: dict[str, Quirk] = {
    "sent_back": sent_back, "called_off": called_off, "rejected_started": rejected_started, "cancelled_started": cancelled_started, "again": again, "beside": beside,
    "paused_worked": paused_worked, "failed": failed, "halves": halves, "air": air, "calibrated": calibrated, "age": age, "pause": pause, "limit": limit, "validity": validity,
    "portable": portable, "wrong_clock": wrong_clock, "from_the_future": from_the_future,
}  # fmt: skip
