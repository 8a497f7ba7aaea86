"""Scores whoever judged the days: recall and precision by code with Wilson intervals, delay, false alerts, the share that could not be told, what people were told."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from infra.truth.book import ASKED, PRIORITY
from infra.truth.days import Ask, Truth
from infra.truth.verdicts import Agreement
from streams.outputs import Alert, Command, Verdict
from streams.rules.gates import Answer
from streams.times import MINUTE, SECOND

EARLY = 2 * SECOND
BRIEF = 5 * SECOND
"""What is over before anybody could act asks for nothing."""
ENDS = 75 * SECOND
"""An end that rests on telemetry every twenty seconds is known within the span over which silence is bridged."""


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
class Held:
    """How much of something was right, and what was not."""

    of: int = 0
    wrong: list[str] = field(default_factory=list)

    def note(self, right: bool, said: str) -> None:
        self.of += 1
        if not right:
            self.wrong.append(said)


@dataclass
class Score:
    """All of it."""

    codes: dict[str, Tally]
    outcomes: Counter[str]
    worst_ten_minutes: int
    told: int
    days: float
    priorities: Held = field(default_factory=Held)
    commands: Held = field(default_factory=Held)
    ends: Held = field(default_factory=Held)
    answers: Held = field(default_factory=Held)
    retracted: list[Alert] = field(default_factory=list)
    """Announced to people and taken back."""
    verdicts: Agreement | None = None

    @property
    def unsure_where_good(self) -> int:
        """Checks that were left open on a permit whose clocks are all good."""
        return sum(n for what, n in self.verdicts.unsure.items() if what.startswith("good")) if self.verdicts else self.outcomes["indeterminate"]

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


def score(truths: list[Truth], outputs: Iterable[Alert | Verdict | Command], days: float, answers: Iterable[tuple[Ask, Answer]] = (), verdicts: Agreement | None = None, late: Callable[[Alert], bool] = lambda alert: False) -> Score:
    """Holds what was said against what was injected."""
    revisions, outcomes, asked = defaultdict[str, list[Alert]](list), dict[tuple[str, int], Verdict](), defaultdict[str, set[str]](set)
    for said in outputs:
        match said:
            case Alert():
                revisions[said.id].append(said)
            case Command():
                asked[said.alert].add(said.action)
            case Verdict():
                outcomes[said.permit, said.life] = said
    out = Score(defaultdict(Tally), Counter(v.outcome for v in outcomes.values()), _worst(revisions.values()), sum(a.announce for run in revisions.values() for a in run), days, verdicts=verdicts)
    used: set[str] = set()
    for truth in truths:
        run = _match(truth, revisions, out.codes[truth.code], used)
        if run:
            _closer(out, truth, run, asked[run[0].id])
    _without_cause(out, truths, revisions, used, late)
    for ask, answer in answers:
        right = answer.answer == ask.answer and (not ask.reason or ask.reason in answer.reasons)
        out.answers.note(right, f"{ask.gate} {ask.permit or ask.worker}: {answer.answer} {' '.join(answer.reasons)}, should be {ask.answer} {ask.reason}".strip())
    out.codes = dict(out.codes)
    return out


def _closer(out: Score, truth: Truth, run: list[Alert], asked: set[str]) -> None:
    """What was found, looked at more closely: how urgent, what it asked for, when it ended."""
    name = f"{truth.code} {truth.subject}"
    urgent = truth.priority or PRIORITY.get(truth.code)
    out.priorities.note(run[0].priority == urgent, f"{name}: P{run[0].priority}, should be P{urgent}")
    if truth.code in ASKED and (truth.end is None or truth.end - truth.at > BRIEF):
        out.commands.note(asked == ASKED[truth.code], f"{name}: asked for {' '.join(sorted(asked)) or 'nothing'}, should be {' '.join(sorted(ASKED[truth.code])) or 'nothing'}")
    if truth.end is not None:
        end = run[-1].end
        out.ends.note(end is not None and abs(end - truth.end) <= ENDS, f"{name}: ended {'never' if end is None else f'{(end - truth.end) / SECOND:+.0f} s'}")


def _without_cause(out: Score, truths: list[Truth], revisions: dict[str, list[Alert]], used: set[str], late: Callable[[Alert], bool]) -> None:
    """What was raised and is no truth; what people were called for and was then taken back counts too, unless a late fact explains it."""
    right = {_pair(c, t.subject) for t in truths for c in (t.code, *t.also)}
    for ident, run in revisions.items():
        last, back = run[-1], run[-1].state == "retracted"
        if back and any(a.announce for a in run) and not late(run[0]):
            out.retracted.append(last)
        elif back or ident in used or last.state == "suppressed" or {(last.permit, last.code), (last.subject, last.code)} & right:
            continue
        out.codes[last.code].false += 1
        out.codes[last.code].wrong.append(last)


def _pair(code: str, subject: str) -> tuple[str, str]:
    """`CODE` about the subject of its truth, or `CODE@subject` about another."""
    name, _, other = code.partition("@")
    return other or subject, name


def _match(truth: Truth, revisions: dict[str, list[Alert]], tally: Tally, used: set[str]) -> list[Alert] | None:
    tally.truths += 1
    mine = [(i, run) for i, run in revisions.items() if run[0].code == truth.code and truth.subject in (run[0].permit, run[0].subject) and run[-1].state != "retracted"]
    hit = next(((i, run) for i, run in mine if i not in used and truth.at - EARLY <= run[0].raised <= truth.at + truth.within + truth.grace), None)
    if hit is None:
        tally.missed.append(truth)
        return None
    tally.found += 1
    tally.delays.append(max(0, hit[1][0].raised - truth.at))
    used.add(hit[0])
    return hit[1]


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
    yield f"verdicts: {dict(result.outcomes)}; checks left open where clocks are good: {result.unsure_where_good} of {decided} permits (goal ≤ 1 %)"
    if result.verdicts:
        right, of = result.verdicts.right
        yield f"checks T1, T2, T3, T5, T6 as the oracle says: {right} of {of}" + "".join(f"; {what}: {n}" for what, n in sorted(result.verdicts.unsure.items()))
    for what, held in (("priorities", result.priorities), ("commands", result.commands), ("ends", result.ends), ("answers at gates", result.answers)):
        if held.of:
            yield f"{what} right: {held.of - len(held.wrong)} of {held.of}"
    yield f"announced and then retracted (counted as false): {len(result.retracted)}"
    false = sum(t.false for t in result.codes.values())
    yield f"false alerts per day: {false / max(result.days, 1e-9):.2f}; told to people per day: {result.told / max(result.days, 1e-9):.1f}; worst ten minutes of one operator: {result.worst_ten_minutes} without P1 (goal < 10)"
    for code, t in sorted(result.codes.items()):
        yield from (f"  missed {code} {truth.subject} ({done.get(truth.subject, '-')}) at {truth.at}" for truth in t.missed[:4])
        yield from (f"  false  {'(taken back) ' if a.state == 'retracted' else ''}{code} {a.permit or a.subject} ({done.get(a.permit, '-')}): {a.text['en']}" for a in t.wrong[:4])
    for held in (result.priorities, result.commands, result.ends, result.answers):
        yield from (f"  wrong  {said} ({done.get(said.split(' ')[1].rstrip(':'), '-')})" for said in held.wrong[:12])
    if result.verdicts:
        yield from (f"  verdict {permit}#{life} ({done.get(permit, '-')}): {check} is {came}, should be {truth}" for permit, life, check, truth, came in result.verdicts.wrong[:12])
