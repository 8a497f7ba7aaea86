"""What goes wrong with evidence: missing, blurred, used twice, stolen from another permit, gone, never scanned."""

from __future__ import annotations

from infra.truth.days import Days, Job, U, paper
from infra.truth.quirk import Quirk, mid
from streams.events import Clip, Probe
from streams.times import DAY, HOUR, MINUTE


def _missing(what: str, code: str) -> Quirk:
    def spoil(days: Days, job: Job) -> bool:
        if job.accepted is None:
            return False
        job.skip.add(what)
        days.truth(code, job.permit, job.accepted)
        return True

    return spoil


def reused(days: Days, job: Job) -> bool:
    """The photo of the risk, sent again as that of another stage."""
    at = mid(days, job)
    days.say(at, "app", paper(job, at, "photo", "before", sharpness=0.8, sha256=f"{job.permit} {job.started} photo risk"))
    days.truth("X-EVID-REUSED", job.permit, at)
    return True


def blurred(days: Days, job: Job) -> bool:
    at = mid(days, job)
    days.say(at, "app", paper(job, at, "photo", "before", sharpness=0.12))
    days.say(at + 10 * MINUTE, "app", paper(job, at + 10 * MINUTE, "photo", "before", sharpness=0.7, sha256=f"{job.permit} again"))
    days.truth("X-EVID-BLURRED", job.permit, at)
    return True


def stolen(days: Days, job: Job) -> bool:
    """A photo of a permit of the day before."""
    other = next((j for j in days.jobs if days.day_of(j) == days.day_of(job) - 1 and j.accepted is not None), None)
    if other is None:
        return False
    at = mid(days, job)
    days.say(at, "app", paper(job, at, "photo", "before", sharpness=0.8, sha256=f"{other.permit} {other.started} photo panorama"))
    days.truth("X-FRAUD-PHOTO", job.permit, at)
    return True


def gone(days: Days, job: Job) -> bool:
    """Evidence of last week cannot be fetched; the next day it can."""
    at, uri = mid(days, job), f"vms://{job.permit}/video"
    for when, found in ((at, False), (at + DAY, True)):
        days.say(when, "vms", Probe(at=when, u=U, uri=uri, found=found, recorded=at - 7 * DAY, permit=job.permit))
    days.truth("X-EVID-RETENTION", job.permit, at)
    return True


def unscanned(days: Days, job: Job) -> bool:
    """A paper permit of which no scan comes within a day."""
    if job.accepted is None or job.accepted + 27 * HOUR > days.end:
        return False
    job.extra["channel"] = "paper"
    job.skip.add("document report")
    days.truth("X-PAPER-LATE", job.permit, job.accepted + DAY, also=("X-EVID-5D",))
    at = job.accepted + 26 * HOUR
    days.say(at, "app", Clip(at=at, u=U, until=at, camera="APP", permit=job.permit, point=job.point.id, medium="document", sha256=f"{job.permit} scan"))
    return True


QUIRKS: dict[str, Quirk] = {
    "photo_missing": _missing("photo initial", "X-EVID-3P1R"), "panorama_missing": _missing("photo panorama", "X-EVID-5D"), "photo_reused": reused,
    "photo_blurred": blurred, "photo_stolen": stolen, "evidence_gone": gone, "paper_unscanned": unscanned,
}  # fmt: skip
