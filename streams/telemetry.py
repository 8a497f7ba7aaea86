"""Telemetry folded in: frames held against limits prepared per channel, fixes against the fences and zones that matter; most change nothing."""

from __future__ import annotations

import math
import zlib
from bisect import insort
from operator import gt

from streams.course import Course
from streams.events import Entry, Frame, Positions
from streams.plant import Channel
from streams.rules.limits import Limit, limit_of
from streams.rules.rule import Cause, Known, Subject
from streams.spans import Spans
from streams.times import MINUTE, SECOND
from streams.work import JOIN_FRAME, JOIN_ZONE, RECENT, Series, Signing, new_series, new_track

Dirty = set[tuple[Subject, str, Cause]]
INF = math.inf
SAMPLED = 20 * SECOND
"""A frame is sampled if its own time lies in the first twenty seconds of a minute: a property of the frame, whatever came before it."""
PLACED = 2 * SECOND
TRACE = 60
KEEP_PLACES = 16 * MINUTE
GASES = frozenset({"combustible", "oxygen", "toxic"})


class Plan:
    """How frames of one shape are read: which columns matter and beyond which value a reading is looked at closely."""

    def __init__(self, known: Known, source: str, names: list[str]) -> None:
        self.names = names
        self.group = f"{source}#{zlib.crc32(' '.join(names).encode()):08x}"
        site, terms = known.site, known.terms()
        self.cover = site.frames.setdefault(self.group, Spans(JOIN_FRAME))
        self.live = site.live.setdefault(self.group, Spans(JOIN_FRAME))
        channels = [known.atlas.channels.get(name) for name in names]
        self.limits = [limit_of(c, terms) if c else None for c in channels]
        self.ranges = [(c.low if c.low is not None else -INF, c.high if c.high is not None else INF) if c and c.kind in GASES else (-INF, INF) for c in channels]
        self.series: list[Series | None] = [_series(known, c, self.group) if c else None for c in channels]
        self.alarm = [terms["fixed_alarm"] if c and c.kind == "combustible" and c.unit == "%LEL" else INF for c in channels]
        lowest = [min((x for x in (m.warn, m.high) if x is not None), default=INF) if m else INF for m in self.limits]
        self.above = [math.nextafter(min(x, r[1]), -INF) if min(x, r[1]) < INF else INF for x, r in zip(lowest, self.ranges, strict=True)]
        floors = [max((m.low if m and m.low is not None else -INF), r[0]) for m, r in zip(self.limits, self.ranges, strict=True)]
        self.below = [(i, low) for i, low in enumerate(floors) if low > -INF]
        self.sick: set[int] = {i for i, s in enumerate(self.series) if s is not None and s.bad.over}
        """Columns whose last reading was bad, as far as is known."""
        self.gases = [(i, self.series[i], c.tag) for i, c in enumerate(channels) if c and c.kind in GASES]
        self.tracked = [(i, self.series[i], c, *_band(c, terms["dcs_deviation"])) for i, c in enumerate(channels) if c and _is_tracked(c)]

    def quiet(self, values: list[float | None]) -> bool:
        """Is every value present and unremarkable? The common case, at C speed."""
        try:
            return not any(map(gt, values, self.above)) and not any(values[i] < low for i, low in self.below)  # type: ignore[arg-type, operator]
        except TypeError:
            return False


def _is_tracked(channel: Channel) -> bool:
    return channel.kind in ("fan", "isolation") or (channel.kind == "process" and channel.setpoint is not None)


def _band(channel: Channel, deviation: float) -> tuple[float, float]:
    """Outside these a tracked channel deviates, is stopped, is opened."""
    if channel.kind == "fan":
        return 0.5, INF
    return (-INF, 0.5) if channel.kind == "isolation" else ((channel.setpoint or 0.0) - deviation, (channel.setpoint or 0.0) + deviation)


def _series(known: Known, channel: Channel, group: str) -> Series:
    series = known.site.series.get(channel.tag)
    if series is None:
        series = known.site.series[channel.tag] = new_series()
    if group not in series.groups:
        series.groups.append(group)
        series.groups.sort()
    return series


