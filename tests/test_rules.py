"""The rule book as a whole: packs and their museum, the alert's life, the calendar, aliases, conformance, PermitBench."""

from __future__ import annotations

import ast
import datetime as dt
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from infra.__main__ import main
from infra.plant.story import read_story
from infra.plant.tell import tell, timeline
from infra.rules import AQ2, AQ3, by_code, catalogue, conform, diff, explain, shown_by
from infra.truth.bench import good, graced, judge_days, make_days, scored
from infra.truth.days import Ask, Truth
from infra.truth.judged import score_other
from infra.truth.score import lines, score, wilson
from infra.truth.verdicts import Facts, agree
from streams.alerts import debounce
from streams.calendar import built_in as calendar
from streams.calendar import kind_of
from streams.events import Action, Entry, PlantSaid, Step, Tick
from streams.intake import Refusal
from streams.kernel import Kernel, restore
from streams.life import LONGEST_SHELF, OWNERS, live
from streams.limits import LIMITS
from streams.outputs import Alert, Command, Verdict
from streams.packs import BUILT_IN, PackError, Setting, built_in, find_pack, looser, read_pack
from streams.plant import PlantError, read_plant
from streams.rules import RULES
from streams.rules.gates import Answer
from streams.rules.readings import _one as together
from streams.rules.rule import RESPOND, Finding
from streams.sentences import SENTENCES
from streams.work import Fact

SCENARIOS = Path(__file__).parent / "scenarios"
HEAD = 'name = "mine"\nversion = "1"\nlayer = "plant"\nbase = "GB"\nedition = "x"\nsince = "2026-01-01"\nzh = "我"\nen = "mine"\n'


# ---- every code has a story -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(by_code()))
def test_every_code_has_a_story_that_must_raise_it(code):
    if code in ("SYS-ASIDE", "SYS-LOST"):
        return  # nothing that a story can say does it: tests/test_judging.py, tests/test_power.py
    said = shown_by(code, SCENARIOS)
    if code == "DQ-SEQ" or code == "SYS-LAG":
        assert said, f"{code}: see R_SEQ and R_LAG"
    assert said


def test_the_priorities_that_words_know_are_the_books():
    from streams.codes import NORMAL

    assert {r.code: r.priority for r in reversed(RULES)} == NORMAL


def test_looser_without_a_waiver_is_refused_where_no_rule_was_ever_imported(tmp_path):
    """H1: a fresh interpreter that imports nothing but the reader of plants."""
    import subprocess
    import sys

    (tmp_path / "mine.toml").write_text(HEAD + '[rules]\nX-GAS-LIM = { priority = 3 }\n', encoding="utf-8")
    code = "from pathlib import Path; import sys; from streams.packs import read_pack, PackError\ntry:\n    read_pack(Path(sys.argv[1]))\nexcept PackError as wrong:\n    print(wrong)"
    said = subprocess.run([sys.executable, "-c", code, str(tmp_path / "mine.toml")], capture_output=True, text=True, check=True).stdout
    assert "X-GAS-LIM" in said and "looser" in said


def test_every_code_has_a_source():
    for rule in RULES:
        assert rule.clause and rule.edition and rule.confidence in "ABC" and 1 <= rule.priority <= 4
        assert (rule.function.__doc__ or "").strip()


@pytest.mark.parametrize(("ends", "end"), [((5, 9), 9), ((9, 5), 9), ((None, 9), None), ((5, None), None)])
def test_what_is_found_of_one_thing_twice_at_once_lasts_as_long_as_either(ends, end):
    found = [Finding(1, ("a",), ends[0], 2), Finding(3, ("b",), ends[1], 1)]
    assert [(f.start, f.end, f.priority, f.evidence) for f in together(found)] == [(1, end, 1, ("a", "b"))]
    assert len(together([Finding(1, ("a",), 2), Finding(3, ("b",), 5)])) == 2


# ---- packs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_packs_that_come_with_us_are_right_and_complete(name):
    pack = built_in(name)
    assert pack.limits.keys() == LIMITS.keys()
    assert all(LIMITS[k].low <= v <= LIMITS[k].high for k, v in pack.limits.items())


