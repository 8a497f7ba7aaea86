"""A permit's course: its facts read as instants with uncertainty, the way every rule wants them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from streams.atlas import atlas_of
from streams.events import DeviceSaid, GasTest, Guard, Requested, Step
from streams.packs import Terms
from streams.plant import Point
from streams.rules.limits import CONFINED, HOT, NEEDS_GAS, SPECIAL, family, test_passes
from streams.times import HOUR, Stamp, Truth, before, exactly
from streams.work import Fact, Site, Work


@dataclass(frozen=True, slots=True)
class Test:
    """A gas test: when sampled, whether it passed (None: cannot be told), its evidence."""

    at: Stamp
    passed: bool | None
    ref: str
    calibrated: bool = True
    """False: its instrument's calibration had run out, so it does not count."""


@dataclass(frozen=True, slots=True)
class Pause:
    """An interruption that the permit system recorded; `until` is None while it lasts."""

    since: Stamp
    until: Stamp | None
    ref: str


@dataclass(frozen=True, slots=True)
class Post:
    """One guardian's turn at the post: who, from when, until when (None: still), and who follows."""

    worker: str
    since: int
    until: int | None
    heir: str


@dataclass(frozen=True, slots=True)
class Course:
    """Everything dated about one permit. Stamps are true time (known clock offsets subtracted)."""

    permit: str
    request: Requested | None
    request_ref: str
    type: str
    point: Point | None
    point_id: str
    issued: Stamp | None
    issued_ref: str
    declared_start: Stamp | None
    started: Stamp | None
    started_ref: str
    finished: Stamp | None
    accepted: Stamp | None
    ended: bool
    tests: list[Test]
    pauses: list[Pause]
    posts: list[Post] = field(default_factory=list)
    cancelled: int | None = None
    family: str = ""
    span: tuple[int, int | None] | None = None
    """From the final approval or the start, whichever came first, to the end of work (None: not yet)."""

    @property
    def valid_to(self) -> int | None:
        return self.request.valid_to if self.request else None

    @property
    def planned(self) -> Stamp | None:
        """For checks at sign-off: max(valid_from, planned_start, Ta)."""
        if self.request is None or self.issued is None:
            return None
        declared = exactly(max(self.request.valid_from, self.request.planned_start or 0))
        return self.issued if self.issued.lo > declared.at else declared

    @property
    def people(self) -> set[str]:
        """Everybody whom the permit names."""
        return {*self.request.workers, *self.request.guardians} if self.request else set()

    @property
    def over_at(self) -> int | None:
        """When nothing more can come of it: accepted or called off."""
        return self.accepted.at if self.accepted else self.cancelled

    @property
    def open(self) -> bool:
        return self.request is not None and not self.ended and self.accepted is None

    def window(self) -> tuple[int, int]:
        """From the first moment that work is allowed or seen to the last, as far as declared."""
        assert self.request is not None
        lo = min(self.request.valid_from, self.started.at if self.started else self.request.valid_from)
        return lo, self.finished.at if self.finished else max(self.request.valid_to, lo)

    @property
    def special(self) -> bool:
        return self.type in (SPECIAL, CONFINED)

    @property
    def needs_gas(self) -> bool:
        return self.type in NEEDS_GAS

    @property
    def needs_full_video(self) -> bool:
        return self.type in HOT or self.type == CONFINED

    @property
    def status(self) -> str:
        """The AQ 3064.2 A.1 status word."""
        if self.ended:
            return "cancelled"
        if self.accepted:
            return "accepted"
        if self.finished:
            return "finished"
        if self.declared_start and self.pauses and self.pauses[-1].until is None:
            return "suspended"
        if self.declared_start:
            return "active"
        return "issued" if self.issued else "requested"

    def over_by(self, now: int) -> int:
        """The end of work as far as it is known: Te, the end of the permit, or now."""
        if self.finished:
            return self.finished.at
        return now if self.over_at is None else min(now, self.over_at)

    def working(self, now: int) -> Iterator[tuple[int, int]]:
        """The spans of work itself, from Ts to Te or now, without the recorded interruptions."""
        if self.started is None:
            return
        at, end = self.started.at, self.over_by(now)
        for pause in self.pauses:
            if pause.since.at > at:
                yield at, min(pause.since.at, end)
            if pause.until is None:
                return
            at = max(at, pause.until.at)
        if at < end:
            yield at, end

    def at_work(self, now: int) -> bool:
        return self.status == "active" or (self.started is not None and self.status in ("requested", "issued"))


