"""Evidence: all of it there when a permit closes, sharp, long enough, not used twice, and still there when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from streams.course import Course
from streams.events import Clip, Hazard, Probe
from streams.rules.permit import OURS
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule
from streams.times import MINUTE
from streams.work import Fact

CAUSES: frozenset[Cause] = frozenset({"permit", "evidence"})
PHOTOS = ("risk", "protection", "initial")


def clips(known: Known, permit: str) -> list[tuple[Fact, Clip]]:
    """A permit's index entries in order."""
    return [(f, f.event) for f in known.work(permit).clips if isinstance(f.event, Clip)]


def _closing(known: Known, permit: str) -> Course | None:
    course = known.course(permit)
    if course.accepted is None or course.request is None or (course.cancelled is not None and course.cancelled <= course.accepted.at):
        return None
    return course


def three_and_one(known: Known, course: Course) -> list[str]:
    """What is missing of the three photos and the voice record (001-17): stages without a photo from the permit's own time, the voice if too short."""
    assert course.request is not None and course.accepted is not None
    lo, hi, mine = course.request.at - known.terms_of(course).ms["photo_early"], course.accepted.at + MINUTE, clips(known, course.permit)
    hashes: set[str] = set()
    missing = []
    for stage in PHOTOS:
        photo = next((c for _, c in mine if c.medium == "photo" and c.stage == stage and lo <= c.at <= hi and c.sha256 not in hashes), None)
        if photo is None:
            missing.append(stage)
        elif photo.sha256:
            hashes.add(photo.sha256)
    longest = max((c.until - c.at for _, c in mine if c.medium == "voice" and lo <= c.at <= hi), default=0)
    return missing + ([f"voice {longest / 1000:.0f}" if longest else "voice"] if longest < known.terms_of(course).ms["voice_seconds"] else [])


def judge_three(known: Known, permit: str) -> Judged:
    """X-EVID-3P1R: closed without the three photos and thirty seconds of voice."""
    course = _closing(known, permit)
    missing = three_and_one(known, course) if course else []
    if course is None or course.accepted is None or not missing:
        return NOTHING
    numbers = {"permit": permit, "missing": ", ".join(missing), "seconds": f"{known.terms_of(course).limits['voice_seconds'] / 1000:g}"}
    refs = (*known.refs(permit, "accepted"), course.request_ref)
    return Judged((Finding(course.accepted.at, refs, numbers=numbers, permit=permit, requests=(("permit.block", permit),)),))


def five_dimensions(known: Known, course: Course) -> dict[str, int | None]:
    """The five-dimension chain of a permit, where its pack asks for it; see `_five`."""
    return _five(known, [c for _, c in clips(known, course.permit)])


def _five(known: Known, mine: list[Clip]) -> dict[str, int | None]:
    """The five-dimension chain of 004-12 and since when (ms) each is there: panorama with the device's code, film of at least 15 s, asset code, inspector within 3 m for sure, hashed report."""

    def since(holds: Callable[[Clip], object]) -> int | None:
        return min((c.at for c in mine if holds(c)), default=None)

    return {
        "panorama": since(lambda c: c.stage == "panorama" and c.device),
        "film": since(lambda c: c.medium == "video" and c.stage in ("before", "after") and c.until - c.at >= known.terms_at(c.at).ms["film_seconds"]),
        "asset": since(lambda c: c.asset),
        "distance": since(lambda c: c.away is not None and c.away + 2 * c.acc <= known.terms_at(c.at)["close_distance"]),
        "report": since(lambda c: c.medium == "document" and c.sha256),
    }


def judge_five(known: Known, permit: str) -> Judged:
    """X-EVID-5D: closed without all five dimensions."""
    course = _closing(known, permit)
    if course is None or course.accepted is None:
        return NOTHING
    refs, five = (*known.refs(permit, "accepted"), course.request_ref), five_dimensions(known, course)
    return Judged(tuple(Finding(course.accepted.at, refs, end, numbers={"permit": permit} | numbers, permit=permit) for numbers, end in _incomplete(five, course.accepted.at)))


def judge_five_of_hazard(known: Known, hazard: str) -> Judged:
    """X-EVID-5D of a hidden danger: closed without all five dimensions of its remedy."""
    closed = next((f for f in reversed(known.site.hazards.get(hazard, ())) if isinstance(f.event, Hazard) and f.event.state == "closed"), None)
    if closed is None:
        return NOTHING
    five = _five(known, [f.event for f in known.site.shown.get(hazard, ()) if isinstance(f.event, Clip)])
    return Judged(tuple(Finding(closed.event.at, (closed.ref,), end, numbers={"hazard": hazard} | numbers, variant="hazard") for numbers, end in _incomplete(five, closed.event.at)))


def _incomplete(five: dict[str, int | None], closed: int) -> Iterator[tuple[dict[str, str], int | None]]:
    """(what is missing, the score; when it was all there after all), where something was missing at a moment."""
    missing = [name for name, at in five.items() if at is None or at > closed]
    if missing:
        done = [at for at in five.values() if at is not None]
        yield {"missing": ", ".join(missing), "score": f"{5 - len(missing)}/5"}, max(done) if len(done) == len(five) else None