MUSEUM = {
    "an unknown rule": (HEAD + "[rules]\nGAS-STALEE = { on = false }\n", "GAS-STALEE", "Did you mean GAS-STALE?"),
    "an unknown limit": (HEAD + "[limits]\ngas_frish = 20\n", "gas_frish", "Did you mean gas_fresh?"),
    "a wrong unit": (HEAD + "[limits]\ngas_fresh = 1800\n", "1800 min cannot be meant", "1 to 120 min"),
    "a gas counted as one of which more passes": (HEAD + "[lel]\ntoluene = 4.0\n", "looser than GB", 'key = "lel.toluene"'),
    "a gas made lighter": (HEAD + "[molar]\nh2s = 17.0\n", "looser than GB", 'key = "molar.h2s"'),
    "detections believed only when they are sure": (HEAD + "[limits]\ndetection_sure = 0.99\n", "looser than GB", 'key = "limits.detection_sure"'),
    "loosening without a waiver": (HEAD + "[limits]\ngas_fresh = 45\n", "looser than GB", 'key = "limits.gas_fresh"'),
    "switching off without a waiver": (HEAD + "[rules]\nX-GAS-LIM = { on = false }\n", "rules.X-GAS-LIM", "waivers"),
    "a lower priority without a waiver": (HEAD + "[rules]\nX-GAS-LIM = { priority = 3 }\n", "rules.X-GAS-LIM", "waivers"),
    "a waiver that ran out": (HEAD + '[limits]\ngas_fresh = 45\n[[waivers]]\nkey = "limits.gas_fresh"\nuntil = "2026-03-01"\nby = "x"\nreason = "y"\n', "ran out on 2026-03-01", "Renew"),
    "a waiver by nobody": (HEAD + '[limits]\ngas_fresh = 45\n[[waivers]]\nkey = "limits.gas_fresh"\nuntil = "2027-03-01"\nby = " "\nreason = "y"\n', "somebody and a reason", "by and reason"),
    "a missing translation": (HEAD + '[rules]\nGAS-STALE = { zh = "{permit}" }\n', "GAS-STALE.en", "Write en too"),
    "a number that the rule has not": (HEAD + '[rules]\nGAS-STALE = { zh = "{permid}", en = "{permit}" }\n', "{permid}", "permit"),
    "a day that is none": (HEAD.replace("2026-01-01", "2026-13-01"), "2026-13-01", "YYYY-MM-DD"),
    "before its base": (HEAD.replace("2026-01-01", "2020-01-01"), "before its base", "later"),
    "a national pack over a plant's": (HEAD.replace('"plant"', '"national"').replace('"GB"', '"site-example"'), "cannot stand on", "national, group, plant"),
    "a base that is not there": (HEAD.replace('"GB"', '"BG"'), "there is no pack BG", "GB"),
    "the same key twice": (HEAD + "[limits]\ngas_fresh = 20\ngas_fresh = 25\n", "syntax", "once in a table"),
    "a word for a number": (HEAD + '[limits]\ngas_fresh = "soon"\n', "gas_fresh", "docs/rules.md"),
    "no base and not complete": (HEAD.replace('base = "GB"\n', ""), "must give every limit", 'base = "GB"'),
}  # fmt: skip


@pytest.mark.parametrize("name", MUSEUM)
@pytest.mark.seed("003-21", part="packs and waivers are checked")
@pytest.mark.seed("000-20", part="packs are checked, refused and tried on the past")
def test_a_wrong_pack_is_refused_as_a_whole_with_file_line_key_and_remedy(name, tmp_path):
    text, said, remedy = MUSEUM[name]
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PackError) as refused:
        read_pack(file, dt.date(2026, 6, 1))
    assert f"{file}:" in str(refused.value)
    assert said in str(refused.value) and remedy in str(refused.value)
    assert refused.value.line >= 1


def test_packs_that_stand_on_each_other_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a.toml").write_text(HEAD.replace('"GB"', '"b.toml"'))
    (tmp_path / "b.toml").write_text(HEAD.replace('"GB"', '"a.toml"'))
    with pytest.raises(PackError, match="circle"):
        read_pack(tmp_path / "a.toml")


