"""Video: was the work filmed, does the recorder say so, and what is still unknown."""

from __future__ import annotations

from msgspec import Struct

from streams.course import Course
from streams.rules.gas import GB
from streams.rules.limits import SPECIAL
from streams.rules.rule import NOTHING, Finding, Judged, Known, Rule, both_of, merge, minutes, wake_at, without
from streams.times import EVER, HOUR, MINUTE, SECOND, Truth
from streams.work import JOIN_BEAT, Camera


class Film(Struct, frozen=True):
    """What is known of a span of work: surely not filmed, not yet known, and up to when indexes have said all. True time, ms."""

    missing: list[tuple[int, int]]
    unknown: list[tuple[int, int]]
    told: int

    def gaps(self, most: int) -> list[tuple[int, int]]:
        """Where more than `most` ms of an hour are missing; what lies between two filmed moments is one gap, however little of it is known yet."""
        pieces = exceeded(self.missing, most)
        inside = [[p for p in pieces if lo <= p[0] and p[1] <= hi] for lo, hi in merge([*self.missing, *self.unknown])]
        return [(mine[0][0], mine[-1][1]) for mine in inside if mine]

    def lasts(self, until: int, end: int) -> bool:
        """Does a gap that reaches `until` still go on, as far as can be known?"""
        return until >= end or any(a == until <= self.told <= b for a, b in self.unknown)


def cameras(known: Known, course: Course) -> list[tuple[str, Camera]]:
    """The cameras of the work point that were ever heard of, by name."""
    names = course.point.cameras if course.point else []
    return [(n, known.site.cameras[n]) for n in names if n in known.site.cameras]


def _filmed(known: Known, name: str, camera: Camera) -> list[tuple[int, int]]:
    """When a camera filmed: between the words of its recorder and up to the one that says it is off, but for what that says it did not, and what its index holds."""
    true, off = known.site.true, _off(known, name, camera)
    return [*(span for a, b in camera.on for span in without(off, true(name, a), true(name, _said_until(camera, b)))), *((true(name, a), true(name, b)) for a, b in camera.clips)]


def _said_until(camera: Camera, last: int) -> int:
    """Until when the last word of a recorder that it records holds, where the next one says that it does not."""
    off = camera.off.next(last)
    return off if off is not None and off - last <= JOIN_BEAT else last


def _off(known: Known, name: str, camera: Camera) -> list[tuple[int, int]]:
    """Spans in which the recorder said that it does not record; a word holds until the next one, 45 s at most."""
    true, out = known.site.true, []
    for a, b in camera.off:
        again = camera.on.next(b)
        out.append((true(name, a), true(name, min(b + JOIN_BEAT, again if again is not None else EVER))))
    return out


def recorded(known: Known, course: Course, fresh: int) -> list[tuple[int, int]]:
    """When some camera of the work point recorded, by true time: each word of its recorder holds for `fresh` ms or until it says otherwise, a clip for its length."""
    out: list[tuple[int, int]] = []
    for name, camera in cameras(known, course):
        true, off = known.site.true, _off(known, name, camera)
        on = [(true(name, a), true(name, b) + fresh) for a, b in camera.on]
        out += [span for a, b in on for span in without(off, a, b)] + [(true(name, a), true(name, b)) for a, b in camera.clips]
    return merge([s for s in out if s[0] < s[1]])


def film(known: Known, course: Course, start: int, end: int) -> Film:
    """What the cameras of the work point say of [start, end]. An index that is 10 min old has said all it will say, but for what it may have said while our door was closed."""
    heard, delay = cameras(known, course), known.site.policy.index_delay * SECOND
    open_ = without([s for n, c in heard for s in _filmed(known, n, c)], start, end)
    told = max(start, min(end, known.now - delay))
    if not open_:
        return Film([], [], told)
    silent: list[tuple[int, int]] = [(start, end)] if all(c.off for _, c in heard) and heard else []
    for name, camera in heard if silent else ():
        silent = both_of(silent, _off(known, name, camera))
    heard_of = without([(lo - delay, hi) for lo, hi in known.site.away], start, told)
    missing = merge(both_of(open_, merge([*silent, *heard_of])))
    return Film(missing, [(a, b) for lo, hi in open_ for a, b in without(missing, lo, hi)], told)


