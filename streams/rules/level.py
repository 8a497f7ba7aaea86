"""Levels: is hot work asked for at the level that its place and its time demand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from streams.calendar import kind_of
from streams.course import Course
from streams.events import EquipmentSaid, SpecialTime
from streams.rules.gas import AQ, GB
from streams.rules.limits import HOT, SPECIAL
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule
from streams.times import DAY, HOUR, Truth, before

CAUSES: frozenset[Cause] = frozenset({"permit", "seen", "site"})
AQ_CODE = {"UPG-HOL": "40", "UPG-REST": "41", "UPG-NIGHT": "42", "UPG-EVENT": "43"}


def _is_night(known: Known, ms: int) -> bool:
    terms, at = known.terms_at(ms), known.local(ms)
    hour = at.hour + at.minute / 60
    return hour >= terms["night_from"] or hour < terms["night_to"]


def codes_at(known: Known, ms: int) -> list[str]:
    """Why hot work at a moment must be managed one level up, in order of AQ code."""
    at = known.local(ms)
    kind = kind_of(at.date(), known.atlas.calendar)
    codes = ["UPG-HOL"] if kind == "holiday" else (["UPG-REST"] if kind == "rest" else [])
    codes += ["UPG-NIGHT"] if _is_night(known, ms) else []
    special = any(f.event.at <= ms <= f.event.until for f in known.site.specials if isinstance(f.event, SpecialTime))
    return codes + (["UPG-EVENT"] if special else [])


def _boundaries(known: Known, lo: int, hi: int) -> Iterator[int]:
    """lo, and every moment up to hi at which the answer may change."""
    yield lo
    edges = {0.0, *(known.terms_at(ms)[name] for ms in (lo, hi) for name in ("night_from", "night_to"))}
    day = known.day(lo)
    while known.midnight(day) <= hi:
        for hour in sorted(edges):
            at = known.midnight(day) + int(hour * HOUR)
            if lo < at <= hi:
                yield at
        day += timedelta(days=1)
    yield from (f.event.at for f in known.site.specials if lo < f.event.at <= hi)


def upgrades(known: Known, course: Course) -> list[Upgrade]:
    """`_upgrades`, worked out once for the four rules that ask."""
    key, memo = "upgrade", known.memo.get("upgrade")
    if memo is None or memo[0] is not course or memo[1] != known.now:
        memo = known.memo[key] = (course, known.now, _upgrades(known, course))
    return memo[2]  # type: ignore[return-value]


def _next_boundary(known: Known) -> int | None:
    """The next moment at which the answer may change, worked out once until then."""
    memo = known.memo.get("boundary")
    if memo is None or not memo[0] <= known.now < memo[1]:  # type: ignore[operator]
        later = [b for b in _boundaries(known, known.now, known.now + 24 * HOUR) if b > known.now]
        memo = known.memo["boundary"] = (known.now, min(later, default=known.now + HOUR))
    return memo[1]  # type: ignore[return-value]


LONGEST = 60 * DAY
"""So much of a span of work is looked at: every night, every weekend and most holidays lie in it, and no permit is valid for longer."""
Upgrade = tuple[int, list[str], int | None]
"""(the first moment at which the level was too low, the codes then, when that was over although the permit was not)"""


def _upgrades(known: Known, course: Course) -> list[Upgrade]:
    """At sign-off for the planned start, over at a start outside the hours that ask for more; and the first moment while it is worked."""
    if course.request is None or course.type not in HOT or course.type == SPECIAL or course.upgraded:
        return []
    signed, worked = _signed(known, course), _worked(known, course)
    if signed is None or course.started is None:
        return [signed] if signed else [worked] if worked else []
    if worked and worked[0] <= course.started.at:
        return [(signed[0], signed[1], None)]
    return [signed, worked] if worked else [signed]


def _signed(known: Known, course: Course) -> Upgrade | None:
    if course.issued is None or course.planned is None or (course.started is not None and before(course.issued, course.started) is not Truth.TRUE):
        return None
    codes = codes_at(known, course.planned.at)
    return (course.issued.at, codes, course.started.at if course.started else None) if codes else None


def _worked(known: Known, course: Course) -> Upgrade | None:
    if course.started is None:
        return None
    for lo, hi in course.working(max(known.now, course.started.at + 1)):
        for at in sorted(set(_boundaries(known, lo, min(hi, lo + LONGEST)))):
            if (at < hi or hi >= known.now) and (codes := codes_at(known, at)):
                return at, codes, None
    return None


def _upgrade(code: str, known: Known, permit: str) -> Judged:
    """One alert with all codes of the moment: the rule of the first code raises it."""
    course = known.course(permit)
    found = tuple(_finding(known, course, u) for u in upgrades(known, course) if u[1][0] == code)
    return Judged(found, _next_boundary(known) if course.type in HOT and course.at_work() and all(f.end is not None for f in found) else None)


def _finding(known: Known, course: Course, upgrade: Upgrade) -> Finding:
    at, codes, over = upgrade
    step = "issued" if course.issued and at == course.issued.at else "started" if course.started and at == course.started.at else "working"
    meant = course.planned.at if step == "issued" and course.planned else at
    numbers = {"permit": course.permit, "at": f"{known.local(meant):%Y-%m-%d %H:%M}", "type": course.type, "begun": step, "also": ", ".join(codes)}
    end = min((m for m in (over, course.finished.at if course.finished else None, course.over_at) if m is not None), default=None)
    evidence = tuple(r for r in (course.request_ref, course.issued_ref, course.started_ref) if r)
    return Finding(at, evidence, end, numbers=numbers, permit=course.permit, aq=",".join(AQ_CODE[c] for c in codes), requests=(("permit.block", course.permit),))


def computed_level(known: Known, course: Course, at: int) -> tuple[str | None, bool]:
    """The level that the place asks (GB 30871-2022 5.1.1–5.1.4): 01 running units in a fire area and dikes, 02 other fire areas and racks, 03 elsewhere. Where nobody has said by `at` whether the equipment runs it is the lower of the two that may be asked. And: is it sure?"""
    point, request = course.point, course.request
    if point is None or request is None:
        return None, True
    if point.dike:
        return "01", True
    if point.zone == "fire":
        running = _runs(known, point.equipment, at)
        return "01" if running else "02", running is not None or not point.equipment
    if point.rack:
        return "02", True
    return "03" if point.zone == "safe" else None, True


def _runs(known: Known, equipment: str, at: int) -> bool | None:
    told = [(f, f.event.running) for f in known.site.equipment.get(equipment, ()) if isinstance(f.event, EquipmentSaid)]
    if known.site.stands(told, at):
        return True
    return False if any(known.site.counts(f, relief=True) <= at for f, running in told if not running) else None


def judge_level(known: Known, permit: str) -> Judged:
    """X-LEVEL: hot work asked for below the level that its place demands, as long as it is so: a unit may be started or stopped before the work is over."""
    course = known.course(permit)
    if course.request is None or course.type not in HOT:
        return NOTHING
    asked, end = course.request.at, course.finished.at if course.finished else course.over_at
    said = known.site.equipment.get(course.point.equipment, ()) if course.point else ()
    later = sorted(at for f in said if isinstance(f.event, EquipmentSaid) and (at := known.site.counts(f, not f.event.running)) > asked and (end is None or at < end))
    found: list[Finding] = []
    open_: tuple[int, str] | None = None
    for at in (asked, *later):
        needed, _ = computed_level(known, course, at)
        low = needed is not None and course.type > needed
        if low and open_ is None:
            open_ = at, needed or ""
        elif not low and open_ is not None:
            found, open_ = [*found, _too_low(course, *open_, at)], None
    return Judged((*found, *([_too_low(course, *open_, course.over_at)] if open_ else ())))


def _too_low(course: Course, since: int, needed: str, end: int | None) -> Finding:
    numbers = {"permit": course.permit, "asked": course.type, "needed": needed, "point": course.point_id}
    return Finding(since, (course.request_ref,), end, numbers=numbers, permit=course.permit, requests=(("permit.block", course.permit),))


RULES = (
    *(Rule(code, "permit", 2, CAUSES, partial(_upgrade, code), f"5.1.1; AQ 3064.2 A.4 {aq}", GB, "B" if code == "UPG-NIGHT" else "A", aq, ("S48",), takes=("night_from", "night_to")) for code, aq in AQ_CODE.items()),
    Rule("X-LEVEL", "permit", 2, CAUSES | {"process"}, judge_level, "5.8", AQ, "A", "", ("R-LEVEL",)),
)
