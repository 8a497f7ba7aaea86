"""A permit's course: its facts read as instants with uncertainty, the way every rule wants them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from streams.analyses import Analysis, Record, analyses, record_of, required
from streams.atlas import atlas_of
from streams.events import DeviceSaid, GasTest, Guard, Requested, Step
from streams.lives import CLOSES, name_of, number_of, ordered
from streams.plain import UNTOLD
from streams.plant import Point
from streams.rules.limits import CONFINED, HOT, NEEDS_GAS, POWER, SPECIAL, VALID, family
from streams.times import DAY, EVER, HOUR, Stamp, Truth, before, exactly
from streams.words import day_of
from streams.work import Fact, Site, Work, approved_as


class Pause(Struct, frozen=True):
    """An interruption that the permit system recorded; `until` is None while it lasts."""

    since: Stamp
    until: Stamp | None
    ref: str
    finish: bool = False
    """It began with a finish, and work went on under the same approval."""


class Stray(Struct, frozen=True):
    """A start that no life allows: after it was sent back, called off, accepted, or past its validity."""

    at: Stamp
    ref: str
    after: str


class Post(Struct, frozen=True, gc=False):
    """One guardian's turn at the post: who, from when, until when (None: still), and who follows."""

    worker: str
    since: int
    until: int | None
    heir: str


class Course(Struct, frozen=True):
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
    tests: list[Record]
    pauses: list[Pause]
    posts: list[Post] = []
    halted: Stamp | None = None
    """When it was sent back or called off."""
    held: Stamp | None = None
    """Since when it is suspended and has not begun."""
    forced: Stray | None = None
    """Its start, where it began while it was suspended."""
    perhaps: tuple[Stamp, ...] = ()
    """Other approvals that may be the last before the start, as far as the clocks can say."""
    family: str = ""
    span: tuple[int, int | None] | None = None
    """From the final approval or the start, whichever came first, to the end of work (None: not yet)."""
    analyses: list[Analysis] = []
    strays: list[Stray] = []
    needs_gas: bool = False
    approval: Step | None = None
    """The final approval that counts: the last before the start."""
    validity: int | None = None
    """The end of validity as declared; where it cannot be read, the longest of the type."""
    unread: tuple[str, ...] = ()
    """What it depends on whether work is allowed and that nobody can read: fields of the request, and `post`: what was said last of the guardian."""
    upgraded: bool = False
    """Managed one level up, as it was approved."""
    gone_as: str = ""
    """`rejected` or `cancelled`, where it was."""

    @property
    def valid_to(self) -> int | None:
        return self.validity

    @property
    def planned(self) -> Stamp | None:
        """For checks at sign-off: max(valid_from, planned_start, Ta)."""
        if self.request is None or self.issued is None:
            return None
        declared = exactly(max(self.request.valid_from, self.request.planned_start or 0))
        return self.issued if self.issued.lo > declared.at else declared

    @property
    def cancelled(self) -> int | None:
        return self.halted.at if self.halted else None

    @property
    def approvals(self) -> tuple[Stamp, ...]:
        """The final approval that counts, and others that may be it."""
        return (self.issued, *self.perhaps) if self.issued else ()

    @property
    def begun(self) -> Stamp | None:
        """When its work began, approved or not."""
        return self.started or (self.strays[0].at if self.strays else None)

    @property
    def stopped(self) -> Stamp | None:
        """When its work ended: finished, accepted or called off; None where it went on after that."""
        stop = self.finished or self.accepted or self.halted
        return None if stop is not None and any(s.at.at > stop.at for s in self.strays) else stop

    @property
    def people(self) -> set[str]:
        """Everybody whom the permit names."""
        return {*self.request.workers, *self.request.guardians} if self.request else set()

    @property
    def everybody(self) -> set[str]:
        """Whoever had any part in it: named by the request, or at its post."""
        return (named_by(self.request) if self.request else set()) | {who for post in self.posts for who in (post.worker, post.heir) if who}

    @property
    def over_at(self) -> int | None:
        """When nothing more can come of it."""
        return self.over[0] if self.over else None

    @property
    def over(self) -> tuple[int, str] | None:
        """When nothing more can come of it, and by which step: accepted, sent back or called off, whichever came first."""
        return min(((m.at, how) for m, how in ((self.accepted, "accepted"), (self.halted, self.gone_as)) if m), default=None)

    @property
    def open(self) -> bool:
        return self.request is not None and not self.ended and self.accepted is None

    def window(self) -> tuple[int, int]:
        """From the first moment that work is allowed or seen to the last, as far as declared."""
        assert self.request is not None
        lo = min(self.request.valid_from, self.started.at if self.started else self.request.valid_from)
        return lo, self.finished.at if self.finished else max(self.validity or 0, lo)

    @property
    def special(self) -> bool:
        return self.type in (SPECIAL, CONFINED)

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
        if self.held or (self.started and self.pauses and self.pauses[-1].until is None):
            return "suspended"
        if self.declared_start:
            return "active"
        return "issued" if self.issued else "requested"

    def put_down(self, at: int) -> int | None:
        """When work that no life allows, begun at a moment, was over: the first step after it that ends work."""
        return min((m.at for m in (self.finished, self.accepted, self.halted) if m is not None and m.at > at), default=None)

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

    def at_work(self) -> bool:
        return self.status == "active" or (self.started is not None and self.status in ("requested", "issued"))