def judge_reused(known: Known, permit: str) -> Judged:
    """X-EVID-REUSED: one photo stands for two stages of the same permit."""
    seen: dict[str, tuple[Fact, Clip]] = {}
    found = []
    for fact, clip in clips(known, permit):
        if clip.medium != "photo" or not clip.sha256:
            continue
        first = seen.setdefault(clip.sha256, (fact, clip))
        if first[0] is not fact and first[1].stage != clip.stage:
            numbers = {"permit": permit, "first": first[1].stage or "—", "again": clip.stage or "—"}
            found.append(Finding(clip.at, (first[0].ref, fact.ref), numbers=numbers, permit=permit, point=clip.point))
    return Judged(tuple(found))


def judge_blurred(known: Known, permit: str) -> Judged:
    """X-EVID-BLURRED: a photo too blurred to show anything, and no sharp one of its stage since."""
    mine, found = clips(known, permit), []
    for fact, clip in mine:
        least = known.terms_at(clip.at)["sharpness"]
        if clip.medium == "photo" and clip.sharpness is not None and clip.sharpness < least:
            better = next((c.at for _, c in mine if c.stage == clip.stage and c.at > clip.at and (c.sharpness or 0) >= least), None)
            numbers = {"permit": permit, "stage": clip.stage or "—", "sharpness": f"{clip.sharpness:.2f}", "limit": f"{least:g}"}
            found.append(Finding(clip.at, (fact.ref,), better, numbers=numbers, permit=permit, point=clip.point))
    return Judged(tuple(found))


def judge_stolen(known: Known, permit: str) -> Judged:
    """X-FRAUD-PHOTO: a photo of this permit was used by an earlier one."""
    found = []
    for fact, clip in clips(known, permit):
        if clip.medium != "photo" or not clip.sha256:
            continue
        others = [f for f in known.site.photos.get(clip.sha256, ()) if isinstance(f.event, Clip) and f.event.permit not in ("", permit) and f.order < fact.order]
        if others:
            numbers = {"permit": permit, "other": others[0].event.permit, "at": known.clock(others[0].event.at)}  # type: ignore[union-attr]
            found.append(Finding(clip.at, (fact.ref, others[0].ref), numbers=numbers, permit=permit, point=clip.point))
    return Judged(tuple(found))


def judge_retention(known: Known, site: str) -> Judged:
    """X-EVID-RETENTION: evidence that must still be kept could not be fetched."""
    keep, last = known.terms_now().ms["retention"], dict[str, tuple[Fact, Probe]]()
    found: list[Finding] = []
    open_: dict[str, tuple[Fact, Probe]] = {}
    for fact in known.site.probes:
        said = fact.event
        if not isinstance(said, Probe):
            continue
        last[said.uri] = (fact, said)
        if not said.found and said.at - said.recorded <= keep:
            open_.setdefault(said.uri, (fact, said))
        elif said.found and said.uri in open_:
            began = open_.pop(said.uri)
            found.append(_lost(known, *began, said.at))
    found += [_lost(known, fact, said, None) for fact, said in open_.values()]
    return Judged(tuple(sorted(found, key=lambda f: (f.start, f.evidence))))


def _lost(known: Known, fact: Fact, said: Probe, end: int | None) -> Finding:
    numbers = {"uri": said.uri, "recorded": f"{known.local(said.recorded):%Y-%m-%d}", "days": f"{known.terms_now().limits['retention'] / 86_400_000:g}", "permit": said.permit or "—"}
    return Finding(said.at, (fact.ref,), end, numbers=numbers, permit=said.permit)


RULES = (
    Rule("X-EVID-3P1R", "permit", 3, CAUSES, judge_three, "rule of the site (001-17)", OURS, "C", "", ("S55",), takes=("photo_early", "voice_seconds")),
    Rule("X-EVID-5D", "permit", 3, CAUSES, judge_five, "rule of the site (004-12)", OURS, "C", "", ("R-5D",), takes=("close_distance", "film_seconds",)),
    Rule("X-EVID-5D", "hazard", 3, frozenset({"site", "evidence"}), judge_five_of_hazard, "rule of the site (004-12)", OURS, "C", "", ("R-5D",), takes=("close_distance", "film_seconds",)),
    Rule("X-EVID-REUSED", "permit", 3, CAUSES, judge_reused, "rule of the site (001-17)", OURS, "C", "", ("R-PHOTO",), apart=("first", "again"), others=True),
    Rule("X-EVID-BLURRED", "permit", 3, CAUSES, judge_blurred, "rule of the site (004-01)", OURS, "C", "", ("R-PHOTO",), apart=("stage",), takes=("sharpness",)),
    Rule("X-FRAUD-PHOTO", "permit", 3, CAUSES, judge_stolen, "double random check (002-22)", OURS, "C", "", ("R-PHOTO",), apart=("other",)),
    Rule("X-EVID-RETENTION", "site", 3, frozenset({"evidence"}), judge_retention, "AQ 3064.2 4.2; 90 days: the site", OURS, "C", "", ("R-KEEP",), apart=("uri",), takes=("retention",)),
)
