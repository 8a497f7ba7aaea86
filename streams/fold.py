"""The fold: one accepted event into what is known of a site, and which subjects may now be judged differently."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from streams import events as e
from streams.clocks import SLACK, moved
from streams.course import Course
from streams.events import Any_, Entry, Requested
from streams.lives import OVER, TOOLS, TURNING, begun, name_of, number_of, parted, subject_of, with_what_was_said
from streams.packs import Pack
from streams.plant import plant_terms
from streams.rules.limits import CONFINED, HOT, family
from streams.rules.rule import Cause, Known, Subject
from streams.sound import sound_pack, sound_plant
from streams.spans import Spans
from streams.telemetry import Dirty, Telemetry
from streams.times import MINUTE
from streams.work import JOIN_SIGHT, Fact, Force, Shown, Ticket, Work, fact_of, kept_in, new_comer, new_sightings, new_winds, relied_on, remember, untake

WORK_SEEN = frozenset({"welding", "cutting", "grinding", "flame", "hot_work"})
"""Behaviours that are hot work when a camera sees them."""
ALARMING = frozenset({"fire", "smoke", "fall", "no_helmet", "no_harness", "no_goggles", "no_mask", "smoking", "barrier_missing", "phone", "under_load"})
"""Behaviours that are findings of their own."""
PERMIT_EVENTS = {e.Requested: "permit.requested", e.GasTest: "permit.gas_test", e.Guard: "guard"}
HOUR = 60 * MINUTE


def _list(table: dict[str, list[str]], name: str, permit: str) -> bool:
    """Notes a permit under a name, in order; False if it stood there."""
    permits = table.setdefault(name, [])
    if permit in permits:
        return False
    insort(permits, permit)
    return True


class Fold:
    """Folds events into a `Known` site."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.telemetry = Telemetry(known)
        self.single: dict[type, Callable[[Fact, Any, Dirty], None]] = {
            e.Requested: self._permit, e.GasTest: self._permit, e.Step: self._permit, e.Guard: self._permit, e.Isolation: self._isolation,
            e.Scan: self._person, e.Worker: self._person, e.Certificate: self._person, e.HrChange: self._person, e.Authorisation: self._person,
            e.Record: self._person, e.TagSaid: self._person, e.ClockSaid: self._clock, e.DeviceSaid: self._device, e.EquipmentSaid: self._equipment,
            e.Activity: self._activity, e.Production: self._production, e.Hazard: self._hazard, e.Contractor: self._contractor, e.Registry: self._registry,
            e.Weather: self._weather, e.OfficialWarning: self._warning, e.SpecialTime: self._special, e.PackSaid: self._pack, e.ChainSaid: self._chain,
            e.Probe: self._probe, e.Decided: self._decided, e.Action: self._action, e.Done: self._done, e.PlantSaid: self._plant,
        }  # fmt: skip

    def take(self, entry: Entry, ahead: bool = False) -> Dirty:
        """Takes one event in; returns what it may have changed. `ahead`: it came from the future."""
        event, dirty = entry.event, Dirty()
        kind = type(event)
        if kind is e.Frame:
            self.telemetry.frame(entry, event, dirty, ahead)  # type: ignore[arg-type]
        elif kind is e.Positions:
            self.telemetry.positions(entry.ref, event, dirty)  # type: ignore[arg-type]
        elif kind is e.CameraBeat:
            self._beat(entry, event, dirty)  # type: ignore[arg-type]
        elif kind is e.Detection:
            self._detection(entry, event, dirty)  # type: ignore[arg-type]
        elif kind is e.Clip:
            self._clip(fact_of(entry, ahead), event, dirty)  # type: ignore[arg-type]
        elif take := self.single.get(kind):
            take(fact_of(entry, ahead), event, dirty)
        if kind in CAREFUL and entry.lane == "live":
            self._lateness(entry, event, dirty)
        return dirty

    def corrected(self, source: str) -> Dirty:
        """The facts by which a source's clock was found to tell local time, corrected like those to come."""
        site, dirty = self.known.site, Dirty()
        lead = site.leads[source]
        for ref in lead.refs:
            for fact, event in [(f, f.event) for f in self._named(ref)]:
                seen = fact.seen
                self._untake(ref)
                at = next((seen + ahead - lead.shift for r, ahead in zip(lead.refs, lead.leads, strict=True) if r == ref), event.at)
                kept = Fact(ref, fact.source, fact.seq, seen, msgspec.structs.replace(event, at=at, u=lead.u, **moved(event, lead.shift)), unread=fact.unread)
                if take := self.single.get(type(event)):
                    take(kept, kept.event, dirty)
        lead.refs = []
        return dirty

    def _named(self, ref: str) -> list[Fact]:
        return [f for facts in kept_in(self.known.site) for f in facts if f.ref == ref][:1]

    def _untake(self, ref: str) -> None:
        """Takes a fact out again."""
        untake(self.known.site, ref)
        self.known.courses.clear()

    # ---- permits ------------------------------------------------------------------------------------------------

    def _permit(self, fact: Fact, event: e.Requested | e.GasTest | e.Step | e.Guard, dirty: Dirty) -> None:
        site = self.known.site
        number, name = number_of(event.permit), PERMIT_EVENTS.get(type(event)) or event.step  # type: ignore[union-attr]
        ticket = site.ticket(number)
        if not remember(ticket.facts, fact):
            self._again(fact, dirty)
            return
        if isinstance(event, e.Step) and event.by and event.by in site.people:
            self._used(event.by, event.at)
            dirty.add(("worker", event.by, "scan"))
        for life in self._settled(number, ticket, name, fact, dirty):
            self._said(subject_of(number, life), name, fact, event, dirty)
        if name in TOOLS:
            dirty.update(("permit", subject, "permit") for life in range(1, ticket.lives + 1) if (subject := subject_of(number, life)) in site.works)

    def _settled(self, number: str, ticket: Ticket, name: str, fact: Fact, dirty: Dirty) -> list[int]:
        """The lives in which a fact counts; where it makes, moves or ends one, all are read anew."""
        ticket.over = ticket.over or name in OVER
        if name in TURNING and not ticket.bent:
            ticket.bent = any(f.source == fact.source and (f.seq < fact.seq) != (f.order < fact.order) and f.event.at != fact.event.at and name_of(f) in TURNING for f in ticket.facts)
        if not ticket.over and not ticket.bent:
            self.known.site.work(subject_of(number, ticket.earlier + 1)).add(name, fact)
            return [ticket.earlier + 1]
        return self._part(number, ticket, fact, dirty)

    def _part(self, number: str, ticket: Ticket, fact: Fact, dirty: Dirty) -> list[int]:
        lives, before, changed = parted(ticket.facts), dict[str, list[Fact]](), list[int]()
        ticket.lives = max(lives) + ticket.earlier
        for life, own in sorted((n + ticket.earlier, own) for n, own in lives.items()):
            mine, carried = with_what_was_said(own, before)
            before = mine
            if life <= ticket.gone:
                continue
            work = self.known.site.work(subject_of(number, life))
            turns = [f.ref for f in own if name_of(f) in TURNING] if ticket.bent else []
            if (work.facts, work.carried, work.turns) != (mine, carried, turns):
                work.facts, work.carried, work.turns, work.began = mine, carried, turns, begun(own) if life > ticket.earlier + 1 else 0
                changed.append(life)
        self._gone_lives(number, ticket.lives, dirty)
        return changed

    def _gone_lives(self, number: str, lives: int, dirty: Dirty) -> None:
        """A late fact may show that a life never was."""
        site, life = self.known.site, lives + 1
        while (subject := subject_of(number, life)) in site.works:
            site.works[subject].facts = {}
            self.known.courses.pop(subject, None)
            dirty.update(("permit", subject, cause) for cause in ("permit", "prepared", "tested"))
            life += 1

    def _said(self, subject: str, name: str, fact: Fact, event: e.Requested | e.GasTest | e.Step | e.Guard, dirty: Dirty) -> None:
        """What a fact changes in one life of its permit."""
        site, work = self.known.site, self.known.site.works[subject]
        if name in PREPARED and not work.began:
            dirty.add(("permit", subject, "prepared"))
            return
        self.known.courses.pop(subject, None)
        match event:
            case e.GasTest():
                self._compare(fact, event, work)
                self._typed(fact, event, dirty)
            case e.Step(step="issued") if event.by:
                row = (event.at, subject, fact.ref)
                signed = site.signed.setdefault(event.by, [])
                if all(r[2] != fact.ref for r in signed):
                    insort(signed, row)
                dirty.add(("worker", event.by, "evidence"))
        if work.all("permit.requested") and (isinstance(event, Requested) or work.began):
            for left in self._place(work):
                self._place_changed(left, subject, dirty)
        self._watch(work)
        for worker in self.known.course(subject).everybody:
            _list(site.named, worker, subject)
        self._permit_changed(subject, event, dirty)
        if work.began:
            dirty.update(("permit", subject, cause) for cause in ("prepared", "tested", "guard"))

    def _permit_changed(self, permit: str, event: e.Requested | e.GasTest | e.Step | e.Guard, dirty: Dirty) -> None:
        """A gas test and a guardian's turn concern the rules about them; every other fact all rules of its permit, and some of its neighbours'."""
        if isinstance(event, e.GasTest):
            dirty.add(("permit", permit, "tested"))
            return
        if isinstance(event, e.Guard):
            dirty.add(("permit", permit, "guard"))
            dirty.update(("worker", w, "permit") for w in (event.worker, event.to) if (p := self.known.site.people.get(w)) and p.scans)
            self._posts_changed(permit, dirty)
            return
        site, course = self.known.site, self.known.course(permit)
        dirty.update({("permit", permit, "permit"), ("point", course.point_id, "permit")})
        if course.point_id in site.sights:
            dirty.add(("point", course.point_id, "evidence"))
        if course.request is None:
            return
        dirty.update(("worker", w, "permit") for w in course.everybody if (p := site.people.get(w)) and (p.scans or p.records))
        self._posts_changed(permit, dirty)
        if isinstance(event, Requested) or (isinstance(event, e.Step) and event.step in TURNS):
            if course.point:
                dirty.update(("channel", tag, "gas") for tag in course.point.detectors)
            since = 0 if isinstance(event, Requested) else _earliest(course)
            causes: tuple[Cause, ...] = ("near", "asked") if isinstance(event, Requested) or event.step in CLOSING else ("near",)
            dirty.update(("permit", other, cause) for other in self._concerned(course, causes) if not self._over_before(other, since) for cause in causes)
            dirty.add(("permit", permit, "asked"))
            dirty.update(("permit", other, cause) for linked in course.request.linked if (other := site.latest(linked)) in site.works for cause in ("near", "asked"))
            if course.request.contractor:
                dirty.add(("contractor", course.request.contractor, "permit"))
            self._kin_changed(course, dirty)

    def _kin_changed(self, course: Course, dirty: Dirty) -> None:
        """What cameras and doors show at a place belongs to the permit there that is at work: another permit's start or end may make it this one's."""
        site, atlas = self.known.site, self.known.atlas
        if course.type in HOT and course.point_id in site.sightings:
            self._place_changed(course.point_id, course.permit, dirty)
        if any(site.visitors.get(door) for door in atlas.doors_of_point.get(course.point_id, ())):
            over = [c for c in self._others(course.point_id, course.permit) if c.type == CONFINED or c.over_at is not None or (c.valid_to or 0) < site.now]
            self._read_anew(over, dirty)

    def _place_changed(self, point: str, permit: str, dirty: Dirty) -> None:
        """The hot work at a point that is not over, but for one permit, is read anew."""
        self._read_anew([c for c in self._others(point, permit) if c.type in HOT and c.over_at is None and c.finished is None], dirty)

    def _others(self, point: str, permit: str) -> Iterator[Course]:
        """The courses at a point of other permits, as far as they were over less than half a day ago."""
        courses = (self.known.course(other) for other in self.known.site.at_point.get(point, ()) if other != permit)
        return (c for c in courses if c.request is not None and (c.over_at is None or c.over_at > self.known.site.now - RECENT))

    def _read_anew(self, courses: list[Course], dirty: Dirty) -> None:
        for course in courses:
            self.known.courses.pop(course.permit, None)
            dirty.add(("permit", course.permit, "permit"))

    def _concerned(self, course: Course, causes: tuple[Cause, ...]) -> Iterator[str]:
        """The permits nearby that may be judged differently because of this one: of two that conflict the later one says so; a duplicate is told of the later request."""
        families = INTERPLAY.get(course.family, EVERY) | ({course.family} if "asked" in causes else frozenset())
        begun = course.span[0] if course.span else None
        for point in self.known.atlas.near(course.point_id) or [course.point_id]:
            there = self.known.by_family.get(point, {})
            for name in sorted(families & there.keys()):
                for other in there[name]:
                    theirs = self.known.course(other)
                    later = theirs.span is not None and begun is not None and (theirs.span[0], other) > (begun, course.permit)
                    asked = "asked" in causes and theirs.request is not None and course.request is not None and theirs.request.at >= course.request.at
                    painted = course.type in HOT and theirs.type == CONFINED and theirs.point is not None and course.point is not None and theirs.point.space == course.point.space != ""
                    if other != course.permit and (later or asked or painted):
                        yield other

    def _over_before(self, permit: str, since: int) -> bool:
        over = self.known.course(permit).over_at
        return over is not None and over < since

    def around(self, dirty: Dirty) -> tuple[set[tuple[Subject, str]], set[tuple[Subject, str]]]:
        """Whoever may be judged otherwise because of what came late: (the permits that it concerns, their points, the people; the permits near them, with the same people or linked to them, and who works there)."""
        site, atlas, near = self.known.site, self.known.atlas, set[tuple[Subject, str]]()
        concerned = {name for subject, name, _ in dirty if subject == "permit" and name in site.works}
        points = {name for subject, name, _ in dirty if subject == "point"} | {self.known.course(p).point_id for p in concerned}
        permits = set(concerned)
        for point in sorted(points):
            for there in atlas.near(point) or [point]:
                permits.update([p for p in site.at_point.get(there, ()) if not self._over_before(p, site.now - RECENT)][-CROWD:])
        for permit in sorted(permits):
            course = self.known.course(permit)
            near.add(("permit", permit))
            for post in course.posts:
                near.update(("permit", other) for other in site.watched.get(post.worker, ())[-CROWD:])
            doors = atlas.doors_of_point.get(course.point_id, ())
            near.update(("worker", who) for who in course.everybody.union(*(site.visitors.get(door, ()) for door in doors)) if who in site.people)
        own: set[tuple[Subject, str]] = {(subject, name) for subject, name, _ in dirty if subject == "worker"}
        return own | {("permit", p) for p in concerned} | {("point", p) for p in points}, near

    def _posts_changed(self, permit: str, dirty: Dirty) -> None:
        """Whoever guards here and elsewhere may be at two posts at once, here and there."""
        here = self.known.course(permit)
        for post in here.posts:
            others = [(other, self.known.course(other)) for other in self.known.site.watched.get(post.worker, ())]
            dirty.update(("permit", other, "post") for other, c in others if c.started is not None and (c.point_id != here.point_id or other == permit))

    def _compare(self, fact: Fact, event: e.GasTest, work: Work) -> None:
        """Keeps what the bound detectors read around the sampling time."""
        point, minute = self.known.course(work.permit).point, event.at // MINUTE
        for tag in point.detectors if point else ():
            series = self.known.site.series.get(tag)
            near = [v for m in (minute - 1, minute, minute + 1) if series and m in series.trace for t, v in (series.trace[m],) if abs(t - event.at) <= MINUTE * 3 // 2]
            if near:
                work.beside.setdefault(fact.ref, {})[tag] = near

    def _typed(self, fact: Fact, event: e.GasTest, dirty: Dirty) -> None:
        if event.method != "manual" or not event.analyst:
            return
        typed = self.known.site.analysts.setdefault(event.analyst, [])
        insort(typed, fact, key=lambda f: f.order)
        del typed[:-20]
        dirty.add(("worker", event.analyst, "evidence"))

    def _place(self, work: Work) -> list[str]:
        """A permit stands at the point of its last request; returns where it stood before."""
        site = self.known.site
        asked = work.last("permit.requested")
        event = asked.event if asked else None
        assert isinstance(event, Requested)
        known = self.known.atlas.point(event.point)
        here = known.id if known else event.point
        moved = [p for p, permits in site.at_point.items() if p != here and work.permit in permits]
        for point in moved:
            site.at_point[point].remove(work.permit)
            self.known.left(point, work.permit)
            if not site.at_point[point]:
                del site.at_point[point]
        _list(site.at_point, known.id if known else event.point, work.permit)
        self.known.stands_at(known.id if known else event.point, work.permit, family(event.type))
        self.known.placed += 1
        return moved

    def _watch(self, work: Work) -> None:
        """Those whose position matters for this permit: its guardians and its signer."""
        site, course = self.known.site, self.known.course(work.permit)
        signer = {course.approval.by} - {""} if course.approval else set()
        for worker in sorted({p.worker for p in course.posts} | signer):
            if _list(site.watched, worker, work.permit):
                self._look_back(work.permit, worker)
        for worker in signer:
            self.telemetry.last_seen(work.permit, worker, Dirty())

    def _look_back(self, permit: str, worker: str) -> None:
        dirty = Dirty()
        for ref, event in self.known.site.recent:
            if worker in event.workers:
                self.telemetry.fix(permit, worker, event, event.workers.index(worker), ref, dirty)

    def _isolation(self, fact: Fact, event: e.Isolation, dirty: Dirty) -> None:
        site, permit = self.known.site, self.known.site.latest(event.permit)
        site.ticket(number_of(permit))
        if remember(site.isolations.setdefault(event.isolation, []), fact):
            site.work(permit)
            if event.state in ("applied", "verified"):
                _list(site.relied, number_of(permit), event.isolation)
            dirty.update(("permit", other, cause) for other in site.works if event.isolation in relied_on(site, other) for cause in ("permit", "process"))

    # ---- cameras and evidence -----------------------------------------------------------------------------------

    def _detection(self, entry: Entry, event: e.Detection, dirty: Dirty) -> None:
        site = self.known.site
        site.camera(event.camera).heard.add(event.at, 0.0, entry.ref)
        if event.phase == "end":
            self._phase(entry, event, dirty)
            return
        if event.confidence < self.known.terms_at(self.known.site.true(event.camera, event.at))["detection_sure"]:
            return
        points = [event.point] if event.point else self.known.atlas.points_of_camera.get(event.camera, [])
        for name in points:
            known = self.known.atlas.point(name)
            point = known.id if known else name
            if event.behaviour in WORK_SEEN:
                cameras = site.sightings.setdefault(point, {})
                seen = cameras.setdefault(event.camera, new_sightings())
                wider = (event.u or 0) > seen.u
                seen.u = max(seen.u, event.u or 0)
                if sum(seen.add(at, event.confidence, entry.ref) for at in _looks(event)) or wider:
                    self._seen_changed(point, dirty)
                else:
                    self._goes_on(point, dirty)
            elif event.behaviour in ALARMING:
                sights = site.sights.setdefault(point, {}).setdefault(event.behaviour, Spans(JOIN_SIGHT))
                if sum(sights.add(site.true(event.camera, at), event.confidence, entry.ref) for at in _looks(event)):
                    dirty.add(("point", point, "evidence"))
        if event.phase == "start":
            self._phase(entry, event, dirty)

    def _phase(self, entry: Entry, event: e.Detection, dirty: Dirty) -> None:
        """A beginning or an end; work that was said to begin and to end was seen all the while."""
        site, at = self.known.site, self.known.site.true(event.camera, event.at)
        if event.behaviour not in ALARMING and event.behaviour not in WORK_SEEN:
            return
        for name in [event.point] if event.point else self.known.atlas.points_of_camera.get(event.camera, []):
            point = known.id if (known := self.known.atlas.point(name)) else name
            shown = site.phases.setdefault(point, {}).setdefault(event.behaviour, {}).setdefault(f"{event.camera}|{event.track}", Shown())
            if not shown.add(event.phase, at):
                continue
            dirty.add(("point", point, "evidence"))
            start = next((s for s in reversed(shown.starts) if s <= at), None) if event.phase == "end" else at
            end = next((e for e in shown.ends if start is not None and start <= e <= start + LONGEST_SIGHT), None)
            if event.behaviour not in WORK_SEEN or start is None or end is None:
                continue
            seen = site.sightings.setdefault(point, {}).setdefault(event.camera, new_sightings())
            offset = site.offset(event.camera, event.at)[0]
            if sum(seen.add(t + offset, 1.0, entry.ref) for t in (*range(start, end, JOIN_SIGHT // 2), end)):
                self._seen_changed(point, dirty)

    def _goes_on(self, point: str, dirty: Dirty) -> None:
        """Work that is still seen is news where a permit's work was paused or is over."""
        for permit in self.known.site.at_point.get(point, ()):
            course = self.known.course(permit)
            if course.ended or course.finished or (course.pauses and course.pauses[-1].until is None):
                dirty.add(("permit", permit, "seen"))

    def _seen_changed(self, point: str, dirty: Dirty) -> None:
        dirty.add(("point", point, "seen"))
        for permit in self.known.site.at_point.get(point, ()):
            before = self.known.course(permit)
            self.known.courses.pop(permit, None)
            dirty.add(("permit", permit, "seen"))
            self._started_otherwise(before, dirty)

    def _started_otherwise(self, before: Course, dirty: Dirty) -> None:
        """Work that began, or began earlier than was known, as its sight or an entry says: its neighbours and whoever guards it too are judged anew, as at a start that was declared."""
        course = self.known.course(before.permit)
        if course.started == before.started:
            return
        dirty.update(("permit", course.permit, cause) for cause in ("seen", "near", "asked"))
        dirty.update(("permit", other, cause) for other in self._concerned(course, ("near", "asked")) for cause in ("near", "asked"))
        self._posts_changed(course.permit, dirty)

    def _beat(self, entry: Entry, event: e.CameraBeat, dirty: Dirty) -> None:
        camera, ref = self.known.site.camera(event.camera), entry.ref
        if not camera.ref or ref < camera.ref:
            camera.ref = ref
        camera.heard.add(event.at, 0.0, ref)
        if event.recording is not None and (camera.on if event.recording else camera.off).add(event.at, 0.0, ref):
            self._points_changed(event.camera, dirty)

    def _clip(self, fact: Fact, event: e.Clip, dirty: Dirty) -> None:
        site = self.known.site
        camera = site.camera(event.camera)
        if not camera.ref or fact.ref < camera.ref:
            camera.ref = fact.ref
        so_far = fact.seen + site.offset(event.camera, event.at)[0] + SLACK  # nobody has filmed what is to come
        if event.medium == "video" and camera.clips.add(event.at, min(event.until, max(event.at, so_far))):
            self._points_changed(event.camera, dirty)
        permit = site.latest(event.permit)
        if event.permit and remember(site.work(permit).clips, fact):
            site.ticket(number_of(permit))
            dirty.add(("permit", permit, "evidence"))
        if event.hazard and remember(site.shown.setdefault(event.hazard, []), fact):
            dirty.add(("hazard", event.hazard, "evidence"))
        if event.sha256 and event.medium == "photo":
            same = site.photos.setdefault(event.sha256, [])
            if remember(same, fact) and len(same) > 1:
                dirty.update(("permit", site.latest(f.event.permit), "evidence") for f in same if f.event.permit)  # type: ignore[union-attr]

    def _points_changed(self, camera: str, dirty: Dirty) -> None:
        for point in self.known.atlas.points_of_camera.get(camera, ()):
            dirty.add(("point", point, "video"))
            dirty.update(("permit", permit, "video") for permit in self.known.site.at_point.get(point, ()))

    def _probe(self, fact: Fact, event: e.Probe, dirty: Dirty) -> None:
        if remember(self.known.site.probes, fact):
            dirty.add(("site", self.known.site.site, "evidence"))

    def _decided(self, fact: Fact, event: e.Decided, dirty: Dirty) -> None:
        site = self.known.site
        if event.mode == "full" and "X-RESCUE" not in event.reasons:
            return
        if remember(site.decisions, fact):
            del site.decisions[:-ANSWERS]
            if event.mode not in ("full", "broken") and (event.gate != "application" or event.request is not None):
                site.unsettled.append(fact)
                del site.unsettled[:-ANSWERS]
            if event.worker and "X-RESCUE" in event.reasons:
                dirty.add(("worker", event.worker, "asked"))

    # ---- people -------------------------------------------------------------------------------------------------

    def _person(self, fact: Fact, event: Any_, dirty: Dirty) -> None:
        person = self.known.site.person(event.worker)  # type: ignore[union-attr]
        cause = "roster"
        match event:
            case e.Scan():
                changed, cause = remember(person.scans, fact), "scan"
                for course in list(self._behind(event)):
                    dirty.add(("permit", course.permit, "scan"))
                    self._passed(course, event, dirty)
                self._used(event.worker, event.at)
                if (door := self.known.atlas.doors.get(event.door)) and door.points:
                    _list(self.known.site.visitors, event.door, event.worker)
            case e.Certificate():
                changed = remember(person.certificates, fact)
                dirty.update(("permit", permit, "roster") for permit in self.known.site.named.get(event.worker, ()))
            case e.Worker():
                changed = remember(person.listed, fact)
                told = {f.source: f.event for f in person.listed if isinstance(f.event, e.Worker)}
                last = person.listed[-1].event
                if isinstance(last, e.Worker):
                    person.crew, person.trades = last.crew, sorted(last.trades)
                    person.employer = last.employer or next((said.employer for said in reversed(told.values()) if said.employer), "")
            case e.HrChange():
                changed = remember(person.hr, fact)
            case e.Authorisation():
                changed = remember(person.authorisations, fact)
            case e.Record():
                changed = remember(person.records, fact)
            case e.TagSaid():
                changed = remember(person.tag, fact)
            case _:
                changed = False
        if changed:
            dirty.add(("worker", event.worker, cause))  # type: ignore[union-attr, arg-type]
        else:
            self._again(fact, dirty)

    def _used(self, worker: str, at: int) -> None:
        """Notes the local day on which an account was used."""
        day, active = self.known.day(at).toordinal(), self.known.site.person(worker).active
        if day not in active:
            insort(active, day)
            del active[:-8]

    def _passed(self, course: Course, event: e.Scan, dirty: Dirty) -> None:
        """What else a pass of a door may change: a confined space begins with an entry, its guardian may have gone in, somebody is there when its gas was bad."""
        if course.type != CONFINED or course.request is None:
            return
        del self.known.courses[course.permit]
        self._started_otherwise(course, dirty)
        if any(post.worker == event.worker for post in course.posts):
            dirty.add(("permit", course.permit, "guard"))
        if any(record.over is not None for record in course.tests):
            dirty.add(("permit", course.permit, "tested"))

    def _behind(self, event: e.Scan) -> Iterator[Course]:
        """The courses of the permits at the work points behind a door."""
        door = self.known.atlas.doors.get(event.door)
        return (course for point in (door.points if door else ()) for course in self.known.at(point))

    def _contractor(self, fact: Fact, event: e.Contractor, dirty: Dirty) -> None:
        if remember(self.known.site.contractors.setdefault(event.contractor, []), fact):
            dirty.add(("contractor", event.contractor, "roster"))

    def _registry(self, fact: Fact, event: e.Registry, dirty: Dirty) -> None:
        if remember(self.known.site.registries, fact):
            dirty.add(("site", self.known.site.site, "roster"))

    # ---- devices, weather, neighbours ---------------------------------------------------------------------------

    def _clock(self, fact: Fact, event: e.ClockSaid, dirty: Dirty) -> None:
        spoken = self.telemetry.spoken(event.device)
        if not remember(self.known.site.clocks.setdefault(event.device, []), fact):
            return
        self.telemetry.corrected(event.device, spoken, dirty)
        dirty.add(("device", event.device, "clock"))
        if event.device in self.known.site.comers:
            dirty.add(("source", event.device, "late"))
        points = self.known.atlas.points_of_camera.get(event.device)
        site = self.known.site
        permits = [p for point in points for p in site.at_point.get(point, ())] if points is not None else [p for p in site.works if self._rests_on(p, event.device)]
        for permit in permits:
            self.known.courses.pop(permit, None)
        dirty.update(("permit", permit, "clock") for permit in permits)
        dirty.update(("point", point, "clock") for point in points or ())
        dirty.update(self._said_by(event.device))

    def _said_by(self, source: str) -> Iterator[tuple[Subject, str, Cause]]:
        """What rests on the clock of a source but no permit's course: people, contractors, neighbours' activities, weather, units, roll calls."""
        site = self.known.site

        def spoke(*told: Iterable[Fact]) -> bool:
            return any(f.source == source for facts in told for f in facts)

        for worker, person in site.people.items():
            if spoke(person.scans):
                yield "worker", worker, "scan"
            if spoke(person.authorisations, person.hr, person.tag):
                yield "worker", worker, "roster"
        yield from (("contractor", name, "roster") for name, facts in site.contractors.items() if spoke(facts))
        causes: dict[Cause, Iterable[Iterable[Fact]]] = {"near": site.activities.values(), "weather": (site.warnings,), "process": site.equipment.values(), "seen": site.done.values(), "device": site.devices.values()}
        for cause, told in causes.items():
            if spoke(*told):
                yield from (("permit", permit, cause) for permit in site.works)

    def _rests_on(self, permit: str, device: str) -> bool:
        """Does a permit's course, its gas, its tools or who is inside rest on a device's clock? The entries of a confined space on the doors'."""
        site, course, work = self.known.site, self.known.course(permit), self.known.work(permit)
        if course.type == CONFINED or (course.point and device in course.point.detectors):
            return True
        doors, ticket = self.known.atlas.doors_of_point.get(course.point_id, ()), site.tickets.get(number_of(permit))
        if any(f.source == device for door in doors for worker in site.visitors.get(door, ()) for f in site.person(worker).scans) or any(f.source == device for f in (ticket.facts if ticket else ())):
            return True
        return any(f.source == device or getattr(f.event, "device", "") == device for facts in (*work.facts.values(), work.clips, *(site.isolations[i] for i in site.relied.get(number_of(permit), ()))) for f in facts)

    def _device(self, fact: Fact, event: e.DeviceSaid, dirty: Dirty) -> None:
        site = self.known.site
        if remember(site.devices.setdefault(event.device, []), fact):
            self.known.courses.clear()
            dirty.update({("device", event.device, "device"), ("channel", event.device, "gas")})
            dirty.update(("permit", permit, "device") for permit in site.works)
            if channel := self.known.atlas.channels.get(event.device):
                dirty.add(("area", channel.area, "gas"))

    def _equipment(self, fact: Fact, event: e.EquipmentSaid, dirty: Dirty) -> None:
        if remember(self.known.site.equipment.setdefault(event.equipment, []), fact):
            for point in self.known.atlas.points_of_equipment.get(event.equipment, ()):
                dirty.update(("permit", permit, "process") for permit in self.known.site.at_point.get(point, ()))

    def _weather(self, fact: Fact, event: e.Weather, dirty: Dirty) -> None:
        if event.wind_mean is None:
            return
        site, terms = self.known.site, self.known.terms_at(event.at)
        winds = site.winds.setdefault(event.station, new_winds())
        work = winds.work.add(event.at, event.wind_mean >= terms["wind_work"], event.wind_mean, fact.ref)
        lifting = winds.lifting.add(event.at, event.wind_mean >= terms["wind_lifting"], event.wind_mean, fact.ref)
        winds.last = max(winds.last, (event.at, event.wind_mean))
        if work or lifting:
            dirty.update(("permit", permit, "weather") for permit in site.works)

    def _warning(self, fact: Fact, event: e.OfficialWarning, dirty: Dirty) -> None:
        if remember(self.known.site.warnings, fact):
            dirty.update(("permit", permit, "weather") for permit in self.known.site.works)

    def _special(self, fact: Fact, event: e.SpecialTime, dirty: Dirty) -> None:
        if remember(self.known.site.specials, fact):
            self.known.memo.clear()
            dirty.update(("permit", permit, "site") for permit in self.known.site.works)

    def _activity(self, fact: Fact, event: e.Activity, dirty: Dirty) -> None:
        if remember(self.known.site.activities.setdefault(event.activity, []), fact):
            dirty.update(("permit", permit, "near") for permit in self.known.site.works)

    def _production(self, fact: Fact, event: e.Production, dirty: Dirty) -> None:
        if remember(self.known.site.productions.setdefault(event.order, []), fact):
            for point in self.known.atlas.points_of_equipment.get(event.equipment, ()):
                dirty.update(("permit", permit, "site") for permit in self.known.site.at_point.get(point, ()))

    def _hazard(self, fact: Fact, event: e.Hazard, dirty: Dirty) -> None:
        if remember(self.known.site.hazards.setdefault(event.hazard, []), fact):
            dirty.update(("hazard", h, "site") for h, facts in self.known.site.hazards.items() if h == event.hazard or facts[0].event.asset == event.asset != "")  # type: ignore[union-attr]

    # ---- the site itself ----------------------------------------------------------------------------------------

    def _action(self, fact: Fact, event: e.Action, dirty: Dirty) -> None:
        code, _, rest = event.alert.partition(":")
        subject = rest.partition(":")[2].rpartition(":")[0]
        remember(self.known.site.actions.setdefault(f"{code}|{subject}", []), fact)

    def _done(self, fact: Fact, event: e.Done, dirty: Dirty) -> None:
        if remember(self.known.site.done.setdefault(event.command, []), fact) and ":roll_call:" in event.command:
            point = event.command.rpartition(":")[2]
            dirty.update(("permit", permit, "scan") for permit in self.known.site.at_point.get(point, ()))

    def _chain(self, fact: Fact, event: e.ChainSaid, dirty: Dirty) -> None:
        if remember(self.known.site.broken, fact):
            dirty.add(("site", self.known.site.site, "site"))

    def _pack(self, fact: Fact, event: e.PackSaid, dirty: Dirty) -> None:
        sound_pack(event.pack)
        self._force(event.effective, fact.ref, event.pack)
        self.ask_all(dirty)

    def _plant(self, fact: Fact, event: e.PlantSaid, dirty: Dirty) -> None:
        site, plant = self.known.site, event.plant
        sound_plant(plant)
        site.plant, site.plant_ref = plant, fact.ref
        site.began = site.began or event.at
        self._force(event.at, fact.ref, plant_terms(plant).pack)
        self.ask_all(dirty)

    def _force(self, since: int, ref: str, pack: Pack) -> None:
        """A pack in force from a moment; the same pack said again changes nothing."""
        packs = self.known.site.packs
        if any(f.since == since and f.ref == ref for f in packs):
            return
        before = next((f.pack for f in reversed(packs) if f.since <= since), None)
        if before != pack:
            insort(packs, Force(since, ref, pack), key=lambda f: (f.since, f.ref))
            self.known.packs_changed()

    def ask_all(self, dirty: Dirty) -> None:
        """Another plant or another pack: limits are prepared anew, and every rule looks again."""
        site = self.known.site
        self.telemetry.plans.clear()
        self.known.courses.clear()
        self.known.memo.clear()
        dirty.update(("permit", permit, cause) for permit in site.works for cause in ("permit", "near", "weather", "process", "evidence"))  # type: ignore[misc]
        dirty.update(("channel", channel.tag, "gas") for channel in (site.plant.channels if site.plant else ()))
        dirty.update(("worker", worker, "roster") for worker in site.people)
        dirty.update(("contractor", name, "roster") for name in site.contractors)
        dirty.update(("hazard", name, "site") for name in site.hazards)
        dirty.update(("device", name, "clock") for name in site.clocks)
        dirty.add(("site", site.site, "roster"))
        plant = site.plant
        for subject, names in (("zone", plant.zones if plant else ()), ("area", plant.areas if plant else ()), ("point", plant.points if plant else ())):
            dirty.update((subject, one.id, "pack") for one in names)  # type: ignore[attr-defined, misc]
        for subject, known in (("worker", {*site.people, *site.analysts, *site.signed}), ("source", {*site.comers, *site.leads, *site.steps, *site.words}), ("contractor", site.contractors), ("site", {site.site})):
            dirty.update((subject, name, "pack") for name in known)  # type: ignore[attr-defined, misc]

    # ---- lateness and repeats -----------------------------------------------------------------------------------

    def _lateness(self, entry: Entry, event: Any_, dirty: Dirty) -> None:
        late = self.known.terms_now().ms["late_fact"]
        at = self.known.site.true(entry.source, event.at)
        if entry.seen - at - (event.u or 0) > late:
            comer = self.known.site.comers.setdefault(entry.source, new_comer())
            if comer.late.add(entry.seen, float(entry.seen - event.at), entry.ref):
                dirty.add(("source", entry.source, "late"))

    def _again(self, fact: Fact, dirty: Dirty) -> None:
        """A fact that was said before, under a new number."""
        comer = self.known.site.comers.setdefault(fact.source, new_comer())
        insort(comer.repeats, fact.seen)
        while comer.repeats and comer.repeats[0] < comer.repeats[-1] - HOUR:
            del comer.repeats[0]
        comer.ref = fact.ref
        if len(comer.repeats) >= self.known.terms_now()["repeats"]:
            dirty.add(("source", fact.source, "late"))


def _looks(event: e.Detection) -> tuple[int, ...]:
    """The moments at which a detection saw what it tells, in its clock: its own, and since its onset (a minute at most)."""
    if event.onset is None or event.onset >= event.at:
        return (event.at,)
    since = max(event.onset, event.at - JOIN_SIGHT)
    return (since, (since + event.at) // 2, event.at)


LONGEST_SIGHT = 12 * HOUR
"""Work that a camera said to begin ended within so long, or nobody said when."""
ANSWERS = 2_000
"""Answers of gates that are kept to be looked at again."""
EVERY: frozenset[str] = frozenset({"hot", "confined", "height", "lifting", "power", "blinding", "excavation", "road", ""})
INTERPLAY: dict[str, frozenset[str]] = {
    "hot": frozenset({"hot", "blinding", "height", "lifting", "power", "confined"}), "blinding": frozenset({"hot", "blinding", "height", "lifting", "power"}),
    "power": EVERY, "height": EVERY, "lifting": EVERY, "confined": frozenset({"height", "lifting", "power", "hot"}), "excavation": frozenset({"height", "lifting", "power"}),
    "road": frozenset({"height", "lifting", "power"}),
}  # fmt: skip
"""Families of work that may conflict (`domain.md` 3.7)."""


def _earliest(course: Course) -> int:
    """The first moment to which a permit's neighbours could look."""
    marks = [course.request.at if course.request else 0, *(m.at for m in (course.issued, course.started) if m)]
    return min(marks)


CROWD = 64
"""Of so many permits at a point, those asked for last, it is asked whether a late fact concerns them: with more the cost would grow as their square."""
RECENT = 12 * HOUR
"""What has been over for longer is of no permit's concern that turns now."""
TURNS = frozenset({"issued", "started", "suspended", "resumed", "finished", "accepted", "cancelled", "rejected"})
"""Steps after which neighbours may be judged differently."""
CLOSING = frozenset({"accepted", "cancelled", "rejected"})
PREPARED = frozenset({"jsa", "isolated", "briefed", "measures", "approved", "checked"})
"""Steps before the work that only the rules about them ask for; a permit's course does not hold them."""
CAREFUL = frozenset({e.GasTest, e.Step, e.Guard, e.Scan, e.Requested})
"""Kinds of which it matters that they come in time."""
