"""Certificates and accounts: held, of the right trade, in date, warned of in time; leavers and sleepers; the register against ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise

from msgspec.structs import replace

from streams.course import Course
from streams.events import Authorisation, Certificate, HrChange, Registry
from streams.rules.gas import GB, SUSPEND
from streams.rules.permit import OURS
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, wake_at
from streams.times import EVER, HOUR
from streams.words import FOREVER, day_of, folded
from streams.work import Fact

CAUSES: frozenset[Cause] = frozenset({"permit", "roster", "seen"})
FREEZE = "authorization.freeze"


def papers(known: Known, worker: str) -> list[tuple[Fact, Certificate]]:
    """A worker's certificates as they were told last: a number that is told again is corrected by it."""
    person = known.site.people.get(worker)
    said = [(f, f.event) for f in person.certificates if isinstance(f.event, Certificate)] if person else []
    if any(f.ahead for f, _ in said):
        said.sort(key=lambda one: known.site.holds(one[0], danger=one[1].status not in ("", "valid")))
    return list({(folded(c.number), c.trade): (f, c) for f, c in said}.values())


def held(known: Known, worker: str) -> list[tuple[Fact, Certificate]]:
    """A worker's certificates that are not revoked and whose end is known."""
    return [(f, c) for f, c in papers(known, worker) if c.status != "revoked" and last_day(c)]


def lasts(known: Known, fact: Fact, certificate: Certificate) -> int:
    """Until when (ms) a certificate is good: its end, or when it was said that it is not."""
    ends = ends_at(known, certificate)
    return ends if certificate.status in ("", "valid") else min(ends, known.site.counts(fact))


def lasting(known: Known, worker: str, trade: str) -> tuple[Fact, Certificate] | None:
    """The certificate of a trade that is, or was, good for longest; None where no end of any is known."""
    mine = [(f, c) for f, c in papers(known, worker) if c.trade == trade and last_day(c)]
    return max(mine, key=lambda pair: (lasts(known, *pair), pair[0].order), default=None)


def last_day(certificate: Certificate) -> date | None:
    """The last valid local day; FOREVER where there is no end, None where it cannot be read."""
    return day_of(certificate.valid_to) if certificate.valid_to else None


def ends_at(known: Known, certificate: Certificate) -> int:
    """When a certificate ends (ms); never, where it has no end."""
    last = last_day(certificate)
    return EVER if last is None or last == FOREVER else known.midnight(last + timedelta(days=1))


def best(known: Known, worker: str, trade: str) -> tuple[Fact, Certificate] | None:
    """The certificate of a trade that lasts longest."""
    mine = [(f, c) for f, c in held(known, worker) if c.trade == trade]
    return max(mine, key=lambda pair: (pair[1].valid_to, pair[0].order), default=None)


def asked_of(known: Known, course: Course) -> Iterator[tuple[str, str]]:
    """(worker, trade) for everybody who works under a permit whose type asks for a certificate."""
    trades = known.terms_of(course).pack.trades.get(course.type, [])
    for worker in course.request.workers if course.request else ():
        yield from ((worker, trade) for trade in trades)


def _due(course: Course) -> tuple[int, str] | None:
    moments = [(m.at, ref) for m, ref in ((course.issued, course.issued_ref), (course.started, course.started_ref)) if m]
    return min(moments) if moments else None


def _finding(course: Course, start: int, evidence: tuple[str, ...], numbers: dict[str, str], end: int | None, worker: str) -> Finding:
    requests = ((SUSPEND, course.permit), (FREEZE, worker))
    return Finding(start, evidence, end if end is not None else course.over_at, numbers=numbers, permit=course.permit, requests=requests)


def judge_none(known: Known, permit: str) -> Judged:
    """CERT-NONE: somebody on the roster works under a permit whose type asks for a certificate, and holds none at all."""
    course = known.course(permit)
    due = _due(course)
    if due is None:
        return NOTHING
    found = []
    for worker, trade in asked_of(known, course):
        person = known.site.people.get(worker)
        if person and person.listed and not person.certificates:
            found.append(_finding(course, due[0], (due[1], person.listed[0].ref), {"permit": permit, "worker": worker, "trade": trade}, None, worker))
    return Judged(tuple(found))


def judge_mismatch(known: Known, permit: str) -> Judged:
    """CERT-MISM: the certificates held are of other trades than the work asks for."""
    course = known.course(permit)
    due = _due(course)
    if due is None:
        return NOTHING
    found = []
    for worker, trade in asked_of(known, course):
        mine = held(known, worker)
        if mine and best(known, worker, trade) is None:
            numbers = {"permit": permit, "worker": worker, "trade": trade, "held": ", ".join(sorted({c.trade for _, c in mine}))}
            found.append(_finding(course, due[0], (due[1], mine[0][0].ref), numbers, None, worker))
    return Judged(tuple(found))


