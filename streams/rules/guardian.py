"""The guardian: somebody who may guard is at the post for as long as the work goes on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from streams.course import Course, Post
from streams.rules.access import stays
from streams.rules.gas import GB, SUSPEND
from streams.rules.limits import CONFINED, HOT
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, among, both_of, merge, minutes, wake_at, without
from streams.times import EVER, MINUTE, SECOND
from streams.work import JOIN_FIX, Track

CAUSES: frozenset[Cause] = frozenset({"permit", "guard"})


def _tracks(known: Known, course: Course) -> dict[str, Track]:
    return known.work(course.permit).tracks


def _counts_until(known: Known, course: Course, post: Post) -> int:
    """A guardian who handed over counts until the heir has been inside the fence."""
    if post.until is None:
        return EVER
    heir = _tracks(known, course).get(post.heir) if post.heir else None
    arrived = heir.inside.next(post.until) if heir else None
    return arrived if arrived is not None else (EVER if post.heir else post.until)


def present(known: Known, course: Course) -> list[tuple[int, int]]:
    """The spans in which some guardian who counts was not surely outside the fence."""
    spans = []
    for post in course.posts:
        track, until = _tracks(known, course).get(post.worker), _counts_until(known, course, post)
        spans += [(max(a, post.since), min(b, until)) for a, b in track.inside if b >= post.since and a <= until] if track else []
    return merge(spans)


def guarded(known: Known, course: Course, fresh: int) -> list[tuple[int, int]]:
    """When somebody who counts was at the post: by his fixes, each of which holds for `fresh` ms or until he is surely outside; never while he is in the space himself."""
    there = []
    for post in course.posts:
        track, until = _tracks(known, course).get(post.worker), _counts_until(known, course, post)
        for a, b in track.inside if track else ():
            left = track.outside.next(b) if track else None
            there.append((max(a, post.since), min(b + fresh, until, left if left is not None else b + fresh)))
    gone = [(a, b) for a, b, *_ in gone_in(known, course)]
    return [span for a, b in merge([s for s in there if s[0] < s[1]]) for span in without(gone, a, b)]


def current(course: Course, at: int) -> list[str]:
    """Who holds the post at a moment."""
    return [p.worker for p in course.posts if p.since <= at and (p.until is None or at < p.until)]


def absences(known: Known, course: Course) -> Iterator[tuple[int, int, int, str]]:
    """(from, to, length surely known, who: empty where nobody had the post) of each time that it was surely empty while work went on."""
    there = present(known, course)
    for start, end in course.working(known.now):
        for a, b in _between(there, start, end):
            for worker in current(course, a) or current(course, b):
                track = _tracks(known, course).get(worker)
                left = track.outside.next(a) if track else None
                if track is None or left is None or left >= b:
                    continue
                since = max(left, a)
                heard = track.outside.latest(b) or since
                yield since, b, min(b, heard + JOIN_FIX) - since, worker
                break
            else:
                yield from _unheld(course, a, b)


def _unheld(course: Course, a: int, b: int) -> Iterator[tuple[int, int, int, str]]:
    """Of a time that nobody was there, that in which nobody had the post: after it was signed off, until it is taken again, or from the start if it never was taken."""
    turns = {m for p in course.posts for m in (p.since, p.until) if m is not None and a < m < b}
    empty = [(lo, hi) for lo, hi in pairwise([a, *sorted(turns), b]) if hi > lo and not current(course, lo)]
    yield from ((lo, hi, hi - lo, "") for lo, hi in merge(empty))


def _between(there: list[tuple[int, int]], start: int, end: int) -> Iterator[tuple[int, int]]:
    at = start
    for a, b in there:
        if b < start:
            continue
        if a >= end:
            break
        if a > at:
            yield at, a
        at = max(at, b)
    if at < end:
        yield at, end


def judge_absent(known: Known, permit: str) -> Judged:
    """GUARD-ABSENT: nobody who may guard has been inside the fence for 60 s (warning) or 180 s (alarm), allowing for the fixes' error; or nobody has had the post."""
    course = known.course(permit)
    if course.started is None or (course.request is None and not course.posts):
        return NOTHING
    terms = known.terms_of(course)
    warn, alarm = terms.ms["guardian_warn"], terms.ms["guardian_alarm"]
    found: list[Finding] = []
    wakes: list[int | None] = []
    away = [*((*a, "" if a[3] else "nobody") for a in absences(known, course)), *((*a, "inside") for a in gone_in(known, course))]
    for since, until, length, worker, how in _one_after_another(sorted(away)):
        open_ = until >= known.now and course.at_work()
        if open_:
            wakes += [m for m in (since + warn, since + alarm) if m > known.now]
        if length < warn or (found and found[-1].end is None and how == "inside"):
            continue
        priority = 3 - (length >= alarm) - course.special
        numbers = {"permit": permit, "worker": worker or "—", "since": known.clock(since), "warn": minutes(warn), "alarm": minutes(alarm)}
        found.append(Finding(since, _evidence(known, course, worker, since), None if open_ else until, priority, numbers, permit, course.point_id,
                             "_".join(w for w in (how, "long" if length >= alarm else "") if w), requests=((SUSPEND, permit),) if length >= alarm else ()))  # fmt: skip
    if course.type == CONFINED and course.at_work():
        wakes += _will_be_long(known, course, warn, alarm)
    if course.at_work() and not wakes:
        began = course.started.at + warn
        wakes.append(_next_empty(known, course, course.started.at, max(warn, JOIN_FIX)) if _tracks(known, course) else began if began > known.now else None)
    return Judged(tuple(found), wake_at(*wakes))


