"""What goes wrong with where people are: forbidden zones, stays, crowds, missing hands, gatherings, doors."""

from __future__ import annotations

from infra.truth.book import CONFINED
from infra.truth.days import Days, Job, U
from infra.truth.quirk import SLOW, Quirk, mid
from streams.events import Positions, Scan
from streams.times import MINUTE, SECOND

FIX = 4 * SECOND


def _walk(days: Days, zone: str, people: list[str], since: int, until: int) -> None:
    """Fixes of people inside a zone, a metre apart."""
    place = days.atlas.zones[zone]
    for at in range(since, until + 1, FIX):
        n = len(people)
        days.say(at, "tags", Positions(at=at, u=100, workers=people, x=[place.x + 15.0 + k for k in range(n)], y=[place.y + 20.0] * n, z=[0.0] * n, acc=[0.5] * n))


def intruder(days: Days, job: Job) -> bool:
    at, zone = mid(days, job), f"ZR-{days.take('ZR')}"
    _walk(days, zone, [f"I-{job.permit}"], at, at + 2 * MINUTE)
    days.truth("X-ZONE", zone, at + FIX)
    return True


def long_stay(days: Days, job: Job) -> bool:
    k, at = days.take("ZS"), mid(days, job)
    _walk(days, f"ZS-{k}", [f"ST-{k}"], at, at + 66 * MINUTE)
    days.truth("X-STAY", f"ZS-{k}", at + 60 * MINUTE, FIX + 2 * SECOND)
    return True


def crowd(days: Days, job: Job) -> bool:
    at, zone = mid(days, job), f"ZC-{days.take('ZC')}"
    _walk(days, zone, [f"K{k}-{job.permit}" for k in range(5)], at, at + 3 * MINUTE)
    days.truth("X-CROWD", zone, at)
    return True


def unmanned(days: Days, job: Job) -> bool:
    """One of two leaves a post that needs two; he is back after four minutes."""
    at, zone = mid(days, job), f"ZM-{days.take('ZM')}"
    _walk(days, zone, [f"M0-{job.permit}"], at, at + 9 * MINUTE)
    _walk(days, zone, [f"M1-{job.permit}"], at, at + 3 * MINUTE)
    _walk(days, zone, [f"M1-{job.permit}"], at + 7 * MINUTE, at + 9 * MINUTE)
    days.truth("X-MANNING", zone, at + 3 * MINUTE + 10 * SECOND, 12 * SECOND)
    return True


def gathering(days: Days, job: Job) -> bool:
    """Three whom a permit names stand together for minutes where nobody may."""
    at = mid(days, job) // MINUTE * MINUTE
    other = next((j for j in days.jobs if j is not job and not j.quirk and j.requested + MINUTE < at < j.finished - 6 * MINUTE), None)
    if other is None:
        return False
    other.quirk, zone = "(the third)", f"ZG-{days.take('ZG')}"
    _walk(days, zone, [*job.workers, other.workers[0]], at, at + 5 * MINUTE)
    days.truth("X-GATHER", zone, at + MINUTE, SLOW + 10 * SECOND)
    return True


def overstay(days: Days, job: Job) -> bool:
    """The validity ends and somebody is still inside; he leaves before the permit is closed."""
    if job.type == CONFINED or job.accepted is None or job.finished - job.started < 35 * MINUTE:
        return False
    job.valid_to, job.accepted = job.finished + 2 * MINUTE, max(job.accepted, job.finished + 20 * MINUTE)
    worker, door = job.workers[0], f"D-{job.point.id}"
    days.say(job.started + MINUTE, "badges", Scan(at=job.started + MINUTE, u=U, worker=worker, door=door))
    days.say(job.valid_to + 14 * MINUTE, "badges", Scan(at=job.valid_to + 14 * MINUTE, u=U, worker=worker, door=door, direction="out"))
    days.truth("X-OVERSTAY", job.permit, job.valid_to + 10 * MINUTE, also=("X-NEAR-EXP",))
    return True


def badge_after(days: Days, job: Job) -> bool:
    """Somebody comes back after the validity has ended."""
    at, door = job.valid_to + 20 * MINUTE, f"D-{job.point.id}"
    if at > days.end:
        return False
    days.say(at, "badges", Scan(at=at, u=U, worker=job.workers[0], door=door))
    days.say(at + MINUTE, "badges", Scan(at=at + MINUTE, u=U, worker=job.workers[0], door=door, direction="out"))
    days.truth("X-BADGE-AFTER", job.workers[0], at)
    return True


QUIRKS: dict[str, Quirk] = {
    "intruder": intruder, "long_stay": long_stay, "crowd": crowd, "unmanned": unmanned, "gathering": gathering, "overstay": overstay, "badge_after": badge_after,
}  # fmt: skip