def judge_expiry(known: Known, permit: str) -> Judged:
    """CERT-EXP: the certificate that the work asks for runs out (at local midnight) or is taken away while the permit is open, or had been when it was signed off."""
    course = known.course(permit)
    due = _due(course)
    if due is None:
        return NOTHING
    found: list[Finding] = []
    wakes: list[int | None] = []
    for worker, trade in asked_of(known, course):
        mine = lasting(known, worker, trade)
        if mine is None:
            continue
        ends = lasts(known, *mine)
        start, over = max(ends, due[0]), course.over_at
        if over is not None and over <= start:
            continue
        if known.now < start:
            wakes.append(start if ends < EVER else None)
            continue
        numbers = {"permit": permit, "worker": worker, "trade": trade, "number": mine[1].number, "valid_to": mine[1].valid_to}
        taken = ends < ends_at(known, mine[1])
        numbers |= {"at": known.clock(ends), "status": mine[1].status} if taken else {}
        found.append(replace(_finding(course, start, (mine[0].ref, due[1]), numbers, None, worker), variant="taken" if taken else "permit"))
    return Judged(tuple(found), wake_at(*wakes))


def judge_short(known: Known, permit: str) -> Judged:
    """X-CERT-SHORT: at sign-off no more than 30 days of a certificate remain (002-09 asks for more)."""
    course = known.course(permit)
    if course.issued is None:
        return NOTHING
    found = []
    day, least = known.day(course.issued.at), known.terms_of(course).limits["cert_short"] / 86_400_000
    for worker, trade in asked_of(known, course):
        mine = best(known, worker, trade)
        left = ((last_day(mine[1]) or FOREVER) - day).days if mine else None
        if mine and left is not None and 0 <= left <= least:
            numbers = {"permit": permit, "worker": worker, "trade": trade, "number": mine[1].number, "valid_to": mine[1].valid_to, "left": str(left), "limit": f"{least:g}"}
            found.append(Finding(course.issued.at, (mine[0].ref, course.issued_ref), course.over_at, numbers=numbers, permit=permit))
    return Judged(tuple(found))


def judge_warning(known: Known, worker: str) -> Judged:
    """X-CERT-WARN: one warning for each tier of each certificate, on the local day that it falls on."""
    found: list[Finding] = []
    wakes: list[int | None] = []
    for fact, certificate in held(known, worker):
        if best(known, worker, certificate.trade) != (fact, certificate):
            continue
        last = last_day(certificate)
        if last is None or last == FOREVER:
            continue
        for tier in known.terms_now().warn_days(certificate.trade):
            start, end = known.midnight(last - timedelta(days=tier)), known.midnight(last - timedelta(days=tier - 1))
            if known.now < start:
                wakes.append(start)
            elif known.now < end + 72 * HOUR and end > known.site.began - 24 * HOUR:
                numbers = {"worker": worker, "trade": certificate.trade, "number": certificate.number, "valid_to": certificate.valid_to, "left": str(tier)}
                found.append(Finding(start, (fact.ref,), end if known.now >= end else None, numbers=numbers))
                wakes.append(end if known.now < end else None)
    return Judged(tuple(found), wake_at(*wakes))


def judge_contradiction(known: Known, worker: str) -> Judged:
    """X-CERT-CONTRA: the register says valid, the date says not."""
    found: list[Finding] = []
    wakes: list[int | None] = []
    for fact, certificate in held(known, worker):
        if certificate.status != "valid":
            continue
        ends = ends_at(known, certificate)
        if known.now < ends:
            wakes.append(ends if ends < EVER else None)
            continue
        start = max(ends, certificate.at)
        numbers = {"worker": worker, "number": certificate.number, "valid_to": certificate.valid_to}
        found.append(Finding(start, (fact.ref,), numbers=numbers, requests=((FREEZE, worker),)))
    return Judged(tuple(found), wake_at(*wakes))


def left_at(known: Known, worker: str) -> tuple[int, str] | None:
    """When HR said last that a worker left, if he has not joined since."""
    person = known.site.people.get(worker)
    changes = ((f, f.event.change == "left") for f in (person.hr if person else ()) if isinstance(f.event, HrChange) and f.event.change != "moved")
    last = known.site.stands(changes, EVER)
    return (known.site.counts(last), last.ref) if last else None


