"""What goes wrong with people: certificates, doors, tags, contractors."""

from __future__ import annotations

from datetime import datetime, timedelta

from infra.truth.book import CONFINED, TRADES
from infra.truth.days import Days, Job, U
from infra.truth.quirk import Quirk, mid
from streams.events import Authorisation, Certificate, Contractor, HrChange, Record, Registry, Scan, TagSaid, Worker
from streams.times import HOUR, MINUTE


def _asked(days: Days, job: Job) -> str:
    return TRADES.get(job.type, "")


def _new_worker(days: Days, job: Job, trade: str, valid_to: str) -> str:
    worker, at = f"N-{job.permit}", job.requested - HOUR
    days.say(at, "hr", Worker(at=at, u=U, worker=worker, crew="C0"))
    if trade:
        days.say(at, "hr", Certificate(at=at, u=U, worker=worker, number=f"N-{worker}", trade=trade, valid_to=valid_to))
    job.workers = [worker, job.workers[1]]
    return worker


def _certificate(code: str, trade: str = "", left: int | None = None, warns: bool = False) -> Quirk:
    """A new hand whose certificate (of the trade asked for, unless `trade` says another) has so many days left; None: he has none."""

    def spoil(days: Days, job: Job) -> bool:
        asked = _asked(days, job)
        if not asked:
            return False
        last = datetime.fromtimestamp(job.started / 1000, days.zone).date() + timedelta(days=left or 0)
        worker = _new_worker(days, job, "" if left is None else trade or asked, str(last))
        days.truth(code, job.permit, job.issued, also=(f"X-CERT-WARN@{worker}",) if warns else ())
        return True

    return spoil


def leaver(days: Days, job: Job) -> bool:
    worker, at = f"L-{job.permit}", mid(days, job)
    days.say(at, "hr", HrChange(at=at, u=U, worker=worker, change="left"))
    days.say(at + 40 * MINUTE, "hr", Authorisation(at=at + 40 * MINUTE, u=U, worker=worker, active=False))
    days.truth("X-LEAVER", worker, at + 10 * MINUTE)
    return True


def badge_no_permit(days: Days, job: Job) -> bool:
    worker, at = f"B-{job.permit}", mid(days, job)
    days.say(at, "badges", Scan(at=at, u=U, worker=worker, door=f"D-{job.point.id}"))
    days.say(at + MINUTE, "badges", Scan(at=at + MINUTE, u=U, worker=worker, door=f"D-{job.point.id}", direction="out"))
    days.truth("X-BADGE-NOPERMIT", worker, at)
    return True


def not_signed_out(days: Days, job: Job) -> bool:
    if job.type != CONFINED or job.accepted is None:
        return False
    job.skip.add(f"out {job.workers[0]}")
    days.say(job.accepted + 20 * MINUTE, "badges", Scan(at=job.accepted + 20 * MINUTE, u=U, worker=job.workers[0], door=f"D-{job.point.id}", direction="out"))
    days.truth("X-SIGNOUT", job.permit, job.accepted, priority=1)
    return True


def sos(days: Days, job: Job) -> bool:
    at = mid(days, job)
    days.say(at, "tags", TagSaid(at=at, u=U, worker=job.workers[0], what="sos"))
    days.say(at + 3 * MINUTE, "tags", TagSaid(at=at + 3 * MINUTE, u=U, worker=job.workers[0], what="sos", over=True))
    days.truth("X-SOS", job.workers[0], at)
    return True


def still(days: Days, job: Job) -> bool:
    at = mid(days, job)
    days.say(at, "tags", TagSaid(at=at, u=U, worker=job.workers[1], what="still"))
    days.say(at + 8 * MINUTE, "tags", TagSaid(at=at + 8 * MINUTE, u=U, worker=job.workers[1], what="still", over=True))
    days.truth("X-STILL", job.workers[1], at + 5 * MINUTE)
    return True


