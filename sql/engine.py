"""ClickHouse's own engine (chDB) over one data folder: a connection for each query, lanes of threads, and an end to a query nobody waits for.

A query has one thread from its beginning to its end, so no thread waits for another; what writes, what the screens ask, what others ask and what ends a query have
lanes of their own. A connection whose query was ended gives its rows to the next query (measured on 26.9), so none is ever used again.

    Busy (Exception)      more wait than may
    Ended (Exception)     the query was ended because nobody waits for it, or for too long
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import chdb

from sql.reading import escaped

LANES: Final = {"writes": 2, "own": 4, "others": 4, "ends": 1}
WAITING: Final = 200
"""So many queries may wait for one lane."""
LARGEST: Final = 256 << 20
STALLED: Final = 60.0
"""So long (s) a client may take no piece of its answer."""
STREAMED: Final = frozenset({"tabseparated", "tsv", "tabseparatedraw", "tsvraw", "csv", "jsoneachrow", "ndjson", "jsonlines", "jsoncompacteachrow", "rowbinary", "native", "lineasstring"})
"""Formats whose pieces, one after another, are the whole (seen on 26.9); in all others each piece has a head of its own."""
Lane = Literal["writes", "own", "others", "ends"]


class Busy(Exception):
    """More queries wait than may."""


class Ended(Exception):
    """The query was ended before its end."""


@dataclass(frozen=True, slots=True)
class Query:
    """One statement as it is to be run: its text, the format of its answer, parameters (escaped), settings, the database, and whether it may only read."""

    sql: str
    format: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    database: str = ""
    read_only: bool = False
    mark: str = field(default_factory=lambda: f"/* {uuid.uuid4().hex} */")

    @property
    def streams(self) -> bool:
        """Are the pieces of its answer, one after another, the whole?"""
        return self.format.lower() in STREAMED


class Engine:
    """One data folder."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = str(path)
        self.anchor = chdb.connect(self.path)
        """Kept open: with the last connection the engine would end."""
        self.lanes = {lane: ThreadPoolExecutor(threads, lane) for lane, threads in LANES.items()}
        self.waiting = dict.fromkeys(LANES, 0)
        self.known = frozenset(self.text("SELECT name FROM system.settings").split())
        """The names of all settings."""

    def text(self, sql: str, parameters: Mapping[str, str] | None = None) -> str:
        """A question of ours: its answer as text, in the thread that asks."""
        with self._connection() as connection:
            return bytes(_run(connection, sql, "TSVRaw", parameters or {}).bytes() or b"").decode()

    @contextlib.contextmanager
    def _connection(self, query: Query | None = None) -> Iterator[Any]:
        """A connection of one query, and of no other."""
        connection = chdb.connect(self.path)
        try:
            if query is not None and query.database not in ("", "default"):
                connection.query(f"USE `{query.database.replace('`', '')}`")
            for name, value in query.settings.items() if query else ():
                connection.query(f"SET {name} = '{escaped(value).replace(chr(39), chr(92) + chr(39))}'")
            if query is not None and query.read_only:
                connection.query("SET readonly = 1")
            yield connection
        finally:
            connection.close()

    async def _on(self, lane: Lane, work: Callable[[], Any]) -> Any:
        """Done by a thread of a lane. Raises Busy where too many wait."""
        if self.waiting[lane] >= WAITING:
            raise Busy(f"{WAITING} queries wait already")
        self.waiting[lane] += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.lanes[lane], work)
        finally:
            self.waiting[lane] -= 1

    async def asked(self, work: Callable[[], Any]) -> Any:
        """Questions of ours, however many, in one thread of our own lane."""
        return await self._on("own", work)

    async def insert(self, query: Query, data: bytes) -> None:
        """An INSERT whose rows came as the body."""

        def work() -> None:
            with self._connection(query) as connection, connection.send_insert(query.sql, query.format) as stream:
                stream.append(data)
                stream.finish()

        await self._on("writes", work)

    async def whole(self, query: Query, lane: Lane) -> tuple[bytes, int]:
        """(a query's whole answer in one format, how many rows were read)."""

        def work() -> tuple[bytes, int]:
            with self._connection(query) as connection:
                text = f"{query.mark} {query.sql}" if lane != "writes" else query.sql
                result = _run(connection, text, query.format, query.parameters)
                return bytes(result.bytes() or b""), int(result.rows_read())

        out, rows = await self._on(lane, work)
        if len(out) > LARGEST:
            raise ValueError(f"Code: 396. DB::Exception: the answer has {len(out)} bytes, at most {LARGEST} in this format: add LIMIT, or ask for TSV, JSONEachRow or Native, which are streamed. (TOO_MANY_ROWS_OR_BYTES)")
        return out, rows

    async def pieces(self, query: Query, lane: Lane) -> AsyncIterator[bytes]:
        """A query's answer in pieces as they are made; leaving the iterator, or taking no piece for a minute, ends the query."""
        line = _Line(asyncio.get_running_loop())

        def work() -> None:
            with self._connection(query) as connection:
                result = connection.send_query(f"{query.mark} {query.sql}", query.format, params=dict(query.parameters))
                try:
                    while (piece := result.fetch()) is not None:
                        if data := piece.bytes():
                            line.put(bytes(data))
                finally:
                    result.cancel()

        task = asyncio.ensure_future(self._on(lane, work))
        task.add_done_callback(lambda done: line.close(None if done.cancelled() else done.exception()))
        try:
            while (data := await line.get()) is not None:
                yield data
        finally:
            line.left.set()
            if not task.done():
                await self.end(query)

    async def end(self, query: Query) -> None:
        """Ends a query, whatever it is doing."""
        await self._on("ends", lambda: self.text(f"KILL QUERY WHERE startsWith(query, '{query.mark}') ASYNC"))

    def close(self, patience: float = 2.0) -> None:
        """Takes no more; what runs is waited for as long as that (s), no longer."""
        for lane in self.lanes.values():
            lane.shutdown(wait=False, cancel_futures=True)
        closing = threading.Thread(target=self.anchor.close, daemon=True)
        closing.start()
        closing.join(patience)


def _run(connection: Any, sql: str, fmt: str, parameters: Mapping[str, str]) -> Any:
    return connection.query(sql, fmt, params=dict(parameters)) if parameters else connection.query(sql, fmt)


class _Line:
    """Pieces on their way from the thread that makes them to who takes them, at most four of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.room, self.left = loop, threading.Semaphore(4), threading.Event()
        self.queue = asyncio.Queue[bytes | BaseException | None]()

    def put(self, piece: bytes) -> None:
        """Waits until there is room. Raises Ended where nobody takes anything any more."""
        since = time.monotonic()
        while not self.room.acquire(timeout=0.2):
            if self.left.is_set() or time.monotonic() - since > STALLED:
                raise Ended(f"nobody took a piece of the answer for {STALLED:.0f} s")
        if self.left.is_set():
            raise Ended("the client has gone")
        self.loop.call_soon_threadsafe(self.queue.put_nowait, piece)

    def close(self, wrong: BaseException | None) -> None:
        """There is no more, or something went wrong."""
        self.queue.put_nowait(wrong)

    async def get(self) -> bytes | None:
        piece = await self.queue.get()
        if isinstance(piece, BaseException):
            raise piece
        self.room.release()
        return piece
