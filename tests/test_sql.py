"""The embedded ClickHouse: what it stores, who may ask what, and that nothing makes it stand still."""

from __future__ import annotations

import gzip
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import msgspec
import pytest

from infra.plant.story import read_story
from infra.plant.tell import tell
from sql.engine import Engine
from sql.reading import Forbidden, allowed, read_only
from sql.server import User, application, server
from sql.store import Store, StoreError, migrations
from streams.events import encode
from streams.outputs import Minute

HOME = Path(__file__).parent.parent
SCENARIOS = HOME / "tests" / "scenarios"
ANALYST = {"user": "analyst", "password": "look"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> str:
    running = server(application(Engine(tmp_path_factory.mktemp("engine")), {"default": User("", True), "analyst": User("look", False)}), "127.0.0.1", 15123)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.05)
    yield "http://127.0.0.1:15123"
    running.should_exit = True
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
            said = _asked(engine, query)
            assert said.status_code == 200, said.text

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


def _asked(engine: str, sql: str, **more: str) -> httpx.Response:
    return httpx.post(engine, params=ANALYST | more, content=sql, timeout=30)


OPEN = [
    "SELECT 1", "SELECT count() FROM small", "SELECT * FROM system.one", "WITH x AS (SELECT 1) SELECT * FROM x", "SELECT a, sum(b) OVER (PARTITION BY a ORDER BY b) FROM small",
    "SELECT sumIf(a, b), countDistinct(a), quantile(0.9)(a), uniqExactIf(a, b), avgOrNullIf(a, b) FROM small", "SHOW TABLES", "SHOW TABLES FROM system LIKE 'co%'", "SHOW DATABASES", "DESC small",
    "SHOW CREATE TABLE small", "EXISTS TABLE small", "EXPLAIN SELECT 1", "SELECT 'INTO OUTFILE' AS `SETTINGS`, 'a''APPLY'", "SELECT 1 FORMAT JSON", "-- a word\nSELECT 1 /* another */", "SELECT 'FORMAT x'",
    "SELECT * FROM (SELECT 1 AS q) AS s JOIN small ON s.q = small.a", "SELECT name FROM system.columns WHERE table = 'small'", "SELECT a IN (SELECT 1), b IN (1, 2) FROM default.small", "SELECT * FROM numbers(3)",
    "SELECT * FROM values('a Int8', 1)", "SELECT [1, 2][1], (1, 2).1, CASE WHEN 1 THEN 2 END, 1::String, INTERVAL 1 DAY + now()", "SELECT 1 UNION ALL SELECT 2", "SELECT table_name FROM information_schema.tables",
    "SELECT version(), currentDatabase(), timezone(), currentUser()", "SELECT * REPLACE (a + 1 AS a) FROM small", "SHOW COLUMNS FROM small", "SELECT NULL, true, 0x1F, arrayMap(x -> x + 1, [1])", "(SELECT 1)", "DESCRIBE (SELECT 1)",
]  # fmt: skip
SHUT = [
    "INSERT INTO small VALUES (1, 1)", "WITH 2 AS x INSERT INTO small SELECT x, x", "SELECT 1; DROP TABLE small", "DROP TABLE small", "TRUNCATE TABLE small", "OPTIMIZE TABLE small", "DELETE FROM small WHERE 1", "ALTER TABLE small DELETE WHERE 1",
    "CREATE TABLE x (a Int8) ENGINE = Memory", "CREATE TEMPORARY TABLE x (a Int8)", "RENAME TABLE small TO large", "DETACH TABLE small", "BACKUP TABLE small TO File('x')", "SYSTEM SHUTDOWN", "KILL QUERY WHERE 1", "SET a = 1", "USE system",
    "SELECT 1 INTO OUTFILE '{out}'", "SELECT 1 INTO /* */ OUTFILE '{out}'", "SELECT 1 INTO OUTFILE '{out}' FORMAT CSV", "SELECT file('{secret}')", "SELECT `file`('{secret}')", "SELECT FILE('{secret}')", "SELECT * APPLY(x -> file('{secret}')) FROM small",
    "SELECT * APPLY file FROM small", "SHOW TABLES WHERE file('{secret}') != ''", "SHOW FUNCTIONS", "SHOW PROCESSLIST", "SHOW GRANTS", "DESCRIBE url('{url}')", "DESCRIBE TABLE url('{url}', 'CSV')", "SELECT * FROM url('{url}', 'CSV', 'a Int8')",
    "SELECT * FROM file('{secret}', 'LineAsString')", "SELECT * FROM python('x')", "SELECT * FROM remote('127.0.0.1', 'default', 'small')", "SELECT * FROM merge('.*')", "SELECT * FROM eval('SELECT 1')", "SELECT * FROM executable('x', 'CSV', 'a Int8')",
    "SELECT * FROM sqlite('{secret}', 't')", "SELECT * FROM system.processes", "SELECT * FROM `system`.`query_log`", "SELECT a IN system.processes FROM small", "SELECT * FROM loop(system.processes)", "DESCRIBE TABLE system.processes", "SHOW CREATE TABLE system.processes",
    "SELECT * FROM small SETTINGS max_threads = 1", "SELECT sleep(3)", "SELECT sleepEachRow(1) FROM small", "SELECT getSetting('max_threads')", "SELECT hostName()", "SELECT dictGet('a', 'b', 1)", "SELECT aiGenerate('x')", "EXPLAIN SELECT file('{secret}')",
    "EXPLAIN AST SELECT file('{secret}')", "EXPLAIN INSERT INTO small SELECT 1, 1", "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT 1))", "SELECT * FROM view(SELECT file('{secret}'))", "SELECT 1 PARALLEL WITH SELECT 2", "SELECT * FROM {{t:Identifier}}", "EXECUTE AS x SELECT 1",
    "GRANT ALL ON *.* TO x", "", "-- nothing", "SELECT arrayMap(x -> file(x), ['{secret}'])", "SELECT a FROM small WHERE file('{secret}') = ''", "SELECT a FROM small ORDER BY file('{secret}')", "SELECT count() FROM small GROUP BY file('{secret}')", "SELECT a FROM small LIMIT length(file('{secret}'))",
    "WITH file('{secret}') AS x SELECT x", "SELECT a FROM small ORDER BY a WITH FILL FROM length(file('{secret}'))", "SELECT a FROM small ORDER BY a WITH FILL INTERPOLATE (b AS length(file('{secret}')))", "SELECT sum(a) OVER (ORDER BY file('{secret}')) FROM small",
    "SELECT * FROM small AS t JOIN small AS u ON file('{secret}') = ''", "SELECT * FROM small ARRAY JOIN [file('{secret}')] AS q", "SELECT * FROM small PREWHERE file('{secret}') = ''", "SELECT * FROM small QUALIFY file('{secret}') = ''", "SELECT a FROM small GROUP BY a HAVING file('{secret}') = ''",
    "SELECT * EXCEPT (a) REPLACE (file('{secret}') AS b) FROM small", "SELECT 1 FROM numbers(length(file('{secret}')))", "SELECT sum(a) OVER w FROM small WINDOW w AS (ORDER BY file('{secret}'))", "SELECT sumIf(a, file('{secret}') = '') FROM small",
]  # fmt: skip


