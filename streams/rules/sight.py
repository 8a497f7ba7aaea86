"""What cameras see beside the work itself: fire, smoke, falls, missing protection; and minutes in which nobody was looking."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from streams.course import Course
from streams.rules.guardian import present
from streams.rules.limits import HOT
from streams.rules.permit import OURS
from streams.rules.readings import GASES, unseen
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, both_of, merge, minutes, wake_at, without
from streams.rules.video import film
from streams.spans import Spans
from streams.times import SECOND

SEEN: frozenset[Cause] = frozenset({"evidence"})
WATCHED = {"fire": ("X-FIRE", 1), "smoke": ("X-SMOKE", 1), "fall": ("X-FALL", 1), "no_helmet": ("X-PPE-HELMET", 2), "no_harness": ("X-PPE-HARNESS", 2),
           "no_goggles": ("X-PPE-EYES", 3), "no_mask": ("X-PPE-MASK", 2), "smoking": ("X-SMOKING", 2), "phone": ("X-PHONE", 3), "barrier_missing": ("X-BARRIER", 3), "under_load": ("X-SIMOPS-H", 1)}  # fmt: skip
"""Behaviour → (code, priority)."""
BURNS = ("fire", "smoke")
"""At active hot work they are evidence of it, anywhere else an alarm."""
LASTS = {"X-FIRE": "fire_sure", "X-SIMOPS-H": "load_sure", "X-SMOKING": "habit_sure", "X-PHONE": "habit_sure", "X-BARRIER": "barrier_sure", "X-SMOKE": "smoke_sure", "X-FALL": "fall_sure", "X-PPE-HELMET": "ppe_sure", "X-PPE-HARNESS": "ppe_sure", "X-PPE-EYES": "ppe_sure", "X-PPE-MASK": "ppe_sure"}
"""How long a behaviour must be seen (`domain.md` 2.9), so that steam is not smoke and squatting not a fall."""


def _seen(behaviour: str, code: str, known: Known, point: str) -> Judged:
    """A behaviour that is seen at a work point, for as long as it must be seen."""
    sights = known.site.sights.get(point, {}).get(behaviour)
    if not sights:
        return NOTHING
    found, wakes = [], list[int | None]()
    spans = _lasting(known, point, behaviour, sights)
    if behaviour in BURNS and any(last + sights.join >= known.now for _, last, _ in spans):
        wakes.append(known.now + 5 * SECOND)
    for first, last, ref in _alarming(known, point, behaviour, spans):
        if code in LASTS and last - first < known.terms_at(first).ms[LASTS[code]]:
            wakes.append(known.now + SECOND if last + sights.join >= known.now else None)
            continue
        job = next((c for c in known.at(point) if c.started and c.started.at <= first and (c.finished is None or c.finished.at >= first)), None)
        numbers = {"point": point, "since": known.clock(first), "permit": job.permit if job else "—"}
        over = last + sights.join < known.now
        urgent = WATCHED[behaviour][1] == 1
        found.append(Finding(first, (ref,), last if over else None, numbers=numbers, permit=job.permit if job else "", point=point, variant="load" if behaviour == "under_load" else "", requests=(("siren.on", point),) if urgent else ()))
        wakes.append(None if over else known.now + 30 * SECOND)
    return Judged(tuple(found), wake_at(*wakes))


def _lasting(known: Known, point: str, behaviour: str, sights: Spans) -> list[tuple[int, int, str]]:
    """(first, last, evidence) of what was seen; what was said to begin goes on until its end, as far as it is known now."""
    shown = list(known.site.phases.get(point, {}).get(behaviour, {}).values())
    out: list[tuple[int, int, str]] = []
    for first, last, ref in zip(sights.first, sights.last, sights.ref, strict=True):
        on = [min(s.until(start), known.now) for s in shown for start in s.starts if first <= start <= last]
        over = [end for s in shown for end in s.ends if last < end <= last + sights.join]
        last = max(last, *on, *over) if on or over else last
        if out and first <= out[-1][1] + sights.join:
            out[-1] = (out[-1][0], max(last, out[-1][1]), out[-1][2])
        else:
            out.append((first, last, ref))
    return out


def _alarming(known: Known, point: str, behaviour: str, spans: list[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
    """What was seen; of fire and smoke what hot work that goes on there, or was put down a moment ago, does not explain."""
    work: list[tuple[int, int]] = []
    for course in known.at(point) if behaviour in BURNS else ():
        if course.type in HOT and course.issued is not None:
            down = known.terms_of(course).ms["tools_down"]
            work += [(a, b + down) for a, b in course.working(known.now)]
    for first, last, ref in spans:
        if not any(a <= last and b >= first for a, b in work):
            yield first, last, ref
        else:
            yield from ((a, b, ref) for a, b in without(merge(work), first, last) if a < b)


def unwatched(known: Known, course: Course) -> list[tuple[int, int]]:
    """The spans of work of a hot or confined job in which neither gas, nor video, nor the guardian was live."""
    if course.started is None or course.point is None:
        return []
    there = present(known, course)
    tags = [t for t in course.point.detectors if known.atlas.channels[t].kind in GASES]
    out: list[tuple[int, int]] = []
    for a, b in course.working(known.now):
        dark = without(there, a, b)
        seen = film(known, course, a, b)
        dark = both_of(dark, merge([*seen.missing, *seen.unknown]))
        for tag in tags:
            dark = both_of(dark, unseen(known.site, tag, a, b))
        out += dark
    return out


def judge_unwatched(known: Known, permit: str) -> Judged:
    """X-UNWATCHED: for minutes nobody was looking: no gas, no video, no guardian."""
    course = known.course(permit)
    if not course.needs_gas or course.started is None:
        return NOTHING
    limit, found, now = known.terms_of(course).ms["unwatched"], [], known.now
    due = now + limit if course.at_work() else None
    for a, b in unwatched(known, course):
        length = b - a - known.site.dark(a, b)
        if b >= now and due is not None:
            due = now - length + limit if length < limit else None
        if length >= limit:
            open_ = b >= known.now and course.at_work()
            numbers = {"permit": permit, "since": known.clock(a), "limit": minutes(limit)}
            found.append(Finding(a, tuple(r for r in (course.started_ref, course.request_ref) if r), None if open_ else b, 2 if course.special else 3, numbers, permit, course.point_id))
    return Judged(tuple(found), due)


RULES = (
    *(Rule(code, "point", priority, SEEN, partial(_seen, behaviour, code), "behaviours of 000-24, 003-03", OURS, "C", "", ("R-SIGHT",), takes=(*((LASTS[code],) if code in LASTS else ()), *(("tools_down",) if behaviour in BURNS else ()))) for behaviour, (code, priority) in WATCHED.items()),
    Rule("X-UNWATCHED", "permit", 3, frozenset({"permit", "seen", "guard", "video", "gas", "dark"}), judge_unwatched, "the ledger of watched minutes", OURS, "C", "", ("R-WATCHED",), silence=True, takes=("unwatched",)),
)