Away = tuple[int, int, int, str, str]
"""(from, to, length surely known, who, how: inside, nobody, or out of the fence)"""


def _one_after_another(away: list[Away]) -> list[Away]:
    """A guardian who goes into the space and then out of the fence, or the reverse, was away all the time: it is said as it began."""
    out: list[Away] = []
    for since, until, length, worker, how in away:
        if out and out[-1][4] != how and since <= out[-1][1]:
            first, last, known_, who, began = out[-1]
            out[-1] = (first, max(last, until), max(known_, since + length - first), who, began)
        else:
            out.append((since, until, length, worker, how))
    return out


def _next_empty(known: Known, course: Course, started: int, patience: int) -> int:
    """When the post could be empty for long enough: fixes that only make a span longer ask nobody."""
    there = present(known, course)
    due = (there[-1][1] if there else started) + patience + 1
    return due if due > known.now else known.now + MINUTE


def gone_in(known: Known, course: Course) -> Iterator[tuple[int, int, int, str]]:
    """(from, to, length, who) of each time that a guardian of a confined space was inside it while work went on: by its doors, from an `in` to its `out` or, where a zone is drawn for the space, a fix surely outside the fence (GB 30871-2022 6.8)."""
    if course.type != CONFINED:
        return
    for post in course.posts:
        for a, b in _stays_in(known, course, post.worker):
            a, b = max(a, post.since), min(b, _counts_until(known, course, post))
            for lo, hi in course.working(known.now):
                if max(a, lo) < min(b, hi):
                    yield max(a, lo), min(b, hi), min(b, hi) - max(a, lo), post.worker


def _stays_in(known: Known, course: Course, worker: str) -> Iterator[tuple[int, int]]:
    """When somebody was in the space: from each `in` to the `out`, or to a fix surely outside the zone that is drawn for it."""
    doors, track = known.atlas.doors_of_point.get(course.point_id, set()), _tracks(known, course).get(worker)
    for stay in stays(known, worker, doors):
        until = known.now if stay.until is None else stay.until
        for entry in stay.entries:
            since = known.site.counts(entry)
            seen = track.away.next(since) if track else None
            yield since, min(until, seen) if seen is not None else until


def _will_be_long(known: Known, course: Course, *dwells: int) -> Iterator[int]:
    """When somebody at the post who is in the space now will have been there for so long: as of a moment that our own time has not reached yet, too."""
    for post in course.posts:
        for since, until in _stays_in(known, course, post.worker):
            if until >= known.now and _counts_until(known, course, post) > known.now:
                yield from (since + dwell for dwell in dwells if since + dwell > known.now)


def _evidence(known: Known, course: Course, worker: str, since: int) -> tuple[str, ...]:
    track, person = _tracks(known, course).get(worker), known.site.people.get(worker)
    scans = tuple(f.ref for f in (person.scans if person else ()) if known.site.counts(f) == since)
    fixes = track.outside.proof(since) if track else ()
    turns = tuple(f.ref for f in known.work(course.permit).all("guard") if not worker and known.site.counts(f) == since)
    return tuple(r for r in (*(scans or fixes[:1] or turns), course.request_ref) if r)


def silences(known: Known, course: Course) -> Iterator[tuple[str, int, int, int]]:
    """(worker, from, to, ms of it in our own sight) where the tag of a guardian on duty was not heard of while work went on."""
    for post in course.posts:
        track = _tracks(known, course).get(post.worker)
        for start, end in course.working(known.now):
            start, end = max(start, post.since), min(end, post.until if post.until is not None else end)
            gone = [(a, b) for a, b, _, who in gone_in(known, course) if who == post.worker]
            for lo, hi in (track.heard.gaps(start, end) if track else ([(start, end)] if end > start else [])):
                yield from ((post.worker, a, b, b - a - known.site.dark(a, b)) for a, b in (without(gone, lo, hi) if gone else [(lo, hi)]))