def exceeded(gaps: list[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """The gaps at whose end (or within which) more than `most` ms are missing from some sliding hour."""
    out = []
    for i, (a, b) in enumerate(gaps):
        lost = sum(max(0, min(d, b) - max(c, b - HOUR)) for c, d in gaps[: i + 1])
        if lost > most:
            out.append((a, b))
    return out


def phases(known: Known, course: Course) -> list[tuple[int, int]]:
    """The spans of which each must hold a segment: around the start, between, around the end."""
    if course.started is None:
        return []
    start, phase = course.started.at, known.terms_of(course).ms["film_phase"]
    first = (start - phase, start + phase)
    if course.finished is None:
        return [first]
    end = course.finished.at
    return [first, *([(start + phase, end - phase)] if end - start > 2 * phase else []), (end - phase, end + phase)]


def asks_full(known: Known, course: Course) -> bool:
    """Must all of the work be filmed? Special hot work always (GB 30871-2022 5.2.11), other hot and confined work where the pack says so."""
    return course.type == SPECIAL or (course.needs_full_video and known.terms_of(course)["full_video"] > 0)


def covers(known: Known, course: Course) -> Truth:
    """T4: does video cover the work, as its type asks?"""
    if course.started is None:
        return Truth.UNKNOWN
    if asks_full(known, course):
        seen = film(known, course, course.started.at, course.over_by(known.now))
        most = known.terms_of(course).ms["video_gap"]
        if exceeded(seen.missing, most):
            return Truth.FALSE
        return Truth.UNKNOWN if exceeded(merge([*seen.missing, *seen.unknown]), most) else Truth.TRUE
    judged = []
    for a, b in phases(known, course):
        seen = film(known, course, a, b)
        filmed = b - a > sum(d - c for c, d in (*seen.missing, *seen.unknown))
        judged.append(Truth.TRUE if filmed else (Truth.UNKNOWN if seen.unknown or b > known.now else Truth.FALSE))
    return Truth(min(judged, default=Truth.UNKNOWN))


def next_turn(known: Known, course: Course) -> int | None:
    """When T4 may turn next because time passes: an index has said all of a moment, a phase is over, a recorder is off for too long. What is surely not covered stays so."""
    if course.started is None:
        return None
    if not asks_full(known, course):
        delay = known.site.policy.index_delay * SECOND
        return wake_at(*(b + delay + 1 for _, b in phases(known, course) if b + delay >= known.now))
    seen, most = film(known, course, course.started.at, course.over_by(known.now)), known.terms_of(course).ms["video_gap"]
    return None if exceeded(seen.missing, most) else _next_of_film(known, course, seen, most)


def _next_of_film(known: Known, course: Course, seen: Film, most: int) -> int | None:
    return wake_at(_next_told(known, course, seen, most), _next_off(known, course, seen, most))


def judge_video(known: Known, permit: str) -> Judged:
    """X-T4: the work is not covered by video as its type asks."""
    course = known.course(permit)
    if course.started is None or course.request is None:
        return NOTHING
    if not (asks_full(known, course)):
        return _judge_phases(known, course)
    start, end = course.started.at, course.over_by(known.now)
    seen = film(known, course, start, end)
    evidence, most = _evidence(known, course), known.terms_of(course).ms["video_gap"]
    found: list[Finding] = []
    for a, b in seen.gaps(most):
        open_ = seen.lasts(b, end) and (course.at_work() or (b < end and seen.told < end))
        numbers = {"permit": permit, "since": known.clock(a), "limit": minutes(most)} | ({} if open_ else {"length": minutes(b - a)})
        found.append(Finding(a, evidence, None if open_ else b, 2 if course.type == SPECIAL else 3, numbers, permit, course.point_id))
    return Judged(tuple(found), _next_of_film(known, course, seen, most))


def _next_told(known: Known, course: Course, seen: Film, most: int) -> int | None:
    """When what indexes have not told yet could be too much of an hour, or has been told to the end; what is already too much goes on until a camera says otherwise."""
    now, delay = known.now, known.site.policy.index_delay * SECOND
    coming = [max(a, seen.told) for a, b in seen.unknown if b > seen.told]
    if not coming:
        return now + delay + 1 if course.at_work() else None
    last = course.finished.at + delay + 1 if course.finished else None
    a = coming[0]
    lost = sum(max(0, d - max(c, a - HOUR)) for c, d in seen.missing)
    if lost > most and any(d == a for _, d in seen.missing):
        return wake_at(last, now + MINUTE if _evidence(known, course)[:-1] else None)
    return wake_at(last, a + delay + max(0, most - lost) + 1)


def _next_off(known: Known, course: Course, seen: Film, most: int) -> int | None:
    """While a recorder says that it is off, a second from now until it has been off for too long or is surely not back, then once in a while."""
    now = known.now
    if not course.at_work():
        return None
    if not any(known.site.true(n, b) + JOIN_BEAT >= now for n, c in cameras(known, course) for _, b in c.off):
        return None
    gap = next((a for a, b in seen.missing if b >= now), None)
    if gap is None or now > gap + most + JOIN_BEAT:
        return now + most + 1
    return max(now + SECOND, gap + most + 1)


def _judge_phases(known: Known, course: Course) -> Judged:
    lost = []
    for a, b in phases(known, course):
        seen = film(known, course, a, b)
        if not seen.unknown and sum(d - c for c, d in seen.missing) >= b - a:
            lost.append((a, b))
    found = tuple(
        Finding(a, _evidence(known, course), b, numbers={"permit": course.permit, "since": known.clock(a), "length": minutes(b - a), "limit": "0 s"},
                permit=course.permit, variant="phase")
        for a, b in lost
    )  # fmt: skip
    return Judged(found, next_turn(known, course))


def _evidence(known: Known, course: Course) -> tuple[str, ...]:
    refs = [c.ref for _, c in cameras(known, course)]
    return tuple(r for r in (*refs, course.started_ref) if r)


RULES = (
    Rule("X-T4", "permit", 3, frozenset({"permit", "seen", "video", "clock"}), judge_video, "5.2.11; AQ 3064.2 4.2", GB, "A", "", ("S07", "S09"), silence=True, apart=("limit",), takes=("film_phase", "full_video", "video_gap")),
)
