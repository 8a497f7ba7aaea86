"""What spoils whole days: gales and lightning."""

from __future__ import annotations

from infra.truth.days import Days, Job
from streams.events import OfficialWarning, Weather
from streams.rules.limits import HEIGHT, HOT, LIFTING
from streams.times import MINUTE


def _at_work(job: Job) -> list[tuple[int, int]]:
    """The spans of its work, without the interruption of `gas_interrupt`."""
    if job.quirk == "gas_interrupt":
        at = job.started + 10 * MINUTE
        return [(job.started, at), (at + 70 * MINUTE, job.finished)]
    return [(job.started, job.finished)]


def gale(days: Days, day: int) -> None:
    """A gust front in the late morning: who works in the open must stop."""
    moments = range(days.local(day, 0) + MINUTE, days.local(day, 24) - MINUTE, 5 * MINUTE)
    blowing = [at for at in moments if days.local(day, 10.5) <= at < days.local(day, 10.75)]
    for at in moments:
        days.say(at, "weather", Weather(at=at, u=0, station="WS-1", wind_mean=9.4 if at in blowing else 4.0))
    since, until = blowing[0], blowing[-1] + 5 * MINUTE
    for job in days.jobs:
        span = next(((a, b) for a, b in _at_work(job) if a < until and b > since), None)
        if job.type in HOT | HEIGHT and span:
            days.truth("X-WIND", job.permit, max(since, span[0]))


def lightning(days: Days, day: int) -> None:
    """A yellow warning for forty minutes."""
    at = days.local(day, 13.5)
    days.say(at, "weather", OfficialWarning(at=at, u=0, hazard="lightning", colour="yellow", until=at + 40 * MINUTE))
    for job in days.jobs:
        span = next(((a, b) for a, b in _at_work(job) if a < at + 40 * MINUTE and b > at), None)
        if job.type in HEIGHT | LIFTING and span:
            days.truth("X-WX", job.permit, max(at, span[0]))
