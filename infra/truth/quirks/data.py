"""What goes wrong with the data: silence, units, clocks, late pushes."""

from __future__ import annotations

from datetime import datetime, timedelta

from infra.truth.book import HOT, NEEDS_GAS
from infra.truth.days import BEAT, PASS, Days, Job, U
from infra.truth.quirk import SLOW, Quirk, mid, on_beat
from streams.events import ChainSaid, ClockSaid, DeviceSaid, Frame, GasTest, Scan
from streams.times import HOUR, MINUTE, SECOND


def silent(days: Days, job: Job) -> bool:
    if job.type not in ("02", "03"):
        return False
    at = on_beat(days, mid(days, job))
    days.reads(job.tag, at, at + 14 * MINUTE, None, 0.0)
    active = job.started <= at - BEAT + 10 * MINUTE <= job.finished
    days.truth("DQ-SILENT", job.tag, at - BEAT + 10 * MINUTE, BEAT + SLOW, priority=2 if active else 3)
    return True


PPM = {"methane": 500.0, "methanol": 600.0, "chloromethane": 810.0, "dimethyldichlorosilane": 340.0, "trimethylchlorosilane": 180.0, "propane": 210.0, "hydrogen": 400.0,
       "gasoline": 140.0, "benzene": 120.0, "toluene": 110.0}  # fmt: skip
"""ppm in one %LEL."""


def unit_flip(days: Days, job: Job) -> bool:
    channel = days.atlas.channels[job.tag]
    if channel.kind != "combustible" or channel.high is None:
        return False
    at = on_beat(days, mid(days, job))
    days.reads(job.tag, at - 16 * MINUTE, at, 2.0, 2.0)
    days.reads(job.tag, at, at + 2 * MINUTE, 2.0 * PPM[channel.gas], 2.0 * PPM[channel.gas])
    days.truth("DQ-RANGE", job.tag, at, SLOW, (f"X-GAS-GAP@{job.permit}",))
    return True


def camera_clock(days: Days, job: Job) -> bool:
    at = mid(days, job)
    device = f"CLK-{job.permit}"
    days.say(at, "operator", ClockSaid(at=at, u=U, device=device, offset=9_000, residual=200))
    days.say(at + HOUR, "operator", ClockSaid(at=at + HOUR, u=U, device=device, offset=100, residual=200))
    days.truth("DQ-CLOCK", device, at)
    return True


def uncalibrated(days: Days, job: Job) -> bool:
    if job.type not in NEEDS_GAS or job.sampled is None:
        return False
    device, day = f"GT-{job.permit}", datetime.fromtimestamp(job.sampled / 1000, days.zone).date()
    days.say(job.requested - HOUR, "operator", DeviceSaid(at=job.requested - HOUR, u=U, device=device, calibrated_to=str(day - timedelta(days=2))))
    at, job.sampled = job.sampled, None
    days.say(at, "ptw", GasTest(at=at, u=U, permit=job.permit, results=PASS, device=device))
    days.truth("DQ-CAL", job.permit, at, also=("GAS-NONE", "GAS-2H", "X-T1"))
    return True


def late_push(days: Days, job: Job) -> bool:
    at = mid(days, job)
    days.say(at, f"late-{job.permit}", Scan(at=at, u=U, worker=f"Z-{job.permit}", door=f"GATE-{job.point.area}"), late=25 * MINUTE)
    days.truth("DQ-LATE", f"late-{job.permit}", at + 25 * MINUTE)
    return True


def again_and_again(days: Days, job: Job) -> bool:
    """A door says one scan fifty times more, each under a new number."""
    at, source = mid(days, job), f"again-{job.permit}"
    for k in range(51):
        days.say(at, source, Scan(at=at, u=U, worker=f"Y-{job.permit}", door=f"GATE-{job.point.area}"), late=k * 5 * SECOND)
    days.truth("DQ-DUP", source, at + 250 * SECOND)
    return True


def frozen(days: Days, job: Job) -> bool:
    """A detector reads the same to three decimals for three quarters of an hour."""
    if job.type not in HOT or not job.tag or days.atlas.channels[job.tag].kind != "combustible" or job.finished - job.started < 60 * MINUTE:
        return False
    at = job.started + 4 * MINUTE
    days.reads(job.tag, at, at + 45 * MINUTE, 1.234, 1.234)
    days.truth("DQ-FROZEN", job.tag, at + 30 * MINUTE, 7 * MINUTE)
    return True


def lost(days: Days, job: Job) -> bool:
    """A number of a source never comes."""
    at, source = mid(days, job), f"lossy-{job.permit}"
    for k in range(6):
        when = at + k * 5 * SECOND
        days.say(when, source, None if k == 3 else Scan(at=when, u=U, worker=f"X-{job.permit}", door=f"GATE-{job.point.area}"))
    days.truth("DQ-SEQ", f"badge.events/{source}/live", at + 50 * SECOND)
    return True


def unit_said(days: Days, job: Job) -> bool:
    """For half a minute a panel says another unit than the point list."""
    if job.type not in HOT or not job.tag or days.atlas.channels[job.tag].unit == "ppm":
        return False
    at, source = mid(days, job), f"odd-{job.permit}"
    for k in range(5):
        when = at + k * 10 * SECOND
        days.say(when, source, Frame(at=when, u=100, names=[job.tag], values=[days.level(job.tag, when)], units={job.tag: "ppm"} if k < 4 else {}))
    days.truth("DQ-UNIT", job.tag, at, also=(f"X-GAS-GAP@{job.permit}",))
    return True


def chain(days: Days, job: Job) -> bool:
    """Somebody changed a row of the archive."""
    if not days.first("chain"):
        return False
    at = mid(days, job)
    days.say(at, "operator", ChainSaid(at=at, u=U, link="permit.events[0] 10–20", detail="rows"))
    days.truth("SYS-CHAIN", days.plant.site, at)
    return True


def blind(days: Days, job: Job) -> bool:
    """We ourselves do not see for forty seconds of the night."""
    at = days.local(days.day_of(job), 3.2)
    if (at, at + 40 * SECOND) in days.holes:
        return False
    days.holes.append((at, at + 40 * SECOND))
    days.truth("SYS-LAG", days.plant.site, at + 40 * SECOND)
    return True


QUIRKS: dict[str, Quirk] = {
    "silent": silent, "unit_flip": unit_flip, "camera_clock": camera_clock, "uncalibrated": uncalibrated, "late_push": late_push,
    "again_and_again": again_and_again, "frozen": frozen, "lost": lost, "unit_said": unit_said, "chain": chain, "blind": blind,
}  # fmt: skip
