"""What goes wrong with the data: silence, units, clocks, late pushes."""

from __future__ import annotations

from datetime import datetime, timedelta

from infra.truth.days import BEAT, PASS, Days, Job
from infra.truth.quirk import SLOW, Quirk, mid
from streams.events import ClockSaid, DeviceSaid, GasTest, Scan
from streams.rules.limits import NEEDS_GAS
from streams.times import HOUR, MINUTE, SECOND


def silent(days: Days, job: Job) -> bool:
    if job.type not in ("02", "03"):
        return False
    at = (mid(days, job) - days.start - 5 * SECOND) // BEAT * BEAT + days.start + 5 * SECOND
    days.levels.setdefault(job.tag, []).append((at, at + 14 * MINUTE, None, 0.0))
    days.truth("DQ-SILENT", job.tag, at - BEAT + 10 * MINUTE, BEAT + SLOW)
    return True


def unit_flip(days: Days, job: Job) -> bool:
    channel = days.atlas.channels[job.tag]
    if channel.kind != "combustible" or channel.high is None:
        return False
    at = mid(days, job)
    days.levels.setdefault(job.tag, []).append((at, at + 2 * MINUTE, 450.0, 450.0))
    days.truth("DQ-RANGE", job.tag, at, SLOW, (f"X-GAS-GAP@{job.permit}",))
    return True


def camera_clock(days: Days, job: Job) -> bool:
    at = mid(days, job)
    device = f"CLK-{job.permit}"
    days.say(at, "operator", ClockSaid(at=at, u=0, device=device, offset=9_000, residual=200))
    days.say(at + HOUR, "operator", ClockSaid(at=at + HOUR, u=0, device=device, offset=100, residual=200))
    days.truth("DQ-CLOCK", device, at)
    return True


def uncalibrated(days: Days, job: Job) -> bool:
    if job.type not in NEEDS_GAS or job.sampled is None:
        return False
    device, day = f"GT-{job.permit}", datetime.fromtimestamp(job.sampled / 1000, days.zone).date()
    days.say(job.requested - HOUR, "operator", DeviceSaid(at=job.requested - HOUR, u=0, device=device, calibrated_to=str(day - timedelta(days=2))))
    at, job.sampled = job.sampled, None
    days.say(at, "ptw", GasTest(at=at, u=0, permit=job.permit, results=PASS, device=device))
    days.truth("DQ-CAL", job.permit, at, also=("GAS-NONE", "GAS-2H", "X-T1"))
    return True


def late_push(days: Days, job: Job) -> bool:
    at = mid(days, job)
    days.say(at, f"late-{job.permit}", Scan(at=at, u=0, worker=f"Z-{job.permit}", door=f"GATE-{job.point.area}"), late=25 * MINUTE)
    days.truth("DQ-LATE", f"late-{job.permit}", at + 25 * MINUTE)
    return True


QUIRKS: dict[str, Quirk] = {
    "silent": silent, "unit_flip": unit_flip, "camera_clock": camera_clock, "uncalibrated": uncalibrated, "late_push": late_push,
}  # fmt: skip
