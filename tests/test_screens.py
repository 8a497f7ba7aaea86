"""The screens in a real Chromium: they show what Kafka says, in both languages, let nothing foreign in, and say when they are old."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import httpx
import pytest

from dashboards.answer import Answer, wrong_with
from infra.plant.story import read_story
from infra.plant.tell import tell
from streams.plant import read_plant

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.browser, pytest.mark.broker, pytest.mark.timeout(240)]
SCENARIOS = Path(__file__).parent / "scenarios"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "install Chromium: sh infra/install_chromium.sh"
    with playwright.sync_playwright() as p:
        b = p.chromium.launch(executable_path=path, args=FLAGS)
        yield b
        b.close()


@pytest.fixture
def page(browser, system):
    context = browser.new_context(viewport={"width": 1600, "height": 900}, timezone_id="America/New_York")
    page = context.new_page()
    page.faults, page.foreign = [], []
    page.on("console", lambda m: page.faults.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: page.faults.append(str(e)))
    page.on("request", lambda r: page.foreign.append(r.url) if not r.url.startswith((f"http://127.0.0.1:{system.ports.dashboards}", "data:", "blob:")) else None)
    page.base = f"http://127.0.0.1:{system.ports.dashboards}"
    yield page
    context.close()


def _live(page, path: str):
    page.goto(page.base + path)
    page.wait_for_selector("html[data-live=live]", state="attached", timeout=45_000)
    return page


@pytest.mark.seed("000-25", part="the wall")
@pytest.mark.seed("000-06", part="active jobs, and how old that is")
def test_the_wall_shows_the_alarm_and_says_how_old_it_is(page, system, wait, store):
    wait("an alarm", lambda: store.rows("SELECT 1 FROM alerts WHERE site = 'P1286' AND state = 'raised' LIMIT 1") or store.rows("SELECT 1 FROM alerts WHERE site = 'P1286' LIMIT 1"), 90, system)
    _live(page, "/wall")
    page.wait_for_selector("#map .js-plotly-plot", timeout=45_000)
    assert page.locator("#map .js-plotly-plot").count() == 1
    assert int(page.locator("#n-active").inner_text()) >= 1
    assert page.locator("#conn-age").inner_text().endswith("s")
    assert page.faults == []
    assert page.foreign == []
    assert page.locator(".modebar-btn").count() == 0


@pytest.mark.seed("000-25", part="no job of the plan is out of sight")
def test_every_area_and_job_of_the_plan_is_in_sight(page, system, wait, store):
    """However many alerts stand: the wall grew with them, its plan was cut, and two red jobs and the names of a whole row were out of sight."""
    wait("an alarm", lambda: store.rows("SELECT 1 FROM alerts WHERE site = 'P1286' LIMIT 1"), 90, system)
    areas = read_plant(next(system.data.glob("plant-*/plant.toml"))).plant.areas
    _live(page, "/wall?lang=en")
    page.wait_for_selector("#map .scatterlayer .points path", timeout=90_000)
    page.evaluate("() => { const many = document.createElement('li'); many.style.height = '3000px'; document.querySelector('#feed').append(many) }")
    page.wait_for_timeout(2_000)
    assert page.evaluate("document.documentElement.scrollHeight") <= 900
    plan, panel = page.locator("#map .nsewdrag").first.bounding_box(), page.locator(".panel.map").bounding_box()
    assert panel["y"] <= plan["y"] and plan["y"] + plan["height"] <= panel["y"] + panel["height"]
    names = [t.text_content() or "" for t in page.locator("#map .scatterlayer .text text").all()]
    assert {name.split()[0] for name in names} == {area.id for area in areas}
    for mark in page.locator("#map .scatterlayer .points path, #map .scatterlayer .text text, #map .scatterlayer .fills path").all():
        box = mark.bounding_box()
        assert plan["x"] - 3 <= box["x"] and box["x"] + box["width"] <= plan["x"] + plan["width"] + 3, (plan, box)
        assert plan["y"] - 3 <= box["y"] and box["y"] + box["height"] <= plan["y"] + plan["height"] + 3, (plan, box)


@pytest.mark.parametrize("path", ["/wall", "/shop/W1", "/crew/C02", "/me?worker=W1004", "/risk/101"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_page_stands_in_both_languages(page, path, lang):
    _live(page, f"{path}{'&' if '?' in path else '?'}lang={lang}")
    text = page.locator(".page").inner_text()
    assert ("在线" in text) == (lang == "zh")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.faults == []


@pytest.mark.seed("000-28", part="T1 to T6, T9 of single permits")
def test_a_permit_shows_gas_approval_and_video_and_leads_to_the_raw_event(page, store, system, wait):
    wait("readings of the job", lambda: len(store.rows("SELECT 1 FROM facts WHERE permit = 'HW-00001'")) >= 4, 60, system)
    _live(page, "/permit/HW-00001?lang=en")
    text = page.locator(".page").inner_text()
    assert "T1 " in text and "T9 " in text
    page.wait_for_selector("#times .js-plotly-plot", timeout=45_000)
    assert page.locator("#times .js-plotly-plot").count() == 1
    page.locator(".facts a").first.click()
    page.wait_for_selector("#raw")
    assert '"permit":"HW-00001"' in page.locator("#raw").inner_text()


@pytest.mark.seed("000-37", part="the lights of a crew")
def test_a_crew_sees_colour_shape_and_word(page):
    _live(page, "/crew/C02?lang=en")
    lights = page.locator(".card .st").all_inner_texts()
    assert lights
    assert all(any(shape in text for shape in "■▲●○") and text[2:] for text in lights)


@pytest.mark.seed("000-11", part="three items at most, 44 px to touch")
def test_a_phone_shows_three_things_at_most(page):
    page.set_viewport_size({"width": 390, "height": 800})
    _live(page, "/me?worker=W1004&lang=en")
    items = page.locator("#todos li")
    assert 1 <= items.count() <= 3
    assert all(items.nth(i).bounding_box()["height"] >= 44 for i in range(items.count()))


def _unprepared(system, permit: str) -> None:
    """A permit of our own, approved without an analysis of its hazards: its alert stands until somebody answers it."""
    now = int(time.time() * 1000)
    asked = {"at": now - 60_000, "permit": permit, "type": "03", "point": "101-P01", "valid_from": now, "valid_to": now + 3_600_000, "workers": ["W1004"], "guardians": ["W1005"]}
    token = system.environment()["PERMITWATCH_TOKEN_PTW"]
    for kind, body in (("permit.requested", asked), ("permit.step", {"at": now, "permit": permit, "step": "issued", "by": "U1"})):
        said = httpx.post(f"http://127.0.0.1:{system.ports.ingest}/events/{kind}", json=body, headers={"authorization": f"Bearer {token}"})
        assert said.status_code == 202, said.text


@pytest.mark.seed("000-06", part="acknowledged on the alert's page, with a name")
def test_an_alert_is_answered_on_its_page(page, system, wait, store):
    """From the feed to the alert's page: refused without a name, taken with one, seen by everybody when the kernel has heard it."""
    _unprepared(system, "HW-UNPREPARED")
    open_ = "SELECT id FROM alerts WHERE site = 'P1286' AND code = 'JSA-NONE' AND permit = 'HW-UNPREPARED' AND state = 'raised'"
    alert = wait("an open alert", lambda: store.rows(open_), 60, system)[0]["id"]
    _live(page, f"/alert?id={alert}&lang=en")
    assert "[1]" in page.locator(".head small").inner_text()
    page.locator("button[data-action=acknowledge]").click()
    page.wait_for_selector("#answer.bad")
    assert "who you are" in page.locator("#answer").inner_text()
    page.locator("#by").fill("U7")
    page.locator("button[data-action=shelve]").click()
    page.wait_for_selector("#answer:has-text('reason')")
    page.locator("button[data-action=acknowledge]").click()
    wait("the acknowledgement", lambda: store.rows("SELECT 1 FROM alert_revisions WHERE id = {id:String} AND state = 'acknowledged' AND JSONExtractString(body, 'by') = 'U7'", {"id": alert}), 30, system)
    page.wait_for_selector("#alert-state:has-text('acknowledged')", timeout=20_000)
    page.wait_for_selector("html[data-live=live]", state="attached", timeout=20_000)
    assert page.locator("#by").input_value() == "U7"
    assert page.locator("button[data-action=acknowledge]").count() == 0
    assert page.foreign == []


