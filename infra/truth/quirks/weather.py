"""What spoils whole days: gales and lightning."""

from __future__ import annotations

from infra.truth.book import HEIGHT, HOT, LIFTING
from infra.truth.days import Days, Job, U
from streams.events import OfficialWarning, SpecialTime, Weather
from streams.times import MINUTE, SECOND

BESIDE = 17 * SECOND
"""Weather does not change at the very instant of a permit's step."""
UNALLOWED = ("rejected_started", "cancelled_started")
"""Work that no permit allows: nothing more is asked of its permit."""


def _at_work(job: Job) -> list[tuple[int, int]]:
    """The spans of its work, without its pauses."""
    edges = [job.started, *(at for pause in job.pauses for at in pause), job.finished]
    return [] if job.quirk in UNALLOWED else list(zip(edges[::2], edges[1::2], strict=True))


def gale(days: Days, day: int) -> None:
    """A gust front in the late morning: who works in the open must stop."""
    moments = range(days.local(day, 0) + MINUTE + BESIDE, days.local(day, 24) - MINUTE, 5 * MINUTE)
    blowing = [at for at in moments if days.local(day, 10.5) <= at < days.local(day, 10.75)]
    for at in moments:
        days.say(at, "weather", Weather(at=at, u=U, station="WS-1", wind_mean=9.4 if at in blowing else 4.0))
    since, until = blowing[0], blowing[-1] + 5 * MINUTE
    for job in days.jobs:
        span = next(((a, b) for a, b in _at_work(job) if a < until and b > since), None)
        if job.type in HOT | HEIGHT and span:
            days.truth("X-WIND", job.permit, max(since, span[0]), priority=1 if job.type in HEIGHT else 2)


def festival(days: Days, day: int) -> None:
    """Twenty minutes at noon for which an authority asks upgraded management, and nobody heard of it before."""
    since = days.local(day, 11.7) + BESIDE
    until = since + 20 * MINUTE
    days.say(since, "operator", SpecialTime(at=since, u=U, name=f"visit {day}", until=until))
    for job in days.jobs:
        if job.type in ("02", "03") and days.is_workday(job.started) and not job.extra.get("upgraded") and (at := _too_low(job, since, until)) is not None:
            days.truth("UPG-EVENT", job.permit, at)


def _too_low(job: Job, since: int, until: int) -> int | None:
    """When a job is found to need another level: while it is worked, or at its sign-off."""
    span = next(((a, b) for a, b in _at_work(job) if a <= until and b > since), None)
    planned = max(job.valid_from, job.issued)
    if job.issued < job.started and since <= planned <= until:
        return max(since, job.issued)
    return max(since, span[0]) if span else None


def lightning(days: Days, day: int) -> None:
    """A yellow warning for forty minutes."""
    at = days.local(day, 13.5) + BESIDE
    days.say(at, "weather", OfficialWarning(at=at, u=U, hazard="lightning", colour="yellow", until=at + 40 * MINUTE))
    for job in days.jobs:
        spans = list(_at_work(job))
        waiting = [(min(job.issued, spans[0][0]), spans[0][1])] if spans else []
        span = next(((a, b) for a, b in (*waiting, *spans[1:]) if a < at + 40 * MINUTE and b > at), None)
        if job.type in HEIGHT | LIFTING and span:
            days.truth("X-WX", job.permit, max(at, span[0]), priority=1 if max(at, span[0]) >= job.started else 2)
