"""Property tests of the pure rooms, and the seven laws at the end of `domain.md` 4.4."""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.registers import ORDER, float32, reads, value_of
from streams.gases import allowed_lel, to_lel, to_mg
from streams.intake import Intake, Refusal
from streams.outputs import schema
from streams.packs import built_in, terms_of
from streams.plant import Channel, Plant, PlantError, read_plant
from streams.rules import RULES
from streams.rules.rule import Known
from streams.sentences import SENTENCES
from streams.spans import Held, Intervals, Numbers, Spans
from streams.texts import TEXTS
from streams.times import Stamp, Truth, before, cases, every, no_later, some
from streams.work import Site

SCENARIOS = Path(__file__).parent / "scenarios"
MS = st.integers(0, 10_000)


# ---- time -----------------------------------------------------------------------------------------------------------


@given(MS, MS, st.integers(0, 50), st.integers(0, 50), st.integers(0, 100))
@pytest.mark.seed("000-28", part="T1 to T6, T9 of single permits")
def test_widening_a_clock_only_moves_towards_unknown(a, b, ua, ub, more):
    narrow = before(Stamp(a, ua), Stamp(b, ub))
    assert before(Stamp(a, ua + more), Stamp(b, ub)) in (narrow, Truth.UNKNOWN)


@given(st.sampled_from(["Asia/Shanghai", "America/Sao_Paulo", "Pacific/Apia", "Africa/Cairo", "Asia/Beirut", "America/Havana", "UTC"]), st.lists(st.tuples(st.integers(-(10**13), 10**15), st.integers(-1, 1)), min_size=1, max_size=8))
def test_a_local_day_is_what_the_zone_says_whatever_was_asked_before(zone, asked):
    known = Known(Site("s", plant=Plant("s", zh="", en="", timezone=zone)))
    for ms, beside in asked:
        for at in (ms, known.midnight(known.day(ms)) + beside, ms % 1_900_000_000_000):
            assert known.day(at) == known.local(at).date()


@given(MS, MS)
def test_exact_instants_are_never_unknown(a, b):
    assert before(Stamp(a), Stamp(b)) is (Truth.TRUE if a <= b else Truth.FALSE)


def test_a_minute_is_half_open():
    minute = Stamp(60_000, 0, 60_000)
    assert before(Stamp(120_000), minute) is Truth.FALSE
    assert before(Stamp(119_999), minute) is Truth.UNKNOWN


# ---- spans ----------------------------------------------------------------------------------------------------------


VALUED = st.tuples(st.integers(0, 24) | MS, st.integers(0, 6))


@settings(max_examples=600)
@given(st.lists(VALUED, max_size=14), st.integers(0, 3) | st.integers(0, 300), st.randoms())
def test_spans_do_not_depend_on_order_or_repeats(told, join, rng):
    """Many near each other, and some of one moment that say different things."""
    one, two = Spans(join), Spans(join)
    for m, value in told:
        one.add(m, float(value), f"{m} {value}")
    shuffled = [*told, *told[:5]]
    rng.shuffle(shuffled)
    for m, value in shuffled:
        two.add(m, float(value), f"{m} {value}")
    assert one == two
    parts = list[list[tuple[int, int]]]()
    for m, value in sorted(told):
        parts = [*parts[:-1], [*parts[-1], (m, value)]] if parts and m - parts[-1][-1][0] <= join else [*parts, [(m, value)]]
    assert list(one) == [(p[0][0], p[-1][0]) for p in parts]
    assert list(zip(one.head, one.top, one.ref, strict=True)) == [(float(p[0][1]), float(max(value for _, value in p)), f"{p[0][0]} {p[0][1]}") for p in parts]


