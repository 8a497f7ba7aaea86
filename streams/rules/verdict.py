"""The verdict on one permit: T1…T9 of `domain.md` 2.8 on intervals, its barriers, and the light that a crew leader sees."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from streams.course import Course, Pause
from streams.events import GasTest
from streams.gases import limit_of
from streams.outputs import Check
from streams.rules.approval import signed_on_site
from streams.rules.gas import fresh, record_gaps, retested, slept, tested_today
from streams.rules.guardian import absences, current, gone_in, present
from streams.rules.instruments import frozen_since
from streams.rules.limits import CONFINED, RETEST
from streams.rules.permit import allowed, approved_first, valid_until
from streams.rules.readings import gas_tags, real, still, stream_gaps, unseen
from streams.rules.rule import Known, dated, minutes
from streams.rules.video import asks_full, cameras, covers, next_turn
from streams.texts import both
from streams.times import SECOND, Stamp, Truth, before, every, exactly

Ruled = tuple[str, Truth | None, dict[str, str]]


def checks(known: Known, course: Course) -> dict[str, Check]:
    """Each inequality that applies to this permit, and what is known of it."""
    signing = known.work(course.permit).signing
    kept = known.fixed.get(course.permit)
    if kept is None or kept[0] is not course or kept[1] is not signing:
        kept = known.fixed[course.permit] = (course, signing, _read(known, course, _fixed(known, course)))
    found = kept[2] | _read(known, course, _moving(known, course))
    return {name: found[name] for name in sorted(found)}


def _read(known: Known, course: Course, truths: Iterator[Ruled]) -> dict[str, Check]:
    day = known.day(course.request.valid_from if course.request else known.now)
    return {name: _check(name, truth, tuple(dated(numbers, day).items())) for name, truth, numbers in truths}


@lru_cache(maxsize=8192)
def _check(name: str, truth: Truth | None, numbers: tuple[tuple[str, str], ...]) -> Check:
    outcome = {None: "pending", Truth.TRUE: "consistent", Truth.FALSE: "violation", Truth.UNKNOWN: "indeterminate"}[truth]
    return Check(outcome, both(f"{name}.{outcome}", dict(numbers)))  # type: ignore[arg-type]


def _fixed(known: Known, course: Course) -> Iterator[Ruled]:
    """What rests on the dated facts of a permit, its signer's place and the clocks alone."""
    ta, ts = course.issued, course.begun
    tg = max((a.at for a in course.analyses if a.passed and (ts is None or a.at.at <= ts.at)), key=lambda s: s.at, default=None)
    clock = known.clock
    if course.needs_gas:
        yield "T1", (approved_first(course) if ta else None), {"tg": clock(tg.at if tg else None), "ta": clock(ta.at if ta else None)}
        yield "T2", _fresh(known, course), {"tg": clock(tg.at if tg else None), "ts": clock(ts.at if ts else None), "age": minutes(ts.at - tg.at) if ts and tg else "—", "limit": minutes(known.terms_of(course).ms["gas_fresh"])}
    yield "T3", (allowed(course) if ts else None), {"ta": clock(ta.at if ta else None), "ts": clock(ts.at if ts else None)}
    resumed = [p for p in course.pauses if p.until]
    if resumed and course.needs_gas:
        yield "T6", every(_taken_up(known, course, p) for p in resumed), {"pauses": str(len(resumed))}
    yield "T8", (signed_on_site(known, course) if ta else None), {"radius": f"{course.point.radius:g}" if course.point else "—"}
    yield "T9", *_clocks(known, course)


def _fresh(known: Known, course: Course) -> Truth | None:
    """T2 at the start; before it, at sign-off, that the planned start would surely be too late for it."""
    reference = course.begun or (None if course.ended or course.accepted else course.planned)
    if reference is None:
        return None
    found = fresh(course, reference, known.terms_of(course))
    return found if course.begun or found is Truth.FALSE else None


def _taken_up(known: Known, course: Course, pause: Pause) -> Truth:
    """T6 of one pause; one that contains local midnight asks for an analysis of the new day, however short it was."""
    again = retested(course, pause, known.terms_of(course))
    return again & tested_today(known, course, pause.until) if pause.until and slept(known, pause) and course.type in RETEST else again


def _moving(known: Known, course: Course) -> Iterator[Ruled]:
    """What streams and the hour have a say in."""
    ts, te = course.begun, course.stopped
    yield "T4", (_video(known, course) if ts else None), {}
    over = ts is not None and te is None and course.valid_to is not None and known.now > course.valid_to
    yield "T5", (_in_time(course, te) if ts and te else (Truth.FALSE if over else None)), {"te": known.clock(te.at if te else None), "valid_to": known.clock(course.valid_to)}
    if course.type == CONFINED:
        yield "T7", (_readings(known, course) if ts else None), {}


