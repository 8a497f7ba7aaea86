"""What goes wrong around the work: neighbours, process, isolation, what cameras see."""

from __future__ import annotations

from infra.truth.days import Days, Job
from infra.truth.quirk import Quirk, mid
from streams.events import Activity, Detection, Isolation, Production
from streams.rules.limits import HOT
from streams.times import HOUR, MINUTE, SECOND


def vent(days: Days, job: Job) -> bool:
    if job.type not in HOT:
        return False
    at, name = mid(days, job), f"V-{job.permit}"
    place = {"x": job.point.x + 20, "y": job.point.y, "acc": 0.5}
    days.say(at, "dcs", Activity(at=at, u=0, activity=name, what="gas_discharge", phase="start", **place))  # type: ignore[arg-type]
    days.say(at + 5 * MINUTE, "dcs", Activity(at=at + 5 * MINUTE, u=0, activity=name, what="gas_discharge", phase="end", **place))  # type: ignore[arg-type]
    days.truth("X-SIMOPS-H", job.permit, at)
    return True


def production(days: Days, job: Job) -> bool:
    job.extra["equipment"] = f"E-{job.permit}"
    at = job.requested - HOUR
    days.say(at, "operator", Production(at=at, u=0, order=f"PO-{job.permit}", equipment=f"E-{job.permit}", since=job.started, until=job.finished))
    days.truth("X-MES", job.permit, job.issued)
    return True


def isolation(days: Days, job: Job) -> bool:
    at, name = mid(days, job), f"BV-{job.permit}"
    for when, state in ((job.requested + MINUTE, "applied"), (job.requested + 2 * MINUTE, "verified"), (at, "removed"), (at + 5 * MINUTE, "applied")):
        days.say(when, "ptw", Isolation(at=when, u=0, permit=job.permit, isolation=name, state=state))  # type: ignore[arg-type]
    days.truth("X-DCS-OPEN", job.permit, at)
    return True


def _camera(behaviour: str, code: str, dwell: int) -> Quirk:
    def spoil(days: Days, job: Job) -> bool:
        at = mid(days, job)
        for k in range(6):
            days.say(at + k * SECOND, "cameras", Detection(at=at + k * SECOND, u=0, camera=job.point.cameras[0], behaviour=behaviour, confidence=0.95, point=job.point.id))
        days.truth(code, job.permit, at + dwell * SECOND, 3 * SECOND)
        return True

    return spoil


def false_smoke(days: Days, job: Job) -> bool:
    """Steam seen for one frame: nothing may come of it."""
    at = mid(days, job)
    days.say(at, "cameras", Detection(at=at, u=0, camera=job.point.cameras[0], behaviour="smoke", confidence=0.9, point=job.point.id))
    return True


QUIRKS: dict[str, Quirk] = {
    "vent": vent, "production": production, "isolation": isolation, "fire": _camera("fire", "X-FIRE", 0), "smoke": _camera("smoke", "X-SMOKE", 3),
    "fall": _camera("fall", "X-FALL", 3), "no_helmet": _camera("no_helmet", "X-PPE-HELMET", 2), "no_harness": _camera("no_harness", "X-PPE-HARNESS", 2),
    "false_smoke": false_smoke,
}  # fmt: skip