@given(st.lists(st.integers(0, 60), max_size=12), st.integers(0, 5), st.integers(-2, 62), st.integers(0, 30))
def test_what_spans_say_of_a_moment_is_what_their_moments_say(moments, join, at, long):
    spans = Spans(join)
    for m in moments:
        spans.add(m)
    inside = {n for a, b in spans for n in range(a, b + 1)}
    assert spans.next(at) == min((n for n in inside if n >= at), default=None)
    assert spans.latest(at) == max((n for n in inside if n <= at), default=None)
    open_ = [n for n in range(at, at + long) if not any(a <= n < b for a, b in spans)]
    assert [n for a, b in spans.gaps(at, at + long) for n in range(a, b)] == open_
    assert all(a < b for a, b in spans.gaps(at, at + long))
    kept = [span for span in spans if span[1] >= at]
    spans.forget(at)
    assert list(spans) == kept
    spans.cut(at + 2)
    assert list(spans) == [(a, min(b, at + 2)) for a, b in kept if a <= at + 2]
    assert len(spans.first) == len(spans.last) == len(spans.head) == len(spans.top) == len(spans.ref)


def test_a_sample_that_says_both_ends_what_it_holds():
    """Two gateways read one channel in one second, and one of them finds it good."""
    held = Held(Spans(3))
    for at, holds in ((5, True), (8, True), (8, False)):
        held.add(at, holds, 1.0, str(at))
    assert [(start, end, last) for start, end, last, *_ in held.intervals(9)] == [(5, 8, 8)]


def test_what_is_let_go_lies_before_the_moment_and_not_at_it():
    held = Held(Spans(1))
    for at, holds in ((5, True), (6, False), (20, True), (22, False)):
        held.add(at, holds, 1.0, str(at))
    held.forget(6)
    assert (list(held.over), held.calm) == ([(20, 20)], [6, 22])
    held.forget(20)
    assert (list(held.over), held.calm) == ([(20, 20)], [22])


SAMPLES = st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=14, unique_by=lambda s: s[0])


@settings(max_examples=600)
@given(SAMPLES, st.integers(1, 9), st.integers(0, 20))
def test_a_condition_holds_between_its_samples_and_never_over_one_that_says_not(samples, join, later):
    held, now = Held(Spans(join)), max((at for at, _ in samples), default=0) + later
    for at, holds in [*samples, *samples[:2]]:
        held.add(at, holds, float(at), str(at))
    found = list(held.intervals(now))
    ends = [(start, now + 1_000 if end is None else end) for start, end, *_ in found]
    holding = {at for at, holds in samples if holds}
    assert all(start < end or (start == last and start in holding) for start, end, last, *_ in found if end is not None)
    assert all(b <= c for (_, b), (c, _) in pairwise(ends))
    assert all(any(start <= at <= end for start, end in ends) for at, holds in samples if holds)
    assert not any(start < at < end for start, end in ends for at, holds in samples if not holds and at <= now)
    newest = max((at for at, holds in samples if holds), default=None)
    calm = newest is not None and any(newest < at <= newest + join for at, holds in samples if not holds)
    assert any(end is None for _, end, *_ in found) is (newest is not None and not calm and now <= newest + join)


@given(SAMPLES, st.integers(1, 9), st.tuples(st.integers(0, 60), st.booleans()))
def test_a_sample_that_is_called_of_no_importance_begins_and_ends_nothing(samples, join, last):
    held, now = Held(Spans(join)), max((at for at, _ in samples), default=0)
    for at, holds in samples:
        held.add(at, holds, 0.0, str(at))
    before = [(start, end) for start, end, *_ in held.intervals(now)]
    if not held.add(last[0], last[1], 0.0, str(last[0])):
        after = [(start, end) for start, end, *_ in held.intervals(max(now, last[0]))]
        assert [start for start, _ in after] == [start for start, _ in before]
        assert [end for _, end in after[:-1]] == [end for _, end in before[:-1]]
        assert after[-1:] == before[-1:] or last[0] > now


@given(st.lists(st.tuples(MS, MS).map(sorted), max_size=30), st.randoms())
def test_intervals_are_a_union(pairs, rng):
    one, two = Intervals(), Intervals()
    for lo, hi in pairs:
        before = [*one]
        assert one.add(lo, hi) is ([*one] != before)
    rng.shuffle(pairs)
    for lo, hi in pairs:
        two.add(lo, hi)
    assert one == two
    for at in (0, 17, 5000):
        assert (at in one) == any(lo <= at <= hi for lo, hi in pairs)
    two.cut(17)
    assert [*two] == [(lo, min(hi, 17)) for lo, hi in one if lo <= 17]