@pytest.mark.engine
class TestReadingOnly:
    @pytest.fixture(scope="class")
    def small(self, engine, tmp_path_factory) -> Iterator[dict[str, str]]:
        """A small table, a file with a secret, a place to write to, and a host that says nothing."""
        store = Store(engine.replace("//", "//default@"))
        store.command("CREATE TABLE IF NOT EXISTS small (a UInt8, b UInt8) ENGINE = MergeTree ORDER BY a")
        store.insert("small", ("a", "b"), [(1, 2), (3, 4)])
        folder = tmp_path_factory.mktemp("secret")
        (folder / "tokens").write_text("PERMITWATCH_TOKEN=hush\n")
        silent = socket.create_server(("127.0.0.1", 0))
        self.met = silent
        yield {"secret": str(folder / "tokens"), "out": str(folder / "out"), "url": f"http://127.0.0.1:{silent.getsockname()[1]}/"}
        silent.settimeout(0.1)
        with pytest.raises(TimeoutError):
            silent.accept()
        silent.close()

    @pytest.mark.parametrize("sql", OPEN)
    def test_what_reads_is_answered(self, engine, small, sql):
        said = _asked(engine, sql)
        assert said.status_code == 200, said.text

    @pytest.mark.parametrize("sql", SHUT)
    def test_what_does_more_is_refused_before_it_runs(self, engine, small, sql):
        said = _asked(engine, sql.format(**small), param_t="system.processes")
        assert said.status_code in (403, 500), said.text
        assert "Code: " in said.text
        assert "hush" not in said.text
        assert not Path(small["out"]).exists()
        assert httpx.post(engine, content="SELECT count() FROM small").text == "2\n"

    @pytest.mark.parametrize("name, value, status", [("readonly", "0", 200), ("max_result_rows", "1", 500), ("max_execution_time", "99999", 200), ("no_such_setting", "1", 404), ("max_threads", "'; DROP TABLE small; --", 400), ("max_block_size", "'; DROP TABLE small; --", 500), ("allow_ddl", "1", 200)])
    def test_settings_of_an_address_are_held_to_what_may_be(self, engine, small, name, value, status):
        assert _asked(engine, "SELECT a FROM small", **{name: value}).status_code == status
        assert _asked(engine, "DROP TABLE small", **{name: value}).status_code in (400, 403, 404, 500)
        assert httpx.post(engine, content="SELECT count() FROM small").text == "2\n"

    def test_another_database_is_not_open(self, engine, small):
        assert _asked(engine, "SELECT * FROM processes", database="system").status_code == 403

    def test_parameters_are_values(self, engine, small):
        assert _asked(engine, "SELECT {p:String}, {n:UInt8}", param_p="a\\tb'", param_n="7").text == "a\\tb\\'\t7\n"

    def test_the_lists_hold_nothing_that_reaches_out(self):
        bad = re.compile(r"^(file|url|s3|sleep|sleepeachrow|hostname|fqdn|getsetting|dictget.*|joinget.*|ai[a-z]*generate|remote|executable|python|input|.*secret.*)$")
        assert [name for name in allowed() if bad.match(name)] == []

    def test_what_cannot_be_parsed_is_refused_not_run(self):
        with pytest.raises(Forbidden):
            read_only("SELEC 1", {}, lambda sql, parameters: "\\N\n")


