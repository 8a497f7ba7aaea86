"""The whole system on the real Kafka, Faust and ClickHouse: wires, doors, stories, rubbish, replay."""

from __future__ import annotations

import asyncio
import json
import tomllib
import urllib.error
import urllib.request
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from kafka import KafkaProducer

from infra.dead_letters import dead_letters
from infra.plant.reference import SOURCES
from infra.plant.story import read_story
from infra.plant.tell import judge
from infra.play import tell_through
from infra.replay import again, from_clickhouse, from_kafka, recorded
from infra.up import System
from infra.up import told as told_to
from streams.topics import ALERTS, ALL, CODES, COMMANDS, MINUTES, SNAPSHOTS, TIMELINE, VERDICTS
from tests.marks import one_of_each_sentence, seed_marks

pytestmark = [pytest.mark.broker, pytest.mark.engine, pytest.mark.timeout(1800)]
STORIES = sorted((Path(__file__).parent / "scenarios").glob("*.toml"))
SENTENCES = one_of_each_sentence(STORIES)


def _post(system, kind: str, body: object, source: str = "", token: str | None = None) -> tuple[int, dict]:
    """By the system of the plant whose token may send it."""
    source = source or next((s for s, kinds in SOURCES.items() if any(fnmatchcase(kind, named) for named in kinds)), "ptw")
    token = system.environment()[f"PERMITWATCH_TOKEN_{source.upper()}"] if token is None else token
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{system.ports.ingest}/events/{kind}", raw, {"authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as wrong:
        return wrong.code, json.load(wrong)


