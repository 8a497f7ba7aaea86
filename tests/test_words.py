"""Closed words: every spelling that plants write, strict where a sender says that it keeps to them, understood where it does not."""

from __future__ import annotations

import json
import re
import typing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.doors import read_row
from streams import events as e
from streams.events import Entry, Tick
from streams.gases import limit_of, limit_of_test
from streams.gases import test_passes as passes
from streams.intake import NAMED_BY, Intake, Refusal, too_much
from streams.outputs import DeadLetter
from streams.packs import built_in, terms_of
from streams.plain import UNTOLD, in_reason, plain, shown
from streams.plant import Channel, Plant, PlantError, _check_gases
from streams.refused import Refused
from streams.rules.gates import Says
from streams.rules.preparation import needed_devices
from streams.sound import sound_pack
from streams.spoken import SAID_IN, spoken
from streams.strict import KINDS, faults
from streams.topics import OF_KIND, TIMELINE
from streams.words import BAD, BEHAVIOUR, COLOUR, FOREVER, GAS, HAZARD, ROLE, STATE, STEP, TRADE, TYPE, UNIT, day_of, gas_of, misspelt, unit_of, word

AT = 1_773_100_800_000
TERMS = terms_of(built_in("GB"))


@pytest.mark.parametrize("said, meant", [("H2S", "h2s"), ("硫化氢", "h2s"), ("H₂S", "h2s"), ("H2S", "h2s"), ("O2", "o2"), ("氧含量", "o2"), ("CH4", "methane"), ("瓦斯", "methane"), ("C-O", "co"), ("unobtainium", None)])
def test_gases_in_every_spelling(said, meant):
    assert gas_of(said) == meant


@pytest.mark.parametrize("said, gas, meant", [("PPM", "h2s", "ppm"), ("% LEL", "", "%LEL"), ("%LEL", "", "%LEL"), ("mg/m³", "h2s", "mg/m3"), ("VOL", "", "%vol"), ("%", "o2", "%vol"), ("%", "methane", None), ("furlong", "", None)])
def test_units_in_every_spelling(said, gas, meant):
    assert unit_of(said, gas) == meant


@pytest.mark.parametrize("said, meant", [("2026/12/31", "2026-12-31"), ("2026.1.5", "2026-01-05"), ("2026年1月5日", "2026-01-05"), ("20260105", "2026-01-05"), ("2026-12-31T00:00:00+08:00", "2026-12-31"), ("2026-02-30", None), ("soon", None), ("", None), ("0000-00-00", None)])
def test_days_as_people_write_them(said, meant):
    day = day_of(said)
    assert (str(day) if day else None) == meant


@pytest.mark.parametrize("said", ["长期", "永久", "permanent", "9999-12-31", "9999/12/31"])
def test_no_end_is_a_value_of_papers_only(said):
    assert day_of(said) == FOREVER
    kept, odd = plain(e.Certificate(at=AT, worker="W", number="1", trade="welding", valid_to=said))
    assert kept.valid_to == "9999-12-31" and (odd == ["valid_to"]) == (said != "9999-12-31")
    assert plain(e.Requested(at=AT, permit="P", type="02", point="P", valid_from=AT, valid_to=253402271999000))[0].valid_to == UNTOLD


@given(st.sampled_from([1, 1000, 1 / 1000, 1 / 1_000_000]), st.integers(-10**9, 10**9))
def test_an_instant_in_any_unit_of_time_is_understood(scale, off):
    meant = AT + off
    assert abs((in_reason(round(meant / scale), AT, 3653 * 86_400_000) or 0) - meant) <= 1000


@given(st.integers(-(10**20), 10**20))
def test_an_instant_out_of_reason_is_never_a_moment(ms):
    said = in_reason(ms, AT, 400 * 86_400_000)
    assert said is None or abs(said - AT) <= 400 * 86_400_000


@given(st.text(max_size=12))
def test_no_text_ends_the_reading_of_a_word(said):
    for words in (GAS, UNIT, BEHAVIOUR, TYPE, STEP):
        assert word(words, said) in (None, *words)
    day_of(said)