def _in_time(course: Course, te: Stamp) -> Truth:
    """T5 is held against the validity as declared; that a type may not be valid for so long is TICKET-OVER's."""
    return before(te, exactly(course.valid_to)) if course.valid_to is not None else Truth.UNKNOWN


def _video(known: Known, course: Course) -> Truth | None:
    truth = covers(known, course)
    return None if truth is not Truth.FALSE and course.stopped is None else truth


def _readings(known: Known, course: Course) -> Truth | None:
    if list(record_gaps(course, known.now, known.terms_of(course).ms["record_every"])) or stream_gaps(known, course):
        return Truth.FALSE
    if course.stopped is None:
        return None
    return Truth.TRUE if gas_tags(known, course) else Truth.UNKNOWN


def _clocks(known: Known, course: Course) -> tuple[Truth, dict[str, str]]:
    """T9: is every clock on which the permit rests within its limit? One that was compared and is off is corrected and named; it never enters the outcome."""
    off = {n: ms for n, ms, at in _rests_on(known, course) if abs(ms) > known.terms_at(at).ms["camera_clock_off" if course.point and n in course.point.cameras else "clock_off"]}
    said = ", ".join(f"{n} {ms / SECOND:+g} s" for n, ms in off.items())
    return Truth.FALSE if said else Truth.TRUE, {"off": said or "—"}


def _rests_on(known: Known, course: Course) -> Iterator[tuple[str, int, int]]:
    """(clock, by how much it was off, when; ms) of what a permit rests on: what watches its point at the start, its instruments when they sampled, its permit system at its steps, the doors of its space."""
    site, at, work = known.site, course.started.at if course.started else known.now, known.work(course.permit)
    yield from ((n, site.offset(n, at)[0], at) for n in (*(course.point.cameras if course.point else ()), *gas_tags(known, course)))
    said = [f for name in ("issued", "started", "finished") for f in work.all(name)]
    if course.type == CONFINED:
        doors = known.atlas.doors_of_point.get(course.point_id, set())
        said += [s for w in sorted(course.people) if (person := site.people.get(w)) for s in person.scans if s.event.door in doors]  # type: ignore[union-attr]
    tests = [(f.event.device, f) for f in work.all("permit.gas_test") if isinstance(f.event, GasTest) and f.event.device]
    yield from ((n, site.offset(n, f.event.at, f.seen)[0], f.event.at) for n, f in (*tests, *((f.source, f) for f in said)))
    yield from ((f.source, lead.shift, f.event.at) for f in said if (lead := site.leads.get(f.source)) and lead.shifted_at is not None)


def outcome(course: Course, found: dict[str, Check]) -> str:
    """violation > (pending while the permit is open) > indeterminate > consistent."""
    said = {c.outcome for name, c in found.items() if name != "T9"}
    if "violation" in said:
        return "violation"
    if not (course.accepted or course.ended):
        return "pending"
    if course.ended and course.started is None:
        return "consistent"
    return "indeterminate" if said & {"indeterminate", "pending"} else "consistent"


# ---- barriers and light ---------------------------------------------------------------------------------------------


def live_for(known: Known) -> int:
    """How long a good word holds, ms."""
    return known.terms_now().ms["watch_fresh"]


def barriers(known: Known, course: Course) -> dict[str, str]:
    """gas, guard, video, permit: ok, bad, unknown, or — where the type of work does not ask for it. Only while at work."""
    if not course.at_work():
        return {}
    found = {"permit": _permit(known, course), "guard": _guard(known, course), "video": _filming(known, course)}
    return found | ({"gas": _gas(known, course)} if course.needs_gas else {})


def _permit(known: Known, course: Course) -> str:
    until = valid_until(known, course)
    early = course.request is not None and known.now < course.request.valid_from
    return "bad" if course.issued is None or early or (until is not None and known.now > until) else "ok"


def _guard(known: Known, course: Course) -> str:
    now, fresh = known.now, live_for(known)
    away = (*absences(known, course), *gone_in(known, course))
    if any(until >= now for _, until, length, _ in away if length >= known.terms_of(course).ms["guardian_warn"]):
        return "bad"
    return "ok" if any(b >= now - fresh for _, b in present(known, course)) and current(course, now) else "unknown"


