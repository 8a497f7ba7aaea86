"""People and contractors: codes that allow or stop work, a person's state explained, skills that have gone stale, tests that look made up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from streams.course import Course
from streams.events import Contractor, GasTest, Record
from streams.plain import UNTOLD_PAPER
from streams.rules.permit import OURS
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, wake_at
from streams.times import DAY, HOUR
from streams.words import FOREVER, day_of
from streams.work import Fact, Person


def colour(known: Known, contractor: str, at: int) -> tuple[str, list[str]]:
    """(green, yellow or red; what is wrong) for a contractor (001-10): all papers, each as it was told last, one missing, two missing or any expired or void."""
    said = [fact.event for since, fact in _told(known, contractor) if since <= at]
    if not said:
        return "grey", ["unknown"]
    today, missing, void, unread = str(known.day(at)), [], [], []
    papers = {name: paper for event in said if isinstance(event, Contractor) for name, paper in event.papers.items()}
    for name, paper in sorted(papers.items()):
        if paper == "missing":
            missing.append(name)
        elif paper == UNTOLD_PAPER:
            unread.append(name)
        elif paper == "void" or paper < today:
            void.append(name)
    if void or len(missing) >= 2:
        return "red", [*void, *missing]
    return ("yellow", missing + unread) if missing or unread else ("green", [])


def _told(known: Known, contractor: str) -> list[tuple[int, Fact]]:
    """(since, fact) of all that was said of a contractor's papers; that all of them are there takes a danger away."""
    said = [(f, f.event.papers.values()) for f in known.site.contractors.get(contractor, ()) if isinstance(f.event, Contractor)]
    bad = {f.ref: bool({"missing", "void", UNTOLD_PAPER} & set(papers)) for f, papers in said}
    return sorted(((known.site.counts(f, relief=not bad[f.ref]), f) for f, _ in said), key=lambda told: (known.site.holds(told[1], bad[told[1].ref]) if told[1].ahead else told[0], told[1].event.at))


def judge_contractor(known: Known, contractor: str) -> Judged:
    """X-CONTR: a contractor whose code is red has an open permit."""
    if not contractor:
        return NOTHING
    works = [c for p in sorted(known.site.works) if (c := known.course(p)).request and c.request and c.request.contractor == contractor]
    said = _told(known, contractor)
    days = [day for _, fact in said for day in runs_out(known, fact)]
    found, changes = [], [*(since for since, _ in said), *(day for day in days if day <= known.now)]
    for course in works:
        assert course.request is not None
        moments = sorted({course.request.at, *(m for m in changes if course.request.at <= m and (course.over_at is None or m < course.over_at))})
        told = [(m, colour(known, contractor, m)) for m in moments]
        for i, (red, (code, papers)) in enumerate(told):
            if code != "red" or (i and told[i - 1][1][0] == "red"):
                continue
            good = next((m for m, (later, _) in told[i:] if later != "red"), course.over_at)
            ref = [f for since, f in said if since <= red][-1].ref
            numbers = {"contractor": contractor, "permit": course.permit, "papers": ", ".join(papers)}
            found.append(Finding(red, (ref, course.request_ref), good, numbers=numbers, permit=course.permit, requests=(("access.deny", contractor),)))
    return Judged(tuple(sorted(found, key=lambda f: (f.start, f.permit))), wake_at(*(day for day in days if day > known.now)) if any(c.over_at is None for c in works) else None)


def runs_out(known: Known, fact: Fact) -> Iterator[int]:
    """The local midnights after which a paper of a contractor, as it was said then, is void."""
    for paper in fact.event.papers.values() if isinstance(fact.event, Contractor) else ():
        day = day_of(paper) if paper else None
        if day is not None and day != FOREVER:
            yield known.midnight(day + timedelta(days=1))


def state(known: Known, worker: str, at: int) -> tuple[float, dict[str, float]]:
    """(0–100, its parts): 40·overtime of the month + 40·violations of the window, each as a share of the pack's figure, + 20·EAP, the rest rescaled while the EAP says nothing (004-16)."""
    person = known.site.people.get(worker)
    records = [f.event for f in person.records if isinstance(f.event, Record) and f.event.at <= at] if person else []
    month, terms = str(known.day(at))[:7], known.terms_now()
    overtime = sum(r.value for r in records if r.what == "overtime" and str(known.day(r.at))[:7] == month)
    violations = sum(r.value for r in records if r.what == "violation" and r.at > at - terms.ms["violations_window"])
    eap = next((r.value for r in reversed(records) if r.what == "eap"), None)
    parts = {"overtime": 40 * min(1.0, overtime * HOUR / terms.ms["overtime_month"]), "violations": 40 * min(1.0, violations / terms["violations_most"])}
    if eap is not None:
        return sum(parts.values()) + 20 * min(1.0, eap), parts | {"eap": 20 * min(1.0, eap)}
    parts = {k: v * 1.25 for k, v in parts.items()}
    return sum(parts.values()), parts


def judge_state(known: Known, worker: str) -> Judged:
    """X-PERSON: the index of a person named on an open permit is high; a human decides, nothing happens by itself."""
    person = known.site.people.get(worker)
    if person is None or not person.records:
        return NOTHING
    found: list[Finding] = []
    jobs = [c for p in known.site.named.get(worker, ()) if (c := known.course(p)).request]
    for job in sorted(jobs, key=lambda c: (c.request.at if c.request else 0, c.permit)):
        high = _high(known, person, worker, job)
        if high is not None and not any(f.end is None or f.end >= high for f in found):
            found.append(_strained(known, person, worker, job, high))
    return Judged(tuple(found))


