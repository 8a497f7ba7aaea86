"""What goes wrong around the work: neighbours, process, isolation, what cameras see."""

from __future__ import annotations

import math

from infra.truth.book import CONFINED, HOT
from infra.truth.days import BEAT, Days, Job, U
from infra.truth.quirk import SLOW, Quirk, mid, on_beat
from streams.events import Activity, Detection, Frame, Isolation, Production
from streams.times import HOUR, MINUTE, SECOND


def vent(days: Days, job: Job) -> bool:
    if job.type not in HOT:
        return False
    at, name = mid(days, job), f"V-{job.permit}"
    place = {"x": job.point.x + 20, "y": job.point.y, "acc": 0.5}
    if any(j is not job and j.type in HOT and math.dist((j.point.x, j.point.y), (job.point.x + 20, job.point.y)) < 40 and j.started - 15 * MINUTE <= at <= j.finished for j in days.jobs):
        return False  # a neighbour would have to be told too
    days.say(at, "dcs", Activity(at=at, u=U, activity=name, what="gas_discharge", phase="start", **place))  # type: ignore[arg-type]
    days.say(at + 5 * MINUTE, "dcs", Activity(at=at + 5 * MINUTE, u=U, activity=name, what="gas_discharge", phase="end", **place))  # type: ignore[arg-type]
    days.truth("X-SIMOPS-H", job.permit, at)
    return True


def production(days: Days, job: Job) -> bool:
    job.extra["equipment"] = f"E-{job.permit}"
    at = job.requested - HOUR
    days.say(at, "operator", Production(at=at, u=U, order=f"PO-{job.permit}", equipment=f"E-{job.permit}", since=job.started, until=job.finished))
    days.truth("X-MES", job.permit, job.issued)
    return True


def isolation(days: Days, job: Job) -> bool:
    if job.type == "50":
        return False  # to take its own blind out is a blinding ticket's work
    at, name = mid(days, job), f"BV-{job.permit}"
    for when, state in ((job.requested + MINUTE, "applied"), (job.requested + 2 * MINUTE, "verified"), (at, "removed"), (at + 5 * MINUTE, "applied")):
        days.say(when, "ptw", Isolation(at=when, u=U, permit=job.permit, isolation=name, state=state))  # type: ignore[arg-type]
    days.truth("X-DCS-OPEN", job.permit, at)
    return True


def _camera(behaviour: str, code: str, dwell: int) -> Quirk:
    def spoil(days: Days, job: Job) -> bool:
        at = mid(days, job)
        if behaviour in ("fire", "smoke") and any(j.type in HOT and j.point.id == job.point.id and j.started - HOUR <= at <= j.finished + HOUR for j in days.jobs):
            return False
        for k in range(6):
            days.say(at + k * SECOND, "cameras", Detection(at=at + k * SECOND, u=U, camera=job.point.cameras[0], behaviour=behaviour, confidence=0.95, point=job.point.id))
        days.truth(code, job.permit, at + dwell * SECOND, 3 * SECOND)
        return True

    return spoil


def false_smoke(days: Days, job: Job) -> bool:
    """Steam seen for one frame: nothing may come of it."""
    at = mid(days, job)
    days.say(at, "cameras", Detection(at=at, u=U, camera=job.point.cameras[0], behaviour="smoke", confidence=0.9, point=job.point.id))
    return True


def at_hot_work(days: Days, job: Job) -> bool:
    """Flame and smoke at hot work that goes on: it is what is expected there, and nothing may come of it."""
    if job.type not in HOT or job.pauses:
        return False
    for k, behaviour in enumerate(("fire", "smoke") * 6):
        at = mid(days, job) + k * SECOND
        days.say(at, "cameras", Detection(at=at, u=U, camera=job.point.cameras[0], behaviour=behaviour, confidence=0.95, point=job.point.id))
    return True


def vent_far(days: Days, job: Job) -> bool:
    """A discharge just beyond the hard distance, away from everybody else."""
    if job.type not in HOT:
        return False
    others = [j.point for j in days.jobs if j is not job and days.day_of(j) == days.day_of(job)]
    places = [(job.point.x + 33 * math.cos(a), job.point.y + 33 * math.sin(a)) for a in (k * math.pi / 8 for k in range(16))]
    free = next((p for p in places if all(math.dist(p, (o.x, o.y)) > 45 for o in others)), None)
    if free is None:
        return False
    at, name = mid(days, job), f"W-{job.permit}"
    for when, phase in ((at, "start"), (at + 5 * MINUTE, "end")):
        days.say(when, "dcs", Activity(at=when, u=U, activity=name, what="gas_discharge", phase=phase, x=free[0], y=free[1], acc=0.5))  # type: ignore[arg-type]
    days.truth("X-SIMOPS-S", job.permit, at)
    return True


def deviation(days: Days, job: Job) -> bool:
    """A temperature is fifteen degrees off its set point for four minutes."""
    at, tag = mid(days, job), f"TC-{days.take('TC'):02d}"
    for when in range(at - MINUTE, at + 6 * MINUTE, 4 * SECOND):
        days.say(when, "dcs-900", Frame(at=when, u=100, names=[tag], values=[95.0 if at <= when < at + 4 * MINUTE else 80.0]))
    days.truth("X-DCS-DEV", tag, at + 120 * SECOND, 2 * SLOW)
    return True


def fan(days: Days, job: Job) -> bool:
    """Nothing is heard of the fan of a confined space for four minutes."""
    if job.type != CONFINED or not job.point.fans or job.finished - job.started < 25 * MINUTE:
        return False
    at = on_beat(days, mid(days, job))
    job.stopped.append((at, at + 4 * MINUTE))
    days.truth("X-VENT-OFF", job.permit, at - BEAT + MINUTE, BEAT + SLOW)
    return True


QUIRKS: dict[str, Quirk] = {
    "vent": vent, "production": production, "isolation": isolation, "fire": _camera("fire", "X-FIRE", 1), "smoke": _camera("smoke", "X-SMOKE", 3),
    "fall": _camera("fall", "X-FALL", 2), "no_helmet": _camera("no_helmet", "X-PPE-HELMET", 2), "no_harness": _camera("no_harness", "X-PPE-HARNESS", 2),
    "false_smoke": false_smoke, "at_hot_work": at_hot_work, "vent_far": vent_far, "deviation": deviation, "fan": fan, "no_goggles": _camera("no_goggles", "X-PPE-EYES", 2),
    "no_mask": _camera("no_mask", "X-PPE-MASK", 2), "smoking": _camera("smoking", "X-SMOKING", 2), "phone": _camera("phone", "X-PHONE", 2),
    "barrier": _camera("barrier_missing", "X-BARRIER", 5),
}  # fmt: skip
