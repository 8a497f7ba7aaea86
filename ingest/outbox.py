"""Store and forward: an event is numbered and on disk before it is sent, and leaves the disk when Kafka has it."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from msgspec import Raw

from streams.events import Any_, Envelope, Lane, encode
from streams.topics import OF_KIND, READINGS, named

log = logging.getLogger("permitwatch")
TELEMETRY = frozenset({"frame", "positions"})
AWAY_BACKLOG = 30.0
OLD_MS = 60_000

SCHEMA = """
create table if not exists outbox (id integer primary key, lane integer, topic text, key text, value blob);
create table if not exists series (source text, topic text, lane text, seq integer, primary key (source, topic, lane));
create index if not exists by_lane on outbox (lane, id);
"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """One event on its way to disk."""

    site: str
    source: str
    event: Any_
    seen: int
    lane: Lane | None
    done: Future[None]
    raw: bytes = b""
    schema: int = 1
    offset: int = 0


class Outbox:
    """One writer thread that numbers and commits, one forwarder thread that sends. `put` returns when the disk has it."""

    def __init__(self, path: Path, kafka: str, prefix: str = "", most_rows: int = 2_000_000) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.kafka, self.prefix, self.most_rows = path, kafka, prefix, most_rows
        self.incoming: queue.Queue[Accepted | None] = queue.Queue()
        self.wake = threading.Event()
        self.stopping = threading.Event()
        self.away_since: float | None = time.monotonic()
        self.written = 0
        self.sent = 0
        db = self._open("full")
        db.executescript(SCHEMA)
        self.numbers: dict[tuple[str, str, str], int] = {(s, t, lane): n for s, t, lane, n in db.execute("select source, topic, lane, seq from series")}
        db.close()
        self.threads = [threading.Thread(target=t, daemon=True, name=t.__name__) for t in (self._write, self._forward)]
        for thread in self.threads:
            thread.start()

    def _open(self, synchronous: str) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, isolation_level=None, timeout=30, check_same_thread=False)
        db.execute("pragma journal_mode=wal")
        db.execute(f"pragma synchronous={synchronous}")
        return db

    # ---- in -----------------------------------------------------------------------------------------------------

    def accept(self, site: str, source: str, event: Any_, lane: Lane | None = None, raw: bytes = b"", schema: int = 1, offset: int = 0) -> Future[None]:
        """Takes an event; the future is done when it is on disk. `raw`: the JSON as its sender wrote it, where that is to be kept; `offset`: by how much (ms) the clock that stamped it is known to be fast."""
        done: Future[None] = Future()
        self.incoming.put(Accepted(site, source, event, int(time.time() * 1000), lane, done, raw, schema, offset))
        return done

    def put(self, site: str, source: str, event: Any_, lane: Lane | None = None) -> None:
        """Takes an event and waits for the disk."""
        self.accept(site, source, event, lane).result(30)

    def _lane(self, item: Accepted) -> Lane:
        """Telemetry that is old, or that comes while Kafka has long been away, goes where it delays nothing live."""
        if item.lane is not None:
            return item.lane
        if str(item.event.__struct_config__.tag) not in TELEMETRY:
            return Lane.LIVE
        away = self.away_since is not None and time.monotonic() - self.away_since > AWAY_BACKLOG
        return Lane.BACKLOG if away or item.seen - item.event.at + item.offset > OLD_MS else Lane.LIVE

    def _write(self) -> None:
        db = self._open("full")
        while True:
            first = self.incoming.get()
            if first is None:
                return
            items = [first]
            while len(items) < 2000:
                try:
                    more = self.incoming.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    self.incoming.put(None)
                    break
                items.append(more)
            self._commit(db, items)

    def _commit(self, db: sqlite3.Connection, items: list[Accepted]) -> None:
        """One transaction for all; a full disk is said to each caller and nothing is numbered in vain."""
        before = dict(self.numbers)
        try:
            db.execute("begin immediate")
            db.executemany("insert into outbox (lane, topic, key, value) values (?, ?, ?, ?)", [self._row(i) for i in items])
            changed = [(*k, n) for k, n in self.numbers.items() if before.get(k) != n]
            db.executemany("insert or replace into series (source, topic, lane, seq) values (?, ?, ?, ?)", changed)
            db.execute("commit")
        except sqlite3.Error as wrong:
            if db.in_transaction:
                db.execute("rollback")
            self.numbers = before
            log.error("the outbox cannot write %s: %s. Free the disk; sources are told to keep their events", self.path, wrong)
            for item in items:
                item.done.set_exception(OSError(f"the outbox cannot write: {wrong}"))
            return
        self.written += len(items)
        self.wake.set()
        for item in items:
            item.done.set_result(None)

    def _row(self, item: Accepted) -> tuple[int, str, str, bytes]:
        topic, lane = OF_KIND[str(item.event.__struct_config__.tag)].name, self._lane(item)
        key = (item.source, topic, lane.value)
        seq = self.numbers[key] = self.numbers.get(key, 0) + 1
        value = encode(Envelope(item.site, item.source, seq, item.seen, Raw(item.raw or encode(item.event)), lane, schema=item.schema))
        return int(lane is Lane.BACKLOG), topic, item.site, value

    # ---- out ----------------------------------------------------------------------------------------------------

    def _forward(self) -> None:
        db, producer = self._open("normal"), None
        while not self.stopping.is_set():
            if producer is None:
                producer = self._connect()
                continue
            rows = db.execute("select id, topic, key, value from outbox order by lane, id limit 500").fetchall()
            if not rows:
                self.wake.wait(0.5)
                self.wake.clear()
                continue
            if not self._send(db, producer, rows):
                producer.close(timeout=1)
                producer = None
            self._trim(db)
        if producer is not None:
            producer.close(timeout=3)

    def _connect(self) -> Any:
        try:
            producer = KafkaProducer(
                bootstrap_servers=self.kafka, acks="all", linger_ms=0, compression_type="lz4", bootstrap_timeout_ms=3000,
                delivery_timeout_ms=15_000, request_timeout_ms=5_000, max_block_ms=5_000, max_request_size=16 << 20, reconnect_backoff_max_ms=1000,
            )  # fmt: skip
        except (KafkaError, OSError, ValueError):
            self._is_away()
            self.stopping.wait(0.5)
            return None
        return producer

    def _send(self, db: sqlite3.Connection, producer: Any, rows: list[tuple[int, str, str, bytes]]) -> bool:
        """Sends rows in order; deletes those that Kafka acknowledged. False if it refused one."""
        acked: list[int] = []
        try:
            waiting = [(row[0], producer.send(named(row[1], self.prefix), key=row[2].encode(), value=row[3])) for row in rows]
            for ident, future in waiting:
                future.get(20)
                acked.append(ident)
        except (KafkaError, OSError) as wrong:
            self._is_away(wrong)
        if acked:
            db.executemany("delete from outbox where id = ?", [(i,) for i in acked])
            self.sent += len(acked)
            self._is_back()
        return len(acked) == len(rows)

    def _is_away(self, wrong: BaseException | None = None) -> None:
        if self.away_since is None:
            self.away_since = time.monotonic()
            log.warning("Kafka does not take messages (%s); they wait in %s", wrong or "no connection", self.path)

    def _is_back(self) -> None:
        if self.away_since is not None:
            if self.sent > 1 and time.monotonic() - self.away_since > 3:
                log.warning("Kafka takes messages again after %.0f s", time.monotonic() - self.away_since)
            self.away_since = None

    def _trim(self, db: sqlite3.Connection) -> None:
        """Beyond the bound the oldest telemetry goes first; permits, badges and actions never."""
        if self.written - self.sent > self.most_rows:
            db.execute("delete from outbox where id in (select id from outbox where topic = ? order by id limit 10000)", (READINGS.name,))

    def waiting(self) -> int:
        """How many events are on disk and not yet in Kafka."""
        db = self._open("normal")
        try:
            return int(db.execute("select count(*) from outbox").fetchone()[0])
        finally:
            db.close()

    def close(self) -> None:
        """Commits what was accepted and stops; what was not sent waits on disk."""
        self.incoming.put(None)
        self.threads[0].join(10)
        self.stopping.set()
        self.wake.set()
        self.threads[1].join(10)
