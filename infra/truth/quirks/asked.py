"""What goes wrong with permits that are asked for and called off again: too low a level, a forbidden place, an unknown one, two forms, two ratings, nobody answers."""

from __future__ import annotations

from infra.truth.days import Days, Job, U
from infra.truth.quirk import Quirk, mid, say
from streams.events import Requested
from streams.times import HOUR, MINUTE


def _ask(days: Days, at: int, name: str, kind: str, point: str, gone: int, **more: str) -> None:
    """A permit asked for at `at` and called off at `gone`; nothing else ever comes of it."""
    days.say(at, "ptw", Requested(at=at, u=U, permit=name, type=kind, point=point, valid_from=at + 2 * HOUR, valid_to=at + 8 * HOUR, workers=["X1"], guardians=["X2"], **more))  # type: ignore[arg-type]
    say(days, gone, name, "cancelled")


def too_low(days: Days, job: Job) -> bool:
    """Second-class hot work in the dike of a tank farm."""
    at, name = mid(days, job), f"{job.permit}l"
    _ask(days, at, name, "03", days.outside("L").id, at + 20 * MINUTE)
    days.truth("X-LEVEL", name, at)
    return True


def forbidden(days: Days, job: Job) -> bool:
    at, name = mid(days, job), f"{job.permit}f"
    _ask(days, at, name, "02", days.outside("F").id, at + 20 * MINUTE)
    days.truth("X-FORBID", name, at)
    return True


def unbound(days: Days, job: Job) -> bool:
    """A place of which nobody ever heard."""
    at, name = mid(days, job), f"{job.permit}u"
    _ask(days, at, name, "22", f"NOWHERE-{job.permit}", at + 20 * MINUTE)
    days.truth("DQ-UNBOUND", name, at)
    return True


def _mixed(field: str, code: str, first: str, second: str) -> Quirk:
    def spoil(days: Days, job: Job) -> bool:
        at, point = mid(days, job), days.outside("R").id
        _ask(days, at, f"{job.permit}m", "22", point, at + 5 * MINUTE, **{field: first})
        _ask(days, at + 10 * MINUTE, f"{job.permit}n", "22", point, at + 20 * MINUTE, **{field: second})
        days.truth(code, f"{job.permit}n", at + 10 * MINUTE)
        return True

    return spoil


def unanswered(days: Days, job: Job) -> bool:
    """Nobody approves or rejects for more than eight hours."""
    at, name = job.requested, f"{job.permit}w"
    if at + 9 * HOUR > days.end:
        return False
    _ask(days, at, name, "22", days.outside("F").id, at + 9 * HOUR)
    days.truth("X-APPR-LATE", name, at + 8 * HOUR)
    return True


QUIRKS: dict[str, Quirk] = {
    "too_low": too_low, "forbidden": forbidden, "unbound": unbound, "two_forms": _mixed("template", "X-TEMPLATE-MIX", "2019", "2022"),
    "two_ratings": _mixed("risk", "X-RISK-MIX", "low", "major"), "unanswered": unanswered,
}  # fmt: skip