@given(st.lists(st.integers(1, 80), max_size=120))
def test_numbers_know_repeats_and_holes(ns):
    numbers, seen = Numbers(), set()
    for n in ns:
        assert numbers.add(n) is (n not in seen)
        seen.add(n)
    missing = {m for lo, hi in numbers.holes() for m in range(lo, hi + 1)}
    assert missing == (set(range(min(seen), max(seen) + 1)) - seen if seen else set())


# ---- registers, limits, texts ---------------------------------------------------------------------------------------


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.sampled_from(sorted(ORDER)))
def test_a_float_in_every_byte_order(value, order):
    raw = struct.pack(">f", value)
    wire = bytearray(4)
    for place, source in enumerate(ORDER[order]):
        wire[source] = raw[place]
    assert float32(list(struct.unpack(">HH", wire)), order) == value


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=80), st.integers(0, 20), st.integers(2, 125))
def test_reads_cover_every_register_within_the_limit(registers, gap, most):
    channels = [Channel(str(i), "s", "toxic", "ppm", register=r) for i, r in enumerate(registers)]
    planned = reads(channels, gap, most)
    assert all(n <= most for _, n in planned)
    assert all(any(a <= r < a + n for a, n in planned) for r in registers)


@pytest.mark.parametrize("words", [{}, {0: 0x7FFF, 1: 0}, {0: 10, 1: 1}])
def test_a_failed_read_is_never_a_number(words):
    channel = Channel("t", "s", "combustible", "%LEL", low=0, high=100, register=0, status_register=1, scale=0.01)
    value, why = value_of(channel, words, "ABCD")
    assert value is None
    assert why


def test_a_gas_beyond_its_range_is_a_number_and_says_so():
    """Case 03: a saturated cell is the most dangerous reading there is; a process value out of its range stays BAD."""
    gas = Channel("t", "s", "combustible", "%LEL", low=0, high=100, register=0, scale=0.01)
    assert value_of(gas, {0: 60000}, "ABCD") == (600.0, "over")
    assert value_of(msgspec.structs.replace(gas, kind="process"), {0: 60000}, "ABCD")[0] is None


def test_the_table_of_percent_lel_and_percent_volume():
    """domain.md 2.4"""
    gb, osha = terms_of(built_in("GB")), terms_of(built_in("OSHA"))
    assert [round(allowed_lel(g, gb), 1) for g in ("methane", "chloromethane", "dimethyldichlorosilane", "hydrogen", "toluene")] == [10.0, 6.2, 5.9, 12.5, 18.2]
    assert allowed_lel("toluene", osha) == 10
    assert to_lel(0.5, "%vol", "methane", gb) == pytest.approx(10)
    assert to_mg(8, "ppm", "h2s", gb) == pytest.approx(11.2, abs=0.1)


def test_every_rule_has_its_sentence_and_advice_in_both_languages():
    for rule in RULES:
        assert rule.code in SENTENCES
        assert f"{rule.code}.advice" in SENTENCES
        assert rule.clause and rule.edition and rule.confidence in "ABC"
    assert all(zh.strip() and en.strip() for zh, en in TEXTS.values())


def test_the_schema_is_published_for_every_kind():
    assert {"Envelope", "Frame", "Requested", "Alert", "DeadLetter"} <= schema()["$defs"].keys()
    published = msgspec.json.decode((SCENARIOS.parent.parent / "docs" / "schema.json").read_bytes())
    assert published == msgspec.json.decode(msgspec.json.encode(schema())), "write it anew: permitwatch schema > docs/schema.json"


# ---- intake ---------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=400))
def test_no_bytes_make_the_intake_raise(raw):
    assert isinstance(Intake().take(raw, "permit.events"), Refusal)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=20), lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(max_size=8), x, max_size=4), max_leaves=12))
def test_no_json_makes_the_intake_raise(value):
    raw = msgspec.json.encode({"site": "s", "source": "s", "seq": 1, "seen": 1, "event": value})
    assert isinstance(Intake().take(raw, "permit.events"), Refusal)


# ---- plant files ----------------------------------------------------------------------------------------------------

