"""The seven laws at the end of `domain.md` 4.4, each over a story of every rule module."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from infra.plant.story import read_story
from infra.plant.tell import Telling, timeline
from streams import kernel as kernel_
from streams.course import Course
from streams.events import Entry, Step, Tick, decode_entry, encode
from streams.intake import Refusal
from streams.kernel import Kernel, restore
from streams.outputs import Alert, Verdict
from streams.rules import RULES
from streams.rules.rule import CAUSES, Known, Subject
from streams.telemetry import Dirty
from streams.times import HOUR, MINUTE
from streams.work import Work

SCENARIOS = Path(__file__).parent / "scenarios"
LAWS = (
    "S02_gas_47_min_before_approval", "S06_work_before_approval", "S07_video_after_start", "S11_welder_certificate_expired", "S17_registry_drift", "S19_guardian_absent", "S26_lel_12_methane",
    "S31_continuous_gap_61s", "S32_interruption_45_min", "S35_dcs_121s", "S40_lightning_yellow", "S42_two_hot_8m_solvent", "S45_dup_3_in_24h", "S46_forbidden_type", "S51_badge_no_permit",
    "S58_approver_offsite", "S59_rubber_stamp", "S68_cal_expired", "R_HAZ_life", "R_LEVEL_low", "R_PERSON_state", "R_PHOTO_reused", "R_PREP_nothing_prepared", "R_RESCUE_passes", "R_SIGHT_behaviours", "R_ZONE_crowd", "R_ZONE_intruder", "R_ZONE_stay",
)  # fmt: skip


@functools.cache
def _entries(name: str) -> list[Entry]:
    story = read_story(SCENARIOS / f"{name}.toml")
    return [Entry("story", "clock", n, at, "site.events", said) if isinstance(said, Tick) else said for n, (at, said) in enumerate(timeline(story)) if not isinstance(said, Refusal)]


def _fold(entries: list[Entry]) -> tuple[Kernel, Telling]:
    kernel, telling = Kernel("story"), Telling()
    for entry in entries:
        telling.outputs += kernel.step(entry)
    return kernel, telling


@functools.cache
def _plain(name: str) -> Telling:
    return _fold(_entries(name))[1]


@pytest.fixture(scope="module", autouse=True)
def let_go():
    """What the laws have told, some gigabytes, is not kept for the tests that follow."""
    yield
    _entries.cache_clear()
    _plain.cache_clear()


def _standing(telling: Telling) -> set[tuple[str, int, int | None, int, str]]:
    last = [max(r, key=lambda a: a.revision) for r in telling.alerts.values()]
    return {(a.id, a.start, a.end, a.priority, a.text["en"]) for a in last if a.state != "retracted" and not a.code.startswith(("DQ-SEQ", "SYS"))}


def test_every_rule_module_stands_under_the_laws():
    raised = {a.code for name in LAWS for a in _plain(name).outputs if isinstance(a, Alert)}
    modules = {r.function.__module__ for r in RULES}
    assert modules - {r.function.__module__ for r in RULES if r.code in raised} == set()


@pytest.mark.parametrize("name", LAWS)
@settings(max_examples=1, deadline=None, phases=[Phase.generate])
@given(seed=st.integers(0, 1000))
@pytest.mark.seed("S63")
def test_law_i_any_order_within_forty_seconds_ends_in_the_same_alerts(name, seed):
    """(i) permutation invariance"""
    _any_order(name, seed)


@pytest.mark.every
@pytest.mark.parametrize("name", LAWS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000))
def test_law_i_in_many_orders(name, seed):
    """(i) permutation invariance, more often"""
    _any_order(name, seed)


def _any_order(name: str, seed: int) -> None:
    entries, rng = _entries(name), random.Random(seed)
    key = {id(e): (e.seen if isinstance(e.event, Tick) else e.seen + rng.uniform(-40_000, 40_000)) for e in entries}
    assert _standing(_fold(sorted(entries, key=lambda e: key[id(e)]))[1]) == _standing(_plain(name))


@pytest.mark.parametrize("name", LAWS)
def test_law_ii_repeats_change_nothing(name):
    """(ii) idempotence"""
    entries, rng = _entries(name), random.Random(2)
    doubled = [e for entry in entries for e in ((entry, entry) if rng.random() < 0.05 else (entry,))]
    assert [encode(o) for o in _fold(doubled)[1].outputs] == [encode(o) for o in _plain(name).outputs]


@pytest.mark.parametrize("name", LAWS)
def test_law_iii_wider_clocks_never_make_a_violation_or_green(name):
    """(iii) monotonicity: every check of the verdict stays or becomes indeterminate"""
    entries = _entries(name)
    wide = [msgspec.structs.replace(e, event=msgspec.structs.replace(e.event, u=20_000)) if e.topic == "permit.events" else e for e in entries]
    narrow, loose = _plain(name), _fold(wide)[1]
    for permit in {v.permit for v in narrow.outputs if isinstance(v, Verdict)}:
        wider = loose.verdict(permit).checks
        for check, said in narrow.verdict(permit).checks.items():
            assert check not in wider or wider[check].outcome in (said.outcome, "indeterminate")


@pytest.mark.parametrize("name", LAWS)
def test_law_iv_no_alert_without_evidence(name):
    """(iv) every evidence id names an entry of the timeline"""
    entries = _entries(name)
    refs = {e.ref for e in entries}
    alerts = [o for o in _plain(name).outputs if isinstance(o, Alert)]
    assert alerts
    assert all(a.evidence and set(a.evidence) <= refs for a in alerts)


@pytest.mark.parametrize("name", LAWS)
def test_law_v_replay_of_the_written_timeline_is_equal_byte_for_byte(name):
    """(v) live == replay, also through snapshots"""
    entries = _entries(name)
    live = [encode(o) for o in _plain(name).outputs]
    kernel, again = Kernel("story"), []
    for n, raw in enumerate([encode(e) for e in entries]):
        again += [encode(o) for o in kernel.step(decode_entry(raw))]
        if n % 2500 == 2499 or entries[n].topic == "permit.events":
            kernel = restore(kernel.snapshot())
    assert again == live


@pytest.mark.parametrize("kind", ["frame", "positions", "camera.beat", "permit.gas_test"])
def test_law_vi_removing_events_never_turns_unknown_into_fine(kind):
    """(vi) silence safety: with a source gone, no barrier and no check is better than before"""
    entries = _entries("S01_golden_path")
    _, full = _fold(entries)
    fewer = [e for e in entries if e.event.__struct_config__.tag != kind]
    _, less = _fold(fewer)
    good = {"consistent": 2, "pending": 1, "indeterminate": 1, "violation": 0}
    a, b = full.verdict("HW-1"), less.verdict("HW-1")
    assert all(good[b.checks[t].outcome] <= good[a.checks[t].outcome] for t in a.checks if t in b.checks)
    during = [v for v in less.outputs if isinstance(v, Verdict) and v.barriers and v.status == "active"]
    name = {"frame": "gas", "positions": "guard", "camera.beat": "video", "permit.gas_test": "permit"}[kind]
    assert kind == "permit.gas_test" or all(v.barriers.get(name) != "ok" for v in during[1:])


@pytest.mark.parametrize("name", LAWS)
def test_law_vii_a_shifted_plant_shifts_its_alerts(name):
    """(vii) metamorphic: everything a day later gives the same alerts a day later"""
    day = 86_400_000

    def shift(value):
        raw = msgspec.json.decode(encode(value))
        raw["seen"] += day
        for key in ("at", "valid_from", "valid_to", "planned_start", "until", "due"):
            if isinstance(raw["event"].get(key), int):
                raw["event"][key] += day
        return msgspec.convert(raw, Entry)

    entries = _entries(name)
    plain, moved = _standing(_plain(name)), _standing(_fold([shift(e) for e in entries])[1])
    assert {(i, s + day, e and e + day, p) for i, s, e, p, _ in plain} == {a[:4] for a in moved}


# ---- ends and memory ------------------------------------------------------------------------------------------------

EVERY = sorted(p.stem for p in SCENARIOS.glob("*.toml"))


def _thinned(names: list[str], every: int = 6) -> list[object]:
    """One in so many; `make test-all` takes the others too."""
    return [pytest.param(name, marks=pytest.mark.every) if n % every else name for n, name in enumerate(names)]


def _after(name: str) -> tuple[Kernel, int]:
    """A kernel that was told a story, and the last moment: of the story, or of what came after it."""
    kernel = _fold(_entries(name))[0]
    return kernel, max(kernel.memory.site.now, read_story(SCENARIOS / f"{name}.toml").end)


def _unmade(outputs) -> list[str]:
    return [f"{o.id}: {o.text['en']}" for o in outputs if isinstance(o, Alert) and o.state == "retracted"]


@pytest.mark.parametrize("name", _thinned(EVERY[::3]))
def test_calling_a_permit_off_unmakes_nothing(name):
    """What was wrong before a permit was cancelled stays said: cancelling is no way to be rid of an alert."""
    kernel, end = _after(name)
    permits = sorted(kernel.memory.site.works)
    said = [o for n, p in enumerate(permits) for o in kernel.step(Entry("story", "later", n + 1, end + 1000, "permit.events", Step(at=end + 1000, u=0, permit=p, step="cancelled")))]
    assert _unmade([*said, *kernel.advance(end + 3 * HOUR)]) == []


@pytest.mark.parametrize("name", _thinned(EVERY[1::8], 12))
def test_forgetting_unmakes_nothing(name):
    """Five days without a fact: memory lets go, and no alert is called wrong because of it."""
    kernel, end = _after(name)
    assert _unmade(kernel.advance(end + 120 * HOUR)) == []


# ---- whoever could say something new was asked ------------------------------------------------------------------------


def _asked_anew(kernel: Kernel) -> list[str]:
    """What all rules say of all subjects when two quiet minutes have passed, beyond what was told."""
    again = restore(kernel.snapshot())
    again.advance(again.memory.site.now + 2 * MINUTE)
    dirty: Dirty = set()
    again.fold.ask_all(dirty)
    site = again.memory.site
    names: dict[Subject, Iterable[str]] = {"permit": site.works, "worker": site.people, "point": [p.id for p in site.plant.points] if site.plant else (), "source": {*site.comers, *site.leads, *site.words}, "device": site.clocks}
    dirty |= {(subject, name, cause) for subject, those in names.items() for name in those for cause in CAUSES}
    return [f"{o.code} {o.permit} {o.state} P{o.priority} {o.text['en']}" if isinstance(o, Alert) else str(o) for o in again._judge_all(dirty, site.now) if isinstance(o, Alert | Verdict)]


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.every) if n % 12 else name for n, name in enumerate(EVERY)])
def test_whoever_could_say_something_new_was_asked(name):
    """A cause that nobody set is an alert that never comes: after any story, all rules asked of everything say nothing new."""
    assert _asked_anew(_fold(_entries(name))[0]) == []


class Watching(Known):
    """A site as rules see it, which notes which rule looks at another permit than the one it is asked about."""

    looked: ClassVar[set[tuple[str, str]]] = set()
    asked: ClassVar[tuple[str, str, str] | None] = None

    def _note(self, permit: str) -> None:
        if Watching.asked and Watching.asked[1:] != ("permit", permit):
            Watching.looked.add(Watching.asked[:2])

    def course(self, permit: str) -> Course:
        self._note(permit)
        return super().course(permit)

    def work(self, permit: str) -> Work:
        self._note(permit)
        return super().work(permit)

    def at(self, point: str) -> list[Course]:
        self._note("")
        return super().at(point)


@pytest.fixture
def watching(monkeypatch):
    """Kernels whose rules are watched; the codes and subjects of those that looked at others."""
    judge = kernel_.Kernel._judge

    def watched(kernel: Kernel, i: int, name: str, moment: int, touched: bool = False):
        Watching.asked = (RULES[i].code, RULES[i].subject, name)
        kernel.known.memo.clear()
        try:
            return judge(kernel, i, name, moment, touched)
        finally:
            Watching.asked = None

    monkeypatch.setattr(kernel_, "Known", Watching)
    monkeypatch.setattr(kernel_.Kernel, "_judge", watched)
    Watching.looked.clear()
    return Watching.looked


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.every) if n % 24 else name for n, name in enumerate(EVERY)])
def test_a_rule_that_looks_at_others_says_so(name, watching):
    """Who stands near a late fact is asked only by the rules that say that they look at others."""
    _fold(_entries(name))
    mute = {(r.code, r.subject) for r in RULES if r.subject in ("permit", "worker") and not r.others}
    assert watching & mute == set()


def test_what_looks_at_others_is_seen(watching):
    """The watch sees: neighbours, links and two posts are looked at."""
    for name in ("S42_two_hot_8m_solvent", "S45_dup_3_in_24h", "S51_badge_no_permit"):
        _fold(_entries(name))
    assert {("X-SIMOPS-H", "permit"), ("X-DUP", "permit")} <= watching