def test_an_answer_from_elsewhere_is_refused(system):
    base = f"http://127.0.0.1:{system.ports.dashboards}/api/answer?lang=en"
    step = {"alert": "X", "action": "close", "by": "U7"}
    assert httpx.post(base, json=step, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert httpx.post(base, json=step, headers={"host": "evil.example"}).status_code == 403
    assert httpx.post(base, content="{}", headers={"content-type": "application/json"}).status_code == 400
    assert (said := httpx.post(base, json=step)).status_code == 422 and "not found" in said.json()["said"]


@pytest.mark.parametrize(
    ("step", "word"),
    [
        ({"action": "verify", "by": "U7"}, "no longer applies"), ({"action": "acknowledge", "by": "<b>"}, "letters"), ({"action": "shelve", "by": "U7", "note": " ", "minutes": 5}, "reason"),
        ({"action": "shelve", "by": "U7", "note": "scaffold", "minutes": 481}, "480"), ({"action": "shelve", "by": "U7", "note": "scaffold", "minutes": 480}, ""), ({"action": "acknowledge", "by": "U7"}, ""),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_answer_is_said(step, word, monkeypatch):
    monkeypatch.setenv("PERMITWATCH_TOKEN_OPERATOR", "x")
    alert = next(a for r in tell(read_story(SCENARIOS / "S26_lel_12_methane.toml")).alerts.values() for a in r if a.state == "raised")
    said = wrong_with(Answer(alert=alert.id, **step), alert, "en")
    assert word in said and bool(said) == bool(word)
    monkeypatch.delenv("PERMITWATCH_TOKEN_OPERATOR")
    assert "may not answer" in wrong_with(Answer(alert=alert.id, **step), alert, "en")


def test_hostile_text_is_text(page, system):
    _live(page, "/permit/%3Cimg%20src=x%20onerror=alert(1)%3E")
    assert page.locator("img").count() == 0


def test_a_dead_kernel_makes_the_screen_stale_and_a_dead_server_makes_it_offline(page, system, wait):
    """000-37: a screen without a heartbeat must not look alive."""
    _live(page, "/wall")
    system.parts["correlate"].process.send_signal(signal.SIGSTOP)
    try:
        page.wait_for_selector("html[data-live=stale]", state="attached", timeout=12_000)
    finally:
        system.parts["correlate"].process.send_signal(signal.SIGCONT)
    page.wait_for_selector("html[data-live=live]", state="attached", timeout=20_000)
    system.parts["dashboards"].process.kill()
    page.wait_for_selector("html[data-live=offline]", state="attached", timeout=25_000)
    wait("the screens again", lambda: page.evaluate("document.documentElement.dataset.live") == "live", 60, system)