TOML = 'site = "S"\nzh = "厂"\nen = "plant"\n[[shops]]\nid = "W"\nzh = "a"\nen = "a"\n[[areas]]\nid = "A"\nshop = "W"\nzh = "a"\nen = "a"\n[[modbus]]\nname = "m"\naddress = "127.0.0.1:1"\n'
POINTS, PLACES = "tag,source,kind,gas,unit,area,register\nT1,m,toxic,h2s,ppm,A,0\n", "id,area,x,y,detectors\nP1,A,0,0,T1\n"
MUSEUM = {
    "an unknown key": ("plant.toml", TOML.replace("shop =", "shopp ="), POINTS, PLACES, "shopp", "Did you mean shop?"),
    "a shop that is not there": ("plant.toml", TOML.replace('shop = "W"', 'shop = "X"'), POINTS, PLACES, "no shop X", "Known here: W"),
    "broken TOML": ("plant.toml", TOML.replace('zh = "厂"', "zh = "), POINTS, PLACES, "syntax", "Mend"),
    "an unknown column": ("points.csv", TOML, POINTS.replace("register", "registr"), PLACES, "registr", "Did you mean register?"),
    "a word for a number": ("points.csv", TOML, POINTS.replace(",0\n", ",zero\n"), PLACES, "register", "column register"),
    "a source that is not there": ("points.csv", TOML, POINTS.replace(",m,", ",n,"), PLACES, "n is not described", "m"),
    "a tag twice": ("points.csv", TOML, POINTS + "T1,m,toxic,h2s,ppm,A,2\n", PLACES, "twice", "own"),
    "a gas that nobody knows": ("points.csv", TOML, POINTS.replace("h2s", "h22s"), PLACES, "h22s", "h2s"),
    "a unit that is none": ("points.csv", TOML, POINTS.replace("ppm", "pmm"), PLACES, "pmm", "ppm"),
    "a toxic gas without its name": ("points.csv", TOML, POINTS.replace("h2s", ""), PLACES, "no limit", "table"),
    "an unbound detector": ("places.csv", TOML, POINTS, PLACES.replace("T1", "T9"), "T9", "T1"),
    "a time zone that is none": ("plant.toml", 'timezone = "Mars/Base"\n' + TOML, POINTS, PLACES, "Mars/Base", "Asia/Shanghai"),
}


@pytest.mark.parametrize("name", MUSEUM)
def test_a_wrong_plant_file_is_refused_with_file_line_field_and_remedy(name, tmp_path):
    file, toml, points, places, said, remedy = MUSEUM[name]
    for path, text in (("plant.toml", toml), ("points.csv", points), ("places.csv", places)):
        (tmp_path / path).write_text(text, encoding="utf-8")
    with pytest.raises(PlantError) as refused:
        read_plant(tmp_path / "plant.toml")
    text = str(refused.value)
    assert f"{tmp_path / file}:" in text
    assert said in text
    assert remedy in text


def test_a_chinese_csv_in_gb18030_is_read(tmp_path):
    (tmp_path / "plant.toml").write_text(TOML, encoding="utf-8")
    (tmp_path / "points.csv").write_bytes(POINTS.replace("T1", "检测1").encode("gb18030"))
    (tmp_path / "places.csv").write_bytes(PLACES.replace("T1", "检测1").encode("gb18030"))
    assert read_plant(tmp_path / "plant.toml").plant.channels[0].tag == "检测1"


def test_the_box_goes_on_counting_permits_where_it_was(tmp_path):
    """A10: a second start on the same data puts no two jobs under one number."""
    from infra.plant.box import _day
    from infra.plant.reference import write_plant
    from streams.plant import read_plant

    file = write_plant(tmp_path, 0.05, 15020, 14840)
    plant = read_plant(file).plant
    first, second = (_day(file, plant, 0.05, 7, 1_773_100_800_000 + i) for i in range(2))
    assert first.jobs and second.jobs
    assert not {j.permit for j in first.jobs} & {j.permit for j in second.jobs}


def test_a_moment_is_as_unsure_later_as_it_was():
    """A truncated stamp that is shifted stays half-open: 08:20 and thirty minutes ends before 08:51."""
    told = Stamp(1_000_000, 2_000, 60_000, "ptw", 7)
    assert told.shift(1_800_000) == Stamp(2_800_000, 2_000, 60_000)
    assert before(Stamp(2_862_000), told.shift(1_800_000)) is Truth.FALSE
    assert before(Stamp(2_861_999), told.shift(1_800_000)) is Truth.UNKNOWN