def test_layers_merge_and_a_waiver_lets_a_plant_be_looser(tmp_path):
    (tmp_path / "group.toml").write_text(HEAD.replace('"plant"', '"group"') + "[limits]\ngas_fresh = 25\n[rules]\nX-NEAR-EXP = { priority = 3 }\n")
    (tmp_path / "plant.toml").write_text(HEAD.replace('"GB"', '"group.toml"') + '[limits]\ngas_fresh = 28\n[[waivers]]\nkey = "limits.gas_fresh"\nuntil = "2027-01-01"\nby = "chief"\nreason = "trial"\n')
    pack = find_pack("plant.toml", tmp_path, dt.date(2026, 6, 1))
    assert pack.limits["gas_fresh"] == 28 and pack.rules["X-NEAR-EXP"].priority == 3
    assert pack.limits["record_every"] == 120
    assert [w.by for w in pack.waivers] == ["chief"]


@given(st.sampled_from(sorted(k for k, v in LIMITS.items() if v.stricter)), st.floats(0, 1))
def test_looser_is_what_asks_for_less(name, share):
    base, limit = built_in("GB"), LIMITS[name]
    value = limit.low + share * (limit.high - limit.low)
    mine = msgspec.structs.replace(base, limits={name: value})
    asks_less = value > base.limits[name] if limit.stricter == "lower" else value < base.limits[name]
    assert (looser(mine, base) == [f"limits.{name}"]) is asks_less


def test_a_pack_may_be_compared_and_a_code_explained(capsys):
    assert diff(built_in("GB"), built_in("site-example")) == 1
    assert "approval_wait: 8 → 12 h" in (out := capsys.readouterr().out) and "LOOSER" in out
    assert diff(built_in("GB"), built_in("GB")) == 0
    assert explain("GAS-STALE", built_in("GB"), SCENARIOS) == 0
    assert "5.3.1 c)" in (out := capsys.readouterr().out) and "S02_gas_47_min_before_approval" in out
    assert explain("GAS-STAIL", built_in("GB"), SCENARIOS) == 2
    assert "Did you mean GAS-STALE?" in capsys.readouterr().err


@pytest.mark.seed("004-06", part="clauses in the catalogue")
def test_the_catalogue_in_the_docs_is_the_one_of_the_book():
    written = (SCENARIOS.parent.parent / "docs" / "rules-catalogue.md").read_text(encoding="utf-8")
    assert written == catalogue(built_in("GB"), SCENARIOS), "write it anew: permitwatch rules catalogue --write docs/rules-catalogue.md"


