"""What goes wrong with hidden dangers: nobody acknowledges, the date passes, the photo shows nothing, the same asset fails again."""

from __future__ import annotations

from infra.truth.days import Days, Job, U
from infra.truth.quirk import Quirk, mid
from streams.events import Hazard
from streams.times import HOUR, MINUTE


def _say(days: Days, hazard: str, asset: str, *steps: tuple[int, str], due: int | None = None, sharpness: float | None = None) -> None:
    for at, state in steps:
        shown = sharpness if state == "rectified" else None
        days.say(at, "operator", Hazard(at=at, u=U, hazard=hazard, state=state, asset=asset, due=due if state == "found" else None, sharpness=shown))  # type: ignore[arg-type]


def unacknowledged(days: Days, job: Job) -> bool:
    at, name = mid(days, job), f"HZ-{job.permit}"
    if at + 26 * HOUR > days.end:
        return False
    _say(days, name, "", (at, "found"), (at + 25 * HOUR, "acknowledged"), (at + 26 * HOUR, "rectified"), (at + 26 * HOUR + MINUTE, "closed"))
    days.truth("X-HAZ-UNACK", name, at + 24 * HOUR)
    return True


def overdue(days: Days, job: Job) -> bool:
    at, name = mid(days, job), f"HZ-{job.permit}"
    _say(days, name, "", (at, "found"), (at + HOUR, "acknowledged"), (at + 5 * HOUR, "rectified"), (at + 6 * HOUR, "closed"), due=at + 3 * HOUR)
    days.truth("X-HAZ-OVERDUE", name, at + 3 * HOUR)
    return True


def blurred(days: Days, job: Job) -> bool:
    at, name = mid(days, job), f"HZ-{job.permit}"
    _say(days, name, "", (at, "found"), (at + HOUR, "acknowledged"), (at + 2 * HOUR, "rectified"), (at + 3 * HOUR, "closed"), sharpness=0.1)
    days.truth("X-HAZ-BLURRED", name, at + 2 * HOUR)
    return True


def failed_again(days: Days, job: Job) -> bool:
    at, name, asset = mid(days, job), f"HZ-{job.permit}", f"AS-{job.permit}"
    _say(days, name, asset, (at, "found"), (at + 10 * MINUTE, "acknowledged"), (at + 30 * MINUTE, "rectified"), (at + 40 * MINUTE, "closed"), sharpness=0.8)
    again = at + 3 * HOUR
    _say(days, f"{name}-b", asset, (again, "found"), (again + 10 * MINUTE, "acknowledged"), (again + HOUR, "rectified"), (again + 2 * HOUR, "closed"), sharpness=0.8)
    days.truth("X-HAZ-FALSE", name, again)
    return True


QUIRKS: dict[str, Quirk] = {
    "hazard_unacknowledged": unacknowledged, "hazard_overdue": overdue, "hazard_blurred": blurred, "hazard_again": failed_again,
}  # fmt: skip
