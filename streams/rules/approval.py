"""Approval: on the spot, in time, and not by rubber stamp."""

from __future__ import annotations

import math
from collections import Counter

from streams.course import Course
from streams.rules.gas import AQ, GB
from streams.rules.permit import OURS
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, minutes
from streams.times import HOUR, Truth

CAUSES: frozenset[Cause] = frozenset({"permit", "guard", "clock"})


def signed_on_site(known: Known, course: Course) -> Truth:
    """T8: the signer's position at Ta against the point's fence, allowing two sigma; no fix within ten minutes is not known."""
    away, acc = signer_away(known, course)
    if away is None or course.point is None:
        return Truth.UNKNOWN
    if away + 2 * acc <= course.point.radius:
        return Truth.TRUE
    return Truth.FALSE if away - 2 * acc > course.point.radius else Truth.UNKNOWN


def signer_away(known: Known, course: Course) -> tuple[float | None, float]:
    """(metres from the point when it was signed, 1-sigma error), as the signature itself or the signer's tag says."""
    work, step = known.work(course.permit), course.approval
    if course.point is None or step is None:
        return None, 0.0
    if step.x is not None and step.y is not None:
        place = (step.x, step.y, step.z if step.z is not None else course.point.z)
        return math.dist(place, (course.point.x, course.point.y, course.point.z)), step.acc or 0.0
    if work.signing and work.signing.apart <= known.terms_of(course).ms["signer_away"]:
        return work.signing.away, work.signing.acc
    return None, 0.0


def judge_offsite(known: Known, permit: str) -> Judged:
    """APPR-OFFSITE: surely signed away from the work point."""
    course = known.course(permit)
    if course.issued is None or signed_on_site(known, course) is not Truth.FALSE:
        return NOTHING
    away, _ = signer_away(known, course)
    by = course.approval.by if course.approval else "—"
    numbers = {"permit": permit, "by": by or "—", "away": _metres(away or 0), "radius": f"{course.point.radius:g} m" if course.point else "—", "at": known.clock(course.issued.at)}
    return Judged((Finding(course.issued.at, (course.issued_ref,), course.over_at, numbers=numbers, permit=permit, requests=(("permit.block", permit),)),))


def _metres(distance: float) -> str:
    return f"{distance / 1000:.1f} km" if distance >= 1000 else f"{distance:.0f} m"


def judge_late(known: Known, permit: str) -> Judged:
    """X-APPR-LATE: asked for, the planned start is past, and nobody has approved or rejected it for hours."""
    course = known.course(permit)
    if course.request is None:
        return NOTHING
    wait = known.terms_now().ms["approval_wait"]
    due = max(course.request.at + wait, course.request.planned_start or course.request.valid_from)
    end = course.issued.at if course.issued else course.over_at
    if end is not None and end <= due:
        return NOTHING
    if known.now <= due:
        return Judged(wake=due + 1)
    numbers = {"permit": permit, "asked": known.clock(course.request.at), "hours": f"{wait / HOUR:g}"}
    return Judged((Finding(due, (course.request_ref,), end, numbers=numbers, permit=permit),))


def judge_rubber(known: Known, worker: str) -> Judged:
    """X-APPR-RUBBER: one person approved many jobs in a burst; linked permits of one job count once."""
    signed = known.site.signed.get(worker, [])
    terms = known.terms_now()
    most, window = int(terms["rubber_count"]), terms.ms["rubber_window"]
    if len(signed) < most:
        return NOTHING
    bursts: list[tuple[int, int, int]] = []
    first, named, jobs = 0, [_job(known, p) for _, p, _ in signed], Counter[str]()
    for i, (at, _, _) in enumerate(signed):
        jobs[named[i]] += 1
        while signed[first][0] < at - window:
            jobs[named[first]] -= 1
            if not jobs[named[first]]:
                del jobs[named[first]]
            first += 1
        if len(jobs) >= most:
            if bursts and signed[bursts[-1][2]][0] >= signed[first][0]:
                bursts[-1] = (*bursts[-1][:2], i)
            else:
                bursts.append((first, i, i))
    return Judged(tuple(_burst(known, worker, signed[a : b + 1], signed[many][0]) for a, many, b in bursts))


def _burst(known: Known, worker: str, signed: list[tuple[int, str, str]], many: int) -> Finding:
    """A run of approvals; it is one from the one on that made it so many jobs."""
    first, last, terms = signed[0][0], signed[-1][0], known.terms_now()
    numbers = {"worker": worker, "count": len(signed), "span": minutes(last - first), "since": known.clock(first), "first": first,
               "most": int(terms["rubber_count"]), "window": minutes(terms.ms["rubber_window"])}  # fmt: skip
    return Finding(many, tuple(ref for _, _, ref in signed[:40]), last, numbers=numbers)


def _job(known: Known, permit: str) -> str:
    """What several linked permits have in common: the job, or the first of those that name each other."""
    if permit not in known.site.works or (request := known.course(permit).request) is None:
        return permit
    return f"job {request.job}" if request.job else min([permit, *request.linked])


RULES = (
    Rule("APPR-OFFSITE", "permit", 3, CAUSES, judge_offsite, "4.11 a); AQ 3064.2 5.5.2", GB, "A", "30", ("S58",), takes=("signer_away",)),
    Rule("X-APPR-LATE", "permit", 4, CAUSES, judge_late, "5.9.9", AQ, "A", "", ("R-APPR",), takes=("approval_wait",)),
    Rule("X-APPR-RUBBER", "worker", 3, frozenset({"evidence"}), judge_rubber, "our figure", OURS, "C", "", ("S59",), takes=("rubber_count", "rubber_window",), others=True),
)
