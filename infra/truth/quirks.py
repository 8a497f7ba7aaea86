"""What goes wrong: each quirk spoils one job (or one thing of the plant) and writes down what must be raised."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from infra.truth.days import BEAT, PASS, Days, Job
from streams.calendar import built_in, kind_of
from streams.events import (
    Activity,
    Authorisation,
    Certificate,
    ClockSaid,
    Contractor,
    Detection,
    DeviceSaid,
    GasResult,
    GasTest,
    HrChange,
    Isolation,
    OfficialWarning,
    Production,
    Requested,
    Scan,
    Step,
    TagSaid,
    Weather,
    Worker,
)  # fmt: skip
from streams.plant import plant_terms
from streams.rules.limits import CONFINED, HEIGHT, HOT, LIFTING, NEEDS_GAS, SPECIAL
from streams.times import HOUR, MINUTE, SECOND

Quirk = Callable[[Days, Job], bool]
"""Spoils a job; False if it does not suit it."""
SLOW = BEAT + 2 * SECOND
"""What depends on telemetry is known within one sampling interval."""


def _mid(days: Days, job: Job) -> int:
    """A moment of work, well inside, whole seconds."""
    return (job.started + int((job.finished - job.started) * (0.3 + 0.3 * days.rng.random()))) // SECOND * SECOND


def _say(days: Days, at: int, permit: str, step: str, **more: object) -> None:
    days.say(at, "ptw", Step(at=at, u=0, permit=permit, step=step, **more))  # type: ignore[arg-type]


# ---- gas ------------------------------------------------------------------------------------------------------------


def gas_over(days: Days, job: Job) -> bool:
    if job.type not in HOT or days.atlas.channels[job.tag].kind != "combustible":
        return False
    at = _mid(days, job)
    days.levels.setdefault(job.tag, []).append((at, at + 3 * MINUTE, 16.0, 16.0))
    days.truth("X-GAS-LIM", job.permit, at, SLOW, ("X-GAS-RISE",))
    return True


def gas_none(days: Days, job: Job) -> bool:
    if job.type not in NEEDS_GAS:
        return False
    job.sampled = None
    days.truth("GAS-NONE", job.permit, job.issued, also=("GAS-2H", "X-T1"))
    return True


def gas_stale(days: Days, job: Job) -> bool:
    if job.type not in NEEDS_GAS:
        return False
    job.sampled = job.started - 47 * MINUTE
    days.truth("GAS-STALE", job.permit, job.issued, also=("GAS-2H",))
    return True


def gas_interrupt(days: Days, job: Job) -> bool:
    if job.type not in NEEDS_GAS or job.finished - job.started < 60 * MINUTE:
        return False
    at = job.started + 10 * MINUTE
    job.finished, job.accepted = job.finished + 80 * MINUTE, (job.accepted or 0) + 80 * MINUTE
    _say(days, at, job.permit, "suspended")
    _say(days, at + 70 * MINUTE, job.permit, "resumed")
    days.truth("GAS-INTERRUPT", job.permit, at + 70 * MINUTE, also=("GAS-2H",))
    return True


def gas_record(days: Days, job: Job) -> bool:
    if job.type != CONFINED:
        return False
    job.records, job.finished = False, job.started + 150 * MINUTE
    job.accepted = job.finished + 8 * MINUTE
    days.truth("GAS-2H", job.permit, (job.sampled or job.started) + 120 * MINUTE)
    return True


def gas_gap(days: Days, job: Job) -> bool:
    if job.type not in (SPECIAL, CONFINED):
        return False
    at = (_mid(days, job) - days.start - 5 * SECOND) // BEAT * BEAT + days.start + 5 * SECOND
    days.levels.setdefault(job.tag, []).append((at, at + 3 * MINUTE, None, 0.0))
    days.truth("X-GAS-GAP", job.permit, at - BEAT + 60 * SECOND, BEAT + SLOW)
    return True


def gas_typed(days: Days, job: Job) -> bool:
    """Typed as clean while the detector of the point reads something else."""
    if job.type not in HOT or job.sampled is None or days.atlas.channels[job.tag].kind != "combustible":
        return False
    gas, at = days.atlas.channels[job.tag].gas, job.sampled
    days.levels.setdefault(job.tag, []).append((at - 4 * MINUTE, at + 3 * MINUTE, 4.6, 4.6))
    job.sampled = None
    days.say(at, "ptw", GasTest(at=at, u=0, permit=job.permit, results=[GasResult(gas, 0.001, "%vol"), PASS[1]], method="manual", analyst="AN-1"))
    days.truth("X-GAS-MISMATCH", job.permit, at)
    return True


# ---- guardian, video, order -----------------------------------------------------------------------------------------


def guardian_away(days: Days, job: Job) -> bool:
    if job.finished - job.started < 25 * MINUTE:
        return False
    at = _mid(days, job)
    job.away.append((at, at + 6 * MINUTE))
    days.truth("GUARD-ABSENT", job.permit, at + 60 * SECOND, SLOW)
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
    at = _mid(days, job)
    job.dark.append((at, at + 6 * MINUTE))
    days.truth("X-T4", job.permit, at + 10 * SECOND, SLOW + 12 * SECOND)
    return True


def early(days: Days, job: Job) -> bool:
    job.issued = job.started + 6 * MINUTE
    job.valid_from = min(job.valid_from, job.started)
    days.truth("X-T3", job.permit, job.started)
    return True


def no_ticket(days: Days, job: Job) -> bool:
    """Welding at another point, which no permit was asked for."""
    used = {j.point.id for j in days.jobs}
    spare = next((p for p in days.plant.points if p.id not in used and f"seen {p.id}" not in days.levels), None)
    if spare is None:
        return False
    days.levels[f"seen {spare.id}"] = []
    at = _mid(days, job)
    for k in range(4):
        days.say(at + k * 5 * SECOND, "cameras", Detection(at=at + k * 5 * SECOND, u=0, camera=spare.cameras[0], behaviour="welding", confidence=0.95, point=spare.id))
    days.truth("TICKET-NONE", spare.id, at, 14 * SECOND)
    return True


def overrun(days: Days, job: Job) -> bool:
    job.valid_to = job.finished - 8 * MINUTE
    if job.valid_to <= job.started + 2 * MINUTE:
        return False
    days.truth("TICKET-OVER", job.permit, job.valid_to, also=("X-NEAR-EXP",))
    return True


def closed_late(days: Days, job: Job) -> bool:
    job.accepted = job.finished + 3 * HOUR
    days.truth("X-CLOSE-LATE", job.permit, job.finished + 2 * HOUR)
    return True


# ---- preparation, approval, levels ----------------------------------------------------------------------------------


def _without(step: str, code: str) -> Quirk:
    def spoil(days: Days, job: Job) -> bool:
        job.skip.add(step)
        days.truth(code, job.permit, job.issued)
        return True

    return spoil


def blind_one(days: Days, job: Job) -> bool:
    if job.type != "50":
        return False
    job.extra["blind"] = "both"
    days.truth("BLIND-ONE", job.permit, job.requested)
    return True


def link_missing(days: Days, job: Job) -> bool:
    job.extra["needs"] = ["70" if job.type != CONFINED else "10"]
    days.truth("LINK-MISS", job.permit, job.issued)
    return True


def offsite(days: Days, job: Job) -> bool:
    job.place = (job.point.x + 900, job.point.y)
    days.truth("APPR-OFFSITE", job.permit, job.issued)
    return True


def night(days: Days, job: Job) -> bool:
    if job.type not in ("02", "03"):
        return False
    shift = 12 * HOUR + 30 * MINUTE
    start = job.started + shift
    if datetime.fromtimestamp(start / 1000, days.zone).hour < 20:
        return False
    for name in ("requested", "sampled", "issued", "started", "finished", "accepted", "valid_from", "valid_to"):
        value = getattr(job, name)
        setattr(job, name, None if value is None else value + shift)
    job.extra["upgraded"] = False
    days.truth(_level_code(days, job.started), job.permit, job.issued)
    return True


def rest_day(days: Days, job: Job) -> bool:
    if job.type not in ("02", "03") or days.is_workday(job.started):
        return False
    job.extra["upgraded"] = False
    days.truth(_level_code(days, job.started), job.permit, job.issued)
    return True


def _level_code(days: Days, ms: int) -> str:
    kind = kind_of(datetime.fromtimestamp(ms / 1000, days.zone).date(), days.plant.calendar or built_in())
    return {"holiday": "UPG-HOL", "rest": "UPG-REST", "workday": "UPG-NIGHT"}[kind]


def duplicate(days: Days, job: Job) -> bool:
    again, at = f"{job.permit}x", job.requested + 15 * MINUTE
    days.say(at, "ptw", Requested(at=at, u=0, permit=again, type=job.type, point=job.point.id, valid_from=job.valid_from, valid_to=job.valid_to, planned_start=job.valid_from + 9 * HOUR,
                                  workers=job.workers, guardians=[job.guardian]))  # fmt: skip
    _say(days, at + 30 * MINUTE, again, "cancelled")
    days.truth("X-DUP", again, at)
    return True


# ---- certificates, people, doors ------------------------------------------------------------------------------------


def _asked(days: Days, job: Job) -> str:
    return next(iter(plant_terms(days.plant).pack.trades.get(job.type, [])), "")


def _new_worker(days: Days, job: Job, trade: str, valid_to: str) -> str:
    worker, at = f"N-{job.permit}", job.requested - HOUR
    days.say(at, "hr", Worker(at=at, u=0, worker=worker, crew="C0"))
    if trade:
        days.say(at, "hr", Certificate(at=at, u=0, worker=worker, number=f"N-{worker}", trade=trade, valid_to=valid_to))
    job.workers = [worker, job.workers[1]]
    return worker


def cert_none(days: Days, job: Job) -> bool:
    if not _asked(days, job):
        return False
    _new_worker(days, job, "", "")
    days.truth("CERT-NONE", job.permit, job.issued)
    return True


def cert_mismatch(days: Days, job: Job) -> bool:
    if not _asked(days, job):
        return False
    _new_worker(days, job, "plumbing", "2031-01-01")
    days.truth("CERT-MISM", job.permit, job.issued)
    return True


def cert_expired(days: Days, job: Job) -> bool:
    if not _asked(days, job):
        return False
    day = datetime.fromtimestamp(job.started / 1000, days.zone).date()
    _new_worker(days, job, _asked(days, job), str(day - timedelta(days=3)))
    days.truth("CERT-EXP", job.permit, job.issued)
    return True


def cert_short(days: Days, job: Job) -> bool:
    if not _asked(days, job):
        return False
    day = datetime.fromtimestamp(job.started / 1000, days.zone).date()
    _new_worker(days, job, _asked(days, job), str(day + timedelta(days=21)))
    days.truth("X-CERT-SHORT", job.permit, job.issued, also=(f"X-CERT-WARN@{job.workers[0]}",))
    return True


def leaver(days: Days, job: Job) -> bool:
    worker, at = f"L-{job.permit}", _mid(days, job)
    days.say(at, "hr", HrChange(at=at, u=0, worker=worker, change="left"))
    days.say(at + 40 * MINUTE, "hr", Authorisation(at=at + 40 * MINUTE, u=0, worker=worker, active=False))
    days.truth("X-LEAVER", worker, at + 10 * MINUTE)
    return True


def badge_no_permit(days: Days, job: Job) -> bool:
    worker, at = f"B-{job.permit}", _mid(days, job)
    days.say(at, "badges", Scan(at=at, u=0, worker=worker, door=f"D-{job.point.id}"))
    days.say(at + MINUTE, "badges", Scan(at=at + MINUTE, u=0, worker=worker, door=f"D-{job.point.id}", direction="out"))
    days.truth("X-BADGE-NOPERMIT", worker, at)
    return True


def not_signed_out(days: Days, job: Job) -> bool:
    if job.type != CONFINED or job.accepted is None:
        return False
    job.skip.add(f"out {job.workers[0]}")
    days.say(job.accepted + 20 * MINUTE, "badges", Scan(at=job.accepted + 20 * MINUTE, u=0, worker=job.workers[0], door=f"D-{job.point.id}", direction="out"))
    days.truth("X-SIGNOUT", job.permit, job.accepted)
    return True


def sos(days: Days, job: Job) -> bool:
    at = _mid(days, job)
    days.say(at, "tags", TagSaid(at=at, u=0, worker=job.workers[0], what="sos"))
    days.say(at + 3 * MINUTE, "tags", TagSaid(at=at + 3 * MINUTE, u=0, worker=job.workers[0], what="sos", over=True))
    days.truth("X-SOS", job.workers[0], at)
    return True


def still(days: Days, job: Job) -> bool:
    at = _mid(days, job)
    days.say(at, "tags", TagSaid(at=at, u=0, worker=job.workers[1], what="still"))
    days.say(at + 8 * MINUTE, "tags", TagSaid(at=at + 8 * MINUTE, u=0, worker=job.workers[1], what="still", over=True))
    days.truth("X-STILL", job.workers[1], at + 5 * MINUTE)
    return True


def contractor_red(days: Days, job: Job) -> bool:
    name, at = f"CT-{job.permit}", job.requested - HOUR
    days.say(at, "hr", Contractor(at=at, u=0, contractor=name, papers={"insurance": "void", "medical": "2031-01-01", "qualification": "2031-01-01"}))
    job.extra["contractor"] = name
    days.truth("X-CONTR", job.permit, job.requested)
    return True


# ---- neighbours, weather, process, cameras --------------------------------------------------------------------------


def vent(days: Days, job: Job) -> bool:
    if job.type not in HOT:
        return False
    at, name = _mid(days, job), f"V-{job.permit}"
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
    at, name = _mid(days, job), f"BV-{job.permit}"
    for when, state in ((job.requested + MINUTE, "applied"), (job.requested + 2 * MINUTE, "verified"), (at, "removed"), (at + 5 * MINUTE, "applied")):
        days.say(when, "ptw", Isolation(at=when, u=0, permit=job.permit, isolation=name, state=state))  # type: ignore[arg-type]
    days.truth("X-DCS-OPEN", job.permit, at)
    return True


def _camera(behaviour: str, code: str, dwell: int) -> Quirk:
    def spoil(days: Days, job: Job) -> bool:
        at = _mid(days, job)
        for k in range(6):
            days.say(at + k * SECOND, "cameras", Detection(at=at + k * SECOND, u=0, camera=job.point.cameras[0], behaviour=behaviour, confidence=0.95, point=job.point.id))
        days.truth(code, job.permit, at + dwell * SECOND, 3 * SECOND)
        return True

    return spoil


def false_smoke(days: Days, job: Job) -> bool:
    """Steam seen for one frame: nothing may come of it."""
    at = _mid(days, job)
    days.say(at, "cameras", Detection(at=at, u=0, camera=job.point.cameras[0], behaviour="smoke", confidence=0.9, point=job.point.id))
    return True


# ---- nasty data -----------------------------------------------------------------------------------------------------


def silent(days: Days, job: Job) -> bool:
    if job.type not in ("02", "03"):
        return False
    at = (_mid(days, job) - days.start - 5 * SECOND) // BEAT * BEAT + days.start + 5 * SECOND
    days.levels.setdefault(job.tag, []).append((at, at + 14 * MINUTE, None, 0.0))
    days.truth("DQ-SILENT", job.tag, at - BEAT + 10 * MINUTE, BEAT + SLOW)
    return True


def unit_flip(days: Days, job: Job) -> bool:
    channel = days.atlas.channels[job.tag]
    if channel.kind != "combustible" or channel.high is None:
        return False
    at = _mid(days, job)
    days.levels.setdefault(job.tag, []).append((at, at + 2 * MINUTE, 450.0, 450.0))
    days.truth("DQ-RANGE", job.tag, at, SLOW, (f"X-GAS-GAP@{job.permit}",))
    return True


def camera_clock(days: Days, job: Job) -> bool:
    at = _mid(days, job)
    device = f"CLK-{job.permit}"
    days.say(at, "operator", ClockSaid(at=at, u=0, device=device, offset=9_000, residual=200))
    days.say(at + HOUR, "operator", ClockSaid(at=at + HOUR, u=0, device=device, offset=100, residual=200))
    days.truth("DQ-CLOCK", device, at)
    return True


def uncalibrated(days: Days, job: Job) -> bool:
    if job.type not in NEEDS_GAS or job.sampled is None:
        return False
    device, day = f"GT-{job.permit}", datetime.fromtimestamp(job.sampled / 1000, days.zone).date()
    days.say(job.requested - HOUR, "operator", DeviceSaid(at=job.requested - HOUR, u=0, device=device, calibrated_to=str(day - timedelta(days=2))))
    at, job.sampled = job.sampled, None
    days.say(at, "ptw", GasTest(at=at, u=0, permit=job.permit, results=PASS, device=device))
    days.truth("DQ-CAL", job.permit, at, also=("GAS-NONE", "GAS-2H", "X-T1"))
    return True


def late_push(days: Days, job: Job) -> bool:
    at = _mid(days, job)
    days.say(at, f"late-{job.permit}", Scan(at=at, u=0, worker=f"Z-{job.permit}", door=f"GATE-{job.point.area}"), late=25 * MINUTE)
    days.truth("DQ-LATE", f"late-{job.permit}", at + 25 * MINUTE)
    return True


# ---- whole days -----------------------------------------------------------------------------------------------------


def _at_work(job: Job) -> list[tuple[int, int]]:
    """The spans of its work, without the interruption of `gas_interrupt`."""
    if job.quirk == "gas_interrupt":
        at = job.started + 10 * MINUTE
        return [(job.started, at), (at + 70 * MINUTE, job.finished)]
    return [(job.started, job.finished)]


def gale(days: Days, day: int) -> None:
    """A gust front in the late morning: who works in the open must stop."""
    moments = range(days.local(day, 0) + MINUTE, days.local(day, 24) - MINUTE, 5 * MINUTE)
    blowing = [at for at in moments if days.local(day, 10.5) <= at < days.local(day, 10.75)]
    for at in moments:
        days.say(at, "weather", Weather(at=at, u=0, station="WS-1", wind_mean=9.4 if at in blowing else 4.0))
    since, until = blowing[0], blowing[-1] + 5 * MINUTE
    for job in days.jobs:
        span = next(((a, b) for a, b in _at_work(job) if a < until and b > since), None)
        if job.type in HOT | HEIGHT and span:
            days.truth("X-WIND", job.permit, max(since, span[0]))


def lightning(days: Days, day: int) -> None:
    """A yellow warning for forty minutes."""
    at = days.local(day, 13.5)
    days.say(at, "weather", OfficialWarning(at=at, u=0, hazard="lightning", colour="yellow", until=at + 40 * MINUTE))
    for job in days.jobs:
        span = next(((a, b) for a, b in _at_work(job) if a < at + 40 * MINUTE and b > at), None)
        if job.type in HEIGHT | LIFTING and span:
            days.truth("X-WX", job.permit, max(at, span[0]))


QUIRKS: dict[str, Quirk] = {
    "gas_over": gas_over, "gas_none": gas_none, "gas_stale": gas_stale, "gas_interrupt": gas_interrupt, "gas_record": gas_record, "gas_gap": gas_gap, "gas_typed": gas_typed,
    "guardian_away": guardian_away, "watch_cut": watch_cut, "video_off": video_off, "early": early, "no_ticket": no_ticket, "overrun": overrun, "closed_late": closed_late,
    "no_jsa": _without("jsa", "JSA-NONE"), "no_measures": _without("measures", "MEAS-NONE"), "no_briefing": _without("briefed", "BRIEF-NONE"), "blind_one": blind_one,
    "link_missing": link_missing, "offsite": offsite, "night": night, "rest_day": rest_day, "duplicate": duplicate, "cert_none": cert_none, "cert_mismatch": cert_mismatch,
    "cert_expired": cert_expired, "cert_short": cert_short, "leaver": leaver, "badge_no_permit": badge_no_permit, "not_signed_out": not_signed_out, "sos": sos, "still": still,
    "contractor_red": contractor_red, "vent": vent, "production": production, "isolation": isolation, "fire": _camera("fire", "X-FIRE", 0), "smoke": _camera("smoke", "X-SMOKE", 3),
    "fall": _camera("fall", "X-FALL", 3), "no_helmet": _camera("no_helmet", "X-PPE-HELMET", 2), "no_harness": _camera("no_harness", "X-PPE-HARNESS", 2), "false_smoke": false_smoke,
    "silent": silent, "unit_flip": unit_flip, "camera_clock": camera_clock, "uncalibrated": uncalibrated, "late_push": late_push,
}  # fmt: skip


def spoil(days: Days, share: float) -> None:
    """Lets a share of the jobs go wrong, each quirk in turn so that all are seen; then the weather."""
    names, i = list(QUIRKS), 0
    days.rng.shuffle(names)
    for job in days.jobs:
        if days.rng.random() >= share:
            continue
        for k in range(len(names)):
            name = names[(i + k) % len(names)]
            if QUIRKS[name](days, job):
                job.quirk = name
                names[(i + k) % len(names)], names[i % len(names)] = names[i % len(names)], name
                i += 1
                break
    for day in range(days.days):
        if day % 5 == 2:
            gale(days, day)
        if day % 5 == 4:
            lightning(days, day)
