"""Tells a story to the pure kernel and holds what came against what was expected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import msgspec

from infra.plant.story import TIMES, Decision, Expect, Ruling, Story, moment
from streams.events import Entry, Requested, Tick
from streams.intake import Intake, Refusal
from streams.judging import Judging
from streams.kernel import Kernel, restore
from streams.outputs import Alert, Command, Output, Verdict
from streams.rules.gates import Question
from streams.times import SECOND, Stamp

END = "~end"
"""The permit whose verdict says that a story told through Kafka is over; nothing about it counts."""


@dataclass
class Telling:
    """What came of a story: every output in order, refusals, and answers at doors."""

    outputs: list[Output] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    answers: list[tuple[str, list[str], str]] = field(default_factory=list)

    @property
    def alerts(self) -> dict[str, list[Alert]]:
        """The revisions of each alert, by id, each revision once."""
        out: dict[str, list[Alert]] = {}
        for o in self.outputs:
            if isinstance(o, Alert) and all(o.revision != a.revision for a in out.setdefault(o.id, [])):
                out[o.id].append(o)
        return out

    def verdict(self, permit: str, until: int | None = None) -> Verdict | None:
        said = [o for o in self.outputs if isinstance(o, Verdict) and o.permit == permit and (until is None or o.known <= until)]
        return max(said, key=lambda v: (v.life, v.revision), default=None)

    def live(self) -> set[tuple[str, int, int, str]]:
        """(id, start, priority, text) of every alert that stands in the end."""
        last = [max(revisions, key=lambda a: a.revision) for revisions in self.alerts.values()]
        return {(a.id, a.start, a.priority, a.text["en"]) for a in last if a.state in ("raised", "acknowledged")}


def timeline(story: Story) -> Iterator[tuple[int, Entry | Refusal | Tick]]:
    """The story as a site's timeline: accepted entries and refusals as they arrive, a tick after every second."""
    intake, tick = Intake(), story.start
    for message in story.messages:
        while tick < message.arrives:
            if story.ticks(tick):
                yield tick, Tick(at=tick, virtual=True)
            tick += SECOND
        yield message.arrives, intake.take(message.raw, message.topic)
    while tick <= story.end:
        yield tick, Tick(at=tick, virtual=True)
        tick += SECOND


def tell(story: Story, crash_every: int = 0) -> Telling:
    """Tells the story to the kernel. `crash_every` n: after each n entries it is killed, restored and told the last 200 again."""
    kernel, telling = Judging(Kernel("story")), Telling()
    waiting = sorted(story.told.decision, key=lambda d: story.ms(d.at))
    snapshot, since = kernel.kernel.snapshot(), list[Entry]()
    for n, (at, said) in enumerate(timeline(story)):
        while waiting and story.ms(waiting[0].at) < at:
            telling.answers.append(_ask(kernel.kernel, story, waiting.pop(0)))
        if isinstance(said, Refusal):
            telling.refusals.append(said)
            continue
        entry = Entry(story.told.story, "clock", n, at, "site.events", said) if isinstance(said, Tick) else said
        telling.outputs += kernel.step(entry)
        since.append(entry)
        if crash_every and n % crash_every == crash_every - 1:
            kernel = Judging(restore(snapshot))
            for again in since:
                telling.outputs += kernel.step(again)
            snapshot, since = kernel.kernel.snapshot(), []
    telling.answers += [_ask(kernel.kernel, story, d) for d in waiting]
    return telling


def _ask(kernel: Kernel, story: Story, d: Decision) -> tuple[str, list[str], str]:
    at = story.ms(d.at)
    timed = {k: moment(story.told, v) if k in TIMES and isinstance(v, str) else v for k, v in d.request.items()}
    request = msgspec.convert({"at": at, "u": 0, "permit": "asked"} | timed, Requested) if d.request else None
    said = kernel.decide(Question("leave" if d.direction == "out" else d.gate, d.worker, d.door if d.gate == "entry" else "", d.permit, Stamp(at, d.u), request))  # type: ignore[arg-type]
    return said.answer, list(said.reasons), said.mode


