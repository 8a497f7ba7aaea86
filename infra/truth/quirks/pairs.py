"""What goes wrong between several permits of one day: one guardian at two posts, tickets that do not name each other, approvals in a burst."""

from __future__ import annotations

from infra.truth.days import Days, Job, U
from infra.truth.quirk import Quirk, mid, say
from streams.events import Requested
from streams.times import HOUR, MINUTE, SECOND

BURST = 10


def _free(days: Days, job: Job) -> list[Job]:
    """The other jobs of the day in which nothing goes wrong yet."""
    return [j for j in days.jobs if j is not job and not j.quirk and days.day_of(j) == days.day_of(job)]


def two_posts(days: Days, job: Job) -> bool:
    """The guardian is named on another job at the same hour; the later one says so."""
    other = next((j for j in _free(days, job) if min(j.finished, job.finished) - max(j.started, job.started) > 10 * MINUTE), None)
    if other is None:
        return False
    other.guardian, other.quirk = job.guardian, "(the other post)"
    late, early = (job, other) if (job.started, job.permit) > (other.started, other.permit) else (other, job)
    gone = ("GUARD-ABSENT", "X-WATCH", f"GUARD-ABSENT@{early.permit}", f"X-WATCH@{early.permit}")
    days.truth("X-GUARD-MULTI", late.permit, late.started, also=gone)
    return True


def unrelated(days: Days, job: Job) -> bool:
    """Two tickets of one job; the later one says that they do not name each other."""
    other = next((j for j in _free(days, job) if j.requested < job.requested and (j.accepted or 0) > job.issued), None)
    if other is None:
        return False
    other.quirk = "(the other ticket)"
    job.extra["job"] = other.extra["job"] = f"JOB-{job.permit}"
    days.truth("LINK-UNREL", job.permit, job.issued)
    return True


def rubber(days: Days, job: Job) -> bool:
    """Ten excavations outside, well prepared, and approved by one person within a minute and a half."""
    signer, first = f"RS-{job.permit}", mid(days, job)
    for k in range(BURST):
        name, point, asked, signed = f"{job.permit}r{k}", days.outside("R"), first - HOUR, first + k * 10 * SECOND
        days.say(asked, "ptw", Requested(at=asked, u=U, permit=name, type="30", point=point.id, valid_from=first, valid_to=first + 6 * HOUR, planned_start=first + HOUR, workers=["X1"], guardians=["X2"]))
        for n, step in enumerate(("jsa", "measures", "briefed")):
            say(days, asked + (n + 1) * 5 * MINUTE, name, step)
        say(days, signed, name, "issued", by=signer, x=point.x + 1, y=point.y + 1, z=0.0, acc=2.0)
        say(days, first + 20 * MINUTE, name, "cancelled")
    days.truth("X-APPR-RUBBER", signer, first + (BURST - 1) * 10 * SECOND)
    return True


QUIRKS: dict[str, Quirk] = {"two_posts": two_posts, "unrelated": unrelated, "rubber_stamp": rubber}