def _high(known: Known, person: Person, worker: str, job: Course) -> int | None:
    """When a person's index is first too high while a permit that names him is open."""
    since, until = job.request.at if job.request else 0, job.over_at
    moments = sorted({since, *(f.event.at for f in person.records if f.event.at >= since)})
    return next((m for m in moments if (until is None or m < until) and state(known, worker, m)[0] > known.terms_now()["person_score"]), None)


def _strained(known: Known, person: Person, worker: str, job: Course, high: int) -> Finding:
    score, parts = state(known, worker, high)
    numbers = {"worker": worker, "score": f"{score:.0f}", "limit": f"{known.terms_now()['person_score']:g}", "permit": job.permit, "parts": ", ".join(f"{k} {v:.0f}" for k, v in parts.items())}
    refs = tuple(f.ref for f in person.records if f.event.at <= high)[-6:]
    return Finding(high, (*refs, job.request_ref), job.over_at, numbers=numbers, permit=job.permit, requests=(("training.request", worker),))


def judge_skill(known: Known, worker: str) -> Judged:
    """X-SKILL-STALE: asked to work in a trade that he has not practised for years (003-17)."""
    person = known.site.people.get(worker)
    if person is None:
        return NOTHING
    found, stale = [], known.terms_now().ms["skill_stale"]
    for permit in known.site.named.get(worker, ()):
        course = known.course(permit)
        for trade in known.terms_of(course).pack.trades.get(course.type, ()):
            practised = [f.event.at for f in person.records if isinstance(f.event, Record) and f.event.what == "practice" and f.event.trade == trade]
            if course.request and worker in course.request.workers and practised and course.request.at - max(practised) > stale:
                days = (course.request.at - max(practised)) // DAY
                numbers = {"worker": worker, "trade": trade, "days": str(days), "permit": permit}
                found.append(Finding(course.request.at, (course.request_ref,), course.over_at, numbers=numbers, permit=permit, requests=(("training.request", worker),)))
    return Judged(tuple(sorted(found, key=lambda f: (f.start, f.permit))))


def judge_round(known: Known, analyst: str) -> Judged:
    """X-FRAUD-ROUND: an analyst's last typed tests all say the same numbers."""
    typed = [(f, f.event) for f in known.site.analysts.get(analyst, ()) if isinstance(f.event, GasTest)]
    found, most = list[Finding](), int(known.terms_now()["round_count"])
    run: list[tuple[str, int]] = []
    same: object = None
    for fact, test in typed:
        said = tuple((r.gas, r.value) for r in test.results)
        run = [*run, (fact.ref, test.at)] if said == same and said else [(fact.ref, test.at)]
        same = said
        if len(run) == most:
            numbers = {"worker": analyst, "count": most, "values": ", ".join(f"{gas} {value:g}" for gas, value in said if value is not None)}
            found.append(Finding(test.at, tuple(r for r, _ in run), test.at, numbers=numbers, permit=test.permit))
    return Judged(tuple(found))


def judge_typed(known: Known, permit: str) -> Judged:
    """X-FRAUD-TYPED: a typed gas test came in long after its sampling time, and only after the permit was approved."""
    course, found = known.course(permit), []
    for fact in known.work(permit).all("permit.gas_test"):
        test = fact.event
        if fact.ref not in known.work(permit).carried and isinstance(test, GasTest) and test.method == "manual" and course.issued and test.at <= course.issued.at < fact.seen and fact.seen - test.at > known.terms_at(test.at).ms["typed_late"]:
            numbers = {"permit": permit, "sampled": known.clock(test.at), "typed": known.clock(fact.seen), "issued": known.clock(course.issued.at), "analyst": test.analyst or "—"}
            found.append(Finding(fact.seen, (fact.ref, course.issued_ref), course.over_at, numbers=numbers, permit=permit))
    return Judged(tuple(found))


WORKER: frozenset[Cause] = frozenset({"roster", "permit"})
RULES = (
    Rule("X-CONTR", "contractor", 2, frozenset({"roster", "permit"}), judge_contractor, "rule of the site (000-27, 001-10)", OURS, "C", "", ("R-CONTR",), apart=("permit",)),
    Rule("X-PERSON", "worker", 3, WORKER, judge_state, "rule of the site (004-16)", OURS, "C", "", ("R-PERSON",), apart=("permit",), takes=("overtime_month", "person_score", "violations_most", "violations_window"), others=True),
    Rule("X-SKILL-STALE", "worker", 4, WORKER, judge_skill, "rule of the site (003-17)", OURS, "C", "", ("R-PERSON",), apart=("trade", "permit"), takes=("skill_stale",), others=True),
    Rule("X-FRAUD-ROUND", "worker", 3, frozenset({"evidence"}), judge_round, "double random check (002-22)", OURS, "C", "", ("R-FRAUD",), apart=("values",), takes=("round_count",), others=True),
    Rule("X-FRAUD-TYPED", "permit", 3, frozenset({"permit", "tested"}), judge_typed, "double random check (002-22)", OURS, "C", "", ("R-FRAUD",), apart=("sampled",), takes=("typed_late",)),
)
