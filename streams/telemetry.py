"""Telemetry folded in: frames held against limits prepared per channel, fixes against the fences and zones that matter; most change nothing."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from operator import gt, itemgetter, lt
from statistics import median

import msgspec

from streams.events import Entry, Frame, Positions
from streams.gases import Limit, factors, limit_of
from streams.packs import Terms
from streams.plant import Channel, Zone
from streams.rules.rule import Cause, Known, Subject
from streams.spans import Spans
from streams.times import HOUR, MINUTE, SECOND, Stamp
from streams.trend import HALF, KEEP
from streams.words import unit_of
from streams.work import JOIN_FRAME, JOIN_ZONE, RECENT, Series, Signing, new_series, new_track, relied_on

Dirty = set[tuple[Subject, str, Cause]]
INF = math.inf
SAMPLED = 20 * SECOND
"""A frame is sampled if its own time lies in the first twenty seconds of a minute: a property of the frame, whatever came before it."""
TRACE = 60
SHORT = 15
HUGE = 1e30
"""Beyond this a number is no reading of anything."""
GASES = frozenset({"combustible", "oxygen", "toxic"})
OVER = "over"
"""The reason of a bad reading that is beyond its range: that is gas (`streams.words.BAD`)."""


class Plan:
    """How frames of one shape are read: which columns matter and beyond which value a reading is looked at closely."""

    def __init__(self, known: Known, source: str, names: list[str], terms: Terms) -> None:
        self.names, self.terms = names, terms
        self.group = f"{source}#{zlib.crc32(' '.join(names).encode()):08x}"
        site = known.site
        self.cover = site.frames.setdefault(self.group, Spans(JOIN_FRAME))
        self.live = site.live.setdefault(self.group, Spans(JOIN_FRAME))
        self.channels = [known.atlas.channels.get(name) for name in names]
        self.limits = [limit_of(c, terms) if c else None for c in self.channels]
        self.scales = [Scale.of(c, terms) if c and c.kind in GASES else None for c in self.channels]
        self.series: list[Series | None] = [_series(known, c, self.group, terms) if c else None for c in self.channels]
        self.alarm = [terms["fixed_alarm"] if c and c.kind == "combustible" and c.unit == "%LEL" else INF for c in self.channels]
        self.widths = [_width(c, m, terms) if c and m else 0.0 for c, m in zip(self.channels, self.limits, strict=True)]
        tops = [min((x for x in (m and m.warn, m and m.high is not None and m.high - w, s and s.top) if x), default=INF) for m, w, s in zip(self.limits, self.widths, self.scales, strict=True)]
        self.above = [math.nextafter(top, -INF) if top < INF else INF for top in tops]
        floors = [max(m.low + w if m and m.low is not None else -INF, s.bottom if s else -INF) for m, w, s in zip(self.limits, self.widths, self.scales, strict=True)]
        self.lows = [low for low in floors if low > -INF] or [-INF]
        self.low = itemgetter(*([i for i, low in enumerate(floors) if low > -INF] or [0]), 0)
        """The values that have a floor, and one more, since of one alone it would make no tuple."""
        self.column = {name: i for i, name in enumerate(names)}
        self.gases = [(i, self.series[i], c.tag) for i, c in enumerate(self.channels) if c and c.kind in GASES]
        self.tracked = [(i, self.series[i], c, *_band(c, terms["dcs_deviation"])) for i, c in enumerate(self.channels) if c and _is_tracked(c)]
        self.oxygen = [(i, self.series[i], c.tag) for i, c in enumerate(self.channels) if c and c.kind == "oxygen"]
        self.bands = (terms["oxygen_poor"], terms["oxygen_rich"], terms["oxygen_rich_sure"], terms["oxygen_rich_step"])
        self.bound: list[tuple[int, Series]] = []
        """The gas columns to whose work points a permit is bound, as of `placed`."""
        self.placed = -1

    def quiet(self, values: list[float | None]) -> bool:
        """Is every value present and unremarkable? The common case, at C speed."""
        try:
            return not any(map(gt, values, self.above)) and not any(map(lt, self.low(values), self.lows))  # type: ignore[arg-type]
        except TypeError:
            return False


def _outside(zone: Zone, x: float, y: float) -> float:
    """How far (m) a place is from a zone; 0 within it."""
    return math.hypot(max(zone.x - x, 0.0, x - zone.x - zone.w), max(zone.y - y, 0.0, y - zone.y - zone.h))


def _width(channel: Channel, limit: Limit, terms: Terms) -> float:
    """How far below its limit a reading must be for an alarm to clear."""
    return terms["oxygen_clear"] if channel.kind == "oxygen" else terms["clear_share"] * (limit.high or 0.0)


def _is_tracked(channel: Channel) -> bool:
    return channel.kind in ("fan", "isolation") or (channel.kind == "process" and channel.setpoint is not None)


def _band(channel: Channel, deviation: float) -> tuple[float, float]:
    """Outside these a tracked channel deviates, is stopped, is opened."""
    if channel.kind == "fan":
        return 0.5, INF
    return (-INF, 0.5) if channel.kind == "isolation" else ((channel.setpoint or 0.0) - deviation, (channel.setpoint or 0.0) + deviation)


def _series(known: Known, channel: Channel, group: str, terms: Terms) -> Series:
    series = known.site.series.get(channel.tag)
    if series is None:
        series = known.site.series[channel.tag] = new_series()
    if channel.kind == "process":
        series.held.over.join = terms.ms["dcs_gap"]
    if group not in series.groups:
        series.groups.append(group)
        series.groups.sort()
    return series


@dataclass(frozen=True, slots=True)
class Scale:
    """What a gas channel can read, in its own unit: full scale (inf where it is not declared), the least that is no fault, and how many times another unit's number is its own."""

    full: float
    least: float
    bottom: float
    factors: tuple[float, ...]

    @property
    def top(self) -> float:
        return self.full

    @classmethod
    def of(cls, channel: Channel, terms: Terms) -> Scale:
        usual = {"oxygen": 30.0}.get(channel.kind, 100.0 if channel.unit == "%LEL" else INF)
        full = channel.high if channel.high is not None else usual
        floor = -0.05 * full if channel.kind != "oxygen" and full < INF else 0.0
        least = channel.low if channel.low is not None and (channel.low > 0 or channel.low < floor) else floor
        return cls(full, least, max(0.0, least) if channel.low is None or channel.low <= 0 else channel.low, tuple(factors(channel, terms)))


