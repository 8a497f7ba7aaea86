"""Minutes: one index of risk with its parts, and the ledger of what was watched, whose last word is what is known in the end."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.plant.story import read_story
from infra.plant.tell import tell, timeline
from streams.calendar import SHIFTS, in_shift, shift_of
from streams.events import Entry, Tick
from streams.kernel import ANEW, Kernel
from streams.lives import subject_of
from streams.outputs import Jobs, Minute
from streams.rules.risk import Risk, area_risk
from streams.rules.watched import watched
from streams.times import HOUR, MINUTE

SCENARIOS = Path(__file__).parent / "scenarios"
LATE = ("S64_24h_backfill", "T_backlog_is_late_not_slow", "R_LATE_push", "S57_paper_late", "S07_video_index_only", "B05_eight_hours_ahead", "L_second_day", "S73_failover", "R_LAG_dark", "S63_out_of_order", "S65_unit_said")
ROWS = ("work", "gas", "filmed", "guard", "permitted", "all", "nobody")


def minutes(name: str) -> list[Minute]:
    return [o for o in tell(read_story(SCENARIOS / f"{name}.toml")).outputs if isinstance(o, Minute)]


def clock(m: Minute) -> str:
    at = m.at // 1000 + 8 * 3600
    return f"{at // 3600 % 24:02}:{at // 60 % 60:02}"


def row(jobs: Jobs, i: int = 0) -> dict[str, int | None]:
    return {name: getattr(jobs, name)[i] for name in ROWS}


# ---- the ledger ----------------------------------------------------------------------------------------------------------


def _told_and_known(path: Path) -> tuple[dict[tuple[str, int], tuple[object, ...]], Kernel]:
    """((life, minute) → the last word on it; the kernel once everything was heard)."""
    story, kernel, said = read_story(path), Kernel("story"), []
    for n, (at, one) in enumerate(timeline(story)):
        if isinstance(one, Tick | Entry):
            said += kernel.step(Entry("story", "clock", n, at, "site.events", one) if isinstance(one, Tick) else one)
    said += kernel.advance((story.end // ANEW + 2) * ANEW)
    last: dict[tuple[str, int], tuple[object, ...]] = {}
    for m in (o for o in said if isinstance(o, Minute)):
        last |= {(subject_of(p, life), m.at): tuple(row(m.jobs, i).values()) for i, (p, life) in enumerate(zip(m.jobs.permit, m.jobs.life, strict=True))}
        last |= {(subject_of(m.again.permit[i], m.again.life[i]), at): tuple(getattr(m.again, name)[i] for name in ROWS) for i, at in enumerate(m.again.at)}
    return last, kernel


def _agree(path: Path) -> None:
    last, kernel = _told_and_known(path)
    for life in sorted({life for life, _ in last} & kernel.memory.site.works.keys()):
        told = {at: row for (name, at), row in last.items() if name == life}
        first, end = min(told), max(told) + MINUTE
        truth = watched(kernel.known, kernel.known.course(life), first, end)
        for i, at in enumerate(range(first, end, MINUTE)):
            assert told.get(at, (0, 0 if truth.gas is not None else None, 0, 0, 0, 0, 0)) == truth.row(i), (life, at)


@pytest.mark.seed("000-09", part="each permit's watched minutes, late facts included")
@pytest.mark.parametrize("name", LATE)
def test_the_last_word_on_a_minute_is_what_is_known_of_it_in_the_end(name):
    _agree(SCENARIOS / f"{name}.toml")


@pytest.mark.every
@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.toml")), ids=lambda p: p.stem)
def test_so_it_is_in_every_story(path):
    _agree(path)


@pytest.mark.parametrize("name", ["R_WATCHED_nobody", "S31_continuous_gap_61s", "S19_guardian_absent_confined", "S32_interruption_45_min", "A2_neighbour"])
def test_no_part_is_more_than_the_work_and_the_parts_add_up(name):
    for m in minutes(name):
        for i in range(len(m.jobs.permit)):
            r = row(m.jobs, i)
            asked = [v for k, v in r.items() if k not in ("work", "all", "nobody") and v is not None]
            assert 0 <= r["work"] <= MINUTE
            assert all(0 <= v <= r["work"] for v in asked)
            assert max(0, sum(asked) - (len(asked) - 1) * r["work"]) <= r["all"] <= min(asked)
            assert r["work"] - (r["gas"] or 0) - r["filmed"] - r["guard"] <= r["nobody"] <= r["work"] - max(r["gas"] or 0, r["filmed"], r["guard"])
            assert m.jobs.seen[i] is None


@pytest.mark.seed("000-09", part="each permit's watched minutes, late facts included")
def test_minutes_that_nobody_watched_are_counted_to_the_second():
    """The last reading at 09:29:55, the last fix at 09:29:58, the last beat at 09:29:50 and the recorder off from 09:30:00; the first words again at 09:36:00."""
    of = {clock(m): row(m.jobs) for m in minutes("R_WATCHED_nobody") if m.jobs.permit}
    assert of["09:29"] == dict.fromkeys(ROWS, 60_000) | {"nobody": 0}
    assert of["09:30"] == {"work": 60_000, "gas": 55_000, "filmed": 0, "guard": 58_000, "permitted": 60_000, "all": 0, "nobody": 2_000}
    assert all(of[f"09:3{n}"] == {"work": 60_000, "gas": 0, "filmed": 0, "guard": 0, "permitted": 60_000, "all": 0, "nobody": 60_000} for n in range(1, 6))
    assert of["09:37"] == dict.fromkeys(ROWS, 60_000) | {"nobody": 0}


def test_a_guardian_who_is_surely_outside_or_in_the_space_himself_guards_no_more():
    """Surely outside from 09:30:00, back at 09:34:02; in the space from 09:10:00, out at 09:20:00."""
    gone = {clock(m): m.jobs.guard[0] for m in minutes("S19_guardian_absent") if m.jobs.permit and m.jobs.guard[0] < m.jobs.work[0]}
    assert gone == {"09:30": 0, "09:31": 0, "09:32": 0, "09:33": 0, "09:34": 58_000}
    inside = {clock(m): m.jobs.guard[0] for m in minutes("W_guardian_inside") if m.jobs.permit and m.jobs.guard[0] < m.jobs.work[0]}
    assert inside == {f"09:1{n}": 0 for n in range(10)}


def test_a_minute_is_told_whether_or_not_anybody_works_and_none_twice():
    told = [m.at for m in minutes("S01_golden_path")]
    assert told == list(range(told[0], told[-1] + 1, MINUTE))


def test_without_the_streams_no_minutes_are_told():
    from streams.kernel import SILENCE

    kernel = Kernel("x", left_out=SILENCE)
    kernel.step(Entry("x", "clock", 1, 1_800_000_000_000, "site.events", Tick(at=1_800_000_000_000)))
    assert kernel.advance(1_800_000_000_000 + HOUR) == []


# ---- risk ----------------------------------------------------------------------------------------------------------------


@pytest.mark.seed("000-37")
@pytest.mark.seed("004-22", part="the factors that raise a job's risk, shown")
def test_special_work_without_any_barrier_reaches_eighty_with_its_first_p2(tmp_path):
    told = (SCENARIOS / "R_WATCHED_nobody.toml").read_text(encoding="utf-8")
    bare = "\n".join(line for line in told.splitlines() if '"issued"' not in line and "what =" not in line).replace('type = "02"', 'type = "01"')
    (tmp_path / "bare.toml").write_text(bare[: bare.index("expect = [")], encoding="utf-8")
    said = [o for o in tell(read_story(tmp_path / "bare.toml")).outputs if isinstance(o, Minute) and o.areas]
    assert said[0].jobs.barriers == [{"permit": "bad", "guard": "unknown", "video": "unknown", "gas": "unknown"}]
    assert "alert" in said[0].jobs.factors[0]
    assert all(m.areas["A1"][0] >= 80 for m in said)


@given(st.sampled_from([2, 5, 8]), st.lists(st.sampled_from(["ok", "bad", "unknown"]), min_size=3, max_size=4), st.dictionaries(st.sampled_from(["gas", "alert", "people"]), st.sampled_from([1.25, 1.5, 2.0, 3.0])))
def test_only_the_largest_factor_counts_and_unknown_is_missing(weight, states, factors):
    index = Risk(weight, dict(zip("abcd", states, strict=False)), factors).index
    assert index == weight * (1 + len(states) - states.count("ok")) * max([1.0, *factors.values()])
    assert Risk(weight, dict.fromkeys("abcd", "ok"), {}).index == weight


def test_an_area_is_capped_after_the_sum_and_the_sum_stands_beside_it():
    assert area_risk({"B": [80.0, 40.0], "A": [5.0], "": [9.0]}) == {"A": [5.0, 5.0], "B": [100.0, 120.0]}


@pytest.mark.seed("004-22", part="the factors that raise a job's risk, shown")
@pytest.mark.parametrize(("name", "factor", "size"), [
    ("S26_lel_12_methane", "gas", 3.0), ("R_TREND_20_min", "gas", 1.5), ("S38_wind_8_1", "weather", 1.5), ("S40_lightning_yellow", "weather", 1.5), ("S35_dcs_119s", "process", 1.5),
    ("R_PERSON_state", "people", 1.25), ("D_red_codes", "people", 2.0), ("S12_cert_expires_mid_permit", "people", 2.0), ("S19_guardian_absent_confined", "alert", 3.0), ("R_WATCHED_nobody", "alert", 2.0),
])  # fmt: skip
def test_what_raises_the_risk_is_shown_while_it_lasts(name, factor, size):
    sizes = [f.get(factor, 0.0) for m in minutes(name) for f in m.jobs.factors]
    assert size in sizes
    assert 0.0 in sizes or name in ("R_PERSON_state", "D_red_codes", "S35_dcs_119s")


@given(st.integers(0, 23))
def test_an_hour_belongs_to_one_shift(hour):
    assert [s for s in SHIFTS if in_shift(hour, s)] == [shift_of(hour)]


# ---- who is inside -------------------------------------------------------------------------------------------------------


def test_who_is_inside_is_told_by_door_and_by_tag_with_its_age():
    by = {clock(m): dict(zip(m.inside.worker, zip(m.inside.source, m.inside.point, m.inside.age, strict=True), strict=True)) for m in minutes("S52_not_signed_out")}
    assert any(source == "door" and point for inside in by.values() for source, point, _ in inside.values())
    ages = [age for inside in by.values() for _, _, age in inside.values()]
    assert all(age >= 0 for age in ages)
    assert any(age > MINUTE for age in ages)