@pytest.mark.engine
class TestTheDoor:
    @pytest.mark.parametrize("headers, status", [
        ({"host": "localhost:15123"}, 200), ({"host": "127.0.0.1:15123"}, 200), ({"host": "[::1]:15123"}, 200), ({"host": "evil.example"}, 403), ({"host": "127.0.0.1.evil.example"}, 403), ({"host": ""}, 403),
        ({"origin": "http://evil.example"}, 403), ({"origin": "null"}, 403), ({"origin": "http://127.0.0.1:15123"}, 200), ({"sec-fetch-site": "cross-site"}, 403), ({"sec-fetch-site": "same-site"}, 403), ({"sec-fetch-site": "same-origin"}, 200),
    ])  # fmt: skip
    def test_no_page_of_somewhere_else_may_ask(self, engine, headers, status):
        assert httpx.post(engine, content="SELECT 1", headers=headers).status_code == status

    @pytest.mark.parametrize("body, coding, status", [
        (gzip.compress(b"SELECT 1"), "gzip", 200), (b"SELECT 1", "gzip", 400), (b"SELECT 1", "zstd", 400), (b"SELECT 1", "lz4", 400), (b"SELECT 1", "br", 400), (gzip.compress(b" " * (300 << 20), 1), "gzip", 413),
    ], ids=["gzip", "no gzip", "no zstd", "no lz4", "unknown", "a bomb"])  # fmt: skip
    def test_bodies_are_unpacked_within_bounds(self, engine, body, coding, status):
        assert httpx.post(engine, content=body, headers={"content-encoding": coding}, timeout=30).status_code == status

    def test_a_get_never_writes(self, engine):
        assert httpx.get(engine, params={"query": "DROP TABLE IF EXISTS small"}).status_code == 403

    def test_a_fault_in_mid_stream_stands_where_the_rows_end(self, engine):
        said = httpx.post(engine, content="SELECT throwIf(number = 400000) FROM numbers(500000) SETTINGS max_block_size = 1000", params={"default_format": "TSV"}, timeout=30)
        assert "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO" in said.text


