"""The process beside the work: deviations from the set point, isolations that change, fans that stop."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from streams.course import Course
from streams.events import Isolation
from streams.lives import number_of
from streams.rules.gas import GB, SUSPEND
from streams.rules.limits import BLINDING, CONFINED
from streams.rules.permit import OURS
from streams.rules.readings import unseen
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, merge, minutes, wake_at
from streams.times import EVER, SECOND, Stamp
from streams.work import relied_on

OPEN = frozenset({"removed", "opened"})
"""States in which an isolation holds nothing back."""


def judge_deviation(known: Known, tag: str) -> Judged:
    """X-DCS-DEV: |PV − SP| beyond the tolerance for 120 s of event time without a gap in the samples, until a sample is within it; freezes the unfinished permits of that unit."""
    channel, series = known.atlas.channels.get(tag), known.site.series.get(tag)
    if channel is None or series is None or channel.kind != "process" or channel.setpoint is None:
        return NOTHING
    found, wakes = list[Finding](), list[int | None]()
    for start, end, last, top, ref in series.held.standing(known.now):
        dwell = known.terms_at(start).ms["dcs_dwell"]
        if last - start < dwell:
            wakes.append(start + dwell if end is None else None)
            continue
        if found and found[-1].end in (None, end):  # silent for a while, and nothing said that it was better
            continue
        numbers = {"tag": tag, "value": f"{top:g}", "setpoint": f"{channel.setpoint:g}", "limit": f"{known.terms_at(start)['dcs_deviation']:g}", "unit": channel.unit, "dwell": minutes(dwell),
                   "process": channel.process_unit or "—"}  # fmt: skip
        found.append(Finding(start, (ref,), end, numbers=numbers, area=channel.area, requests=tuple(("permit.freeze", p) for p in _unfinished(known, channel.process_unit))))
        wakes.append(known.now + 10 * SECOND if end is None else None)
    return Judged(tuple(found), wake_at(*wakes))


def _unfinished(known: Known, unit: str) -> list[str]:
    """The open permits at the work points of a process unit."""
    points = [p.id for p in known.atlas.plant.points if unit and p.unit == unit]
    return sorted(c.permit for p in points for c in known.at(p) if c.open and c.finished is None)


class Word(Struct, frozen=True):
    """What was said of an isolation, from when on it counts by true time (ms), and whether it is open after that."""

    at: int
    open: bool
    said: Isolation
    stamp: Stamp
    ref: str

    def puts_back(self, other: Word) -> bool:
        """Was it surely in place after another word? One source's own numbers decide."""
        if self.open or self.said.state == "unknown":
            return False
        return self.stamp.seq > other.stamp.seq if self.stamp.source == other.stamp.source else self.stamp.lo > other.stamp.hi


def words_of(known: Known, name: str) -> list[Word]:
    """All that was said of an isolation, by true time: that it is open is believed at once, that it is in place only when all of the time of it is past."""
    words = []
    for fact in known.site.isolations.get(name, ()):
        if isinstance(fact.event, Isolation):
            open_ = fact.event.state in OPEN
            words.append(Word(known.site.counts(fact, not open_), open_, fact.event, known.site.stamp(fact), fact.ref))
    return sorted(words, key=lambda w: (w.at, w.open, w.stamp.source, w.stamp.seq))


def openings(words: list[Word]) -> Iterator[tuple[Word, int | None]]:
    """Each time that an isolation was opened, and when it was surely in place again: where nothing decides which was last, it is open."""
    for word in words:
        if word.open:
            yield word, min((max(w.at, word.at) for w in words if w.puts_back(word)), default=None)


def judge_isolation(known: Known, permit: str) -> Judged:
    """X-DCS-OPEN: an isolation on which an approved permit rests was removed or opened before its work was over, whoever removed it; P2 where work began and nobody had said that it is applied."""
    course, site = known.course(permit), known.site
    names = relied_on(site, permit)
    if course.issued is None or not names:
        return NOTHING
    over = min((m for m in (course.finished.at if course.finished else None, course.over_at) if m is not None), default=EVER)
    found = list[Finding]()
    for name in sorted(names):
        until = -1
        for word, again in openings(words_of(known, name)):
            since, back = max(word.at, course.issued.at), EVER if again is None else again
            if word.at >= over or own_work(course, word.said) or back <= max(course.issued.at, until):
                continue
            end = again if again is not None or over == EVER else over
            if since <= until:  # opened once more while it was open
                found[-1] = replace(found[-1], end=end)
            else:
                found.append(_opened(known, permit, name, word.said.state, since, end, word.ref))
            until = back
    for name, tag in ((n, t) for n in sorted(names) for t in known.atlas.isolations.get(n, ())):
        series = site.series.get(tag)
        for start, end, _, _, ref in series.held.standing(known.now) if series else ():
            if start < over and (end is None or end > course.issued.at):
                ended = end if end is not None else (over if over < EVER else None)
                found.append(_opened(known, permit, name, "opened", max(start, course.issued.at), ended, ref))
    return Judged((*found, *_never_applied(known, course, sorted(names), over)))