def read_course(site: Site, work: Work) -> Course:
    """Reads a permit's facts as a course."""
    asked = work.last("permit.requested")
    request = asked.event if asked else None
    request = request if isinstance(request, Requested) else None
    point_id = request.point if request else ""
    point = atlas_of(site.plant).point(point_id)
    point_id = point.id if point else point_id
    gone = work.first("cancelled") or work.first("rejected")
    issued, started = work.first("issued"), work.first("started")
    declared = site.stamp(started) if started else None
    finished, accepted = work.last("finished"), work.first("accepted")
    approval, end, acceptance = (site.stamp(fact) if fact else None for fact in (issued, finished, accepted))
    cancelled = gone.event.at if gone else None
    stamp, ref = _start(site, request, declared, started.ref if started else "", cancelled)
    begun = [m.at for m in (approval, stamp) if m]
    ends = [m for m in (end.at if end else None, acceptance.at if acceptance else cancelled) if m is not None]
    return Course(
        permit=work.permit, request=request, request_ref=asked.ref if asked else "", type=request.type if request else "",
        family=family(request.type) if request else "", span=(min(begun), min(ends, default=None)) if begun and request else None,
        point=point, point_id=point_id,
        issued=approval, issued_ref=issued.ref if issued else "",
        declared_start=declared, started=stamp, started_ref=ref,
        finished=end, accepted=acceptance,
        ended=gone is not None, cancelled=cancelled,
        tests=_tests(site, work), pauses=_pauses(site, work), posts=_posts(site, request, work),
    )  # fmt: skip


def _start(site: Site, request: Requested | None, declared: Stamp | None, ref: str, gone: int | None) -> tuple[Stamp | None, str]:
    """Ts: the permit system's start or, if surely earlier, the work that a camera saw, or the first entry into a confined space, before it was called off."""
    best, proof = declared, ref
    for seen, evidence in _seen(site, request):
        if gone is not None and seen.at >= gone:
            continue
        if best is None or (before(best, seen) is Truth.FALSE):
            best, proof = seen, evidence
    return best, proof


def _seen(site: Site, request: Requested | None) -> Iterator[tuple[Stamp, str]]:
    if request is None:
        return
    point = atlas_of(site.plant).point(request.point)
    place = point.id if point else request.point
    for camera, sightings in sorted(site.sightings.get(place, {}).items()):
        offset, residual = site.offset(camera)
        for first, _, evidence in sightings.sure():
            at = Stamp(first - offset, residual)
            if request.valid_from - HOUR <= at.at <= request.valid_to:
                yield at, evidence
                break
    if request.type == CONFINED and site.plant:
        doors = atlas_of(site.plant).doors_of_point.get(place, set())
        for worker in request.workers:
            for scan in site.people[worker].scans if worker in site.people else ():
                if scan.event.door in doors and scan.event.direction == "in" and scan.event.at >= request.valid_from - HOUR:  # type: ignore[union-attr]
                    yield site.stamp(scan), scan.ref
                    break


def _tests(site: Site, work: Work) -> list[Test]:
    return [_test(site, fact) for fact in work.all("permit.gas_test")]


def _test(site: Site, fact: Fact) -> Test:
    at = site.stamp(fact)
    calibrated = _calibrated(site, fact)
    return Test(at, _passed(fact, site.terms(at.at)) if calibrated else None, fact.ref, calibrated)


def _calibrated(site: Site, fact: Fact) -> bool:
    """Was the instrument's calibration in force on the local day of sampling? True where nothing is said of it."""
    test = fact.event
    said = site.devices.get(test.device) if isinstance(test, GasTest) and test.device else None
    dates = [f.event.calibrated_to for f in said or () if isinstance(f.event, DeviceSaid) and f.event.calibrated_to]
    if not dates:
        return True
    zone = ZoneInfo(site.plant.timezone) if site.plant else ZoneInfo("UTC")
    return datetime.fromtimestamp(test.at / 1000, zone).date() <= date.fromisoformat(max(dates))


def _passed(fact: Fact, terms: Terms) -> bool | None:
    test = fact.event
    if not isinstance(test, GasTest):
        return None
    if test.passed is False:
        return False
    judged = [test_passes(r.gas, r.value, r.unit, terms) for r in test.results]
    if False in judged:
        return False
    return True if judged and None not in judged else (test.passed if test.passed else None)


def _pauses(site: Site, work: Work) -> list[Pause]:
    marks = sorted((f for name in ("suspended", "resumed") for f in work.all(name)), key=lambda f: f.order)
    pauses: list[Pause] = []
    for fact in marks:
        step = fact.event.step if isinstance(fact.event, Step) else ""
        open_ = pauses and pauses[-1].until is None
        if step == "suspended" and not open_:
            pauses.append(Pause(site.stamp(fact), None, fact.ref))
        elif step == "resumed" and open_:
            pauses[-1] = Pause(pauses[-1].since, site.stamp(fact), fact.ref)
    return pauses


def _posts(site: Site, request: Requested | None, work: Work) -> list[Post]:
    """Who held the post, in order of their own times; those named on the request hold it from the beginning."""
    open_: dict[str, int] = dict.fromkeys(request.guardians, 0) if request else {}
    posts: list[Post] = []
    for fact in work.all("guard"):
        event = fact.event
        if not isinstance(event, Guard):
            continue
        at = site.stamp(fact).at
        match event.action:
            case "sign_in":
                open_.setdefault(event.worker, at)
            case "sign_out" if event.worker in open_:
                posts.append(Post(event.worker, open_.pop(event.worker), at, ""))
            case "hand_over":
                posts.append(Post(event.worker, open_.pop(event.worker, 0), at, event.to))
                open_[event.to] = at
    return posts + [Post(worker, since, None, "") for worker, since in sorted(open_.items())]