def contractor_red(days: Days, job: Job) -> bool:
    name, at = f"CT-{job.permit}", job.requested - HOUR
    days.say(at, "hr", Contractor(at=at, u=U, contractor=name, papers={"insurance": "void", "medical": "2031-01-01", "qualification": "2031-01-01"}))
    job.extra["contractor"] = name
    days.truth("X-CONTR", job.permit, job.requested)
    return True


def contradiction(days: Days, job: Job) -> bool:
    """The register says valid; the date has passed."""
    worker, at = f"CC-{job.permit}", mid(days, job)
    gone = datetime.fromtimestamp(at / 1000, days.zone).date() - timedelta(days=3)
    days.say(at, "hr", Worker(at=at, u=U, worker=worker))
    days.say(at, "hr", Certificate(at=at, u=U, worker=worker, number=f"N-{worker}", trade="welding", valid_to=str(gone), status="valid"))
    days.truth("X-CERT-CONTRA", worker, at)
    return True


def cert_warning(days: Days, job: Job) -> bool:
    """A certificate of which exactly so many days are left as the second warning asks."""
    worker, at = f"CW-{job.permit}", mid(days, job)
    last = datetime.fromtimestamp(at / 1000, days.zone).date() + timedelta(days=30)
    days.say(at, "hr", Worker(at=at, u=U, worker=worker))
    days.say(at, "hr", Certificate(at=at, u=U, worker=worker, number=f"N-{worker}", trade="plumbing", valid_to=str(last)))
    days.truth("X-CERT-WARN", worker, at)
    return True


def dormant(days: Days, job: Job) -> bool:
    """An account that was last used a hundred and twenty days ago."""
    worker, at, long = f"DO-{job.permit}", mid(days, job), days.start - 120 * 24 * HOUR
    for when in (long, at):
        days.say(when, "badges", Scan(at=when, u=U, worker=worker, door=f"GATE-{job.point.area}"))
    days.truth("X-DORMANT", worker, at)
    return True


def tired(days: Days, job: Job) -> bool:
    """A month of overtime and four violations, and named on a permit."""
    worker, at = _new_worker(days, job, _asked(days, job), "2031-12-31"), job.requested - HOUR
    for what, value in (("overtime", 40.0), ("violation", 4.0)):
        days.say(at, "hr", Record(at=at, u=U, worker=worker, what=what, value=value))  # type: ignore[arg-type]
    days.truth("X-PERSON", worker, job.requested)
    return True


def unpractised(days: Days, job: Job) -> bool:
    """Four years without practice in the trade that the work asks for."""
    trade = _asked(days, job)
    if not trade:
        return False
    worker, at = _new_worker(days, job, trade, "2031-12-31"), job.requested - HOUR
    long = at - 4 * 366 * 24 * HOUR
    days.say(long, "hr", Record(at=long, u=U, worker=worker, what="practice", trade=trade), late=at - long)
    days.truth("X-SKILL-STALE", worker, job.requested)
    return True


def drift(days: Days, job: Job) -> bool:
    """An official register counts a hundred thousand certificates."""
    if not days.first("drift"):
        return False
    at = mid(days, job)
    days.say(at, "hr", Registry(at=at, u=U, authority="register", valid=100_000))
    days.truth("X-REG-DRIFT", days.plant.site, at)
    return True


QUIRKS: dict[str, Quirk] = {
    "cert_none": _certificate("CERT-NONE"), "cert_mismatch": _certificate("CERT-MISM", "plumbing", 5 * 365), "cert_expired": _certificate("CERT-EXP", left=-3),
    "cert_short": _certificate("X-CERT-SHORT", left=21, warns=True), "leaver": leaver,
    "badge_no_permit": badge_no_permit, "not_signed_out": not_signed_out, "sos": sos, "still": still, "contractor_red": contractor_red,
    "contradiction": contradiction, "cert_warning": cert_warning, "dormant": dormant, "tired": tired, "unpractised": unpractised, "drift": drift,
}  # fmt: skip