def _refused(system, source: str) -> list[dict]:
    """What a source is told of what it sent."""
    token = system.environment()[f"PERMITWATCH_TOKEN_{source.upper()}"]
    request = urllib.request.Request(f"http://127.0.0.1:{system.ports.ingest}/refused", headers={"authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)["refused"]


@pytest.mark.seed("000-33", part="gas over its limit asks to suspend")
def test_gas_on_a_real_wire_becomes_one_alert_in_clickhouse(system, store, wait):
    """Modbus panel → outbox → Kafka → Faust → kernel → Kafka → ClickHouse; the box spoils its first job within seconds."""
    sql = "SELECT * FROM alerts WHERE site = 'P1286' AND code = 'X-GAS-LIM'"
    rows = wait("the first gas alarm", lambda: store.rows(sql), 90, system)
    assert rows[0]["priority"] == 1
    assert rows[0]["permit"] == "HW-00001"
    ref = rows[0]["evidence"][0]
    topic, source, lane, seq = ref.split("/")
    raw = wait("its evidence", lambda: store.ask("raw_message", topic=topic, source=source, lane=lane, seq=int(seq)))
    assert json.loads(raw[0]["body"])["event"]["kind"] == "frame"
    wait("the requests", lambda: {r["action"] for r in store.rows("SELECT action FROM commands WHERE site = 'P1286'")} >= {"siren.on", "permit.suspend"})


def test_opcua_and_modbus_both_arrive(system, store, wait):
    wait("DCS tags", lambda: store.rows("SELECT 1 FROM readings WHERE tag LIKE 'TI-%' AND value IS NOT NULL LIMIT 1"), 60, system)
    wait("gas tags", lambda: store.rows("SELECT 1 FROM readings WHERE tag LIKE 'AT-%' AND value IS NOT NULL LIMIT 1"))


async def _tell_all(system: System, kafka: str, stories: list[Path]) -> dict[str, list[str]]:
    """Under the supervisor's eyes, as everywhere: a part that ends on a busy machine is started again. Fails with the last words of all parts."""
    watching = asyncio.create_task(_watch(system))
    try:
        return await _tell_each(kafka, stories)
    except TimeoutError as late:
        words = {name: system.last_words(name) for name in system.parts}
        raise AssertionError("\n".join([f"{late}", *(f"{name}:\n{said}" for name, said in words.items() if said)])) from late
    finally:
        watching.cancel()


async def _watch(system: System) -> None:
    while True:
        await asyncio.to_thread(system.watch)
        await asyncio.sleep(0.5)


async def _tell_each(kafka: str, stories: list[Path]) -> dict[str, list[str]]:
    lanes = asyncio.Semaphore(4)

    async def one(path: Path) -> tuple[str, list[str]]:
        async with lanes:
            story = read_story(path, f"told-{path.stem}")
            telling = await tell_through(story, kafka, patience=300)
            telling.answers = [(d.answer, d.reasons, d.mode) for d in sorted(story.told.decision, key=lambda d: d.at)]  # doors are asked in test_decide
            return path.stem, judge(story, telling)

    return dict(await asyncio.gather(*(one(p) for p in stories)))


@pytest.fixture(scope="module")
def told(system, kafka) -> dict[str, list[str]]:
    return asyncio.run(_tell_all(system, kafka, SENTENCES))


@pytest.fixture(scope="module")
def told_too(system, kafka) -> dict[str, list[str]]:
    return asyncio.run(_tell_all(system, kafka, [p for p in STORIES if p not in SENTENCES]))


def _seeds(path: Path):
    told = tomllib.loads(path.read_text())
    return pytest.param(path.stem, id=path.stem, marks=seed_marks(told))


@pytest.mark.parametrize("name", [_seeds(p) for p in SENTENCES])
def test_kafka_and_faust_tell_the_same_story(told, name):
    """One story of each sentence; `make test-all` tells the others too."""
    assert told[name] == []


@pytest.mark.every
@pytest.mark.parametrize("name", [_seeds(p) for p in STORIES if p not in SENTENCES])
def test_kafka_and_faust_tell_every_other_story(told_too, name):
    assert told_too[name] == []


KEPT = (TIMELINE, ALERTS, VERDICTS, COMMANDS, CODES, MINUTES)
ROWS_OF = "SELECT toInt64(uniqExact((topic, partition, offset))) AS n FROM messages WHERE topic IN {t:Array(String)} AND position(body, {s:String}) > 0"


@pytest.mark.parametrize("reader", ["kafka", "clickhouse"])
def test_replay_says_the_same_byte_for_byte(told, system, kafka, store, wait, reader):
    """Law 1: outputs are a pure function of the timeline, from Kafka and from ClickHouse."""
    site = "told-S26_lel_12_methane"
    read = from_kafka(kafka, "") if reader == "kafka" else from_clickhouse(store.url)
    if reader == "clickhouse":
        kept = sum(site.encode() in b for t in KEPT for b in from_kafka(kafka, "")(t))
        wait("the whole story in ClickHouse", lambda: store.rows(ROWS_OF, {"t": [t.name for t in KEPT], "s": site})[0]["n"] == kept, 120, system)
    mine = (b for b in read(TIMELINE) if site.encode() in b[:60])
    judged, entries, _ = again(mine, (0, 1 << 62))
    then = {k: v for t in (ALERTS, VERDICTS, COMMANDS, CODES, MINUTES) for k, v in recorded(t, (b for b in read(t) if site.encode() in b)).items()}
    assert entries > 1000
    assert len(then) >= 6
    assert judged == then


@pytest.mark.seed("000-20", part="packs are checked, refused and tried on the past")
def test_what_if_another_pack_had_been_in_force(told, kafka, capsys, tmp_path):
    """A stricter pack over a told story: what would come, what would stay, what people would be told."""
    from infra.what_if import compare, report
    from streams.packs import read_pack

    file = tmp_path / "strict.toml"
    file.write_text('name = "strict"\nversion = "1"\nlayer = "plant"\nbase = "GB"\nedition = "x"\nsince = "2026-01-01"\nzh = "严"\nen = "strict"\n[limits]\nlel_vol_high = 0.2\nguardian_warn = 30\n')
    pack = read_pack(file)
    mine = [b for b in from_kafka(kafka, "")(TIMELINE) if b"told-S19_guardian_absent" in b[:60] or b"told-S26_lel" in b[:60]]
    was, would, entries, hours = compare(iter(mine), pack, (0, 1 << 62))
    assert entries == len(mine) and hours > 5
    earlier = {a.code: a.start for a in was.standing().values()}
    later = {a.code: a.start for a in would.standing().values()}
    assert later["X-GAS-LIM"] < earlier["X-GAS-LIM"]
    assert any("X-GAS-LIM" in line for line in report(was, would, pack, hours))


def test_what_if_of_permits_alone_leaves_out_streams_and_what_speaks_of_silence(told, system, capsys, tmp_path):
    """A year in minutes: without streams and clock; what rests on permits comes as ever, and nobody is called silent."""
    from infra.replay import replay

    file = tmp_path / "strict.toml"
    file.write_text('name = "strict"\nversion = "1"\nlayer = "plant"\nbase = "GB"\nedition = "x"\nsince = "2026-01-01"\nzh = "严"\nen = "strict"\n[limits]\ngas_fresh = 15\n')
    assert replay("clickhouse", "", system.sql, None, None, "", None, str(file), permits_only=True) == 1
    out = capsys.readouterr().out.splitlines()
    stays, comes, goes, _ = map(int, next(line.split()[1:] for line in out if line.split()[:1] == ["GAS-STALE"]))
    assert comes > goes and stays + comes > 10
    assert not [line for line in out if line.split()[:1] in (["DQ-SILENT"], ["X-T4"], ["X-UNWATCHED"])]
    assert any("left out" in line and "DQ-SILENT" in line for line in out)


def test_the_hash_chain_holds_and_an_edited_row_is_named(system, store, wait):
    """S72: a row edited in the store breaks the chain at its link."""
    from infra.verify import follow

    links = wait("links", lambda: store.rows("SELECT start, end, digest, previous FROM links FINAL WHERE topic = 'roster.events' ORDER BY partition, start LIMIT 1"), 60, system)
    where = store.rows("SELECT partition FROM links WHERE topic = 'roster.events' ORDER BY partition, start LIMIT 1")[0]["partition"]
    assert list(follow(store, "roster.events", where, links)) == []
    row = store.rows("SELECT offset, body FROM messages FINAL WHERE topic = 'roster.events' AND partition = {p:UInt16} ORDER BY offset LIMIT 1", {"p": where})[0]
    store.insert("messages", ("topic", "partition", "offset", "body"), [("roster.events", where, row["offset"], row["body"] + " ")])
    try:
        broken = list(follow(store, "roster.events", where, links))
        assert [b.detail for b in broken] == ["rows"]
        assert [b.link for b in broken] == [f"roster.events[{where}] {links[0]['start']}–{links[0]['end']}"]
    finally:
        store.insert("messages", ("topic", "partition", "offset", "body"), [("roster.events", where, row["offset"], row["body"])])


class TestDoors:
    """What a hostile or clumsy source may send."""

    def test_a_wrong_token_is_refused(self, system):
        status, said = _post(system, "weather", {"at": 1, "station": "x"}, token="nonsense")
        assert status == 401
        assert "Bearer" in said["error"]

    def test_a_wrong_schema_is_refused_with_its_json_path(self, system):
        status, said = _post(system, "permit.step", {"schema": 2, "at": "2026-11-22T08:00:00+08:00", "permit": "X", "step": "blessed"})
        assert status == 422
        assert "$.step" in said["error"]

    def test_an_older_sender_is_told_what_was_not_read(self, system):
        import time

        status, said = _post(system, "permit.step", {"at": int(time.time() * 1000), "permit": "X-OLD", "step": "blessed", "stamp": "red"})
        assert status == 202
        assert said == {"accepted": 1, "unknown_fields": ["stamp"], "unread_fields": ["step"]}

    def test_a_time_without_offset_is_refused(self, system):
        status, said = _post(system, "permit.step", {"at": "2026-11-22T08:00:00", "permit": "X", "step": "issued"})
        assert status == 422
        assert "offset" in said["error"]

    def test_not_json_is_refused(self, system):
        assert _post(system, "weather", b"\xff{")[0] == 422

    def test_an_unknown_kind_is_refused_with_what_is_known(self, system):
        status, said = _post(system, "nonsense", {})
        assert status == 404
        assert "permit.step" in said["error"]

    def test_a_burst_is_taken_and_stored_once_each(self, system, store, wait):
        import time

        rows = [{"at": int(time.time() * 1000), "worker": f"burst-{i}", "door": "GATE-101"} for i in range(500)]
        assert _post(system, "scan", rows, "badges") == (202, {"accepted": 500})
        wait("500 scans", lambda: store.rows("SELECT count() AS n, uniqExact(seq) AS u FROM facts FINAL WHERE worker LIKE 'burst-%'")[0] == {"n": 500, "u": 500}, 120)

    @pytest.mark.seed("001-09", part="the answer and its reasons")
    @pytest.mark.seed("000-08", part="a certificate that has run out, at the door")
    @pytest.mark.seed("003-20", part="the rule and the door's answer")
    def test_decide_answers_and_the_answer_is_logged(self, system, store, wait):
        token = system.environment()["PERMITWATCH_TOKEN_BADGES"]
        url = f"http://127.0.0.1:{system.ports.ingest}/decide?worker=nobody&door=D-101-P01"

        def asked() -> dict | None:
            with urllib.request.urlopen(urllib.request.Request(url, headers={"authorization": f"Bearer {token}"}), timeout=5) as answer:
                said = json.load(answer)
            return said if said["mode"] == "full" else None

        said = wait("the judge, who has only just been started", asked, 60, system)
        assert (said["answer"], said["reasons"]) == ("deny", ["X-BADGE-NOPERMIT"])
        wait("the logged answer", lambda: store.rows("SELECT 1 FROM facts WHERE kind = 'decided' AND worker = 'nobody'"))


RUBBISH = {
    "bytes": b"\xff\xfe\x00",
    "not an envelope": b'{"hello": 1}',
    "unknown kind": b'{"site":"R","source":"r","seq":1,"seen":1795000000000,"event":{"kind":"prayer","at":1795000000000}}',
    "a missing field": b'{"site":"R","source":"r","seq":2,"seen":1795000000000,"event":{"kind":"permit.step","at":1795000000000}}',
    "1970": b'{"site":"R","source":"r","seq":3,"seen":1795000000000,"event":{"kind":"permit.step","at":0,"permit":"p","step":"issued"}}',
    "a megabyte of text": b'{"site":"R","source":"r","seq":4,"seen":1795000000000,"event":{"kind":"permit.step","at":1795000000000,"permit":"p","step":"issued","note":"' + b"x" * 900_000 + b'"}}',
}  # fmt: skip


@pytest.mark.seed("002-03")
@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_becomes_a_dead_letter_with_its_bytes(system, kafka, store, wait, name):
    import base64

    producer = KafkaProducer(bootstrap_servers=kafka)
    at = producer.send("permit.events", key=b"R", value=RUBBISH[name]).get(10)
    producer.close()
    sql = "SELECT body FROM messages WHERE topic = 'dead.letters' AND JSONExtractInt(body, 'offset') = {o:Int64} AND JSONExtractInt(body, 'partition') = {p:Int64} AND JSONExtractString(body, 'topic') = 'permit.events'"
    rows = wait("the dead letter", lambda: store.rows(sql, {"o": at.offset, "p": at.partition}))
    letter = json.loads(rows[0]["body"])
    assert base64.b64decode(letter["raw"]) == RUBBISH[name]
    assert letter["reason"]
    assert letter["detail"]


POISON = {
    "seven bytes": b"\xff\x00\x01\x02\x03\x04\x05",
    "nothing": None,
    "nested": b"[" * 200_000,
    "nested in an envelope": b'{"site":"P1286","source":"r","seq":1,"seen":1795000000000,"event":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "a number beyond any": b'{"site":"P1286","source":"r","seq":18446744073709551616,"seen":1795000000000,"event":{"kind":"permit.step","at":1795000000000,"permit":"p","step":"issued"}}',
    "a plant of no zone": b'{"site":"P1286","source":"r","seq":7,"seen":1795000000000,"event":{"kind":"plant","at":1795000000000,"u":0,"plant":{"site":"P1286","name":"x","timezone":"Nowhere/Land"}}}',
    "half a letter": "动火".encode()[:4],
}


def test_no_message_stops_a_step(system, kafka, store, wait):
    """Every topic is told what nobody can read; every step goes on, none of them anew, and says what it could not read."""
    import time

    pids = {name: part.process.pid for name, part in system.parts.items()}
    producer = KafkaProducer(bootstrap_servers=kafka)
    for topic in (t for t in ALL if t is not SNAPSHOTS):
        for raw in POISON.values():
            producer.send(topic.name, key=b"P1286", value=raw)
    producer.flush(20)
    producer.close()
    since = int(time.time() * 1000)
    assert _post(system, "permit.requested", {"at": since, "permit": "AFTER-POISON", "type": "02", "point": "nowhere", "valid_from": since, "valid_to": since + 3_600_000})[0] == 202
    wait("the verdict", lambda: store.rows("SELECT 1 FROM verdicts WHERE permit = 'AFTER-POISON'"), 60, system)
    wait("its alert", lambda: store.rows("SELECT 1 FROM alerts WHERE permit = 'AFTER-POISON'"), 60, system)
    wait("its delivery", lambda: store.rows("SELECT 1 FROM messages WHERE topic = 'deliveries' AND body LIKE '%AFTER-POISON%'"), 60, system)
    wait("what notify could not read", lambda: store.rows("SELECT 1 FROM messages WHERE topic = 'dead.letters' AND JSONExtractString(body, 'topic') = 'alerts'"), 60, system)
    wait("what correlate could not read", lambda: store.rows("SELECT 1 FROM messages WHERE topic = 'dead.letters' AND JSONExtractString(body, 'topic') = 'site.timeline'"), 60, system)
    assert {name: part.process.pid for name, part in system.parts.items()} == pids
    assert dead_letters(kafka, "", None, None) == 0
    with urllib.request.urlopen(f"http://127.0.0.1:{system.ports.dashboards}/wall", timeout=10) as page:
        assert page.status == 200


def test_a_row_that_kafka_will_never_take_steps_out_of_the_outbox(system, store, wait):
    """Case 07: an older version let a photo into the outbox; it lies first in the line."""
    import base64
    import os
    import sqlite3
    import time

    value = json.dumps({"site": "P1286", "source": "ptw", "seq": 700_001, "seen": int(time.time() * 1000), "event": {"kind": "permit.step", "note": base64.b64encode(os.urandom(2_600_000)).decode()}}).encode()
    with sqlite3.connect(system.data / "outbox.db", timeout=20) as db:
        db.execute("insert into outbox (id, lane, topic, key, value) values (-1, 0, 'permit.events', 'P1286', ?)", (value,))
    db.close()
    assert _post(system, "permit.step", {"at": int(time.time() * 1000), "permit": "BEHIND-A-PHOTO", "step": "jsa"})[0] == 202
    wait("what stood behind it", lambda: store.rows("SELECT 1 FROM facts WHERE permit = 'BEHIND-A-PHOTO'"), 120, system)
    rows = wait("its dead letter", lambda: store.rows("SELECT body FROM messages WHERE topic = 'dead.letters' AND JSONExtractString(body, 'reason') = 'refused by the broker'"), 30, system)
    assert base64.b64decode(json.loads(rows[0]["body"])["raw"]) == value
    assert any("700001" in r["raw"] for r in _refused(system, "ptw"))


def test_hostile_texts_are_kept_as_they_are(system, store, wait):
    import time

    evil = "<img src=x onerror=alert(1)>'; DROP TABLE messages; --"
    assert _post(system, "permit.step", {"at": int(time.time() * 1000), "permit": evil, "step": "jsa"})[0] == 202
    wait("the fact", lambda: store.rows("SELECT 1 FROM facts WHERE permit = {p:String}", {"p": evil}))


def test_no_process_is_told_a_secret_that_it_does_not_need(system):
    import psutil

    file = system.data / "tokens"
    assert file.stat().st_mode & 0o077 == 0
    secrets = {line.split("=", 1)[1] for line in file.read_text().split()}
    assert len(secrets) > 5
    for name, part in system.parts.items():
        given = told_to(name, system.environment())
        known = {secret for secret in secrets if any(secret in value for value in given.values())}
        assert bool(known) == (name in ("ingest", "plant", "dashboards", "sql", "archive", "normalise", "correlate")), name
        environ = psutil.Process(part.process.pid).environ()  # Faust writes its title over its own
        assert {secret for secret in secrets if any(secret in value for value in environ.values())} <= known, name
    inside = system.environment()["PERMITWATCH_INSIDE_TOKEN"]
    assert [{secret for secret in secrets if secret in told_to(name, system.environment()).values()} for name in ("normalise", "correlate")] == [{inside}] * 2
    assert "PERMITWATCH_SQL_PASSWORD" not in psutil.Process(system.parts["ingest"].process.pid).environ()


def test_an_analyst_reads_by_the_password_of_the_first_start(system):
    known = system.environment()
    for password, status in ((known["PERMITWATCH_ANALYST_PASSWORD"], 200), ("", 403), (known["PERMITWATCH_SQL_PASSWORD"], 403)):
        request = urllib.request.Request(f"http://127.0.0.1:{system.ports.sql}/?user=analyst&password={password}", b"SELECT count() FROM alerts")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == status
        except urllib.error.HTTPError as wrong:
            assert wrong.code == status


def test_check_finds_all_well(system, wait, capsys):
    from infra.check import check

    wait("all well", lambda: check(system.data, system.ports.offset, None) == 0, 60, system)
    assert "✗" not in capsys.readouterr().out.rpartition("python")[2]


def test_a_source_is_told_what_became_of_what_it_sent(system, kafka, wait):
    """GET /refused: what was taken by Kafka and refused by normalise afterwards, with its reason, for its own source only."""
    producer = KafkaProducer(bootstrap_servers=kafka)
    wrong = b'{"site":"P1286","source":"ptw","seq":900001,"seen":1795000000000,"event":{"kind":"permit.step","at":1795000000000,"step":"issued"}}'
    producer.send("permit.events", key=b"P1286", value=wrong).get(10)
    producer.close()

    def mine(source: str) -> list[dict]:
        return [r for r in _refused(system, source) if "900001" in r["raw"]]

    found = wait("the refusal", lambda: mine("ptw"), 30, system)
    assert "permit" in found[0]["detail"] and found[0]["reason"] == "wrong event"
    assert mine("badges") == []


def test_a_date_with_slashes_ends_nothing(system, store, wait):
    """Case 23, end to end: the calibration of a tester in slashes, then an analysis with it; the site is judged on."""
    import time

    now = int(time.time() * 1000)
    assert _post(system, "device", {"at": now, "device": "GM-23", "calibrated_to": "2026/12/31"})[1]["unread_fields"] == ["calibrated_to"]
    assert _post(system, "permit.requested", {"at": now, "permit": "CASE-23", "type": "02", "point": "nowhere", "valid_from": now, "valid_to": now + 3_600_000})[0] == 202
    assert _post(system, "permit.gas_test", {"at": now, "permit": "CASE-23", "device": "GM-23", "results": [{"gas": "CH4", "value": 0.05, "unit": "VOL"}]})[0] == 202
    rows = wait("the verdict", lambda: store.rows("SELECT life, outcome FROM verdicts WHERE permit = 'CASE-23'"), 60, system)
    assert rows[0]["outcome"] == "pending"
    wait("its alert", lambda: store.rows("SELECT 1 FROM alerts WHERE code = 'DQ-WORD' AND en LIKE '%calibrated_to%'"), 60, system)


@pytest.mark.seed("003-20", part="the rule and the door's answer")
@pytest.mark.parametrize("query, status, answer", [
    ("for=start&permit=NO-SUCH", 200, "pending"), ("for=leave&worker=W&door=D", 200, "allow"), ("for=party&worker=W&door=D", 400, None), ("for=issue", 400, None), ("for=entry&worker=W&door=D&at=x", 400, None),
])  # fmt: skip
def test_every_gate_answers_or_says_what_to_write(system, query, status, answer):
    token = system.environment()["PERMITWATCH_TOKEN_BADGES"]
    request = urllib.request.Request(f"http://127.0.0.1:{system.ports.ingest}/decide?{query}", headers={"authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as said:
            assert (said.status, json.load(said)["answer"]) == (status, answer)
    except urllib.error.HTTPError as wrong:
        assert wrong.code == status and "error" in json.load(wrong)


def test_what_lives_hang_on_is_on_the_brokers_disk_before_it_is_acknowledged(system):
    """Of a topic that an older version made, too."""
    from kafka.admin import AlterConfigOp, ConfigResource, KafkaAdminClient

    from infra.kafka.topics import create_topics

    admin, address = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{system.ports.kafka}"), f"127.0.0.1:{system.ports.kafka}"
    names = ("permit.events", "badge.events", "alert.actions", "site.events", "roster.events", "sensor.readings", "site.timeline")

    def flushed() -> list[tuple[str, str]]:
        said = admin.describe_configs([ConfigResource("TOPIC", name) for name in names])["topic"]
        return [next(((key, said[name][key]["value"]) for key in ("flush.messages", "flush.ms") if key in said[name]), ("", "")) for name in names]

    whole = [("flush.messages", "1")] * 5 + [("flush.ms", "1000")] * 2
    assert flushed() == whole
    admin.alter_configs([ConfigResource("TOPIC", "permit.events", {"flush.messages": (AlterConfigOp.DELETE, None)})])
    assert flushed() != whole
    assert create_topics(address) == []
    assert flushed() == whole
    admin.close()