def _over(limit: Limit, value: float) -> bool:
    return (limit.high is not None and value > limit.high) or (limit.low is not None and value < limit.low)


def _count(series: Series, at: int, value: float) -> None:
    """Notes what oxygen usually reads, by hours of a day."""
    hours, hour = series.usual, at // HOUR
    seen = hours.get(hour)
    if seen is None:
        seen = hours[hour] = {}
        while len(hours) > 24:
            del hours[min(hours)]
    centi = round(value * 100)
    seen[centi] = seen.get(centi, 0) + 1


def _usual(series: Series, at: int) -> float | None:
    """The median of the last day's readings, where there is an hour of them."""
    hours = [h for h in series.usual if h < at // HOUR]
    if not hours:
        return None
    counts: dict[int, int] = {}
    for h in hours:
        for centi, n in series.usual[h].items():
            counts[centi] = counts.get(centi, 0) + n
    half, so_far = sum(counts.values()) / 2, 0
    for centi in sorted(counts):
        so_far += counts[centi]
        if so_far >= half:
            return centi / 100
    return None


class Telemetry:
    """Takes frames and fixes in; keeps only what can be derived again (frame plans)."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.plans: dict[tuple[str, int, str], Plan] = {}
        self.sick = {tag for tag, series in known.site.series.items() if series.bad.over and series.bad.relieved(series.bad.over.last[-1]) is None}
        """Channels whose last reading was bad, as far as is known."""

    # ---- frames -------------------------------------------------------------------------------------------------

    def frame(self, entry: Entry, event: Frame, dirty: Dirty, ahead: bool = False) -> None:
        names = event.names
        if not names:
            return
        key = (entry.source, len(names), names[0])
        at = self.known.site.true(entry.source, event.at)
        plan, terms = self.plans.get(key), self.known.terms_at(at)
        if plan is None or plan.terms is not terms or plan.names != names:
            plan = self.plans[key] = Plan(self.known, entry.source, names, terms)
        if ahead:
            self._dangers(entry, event, plan, dirty)
            return
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
            self._sampled(entry.ref, at, event.values, plan, dirty)
        if plan.oxygen:
            self._oxygen(entry.ref, at, event.values, plan, dirty)
        if plan.placed != self.known.placed:
            self._bind(plan)
        for i, series in plan.bound:
            self._half(series, at, event.values[i], entry.ref)
        if self.sick and (mine := self.sick & plan.column.keys()):
            self._recovered(at, event, plan, mine, dirty)
        if event.units or not plan.quiet(event.values):
            self._readings(entry.ref, at, event, plan, dirty)

    def spoken(self, source: str) -> list[tuple[Spans, int]]:
        """What a source said last of its channels and of who is where, still so when it fell silent: (until when, what its clock showed then, ms)."""
        site, out = self.known.site, list[tuple[Spans, int]]()

        def so(spans: Spans, last: int) -> None:
            if spans and spans.last[-1] == last:
                out.append((spans, last + site.offset(source, last + site.offset(source, last)[0])[0]))

        for group, heard in site.frames.items():
            if heard and group.rpartition("#")[0] == source:
                for spans in (heard, site.live[group], *(spans for s in site.series.values() if group in s.groups for spans in s.spans())):
                    so(spans, heard.last[-1])
        for track in (track for work in site.works.values() for track in work.tracks.values()):
            if track.heard and track.heard.ref[-1].partition("/")[2].rsplit("/", 2)[0] == source:
                for spans in (track.heard, track.inside, track.outside, track.away):
                    so(spans, track.heard.last[-1])
        return out

    def corrected(self, source: str, spoken: list[tuple[Spans, int]], dirty: Dirty) -> None:
        """A source's clock turned out to be slower than was known: what it said last was so until it said it, and the time between is no silence."""
        site = self.known.site
        later = [(spans, now) for spans, shown in spoken if (now := site.true(source, shown)) > spans.last[-1] + SECOND]
        for spans, now in later:
            spans.last[-1] = now
        if later:
            for tag in (tag for tag, s in site.series.items() if any(group.rpartition("#")[0] == source for group in s.groups)):
                self._gas_changed(tag, dirty)
            dirty.update(("permit", permit, "guard") for permit, work in site.works.items() if work.tracks)

    def _dangers(self, entry: Entry, event: Frame, plan: Plan, dirty: Dirty) -> None:
        """A frame from the future counts for danger only, at its arrival; for everything else its channels are silent until the clock is corrected."""
        flagged = {tag: said for tag, said in event.bad.items() if said == OVER}
        if flagged or not plan.quiet(event.values):
            values = [v if event.names[i] in flagged or (v is not None and (m := plan.limits[i]) and _over(m, v)) else None for i, v in enumerate(event.values)]
            kept = msgspec.structs.replace(event, values=values, units={}, bad=flagged)
            self._readings(entry.ref, entry.seen, kept, plan, dirty, danger=True)

    def _bind(self, plan: Plan) -> None:
        """Which of its columns a permit is bound to now; of the others no half-minutes are kept."""
        site, atlas, plan.placed = self.known.site, self.known.atlas, self.known.placed
        plan.bound = []
        for i, series, tag in plan.gases:
            if series is None:
                continue
            if any(point in site.at_point for point in atlas.points_of_tag.get(tag, ())):
                plan.bound.append((i, series))
            else:
                series.halves.clear()

    @staticmethod
    def _half(series: Series, at: int, value: float | None, ref: str) -> None:
        if value is None or not -INF < value < HUGE:
            return
        half, halves = at // HALF, series.halves
        kept = halves.get(half)
        if kept is None:
            kept = halves[half] = []
            series.trend_ref = ref
            while len(halves) > KEEP:
                del halves[min(halves)]
        kept.append(max(value, 0.0))

    def _oxygen(self, ref: str, at: int, values: list[float | None], plan: Plan, dirty: Dirty) -> None:
        """Oxygen a little low, or a little high: told by samples, each of which may say that it is not."""
        poor, rich, sure, step = plan.bands
        for i, series, tag in plan.oxygen:
            value = values[i]
            if series is None or value is None or not 0 <= value < HUGE:
                continue
            high = value > sure or (value > rich and (usual := _usual(series, at)) is not None and value >= usual + step - 1e-9)
            if series.poor.add(at, value <= poor, value, ref) | series.rich.add(at, high, value, ref):
                self._gas_changed(tag, dirty)

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
                    dirty.update(("permit", permit, "process") for permit in self.known.site.works if channel.isolation in relied_on(self.known.site, permit))

    def _sampled(self, ref: str, at: int, values: list[float | None], plan: Plan, dirty: Dirty) -> None:
        site, atlas, minute = self.known.site, self.known.atlas, at // MINUTE
        for i, series, tag in plan.gases:
            value = values[i]
            if value is None or series is None or not -HUGE < value < HUGE:
                continue
            series.constant.add(at, value, ref)
            if (scale := plan.scales[i]) is not None and value > 2 * scale.full:
                continue
            low = value < 0 and scale is not None and scale.least <= value
            if not low and series.below.over and series.below.add(at, False, 0.0, ref):
                dirty.add(("channel", tag, "gas"))
            value = 0.0 if low else value
            trace = series.trace
            if minute not in trace or at < trace[minute][0]:
                trace[minute] = (at, value)
                most = TRACE if len(trace) > SHORT and any(point in site.at_point for point in atlas.points_of_tag.get(tag, ())) else SHORT
                while len(trace) > most:
                    del trace[min(trace)]
        for i, series, _ in plan.oxygen:
            value = values[i]
            if series is not None and value is not None and 0 <= value < 100:
                _count(series, at, value)

    def _readings(self, ref: str, at: int, event: Frame, plan: Plan, dirty: Dirty, danger: bool = False) -> None:
        late = bool(plan.cover.last) and at < plan.cover.last[-1]
        for i, (name, said, limit, series, scale) in enumerate(zip(plan.names, event.values, plan.limits, plan.series, plan.scales, strict=True)):
            if series is None or (danger and said is None and name not in event.bad):
                continue
            value = said if said is None or abs(said) < HUGE else None
            over = scale is not None and (event.bad.get(name) == OVER or (value is not None and value > scale.full))
            if event.units and self._other_unit(event, name):
                changed = series.units.add(at, value or 0.0, ref) | self._bad(series, at, ref, name) | late
            elif over and scale and not (value is not None and value > 2 * scale.full and self._flipped(plan, i, at, value, event)):
                top = max(value or 0.0, scale.full if scale.full < INF else 0.0, limit.high if limit and limit.high is not None else 0.0)
                changed = limit is not None and self._reading(series, at, top, ref, limit, plan.widths[i], late, sure=True)
                self._alarm(name, series, at, top, ref, plan.alarm[i], late, dirty)
            elif value is None:
                changed = self._bad(series, at, ref, name) | late
            elif over or (scale is not None and value < scale.least):
                changed = series.wild.add(at, value, ref) | self._bad(series, at, ref, name) | late
            else:
                if scale is not None and value < 0:
                    if series.below.add(at, True, -value, ref):
                        dirty.add(("channel", name, "gas"))
                    value = 0.0
                if limit is None:
                    continue
                changed = self._reading(series, at, value, ref, limit, plan.widths[i], late)
                self._alarm(name, series, at, value, ref, plan.alarm[i], late, dirty)
            if changed:
                self._gas_changed(name, dirty)

    def _alarm(self, name: str, series: Series, at: int, value: float, ref: str, level: float, late: bool, dirty: Dirty) -> None:
        if value >= level and (series.alarm.add(at, value, ref) or late):
            dirty.add(("area", self.known.atlas.channels[name].area, "gas"))

    def _flipped(self, plan: Plan, i: int, at: int, value: float, event: Frame) -> bool:
        """Beyond twice full scale: is it another unit (S65)? As many times what it read as two units differ, harmless in that unit, and no neighbour has risen."""
        channel, scale, limit, series = plan.channels[i], plan.scales[i], plan.limits[i], plan.series[i]
        if channel is None or scale is None or limit is None or series is None or scale.full == INF:
            return False
        if series.flip and series.wild and at - series.wild.last[-1] <= series.wild.join:
            return not _over(limit, value / series.flip) and not self._risen(channel, at, plan, event, scale)
        before = [v for t, v in series.trace.values() if at - 10 * MINUTE <= t < at]
        times = [t for t, _ in series.trace.values() if at - 10 * MINUTE <= t < at]
        if not times or max(times) - min(times) < 4 * MINUTE or (usual := median(before)) <= 0.01 * scale.full:
            return False
        factor = next((f for f in scale.factors if abs(value / usual / f - 1) <= 0.1), None)
        flipped = factor is not None and not _over(limit, value / factor) and not self._risen(channel, at, plan, event, scale)
        series.flip = factor if flipped and factor else 0.0
        return flipped

    def _risen(self, channel: Channel, at: int, plan: Plan, event: Frame, scale: Scale) -> bool:
        """Has another channel of the same kind within thirty metres risen by a twentieth of full scale in two minutes?"""
        here = dict(zip(plan.names, event.values, strict=True))
        for tag in self.known.atlas.beside(channel.tag):
            other, series = self.known.atlas.channels[tag], self.known.site.series.get(tag)
            if other.kind != channel.kind or series is None:
                continue
            recent = [v for t, v in series.trace.values() if at - 3 * MINUTE <= t <= at]
            now = here.get(tag)
            latest = [v for v in (now, *recent) if v is not None]
            if latest and recent and max(latest) - min(recent) >= 0.05 * (scale.full if scale.full < INF else 100.0):
                return True
        return False

    def _bad(self, series: Series, at: int, ref: str, tag: str) -> bool:
        self.sick.add(tag)
        return series.bad.add(at, True, 0.0, ref)

    def _recovered(self, at: int, event: Frame, plan: Plan, sick: set[str], dirty: Dirty) -> None:
        """The first good reading after a bad one ends what was bad, whichever source sends it."""
        for tag in sorted(sick):
            i = plan.column[tag]
            value, series, scale = event.values[i], plan.series[i], plan.scales[i]
            good = value is not None and (scale is None or scale.least <= value <= scale.full) and not self._other_unit(event, tag) and tag not in event.bad
            if series is None or (good and (not series.bad.over or at > series.bad.over.last[-1])):
                self.sick.discard(tag)
            if series is not None and good and series.bad.add(at, False, 0.0, ""):
                self._gas_changed(tag, dirty)

    def _other_unit(self, event: Frame, name: str) -> bool:
        channel = self.known.atlas.channels[name]
        said = event.units.get(name)
        return said is not None and unit_of(said, channel.gas) != channel.unit and said != channel.unit

    @staticmethod
    def _reading(series: Series, at: int, value: float, ref: str, limit: Limit, width: float, late: bool, sure: bool = False) -> bool:
        """Is a rule to look again? `late`: a later one was heard before, and what stood may have ended since; `sure`: beyond the instrument's range, so beyond the limit."""
        over = sure or _over(limit, value)
        near = limit.warn is not None and value >= limit.warn
        changed = series.over.add(at, value, ref) if over else False
        if over or (limit.high is not None and value > limit.high - width) or (limit.low is not None and value < limit.low + width):
            changed = series.band.add(at, value, ref) | changed | late
        return (series.near.add(at, value, ref) | late if near else False) or changed

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
        watched, seen = site.watched, site.seen
        for i, worker in enumerate(event.workers):
            if (last := seen.get(worker)) is None or last[0] < event.at:
                seen[worker] = event.at, event.x[i], event.y[i], event.z[i], event.acc[i]
            for permit in watched.get(worker, ()):
                self.fix(permit, worker, event, i, ref, dirty)
        if self.known.atlas.zones:
            self._zones(ref, event, dirty)

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

    def fix(self, permit: str, worker: str, event: Positions, i: int, ref: str, dirty: Dirty) -> None:
        """One fix of somebody whose position matters for a permit."""
        course, at = self.known.course(permit), event.at
        point, approval = course.point, course.approval
        if point is None:
            return
        away = math.dist((event.x[i], event.y[i], event.z[i]), (point.x, point.y, point.z))
        if worker in [post.worker for post in course.posts]:
            work = self.known.work(permit)
            track = work.tracks.get(worker)
            if track is None:
                track = work.tracks[worker] = new_track()
            outside = away - 2 * event.acc[i] > point.radius
            heard = track.heard.add(at, 0.0, ref)
            if (track.outside if outside else track.inside).add(at, away, ref) or heard:
                dirty.add(("permit", permit, "guard"))
            zone = self.known.atlas.zones.get(point.space) if point.space else None
            if zone is not None and _outside(zone, event.x[i], event.y[i]) > 2 * event.acc[i] and track.away.add(at, 0.0, ref):
                dirty.add(("permit", permit, "guard"))
        if approval is not None and approval.by == worker and course.issued is not None:
            self._sign(course.issued, permit, event.at, event.acc[i], away, dirty)

    def last_seen(self, permit: str, worker: str, dirty: Dirty) -> None:
        """Where a signer was last seen, if that was before what is kept of everybody's fixes."""
        course, seen = self.known.course(permit), self.known.site.seen.get(worker)
        if seen and course.issued is not None and course.point is not None:
            self._sign(course.issued, permit, seen[0], seen[4], math.dist(seen[1:4], (course.point.x, course.point.y, course.point.z)), dirty)

    def _sign(self, issued: Stamp, permit: str, at: int, acc: float, away: float, dirty: Dirty) -> None:
        """Where the signer was when he signed: the fix that is nearest to it in time; how old it may be is the rule's to say."""
        work = self.known.work(permit)
        fresh = Signing(away, acc, abs(at - issued.at))
        old = work.signing
        if fresh.apart <= HOUR and (old is None or (fresh.apart, fresh.away) < (old.apart, old.away)):
            work.signing = fresh
            dirty.add(("permit", permit, "guard"))
