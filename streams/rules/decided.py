"""Answers that gates were given: helpers who passed, and answers given half blind that would have been others."""

from __future__ import annotations

from streams.events import Decided
from streams.rules.gates import GATES, Question, decide
from streams.rules.permit import OURS
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule
from streams.times import HOUR, SECOND, Stamp

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
    """SYS-DECIDED: an answer given while we were blind or behind, judged again within the hour, now that we see, would have been another (M15)."""
    found = []
    blind_until = known.site.blind.hi[-1] if known.site.blind.hi else 0
    for fact in known.site.decisions:
        said = fact.event
        if not isinstance(said, Decided) or said.mode in SEEN or said.gate not in GATES or not max(blind_until, said.at) + 15 * SECOND <= known.now < said.at + HOUR:
            continue
        now = decide(known, Question(said.gate, said.worker, said.door, said.permit, Stamp(said.at, said.u or 0)), sighted=True)  # type: ignore[arg-type]
        if now.answer != said.answer:
            numbers = {"who": said.worker or said.permit, "at": known.clock(said.at), "was": said.answer, "now": now.answer}
            found.append(Finding(said.at, (fact.ref,), None, numbers=numbers))
    waiting = any(isinstance(f.event, Decided) and f.event.mode not in SEEN and known.now < f.event.at + HOUR for f in known.site.decisions)
    return Judged(tuple(found), known.now + 15 * SECOND) if waiting else (Judged(tuple(found)) if found else NOTHING)


CAUSES: frozenset[Cause] = frozenset({"asked", "dark"})
RULES = (
    Rule("X-RESCUE", "worker", 4, frozenset({"asked"}), judge_helper, "door rule of the site", OURS, "C", "", ("R-RESCUE",), apart=("door", "at")),
    Rule("SYS-DECIDED", "site", 3, CAUSES, judge_again, "our rule (001-32)", OURS, "C", "", ("R-DECIDED",), apart=("who", "at"), fleeting=True),
)
