"""A story acted out on the real wires: gas on Modbus, everything else over HTTP, told by the whole system in real time."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infra.plant.reference import SOURCES
from infra.plant.script import StoryScript, began, write_story_plant
from infra.plant.story import read_story, scene
from infra.up import Ports, System
from sql.store import Store
from streams.plant import read_plant

S26 = Path(__file__).parent / "scenarios" / "S26_lel_12_methane.toml"


def test_the_stage_of_a_story_is_written_as_a_plant_that_can_be_read(tmp_path):
    story = read_story(S26)
    plant = scene(story.told)
    described = read_plant(write_story_plant(tmp_path, story, plant, SOURCES, 15020, 14840))
    assert described.plant.points == plant.points
    assert [(c.tag, c.gas, c.source, c.status_register) for c in described.plant.channels] == [("D", "methane", "panel-1", 1)]
    assert began(tmp_path, 5) == 5 == began(tmp_path, 9)


def test_a_story_is_shifted_to_now_and_its_past_is_told_at_once():
    story, now = read_story(S26), 1_800_000_000_000
    script = StoryScript(story, scene(story.told), "09:31:00", now)
    assert script.readings(script.plant.channels, now) == [6.0]
    assert script.readings(script.plant.channels, now + 3 * 3_600_000) == [None]
    assert script.recording("C", now) is True
    events = script.events()
    assert [e.step for _, source, e in events if source == "ptw" and hasattr(e, "step")] == ["jsa", "measures", "briefed", "issued", "started", "finished", "accepted"]
    assert sum(at < now for at, source, _ in events if source == "tags") == len(range(0, 106 * 60, 5))
    assert all(at == e.at for at, _, e in events)


@pytest.mark.broker
@pytest.mark.engine
@pytest.mark.seed("S26")
@pytest.mark.seed("000-33", part="gas over its limit asks to suspend")
@pytest.mark.seed("003-08", part="shadow on a wire")
@pytest.mark.timeout(180)
def test_s26_on_a_modbus_wire_and_a_stricter_pack_in_its_shadow(tmp_path, system, wait):
    """From 09:31:20 of the story: the panel climbs through 10 %LEL at 09:31:41; the pack in the shadow would have said so at 8, and tells nobody."""
    strict = tmp_path / "strict.toml"
    strict.write_text('name = "strict"\nversion = "1"\nlayer = "plant"\nbase = "GB"\nedition = "x"\nsince = "2026-01-01"\nzh = "严"\nen = "strict"\n[limits]\nlel_vol_high = 0.4\n')
    shutil.copytree(system.data / "jars", tmp_path / "jars")
    acted = System(tmp_path, Ports(5000), story=S26, since="09:31:20", shadow=str(strict), say=lambda said: None)
    acted.prepare()
    try:
        acted.start()
        store = Store(acted.sql)
        sql = "SELECT code, priority, numbers.1 AS limit FROM (SELECT code, priority, JSONExtract(body, 'numbers', 'Tuple(limit String)') AS numbers FROM alerts WHERE code LIKE 'X-GAS%' ORDER BY code)"
        wait("both gas alerts", lambda: len(store.rows(sql)) == 2, 90, acted)
        assert [(r["code"], r["priority"], r["limit"]) for r in store.rows(sql)] == [("X-GAS-LIM", 1, "10"), ("X-GAS-RISE", 2, "5")]
        shadow = "SELECT code, pack, en FROM shadow_alerts WHERE code = 'X-GAS-LIM'"
        wait("what the shadow says", lambda: store.rows(shadow), 30, acted)
        assert [(r["pack"].startswith("strict 1"), "its limit of 8 %LEL" in r["en"]) for r in store.rows(shadow)] == [(True, True)]
        assert "strict 1" not in (acted.data / "notify.jsonl").read_text(encoding="utf-8")
    finally:
        acted.stop()
