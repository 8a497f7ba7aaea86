"""The fold: one accepted event into what is known of a site, and which subjects may now be judged differently."""

from __future__ import annotations

import math
import zlib
from bisect import insort
from collections.abc import Iterator
from operator import gt

from streams.course import Course
from streams.events import (
    Action,
    CameraBeat,
    Certificate,
    Clip,
    ClockSaid,
    Detection,
    Entry,
    Frame,
    GasTest,
    Guard,
    PlantSaid,
    Positions,
    Requested,
    Scan,
    Step,
    Worker,
)  # fmt: skip
from streams.rules.limits import CONFINED, limit_of
from streams.rules.rule import Cause, Known, Subject
from streams.spans import Spans
from streams.times import MINUTE
from streams.work import JOIN_FRAME, RECENT, Fact, Series, Signing, Work, fact_of, new_series, new_sightings, new_track, remember

Dirty = set[tuple[Subject, str, Cause]]

WORK_SEEN = frozenset({"welding", "cutting", "grinding", "flame", "hot_work"})
"""Behaviours that are hot work when a camera sees them."""
SURE = 0.8
INF = math.inf


class Plan:
    """How frames of one shape are read: which columns matter and beyond which value a reading is looked at closely."""

    def __init__(self, known: Known, source: str, names: list[str]) -> None:
        self.names = names
        self.group = f"{source}#{zlib.crc32(' '.join(names).encode()):08x}"
        site, pack = known.site, known.site.plant.pack if known.site.plant else "GB"
        self.cover = site.frames.setdefault(self.group, Spans(JOIN_FRAME))
        channels = [known.atlas.channels.get(name) for name in names]
        limits = [limit_of(c, pack) if c else None for c in channels]
        self.limits = limits
        self.series: list[Series | None] = [_series(known, c.tag, self.group) if c else None for c in channels]
        lowest = [min((x for x in (m.warn, m.high) if x is not None), default=INF) if m else INF for m in limits]
        self.above = [math.nextafter(x, -INF) if x < INF else INF for x in lowest]
        self.below = [(i, m.low) for i, m in enumerate(limits) if m and m.low is not None]

    def quiet(self, values: list[float | None]) -> bool:
        """Is every value present and unremarkable? The common case, at C speed."""
        try:
            return not any(map(gt, values, self.above)) and not any(values[i] < low for i, low in self.below)  # type: ignore[arg-type, operator]
        except TypeError:
            return False


def _series(known: Known, tag: str, group: str) -> Series:
    series = known.site.series.get(tag)
    if series is None:
        series = known.site.series[tag] = new_series()
    if group not in series.groups:
        series.groups.append(group)
        series.groups.sort()
    return series


def _list(table: dict[str, list[str]], name: str, permit: str) -> bool:
    """Notes a permit under a name, in order; False if it stood there."""
    permits = table.setdefault(name, [])
    if permit in permits:
        return False
    insort(permits, permit)
    return True