def judge_leaver(known: Known, worker: str) -> Judged:
    """X-LEAVER: HR says that he left, and ten minutes later his account is still on."""
    left = left_at(known, worker)
    if left is None:
        return NOTHING
    person, due = known.site.people[worker], left[0] + known.terms_now().ms["leaver_grace"]
    switched = sorted((known.site.counts(f, not f.event.active), not f.event.active, f.ref) for f in person.authorisations if isinstance(f.event, Authorisation))
    on: list[tuple[int, int | None, str]] = [(due, None, left[1])]
    for at, off, ref in switched:
        if off and on[-1][1] is None:
            on[-1] = (on[-1][0], max(on[-1][0], at), on[-1][2])
        elif not off and on[-1][1] is not None:
            on.append((max(at, due), None, ref))
    numbers = {"worker": worker, "left": known.clock(left[0])}
    found = [Finding(since, (left[1], *(() if ref == left[1] else (ref,))), until, numbers=numbers, requests=((FREEZE, worker),)) for since, until, ref in on if since <= known.now and until != since]
    return Judged(tuple(found), wake_at(*(since for since, *_ in on if since > known.now)))


def judge_dormant(known: Known, worker: str) -> Judged:
    """X-DORMANT: an account is used that had not been for months."""
    active = known.site.people[worker].active if worker in known.site.people else []
    limit = known.terms_now().limits["dormant"] / 86_400_000
    found: list[Finding] = []
    wakes: list[int | None] = []
    for before, day in pairwise(active):
        if day - before > limit:
            start, end = known.midnight(date.fromordinal(day)), known.midnight(date.fromordinal(day + 1))
            wakes.append(end if known.now < end else None)
            numbers = {"worker": worker, "days": str(day - before), "limit": f"{limit:g}"}
            person = known.site.people[worker]
            told = [(f.event.at, known.site.counts(f), f.ref) for f in (*person.scans, *person.listed)] + [(at, at, ref) for at, _, ref in known.site.signed.get(worker, ())]
            used = min(((since, ref) for at, since, ref in told if known.day(at).toordinal() == day), default=None)
            start, ref = (max(start, used[0]), used[1]) if used else (start, next((f.ref for f in person.listed), worker))
            found.append(Finding(start, (ref,), end if known.now >= end else None, numbers=numbers, requests=((FREEZE, worker),)))
    return Judged(tuple(found), wake_at(*wakes))


def valid_here(known: Known, at: int) -> int:
    """How many certificates are valid by our own roster on a local day."""
    day = str(known.day(at))
    return sum(c.valid_to >= day and c.at <= at for worker in known.site.people for _, c in held(known, worker))


def judge_drift(known: Known, site: str) -> Judged:
    """X-REG-DRIFT: an official register counts more than two valid certificates more, or fewer, than we do (000-30)."""
    found: list[Finding] = []
    for fact in known.site.registries:
        said = fact.event
        if not isinstance(said, Registry):
            continue
        ours = valid_here(known, said.at)
        off = abs(ours - said.valid) > known.terms_at(said.at)["registry_drift"]
        if off and (not found or found[-1].end is not None):
            numbers = {"authority": said.authority, "theirs": said.valid, "ours": ours, "delta": abs(ours - said.valid)}
            found.append(Finding(said.at, (fact.ref,), numbers=numbers))
        elif not off and found and found[-1].end is None:
            found[-1] = replace(found[-1], end=said.at)
    return Judged(tuple(found))


WORKER: frozenset[Cause] = frozenset({"roster"})
RULES = (
    Rule("CERT-NONE", "permit", 2, CAUSES, judge_none, "4.9; AQ 3064.2 A.4 50", GB, "A", "50", ("R-CERT",), apart=("worker", "trade")),
    Rule("CERT-EXP", "permit", 2, CAUSES, judge_expiry, "4.9; AQ 3064.2 A.4 51", GB, "A", "51", ("S12",), apart=("worker", "trade")),
    Rule("CERT-MISM", "permit", 2, CAUSES, judge_mismatch, "4.9; AQ 3064.2 A.4 52", GB, "A", "52", ("S14",), apart=("worker", "trade")),
    Rule("X-CERT-SHORT", "permit", 3, CAUSES, judge_short, "rule of the site", OURS, "C", "", ("S12",), apart=("worker", "trade"), takes=("cert_short",)),
    Rule("X-CERT-WARN", "worker", 4, WORKER, judge_warning, "rule of the site", OURS, "C", "", ("S13",), apart=("number", "left")),
    Rule("X-CERT-CONTRA", "worker", 2, WORKER, judge_contradiction, "4.9", GB, "C", "", ("R-CERT",), apart=("number",)),
    Rule("X-LEAVER", "worker", 2, WORKER, judge_leaver, "rule of the site", OURS, "C", "", ("S15",), takes=("leaver_grace",)),
    Rule("X-DORMANT", "worker", 2, WORKER | {"scan"}, judge_dormant, "rule of the site", OURS, "C", "", ("S16",), takes=("dormant",)),
    Rule("X-REG-DRIFT", "site", 3, frozenset({"roster"}), judge_drift, "rule of the site", OURS, "C", "", ("S17",), apart=("authority",), takes=("registry_drift",)),
)
