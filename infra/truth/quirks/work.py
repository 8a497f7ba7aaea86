"""What goes wrong while people work: guardian, video, order of events."""

from __future__ import annotations

from infra.truth.book import CONFINED, HOT, NEEDS_GAS, SPECIAL
from infra.truth.days import BEAT, Days, Job, U
from infra.truth.quirk import SLOW, Quirk, mid, on_beat, say
from streams.events import Detection
from streams.times import HOUR, MINUTE, SECOND


def guardian_away(days: Days, job: Job) -> bool:
    if job.finished - job.started < 25 * MINUTE:
        return False
    at = mid(days, job)
    job.away.append((at, at + 6 * MINUTE))
    days.truth("GUARD-ABSENT", job.permit, at + 60 * SECOND, SLOW, end=at + 6 * MINUTE)
    return True


def watch_cut(days: Days, job: Job) -> bool:
    if job.type not in HOT:
        return False
    job.away.append((job.finished + 10 * MINUTE, job.finished + 60 * MINUTE))
    days.truth("X-WATCH", job.permit, job.finished + 11 * MINUTE, 2 * SLOW)
    return True


def video_off(days: Days, job: Job) -> bool:
    if job.type not in HOT:
        return False
    at = mid(days, job)
    job.dark.append((at, at + 6 * MINUTE))
    days.truth("X-T4", job.permit, at + 10 * SECOND, SLOW + 12 * SECOND, end=at + 6 * MINUTE, priority=2 if job.type == SPECIAL else 3)
    return True


def early(days: Days, job: Job) -> bool:
    job.issued = job.started + 6 * MINUTE
    job.valid_from = min(job.valid_from, job.started)
    days.truth("X-T3", job.permit, job.started, end=job.issued)
    return True


def no_ticket(days: Days, job: Job) -> bool:
    """Welding at another point, which no permit was asked for."""
    used = {j.point.id for j in days.jobs}
    spare = next((p for p in days.plant.points if p.id not in used and f"seen {p.id}" not in days.levels), None)
    if spare is None:
        return False
    days.levels[f"seen {spare.id}"] = []
    at = mid(days, job)
    for k in range(4):
        days.say(at + k * 5 * SECOND, "cameras", Detection(at=at + k * 5 * SECOND, u=U, camera=spare.cameras[0], behaviour="welding", confidence=0.95, point=spare.id))
    days.truth("TICKET-NONE", spare.id, at, 14 * SECOND)
    return True


def overrun(days: Days, job: Job) -> bool:
    job.valid_to = job.finished - 8 * MINUTE
    if job.valid_to <= job.started + 2 * MINUTE:
        return False
    days.truth("TICKET-OVER", job.permit, job.valid_to, also=("X-NEAR-EXP",), end=job.finished)
    return True


def near_expiry(days: Days, job: Job) -> bool:
    job.valid_to = job.finished + 10 * MINUTE
    if job.valid_to - 32 * MINUTE <= job.started:
        return False
    days.truth("X-NEAR-EXP", job.permit, job.valid_to - 30 * MINUTE)
    return True


def closed_late(days: Days, job: Job) -> bool:
    job.accepted = job.finished + 3 * HOUR
    days.truth("X-CLOSE-LATE", job.permit, job.finished + 2 * HOUR, end=job.accepted)
    return True


def unwatched(days: Days, job: Job) -> bool:
    """For ten minutes no gas, no video, no guardian's tag."""
    if job.type not in NEEDS_GAS or job.finished - job.started < 40 * MINUTE or not job.tag:
        return False
    at = on_beat(days, job.started + 10 * MINUTE)
    span = (at, at + 10 * MINUTE)
    job.mute.append(span)
    job.dark.append(span)
    days.reads(job.tag, *span, None, 0.0)
    days.truth("X-UNWATCHED", job.permit, at - BEAT + 5 * MINUTE, 2 * SLOW, ("X-T4", "DQ-SILENT", "X-GAS-GAP", f"DQ-SILENT@{job.tag}"), priority=2 if job.type in (SPECIAL, CONFINED) else 3)
    return True


def _changed(what: str, code: str, *also: str) -> Quirk:
    def spoil(days: Days, job: Job) -> bool:
        at = mid(days, job)
        say(days, at, job.permit, "changed", what=what)
        days.truth(code, job.permit, at, also=also)
        return True

    return spoil


def extended(days: Days, job: Job) -> bool:
    """The validity is drawn out by hand, which no permit knows."""
    at = mid(days, job)
    say(days, at, job.permit, "extended")
    days.truth("TICKET-OVER", job.permit, at)
    return True


QUIRKS: dict[str, Quirk] = {
    "guardian_away": guardian_away, "watch_cut": watch_cut, "video_off": video_off, "early": early, "no_ticket": no_ticket, "overrun": overrun,
    "closed_late": closed_late, "near_expiry": near_expiry, "unwatched": unwatched, "content_changed": _changed("content", "X-CHG"), "place_changed": _changed("place", "X-REASSESS", "X-CHG"),
    "extended": extended,
}  # fmt: skip
