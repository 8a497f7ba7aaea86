"""What goes wrong on paper: preparation, approval, levels, duplicates."""

from __future__ import annotations

from datetime import datetime

from infra.truth.book import CONFINED, kind_of
from infra.truth.days import Days, Job, U
from infra.truth.quirk import Quirk, say
from streams.events import Requested
from streams.times import HOUR, MINUTE


def _without(step: str, code: str) -> Quirk:
    def spoil(days: Days, job: Job) -> bool:
        job.skip.add(step)
        days.truth(code, job.permit, job.issued)
        return True

    return spoil


def blind_one(days: Days, job: Job) -> bool:
    if job.type != "50":
        return False
    job.extra["blind"] = "both"
    days.truth("BLIND-ONE", job.permit, job.requested)
    return True


def link_missing(days: Days, job: Job) -> bool:
    job.extra["needs"] = ["70" if job.type != CONFINED else "10"]
    days.truth("LINK-MISS", job.permit, job.issued)
    return True


def offsite(days: Days, job: Job) -> bool:
    job.place = (job.point.x + 900, job.point.y)
    days.truth("APPR-OFFSITE", job.permit, job.issued)
    return True


def night(days: Days, job: Job) -> bool:
    if job.type not in ("02", "03"):
        return False
    shift = 12 * HOUR + 30 * MINUTE
    start = job.started + shift
    if datetime.fromtimestamp(start / 1000, days.zone).hour < 20:
        return False
    for name in ("requested", "sampled", "issued", "started", "finished", "accepted", "valid_from", "valid_to"):
        value = getattr(job, name)
        setattr(job, name, None if value is None else value + shift)
    job.extra["upgraded"] = False
    days.truth(_level_code(days, job.started), job.permit, job.issued)
    return True


def rest_day(days: Days, job: Job) -> bool:
    if job.type not in ("02", "03") or days.is_workday(job.started):
        return False
    job.extra["upgraded"] = False
    days.truth(_level_code(days, job.started), job.permit, job.issued)
    return True


def _level_code(days: Days, ms: int) -> str:
    kind = kind_of(datetime.fromtimestamp(ms / 1000, days.zone).date())
    return {"holiday": "UPG-HOL", "rest": "UPG-REST", "workday": "UPG-NIGHT"}[kind]


def duplicate(days: Days, job: Job) -> bool:
    again, at = f"{job.permit}x", job.requested + 15 * MINUTE
    days.say(at, "ptw", Requested(at=at, u=U, permit=again, type=job.type, point=job.point.id, valid_from=job.valid_from, valid_to=job.valid_to, planned_start=job.valid_from + 9 * HOUR,
                                  workers=job.workers, guardians=[job.guardian]))  # fmt: skip
    say(days, at + 30 * MINUTE, again, "cancelled")
    days.truth("X-DUP", again, at)
    return True


def bare(days: Days, job: Job) -> bool:
    """Hot work where no detector is bound."""
    if job.type not in ("02", "03"):
        return False
    job.point = days.outside("B")
    days.truth("X-BIND", job.permit, job.issued)
    return True


QUIRKS: dict[str, Quirk] = {
    "no_jsa": _without("jsa", "JSA-NONE"), "no_measures": _without("measures", "MEAS-NONE"), "no_briefing": _without("briefed", "BRIEF-NONE"),
    "blind_one": blind_one, "link_missing": link_missing, "offsite": offsite, "night": night, "rest_day": rest_day, "duplicate": duplicate, "bare": bare,
}  # fmt: skip