class Fold:
    """Folds events into a `Known` site; keeps only what can be derived again (frame plans)."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.plans: dict[tuple[str, int, str], Plan] = {}

    def take(self, entry: Entry) -> Dirty:
        """Takes one event in; returns what it may have changed."""
        event, dirty = entry.event, set[tuple[Subject, str, Cause]]()
        match event:
            case Frame():
                self._frame(entry, event, dirty)
            case Positions():
                self._positions(entry.ref, event, dirty)
            case Requested() | GasTest() | Step() | Guard():
                self._permit(fact_of(entry), event, dirty)
            case Detection():
                self._detection(entry, event, dirty)
            case CameraBeat() | Clip():
                self._camera(entry, event, dirty)
            case Scan() | Worker() | Certificate():
                self._person(fact_of(entry), event, dirty)
            case ClockSaid():
                if remember(self.known.site.clocks.setdefault(event.device, []), fact_of(entry)):
                    self._clock_changed(event.device, dirty)
            case PlantSaid():
                self._plant(entry, event, dirty)
            case Action():
                if event.action == "acknowledge":
                    self.known.site.acks.setdefault(event.alert, fact_of(entry))
            case _:
                pass
        return dirty

    # ---- telemetry ----------------------------------------------------------------------------------------------

    def _frame(self, entry: Entry, event: Frame, dirty: Dirty) -> None:
        names = event.names
        if not names:
            return
        key = (entry.source, len(names), names[0])
        plan = self.plans.get(key)
        if plan is None or plan.names != names:
            plan = self.plans[key] = Plan(self.known, entry.source, names)
        at = event.at - self.known.site.offset(entry.source)[0]
        plan.cover.add(at)
        if not plan.quiet(event.values):
            self._readings(entry.ref, at, event, plan, dirty)

    def _readings(self, ref: str, at: int, event: Frame, plan: Plan, dirty: Dirty) -> None:
        for name, value, limit, series in zip(plan.names, event.values, plan.limits, plan.series, strict=True):
            if series is None:
                continue
            if value is None:
                changed = series.bad.add(at, 0.0, ref)
            elif limit is None:
                continue
            else:
                changed = self._reading(series, at, value, ref, limit)
            if changed:
                self._gas_changed(name, dirty)

    @staticmethod
    def _reading(series: Series, at: int, value: float, ref: str, limit) -> bool:  # type: ignore[no-untyped-def]
        over = (limit.high is not None and value > limit.high) or (limit.low is not None and value < limit.low)
        near = limit.warn is not None and value >= limit.warn
        changed = series.over.add(at, value, ref) if over else False
        return (series.near.add(at, value, ref) if near else False) or changed

    def _gas_changed(self, tag: str, dirty: Dirty) -> None:
        dirty.add(("channel", tag, "gas"))
        for point in self.known.atlas.points_of_tag.get(tag, ()):
            dirty.update(("permit", permit, "gas") for permit in self.known.site.at_point.get(point, ()))

    def _positions(self, ref: str, event: Positions, dirty: Dirty) -> None:
        site = self.known.site
        site.recent.append((ref, event))
        if event.at < site.now - RECENT:
            site.recent.sort(key=lambda pair: pair[1].at)
        while site.recent and site.recent[0][1].at < site.now - RECENT:
            del site.recent[0]
        for i, worker in enumerate(event.workers):
            for permit in site.watched.get(worker, ()):
                self._fix(permit, worker, event, i, ref, dirty)

    def _fix(self, permit: str, worker: str, event: Positions, i: int, ref: str, dirty: Dirty) -> None:
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
        self._sign(course, work, worker, event, i, away, dirty)

    def _sign(self, course: Course, work: Work, worker: str, event: Positions, i: int, away: float, dirty: Dirty) -> None:
        issued = work.first("issued")
        if issued is None or course.issued is None or issued.event.by != worker:  # type: ignore[union-attr]
            return
        fresh = Signing(away, event.acc[i], abs(event.at - course.issued.at))
        old = work.signing
        if fresh.apart <= 10 * MINUTE and (old is None or (fresh.apart, fresh.away) < (old.apart, old.away)):
            work.signing = fresh
            dirty.add(("permit", work.permit, "guard"))

    # ---- permits ------------------------------------------------------------------------------------------------

    def _permit(self, fact: Fact, event: Requested | GasTest | Step | Guard, dirty: Dirty) -> None:
        site = self.known.site
        work = site.work(event.permit)
        name = {Requested: "permit.requested", GasTest: "permit.gas_test", Guard: "guard"}.get(type(event)) or event.step  # type: ignore[union-attr]
        if not work.add(name, fact):
            return
        self.known.courses.pop(event.permit, None)
        if isinstance(event, Requested):
            self._place(event)
        self._watch(work)
        dirty.add(("permit", event.permit, "permit"))
        course = self.known.course(event.permit)
        dirty.add(("point", course.point_id, "permit"))
        if course.request:
            people = {*course.request.workers, *course.request.guardians}
            dirty.update(("scan", w, "permit") for w in people if w in site.people and site.people[w].scans)
        tags = course.point.detectors if course.point else ()
        dirty.update(("channel", tag, "gas") for tag in tags if isinstance(event, Step))

    def _place(self, event: Requested) -> None:
        """A permit stands at the point of its last request."""
        site = self.known.site
        last = site.works[event.permit].last("permit.requested")
        point = last.event.point if last and isinstance(last.event, Requested) else event.point
        for permits in site.at_point.values():
            if event.permit in permits:
                permits.remove(event.permit)
        _list(site.at_point, point, event.permit)
        for worker in {*event.workers, *event.guardians}:
            _list(site.named, worker, event.permit)

    def _watch(self, work: Work) -> None:
        """Those whose position matters for this permit: its guardians and its signer."""
        site, course = self.known.site, self.known.course(work.permit)
        issued = work.first("issued")
        signer = {issued.event.by} if issued and issued.event.by else set()  # type: ignore[union-attr]
        for worker in sorted({p.worker for p in course.posts} | signer):
            if _list(site.watched, worker, work.permit):
                self._look_back(work.permit, worker)

    def _look_back(self, permit: str, worker: str) -> None:
        dirty: Dirty = set()
        for ref, event in self.known.site.recent:
            if worker in event.workers:
                self._fix(permit, worker, event, event.workers.index(worker), ref, dirty)

    # ---- cameras, people, the plant itself ----------------------------------------------------------------------

    def _detection(self, entry: Entry, event: Detection, dirty: Dirty) -> None:
        site = self.known.site
        site.camera(event.camera).heard.add(event.at, 0.0, entry.ref)
        if event.behaviour not in WORK_SEEN or event.confidence < SURE or event.phase == "end":
            return
        points = [event.point] if event.point else self.known.atlas.points_of_camera.get(event.camera, [])
        for point in points:
            cameras = site.sightings.setdefault(point, {})
            if cameras.setdefault(event.camera, new_sightings()).add(event.at, event.confidence, entry.ref):
                self._seen_changed(point, dirty)

    def _seen_changed(self, point: str, dirty: Dirty) -> None:
        dirty.add(("point", point, "seen"))
        for permit in self.known.site.at_point.get(point, ()):
            self.known.courses.pop(permit, None)
            dirty.add(("permit", permit, "seen"))

    def _camera(self, entry: Entry, event: CameraBeat | Clip, dirty: Dirty) -> None:
        camera = self.known.site.camera(event.camera)
        if not camera.ref or entry.ref < camera.ref:
            camera.ref = entry.ref
        if isinstance(event, Clip):
            changed = event.medium == "video" and camera.clips.add(event.at, event.until)
        else:
            camera.heard.add(event.at, 0.0, entry.ref)
            changed = event.recording is not None and (camera.on if event.recording else camera.off).add(event.at, 0.0, entry.ref)
        if changed:
            self._points_changed(event.camera, "video", dirty)

    def _points_changed(self, camera: str, cause: Cause, dirty: Dirty) -> None:
        for point in self.known.atlas.points_of_camera.get(camera, ()):
            dirty.add(("point", point, cause))
            dirty.update(("permit", permit, cause) for permit in self.known.site.at_point.get(point, ()))

    def _clock_changed(self, device: str, dirty: Dirty) -> None:
        dirty.add(("device", device, "clock"))
        self.known.courses.clear()
        if device in self.known.atlas.points_of_camera:
            self._points_changed(device, "clock", dirty)
        else:
            dirty.update(("permit", permit, "clock") for permit in self.known.site.works)

    def _person(self, fact: Fact, event: Scan | Worker | Certificate, dirty: Dirty) -> None:
        person = self.known.site.person(event.worker)
        match event:
            case Scan():
                changed = remember(person.scans, fact)
                for permit in list(self._entered(event)):
                    self.known.courses.pop(permit, None)
                    dirty.add(("permit", permit, "seen"))
            case Certificate():
                changed = remember(person.certificates, fact)
            case Worker():
                changed, person.crew, person.trades = True, event.crew, sorted(event.trades)
        if changed:
            dirty.add(("scan", event.worker, "scan" if isinstance(event, Scan) else "roster"))

    def _entered(self, event: Scan) -> Iterator[str]:
        door = self.known.atlas.doors.get(event.door)
        for point in door.points if door else ():
            for course in self.known.at(point):
                if course.type == CONFINED and course.request and event.worker in course.request.workers:
                    yield course.permit

    def _plant(self, entry: Entry, event: PlantSaid, dirty: Dirty) -> None:
        site = self.known.site
        site.plant, site.plant_ref = event.plant, entry.ref
        site.began = site.began or event.at
        self.plans.clear()
        self.known.courses.clear()
        dirty.update(("permit", permit, "permit") for permit in site.works)
        dirty.update(("channel", channel.tag, "gas") for channel in event.plant.channels)