def judge(story: Story, telling: Telling) -> list[str]:
    """What is wrong with a telling, one sentence each; empty if all that was expected came and nothing else."""
    unclaimed = dict(telling.alerts)
    wrong = [w for e in story.told.expect for w in _expected(story, telling, e, unclaimed)]
    for revisions in unclaimed.values():
        last = max(revisions, key=lambda a: a.revision)
        if not any(fnmatchcase(last.code, also) for also in story.told.also) and last.state != "retracted" and last.permit != END:
            wrong.append(f"unexpected {last.code} P{last.priority} at {_time(story, last.raised)}: {last.text['en']}")
    told = sum(a.announce for revisions in telling.alerts.values() for a in revisions)
    if story.told.annunciations and told > story.told.annunciations:
        wrong.append(f"at most {story.told.annunciations} annunciations expected, {told} came")
    wrong += [w for v in story.told.verdict for w in _ruled(story, telling, v)]
    if len(telling.refusals) != story.told.dead_letters:
        wrong.append(f"{story.told.dead_letters} dead letters expected, {len(telling.refusals)} came: {[r.detail for r in telling.refusals][:3]}")
    for asked, (answer, reasons, mode) in zip(sorted(story.told.decision, key=lambda d: story.ms(d.at)), telling.answers, strict=False):
        if answer != asked.answer or reasons != asked.reasons or (asked.mode and asked.mode != mode):
            wrong.append(f"{asked.gate} {asked.worker} {asked.permit} at {asked.door} {asked.at}: {asked.answer} {asked.reasons} expected, {answer} {reasons} came")
    return wrong


def _expected(story: Story, telling: Telling, e: Expect, unclaimed: dict[str, list[Alert]]) -> Iterator[str]:
    due = story.ms(e.at)
    same = [(i, r) for i, r in unclaimed.items() if r[0].code == e.code and (not e.permit or r[0].permit == ("" if e.permit == "-" else e.permit))]
    ident, revisions = next(((i, r) for i, r in same if _at_priority(r, e, due)), (None, list[Alert]()))
    if ident is None:
        came = ", ".join(f"P{a.priority} at {_time(story, a.known)}" for _, r in same for a in r) or "nothing"
        yield f"{e.code} P{e.priority} at {e.at} expected; {came} came"
        return
    later = (x for x in story.told.expect if x.code == e.code and x.permit == e.permit and x.priority < e.priority and story.ms(x.at) > due)
    if not any(_at_priority(revisions, x, story.ms(x.at)) for x in later):
        unclaimed.pop(ident, None)
    last = max(revisions, key=lambda a: a.revision)
    worst, most = min(a.priority for a in revisions), min(x.priority for x in story.told.expect if x.code == e.code and x.permit in ("", last.permit, e.permit))
    if worst < most:
        yield f"{e.code} rose to P{worst}; P{most} expected"
    if e.state and last.state != e.state:
        yield f"{e.code} should end as {e.state}, it is {last.state}"
    if e.revised and not any(abs(a.known - story.ms(e.revised)) <= e.within * SECOND for a in revisions[1:]):
        yield f"{e.code} should be revised at {e.revised}; revisions came at {[_time(story, a.known) for a in revisions[1:]]}"
    if e.ended and (last.end is None or abs(last.end - story.ms(e.ended)) > e.within * SECOND):
        yield f"{e.code} should have ended at {e.ended}; its end is {_time(story, last.end) if last.end is not None else 'not known'}"
    if e.aq and not any(a.aq == e.aq for a in revisions):
        yield f"{e.code} should carry AQ {e.aq}"
    if e.pack and e.pack not in last.pack:
        yield f"{e.code} should be judged by pack {e.pack}, it was by {last.pack}"
    if e.members and last.members != e.members:
        yield f"{e.code} should gather {e.members} conditions, it gathers {last.members}"
    if e.revisions and len(revisions) > e.revisions:
        yield f"{e.code} should be revised at most {e.revisions} times, it was {len(revisions)} times"
    asked = {o.action for o in telling.outputs if isinstance(o, Command) and o.alert == ident}
    yield from (f"{e.code} should ask for {c}; asked: {sorted(asked)}" for c in e.commands if c not in asked)


def _at_priority(revisions: Iterable[Alert], e: Expect, due: int) -> bool:
    """Did the alert first stand at this priority when it was due?"""
    first = next((a for a in revisions if a.priority == e.priority), None)
    return first is not None and abs(first.known - due) <= e.within * SECOND


def _ruled(story: Story, telling: Telling, ruling: Ruling) -> Iterator[str]:
    verdict = telling.verdict(ruling.permit, story.ms(ruling.at) if ruling.at else None)
    if verdict is None:
        yield f"no verdict on {ruling.permit}"
        return
    if verdict.outcome != ruling.outcome:
        said = {k: c.outcome for k, c in verdict.checks.items()}
        yield f"verdict on {ruling.permit}: {ruling.outcome} expected, {verdict.outcome} came ({said})"
    for name, outcome in ruling.checks.items():
        came = verdict.checks[name].outcome if name in verdict.checks else "nothing"
        if came != outcome:
            yield f"{name} of {ruling.permit}: {outcome} expected, {came} came"


def _time(story: Story, ms: int) -> str:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    return f"{datetime.fromtimestamp(ms / 1000, ZoneInfo(story.told.timezone)):%H:%M:%S}"