@pytest.mark.engine
class TestNothingStandsStill:
    def test_fifty_at_once_a_thousand_in_all(self, engine):
        with httpx.Client(limits=httpx.Limits(max_connections=60), timeout=60, trust_env=False) as client, ThreadPoolExecutor(50) as pool:
            said = list(pool.map(lambda n: client.post(engine, content=f"SELECT {n}, sum(number) FROM numbers(1000)").text, range(1000)))
        assert said == [f"{n}\t499500\n" for n in range(1000)]
        assert httpx.get(f"{engine}/ping").text == "Ok.\n"

    def test_a_connection_outlasts_a_clients_pause(self, engine):
        """httpx keeps its own for 5 s: a server that closes after 5 s loses the question that is sent in that moment."""
        with httpx.Client(limits=httpx.Limits(keepalive_expiry=60), trust_env=False) as client:
            seen: list[str] = []
            client.post(engine, content="SELECT 1")
            time.sleep(6)
            client.post(engine, content="SELECT 1", extensions={"trace": lambda step, _: seen.append(step)})
        assert "http11.send_request_headers.complete" in seen
        assert not [step for step in seen if step.startswith("connection.connect_tcp")]

    def test_no_answer_holds_anothers_rows(self, engine):
        """Clients that go away in the middle, again and again, beside one who stays."""
        stop = threading.Event()

        def leave(n: int) -> None:
            while not stop.is_set():
                try:
                    httpx.post(engine, content=f"SELECT 'LEFT{n}', sipHash64(number), sleepEachRow(0.0005) FROM numbers(20000) FORMAT {('JSON', 'TSV')[n % 2]}", timeout=0.3)
                except httpx.TimeoutException:
                    continue

        leavers = [threading.Thread(target=leave, args=(n,)) for n in range(4)]
        [t.start() for t in leavers]
        try:
            said = [httpx.post(engine, content=f"SELECT 'MINE', {n}", timeout=60).text for n in range(60)]
        finally:
            stop.set()
            [t.join() for t in leavers]
        assert said == [f"MINE\t{n}\n" for n in range(60)]

    def test_a_client_that_takes_nothing_holds_nobody_up(self, engine):
        """Six who ask for much and read nothing; others are answered, and what is written is written."""
        idle = []
        for _ in range(6):
            one = socket.create_connection(("127.0.0.1", 15123))
            body = b"SELECT number, randomString(1000) FROM numbers(10000000) FORMAT TSV"
            one.sendall(b"POST /?user=analyst&password=look HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            idle.append(one)
        time.sleep(1)
        began = time.monotonic()
        store = Store(engine.replace("//", "//default@"))
        store.command("CREATE TABLE IF NOT EXISTS beside (n UInt8) ENGINE = MergeTree ORDER BY n")
        store.insert("beside", ("n",), [(7,)])
        assert store.rows("SELECT n FROM beside WHERE n = 7")
        assert httpx.get(f"{engine}/ping").status_code == 200
        assert time.monotonic() - began < 5
        [one.close() for one in idle]
        deadline = time.monotonic() + 20
        while httpx.post(engine, content="SELECT count() FROM system.processes WHERE query LIKE '%randomString(1000)%' AND query NOT LIKE '%processes%'").text != "0\n":
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert _asked(engine, "SELECT 1").text == "1\n"

    def test_more_than_may_wait_are_told_so(self, engine):
        """Two hundred and sixty slow questions: the last are refused at once, not kept."""
        with httpx.Client(limits=httpx.Limits(max_connections=300), timeout=120, trust_env=False) as client, ThreadPoolExecutor(260) as pool:
            said = list(pool.map(lambda _: client.post(engine, content="SELECT sleep(0.3)").status_code, range(260)))
        assert set(said) == {200, 503}