def named_by(request: Requested) -> set[str]:
    """Everybody whom a request names, in whatever part."""
    return {*request.workers, *request.guardians, *request.testers, *request.approvers, *request.isolators, request.responsible} - {""}


def read_course(site: Site, work: Work) -> Course:
    """Reads the facts of one life of a permit as a course."""
    asked = work.last("permit.requested")
    request = asked.event if asked else None
    request = request if isinstance(request, Requested) else None
    if request is not None and asked is not None and asked.ref in work.carried:
        request = replace(request, at=max(request.at, work.began))
    point_id = request.point if request else ""
    point = atlas_of(site.plant).point(point_id)
    point_id = point.id if point else point_id
    turns = _turns(site, work)
    valid_to = _valid_to(site, work, request)
    if (approved := approved_as(site, work)) is not None and valid_to is not None:
        valid_to = min(valid_to, _valid_to(site, work, approved) or valid_to)
    done = _walk(turns, valid_to)
    declared, gone = done.started, done.gone
    cancelled = gone[0].at if gone else None
    stamp, ref = _start(site, work, request, valid_to, declared[0] if declared else None, declared[1] if declared else "", cancelled)
    issued, perhaps = _approval(site, work, stamp)
    approval = site.stamp(issued) if issued else None
    begun = [m.at for m in (approval, stamp) if m]
    ends = [m for m in (done.finished.at if done.finished else None, done.accepted.at if done.accepted else cancelled) if m is not None]
    type_ = request.type if request else ""
    records = _records(site, work, point)
    return Course(
        permit=work.permit, request=request, upgraded=(approved or request).upgraded if request else False, request_ref=asked.ref if asked else "", type=type_,
        family=family(type_) if request else "", span=(min(begun), min(ends, default=None)) if begun and request else None,
        point=point, point_id=point_id,
        issued=approval, issued_ref=issued.ref if issued else "", approval=issued.event if issued and isinstance(issued.event, Step) else None,
        declared_start=declared[0] if declared else None, started=stamp, started_ref=ref,
        finished=done.finished, accepted=done.accepted, ended=gone is not None, halted=gone[0] if gone else None, perhaps=perhaps, gone_as=gone[1] if gone else "",
        tests=records, analyses=analyses(records, required(type_, point)), pauses=_rests(done.pauses, stamp),
        held=_held(done.pauses, stamp, approval), forced=None if _approved_since(done.pauses, approval) else done.forced, strays=done.strays, posts=_posts(site, request, approved, asked, work),
        needs_gas=type_ in NEEDS_GAS or (type_ == POWER and point is not None and point.zone == "fire"), validity=valid_to, unread=_unread(work, asked),
    )  # fmt: skip