def test_per_cent_is_a_share():
    kept, odd = plain(e.Detection(at=AT, camera="C", behaviour="焊接", confidence=35))
    assert (kept.confidence, kept.behaviour, odd) == (0.35, "welding", ["confidence"])


@pytest.mark.parametrize("kind, row, path, hint", [
    ("permit.requested", {"permit": "P", "type": "2", "point": "P", "valid_from": AT, "valid_to": AT + 1}, "$.type", "02"),
    ("permit.requested", {"permit": "P", "type": "02", "point": "P", "valid_from": 1773100800, "valid_to": 1773129600}, "$.valid_from", "ms since 1970"),
    ("permit.gas_test", {"permit": "P", "results": [{"gas": "H2S", "value": 1, "unit": "PPM"}]}, "$.results[0].gas", "h2s"),
    ("permit.gas_test", {"permit": "P", "results": [{"gas": "h2s", "value": 1, "unit": "PPM"}]}, "$.results[0].unit", "ppm"),
    ("detection", {"camera": "C", "behaviour": "helmetless", "confidence": 0.9}, "$.behaviour", "no_helmet"),
    ("detection", {"camera": "C", "behaviour": "smoke", "confidence": 35}, "$.confidence", "0 to 1"),
    ("detection", {"camera": "C", "behaviour": "flame", "confidence": 0.9}, "$.behaviour", "Did you mean"),
    ("device", {"device": "D", "calibrated_to": "2026/12/31"}, "$.calibrated_to", "YYYY-MM-DD"),
    ("certificate", {"worker": "W", "number": "1", "trade": "welding", "valid_to": "长期"}, "$.valid_to", "9999-12-31"),
    ("permit.step", {"permit": "P", "step": "blessed"}, "$.step", "Did you mean"),
    ("permit.step", {"permit": "P", "step": "isued"}, "$.step", "Did you mean issued"),
    ("guard", {"permit": "P", "worker": "G", "action": "signin"}, "$.action", "Did you mean sign_in"),
    ("permit.step", {"permit": "P", "step": "issued", "aprover": "A"}, "$.aprover", "unknown field"),
])  # fmt: skip
def test_schema_2_is_refused_with_the_path_and_the_nearest_words(kind, row, path, hint):
    said = faults(kind, {"at": AT, **row})
    assert len(said) >= 1 and any(path in s and hint in s for s in said), said


def test_schema_2_takes_what_keeps_to_the_words():
    assert faults("permit.gas_test", {"at": AT, "permit": "P", "results": [{"gas": "methane", "value": 0.1, "unit": "%vol"}], "schema": 2}) == []
    assert faults("certificate", {"at": AT, "worker": "W", "number": "1", "trade": "welding", "valid_to": "9999-12-31"}) == []


def _envelope(event: dict, schema: int = 1) -> bytes:
    return json.dumps({"site": "S", "source": "old", "seq": 1, "seen": AT, "event": event, "schema": schema}, ensure_ascii=False).encode()


@pytest.mark.parametrize("event, odd", [
    ({"kind": "permit.requested", "at": AT, "permit": "P", "type": "02", "point": "P", "valid_from": AT, "valid_to": "sometime"}, ["valid_to"]),
    ({"kind": "permit.requested", "at": AT, "permit": "P", "type": "02", "point": "P", "valid_from": AT, "valid_to": AT + 1, "workers": "W1、W2"}, ["workers"]),
    ({"kind": "permit.step", "at": AT, "permit": "P", "step": "签发"}, ["step"]),
    ({"kind": "permit.step", "at": AT, "permit": "P", "step": "blessed"}, ["step"]),
    ({"kind": "scan", "at": AT, "worker": "W", "door": "D", "direction": "sideways"}, ["direction"]),
    ({"kind": "device", "at": AT, "device": "D", "mode": 7}, ["mode"]),
])  # fmt: skip
def test_a_kind_on_which_lives_hang_is_not_refused_for_one_odd_field(event, odd):
    entry = Intake().take(_envelope(event), {"scan": "badge.events", "device": "site.events"}.get(event["kind"], "permit.events"))
    assert not isinstance(entry, Refusal) and shown(entry.odd) == odd