@given(at=st.integers(0, 60), u=st.integers(0, 9), grain=st.integers(0, 9), cuts=st.lists(st.integers(-20, 90), max_size=4), edges=st.lists(st.integers(-2, 2), max_size=2), other=st.integers(0, 60))
def test_the_cases_of_a_stamp_are_its_instants_and_no_others(at, u, grain, cuts, edges, other):
    """Every instant lies in a case and no case reaches beyond; what is sure of the whole is sure of each."""
    whole = Stamp(at, u, grain)
    marks = [*cuts, *(end + edge for edge in edges for end in (whole.lo, whole.hi))]
    parts = list(cases(whole, *marks))
    inside = [n for n in range(-20, 90) if whole.lo <= n <= whole.hi - bool(grain)]
    assert sorted(n for p in parts for n in range(p.lo, p.hi + 1 - bool(p.grain))) == inside
    for way in (lambda s: before(s, Stamp(other)), lambda s: before(Stamp(other), s)):
        assert way(whole) is Truth.UNKNOWN or {way(p) for p in parts} == {way(whole)}
    assert not any(p.lo < cut < p.hi - bool(p.grain) for p in parts for cut in marks)
    assert list(cases(whole, whole.lo, whole.hi)) == [whole]  # a cut at an edge cuts nothing
    assert no_later(whole, whole.hi) is whole
    clipped = no_later(whole, other)
    if whole.lo <= other < whole.hi:
        assert clipped.lo == whole.lo and clipped.hi - bool(clipped.grain) == other
    else:
        assert clipped is whole
    if grain:
        assert before(said := Stamp(at, u, grain, "door", 7), said) is Truth.TRUE


def test_of_none_all_are_true_and_some_are_not():
    assert every([]) is Truth.TRUE
    assert some([]) is Truth.FALSE


def test_not_is_the_other_way_round_and_what_is_unknown_stays_so():
    assert [~t for t in (Truth.FALSE, Truth.UNKNOWN, Truth.TRUE)] == [Truth.TRUE, Truth.UNKNOWN, Truth.FALSE]


@pytest.mark.parametrize(("u", "taken"), [(-1, False), (0, True), (366 * 86_400_000, True), (366 * 86_400_000 + 1, False), (253_402_300_799_999, False)])
def test_a_clock_that_may_be_off_by_more_than_a_year_is_refused(u, taken):
    raw = b'{"site":"S","source":"ptw","seq":1,"seen":1773000000000,"event":{"kind":"permit.gas_test","at":1773000000000,"u":%d,"permit":"P","results":[]}}' % u
    said = Intake().take(raw, "permit.events")
    assert isinstance(said, Refusal) is not taken
    assert taken or (isinstance(said, Refusal) and f"u = {u}" in said.detail)


@pytest.mark.parametrize(("offset", "taken"), [(0, True), (28_800_000, True), (-31_622_400_000, True), (31_622_400_001, False), (-(10**15), False)])
def test_a_clock_that_is_said_to_be_off_by_more_than_a_year_was_not_measured(offset, taken):
    raw = b'{"site":"S","source":"ntp","seq":1,"seen":1773000000000,"event":{"kind":"clock","at":1773000000000,"device":"D","offset":%d,"residual":0}}' % offset
    said = Intake().take(raw, "site.events")
    assert isinstance(said, Refusal) is not taken


def test_every_type_of_work_has_its_family():
    """By which the gates know what a point forbids, X-SIMOPS who meets whom, the minutes what was done."""
    from streams.rules.limits import family
    from streams.words import TYPE

    hot, height, lifting = dict.fromkeys(("01", "02", "03"), "hot"), dict.fromkeys(("21", "22", "23", "24"), "height"), dict.fromkeys(("61", "62", "63"), "lifting")
    assert {code: family(code) for code in TYPE} == hot | height | lifting | {"10": "power", "30": "excavation", "40": "road", "50": "blinding", "70": "confined"}