def _unread(work: Work, asked: Fact | None) -> tuple[str, ...]:
    """What a permit asks for and nobody can read: of its request as it stands now, and whether its guardian left or came."""
    posts = [f for f in work.all("guard") if isinstance(f.event, Guard)]
    return (*(f for f in (asked.unread if asked else ()) if f in TELLING), *(("post",) if posts and posts[-1].event.action == "unknown" else ()))  # type: ignore[union-attr]


def _valid_to(site: Site, work: Work, request: Requested | None) -> int | None:
    """The end of validity; where it was not told, the longest of its type by the pack in force at the approval (before it: at the request)."""
    if request is None or request.valid_to != UNTOLD:
        return request.valid_to if request else None
    longest = VALID.get(request.type)
    return request.valid_from + (site.terms(issued.event.at if (issued := work.last("issued")) else request.at).permit.ms[longest] if longest else 8 * HOUR)


def _when(site: Site, fact: Fact) -> Stamp:
    """When a step was taken; one from the future that closes gates at its arrival at the latest, where it is believed."""
    at = site.stamp(fact)
    return Stamp(at.hi, 0, 0, at.source, at.seq, at.hi - at.lo) if fact.ahead and name_of(fact) in CLOSES else at


def _turns(site: Site, work: Work) -> list[tuple[str, Stamp, str]]:
    """(step, when, evidence) of what moves a life, in order; where a source's numbers decided against its stamps, no step comes before the one it followed."""
    facts = [f for name in MOVES for f in work.all(name)]
    if not work.turns:
        return _in_order([(name_of(f), _when(site, f), f.ref) for f in ordered(facts)])
    place = {ref: i for i, ref in enumerate(work.turns)}
    out: list[tuple[str, Stamp, str]] = []
    for fact in sorted(facts, key=lambda f: place.get(f.ref, 0)):
        at = _when(site, fact)
        if out and at.at < out[-1][1].at:
            step = out[-1][1].at - at.at
            at = Stamp(out[-1][1].at + step, step, 0, at.source, at.seq)
        out.append((name_of(fact), at, fact.ref))
    return _in_order(out)


def _in_order(turns: list[tuple[str, Stamp, str]]) -> list[tuple[str, Stamp, str]]:
    """Steps of which one that is known by its arrival only was not before the one that it followed."""
    out: list[tuple[str, Stamp, str]] = []
    for name, at, ref in turns:
        if at.early and out:
            at = replace(at, early=max(0, min(at.early, at.at - out[-1][1].lo)))
        out.append((name, at, ref))
    return out


TELLING: Final = frozenset({"workers", "guardians", "contractor", "needs", "linked", "isolations", "valid_from"})
"""Fields of a request without which nobody can say whether work is allowed; its type, point and end have words of their own."""
MOVES: Final = ("started", "suspended", "resumed", "finished", "accepted", "rejected", "cancelled")


class _Done(Struct):
    """What a life's steps come to."""

    started: tuple[Stamp, str] | None = None
    finished: Stamp | None = None
    finish_ref: str = ""
    accepted: Stamp | None = None
    gone: tuple[Stamp, str] | None = None
    pauses: list[Pause] = []
    strays: list[Stray] = []
    forced: Stray | None = None

    def take(self, step: str, at: Stamp, ref: str, valid_to: int | None) -> None:
        match step:
            case "started" | "resumed":
                self._start(step, at, ref, valid_to)
            case "suspended" if not self._paused:
                self.pauses.append(Pause(at, None, ref))
            case "finished":
                self.finished, self.finish_ref = at, ref
            case "accepted" if self.accepted is None:
                self.accepted = at
            case "rejected" | "cancelled" if self.gone is None:
                self.gone = at, step

    @property
    def _paused(self) -> bool:
        return bool(self.pauses) and self.pauses[-1].until is None

    def _start(self, step: str, at: Stamp, ref: str, valid_to: int | None) -> None:
        if self.gone or self.accepted or (self.finished and valid_to is not None and at.at > valid_to):
            self.strays.append(Stray(at, ref, self.gone[1] if self.gone else "accepted" if self.accepted else "finished"))
            return
        if self.finished and self.started:
            since = self.pauses.pop().since if self._paused else self.finished
            self.pauses.append(Pause(since, at, ref, finish=True))
            self.finished = None
        elif self._paused:
            if step == "started" and self.started is None and before(self.pauses[-1].since, at) is Truth.TRUE:
                self.forced = Stray(at, ref, "suspended")
            self.pauses[-1] = Pause(self.pauses[-1].since, at, self.pauses[-1].ref)
        if self.started is None and step == "started":
            self.started = at, ref