def _filming(known: Known, course: Course) -> str:
    heard, true = cameras(known, course), known.site.true
    since = [max((true(n, b) for _, b in c.on), default=0) for n, c in heard]
    until = [max((true(n, b) for _, b in c.off), default=0) for n, c in heard]
    fresh = live_for(known)
    if any(on >= known.now - fresh and on >= off for on, off in zip(since, until, strict=True)):
        return "ok"
    return "bad" if until and all(off >= known.now - fresh for off in until) else "unknown"


def _gas(known: Known, course: Course) -> str:
    tags, now, fresh = gas_tags(known, course), known.now, live_for(known)
    if any(still(known.site, t, series.over, now) for t, series in real(known, tags)):
        return "bad"
    silent = [t for t in tags if any(b >= now and b - a >= fresh for a, b in unseen(known.site, t, max(0, now - fresh), now))]
    held = all(limit_of(known.atlas.channels[t], known.terms_at(now)) is not None for t in tags)
    return "unknown" if not tags or silent or not held or any(frozen_since(known, t) for t in tags) else "ok"


def light(known: Known, course: Course, found: dict[str, str], priorities: list[int]) -> tuple[str, str, dict[str, str]]:
    """(colour, reason's key, its numbers) for one job, as 000-37 defines it."""
    if priorities and min(priorities) <= 2:
        return "red", "light.alert", {"priority": f"P{min(priorities)}"}
    if not course.at_work():
        return "grey", f"status.{course.status}", {}
    if "bad" in found.values():
        return "red", "light.bad", {"barrier": next(k for k, v in found.items() if v == "bad")}
    if "unknown" in found.values():
        return "yellow", "light.unknown", {"barrier": next(k for k, v in found.items() if v == "unknown")}
    if priorities and min(priorities) == 3:
        return "yellow", "light.alert", {"priority": "P3"}
    until = valid_until(known, course)
    if until is not None and until - known.now <= known.terms_now().ms["near_expiry"]:
        return "yellow", "light.expiry", {"valid_to": known.clock(until)}
    return "green", "light.live", {}


def times(course: Course) -> dict[str, list[int]]:
    """The dated marks of a course as [lo, hi] in ms of true time."""
    marks: dict[str, Stamp | None] = {"Ta": course.issued, "Ts": course.started, "Te": course.finished, "Tc": course.accepted}
    begun = course.begun
    tg = sorted((a.at for a in course.analyses if a.passed), key=lambda s: (begun is None or s.at <= begun.at, s.at))
    out = {name: [s.lo, s.hi] for name, s in marks.items() if s}
    return out | ({"Tg": [tg[-1].lo, tg[-1].hi]} if tg else {}) | {f"Tg{i}": [s.lo, s.hi] for i, s in enumerate(tg[:-1])}


def next_look(known: Known, course: Course) -> int | None:
    """When a verdict may change although nothing happens: deadlines of validity, freshness and indexes."""
    now = known.now
    if course.ended and not course.strays:
        return None
    dues = list(_dues(known, course)) + (list(_fading(known, course)) if course.at_work() else [])
    return min((due for due in dues if due > now), default=None)


def _dues(known: Known, course: Course) -> Iterator[int]:
    """When its validity nears its end or is over, and when indexes have told all about a phase or the whole."""
    if course.valid_to is not None and course.begun and not course.stopped:
        near = known.terms_now().ms["near_expiry"]
        for until in (course.valid_to, valid_until(known, course) or course.valid_to):
            yield from (until - near, until + 1)
    if course.at_work() and course.request:
        yield course.request.valid_from
    if course.at_work() and (turn := next_turn(known, course)) is not None:
        yield turn
    delay = known.site.policy.index_delay * SECOND
    if course.finished and asks_full(known, course):
        yield course.finished.at + delay + 1
    elif course.finished:
        end = course.finished.at + known.terms_of(course).ms["film_phase"]
        yield from (end + 1, end + delay + 1)


def _fading(known: Known, course: Course) -> Iterator[int]:
    """When what a barrier rests on is no longer fresh. What makes it fresh again asks by itself."""
    now, fresh = known.now, live_for(known)
    yield from (b + fresh + 1 for _, b in present(known, course)[-1:])
    for name, camera in cameras(known, course):
        yield from (known.site.true(name, b) + fresh + 1 for b in camera.on.last[-1:])
        if camera.off and known.site.true(name, camera.off.last[-1]) >= now - fresh:
            yield now + 10 * SECOND
    for tag in gas_tags(known, course):
        series = known.site.series.get(tag)
        if series and still(known.site, tag, series.over, now):
            yield now + 10 * SECOND
        yield from (a + fresh for a, b in unseen(known.site, tag, max(0, now - fresh), now)[-1:] if b >= now)
        if series and series.groups:
            yield now + fresh
