"""Nothing can end the judge: what cannot be taken is set aside with its reason and leaves no trace."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import msgspec.inspect as look
import pytest
from aiohttp.test_utils import make_mocked_request
from msgspec.structs import replace

import streams.atlas
import streams.calendar
import streams.packs
import streams.plant
from infra.plant.story import read_story
from infra.plant.tell import judge, tell, timeline
from streams import events as e
from streams.alerts import Told
from streams.correlate import Correlate
from streams.desk import Away, Batch, Sending
from streams.events import CameraBeat, Entry, Frame, PlantSaid, Positions, Tick, decode_entry, encode
from streams.fold import Fold
from streams.intake import Intake, Refusal
from streams.judging import Aside, Judging
from streams.kernel import Kernel, restore
from streams.outputs import Alert, Output, Verdict
from streams.plant import Door, Plant, whole
from streams.rules import RULES
from streams.rules.gates import Answer, Question
from streams.rules.rule import Judged
from streams.spans import Intervals
from streams.times import EVER, Stamp
from streams.topics import ALERTS, TIMELINE, Topic

SCENARIOS = Path(__file__).parent / "scenarios"
STORY = SCENARIOS / "S26_lel_12_methane.toml"


def _entries(path: Path = STORY) -> list[Entry]:
    rows = [(at, said) for at, said in timeline(read_story(path)) if not isinstance(said, Refusal)]
    return [Entry("story", "clock", n, at, "site.events", said) if isinstance(said, Tick) else said for n, (at, said) in enumerate(rows)]


def _alerts(outputs) -> set[tuple[str, int, int | None, int, str]]:
    last: dict[str, Alert] = {}
    for o in outputs:
        if isinstance(o, Alert):
            last[o.id] = o
    return {(a.id, a.start, a.end, a.priority, a.text["en"]) for a in last.values() if a.code != "SYS-ASIDE"}


class Heard:
    """A desk that notes what is sent, a sending a row."""

    def __init__(self) -> None:
        self.sent: list[list[Sending]] = []

    async def send(self, sendings: Iterable[Sending]) -> None:
        self.sent.append(list(sendings))

    async def read(self, topic: Topic, partition: int) -> list[Any]:
        return []

    async def tail(self, topic: Topic, partition: int, most: int) -> list[Any]:
        return []

    def reached(self, topic: str, partition: int, next: int) -> None:
        assert (topic, partition) == (TIMELINE.name, 0)


def _taken_at_once(breath: float, monkeypatch) -> tuple[list[list[Sending]], int]:
    """(what was sent of a story that came in one batch; how often others had their turn meanwhile)."""
    monkeypatch.setattr("streams.correlate.BREATH", breath)
    desk, turns = Heard(), 0
    records = [SimpleNamespace(offset=n, key=b"story", value=encode(entry)) for n, entry in enumerate(_entries())]

    async def door() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def both() -> None:
        waiting = asyncio.create_task(door())
        await Correlate().take(Batch(TIMELINE.name, 0, records), desk)  # type: ignore[arg-type]
        waiting.cancel()

    asyncio.run(both())
    return desk.sent, turns


def test_a_long_batch_speaks_while_it_is_judged_and_lets_doors_be_answered(monkeypatch):
    """A gas alarm at the head of five thousand scans is not held back until all of them are judged."""
    whole, few = _taken_at_once(3600, monkeypatch)
    parts, many = _taken_at_once(-1, monkeypatch)
    assert [s for part in parts for s in part] == [s for part in whole for s in part] != []
    assert len(whole) == 1 and few < 10
    spoke = [n for n, part in enumerate(parts) if any(topic is ALERTS for topic, *_ in part)]
    assert spoke[0] < len(parts) - 100 and many > len(parts) - 10


def test_what_was_judged_and_could_not_be_sent_is_judged_again(monkeypatch):
    """The partition goes to another worker in the middle of a batch: no snapshot may say that it was judged."""

    class Gone(Heard):
        async def send(self, sendings: Iterable[Sending]) -> None:
            await super().send(sendings)
            if len(self.sent) == 3:
                raise Away("the partitions went to another worker")

    monkeypatch.setattr("streams.correlate.BREATH", -1)
    step, desk = Correlate(), Gone()
    records = [SimpleNamespace(offset=n, key=b"story", value=encode(entry)) for n, entry in enumerate(_entries()[:50])]
    with pytest.raises(Away):
        asyncio.run(step.take(Batch(TIMELINE.name, 0, records), desk))  # type: ignore[arg-type]
    assert (step.kernels, step.next, step.saved) == ({}, {}, {})


def _live(leap: int, long: int = 20_000, silent: str = "23:59:59") -> tuple[list[Output], list[Answer]]:
    """(what is told of a story whose clock is ours and was ahead by so many ms for so long at 09:00, what the door is told at 09:06). `silent`: from when on the detector says nothing."""
    kernel, out, answers = Kernel("story"), [], list[Answer]()
    read = read_story(STORY)
    at_nine, door = read.ms("09:00:00"), read.ms("09:06:00")

    def ours(at: int) -> int:
        return at + (leap if at_nine <= at < at_nine + long else 0)

    for n, (_, said) in enumerate(timeline(read)):
        if isinstance(said, Tick):
            out += kernel.step(Entry("story", "clock", n, ours(said.at), "site.events", Tick(at=ours(said.at))))
            if said.at == door:
                answers.append(kernel.decide(Question("entry", "W1", "DOOR", "", Stamp(door))))
        elif isinstance(said, Entry) and not (isinstance(said.event, Frame) and said.seen >= read.ms(silent)):
            event = replace(said.event, at=ours(said.event.at)) if isinstance(said.event, Frame | Positions | CameraBeat) else said.event
            out += kernel.step(replace(said, seen=ours(said.seen), event=event))
    return out, answers


def test_a_gate_is_asked_of_blindness_for_ten_seconds_after_it():
    kernel, now = Kernel("story"), read_story(STORY).ms("09:10:00")
    for entry in _entries():
        if entry.seen <= now:
            kernel.step(entry)
    asked = Question("resume", permit="HW-1", at=Stamp(now))
    site = kernel.memory.site
    modes = []
    for ago in (10_001, 10_000, 0):
        site.blind = Intervals([now - 60_000], [now - ago])
        modes.append(kernel.decide(asked).mode)
    assert modes == ["full", "blind", "blind"]


def test_a_gate_asked_of_a_moment_before_the_approval_says_that_it_was_not_approved():
    """A door whose clock is slow asks of a moment at which nobody had signed."""
    kernel, read = Kernel("story"), read_story(STORY)
    for entry in _entries():
        if entry.seen <= read.ms("08:57:00"):
            kernel.step(entry)
    before, after = (kernel.decide(Question("start", permit="HW-1", at=Stamp(read.ms(at)))) for at in ("08:51:59", "08:52:01"))
    assert (before.answer, "NOT-APPROVED" in before.reasons) == ("deny", True)
    assert "NOT-APPROVED" not in after.reasons


def _told_after(out: list[Output], moment: int) -> set[tuple[str, int, int, int | None]]:
    return {(o.code, o.priority, o.known, o.end) for o in out if isinstance(o, Alert) and o.known > moment}


@pytest.mark.parametrize(("leap", "long"), [(60_000, 20_000), (3_600_000, 20_000), (7 * 86_400_000, 20_000), (40 * 86_400_000, 300_000), (365 * 86_400_000, 300_000)])
def test_a_clock_of_ours_that_was_ahead_and_is_set_right_freezes_nothing(leap, long):
    """An hour in which no time passed: gas over its limit was told an hour late, and every door said pending for so long. A year ahead, and what was known of open permits was let go."""
    undisturbed, answers = _live(0)
    out, after = _live(leap, long)
    later = read_story(STORY).ms("09:05:30")
    assert {code for code, *_ in _told_after(undisturbed, later)} == {"X-GAS-RISE", "X-GAS-LIM"}
    assert _told_after(undisturbed, later) <= _told_after(out, later)
    assert answers == after != []
    last = {o.id: o for o in out if isinstance(o, Alert)}
    assert not [a for a in last.values() if a.state in ("raised", "acknowledged")]


def test_what_a_clock_that_was_ahead_had_stamped_keeps_no_detector_alive():
    undisturbed, _ = _live(0, silent="09:02:00")
    out, _ = _live(3_600_000, 60_000, silent="09:02:00")
    later = read_story(STORY).ms("09:02:10")
    assert {code for code, *_ in _told_after(undisturbed, later)} == {"DQ-SILENT"}
    silences = [{row for row in _told_after(said, later) if row[0] == "DQ-SILENT"} for said in (undisturbed, out)]
    assert silences[0] == silences[1]


def test_what_a_clock_that_was_ahead_let_go_for_its_number_is_looked_at_again():
    """Of a rule that found very much, nothing before the last of it is looked at: a moment of a wrong clock is no such moment."""
    kernel, now = Kernel("story"), read_story(STORY).ms("09:10:00")
    for entry in _entries():
        if entry.seen <= now:
            kernel.step(entry)
    told = kernel.memory.told["SYS-RULE/much"] = Told(over={"ahead": now + 300_000, "before": now - 1})
    kernel.step(Entry("story", "clock", 1 << 40, now + 300_000, "site.events", e.Tick(at=now + 300_000)))
    kernel.step(Entry("story", "clock", (1 << 40) + 1, now, "site.events", e.Tick(at=now)))
    assert told.over == {"ahead": now, "before": now - 1}


class Poison(Exception):
    pass


@pytest.fixture
def poisoned(monkeypatch):
    """A fold that dies half way through every hazard, after it has changed something."""

    def dies(self, fact, event, dirty):
        self.known.site.hazards.setdefault(event.hazard, []).append(fact)
        self.known.site.works.clear()
        raise Poison("half done")

    monkeypatch.setattr(Fold, "_hazard", dies)


def _hazard(at: int, n: int, source: str = "bad") -> Entry:
    return Entry("story", source, n, at, "site.events", e.Hazard(at=at, hazard=f"H{n}", state="found"))


@pytest.mark.seed("001-32", part="what cannot be judged is set aside")
def test_what_the_fold_cannot_take_leaves_no_trace_and_is_said_once_a_source(poisoned):
    plain, asides = Judging(Kernel("story")), list[Aside]()
    expected = [o for entry in _entries() for o in plain.step(entry)]
    judging, said = Judging(Kernel("story"), aside=asides.append), []
    for n, entry in enumerate(_entries()):
        said += judging.step(entry)
        if n % 1000 == 500:
            said += judging.step(_hazard(entry.seen, n))
    assert _alerts(said) == _alerts(expected)
    assert len(asides) > 5 and all("Poison: half done" in a.reason for a in asides)
    told = {a.id: a for a in said if isinstance(a, Alert) and a.code == "SYS-ASIDE"}
    assert len(told) == 1
    assert next(iter(told.values())).priority == 2 and "bad" in next(iter(told.values())).text["en"]
    assert judging.kernel.memory.site.hazards == {}


def test_a_poisoned_log_is_judged_by_a_version_that_can_take_it(poisoned, monkeypatch):
    """The log heals by starting the new version: nothing of it is skipped for ever."""
    entries = _entries()
    entries.insert(3000, _hazard(entries[3000].seen, 1))
    old = Judging(Kernel("story"))
    for entry in entries:
        old.step(entry)
    monkeypatch.undo()
    new = Judging(Kernel("story"))
    said = [o for entry in entries for o in new.step(entry)]
    assert not [o for o in said if isinstance(o, Alert) and o.code == "SYS-ASIDE"]
    assert "H1" in new.kernel.memory.site.hazards


def test_an_entry_that_no_snapshot_can_hold_is_found_and_set_aside():
    """Half of what came since the last foothold is folded again and again until the one is found."""
    asides = list[Aside]()
    judging = Judging(Kernel("story"), aside=asides.append)
    entries = _entries()[:400]
    huge = Entry("story", "hr", 1, entries[200].seen, "roster.events", e.Record(at=entries[200].seen, worker="W1", what="overtime", value=1.0, trade="x"))
    for n, entry in enumerate(entries):
        judging.step(entry)
        if n == 200:
            judging.step(huge)
    judging.kernel.memory.site.people["W1"].records[0] = msgspec.structs.replace(judging.kernel.memory.site.people["W1"].records[0], seq=1 << 70)
    poison = msgspec.structs.replace(huge, seq=1 << 70)
    judging.since[judging.since.index(huge)] = poison
    raw, said = judging.stand()
    assert [a.entry for a in asides] == [poison]
    assert [o.code for o in said if isinstance(o, Alert)] == ["SYS-ASIDE"]
    assert restore(judging.stand()[0]).memory.site.now == entries[-1].seen or raw


def test_a_verdict_that_cannot_be_drawn_is_our_fault_and_no_other_permits(monkeypatch):
    from streams import kernel as module

    monkeypatch.setattr(module, "times", lambda course: 1 / 0)
    kernel, said = Judging(Kernel("story")), []
    for entry in _entries():
        said += kernel.step(entry)
    assert not [o for o in said if isinstance(o, Verdict)]
    assert [o.code for o in said if isinstance(o, Alert) and o.code == "SYS-RULE"] == ["SYS-RULE"]
    assert [o for o in said if isinstance(o, Alert) and o.code == "X-GAS-LIM"]


def test_a_rule_that_raises_takes_itself_out_for_one_subject_only(monkeypatch):
    i = next(i for i, r in enumerate(RULES) if r.code == "GUARD-ABSENT")
    wrong = msgspec.json.encode  # any callable that raises for these arguments

    def raises(known, subject) -> Judged:
        raise RuntimeError(str(wrong))

    from dataclasses import replace

    from streams import kernel as module

    rules = (*RULES[:i], replace(RULES[i], judge=raises), *RULES[i + 1 :])
    monkeypatch.setattr(module, "RULES", rules)
    said = [o for kernel in [Judging(Kernel("story"))] for entry in _entries() for o in kernel.step(entry)]
    assert {o.code for o in said if isinstance(o, Alert)} >= {"SYS-RULE", "X-GAS-LIM"}


def test_a_snapshot_of_another_version_is_set_aside():
    kernel = Kernel("story")
    kernel.memory.version = "0.2.0/1"
    with pytest.raises(ValueError, match="version"):
        restore(kernel.snapshot())


@pytest.mark.parametrize("types", [("02",), ("02", "21", "61", "10", "50", "70", "30", "40")], ids=["hot", "every-family"])
def test_many_permits_at_one_point_cost_no_more_than_n_log_n(types):
    """One finding a permit, the nearest partner and the count; four times as many permits cost hardly more than four times as much."""
    import time

    costs = []
    for n in (100, 400):
        story = read_story(STORY)
        kernel, at = Kernel("story"), story.start
        plant = next(entry for entry in _entries() if isinstance(entry.event, e.PlantSaid))
        kernel.step(plant)
        began = time.process_time()
        for i in range(n):
            ask = e.Requested(at=at + i * 1000, u=0, permit=f"P{i}", type=types[i % len(types)], point="P", valid_from=at, valid_to=at + 8 * 3_600_000, workers=[f"W{i}"], guardians=[f"G{i}"])
            kernel.step(Entry("story", "ptw", 3 * i + 1, at + i * 1000, "permit.events", ask))
            kernel.step(Entry("story", "ptw", 3 * i + 2, at + i * 1000, "permit.events", e.Step(at=at + i * 1000, u=0, permit=f"P{i}", step="issued", by="A")))
            kernel.step(Entry("story", "ptw", 3 * i + 3, at + i * 1000, "permit.events", e.Step(at=at + i * 1000, u=0, permit=f"P{i}", step="started")))
        costs.append(time.process_time() - began)
    assert costs[1] < 10 * costs[0], costs


def test_the_story_itself_is_as_ever():
    story = read_story(STORY)
    assert judge(story, tell(story)) == []


def _told(events: list[e.Any_]) -> list[Alert]:
    kernel, at = Judging(Kernel("story")), read_story(STORY).start
    said = kernel.step(next(entry for entry in _entries() if isinstance(entry.event, e.PlantSaid)))
    for n, event in enumerate(events, 1):
        said += kernel.step(Entry("story", "ptw", n, event.at, "permit.events", event))
        said += kernel.kernel.advance(max(at, event.at))
    return [o for o in said if isinstance(o, Alert)]


T0 = read_story(STORY).start
EACH: dict[str, Callable[[int], e.Any_]] = {
    "the same scan again": lambda n: e.Scan(at=T0, u=1000, worker="W1", door="DOOR", direction="in"),
    "a scan of another second": lambda n: e.Scan(at=T0 + 1000 * n, u=1000, worker="W1", door="DOOR", direction="in" if n % 2 else "out"),
    "gas over its limit, rising": lambda n: Frame(at=T0 + 1000 * n, u=0, names=["D"], values=[30.0 + n / 100]),
    "work seen": lambda n: e.Detection(at=T0 + 1000 * n, u=0, camera="C", behaviour="welding", confidence=0.9),
    "the permit asked for again": lambda n: e.Requested(at=T0 + n, u=0, permit="HW-9", type="02", point="P", valid_from=T0, valid_to=T0 + 8 * 3_600_000),
    "a test said again": lambda n: e.GasTest(at=T0 + n, u=0, permit="HW-9", results=[e.GasResult("methane", 9.0, "%vol")]),
}
"""What a source may say thousands of times."""


@pytest.mark.parametrize("what", EACH)
def test_what_is_said_with_every_message_is_not_told_with_every_message(what):
    """A flood of one source must not become a flood of revisions: each goes to Kafka, to notify and into ClickHouse."""
    told = Counter(a.id for a in _told([EACH[what](n) for n in range(400)]))
    assert max(told.values(), default=0) <= 30, told.most_common(3)


def test_a_worker_who_is_named_twice_is_one_and_no_storm():
    at = read_story(STORY).start
    asked = e.Requested(at=at, u=0, permit="LF", type="61", point="P", valid_from=at, valid_to=at + 8 * 3_600_000, workers=["A1", "A1"], guardians=["G"])
    card = [e.Certificate(at=at + 2000 + i * 60_000, worker="A1", number="1", trade="electrician", valid_to="2027-01-01") for i in range(60)]
    alerts = [a for a in _told([asked, e.Step(at=at + 1000, u=0, permit="LF", step="started"), *card]) if a.code == "CERT-MISM"]
    assert len({a.id for a in alerts}) == 1


def test_two_pauses_with_a_failed_analysis_each_are_two_alerts_and_no_storm():
    at, minute = read_story(STORY).start, 60_000

    def step(after: int, word: str) -> e.Step:
        return e.Step(at=at + after * minute, u=0, permit="HW", step=word)

    def test(after: int, value: float) -> e.GasTest:
        return e.GasTest(at=at + after * minute, u=0, permit="HW", results=[e.GasResult("methane", value, "%vol")])

    asked = e.Requested(at=at, u=0, permit="HW", type="02", point="P", valid_from=at, valid_to=at + 8 * 60 * minute, workers=["W"], guardians=["G"])
    rest = [test(50, 0.05), step(55, "issued"), step(60, "started"), step(90, "suspended"), test(92, 0.6), step(95, "resumed"), step(120, "suspended"), test(132, 0.6), step(135, "resumed"), step(180, "finished")]
    alerts = [a for a in _told([asked, *rest, step(240, "accepted")]) if a.code == "GAS-INTERRUPT"]
    assert len({a.id for a in alerts}) == 2


def test_a_pack_of_an_older_log_is_judged_by_with_the_national_figures_that_it_lacks():
    from streams.packs import built_in, terms_of

    old = msgspec.structs.replace(built_in("GB"), limits={k: v for k, v in built_in("GB").limits.items() if k != "oxygen_pass"})
    assert terms_of(old)["oxygen_pass"] == 21.0


def test_a_pack_that_cannot_be_judged_by_is_set_aside_and_the_one_in_force_stays():
    from streams.packs import built_in

    asides = list[Aside]()
    judging = Judging(Kernel("story"), aside=asides.append)
    entries = _entries()[:3000]
    mad = msgspec.structs.replace(built_in("GB"), limits=built_in("GB").limits | {"gas_fresh": 1e308})
    for n, entry in enumerate(entries):
        judging.step(entry)
        if n == 100:
            judging.step(Entry("story", "hand", 1, entry.seen, "site.events", e.PackSaid(at=entry.seen, pack=mad, effective=entry.seen)))
    assert len(asides) == 1 and "gas_fresh" in asides[0].reason
    assert judging.kernel.known.terms_of(None)["gas_fresh"] == 30 * 60_000
    assert judging.kernel.memory.site.now >= entries[-1].seen - 2000


def test_what_judges_stands_in_the_log(monkeypatch):
    """A log whose plant is written out whole is judged the same where no pack and no calendar of ours can be read."""
    story = read_story(SCENARIOS / "S48_holiday_night.toml")
    told = [said for _, said in timeline(story) if isinstance(said, Entry)]
    written = [msgspec.structs.replace(e, event=msgspec.structs.replace(e.event, plant=whole(e.event.plant))) if isinstance(e.event, PlantSaid) else e for e in told]
    assert next(e.event.plant for e in written if isinstance(e.event, PlantSaid)).calendar is not None
    expected = _judged(told, story.end)
    assert [a for a in expected if isinstance(a, Alert)]

    def gone(*_: object) -> None:
        raise AssertionError("this version's own pack or calendar was read")

    for module in (streams.plant, streams.atlas, streams.packs, streams.calendar):
        monkeypatch.setattr(module, "built_in", gone)
    assert _judged([decode_entry(encode(e)) for e in written], story.end) == expected


def _judged(entries: list[Entry], end: int) -> list[Output]:
    kernel, out = Kernel("story"), list[Output]()
    for entry in entries:
        out += [*kernel.advance(entry.seen), *kernel.step(entry)]
    return [*out, *kernel.advance(end)]


@pytest.mark.parametrize("size", [1e18, 1e9, float("nan"), float("inf"), -1e12])
def test_a_zone_of_absurd_size_is_refused_and_one_in_an_old_log_ends_nothing(size):
    """A zone as wide as a continent once filled the memory of whoever looked at the plant."""
    from streams.atlas import Atlas
    from streams.plant import Zone
    from streams.sound import sound_plant

    plant = next(entry.event.plant for entry in _entries() if isinstance(entry.event, e.PlantSaid))
    odd = msgspec.structs.replace(plant, zones=[Zone("Z", "z", "z", 0, 0, size, 50)])
    with pytest.raises(ValueError, match="zone Z lies at"):
        sound_plant(odd)
    began = time.process_time()
    atlas = Atlas(odd)
    assert time.process_time() - began < 1
    assert [z.id for z in atlas.zones_at(10, 10)] == ["Z"]


FAR_ODD = [
    {"policy": {"hole_stays": 2**63 - 1}}, {"policy": {"index_delay": -1}}, {"policy": {"index_delay": 86_401}}, {"uncertainty": {"dcs": -1}},
    {"uncertainty": {"dcs": 2**63 - 1}}, {"push_delay": {"dcs": 86_400_001}},
    {"zones": [{"id": "Z", "zh": "z", "en": "z", "x": 0, "y": 0, "w": 1, "h": 1, "least": 10**30}]}, {"zones": [{"id": "Z", "zh": "z", "en": "z", "x": 0, "y": 0, "w": 1, "h": 1, "most": -1}]},
]  # fmt: skip


@pytest.mark.parametrize("odd", FAR_ODD)
def test_times_of_a_site_that_nobody_can_mean_are_refused(odd):
    """Such a number once made a wake that no snapshot could hold."""
    said = next(entry for entry in _entries() if isinstance(entry.event, e.PlantSaid))
    raw = msgspec.json.decode(encode({"site": said.site, "source": said.source, "seq": said.seq, "seen": said.seen, "event": said.event}))
    assert not isinstance(Intake().take(encode(raw), said.topic), Refusal)
    raw["event"]["plant"] |= odd
    assert isinstance(Intake().take(encode(raw), said.topic), Refusal)


@pytest.mark.parametrize("odd, taken", [({"acc": 1e6}, True), ({"acc": 253402300799999}, False), ({"acc": -1}, False), ({"y": -1e6}, True), ({"y": -1.1e6}, False), ({"z": 1e7}, False)])
def test_an_activity_that_lies_nowhere_is_refused(odd, taken):
    """Its place once was so unsure that it conflicted with every permit of the world."""
    event = {"kind": "activity", "at": 1_773_100_800_000, "activity": "A", "what": "dust", "phase": "start"} | odd
    raw = encode({"site": "S", "source": "ptw", "seq": 1, "seen": 1_773_100_800_000, "event": event})
    assert isinstance(Intake().take(raw, "site.events"), Refusal) is not taken


def _numbers(kind: look.Type, name: str, seen: set[type]) -> Iterator[str]:
    """The whole numbers of a type that have no bounds."""
    match kind:
        case look.StructType() if kind.cls not in seen:
            seen.add(kind.cls)
            for f in kind.fields:
                yield from _numbers(f.type, f"{kind.cls.__name__}.{f.name}", seen)
        case look.IntType() if kind.ge is None or kind.le is None:
            yield name
        case look.UnionType():
            for one in kind.types:
                yield from _numbers(one, name, seen)
        case look.ListType() | look.SetType() | look.VarTupleType():
            yield from _numbers(kind.item_type, name, seen)
        case look.DictType():
            yield from _numbers(kind.value_type, name, seen)
        case look.Metadata():
            yield from _numbers(kind.type, name, seen)
        case _:
            pass


def test_no_whole_number_of_a_site_is_without_bounds():
    """Those that are bounded where a plant is looked at (`sound_plant`, `sound_pack`) are named here."""
    assert set(_numbers(look.type_info(Plant), "", set())) == {"Pack.warn_days", "Plant.uncertainty", "Plant.push_delay"}


def test_a_wake_beyond_all_time_fits_a_snapshot():
    """Whatever a rule answers: the memory is written and read again."""
    entries = _entries()
    kernel = Kernel("story")
    for entry in entries[:200]:
        kernel.step(entry)
    for i, name in ((kernel.heap[0][1], kernel.heap[0][2]), (kernel.heap[-1][1], kernel.heap[-1][2])):
        kernel._arm(i, name, kernel._key(i, name), 2**80)
    assert EVER in restore(kernel.snapshot()).memory.armed.values()


def test_after_a_restart_neighbours_are_met_as_before():
    """Who stands near whom is made again from a snapshot: of two that conflict the one that comes after the restart says so."""
    told = []
    for restart in (False, True):
        kernel = Kernel("story")
        entries = _entries(STORY.with_name("S42_two_hot_8m_solvent.toml"))
        second = next(n for n, x in enumerate(entries) if isinstance(x.event, e.Requested) and x.event.permit != next(y.event.permit for y in entries if isinstance(y.event, e.Requested)))
        said = []
        for n, entry in enumerate(entries):
            if restart and n == second:
                kernel = restore(kernel.snapshot())
            said += kernel.step(entry)
        told.append([(a.id, a.known, a.text["en"]) for a in said if isinstance(a, Alert) and a.code.startswith("X-SIMOPS")])
    assert told[0] == told[1] != []


@pytest.mark.seed("001-32", part="while the judge is behind")
@pytest.mark.parametrize("asked, answer", [("worker=W9&door=HUT", "allow"), ("worker=W9&door=GATE", "pending"), ("worker=R&door=GATE", "allow"), ("worker=W9&door=GATE&for=leave", "allow"), ("worker=W9&door=GATE&direction=out", "allow"), ("for=start&permit=HW-1", "deny")])
def test_who_comes_to_a_shelter_or_to_help_is_let_in_though_the_judge_is_behind(asked, answer):
    """`domain.md` 4.5: neither our blindness nor a backlog closes a shelter or holds a rescuer back."""
    kernel = Kernel("story")
    for entry in _entries(SCENARIOS / "D_rescuer_while_blind.toml"):
        kernel.step(entry)
    plant = kernel.known.site.plant
    assert plant is not None
    kernel.known.site.plant = replace(plant, doors=[*plant.doors, Door("HUT", ["P"], shelter=True)])
    kernel.memory.site.virtual = False
    step = Correlate()
    step.kernels = {0: {"story": Judging(kernel)}}
    query = asked.replace("worker=R", f"worker={next(w for w, p in kernel.known.site.people.items() if p.listed and set(p.listed[-1].event.roles) & {'rescue', 'fire'})}")  # type: ignore[union-attr]
    said = json.loads(asyncio.run(step.decide(make_mocked_request("GET", f"/decide?site=story&{query}"))).text or "")
    assert (said["answer"], said["behind_ms"] > 10_000) == (answer, True), said
    assert ("SYS-LAG" in said["reasons"]) == (answer != "allow")


def test_tracks_that_began_and_ended_are_forgotten():
    """A camera numbers its tracks for ever."""
    kernel = Kernel("story")
    for entry in _entries()[:20]:
        kernel.step(entry)
    now = kernel.known.site.now
    for n in range(300):
        at = now + n * 3_600_000
        for k, phase in enumerate(("start", "end")):
            kernel.step(Entry("story", "vms", 2 * n + k + 1, at + k, "camera.detections", e.Detection(at=at + k, u=0, camera="C", behaviour="fall", confidence=0.9, point="P", phase=phase, track=f"{n}")))  # type: ignore[arg-type]
        kernel.step(Entry("story", "clock", 10**6 + n, at + 1000, "site.events", Tick(at=at + 1000, idle=at + 1000, virtual=True)))
    assert 0 < len(kernel.known.site.phases["P"]["fall"]) < 100