def _rests(pauses: list[Pause], started: Stamp | None) -> list[Pause]:
    """The interruptions of work that has begun."""
    return [p for p in pauses if started and (p.until is None or p.until.at > started.at)]


def _held(pauses: list[Pause], started: Stamp | None, approval: Stamp | None) -> Stamp | None:
    """The suspension that stands although nothing has begun; an approval after it ends it."""
    return pauses[-1].since if started is None and pauses and pauses[-1].until is None and not _approved_since(pauses, approval) else None


def _approved_since(pauses: list[Pause], approval: Stamp | None) -> bool:
    """Did the approval come after the first suspension?"""
    return approval is not None and bool(pauses) and before(pauses[0].since, approval) is Truth.TRUE


def _walk(turns: list[tuple[str, Stamp, str]], valid_to: int | None) -> _Done:
    done = _Done()
    for step, at, ref in turns:
        done.take(step, at, ref, valid_to)
    return done


def _approval(site: Site, work: Work, started: Stamp | None) -> tuple[Fact | None, tuple[Stamp, ...]]:
    """(the last final approval before the start; not started: the last so far; none before it: the first, others that may be it)."""
    said = work.all("issued")
    if not said or started is None:
        return (said[-1] if said else None), ()
    came = [(f, before(site.stamp(f), started)) for f in said]
    sure = max((i for i, (_, b) in enumerate(came) if b is Truth.TRUE), default=0)
    open_ = [f for f, b in came[sure:] if b is Truth.UNKNOWN]
    likely = [f for f in open_ if site.stamp(f).at <= started.at]
    chosen = likely[-1] if likely else said[sure]
    return chosen, tuple(site.stamp(f) for f in (said[sure], *open_) if f is not chosen)


def _start(site: Site, work: Work, request: Requested | None, valid_to: int | None, declared: Stamp | None, ref: str, gone: int | None) -> tuple[Stamp | None, str]:
    """Ts: the permit system's start or, if surely earlier, the work that a camera saw, or the first entry into a confined space, before it was called off."""
    best, proof = declared, ref
    for seen, evidence in _seen(site, request, valid_to or 0, number_of(work.permit), work.began):
        if gone is not None and seen.at >= gone:
            continue
        if best is None or (before(best, seen) is Truth.FALSE):
            best, proof = seen, evidence
    return best, proof


def _seen(site: Site, request: Requested | None, until: int, number: str, began: int) -> Iterator[tuple[Stamp, str]]:
    """Sure sights of the permit's own kind of work, unless another permit there is at it, and entries into its confined space, unless they belong to another that ends before; of a later life, what came after it `began`."""
    if request is None:
        return
    point = atlas_of(site.plant).point(request.point)
    place = point.id if point else request.point
    for camera, sightings in sorted(site.sightings.get(place, {}).items()) if request.type in HOT else ():
        for first, last, evidence in sightings.sure():
            offset, error = site.offset(camera, first)
            begun = max(first - offset, began)
            while begun <= last - offset and (goes_on := _at_it(site, place, number, begun)) is not None:
                begun = goes_on + site.terms(begun).permit.ms["tools_down"]
            if request.valid_from - HOUR <= begun <= min(until, last - offset):
                yield Stamp(begun, error + sightings.u), evidence
                break
    if request.type == CONFINED and site.plant:
        doors = atlas_of(site.plant).doors_of_point.get(place, set())
        for worker in request.workers:
            for scan in site.people[worker].scans if worker in site.people else ():
                if scan.event.door not in doors or scan.event.direction != "in" or (at := site.stamp(scan)).at < max(request.valid_from - HOUR, began):  # type: ignore[union-attr]
                    continue
                if at.at >= request.valid_from or not _comes_for(site, place, worker, number, at.at):
                    yield at, scan.ref
                    break


