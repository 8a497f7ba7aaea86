"""What every quirk of a plant-day needs: its type, a moment of work, a step said."""

from __future__ import annotations

from collections.abc import Callable

from infra.truth.days import BEAT, Days, Job, U
from streams.events import Step
from streams.times import SECOND

Quirk = Callable[[Days, Job], bool]
"""Spoils a job; False if it does not suit it."""
SLOW = BEAT + 2 * SECOND
"""What depends on telemetry is known within one sampling interval."""


def mid(days: Days, job: Job) -> int:
    """A moment of work, well inside, whole seconds."""
    return (job.started + int((job.finished - job.started) * (0.3 + 0.3 * days.rng.random()))) // SECOND * SECOND


def on_beat(days: Days, at: int) -> int:
    """The last sampling moment of telemetry not after a moment."""
    first = days.start + 5 * SECOND
    return (at - first) // BEAT * BEAT + first


def say(days: Days, at: int, permit: str, step: str, **more: object) -> None:
    days.say(at, "ptw", Step(at=at, u=U, permit=permit, step=step, **more))  # type: ignore[arg-type]
