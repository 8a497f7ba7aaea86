"""The process beside the work: deviations from the set point, isolations that change, fans that stop."""

from __future__ import annotations

from streams.events import Isolation
from streams.rules.gas import GB, SUSPEND, unseen
from streams.rules.limits import CONFINED
from streams.rules.permit import OURS
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, merge, minutes, wake_at
from streams.times import SECOND


def judge_deviation(known: Known, tag: str) -> Judged:
    """X-DCS-DEV: |PV − SP| beyond the tolerance for 120 s of event time without a gap in the samples; freezes the unfinished permits of that unit."""
    channel, series = known.atlas.channels.get(tag), known.site.series.get(tag)
    if channel is None or series is None or channel.kind != "process" or channel.setpoint is None:
        return NOTHING
    dwell, found, wakes = known.terms().ms["dcs_dwell"], [], []
    for start, end, last, top, ref in series.held.intervals(known.now):
        if last - start < dwell:
            wakes.append(start + dwell if end is None else None)
            continue
        numbers = {"tag": tag, "value": f"{top:g}", "setpoint": f"{channel.setpoint:g}", "limit": f"{known.terms()['dcs_deviation']:g}", "unit": channel.unit, "dwell": minutes(dwell),
                   "process": channel.process_unit or "—"}  # fmt: skip
        found.append(Finding(start, (ref,), end, numbers=numbers, area=channel.area, requests=tuple(("permit.freeze", p) for p in _unfinished(known, channel.process_unit))))
        wakes.append(known.now + 10 * SECOND if end is None else None)
    return Judged(tuple(found), wake_at(*wakes))


def _unfinished(known: Known, unit: str) -> list[str]:
    """The open permits at the work points of a process unit."""
    points = [p.id for p in known.atlas.plant.points if unit and p.unit == unit]
    return sorted(c.permit for p in points for c in known.at(p) if c.open and c.finished is None)


def judge_isolation(known: Known, permit: str) -> Judged:
    """X-DCS-OPEN: a blind, lock or valve on which an approved permit stands was removed or opened before its work was over."""
    course = known.course(permit)
    if course.issued is None or not known.work(permit).isolations:
        return NOTHING
    over = min((m for m in (course.finished.at if course.finished else None, course.over_at) if m is not None), default=1 << 62)
    found = []
    for fact in known.work(permit).isolations:
        said = fact.event
        if isinstance(said, Isolation) and said.state in ("removed", "opened") and course.issued.at <= said.at < over:
            again = next((f.event.at for f in known.work(permit).isolations if isinstance(f.event, Isolation) and f.event.isolation == said.isolation
                          and f.event.state in ("applied", "verified") and f.event.at > said.at), None)  # fmt: skip
            found.append(_opened(known, permit, said.isolation, said.state, said.at, again if again is not None else (over if over < 1 << 62 else None), fact.ref))
    names = {f.event.isolation for f in known.work(permit).isolations if isinstance(f.event, Isolation)}
    for name, tag in ((n, t) for n in sorted(names) for t in known.atlas.isolations.get(n, ())):
        series = known.site.series.get(tag)
        for start, end, _, _, ref in series.held.intervals(known.now) if series else ():
            if start < over and (end is None or end > course.issued.at):
                ended = end if end is not None else (over if over < 1 << 62 else None)
                found.append(_opened(known, permit, name, "opened", max(start, course.issued.at), ended, ref))
    return Judged(tuple(found))


def _opened(known: Known, permit: str, isolation: str, state: str, start: int, end: int | None, ref: str) -> Finding:
    course = known.course(permit)
    numbers = {"permit": permit, "isolation": isolation, "state": state, "at": known.clock(start)}
    return Finding(start, (ref, course.issued_ref), end, numbers=numbers, permit=permit, point=course.point_id, requests=((SUSPEND, permit), ("evacuate", course.point_id)))


def judge_fan(known: Known, permit: str) -> Judged:
    """X-VENT-OFF: people work in a confined space and its fan stands still, or nothing is known of it for a minute."""
    course = known.course(permit)
    if course.type != CONFINED or course.started is None or course.point is None or not course.point.fans:
        return NOTHING
    silent, found, wakes = known.terms().ms["fan_silent"], [], []
    for tag in course.point.fans:
        series = known.site.series.get(tag)
        held = list(series.held.intervals(known.now)) if series else []
        now = max([known.now, *(a + 1 for a, b, *_ in held if b is None)])
        stopped = [(a, b if b is not None else now, ref) for a, b, _, _, ref in held]
        for lo, hi in course.working(now):
            quiet = [(a, b, "") for a, b in unseen(known.site, tag, lo, hi) if b - a - known.site.dark(a, b) > silent]
            spans = merge([(max(a, lo), min(b, hi)) for a, b, _ in (*stopped, *quiet) if b > lo and a < hi])
            for a, b in spans:
                open_ = b >= known.now and course.at_work(known.now)
                known_stop = next((r for x, y, r in stopped if x <= a <= y), "")
                numbers = {"permit": permit, "tag": tag, "since": known.clock(a)}
                found.append(Finding(a, (known_stop or course.started_ref, course.request_ref), None if open_ else b, numbers=numbers, permit=permit, point=course.point_id,
                                     variant="" if known_stop else "unknown", requests=((SUSPEND, permit),)))  # fmt: skip
        wakes.append(known.now + 10 * SECOND if course.at_work(known.now) else None)
    return Judged(tuple(found), wake_at(*wakes))


PERMIT: frozenset[Cause] = frozenset({"permit", "seen", "process"})
RULES = (
    Rule("X-DCS-DEV", "channel", 2, frozenset({"process"}), judge_deviation, "4.8", GB, "C", "", ("S35",)),
    Rule("X-DCS-OPEN", "permit", 1, PERMIT, judge_isolation, "4.8, 6.1", GB, "A", "", ("R-ISO",)),
    Rule("X-VENT-OFF", "permit", 2, PERMIT | {"gas"}, judge_fan, "rule of the site", OURS, "C", "", ("R-VENT",), silence=True),
)
