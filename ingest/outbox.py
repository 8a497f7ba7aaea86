"""Store and forward: an event is numbered and on disk before it is sent, and leaves the disk a minute after Kafka has it.

    OSError
      Full            the disk takes no more: whoever sent it keeps it
    ValueError
      TooLarge        no later step could carry it
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sqlite3
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import InvalidTopicError, KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from msgspec import DecodeError, Raw

from ingest.pace import EVERY, FEW, Pace
from streams import wall
from streams.broker import security, why_not
from streams.events import Any_, Envelope, Lane, decode_envelope, encode
from streams.intake import LARGEST
from streams.outputs import DeadLetter
from streams.topics import DEAD, OF_KIND, READINGS, SITE, named

log = logging.getLogger("permitwatch")
TELEMETRY = frozenset({"frame", "positions"})
AWAY_BACKLOG = 30.0
OLD_MS = 60_000
TIMES = 3
"""So often a message fails by itself, in a way that nobody expected, before it is set aside."""
FIRST = 5.0
"""Seconds for which Kafka may be away before it is said why: at the start of everything it is, for a moment."""
NEVER = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidTopicError)
"""What the broker answers to a message that it will never take."""
SLICE = 100
"""So many messages go to Kafka at once, of all sources together: what comes meanwhile waits no longer."""
FASTEST = 3_000
"""Messages a second at which a flood is sent: what the steps behind take beside everything else (measured on two cores)."""
PER_MS = 1000
"""Numbers that an outbox may give in a millisecond before one that is opened later could give the same."""
ROOM = 1 << 16
"""Bytes that later steps add to an event."""
MOST_OF_IT = 4 << 20
"""So many bytes of a message that was set aside fit into its dead letter; all of them stay in the outbox."""

SCHEMA = """
create table if not exists outbox (id integer primary key, lane integer, topic text, key text, value blob, source text not null default '', sent integer);
create table if not exists series (source text, topic text, lane text, seq integer, primary key (source, topic, lane));
create table if not exists reached (topic text, part integer, place integer, primary key (topic, part));
create index if not exists waiting on outbox (lane, source, id) where sent is null;
create index if not exists kept on outbox (sent) where sent is not null;
create table if not exists aside (id integer primary key, at integer, source text, topic text, key text, value blob, reason text);
"""

Row = tuple[int, str, str, bytes]
"""(its place in the line, topic, key, value)"""
OLDER = {"source": "alter table outbox add column source text not null default ''", "sent": "alter table outbox add column sent integer"}
"""What makes an outbox of 0.2.0 one of this version: the columns that it has not."""
KEPT = 60_000
"""So long (ms) what Kafka has is kept here too: a power cut may take the end of its log."""


class Full(OSError):
    """The disk takes no more."""


class TooLarge(ValueError):
    """An event that no later step could carry."""


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

    def __init__(self, path: Path, kafka: str, prefix: str = "", most_rows: int = 2_000_000, pace: Pace | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.kafka, self.prefix, self.most_rows, self.pace = path, kafka, prefix, most_rows, pace or Pace()
        self.incoming: queue.Queue[Accepted | None] = queue.Queue()
        self.wake = threading.Event()
        self.stopping = threading.Event()
        self.away_since: float | None = time.monotonic()
        self.told = False
        """Was it said why Kafka is away?"""
        self.written = 0
        self.sent = 0
        self.turn = 0
        self.held = False
        """Was there a flood when it was last asked what is sent next?"""
        self.doubtful = set[int]()
        """Places in the line of messages that were in a batch which Kafka refused."""
        self.hand = list[Row]()
        """What is being sent."""
        self.purged = 0.0
        self.failed = dict[int, tuple[int, int]]()
        """Place in the line → how often sending it failed by itself in a way that nobody expected, and how many had been sent when that began."""
        self.faults = set[str]()
        """What it cannot do now: read, write, send."""
        db = self._open("full")
        columns = {row[1] for row in db.execute("pragma table_info(outbox)")}
        for column in OLDER.keys() - columns if columns else ():
            db.execute(OLDER[column])
        db.executescript("drop index if exists by_lane; drop index if exists by_source;" + SCHEMA)
        self.kept = int(db.execute("select count(*) from outbox where sent is null").fetchone()[0])
        """How many events of an earlier process waited when this one began."""
        self.numbers: dict[tuple[str, str, str], int] = {(s, t, lane): n for s, t, lane, n in db.execute("select source, topic, lane, seq from series")}
        self.reached: dict[tuple[str, int], int] = {(t, part): place for t, part, place in db.execute("select topic, part, place from reached")}
        """(topic, partition) → the place of the last message that Kafka said to have."""
        self.before = dict(self.numbers)
        """The last number of each series before this opening."""
        self.epoch = max([wall.now() * PER_MS, *self.numbers.values()])
        """The number before the first of this opening: the file may be lost, or an old copy of what Kafka has long got more of, and no number may be given twice."""
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
        """Takes an event; the future is done when it is on disk, or raises Full or TooLarge. `raw`: the JSON as its sender wrote it, where that is to be kept; `offset`: by how much (ms) the clock that stamped it is known to be fast."""
        done: Future[None] = Future()
        self.incoming.put(Accepted(site, source, event, wall.now(), lane, done, raw, schema, offset))
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
            items = [item for item in items if item.done.set_running_or_notify_cancel()]  # who has gone away was told nothing, and sends it again
            try:
                self._commit(db, items)
            except Exception as wrong:  # whatever it is, who comes next is taken
                self._fails("write", wrong)
                for item in items:
                    if not item.done.done():
                        item.done.set_exception(Full(f"the outbox cannot write: {wrong}"))

    def _commit(self, db: sqlite3.Connection, items: list[Accepted]) -> None:
        """One transaction for all; a full disk is said to each caller, what is too large to its own, and nothing is numbered in vain."""
        before, rows = dict(self.numbers), list[tuple[Accepted, tuple[int, str, str, bytes]]]()
        for item in items:
            try:
                rows.append((item, self._row(item)))
            except Exception as wrong:  # one event that cannot be written is one sender's concern
                item.done.set_exception(wrong)
        try:
            db.execute("begin immediate")
            db.executemany("insert into outbox (lane, topic, key, value, source) values (?, ?, ?, ?, ?)", [(*row, item.source) for item, row in rows])
            changed = [(*k, n) for k, n in self.numbers.items() if before.get(k) != n]
            db.executemany("insert or replace into series (source, topic, lane, seq) values (?, ?, ?, ?)", changed)
            db.execute("commit")
        except Exception as wrong:
            if db.in_transaction:
                db.execute("rollback")
            self.numbers = before
            self._fails("write", wrong)
            for item, _ in rows:
                item.done.set_exception(Full(f"the outbox cannot write: {wrong}"))
            return
        self._works("write")
        self.written += len(rows)
        self.wake.set()
        for item, _ in rows:
            item.done.set_result(None)

    def _row(self, item: Accepted) -> tuple[int, str, str, bytes]:
        topic, lane = OF_KIND[str(item.event.__struct_config__.tag)], self._lane(item)
        key = (item.source, topic.name, lane.value)
        seq = max(self.numbers.get(key, 0), self.epoch) + 1
        value = encode(Envelope(item.site, item.source, seq, item.seen, Raw(item.raw or encode(item.event)), lane, schema=item.schema, epoch=self.epoch, after=self.before.get(key, 0)))
        most = topic.largest - ROOM if topic is SITE else LARGEST
        if len(value) > most:
            raise TooLarge(f"the event has {len(value):,} bytes, at most {most:,}. Send a reference instead of what it refers to")
        self.numbers[key] = seq
        return int(lane is Lane.BACKLOG), topic.name, item.site, value

    # ---- out ----------------------------------------------------------------------------------------------------

    def _forward(self) -> None:
        """Sends for ever; a disk that cannot be read or written is said once and tried again, and what is in hand whenever something fails that nobody expected steps out of the line."""
        while not self.stopping.is_set():
            self.hand = []
            try:
                self._forward_all()
            except sqlite3.Error as wrong:
                self._fails("read", wrong)
                self.stopping.wait(1)
            except Exception as wrong:
                if "send" not in self.faults:
                    self.faults.add("send")
                    log.exception("what the outbox %s has in hand could not be sent; it is tried again, each message by itself", self.path)
                with contextlib.suppress(Exception):
                    self._blame(wrong)
                self.stopping.wait(0.5)

    def _blame(self, wrong: Exception) -> None:
        """Each of what was in hand is sent by itself from now on; what fails by itself three times, while others go, is set aside. Where nothing goes, it is not the message."""
        self.doubtful.update(row[0] for row in self.hand)
        if len(self.hand) != 1:
            return
        row = self.hand[0]
        times, since = self.failed.get(row[0], (0, self.sent))
        self.failed[row[0]] = times + 1, since
        if times + 1 >= TIMES and self.sent > since:
            with contextlib.closing(self._open("normal")) as db:
                self._set_aside(db, row, f"{type(wrong).__name__}: {wrong}")

    def _forward_all(self) -> None:
        db, producer = self._open("normal"), None
        try:
            while not self.stopping.is_set():
                if producer is None:
                    producer = self._connect()
                    if producer is not None:
                        self._look(db)
                    continue
                rows = self._next(db)
                self._works("read")
                if not rows:
                    self.wake.wait(EVERY if self.held else 0.5)
                    self.wake.clear()
                    continue
                since, self.hand = time.monotonic(), rows
                if not self._send(db, producer, rows):
                    producer.close(timeout=1)
                    producer = None
                self.hand = []
                self._trim(db)
                self._pace(rows, since)
        finally:
            if producer is not None:
                producer.close(timeout=3)
            db.close()

    def _next(self, db: sqlite3.Connection) -> list[Row]:
        """What is sent next: of each source that waits its oldest, so that a long post of one delays no other; in turn with one that is large, or was in a batch that Kafka refused."""
        self.held, self.turn = False, self.turn + 1
        for lane in (0, 1):
            rows, alone = self._oldest(db, lane)
            if alone and (self.turn % 2 or not rows):
                return [alone[self.turn // 2 % len(alone)]]
            if rows:
                return rows
        return []

    def _oldest(self, db: sqlite3.Connection, lane: int) -> tuple[list[Row], list[Row]]:
        """(a share of each source that waits in a lane, of what is a flood only as much as the judge has room for; what goes by itself next)."""
        sources, out, floods, alone = _waiting(db, lane), list[Row](), list[list[Row]](), list[Row]()
        for source in sources:
            rows = db.execute("select id, topic, key, value from outbox where lane = ? and source = ? and sent is null order by id limit ?", (lane, source, max(FEW + 1, SLICE // len(sources)))).fetchall()
            cut = next((n for n, row in enumerate(rows) if len(row[3]) > LARGEST or row[0] in self.doubtful), len(rows))
            if cut == 0:
                alone.append(rows[0])
            elif len(rows) > FEW:
                floods.append(rows[:cut])
            else:
                out += rows[:cut]
        room = self.pace.room(SLICE) if floods else 0
        first = self.turn % len(floods) if floods else 0
        for n, rows in enumerate(floods[first:] + floods[:first]):
            taken = rows[: max(min(1, room), room // (len(floods) - n))]
            out, room = out + taken, room - len(taken)
        self.held = self.held or bool(floods)
        return out, alone

    def _pace(self, rows: list[Row], since: float) -> None:
        """A flood goes on no faster than the steps behind take it: what comes beside it must not wait behind it in Kafka."""
        if len(rows) >= SLICE and (left := len(rows) / FASTEST - (time.monotonic() - since)) > 0:
            self.stopping.wait(left)

    def _connect(self) -> Any:
        try:
            producer = KafkaProducer(
                bootstrap_servers=self.kafka, **security().client(), acks="all", linger_ms=0, compression_type="lz4", bootstrap_timeout_ms=3000,
                delivery_timeout_ms=15_000, request_timeout_ms=5_000, max_block_ms=5_000, max_request_size=16 << 20, reconnect_backoff_max_ms=1000,
            )  # fmt: skip
        except (KafkaError, OSError, ValueError):
            self._is_away()
            if not self.told and time.monotonic() - (self.away_since or 0) > FIRST:
                self.told = True
                log.warning("%s; what comes waits in %s", why_not(self.kafka, security()), self.path)
            self.stopping.wait(0.5)
            return None
        return producer

    def _send(self, db: sqlite3.Connection, producer: Any, rows: list[Row]) -> bool:
        """Sends rows in order; notes those that Kafka acknowledged, and sets aside what it will never take. False if the producer is of no use any more: Kafka is away, or refused something, after which this one only refuses."""
        acked, refused, away = self._offer(producer, rows)
        if acked:
            self._has(db, acked)
            self.doubtful.difference_update(acked)
            for ident in acked:
                self.failed.pop(ident, None)
            self._is_back()
            if not self.doubtful:
                self._works("send")
        if len(rows) > 1:  # a batch is refused whole: each of its messages is offered again, alone
            self.doubtful.update(row[0] for row in refused)
        else:
            for row, why in refused.items():
                self._set_aside(db, row, why)
        return not (away or refused)

    def _has(self, db: sqlite3.Connection, acked: dict[int, tuple[str, int, int]]) -> None:
        """Notes what Kafka has and where. Where its log goes on before the place that it had reached, it has lost what lay between: that goes again."""
        reached, lost = dict(self.reached), set[str]()
        for topic, part, place in acked.values():
            if place <= reached.get((topic, part), -1):
                lost.add(topic)
            reached[topic, part] = place
        db.execute("begin immediate")
        for topic in sorted(lost):
            self._again(db, topic)
        db.executemany("update outbox set sent = ? where id = ?", [(wall.now(), ident) for ident in acked])
        db.executemany("insert or replace into reached (topic, part, place) values (?, ?, ?)", [(topic, part, reached[topic, part]) for topic, part in {a[:2] for a in acked.values()}])
        db.execute("commit")
        self.reached = reached
        self.sent += len(acked)

    def _look(self, db: sqlite3.Connection) -> None:
        """Has Kafka, as it is reached anew, what it said to have?"""
        if not self.reached:
            return
        try:
            consumer = KafkaConsumer(bootstrap_servers=self.kafka, **security().client(), request_timeout_ms=5_000, bootstrap_timeout_ms=3000)
            try:
                ends = consumer.end_offsets([TopicPartition(named(topic, self.prefix), part) for topic, part in self.reached])
            finally:
                consumer.close()
        except (KafkaError, OSError, ValueError, AssertionError):  # it is looked at again with the next message of each topic
            return
        for topic in sorted({topic for (topic, part), place in self.reached.items() if ends.get(TopicPartition(named(topic, self.prefix), part), place + 1) <= place}):
            self.reached = {key: place for key, place in self.reached.items() if key[0] != topic}
            self._again(db, topic)

    def _again(self, db: sqlite3.Connection, topic: str) -> None:
        """What Kafka had of a topic in the last minute is sent once more; readers know a repeat by its number."""
        again = db.execute("update outbox set sent = null where topic = ? and sent is not null", (topic,)).rowcount
        self.kept += again
        log.error("Kafka has lost the end of its log of %s, as a power cut does: %s messages of the minute before are sent again; older ones that it lost stay lost, and DQ-SEQ says which", topic, again)

    def _offer(self, producer: Any, rows: list[Row]) -> tuple[dict[int, tuple[str, int, int]], dict[Row, KafkaError], bool]:
        """(the rows that Kafka has and where: topic, partition, place; those that it will never take; is it away?)"""
        acked, refused, waiting = dict[int, tuple[str, int, int]](), dict[Row, KafkaError](), list[tuple[Row, Any]]()
        try:
            for row in rows:
                try:
                    waiting.append((row, producer.send(named(row[1], self.prefix), key=row[2].encode(), value=row[3])))
                except NEVER as wrong:
                    refused[row] = wrong
            for row, future in waiting:
                try:
                    self.pace.went(row[1], (at := future.get(20)).offset)
                    acked[row[0]] = row[1], at.partition, at.offset
                except NEVER as wrong:
                    refused[row] = wrong
        except (KafkaError, OSError) as wrong:
            self._is_away(wrong)
            return acked, refused, True
        return acked, refused, False

    def _set_aside(self, db: sqlite3.Connection, row: Row, why: KafkaError | str) -> None:
        """A message that can never be sent steps out of the line: its bytes stay in the outbox, a dead letter says so, and what is behind it goes on."""
        (ident, topic, key, value), now = row, wall.now()
        source = _source(value)
        log.error("Kafka will never take an event of %s bytes for %s (%s): it lies in table `aside` of %s, and what waited behind it goes on", len(value), topic, why, self.path)
        db.execute("begin immediate")
        number = db.execute("insert into aside (at, source, topic, key, value, reason) values (?, ?, ?, ?, ?, ?)", (now, source, topic, key, value, str(why))).lastrowid or 0
        if topic != DEAD.name:
            letter = DeadLetter(topic, -1, number, "refused by the broker", f"{len(value):,} bytes: {why}"[:2000], now, value[:MOST_OF_IT], key, source)
            db.execute("insert into outbox (lane, topic, key, value) values (0, ?, ?, ?)", (DEAD.name, key, encode(letter)))
            self.written += 1
        db.execute("delete from outbox where id = ?", (ident,))
        db.execute("commit")
        self.sent += 1
        self.doubtful.discard(ident)
        self.failed.pop(ident, None)

    def _is_away(self, wrong: BaseException | None = None) -> None:
        if self.away_since is None:
            self.away_since = time.monotonic()
            log.warning("Kafka does not take messages (%s); they wait in %s", wrong or "no connection", self.path)

    def _is_back(self) -> None:
        self.told = False
        if self.away_since is not None:
            if self.sent > 1 and time.monotonic() - self.away_since > 3:
                log.warning("Kafka takes messages again after %.0f s", time.monotonic() - self.away_since)
            self.away_since = None

    def _fails(self, doing: str, wrong: Exception) -> None:
        """Says once that the disk does not do what it should."""
        if doing not in self.faults:
            self.faults.add(doing)
            log.error("the outbox cannot %s %s: %s. Free the disk; sources are told to keep their events", doing, self.path, wrong)

    def _works(self, doing: str) -> None:
        if doing in self.faults:
            self.faults.discard(doing)
            log.warning("the outbox can %s %s again", doing, self.path)

    def _trim(self, db: sqlite3.Connection) -> None:
        """What Kafka has had for a minute goes. Beyond the bound the oldest telemetry goes first; permits, badges and actions never."""
        if time.monotonic() - self.purged > 1:
            self.purged = time.monotonic()
            db.execute("delete from outbox where sent < ?", (wall.now() - KEPT,))
        if self.pending > self.most_rows:
            gone = db.execute("delete from outbox where id in (select id from outbox where topic = ? and sent is null order by id limit 10000)", (READINGS.name,)).rowcount
            self.doubtful.clear()
            self.failed.clear()
            self._fails("hold", OSError(f"more than {self.most_rows:,} events wait, the oldest readings are dropped and missing numbers will say so"))
            self.sent += gone
        elif self.pending < self.most_rows // 2:
            self._works("hold")

    @property
    def pending(self) -> int:
        """How many events wait, by count."""
        return self.kept + self.written - self.sent

    def aside(self, source: str) -> list[dict[str, Any]]:
        """What of a source Kafka will never take, the latest first: when it was seen, why, and the beginning of its bytes."""
        db = self._open("normal")
        try:
            rows = db.execute("select id, at, topic, length(value), substr(value, 1, 400), reason from aside where source = ? order by id desc limit 100", (source,)).fetchall()
        finally:
            db.close()
        return [{"at": at, "reason": "refused by the broker", "detail": f"{size:,} bytes: {why}", "topic": topic, "partition": -1, "offset": number, "raw": begins.decode("utf-8", "replace")}
                for number, at, topic, size, begins, why in rows]

    def waiting(self) -> int:
        """How many events are on disk and not yet in Kafka."""
        db = self._open("normal")
        try:
            return int(db.execute("select count(*) from outbox where sent is null").fetchone()[0])
        finally:
            db.close()

    def close(self) -> None:
        """Commits what was accepted and stops; what was not sent waits on disk."""
        self.incoming.put(None)
        self.threads[0].join(10)
        self.stopping.set()
        self.wake.set()
        self.threads[1].join(10)


def _waiting(db: sqlite3.Connection, lane: int) -> list[str]:
    """The sources of which something waits in a lane; each is found by one step into the index."""
    out, last = list[str](), None
    while (row := db.execute("select min(source) from outbox where lane = ? and sent is null and (? is null or source > ?)", (lane, last, last)).fetchone()) and row[0] is not None:
        last = row[0]
        out.append(last)
    return out


def _source(value: bytes) -> str:
    """Whose event it is; nothing where its envelope cannot be read."""
    try:
        return decode_envelope(value).source
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return ""