class Telemetry:
    """Takes frames and fixes in; keeps only what can be derived again (frame plans)."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.plans: dict[tuple[str, int, str], Plan] = {}

    # ---- frames -------------------------------------------------------------------------------------------------

    def frame(self, entry: Entry, event: Frame, dirty: Dirty) -> None:
        names = event.names
        if not names:
            return
        key = (entry.source, len(names), names[0])
        plan = self.plans.get(key)
        if plan is None or plan.names != names:
            plan = self.plans[key] = Plan(self.known, entry.source, names)
        at = event.at - self.known.site.offset(entry.source)[0]
        filled = plan.cover.add(at)
        if entry.lane == "live":
            plan.live.add(at)
            if filled:
                self._filled(plan, dirty)
        elif filled or at % MINUTE < SAMPLED:
            self._filled(plan, dirty)
        if plan.tracked:
            self._tracked(entry.ref, at, event.values, plan, dirty)
        if at % MINUTE < SAMPLED:
            self._sampled(entry.ref, at, event.values, plan)
        if plan.sick:
            self._recovered(at, event, plan, dirty)
        if event.units or not plan.quiet(event.values):
            self._readings(entry.ref, at, event, plan, dirty)

    def _filled(self, plan: Plan, dirty: Dirty) -> None:
        """Readings come again, or kept ones came after all: what was missing is so no longer."""
        for _, _, tag in plan.gases:
            self._gas_changed(tag, dirty)

    def _tracked(self, ref: str, at: int, values: list[float | None], plan: Plan, dirty: Dirty) -> None:
        for i, series, channel, low, high in plan.tracked:
            value = values[i]
            if series is None:
                continue
            changed = series.bad.add(at, True, 0.0, ref) if value is None else series.held.add(at, value < low or value > high, value, ref)
            if changed:
                dirty.add(("channel", channel.tag, "process"))
                for point in self.known.atlas.points_of_tag.get(channel.tag, ()):
                    dirty.update(("permit", permit, "process") for permit in self.known.site.at_point.get(point, ()))
                if channel.kind == "isolation":
                    dirty.update(("permit", permit, "process") for permit, work in self.known.site.works.items() if work.isolations)

    def _sampled(self, ref: str, at: int, values: list[float | None], plan: Plan) -> None:
        site, atlas = self.known.site, self.known.atlas
        for i, series, tag in plan.gases:
            value = values[i]
            if value is None or series is None:
                continue
            series.constant.add(at, value, ref)
            if any(point in site.at_point for point in atlas.points_of_tag.get(tag, ())):
                minute, trace = at // MINUTE, series.trace
                if minute not in trace or at < trace[minute][0]:
                    trace[minute] = (at, value)
                    while len(trace) > TRACE:
                        del trace[min(trace)]

    def _readings(self, ref: str, at: int, event: Frame, plan: Plan, dirty: Dirty) -> None:
        for i, (name, value, limit, series) in enumerate(zip(plan.names, event.values, plan.limits, plan.series, strict=True)):
            if series is None:
                continue
            if value is None:
                changed = self._bad(series, at, ref, plan, i)
            elif event.units and self._other_unit(event, name):
                changed = series.units.add(at, value, ref) | self._bad(series, at, ref, plan, i)
            elif not plan.ranges[i][0] <= value <= plan.ranges[i][1]:
                changed = series.wild.add(at, value, ref) | self._bad(series, at, ref, plan, i)
            elif limit is None:
                continue
            else:
                changed = self._reading(series, at, value, ref, limit)
                if value >= plan.alarm[i] and series.alarm.add(at, value, ref):
                    dirty.add(("area", self.known.atlas.channels[name].area, "gas"))
            if changed:
                self._gas_changed(name, dirty)

    @staticmethod
    def _bad(series: Series, at: int, ref: str, plan: Plan, i: int) -> bool:
        plan.sick.add(i)
        return series.bad.add(at, True, 0.0, ref)

    def _recovered(self, at: int, event: Frame, plan: Plan, dirty: Dirty) -> None:
        """The first good reading after a bad one ends what was bad."""
        for i in sorted(plan.sick):
            value, series = event.values[i], plan.series[i]
            if series is None or (value is not None and plan.ranges[i][0] <= value <= plan.ranges[i][1] and not event.units):
                plan.sick.discard(i)
                if series is not None and series.bad.add(at, False, 0.0, ""):
                    self._gas_changed(plan.names[i], dirty)

    def _other_unit(self, event: Frame, name: str) -> bool:
        return event.units.get(name, self.known.atlas.channels[name].unit) != self.known.atlas.channels[name].unit

    @staticmethod
    def _reading(series: Series, at: int, value: float, ref: str, limit: Limit) -> bool:
        over = (limit.high is not None and value > limit.high) or (limit.low is not None and value < limit.low)
        near = limit.warn is not None and value >= limit.warn
        changed = series.over.add(at, value, ref) if over else False
        return (series.near.add(at, value, ref) if near else False) or changed

    def _gas_changed(self, tag: str, dirty: Dirty) -> None:
        dirty.add(("channel", tag, "gas"))
        for point in self.known.atlas.points_of_tag.get(tag, ()):
            dirty.update(("permit", permit, "gas") for permit in self.known.site.at_point.get(point, ()))

    # ---- fixes --------------------------------------------------------------------------------------------------

    def positions(self, ref: str, event: Positions, dirty: Dirty) -> None:
        site = self.known.site
        site.recent.append((ref, event))
        if event.at < site.now - RECENT:
            site.recent.sort(key=lambda pair: pair[1].at)
        while site.recent and site.recent[0][1].at < site.now - RECENT:
            del site.recent[0]
        watched = site.watched
        for i, worker in enumerate(event.workers):
            for permit in watched.get(worker, ()):
                self.fix(permit, worker, event, i, ref, dirty)
        if self.known.atlas.zones:
            self._zones(ref, event, dirty)
        if event.at % (30 * SECOND) < PLACED:
            self._places(event, dirty)

    def _zones(self, ref: str, event: Positions, dirty: Dirty) -> None:
        atlas, inside = self.known.atlas, self.known.site.zones
        late = event.at + JOIN_ZONE < self.known.site.now
        for i, x in enumerate(event.x):
            y = event.y[i]
            for zone in atlas.zones_at(x, y):
                margin = 2 * event.acc[i]
                if zone.x + margin <= x <= zone.x + zone.w - margin and zone.y + margin <= y <= zone.y + zone.h - margin:
                    spans = inside.setdefault(zone.id, {}).get(event.workers[i])
                    if spans is None:
                        spans = inside[zone.id][event.workers[i]] = Spans(JOIN_ZONE)
                    if spans.add(event.at, x, ref) or late:
                        dirty.add(("zone", zone.id, "position"))

    def _places(self, event: Positions, dirty: Dirty) -> None:
        """Sampled places of those whom a permit names, for a quarter of an hour."""
        site = self.known.site
        for i, worker in enumerate(event.workers):
            if worker in site.named:
                places = site.person(worker).places
                insort(places, (event.at, event.x[i], event.y[i], event.acc[i]))
                while places and places[0][0] < places[-1][0] - KEEP_PLACES:
                    del places[0]

    def fix(self, permit: str, worker: str, event: Positions, i: int, ref: str, dirty: Dirty) -> None:
        """One fix of somebody whose position matters for a permit."""
        course, work = self.known.course(permit), self.known.work(permit)
        if course.point is None:
            return
        away = math.dist((event.x[i], event.y[i], event.z[i]), (course.point.x, course.point.y, course.point.z))
        if any(post.worker == worker for post in course.posts):
            track = work.tracks.get(worker)
            if track is None:
                track = work.tracks[worker] = new_track()
            outside = away - 2 * event.acc[i] > course.point.radius
            heard = track.heard.add(event.at, 0.0, ref)
            if (track.outside if outside else track.inside).add(event.at, away, ref) or heard:
                dirty.add(("permit", permit, "guard"))
        self._sign(course, permit, worker, event, i, away, dirty)

    def _sign(self, course: Course, permit: str, worker: str, event: Positions, i: int, away: float, dirty: Dirty) -> None:
        work = self.known.work(permit)
        issued = work.first("issued")
        if issued is None or course.issued is None or issued.event.by != worker:  # type: ignore[union-attr]
            return
        fresh = Signing(away, event.acc[i], abs(event.at - course.issued.at))
        old = work.signing
        if fresh.apart <= 10 * MINUTE and (old is None or (fresh.apart, fresh.away) < (old.apart, old.away)):
            work.signing = fresh
            dirty.add(("permit", permit, "guard"))
