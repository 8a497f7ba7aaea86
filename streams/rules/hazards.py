"""The life of a hidden danger: acknowledged, rectified in time, shown clearly, and really gone."""

from __future__ import annotations

from collections.abc import Iterator

from streams.events import Hazard
from streams.rules.permit import OURS
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, minutes
from streams.times import HOUR
from streams.work import Fact

CAUSES: frozenset[Cause] = frozenset({"site"})


def _life(known: Known, hazard: str) -> list[tuple[Fact, Hazard]]:
    return [(f, f.event) for f in known.site.hazards.get(hazard, ()) if isinstance(f.event, Hazard)]


def _first(life: list[tuple[Fact, Hazard]], *states: str) -> int | None:
    return next((h.at for _, h in life if h.state in states), None)


def judge_unacknowledged(known: Known, hazard: str) -> Judged:
    """X-HAZ-UNACK: nobody has acknowledged it."""
    life = _life(known, hazard)
    if not life:
        return NOTHING
    due, taken = life[0][1].at + known.terms_now().ms["hazard_ack"], _first(life, "acknowledged", "rectified", "closed")
    if taken is not None and taken <= due:
        return NOTHING
    if known.now <= due:
        return Judged(wake=due + 1)
    numbers = {"hazard": hazard, "found": known.clock(life[0][1].at), "hours": f"{known.terms_now().ms['hazard_ack'] / HOUR:g}"}
    return Judged((Finding(due, (life[0][0].ref,), taken, numbers=numbers),))


def judge_overdue(known: Known, hazard: str) -> Judged:
    """X-HAZ-OVERDUE: its date has passed and it is not rectified."""
    life = _life(known, hazard)
    due = next((h.due for _, h in reversed(life) if h.due is not None), None)
    if due is None:
        return NOTHING
    done = max((h.at for _, h in life if h.state in ("rectified", "closed")), default=None)
    back = max((h.at for _, h in life if h.state == "returned"), default=0)
    mended = done if done is not None and done > back else None
    if mended is not None and mended <= due:
        return NOTHING
    if known.now <= due:
        return Judged(wake=due + 1)
    numbers = {"hazard": hazard, "due": f"{known.local(due):%Y-%m-%d %H:%M}"}
    return Judged((Finding(due, (life[0][0].ref,), mended, numbers=numbers),))


def judge_blurred(known: Known, hazard: str) -> Judged:
    """X-HAZ-BLURRED: the photo of the rectification shows nothing."""
    life, found = _life(known, hazard), []
    for fact, said in life:
        least = known.terms_at(said.at)["sharpness"]
        if said.sharpness is not None and said.sharpness < least:
            better = next((h.at for _, h in life if h.at > said.at and (h.sharpness or 0) >= least), None)
            numbers = {"hazard": hazard, "sharpness": f"{said.sharpness:.2f}", "limit": f"{least:g}"}
            found.append(Finding(said.at, (fact.ref,), better, numbers=numbers))
    return Judged(tuple(found))


def judge_false(known: Known, hazard: str) -> Judged:
    """X-HAZ-FALSE: closed although nobody acknowledged or mended it; or the same asset failed again soon after."""
    life = _life(known, hazard)
    closed = next((h for _, h in reversed(life) if h.state == "closed"), None)
    found = [_skipped(known, hazard, life, closed)] if closed and not {"acknowledged", "rectified"} <= {h.state for _, h in life if h.at <= closed.at} else []
    return Judged((*found, *_again(known, hazard, life, closed)))


def _skipped(known: Known, hazard: str, life: list[tuple[Fact, Hazard]], closed: Hazard) -> Finding:
    """Found, and closed with a step of its life left out."""
    numbers = {"hazard": hazard, "other": "—", "closed": known.clock(closed.at)}
    return Finding(closed.at, (life[0][0].ref, life[-1][0].ref), numbers=numbers, variant="skipped")


def _again(known: Known, hazard: str, life: list[tuple[Fact, Hazard]], closed: Hazard | None) -> Iterator[Finding]:
    asset = next((h.asset for _, h in life if h.asset), "")
    if closed is None or not asset:
        return
    window = known.terms_now().ms["refault"]
    for other, facts in sorted(known.site.hazards.items()):
        first = facts[0].event
        if other != hazard and isinstance(first, Hazard) and first.asset == asset and closed.at < first.at <= closed.at + window:
            numbers = {"hazard": hazard, "other": other, "asset": asset, "later": minutes(first.at - closed.at)}
            yield Finding(first.at, (facts[0].ref, life[-1][0].ref), numbers=numbers)
            return


RULES = (
    Rule("X-HAZ-UNACK", "hazard", 3, CAUSES, judge_unacknowledged, "rule of the site (004-01)", OURS, "C", "", ("R-HAZ",), takes=("hazard_ack",)),
    Rule("X-HAZ-OVERDUE", "hazard", 3, CAUSES, judge_overdue, "rule of the site (004-01)", OURS, "C", "", ("R-HAZ",)),
    Rule("X-HAZ-BLURRED", "hazard", 3, CAUSES, judge_blurred, "rule of the site (004-01)", OURS, "C", "", ("R-HAZ",), apart=("sharpness",), takes=("sharpness",)),
    Rule("X-HAZ-FALSE", "hazard", 3, CAUSES, judge_false, "rule of the site (004-12)", OURS, "C", "", ("R-HAZ",), apart=("other",), takes=("refault",)),
)