def judge_two_posts(known: Known, permit: str) -> Judged:
    """X-GUARD-MULTI: the guardian on duty here is on duty at another work point at the same time; the later permit says so."""
    course = known.course(permit)
    if course.started is None or course.point is None:
        return NOTHING
    found, wake = [], None
    for post in course.posts:
        for other in known.site.watched.get(post.worker, ()):
            theirs = known.course(other) if other != permit else None
            if theirs is None or theirs.started is None or theirs.point is None or (theirs.started.at, other) > (course.started.at, permit):
                continue
            apart = math.dist((course.point.x, course.point.y, course.point.z), (theirs.point.x, theirs.point.y, theirs.point.z))
            if apart <= known.terms_of(course)["two_posts"] or theirs.point_id == course.point_id:
                continue
            both = course.at_work() and theirs.at_work()
            together = _together(known, course, post, theirs)
            if both and not any(b >= known.now for _, b in together):
                wake = known.now + SECOND
            for a, b in together:
                numbers = {"permit": permit, "other": other, "worker": post.worker, "apart": f"{apart:.0f} m" if apart >= 1 else f"{apart:.1f} m", "since": known.clock(a)}
                open_ = b >= known.now and both
                found.append(Finding(a, (course.request_ref, theirs.request_ref), None if open_ else b, numbers=numbers, permit=permit))
    return Judged(tuple(found), wake)


def _together(known: Known, course: Course, post: Post, theirs: Course) -> list[tuple[int, int]]:
    """When a post here and a post of the same person there are both held while both are at work."""
    mine, out = among(course.working(known.now), post.since, post.until if post.until is not None else known.now), list[tuple[int, int]]()
    for other in theirs.posts:
        if other.worker == post.worker:
            out += both_of(mine, among(theirs.working(known.now), other.since, other.until if other.until is not None else known.now))
    return sorted(out)


def judge_watch(known: Known, permit: str) -> Judged:
    """X-WATCH: after hot work nobody watched for as long as the pack asks: the guardian surely left, signed off, or the permit was closed before."""
    course = known.course(permit)
    if course.finished is None or course.type not in HOT or not course.posts:
        return NOTHING
    due = course.finished.at + known.terms_of(course).ms["post_watch"]
    until = min(due, known.now)
    gone = _first_gone(known, course, course.finished.at, until)
    if gone is None:
        return Judged(wake=_next_gone(known, course, due))
    numbers = {"permit": permit, "finished": known.clock(course.finished.at), "left": known.clock(gone), "watched": minutes(max(0, gone - course.finished.at)), "limit": minutes(due - course.finished.at)}
    evidence = (course.request_ref, *known.refs(permit, "finished", "accepted"), *(r for track in _tracks(known, course).values() for r in track.outside.proof(gone)))
    return Judged((Finding(gone, evidence, due if known.now >= due else None, numbers=numbers, permit=permit, variant="" if gone > course.finished.at else "none"),), due if known.now < due else None)


def _next_gone(known: Known, course: Course, due: int) -> int | None:
    """When it could turn out that nobody watches: soon where fixes come in, else when a post that nobody holds has been empty for long enough."""
    if known.now >= due:
        return None
    if _tracks(known, course):
        return min(due, _patience_ends(known, course) or known.now + 15 * SECOND)
    first = (course.finished.at if course.finished else due) + known.terms_of(course).ms["guardian_warn"] + 1
    return first if known.now < first < due else due


def _patience_ends(known: Known, course: Course) -> int | None:
    """When somebody who has left the post by now will have been away for long enough."""
    if course.finished is None or not (gaps := list(_between(present(known, course), course.finished.at, known.now))):
        return None
    a, patience = gaps[-1][0], known.terms_of(course).ms["guardian_warn"]
    lefts = [max(a, left) for track in _tracks(known, course).values() if (left := track.outside.next(a)) is not None]
    return min((left + patience for left in lefts if left + patience > known.now), default=None)


def _first_gone(known: Known, course: Course, start: int, end: int) -> int | None:
    """When the post was surely empty for at least the warning time after the work, or the permit closed too soon."""
    due = start + known.terms_of(course).ms["post_watch"]
    marks = [course.accepted.at] if course.accepted and course.accepted.at < due else []
    there, patience = present(known, course), known.terms_of(course).ms["guardian_warn"]
    for a, b in _between(there, start, end):
        for worker in current(course, a) or [p.worker for p in course.posts]:
            track = _tracks(known, course).get(worker)
            left = track.outside.next(a) if track else None
            if left is not None and left < b and b - left >= patience:
                marks.append(max(left, a))
        if not current(course, b) and b - a >= patience:
            marks.append(a)
    return min(marks, default=None)


RULES = (
    Rule("GUARD-ABSENT", "permit", 3, CAUSES | {"seen", "clock"}, judge_absent, "4.10 f); AQ 3064.2 5.9.6", GB, "A", "31", ("S19", "S20", "S21", "S22"), takes=("guardian_alarm", "guardian_warn",)),
    Rule("X-GUARD-MULTI", "permit", 2, CAUSES | {"post", "seen", "clock"}, judge_two_posts, "4.10", GB, "B", "", ("S23",), apart=("worker", "other"), takes=("two_posts",), others=True),
    Rule("X-WATCH", "permit", 3, CAUSES, judge_watch, "5.2.14; 29 CFR 1910.252(a)(2)(iii)", GB, "C", "", ("S54",), takes=("guardian_warn", "post_watch",)),
)