@pytest.mark.parametrize(
    ("asked", "remedy"),
    [
        (["bench", "truth", "--doc", "nowhere.md"], "there is no file nowhere.md"),
        (["bench", "truth", "--doc", "page.md"], "put the lines <!-- score: begin -->"),
        (["bench", "score", "--alerts", "none.jsonl", "--truth", "page.md"], "there is no file none.jsonl"),
        (["fuzz", "--write", "nowhere/fuzz.md"], "there is no folder nowhere: make it first"),
        (["play", "nowhere.toml"], "there is no file nowhere.toml"),
    ],
)
def test_a_file_that_cannot_be_read_or_written_is_said_before_the_work(asked, remedy, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("page.md").write_text("# A page without a place for the score\n", encoding="utf-8")
    try:
        assert main(asked) == 2
    except SystemExit as left:
        assert left.code == 2
    assert remedy in capsys.readouterr().err


@pytest.mark.seed("001-29")
def test_all_alarm_types_of_aq_3064_conform(capsys):
    assert len(AQ2) == 22
    assert conform(SCENARIOS) == 0
    assert f"{len(AQ2) + len(AQ3)} of {len(AQ2) + len(AQ3)} alarm types conform" in capsys.readouterr().out


# ---- the alert's life -----------------------------------------------------------------------------------------------


def _done(*rows: tuple[int, str], by: str = "K", note: str = "why", until: int | None = None):
    return [(Fact(f"a/{i}", "x", i, at, a), a) for i, (at, name) in enumerate(rows) if (a := Action(at=at, alert="x", action=name, by=by, note=note, until=until))]


@pytest.mark.seed("002-06", part="the owner changes")
@pytest.mark.parametrize("priority", [1, 2, 3, 4])
def test_the_owner_changes_when_nobody_responds(priority):
    step = RESPOND[priority]
    seen = [live([], 0, False, priority, frozenset(), "", now).owner for now in (0, step - 1, step, 2 * step, 50 * step)]
    assert seen == ["crew", "crew", "workshop", "director", "director"]
    assert live([], 0, False, priority, frozenset(), "", 0).wake == step
    answered = live(_done((step - 1, "acknowledge")), 0, False, priority, frozenset(), "", 50 * step)
    assert (answered.owner, answered.state, answered.wake) == ("crew", "acknowledged", None)


@pytest.mark.seed("000-29", part="from raised to closed")
def test_from_raised_to_closed():
    steps = [(1, "acknowledge"), (2, "start"), (3, "resolve"), (4, "verify"), (5, "close")]
    states = [live(_done(*steps[:n]), 0, n >= 4, 2, frozenset(), "", 10).state for n in range(6)]
    assert states == ["raised", "acknowledged", "in_progress", "in_progress", "verified", "closed"]
    assert live(_done((5, "close")), 0, False, 2, frozenset(), "", 10).state == "raised", "what still is cannot be closed"


def test_shelving_needs_a_reason_ends_after_eight_hours_and_is_not_for_those_whom_a_p1_concerns():
    hour = 3_600_000
    assert live(_done((0, "shelve")), 0, False, 2, frozenset(), "", hour).state == "shelved"
    assert live(_done((0, "shelve"), until=100 * hour), 0, False, 2, frozenset(), "", LONGEST_SHELF - 1).state == "shelved"
    assert live(_done((0, "shelve"), until=100 * hour), 0, False, 2, frozenset(), "", LONGEST_SHELF).state == "raised"
    assert live(_done((0, "shelve"), note=" "), 0, False, 2, frozenset(), "", hour).state == "raised"
    assert live(_done((0, "shelve"), by="W1"), 0, False, 1, frozenset({"W1"}), "", 1).state == "raised"
    assert live(_done((0, "shelve"), by="W1"), 0, False, 2, frozenset({"W1"}), "", 1).state == "shelved"
    assert live(_done((0, "shelve"), (1, "unshelve")), 0, False, 2, frozenset(), "", hour).state == "raised"


@given(st.lists(st.tuples(st.integers(0, 100), st.sampled_from(["acknowledge", "start", "resolve", "verify", "close", "unshelve"])), max_size=8), st.integers(1, 4), st.booleans(), st.integers(0, 10**9))
def test_a_life_is_a_function_of_what_was_done(rows, priority, ended, now):
    done = sorted(_done(*rows), key=lambda p: p[1].at)
    one = live(done, 0, ended, priority, frozenset(), "", now)
    assert one == live(list(done), 0, ended, priority, frozenset(), "", now)
    assert one.owner in OWNERS and (one.state in ("cleared", "verified", "closed")) is ended


spans = st.lists(st.tuples(st.integers(0, 500), st.integers(1, 60)), max_size=12)


@given(spans, st.integers(0, 40), st.integers(0, 40))
def test_delays_join_what_comes_back_and_leave_out_what_does_not_last(rows, on, off):
    found, at = [], 0
    for gap, length in rows:
        found.append(Finding(at + gap * 1000, ("e",), at + (gap + length) * 1000))
        at += (gap + length + 1) * 1000
    steady, _ = debounce(found, Setting(on_delay=on, off_delay=off), at + 10**6)
    assert all(f.end - f.start >= on * 1000 for f in steady)
    assert all(b.start - a.end > off * 1000 for a, b in itertools.pairwise(steady))
    if not (on or off):
        assert steady == found


def test_an_acknowledgement_stays_with_its_interval_when_episodes_are_renumbered():
    """An earlier interval that appears late moves the numbers; the action belongs to the interval it overlaps."""
    story = read_story(SCENARIOS / "S26_lel_12_methane.toml")
    kernel, told, n = Kernel("story"), [], 0
    for at, said in timeline(story):
        if isinstance(said, Refusal):
            continue
        n += 1
        told += kernel.step(Entry("story", "clock", n, at, "site.events", said) if isinstance(said, Tick) else said)
        if at == story.ms("09:32:00"):
            alert = next(o for o in told if getattr(o, "code", "") == "X-GAS-LIM")
            action = Action(at=at, u=0, alert=alert.id, action="acknowledge", by="K1")
            told += kernel.step(Entry("story", "screen", 1, at, "alert.actions", action))
    last = [o for o in told if getattr(o, "code", "") == "X-GAS-LIM"]
    assert [a.state for a in last if a.by == "K1"][:1] == ["acknowledged"]
    assert last[-1].state == "cleared" and last[-1].by == "K1"


def test_a_rule_that_raises_takes_itself_out_and_stops_nothing_else(monkeypatch):
    import streams.kernel as kernels

    def broken(known, permit):
        raise ZeroDivisionError("of all things")

    book = tuple(replace(r, judge=broken) if r.code == "GUARD-ABSENT" else r for r in RULES)
    monkeypatch.setattr(kernels, "RULES", book)
    alerts = tell(read_story(SCENARIOS / "S26_lel_12_methane.toml")).alerts
    codes = {r[0].code for r in alerts.values()}
    assert {"SYS-RULE", "X-GAS-LIM", "X-GAS-RISE"} <= codes and "GUARD-ABSENT" not in codes
    assert sum(r[0].code == "SYS-RULE" for r in alerts.values()) == 1


def test_a_snapshot_keeps_the_packs_in_force():
    story = read_story(SCENARIOS / "S71_rule_update_midway.toml")
    assert {(o.id, o.revision) for r in tell(story, crash_every=900).alerts.values() for o in r} == {(o.id, o.revision) for r in tell(story).alerts.values() for o in r}
    kernel = Kernel("x")
    assert restore(kernel.snapshot()).memory.site.site == "x"


# ---- calendar, aliases ----------------------------------------------------------------------------------------------


def test_the_calendar_knows_make_up_workdays():
    days = {"2026-02-28": "workday", "2026-03-14": "rest", "2026-10-01": "holiday", "2026-10-10": "workday", "2026-03-10": "workday", "2026-02-23": "holiday"}
    assert {d: kind_of(dt.date.fromisoformat(d), calendar()) for d in days} == days
    assert all(s.provisional for s in calendar().holidays if s.first.startswith("2027"))


TOML = 'site = "S"\nzh = "厂"\nen = "plant"\n[[shops]]\nid = "W"\nzh = "a"\nen = "a"\n[[areas]]\nid = "A"\nshop = "W"\nzh = "a"\nen = "a"\n'


@pytest.mark.seed("S75")
@pytest.mark.seed("001-25")
@pytest.mark.parametrize(("places", "said"), [
    ("id,area,x,y,aliases\nA1,A,0,0,B1\nB1,A,5,0,A1\n", "A1 → B1 → A1 goes in a circle"),
    ("id,area,x,y,aliases\nA1,A,0,0,OLD\nB1,A,5,0,OLD\n", "OLD is an alias of A1 and of B1"),
    ("id,area,x,y,aliases\nA1,A,0,0,B1\nB1,A,5,0,\n", "B1 is a work point and an alias of A1"),
])  # fmt: skip
def test_aliases_in_a_circle_are_refused(tmp_path, places, said):
    (tmp_path / "plant.toml").write_text(TOML, encoding="utf-8")
    (tmp_path / "points.csv").write_text("tag,source,kind,unit\n")
    (tmp_path / "places.csv").write_text(places)
    with pytest.raises(PlantError, match=r"places\.csv") as refused:
        read_plant(tmp_path / "plant.toml")
    assert said in str(refused.value)


@pytest.mark.parametrize(("toxics", "said"), [("methanol", "no limit for it as a toxic"), ("unobtainium", "is no gas that is known"), ("H2S", ""), ("苯", "")])
def test_a_toxic_that_no_analysis_could_pass_is_refused(tmp_path, toxics, said):
    (tmp_path / "plant.toml").write_text(TOML, encoding="utf-8")
    (tmp_path / "points.csv").write_text("tag,source,kind,unit\n")
    (tmp_path / "places.csv").write_text(f"id,area,x,y,toxics\nA1,A,0,0,{toxics}\n", encoding="utf-8")
    if not said:
        assert read_plant(tmp_path / "plant.toml").plant.points[0].toxics == [toxics]
        return
    with pytest.raises(PlantError, match=said):
        read_plant(tmp_path / "plant.toml")


MEANT = ("schema: 2", "level 1", "1级", "一级")
"""Names, not figures."""


def test_no_figure_stands_in_a_sentence():
    """A limit that a plant may change is never written into a text: it is filled in from what is in force."""
    wrong = {name: text for name, texts in SENTENCES.items() for text in texts if re.search(r"\d", _bare(text))}
    assert wrong == {}


def _bare(text: str) -> str:
    for meant in MEANT:
        text = text.replace(meant, "")
    return re.sub(r"\{[^}]*\}", "", text)


# ---- PermitBench ----------------------------------------------------------------------------------------------------


@pytest.mark.timeout(240)
def test_a_random_day_is_judged_as_it_was_spoiled(tmp_path):
    """Recall 100 % on P1 and P2, precision ≥ 99.5 %, indeterminate ≤ 1 %; the month is `permitwatch bench truth --days 30`."""
    days = make_days(tmp_path, 1, 60, 5, 0.7)
    result = scored(days, judge_days(days, say=False))
    assert len(days.truths) > 20
    assert good(result), [(c, t.missed, [a.text["en"] for a in t.wrong]) for c, t in result.codes.items() if t.missed or t.wrong]


def test_a_month_holds_every_code_of_the_book(tmp_path):
    """Each rule has a quirk that breaks it, and a month of the seed in the docs holds it; what is our own fault (SYS-RULE, SYS-ASIDE, SYS-LOST), a door's question (SYS-DECIDED, X-RESCUE), or an interface's spelling (DQ-WORD) is shown by stories; X-GAS-TREND by ramps."""
    days = make_days(tmp_path, 30, 60, 2, 0.5)
    assert {r.code for r in RULES} - {t.code for t in days.truths} == {"SYS-ASIDE", "SYS-LOST", "SYS-DECIDED", "X-RESCUE", "DQ-WORD", "X-GAS-TREND"}
    published = Path("docs/permitbench-truth.jsonl").read_text(encoding="utf-8").splitlines()
    assert [msgspec.convert(json.loads(line), Truth) for line in published] == graced(days)


def test_scoring_counts_what_is_missed_and_what_is_false():
    alerts = [o for o in tell(read_story(SCENARIOS / "S26_lel_12_methane.toml")).outputs if isinstance(o, Alert | Command)]
    start = next(a for a in alerts if isinstance(a, Alert) and a.code == "X-GAS-LIM").raised
    right = score([Truth("X-GAS-LIM", "HW-1", start, also=("X-GAS-RISE",))], alerts, 1)
    assert good(right)
    wrong = score([Truth("X-GAS-LIM", "HW-1", start - 10**6), Truth("GAS-NONE", "HW-1", start)], alerts, 1)
    assert not good(wrong)
    assert (wrong.codes["GAS-NONE"].found, wrong.codes["X-GAS-RISE"].false) == (0, 1)


SPOILED = {
    "less urgent": lambda out: [msgspec.structs.replace(o, priority=3) if isinstance(o, Alert) and o.code == "X-GAS-LIM" else o for o in out],
    "asks for nothing": lambda out: [o for o in out if not isinstance(o, Command)],
    "asks for more": lambda out: [*out, *(msgspec.structs.replace(o, action="evacuate") for o in out if isinstance(o, Command))],
    "never ends": lambda out: [msgspec.structs.replace(o, end=None) if isinstance(o, Alert) else o for o in out],
    "taken back": lambda out: [*out, *(msgspec.structs.replace(o, revision=99, state="retracted") for o in out if isinstance(o, Alert) and o.code == "X-GAS-RISE" and o.announce)],
    "another verdict": lambda out: [msgspec.structs.replace(o, checks={k: msgspec.structs.replace(c, outcome="violation") for k, c in o.checks.items()}) if isinstance(o, Verdict) else o for o in out],
    "silent": lambda out: [o for o in out if not isinstance(o, Alert) or o.code != "X-GAS-LIM"],
}


@pytest.mark.parametrize("how", [None, *SPOILED])
def test_the_benchmark_can_fail(how):
    """What a system may do wrong, each alone: no other goal of the score is missed by it, and with none of it they are met."""
    story = read_story(SCENARIOS / "S26_lel_12_methane.toml")
    facts, outputs = Facts(), tell(story).outputs
    for _, said in timeline(story):
        if isinstance(said, Entry):
            facts.note(said)
    plant = next(said.event.plant for _, said in timeline(story) if isinstance(said, Entry) and isinstance(said.event, PlantSaid))
    start = next(o for o in outputs if isinstance(o, Alert) and o.code == "X-GAS-LIM")
    end = next(o.end for o in reversed(outputs) if isinstance(o, Alert) and o.id == start.id)
    assert end is not None
    said = SPOILED[how](outputs) if how else outputs
    verdicts = agree(facts, (v for v in said if isinstance(v, Verdict)), plant, story.end, set())
    result = score([Truth("X-GAS-LIM", "HW-1", start.raised, also=("X-GAS-RISE",), end=end)], [o for o in said if isinstance(o, Alert | Verdict | Command)], 1, [], verdicts)
    assert good(result) is (how is None), list(lines(result))
    assert verdicts.right[1] >= 4


def test_a_wrong_answer_at_a_gate_is_counted():
    ask = Ask(0, "start", "HW-1", "deny", "GAS-NONE")
    assert good(score([], [], 1, [(ask, Answer("deny", ("GAS-NONE",)))]))
    assert not good(score([], [], 1, [(ask, Answer("deny", ("X-BIND",)))]))
    assert not good(score([], [], 1, [(ask, Answer("allow"))]))


@pytest.mark.parametrize(("before", "delay", "grace"), [(1000, 20_000, 20_000), (1000, 500, 0), (-3_600_000, 20_000, 0), (3_600_000, 20_000, 0)])
def test_grace_is_for_what_comes_late_and_as_long_as_it_is(tmp_path, monkeypatch, before, delay, grace):
    """A fact of the permit that was true just before the truth and came after it; one that came in time, one from an hour after, one from an hour before give none."""
    days = make_days(tmp_path, 1, 60, 5, 0.7)
    truth = next(t for t in days.truths if t.subject in {j.permit for j in days.jobs})
    days.say(truth.at - before, "ptw", Step(at=truth.at - before, u=0, permit=truth.subject, step="measures"))
    monkeypatch.setattr("infra.truth.bench.delays", lambda _: [0] * (len(days.rows) - 1) + [delay])
    assert {t.subject: t.grace for t in graced(days) if t.grace} == ({truth.subject: grace} if grace else {})


def test_another_system_is_scored_from_a_file(tmp_path, capsys):
    (tmp_path / "truth.jsonl").write_text('{"code": "GAS-NONE", "subject": "P1", "at": 1000000}\n{"code": "X-T3", "subject": "P2", "at": 90000000}\n')
    good_file, bad_file = tmp_path / "raised.jsonl", tmp_path / "bad.jsonl"
    good_file.write_text('{"code": "GAS-NONE", "subject": "P1", "raised": 1001000}\n\n{"code": "X-DUP", "subject": "P9", "raised": 5}\n')
    assert score_other(good_file, tmp_path / "truth.jsonl") == 0
    out = capsys.readouterr().out
    assert "recall on all: 1 of 2" in out and "missed X-T3 P2" in out and "false  X-DUP P9" in out
    bad_file.write_text('{"code": "GAS-NONE", "subject": "P1", "raised": 1}\n{"code": "GAS-NONE", "raised": "noon"}\n')
    assert score_other(bad_file, tmp_path / "truth.jsonl") == 2
    assert "bad.jsonl:2:" in (said := capsys.readouterr().out) and "Write {" in said
    assert score_other(tmp_path / "nothing.jsonl", tmp_path / "truth.jsonl") == 2
    assert "nothing.jsonl" in capsys.readouterr().out


@given(st.integers(0, 500), st.integers(0, 500))
def test_a_wilson_interval_holds_its_share(hits, misses):
    low, high = wilson(hits, hits + misses)
    assert 0 <= low <= high <= 1
    if hits + misses:
        assert low <= hits / (hits + misses) + 1e-9 and hits / (hits + misses) <= high + 1e-9


def test_a_waiver_stands_only_with_a_signature_that_fits(tmp_path, capsys):
    """Signed over the value too: leave for 12 min is no leave for 14."""
    key = Ed25519PrivateKey.generate()
    (tmp_path / "waivers.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    text = (Path("streams/book/site_example.toml")).read_text(encoding="utf-8").replace('name = "site-example"', 'name = "ours"')
    pack = tmp_path / "pack.toml"
    pack.write_text(text, encoding="utf-8")
    assert read_pack(pack).limits["approval_wait"] == 12
    (tmp_path / "waivers.pub").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(PackError, match=r"approval_wait: its waiver bears no signature"):
        read_pack(pack)
    assert main(["rules", "sign", str(pack), "--key", str(tmp_path / "waivers.key")]) == 0
    signed = text.replace("[[waivers]]", "[[waivers]]\n" + capsys.readouterr().out.splitlines()[1])
    pack.write_text(signed, encoding="utf-8")
    assert read_pack(pack).waivers[0].signature
    pack.write_text(signed.replace("approval_wait = 12", "approval_wait = 14"), encoding="utf-8")
    with pytest.raises(PackError, match=r"approval_wait: its waiver bears no signature"):
        read_pack(pack)
    (tmp_path / "waivers.pub").write_text("rubbish", encoding="utf-8")
    with pytest.raises(PackError, match=r"waivers\.pub:1: key: no Ed25519"):
        read_pack(pack)


# ---- no figure stands in a rule ------------------------------------------------------------------------------------------

HELD = {
    ("access", "12 * HOUR"): "how long a permit's people are still its people after its end",
    ("access", "48 * HOUR"): "how long scans are remembered",
    ("certificates", "72 * HOUR"): "how long a warning that is over is still looked at",
    ("certificates", "24 * HOUR"): "a site that has just begun was not there to warn",
    ("decided", "15 * SECOND"): "until an answer given half blind is judged again",
    ("gates", "10 * SECOND"): "our own sight", ("quality", "10 * SECOND"): "our own sight", ("quality", "10 * 60 * SECOND"): "a row of late facts is one",
    ("gates", "30 * SECOND"): "how long a reading speaks of now", ("risk", "6 * HOUR"): "how long the last word of a wind station stands",
    ("permit", "12 * HOUR"): "how long work at a point is told of the permit that ended",
    ("level", "60 * DAY"): "no permit is valid for longer", ("level", "24 * HOUR"): "how far ahead the next boundary is looked for",
    ("minute", "48 * HOUR"): "as long as spans are kept", ("minute", "15 * MINUTE"): "how long a fix says where somebody is",
    ("readings", "10 * SECOND"): "how often a growing incident is told anew", ("readings", "2 * MINUTE"): "how far is looked at first", ("readings", "10 * MINUTE"): "a channel read more rarely has no pace of its own",
    ("hazards", "24 * HOUR"): "a day, for a sentence",
}
"""Lengths of time that are ours (of memory, of our own sight, of a sentence), not a plant's; what a plant may want to change stands in `streams.limits`."""


SHARES = {"people": {1.25}}
"""A state is rescaled from 80 to 100 while nothing is said of its third part. The index of risk is a definition of its own (`domain.md` 4.5)."""


def _lengths(path: Path) -> Iterator[str]:
    """Every product of a number and a unit of time in a rule, but for when it wants to be asked again."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) and isinstance(node.right, ast.Name) and node.right.id in ("SECOND", "MINUTE", "HOUR", "DAY") and re.fullmatch(r"[\d_.]+( \* [\d_.A-Z]+)*", ast.unparse(node.left)):
            yield ast.unparse(node)


def _wakes(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    return {f"{n} * {unit}" for n, unit in re.findall(r"now \+ (\d+) \* (SECOND|MINUTE|HOUR)", text)}


@pytest.mark.parametrize("path", sorted((Path(__file__).parent.parent / "streams" / "rules").glob("*.py")), ids=lambda p: p.stem)
def test_no_rule_holds_a_length_of_time_that_a_plant_may_want_to_change(path):
    assert [text for text in _lengths(path) if text not in _wakes(path) and (path.stem, text) not in HELD] == []
    floats = {n.value for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Constant) and isinstance(n.value, float)} - {0.0, 1.0}
    assert path.stem == "risk" or floats <= SHARES.get(path.stem, set())
