"""Answers that gates were given: helpers who passed, and answers given half blind that would have been others."""

from __future__ import annotations

from streams.events import Decided
from streams.rules.gates import GATES, Question, decide
from streams.rules.permit import OURS
from streams.rules.rule import Cause, Finding, Judged, Known, Rule
from streams.times import HOUR, Stamp


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
    """SYS-DECIDED: an answer given while we were blind or behind, judged again when we saw again, would have been another (M15); told for an hour."""
    found, settled = list[Finding](), known.site.settled
    for fact in known.site.decisions:
        said, now = fact.event, settled.get(fact.ref)
        if now is None or not isinstance(said, Decided) or now == said.answer or known.site.sighted(said.at) + HOUR <= known.now:
            continue
        numbers = {"who": said.worker or said.permit or (said.request.permit if said.request else ""), "at": known.clock(said.at), "was": said.answer, "now": now}
        found.append(Finding(said.at, (fact.ref,), None, numbers=numbers))
    ends = [known.site.sighted(f.start) + HOUR for f in found]
    return Judged(tuple(found), min(ends, default=None))


def asked_again(known: Known, said: Decided) -> str:
    """What an answer would be, were it asked for now that we see."""
    if said.gate not in GATES:
        return said.answer
    return decide(known, Question(said.gate, said.worker, said.door, said.permit, Stamp(said.at, said.u or 0), said.request), sighted=True).answer  # type: ignore[arg-type]


CAUSES: frozenset[Cause] = frozenset({"asked", "dark"})
RULES = (
    Rule("X-RESCUE", "worker", 4, frozenset({"asked"}), judge_helper, "door rule of the site", OURS, "C", "", ("R-RESCUE",), apart=("door", "at")),
    Rule("SYS-DECIDED", "site", 3, CAUSES, judge_again, "our rule (001-32)", OURS, "C", "", ("R-DECIDED",), apart=("who", "at"), fleeting=True),
)