def _never_applied(known: Known, course: Course, names: list[str], over: int) -> Iterator[Finding]:
    """Work that began on isolations of which nobody had said anything."""
    if course.started is None or own_work(course, None):
        return
    since = course.started.at
    for name in names:
        first = next((word.at for word in words_of(known, name)), None)
        if first is not None and first <= since:
            continue
        end = min(m for m in (first, over) if m is not None)
        numbers = {"permit": course.permit, "isolation": name, "at": known.clock(since)}
        yield Finding(since, (course.started_ref, course.request_ref), end if end < EVER else None, 2, numbers, course.permit, course.point_id, "never", requests=((SUSPEND, course.permit),))


def own_work(course: Course, said: Isolation | None) -> bool:
    """Is what was said last of an isolation (None: nothing yet) the blinding ticket's own work?"""
    return course.type == BLINDING and (said is None or number_of(course.permit) == number_of(said.permit))


def _opened(known: Known, permit: str, isolation: str, state: str, start: int, end: int | None, ref: str) -> Finding:
    course = known.course(permit)
    numbers = {"permit": permit, "isolation": isolation, "state": state, "at": known.clock(start)}
    return Finding(start, (ref, course.issued_ref), end, numbers=numbers, permit=permit, requests=((SUSPEND, permit), ("evacuate", course.point_id)))


def judge_fan(known: Known, permit: str) -> Judged:
    """X-VENT-OFF: people work in a confined space and its fan stands still, or nothing is known of it for a minute."""
    course = known.course(permit)
    if course.type != CONFINED or course.started is None or course.point is None or not course.point.fans:
        return NOTHING
    silent, found, wakes = known.terms_of(course).ms["fan_silent"], [], []
    for tag in course.point.fans:
        series = known.site.series.get(tag)
        held = list(series.held.intervals(known.now)) if series else []
        now = max([known.now, *(a + 1 for a, b, *_ in held if b is None)])
        stopped = [(a, b if b is not None else now, ref) for a, b, _, _, ref in held]
        for lo, hi in course.working(now):
            quiet = [(a, b, "") for a, b in unseen(known.site, tag, lo, hi) if b - a - known.site.dark(a, b) > silent]
            spans = merge([(max(a, lo), min(b, hi)) for a, b, _ in (*stopped, *quiet) if b > lo and a < hi])
            for a, b in spans:
                open_ = b >= known.now and course.at_work()
                known_stop = next((r for x, y, r in stopped if x <= a <= y), "")
                numbers = {"permit": permit, "tag": tag, "since": known.clock(a)}
                found.append(Finding(a, (known_stop or course.started_ref, course.request_ref), None if open_ else b, numbers=numbers, permit=permit,
                                     variant="" if known_stop else "unknown", requests=((SUSPEND, permit),)))  # fmt: skip
        wakes.append(known.now + 10 * SECOND if course.at_work() else None)
    return Judged(tuple(found), wake_at(*wakes))


PERMIT: frozenset[Cause] = frozenset({"permit", "seen", "process"})
RULES = (
    Rule("X-DCS-DEV", "channel", 2, frozenset({"process"}), judge_deviation, "4.8", GB, "C", "", ("S35",), takes=("dcs_deviation", "dcs_dwell",)),
    Rule("X-DCS-OPEN", "permit", 1, PERMIT, judge_isolation, "4.8, 6.1", GB, "A", "", ("R-ISO",), apart=("isolation",)),
    Rule("X-VENT-OFF", "permit", 2, PERMIT | {"gas"}, judge_fan, "rule of the site", OURS, "C", "", ("R-VENT",), silence=True, apart=("tag",), takes=("fan_silent",)),
)
