"""Answers that gates were given: helpers who passed, and answers given half blind that would have been others."""

from __future__ import annotations

from streams.events import Decided
from streams.rules.gates import GATES, Question, decide
from streams.rules.permit import OURS
from streams.rules.rule import Cause, Finding, Judged, Known, Rule
from streams.times import HOUR, MINUTE, SECOND, Stamp

SEEN = frozenset({"full", "broken"})


def judge_helper(known: Known, worker: str) -> Judged:
    """X-RESCUE: somebody with the role of rescue or fire passed a door where no alarm stood: the shift is told."""
    found = []
    for fact in known.site.decisions:
        said = fact.event
        if isinstance(said, Decided) and said.worker == worker and "X-RESCUE" in said.reasons:
            numbers = {"worker": worker, "door": said.door, "at": known.clock(said.at)}
            found.append(Finding(said.at, (fact.ref,), said.at + HOUR if known.now >= said.at + HOUR else None, numbers=numbers))
    return Judged(tuple(found), min((f.start + HOUR for f in found if f.end is None), default=None))


def judge_again(known: Known, site: str) -> Judged:
    """SYS-DECIDED: an answer given while we were blind or behind, judged again within an hour of the moment from which on we see again, would have been another (M15)."""
    found, turns = list[Finding](), list[int]()
    for fact in known.site.decisions:
        said = fact.event
        if not isinstance(said, Decided) or said.mode in SEEN or said.gate not in GATES or (said.gate == "application" and said.request is None):
            continue
        sight = _sighted(known, said.at) + 15 * SECOND
        turns += [sight, sight + HOUR]
        if not sight <= known.now < sight + HOUR:
            continue
        now = decide(known, Question(said.gate, said.worker, said.door, said.permit, Stamp(said.at, said.u or 0), said.request), sighted=True)  # type: ignore[arg-type]
        if now.answer != said.answer:
            numbers = {"who": said.worker or said.permit or (said.request.permit if said.request else ""), "at": known.clock(said.at), "was": said.answer, "now": now.answer}
            found.append(Finding(said.at, (fact.ref,), None, numbers=numbers))
    wake = min((turn for turn in turns if turn > known.now), default=None)
    return Judged(tuple(found), min(wake, known.now + MINUTE) if wake is not None and found else wake)


def _sighted(known: Known, at: int) -> int:
    """From when on we saw again what we were blind to at a moment: that moment itself, where we were only late."""
    return max([at, *(hi for lo, hi in known.site.blind if lo - 10 * SECOND <= at <= hi + 10 * SECOND)])


CAUSES: frozenset[Cause] = frozenset({"asked", "dark"})
RULES = (
    Rule("X-RESCUE", "worker", 4, frozenset({"asked"}), judge_helper, "door rule of the site", OURS, "C", "", ("R-RESCUE",), apart=("door", "at")),
    Rule("SYS-DECIDED", "site", 3, CAUSES, judge_again, "our rule (001-32)", OURS, "C", "", ("R-DECIDED",), apart=("who", "at"), fleeting=True),
)
