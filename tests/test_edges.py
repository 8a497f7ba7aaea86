"""The edges by themselves: the outbox, the embedded engine, the merge of a virtual site."""

from __future__ import annotations

import random
import re
import threading
import time
from pathlib import Path

import httpx
import msgspec
import pytest
import uvicorn

from infra.plant.story import read_story
from infra.plant.tell import tell
from infra.play import messages
from ingest.outbox import Outbox
from sql.engine import Engine
from sql.server import User, application
from sql.store import Store, StoreError, migrations
from streams.events import Entry, Lane, Scan, Tick, decode_envelope, encode
from streams.intake import Intake
from streams.merge import Virtual
from streams.outputs import Minute

HOME = Path(__file__).parent.parent
SCENARIOS = HOME / "tests" / "scenarios"


def test_the_outbox_numbers_without_gaps_over_restarts_and_keeps_what_was_not_sent(tmp_path):
    for start in (0, 5):
        box = Outbox(tmp_path / "outbox.db", "127.0.0.1:1")
        for i in range(start, start + 5):
            box.put("S", "badges", Scan(at=i, u=0, worker=f"W{i}", door="D"))
        assert box.waiting() == start + 5
        box.close()
    db = box._open("normal")
    envelopes = [decode_envelope(v) for (v,) in db.execute("select value from outbox order by id")]
    assert [e.seq for e in envelopes] == list(range(1, 11))
    assert {e.lane for e in envelopes} == {Lane.LIVE}
    db.close()


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> str:
    server = uvicorn.Server(uvicorn.Config(application(Engine(tmp_path_factory.mktemp("engine")), {"default": User("", True), "analyst": User("look", False)}), port=15123, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield "http://127.0.0.1:15123"
    server.should_exit = True
    thread.join(5)


@pytest.mark.engine
class TestEngine:
    def test_migrations_apply_once(self, engine):
        store = Store(engine.replace("//", "//default@"))
        assert len(store.migrate()) == len(migrations()) >= 6
        assert store.migrate() == []

    def test_the_same_insert_again_changes_nothing_even_through_views(self, engine):
        store = Store(engine.replace("//", "//default@"))
        body = msgspec.json.encode({"site": "T", "source": "s", "seq": 1, "seen": 1_795_000_000_000, "event": {"kind": "frame", "at": 1_795_000_000_000, "names": ["a", "b"], "values": [1.5, None]}}).decode()
        for _ in range(3):
            store.insert("messages", ("topic", "partition", "offset", "body"), [("sensor.readings", 0, 1, body)], "sensor.readings:0:1-2")
        assert store.rows("SELECT tag, value FROM readings WHERE site = 'T' ORDER BY tag") == [{"tag": "a", "value": 1.5}, {"tag": "b", "value": None}]
        assert store.rows("SELECT count() AS n FROM frames WHERE site = 'T'") == [{"n": 1}]

    def test_an_insert_of_several_blocks_under_one_token_is_refused(self, engine):
        store = Store(engine.replace("//", "//default@"))
        with pytest.raises(StoreError, match="one block"):
            store.insert("messages", ("topic", "partition", "offset", "body"), [("x", 0, i, "a" * 400) for i in range(20_000)], "x:0:0-20000")

    def test_a_tokened_insert_is_one_block_however_its_rows_differ_in_size(self, engine):
        """The client guesses a block's rows from a sample; one large row among small ones once cost 2,952 messages."""
        store = Store(engine.replace("//", "//default@"))
        rows = [("large.and.small", 0, i, "x" * (60_000 if i == 0 else 90)) for i in range(5000)]
        store.insert("messages", ("topic", "partition", "offset", "body"), rows, "large.and.small:0:0-5000")
        assert store.rows("SELECT uniqExact(offset) AS n FROM messages WHERE topic = 'large.and.small'") == [{"n": 5000}]

    @pytest.mark.seed("000-37")
    @pytest.mark.seed("000-09", part="each permit's watched minutes, late facts included")
    def test_minutes_are_read_as_rows_and_what_was_heard_late_replaces_what_was_told(self, engine):
        """A story's own minutes, the way the archive writes them: risk by area, jobs, the ledger."""
        store = Store(engine.replace("//", "//default@"))
        store.migrate()
        said = [o for o in tell(read_story(SCENARIOS / "S64_24h_backfill.toml")).outputs if isinstance(o, Minute)]
        store.insert("messages", ("topic", "partition", "offset", "body"), [("minutes", 0, i, encode(m).decode()) for i, m in enumerate(said)], "minutes:0:0-1")
        assert store.rows("SELECT count() AS n, countIf(jobs = 0) AS idle FROM minutes FINAL")[0] == {"n": len(said), "idle": sum(not m.jobs.permit for m in said)}
        areas = store.rows("SELECT toUnixTimestamp64Milli(at) AS at, area, risk, uncapped, jobs FROM minute_areas FINAL ORDER BY at, area")
        assert areas == [{"at": m.at, "area": a, "risk": r, "uncapped": u, "jobs": m.jobs.area.count(a)} for m in said for a, (r, u) in m.areas.items()]
        assert areas
        jobs = store.rows("SELECT toUnixTimestamp64Milli(at) AS at, permit, family, shift, risk, barriers, factors FROM minute_jobs FINAL ORDER BY at, permit")
        assert [(j["at"], j["permit"], j["risk"], j["barriers"], j["factors"]) for j in jobs] == [(m.at, p, r, b, f) for m in said for p, r, b, f in zip(m.jobs.permit, m.jobs.risk, m.jobs.barriers, m.jobs.factors, strict=True)]
        last = {(p, at): (w, g) for m in said for p, at, w, g in (*zip(m.jobs.permit, [m.at] * len(m.jobs.work), m.jobs.work, m.jobs.gas, strict=True), *zip(m.again.permit, m.again.at, m.again.work, m.again.gas, strict=True))}
        ledger = store.rows("SELECT permit, toUnixTimestamp64Milli(at) AS at, work, gas, seen FROM watched_minutes")
        assert {(r["permit"], r["at"]): (r["work"], r["gas"]) for r in ledger} == last
        assert any(m.again.at for m in said)
        assert {r["seen"] for r in ledger} == {None}
        assert store.ask("watched_minutes_of_permit", site=said[0].site, permit=ledger[0]["permit"])

    def test_every_query_that_a_document_shows_is_answered(self, engine):
        store = Store(engine.replace("//", "//default@"))
        store.migrate()
        shown = [q for page in (HOME / "README.md", *sorted((HOME / "docs").glob("*.md"))) for q in re.findall(r"```sql\n(.*?)```", page.read_text(encoding="utf-8"), re.S)]
        assert shown
        for query in (q for block in shown for q in re.split(r";\s*(?:\n|$)", block) if q.strip()):
            store.rows(query)

    def test_an_analyst_reads_and_cannot_write(self, engine):
        assert httpx.post(engine, params={"user": "analyst", "password": "look"}, content="SELECT 1").text == "1\n"
        refused = httpx.post(engine, params={"user": "analyst", "password": "look"}, content="DROP TABLE messages")
        assert refused.status_code == 403
        assert refused.headers["X-ClickHouse-Exception-Code"] == "164"

    def test_a_wrong_password_and_a_wrong_query_are_said_clearly(self, engine):
        assert httpx.post(engine, params={"user": "analyst", "password": "guess"}, content="SELECT 1").status_code == 403
        wrong = httpx.post(engine, content="SELECT nonsense")
        assert "UNKNOWN_IDENTIFIER" in wrong.text
        assert wrong.headers["X-ClickHouse-Exception-Code"] == "47"

    @pytest.mark.parametrize("fmt", ["TSV", "JSONEachRow", "TabSeparatedWithNames", "JSON"])
    def test_a_large_answer_is_whole_in_every_format(self, engine, fmt):
        said = httpx.post(engine, params={"default_format": fmt}, content="SELECT number FROM numbers(300000)", timeout=30)
        assert said.status_code == 200
        assert said.headers["X-ClickHouse-Format"] == fmt
        assert said.text.count("299999") == 1
        assert sum(fmt not in ("TSV", "JSONEachRow") and line in ("number", '\t"meta":') for line in said.text.splitlines()) <= 1

    def test_a_large_answer_flows_before_it_is_finished(self, engine):
        began = time.monotonic()
        with httpx.stream("POST", engine, content="SELECT number, sleepEachRow(0.02) FROM numbers(200) SETTINGS max_block_size = 10", timeout=30) as said:
            next(said.iter_bytes())
            assert time.monotonic() - began < 2

    @pytest.mark.parametrize("slow", ["SELECT sum(sipHash64(number)) FROM numbers(1000000000000)", "SELECT number FROM numbers(1000000000000)"])
    def test_a_query_whose_client_went_away_is_ended(self, engine, slow):
        with httpx.Client(timeout=1.5) as client, pytest.raises(httpx.TimeoutException), client.stream("POST", engine, content=slow) as said:
            next(said.iter_bytes())
            raise httpx.ReadTimeout("gone")
        deadline = time.monotonic() + 10
        while httpx.post(engine, content="SELECT count() FROM system.processes WHERE query LIKE '%1000000000000%' AND query NOT LIKE '%processes%'").text != "0\n":
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def test_readers_never_make_writers_wait(self, engine):
        store, gone = Store(engine.replace("//", "//default@")), []
        store.command("CREATE TABLE IF NOT EXISTS beside (n UInt8) ENGINE = MergeTree ORDER BY n")

        def read() -> None:
            try:
                httpx.post(engine, content="SELECT sleepEachRow(0.5) FROM numbers(6) SETTINGS max_block_size = 1", timeout=20)
            finally:
                gone.append(time.monotonic())

        readers = [threading.Thread(target=read) for _ in range(6)]
        [r.start() for r in readers]
        time.sleep(0.3)
        store.insert("beside", ("n",), [(1,)])
        assert not gone
        [r.join() for r in readers]


@pytest.mark.parametrize("seed", range(3))
def test_a_virtual_site_has_one_order_however_its_topics_are_read(seed):
    """Topics are read in bursts of any length; what comes out is the same, each second closed by its tick."""
    story, rng, intake = read_story(SCENARIOS / "S67_year_1970.toml", "v"), random.Random(seed), Intake()
    queues: dict[str, list[Entry]] = {}
    for topic, raw in messages(story, "v"):
        if isinstance(entry := intake.take(raw, topic), Entry):
            queues.setdefault(topic, []).append(entry)

    def read(burst: int) -> list[tuple[str, str, int]]:
        virtual, out, left = Virtual(0), [], {t: list(q) for t, q in queues.items()}
        while any(left.values()):
            topic = rng.choice([t for t, q in left.items() if q])
            for entry in left[topic][:burst]:
                out += [(e.topic, e.source, e.seq) for e in virtual.add(entry)]
            del left[topic][:burst]
        return out

    one = read(1)
    assert one == read(rng.randint(5, 500))
    assert [s for t, src, s in one if src == "player"] == sorted(s for t, src, s in one if src == "player")
    assert len(one) >= sum(not isinstance(e.event, Tick) for q in queues.values() for e in q)