def _others(site: Site, place: str, number: str, types: frozenset[str]) -> Iterator[tuple[Work, Requested]]:
    """The works of other permits of some types at a place, and what they ask for."""
    for other in site.at_point.get(place, ()):
        asked = work.last("permit.requested") if (work := site.works.get(other)) else None
        if work and asked and isinstance(asked.event, Requested) and asked.event.type in types and number_of(other) != number:
            yield work, asked.event


def _at_it(site: Site, place: str, number: str, at: int) -> int | None:
    """Until when another hot work permit there, going on at a moment as its own steps say, goes on: what is seen by then is its work. None: no other is."""
    ends = []
    for work, asked in _others(site, place, number, HOT):
        done = _walk(_turns(site, work), _valid_to(site, work, asked))
        if done.started is None:
            continue
        over = min((m.at for m in (done.finished, done.accepted, done.gone[0] if done.gone else None) if m), default=EVER)
        idle = [(p.since.at, p.until.at) for p in done.pauses if p.finish and p.until]
        if done.started[0].at <= at < over and not any(a <= at < b for a, b in idle):
            ends.append(min([over, *(a for a, _ in idle if a > at)]))
    return max(ends, default=None)


def _comes_for(site: Site, place: str, worker: str, number: str, at: int) -> bool:
    """Does somebody who comes before this permit is valid come for another confined space permit there, approved and in force?"""
    for work, asked in _others(site, place, number, frozenset({CONFINED})):
        approved = any(site.stamp(f).at <= at for f in work.all("issued"))
        over = any(site.stamp(f).at <= at for name in ("accepted", "rejected", "cancelled") for f in work.all(name))
        if worker in asked.workers and approved and not over and asked.valid_from <= at <= (_valid_to(site, work, asked) or 0):
            return True
    return False


def _records(site: Site, work: Work, point: Point | None) -> list[Record]:
    facts = [(f, site.stamp(f)) for f in work.all("permit.gas_test")]
    enriched = point is not None and point.enriched
    return sorted((record_of(f, at, _calibrated(site, f), site.terms(at.at).fact, enriched) for f, at in facts), key=lambda r: (r.at.at, r.ref))


def _calibrated(site: Site, fact: Fact) -> bool:
    """Was the instrument's calibration in force on the local day of sampling (the last it may have been)? True where nothing is said of it."""
    test = fact.event
    said = site.devices.get(test.device) if isinstance(test, GasTest) and test.device else None
    days = [day for f in sorted(said or (), key=lambda f: site.holds(f, danger=True)) if isinstance(f.event, DeviceSaid) and (day := day_of(f.event.calibrated_to))]
    if not days:
        return True
    zone = ZoneInfo(site.plant.timezone) if site.plant else ZoneInfo("UTC")
    return datetime.fromtimestamp((test.at + min(test.u or 0, DAY)) / 1000, zone).date() <= days[-1]


def _posts(site: Site, request: Requested | None, approved: Requested | None, asked: Fact | None, work: Work) -> list[Post]:
    """Who held the post, in order of their own times; those named on the request (as it was approved) hold it from the beginning, those who were named only after that from then on."""
    open_: dict[str, int] = dict.fromkeys((approved or request).guardians, 0) if request else {}  # type: ignore[union-attr]
    for worker in request.guardians if request and asked else ():
        open_.setdefault(worker, site.stamp(asked).at)  # type: ignore[arg-type]
    posts: list[Post] = []
    for fact in work.all("guard"):
        event = fact.event
        if not isinstance(event, Guard):
            continue
        match event.action:
            case "sign_in":
                open_.setdefault(event.worker, site.counts(fact, relief=True))
            case "sign_out" if event.worker in open_:
                posts.append(Post(event.worker, open_.pop(event.worker), site.counts(fact), ""))
            case "hand_over":
                posts.append(Post(event.worker, open_.pop(event.worker, 0), site.counts(fact), event.to))
                if event.to:
                    open_[event.to] = site.counts(fact, relief=True)
    return posts + [Post(worker, since, None, "") for worker, since in sorted(open_.items())]
