"""Scores whoever judged the days: recall and precision by code with Wilson intervals, delay, false alerts, the share that could not be told, what people were told."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from infra.truth.days import Truth
from streams.outputs import Alert, Verdict
from streams.rules import RULES
from streams.times import MINUTE, SECOND

PRIORITY = {r.code: r.priority for r in reversed(RULES)}
EARLY = 2 * SECOND
LATEST = 40 * SECOND
"""How late the facts themselves may come; what an alert is late is shown."""


@dataclass
class Tally:
    """One code: what was injected, what of it was found, how late, and what was raised without cause."""

    truths: int = 0
    found: int = 0
    false: int = 0
    delays: list[int] = field(default_factory=list)
    missed: list[Truth] = field(default_factory=list)
    wrong: list[Alert] = field(default_factory=list)


@dataclass
class Score:
    """All of it."""

    codes: dict[str, Tally]
    outcomes: Counter[str]
    worst_ten_minutes: int
    told: int
    days: float

    def share(self, which: Iterable[str], found: bool) -> tuple[int, int]:
        """(hits, of how many) of recall (`found`) or precision over some codes."""
        tallies = [self.codes[c] for c in which if c in self.codes]
        hits = sum(t.found for t in tallies)
        return hits, sum(t.truths for t in tallies) if found else hits + sum(t.false for t in tallies)


def wilson(hits: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share."""
    if of == 0:
        return 0.0, 1.0
    p, d = hits / of, 1 + z * z / of
    middle, half = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return max(0.0, (middle - half) / d), min(1.0, (middle + half) / d)


def score(truths: list[Truth], outputs: Iterable[Alert | Verdict], days: float) -> Score:
    """Holds what was said against what was injected."""
    revisions, verdicts = defaultdict[str, list[Alert]](list), dict[str, Verdict]()
    for said in outputs:
        if isinstance(said, Alert):
            revisions[said.id].append(said)
        else:
            verdicts[said.permit] = said
    codes: dict[str, Tally] = defaultdict(Tally)
    used: set[str] = set()
    for truth in truths:
        _match(truth, revisions, codes[truth.code], used)
    right = {_pair(c, t.subject) for t in truths for c in (t.code, *t.also)}
    for ident, run in revisions.items():
        last = run[-1]
        if ident not in used and last.state not in ("retracted", "suppressed") and not {(last.permit, last.code), (last.subject, last.code)} & right:
            codes[last.code].false += 1
            codes[last.code].wrong.append(last)
    return Score(dict(codes), Counter(v.outcome for v in verdicts.values()), _worst(revisions.values()), sum(a.announce for run in revisions.values() for a in run), days)


def _pair(code: str, subject: str) -> tuple[str, str]:
    """`CODE` about the subject of its truth, or `CODE@subject` about another."""
    name, _, other = code.partition("@")
    return other or subject, name


def _match(truth: Truth, revisions: dict[str, list[Alert]], tally: Tally, used: set[str]) -> None:
    tally.truths += 1
    mine = [(i, run) for i, run in revisions.items() if run[0].code == truth.code and truth.subject in (run[0].permit, run[0].subject) and run[-1].state != "retracted"]
    hit = next(((i, run) for i, run in mine if truth.at - EARLY <= run[0].raised <= truth.at + truth.within + LATEST), None)
    if hit is None:
        tally.missed.append(truth)
        return
    tally.found += 1
    tally.delays.append(max(0, hit[1][0].raised - truth.at))
    used.add(hit[0])


def _worst(runs: Iterable[list[Alert]]) -> int:
    """The most annunciations that one owner of one shop had in ten minutes, P1 apart."""
    slots: Counter[tuple[str, str, int]] = Counter()
    for run in runs:
        for a in run:
            if a.announce and a.priority > 1:
                slots[a.owner, str(a.numbers.get("shop", "")), a.known // (10 * MINUTE)] += 1
    return max(slots.values(), default=0)


def lines(result: Score, quirks: dict[str, str] | None = None) -> Iterator[str]:
    """The report; `quirks` says what was done to each permit."""
    done = quirks or {}
    yield f"{'code':18} {'P':>2} {'truth':>6} {'found':>6} {'recall':>8} {'95 %':>15} {'false':>6} {'precision':>9} {'delay p50':>10} {'max':>8}"
    for code, t in sorted(result.codes.items()):
        low, high = wilson(t.found, t.truths)
        precise = t.found / (t.found + t.false) if t.found + t.false else 1.0
        delay = f"{statistics.median(t.delays) / 1000:9.1f}s {max(t.delays) / 1000:7.1f}s" if t.delays else f"{'—':>10} {'—':>8}"
        recall = f"{t.found / t.truths:8.1%} {low:6.1%} – {high:6.1%}" if t.truths else f"{'—':>8} {'':>15}"
        yield f"{code:18} {'P' + str(PRIORITY.get(code, 0)):>2} {t.truths:6} {t.found:6} {recall} {t.false:6} {precise:9.1%} {delay}"
    urgent = [c for c in result.codes if PRIORITY.get(c, 4) <= 2]
    for name, which, found in (("recall on P1 and P2 (goal 100 %)", urgent, True), ("recall on all", result.codes, True), ("precision on all (goal ≥ 99.5 %)", result.codes, False)):
        hits, of = result.share(which, found)
        low, high = wilson(hits, of)
        yield f"{name}: {hits} of {of} = {hits / max(1, of):.2%} ({low:.2%} – {high:.2%})"
    decided = sum(result.outcomes[o] for o in ("consistent", "violation", "indeterminate"))
    yield f"verdicts: {dict(result.outcomes)}; indeterminate {result.outcomes['indeterminate'] / max(1, decided):.2%} (goal ≤ 1 %)"
    false = sum(t.false for t in result.codes.values())
    yield f"false alerts per day: {false / max(result.days, 1e-9):.2f}; told to people per day: {result.told / max(result.days, 1e-9):.1f}; worst ten minutes of one operator: {result.worst_ten_minutes} without P1 (goal < 10)"
    for code, t in sorted(result.codes.items()):
        yield from (f"  missed {code} {truth.subject} ({done.get(truth.subject, '-')}) at {truth.at}" for truth in t.missed[:4])
        yield from (f"  false  {code} {a.permit or a.subject} ({done.get(a.permit, '-')}): {a.text['en']}" for a in t.wrong[:4])