@pytest.mark.parametrize("event", [{"kind": "permit.step", "at": AT, "step": "issued"}, {"kind": "permit.step", "permit": "P", "step": "issued"}, {"kind": "weather", "at": AT, "station": 7}])
def test_what_makes_a_message_unreadable_is_a_dead_letter(event):
    assert isinstance(Intake().take(_envelope(event), "weather.events" if event["kind"] == "weather" else "permit.events"), Refusal)


def test_schema_2_is_held_to_it_on_kafka_too():
    event = {"kind": "permit.step", "at": AT, "permit": "P", "step": "签发"}
    said = Intake().take(_envelope(event, 2), "permit.events")
    assert isinstance(said, Refusal) and "step" in said.detail


def test_the_door_tells_an_older_sender_what_it_could_not_read():
    import time

    now = int(time.time() * 1000)
    read = read_row("permit.requested", {"at": now, "permit": "P", "type": "动火一级", "point": "P", "valid_from": now // 1000, "valid_to": now // 1000 + 3600, "colour": "red"}, 1)
    assert (read.strange, read.odd) == (["colour"], ["valid_from", "valid_to"])
    assert json.loads(read.raw)["colour"] == "red", "what nobody reads is kept all the same"
    with pytest.raises(msgspec.ValidationError, match="valid_from"):
        read_row("permit.requested", {"at": now, "permit": "P", "type": "02", "point": "P", "valid_from": now // 1000, "valid_to": now // 1000 + 3600}, 2)


def test_a_gas_channel_without_a_limit_is_refused_at_start(tmp_path):
    plant = Plant("S", "厂", "plant", channels=[Channel("D", "gas", "toxic", "ppm", "A", "phosgene")])
    with pytest.raises(PlantError, match="phosgene"):
        _check_gases(tmp_path / "points.csv", plant)
    _check_gases(tmp_path / "points.csv", Plant("S", "厂", "plant", channels=[Channel("D", "gas", "toxic", "PPM", "A", "H2S")]))


def test_a_pack_that_names_no_gas_still_has_a_limit_and_one_that_nobody_can_mean_is_refused():
    bare = terms_of(msgspec.structs.replace(built_in("GB"), lel={}))
    assert limit_of(Channel("D", "gas", "combustible", "%LEL", "A", "propane"), bare).high == bare["lel_percent"]  # type: ignore[union-attr]
    for table in ("lel", "toxic", "molar"):
        for value in (0.0, -1.0, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="cannot be meant"):
                sound_pack(msgspec.structs.replace(built_in("GB"), **{table: {"propane": value}}))
    sound_pack(built_in("GB"))


def test_an_unknown_word_is_never_no_limit():
    assert limit_of(Channel("D", "gas", "toxic", "furlong", "A", "h2s"), TERMS) is None
    assert passes("phosgene", 0.0, "ppm", TERMS) is None
    assert passes("H2S", 50, "PPM", TERMS) is False


def test_every_kind_of_event_can_be_held_to_schema_2():
    assert set(KINDS) >= {"frame", "scan", "permit.step", "warning"}


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind, fields in NAMED_BY.items() for field in fields], ids=lambda x: x if isinstance(x, str) else x.__name__)
@pytest.mark.parametrize("empty", ["", "  "])
def test_what_says_not_of_what_it_speaks_is_refused_with_the_field(kind, field, empty):
    """A contractor without a name once made every permit without a contractor red."""
    values = {f.name: {"at": 1_800_000_000_000, "u": 0}.get(f.name, _some(f.type)) for f in msgspec.structs.fields(kind) if f.required or f.name in ("at", "u")}
    event = msgspec.convert(values | {"kind": kind.__struct_config__.tag}, kind)
    assert too_much(event) is None
    said = too_much(msgspec.structs.replace(event, **{field: empty}))
    assert said is not None
    assert (said[0], said[1].split()[0]) == ("unnamed", field)


def _some(kind):
    """Any value of a field's type."""
    if typing.get_origin(kind) is typing.Literal:
        return typing.get_args(kind)[0]
    return {str: "x", int: 1, float: 1.0, bool: True}.get(kind, {} if typing.get_origin(kind) is dict else [])


def test_an_older_log_in_which_one_has_no_name_says_nothing_of_those_who_name_none():
    from infra.plant.story import read_story
    from infra.plant.tell import timeline
    from streams.kernel import Kernel
    from streams.outputs import Alert

    story, said, kernel = read_story(Path(__file__).parent / "scenarios" / "S01_golden_path.toml"), [], Kernel("story")
    odd = [e.Contractor(at=story.start, u=0, contractor="", papers={"insurance": "void"}), e.EquipmentSaid(at=story.start, u=0, equipment="", running=True)]
    for n, event in enumerate(odd):
        said += kernel.step(Entry("story", "old", n + 1, story.start, OF_KIND[str(event.__struct_config__.tag)].name, event))
    for n, (at, one) in enumerate(timeline(story)):
        if isinstance(one, Tick | Entry):
            said += kernel.step(Entry("story", "clock", n, at, "site.events", one) if isinstance(one, Tick) else one)
    assert [a for a in said if isinstance(a, Alert)] == []


def test_a_step_that_begins_again_remembers_what_it_refused_itself():
    """Of dead.letters each of the two steps keeps its own, or a source would be told everything twice; bytes that are no letter are left out."""
    letters = [DeadLetter(topic, 0, n, "word", "?", n, b"{}", "site", "ptw") for n, topic in enumerate(("permit.events", TIMELINE.name, "scan.events"))]
    raws = [*(msgspec.json.encode(letter) for letter in letters), b"no letter"]
    judged, read = Refused(), Refused()
    judged.refill(raws, lambda letter: letter.topic == TIMELINE.name)
    read.refill(raws, lambda letter: letter.topic != TIMELINE.name)
    assert [row["offset"] for row in judged.of("site", "ptw")] == [1]
    assert [row["offset"] for row in read.of("site", "ptw")] == [2, 0]
    assert read.of("site", "hr") == []


# ---- words in sentences ---------------------------------------------------------------------------------------------------


def _said(kind: type, field: str) -> list[str]:
    """The words that a field of an event may hold."""
    return [w for w in typing.get_args(typing.get_type_hints(kind)[field]) if w]


@pytest.mark.parametrize(("place", "known"), [
    ("trade", TRADE), ("state", STATE), ("hazard", HAZARD), ("colour", COLOUR), ("type", TYPE),
    ("status", _said(e.Certificate, "status")), ("stage", _said(e.Clip, "stage")),
    ("kind", _said(e.Activity, "what")), ("kinds", {d for t in TYPE for d in needed_devices(t)}), ("was", typing.get_args(Says)),
])  # fmt: skip
def test_every_closed_word_that_a_sentence_may_say_has_a_name_in_both_languages(place, known):
    assert [w for w in known if not all(SAID_IN[place].get(w, ("", "")))] == []


def test_no_chinese_sentence_of_any_story_says_an_english_word():
    """But units, what people wrote themselves (a note, a tool, an address)."""
    theirs = re.compile(r"moved to|wrench|vms://")
    units = {"min", "ppm", "vol", "mg"}
    odd = []
    for line in (Path(__file__).parent / "told.txt").read_text(encoding="utf-8").splitlines():
        said = line.split(" | ")[1:2]
        chinese = re.search(r"[^ ]*[\u4e00-\u9fff].*", said[0]) if said else None
        found = set(re.findall(r"(?<![\w.\-/:])[a-z_]{3,}(?![\w.\-/:])", theirs.sub("", chinese[0]))) - units if chinese else set()
        odd += [f"{line.split()[1]}: {sorted(found)}"] if found else []
    assert odd == []


def test_words_of_a_list_and_words_with_a_number_are_said_each_by_its_name():
    assert [spoken("missing", "voice, finish", 0), spoken("parts", "overtime 50, violations 20.5", 0), spoken("parts", "overtime 50, violations 20.5", 1)] == ["语音、完工", "加班 50、违章 20.5", "overtime 50, violations 20.5"]
    assert [spoken("kind", "gas_discharge", 1), spoken("trade", "underwater", 0), spoken("worker", "welding", 0), spoken("first", 3, 0)] == ["gas discharge", "underwater", "welding", 3]


# ---- what belongs to a kind of its own, and who says so --------------------------------------------------------------------

WARNING = {"at": AT, "hazard": "lightning", "colour": "red", "until": AT + 3_600_000}


@pytest.mark.parametrize("kind, row, said", [
    ("worker", {"at": AT, "worker": "W", "trades": ["焊工"]}, "Did you mean welding"), ("worker", {"at": AT, "worker": "W", "trades": ["wellding"]}, "Did you mean welding"),
    ("worker", {"at": AT, "worker": "W", "roles": ["救援"]}, "Did you mean rescue"), ("worker", {"at": AT, "worker": "W", "roles": ["rescu"]}, "Did you mean rescue"),
    ("record", {"at": AT, "worker": "W", "what": "practice", "trade": "电工"}, "Did you mean electrician"), ("certificate", {"at": AT, "worker": "W", "number": "1", "trade": "heigth", "valid_to": "2027-01-01"}, "height"),
    ("warning", WARNING | {"hazard": "lightening"}, "Did you mean lightning"), ("warning", WARNING | {"colour": "purple"}, "no word of `$.colour`"), ("warning", WARNING | {"until": AT // 1000}, "out of reason"),
])  # fmt: skip
def test_schema_2_holds_trades_roles_warnings_and_reasons_to_their_words(kind, row, said):
    with pytest.raises(msgspec.ValidationError, match=re.escape(said)):
        read_row(kind, row | {"schema": 2}, 1, AT)
    assert read_row(kind, row, 1, AT)


@pytest.mark.parametrize("kind, row", [
    ("worker", {"at": AT, "worker": "W", "trades": ["welding", "爆破"], "roles": ["rescue", "班长"]}), ("warning", WARNING), ("warning", WARNING | {"withdrawn": True, "colour": ""}),
    ("frame", {"at": AT, "names": ["D"], "values": [None], "bad": {"D": "over"}}), ("frame", {"at": AT, "names": ["D"], "values": [None], "bad": {"D": "no answer within 2 s"}}), ("worker", {"at": AT, "worker": "W", "trades": ["消防车司机", "探伤工"], "roles": ["fire watch"]}),
])  # fmt: skip
def test_schema_2_takes_our_words_and_what_a_plant_calls_in_its_own_way(kind, row):
    assert read_row(kind, row | {"schema": 2}, 1, AT).odd == []


@pytest.mark.parametrize("scale", [1 / 1000, 1000, 1_000_000], ids=["s", "us", "ns"])
def test_seconds_micro_and_nanoseconds_are_understood_of_older_senders_and_refused_under_schema_2(scale):
    """At the door and in the log."""
    row = {"at": int(AT * scale), "permit": "P", "step": "jsa"}
    read = read_row("permit.step", row, 1, AT)
    assert abs(read.event.at - AT) < 1000 and read.odd == ["at"] and json.loads(read.raw)["at"] == row["at"]
    with pytest.raises(msgspec.ValidationError, match="Write ms since 1970"):
        read_row("permit.step", row | {"schema": 2}, 1, AT)
    envelope = {"site": "S", "source": "ptw", "seq": 1, "seen": AT, "event": row | {"kind": "permit.step"}}
    taken = Intake().take(msgspec.json.encode(envelope), "permit.events")
    assert isinstance(taken, Entry) and abs(taken.event.at - AT) < 1000 and taken.odd == ["at"]
    refused = Intake().take(msgspec.json.encode(envelope | {"schema": 2}), "permit.events")
    assert isinstance(refused, Refusal) and refused.reason == "impossible time"


@pytest.mark.parametrize("words, of", [(TRADE, lambda said: plain(e.Worker(at=AT, worker="W", trades=[said]))[0].trades), (ROLE, lambda said: plain(e.Worker(at=AT, worker="W", roles=[said]))[0].roles),
                                       (BAD, lambda said: [*plain(e.Frame(at=AT, names=["D"], values=[None], bad={"D": said}))[0].bad.values()]), (TRADE, lambda said: [plain(e.Record(at=AT, worker="W", what="practice", trade=said))[0].trade])])  # fmt: skip
def test_every_spelling_of_a_trade_a_role_and_a_reason_means_its_word(words, of):
    for name, spellings in words.items():
        for said in (name, *spellings, name.upper(), f" {name} "):
            assert of(said) == [name], said


@pytest.mark.parametrize("said", ["超出量程上限值", "overrrange", "Out of Range"])
def test_an_odd_reason_of_a_bad_reading_never_costs_a_frame(said):
    """A sensor that is over its range must not silence its gateway; what is almost a word is told."""
    row = {"at": AT, "names": ["D", "E"], "values": [None, 1.0], "bad": {"D": said}}
    assert read_row("frame", row | {"schema": 2}, 1, AT).event.values == [None, 1.0]
    assert read_row("frame", row, 1, AT).odd == (["bad"] if misspelt(BAD, said) else [])


def test_what_is_almost_a_word_is_told_and_never_guessed():
    event, odd = plain(e.Worker(at=AT, worker="W", trades=["wellding", "爆破"], roles=["rescu"]))
    assert (event.trades, event.roles, odd) == (["wellding", "爆破"], ["rescu"], ["trades", "roles"])
    assert not misspelt(TRADE, "welding") and not misspelt(TRADE, "") and not misspelt(BAD, "sensor overdue for calibration")


@pytest.mark.parametrize("gas, value, unit, limit", [("combustible", 0.2, "%vol", 0.2), ("combustible", 2000, "ppm", 2000), ("xylene", 5.88, "%LEL", 5.88), ("h2s", 80, "%LEL", 5.88), ("h2s", 0.001, "%vol", 0.000718)])
def test_what_is_held_against_which_limit_where_nobody_said_which_gas_it_is(gas, value, unit, limit):
    """The strictest of the table; a toxic told in %LEL burns first."""
    found = limit_of_test(gas, value, unit, TERMS)
    assert found is not None and found[0] == pytest.approx(limit, rel=0.01)
    assert passes(gas, found[0] * 1.01, unit, TERMS) is False


@pytest.mark.parametrize("gas, unit", [("so2", "ppm"), ("xylene", "ppm"), ("xylene", "%vol"), ("methane", "mg/m3"), ("o2", "ppm"), ("h2s", "%LEL")])
def test_a_component_under_no_limit_passes_nothing(gas, unit):
    assert passes(gas, 0.1, unit, TERMS) is None


def test_a_gas_of_the_packs_own_is_a_word_and_any_other_is_named():
    """At the door, which knows the plant's pack; where only the log is read any gas may be a pack's, and the kernel says what is under no limit."""
    row = {"at": AT, "permit": "P", "results": [{"gas": "silane", "value": 0.1, "unit": "%vol"}]}
    with pytest.raises(msgspec.ValidationError, match=r"no word of `\$\.results\[0\]\.gas`"):
        read_row("permit.gas_test", row | {"schema": 2}, 1, AT)
    assert read_row("permit.gas_test", row | {"schema": 2}, 1, AT, frozenset({"silane"})).odd == []
    assert read_row("permit.gas_test", row, 1, AT).odd == ["results.gas"]
    assert read_row("permit.gas_test", row, 1, AT, frozenset({"silane"})).odd == []
    envelope = {"site": "S", "source": "ptw", "seq": 1, "seen": AT, "schema": 2, "event": row | {"kind": "permit.gas_test"}}
    assert isinstance(Intake().take(msgspec.json.encode(envelope), "permit.events"), Entry)
