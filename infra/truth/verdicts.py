"""The verdicts on PermitBench's permits, held against the oracle, which tries every instant that the clocks allow and knows nothing of the rules."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from infra.truth.book import NEEDS_GAS
from infra.truth.oracle import STEPS, Fact, Place, judge
from streams.events import ClockSaid, DeviceSaid, Entry, GasTest, Requested, Step
from streams.outputs import Verdict
from streams.plant import Plant

CHECKS = ("T1", "T2", "T3", "T5", "T6")
NOTHING = frozenset({"not applicable", "pending"})


@dataclass
class Facts:
    """What the oracle is told: the facts of each permit, what was said of devices, and by how much clocks were found ahead."""

    of: dict[str, list[Fact]] = field(default_factory=lambda: defaultdict(list))
    devices: list[Fact] = field(default_factory=list)
    ahead: dict[str, int] = field(default_factory=dict)
    heard: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    seen: set[str] = field(default_factory=set)
    points: dict[str, str] = field(default_factory=dict)

    def note(self, entry: Entry) -> None:
        """Takes what an entry says of a permit or a device; a repeat says nothing."""
        event = entry.event
        if not isinstance(event, Requested | Step | GasTest | DeviceSaid | ClockSaid) or entry.ref in self.seen:
            return
        self.seen.add(entry.ref)
        match event:
            case ClockSaid():
                self.ahead[event.device] = event.offset
            case DeviceSaid(calibrated_to=day) if day:
                self.devices.append(self._fact(entry, "device", {"device": event.device, "calibrated_to": day}))
            case Requested():
                said = {"type": event.type, "valid_from": event.valid_from, "valid_to": event.valid_to, "planned_start": event.planned_start}
                self.points[event.permit] = event.point
                self.of[event.permit].append(self._fact(entry, "requested", said))
            case GasTest():
                said = {"results": [(r.gas, r.value, r.unit) for r in event.results], "passed": event.passed, "method": event.method, "device": event.device}
                self.of[event.permit].append(self._fact(entry, "test", {k: v for k, v in said.items() if v not in (None, "")}))
            case Step(step=step) if step in STEPS:
                self.of[event.permit].append(self._fact(entry, step, {}))

    def _fact(self, entry: Entry, kind: str, said: dict[str, object]) -> Fact:
        event = entry.event
        ahead = self.ahead.get(event.device, 0) if isinstance(event, GasTest) else 0
        return Fact(kind, event.at - ahead, event.u, event.grain, entry.source, entry.seq, entry.seen, said)


@dataclass
class Agreement:
    """How the verdicts stand to the oracle: by check (truth, said) → how many; the outcomes where clocks are good and where they are not."""

    pairs: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))
    wrong: list[tuple[str, int, str, str, str]] = field(default_factory=list)
    unsure: Counter[str] = field(default_factory=Counter)

    @property
    def right(self) -> tuple[int, int]:
        """(checks that came out as the oracle says, of how many)"""
        of = sum(sum(c.values()) for c in self.pairs.values())
        return of - len(self.wrong), of


def agree(facts: Facts, said: Iterable[Verdict], plant: Plant, now: int, bad_clock: set[str]) -> Agreement:
    """The last verdict on each life of each permit against the oracle's."""
    last = {(v.permit, v.life): v for v in said}
    points, out = {p.id: p for p in plant.points}, Agreement()
    for permit, told in facts.of.items():
        point = points.get(facts.points.get(permit, ""))
        place = Place(bool(point and (point.closed if point.closed is not None else point.space)), bool(point and point.enriched), tuple(point.toxics) if point else ())
        for ruling in judge([*told, *facts.devices], now, place):
            verdict = last.get((permit, ruling.life))
            _hold(out, permit, ruling.life, ruling.checks, verdict, permit in bad_clock)
    return out


def _hold(out: Agreement, permit: str, life: int, truth: Mapping[str, str], verdict: Verdict | None, bad: bool) -> None:
    for name in CHECKS if verdict is None or verdict.type in NEEDS_GAS else ("T3", "T5"):
        expected = str(truth[name])
        check = verdict.checks.get(name) if verdict else None
        came = check.outcome if check else "not applicable"
        out.pairs[name][expected, came] += 1
        if expected != came and not {expected, came} <= (NOTHING | {"consistent"} if name == "T6" else NOTHING):
            out.wrong.append((permit, life, name, expected, came))
        if "indeterminate" in (expected, came):
            out.unsure[f"{'bad' if bad else 'good'} clock, expected {expected}, said {came}"] += 1
