"""What goes wrong with hidden dangers: nobody acknowledges, the date passes, the photo shows nothing, the same asset fails again."""

from __future__ import annotations

from typing import Any

from infra.truth.days import Days, Job, U
from infra.truth.quirk import Quirk, mid
from streams.events import Clip, Hazard
from streams.times import HOUR, MINUTE, SECOND


def _say(days: Days, hazard: str, asset: str, *steps: tuple[int, str], due: int | None = None, sharpness: float | None = None) -> None:
    for at, state in steps:
        shown = sharpness if state == "rectified" else None
        days.say(at, "operator", Hazard(at=at, u=U, hazard=hazard, state=state, asset=asset, due=due if state == "found" else None, sharpness=shown))  # type: ignore[arg-type]
        if state == "closed":
            _proved(days, hazard, at - 50 * SECOND)


def _proved(days: Days, hazard: str, at: int, *less: str) -> None:
    """The five dimensions of a remedy, but for those named."""
    told: dict[str, dict[str, Any]] = {
        "panorama": {"medium": "photo", "stage": "panorama", "device": f"DV-{hazard}"}, "film": {"medium": "video", "stage": "after", "until": at + 20 * SECOND},
        "asset": {"medium": "photo", "stage": "after", "asset": f"AS-{hazard}", "away": 1.0, "acc": 0.5}, "report": {"medium": "document", "sha256": f"report {hazard}"},
    }  # fmt: skip
    for name, more in told.items():
        if name not in less:
            said: dict[str, Any] = {"at": at, "u": U, "until": at, "camera": "APP", "hazard": hazard, "sha256": f"{hazard} {name}"}
            days.say(at + 30 * SECOND, "app", Clip(**{**said, **more}))


def closed_at_once(days: Days, job: Job) -> bool:
    """Found, proved and closed, and nobody acknowledged or mended it."""
    at, name = mid(days, job), f"HZ-{job.permit}"
    _say(days, name, "", (at, "found"), (at + HOUR, "closed"))
    days.truth("X-HAZ-FALSE", name, at + HOUR)
    return True


def unproved(days: Days, job: Job) -> bool:
    """Closed without the film of its remedy."""
    at, name = mid(days, job), f"HZ-{job.permit}"
    _say(days, name, "", (at, "found"), (at + HOUR, "acknowledged"), (at + 2 * HOUR, "rectified"))
    _proved(days, name, at + 3 * HOUR - 50 * SECOND, "film")
    days.say(at + 3 * HOUR, "operator", Hazard(at=at + 3 * HOUR, u=U, hazard=name, state="closed"))
    days.truth("X-EVID-5D", name, at + 3 * HOUR)
    return True


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
    "hazard_closed_at_once": closed_at_once, "hazard_unproved": unproved,
}  # fmt: skip
