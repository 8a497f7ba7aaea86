"""ClickHouse's own engine (chDB) over one data folder: pools of connections, inserts, whole and streamed answers, and an end to a query nobody waits for."""

from __future__ import annotations

import queue
import re
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import chdb

READERS, WRITERS = 4, 2
LARGEST = 256 << 20
STREAMED = frozenset({"tabseparated", "tsv", "tabseparatedraw", "tsvraw", "csv", "jsoneachrow", "ndjson", "jsonlines", "jsoncompacteachrow", "rowbinary", "native", "lineasstring"})
"""Formats whose pieces, one after another, are the whole (seen on 26.9); in all others each piece has a head of its own."""
SELECTS = re.compile(r"^\s*(?:--[^\n]*\n\s*)*(?:SELECT|WITH)\b", re.I)


class Engine:
    """One data folder. A connection serialises its queries, several run side by side; those that write never wait for those that read."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.readers, self.writers = _pool(path, READERS), _pool(path, WRITERS)

    def insert(self, head: str, data: bytes, fmt: str) -> None:
        """An INSERT whose rows came as the body."""
        with _taken(self.writers) as conn, conn.send_insert(head, fmt) as stream:
            stream.append(data)
            stream.finish()

    def query(self, sql: str, fmt: str, params: dict[str, str], writes: bool = False) -> tuple[bytes, int]:
        """(a query's whole answer in one format, how many rows were read)."""
        with _taken(self.writers if writes else self.readers) as conn:
            result = conn.query(sql, fmt, params=params) if params else conn.query(sql, fmt)
            out, rows = result.bytes() or b"", int(result.rows_read())
        if len(out) > LARGEST:
            raise ValueError(f"Code: 396. DB::Exception: the answer has {len(out)} bytes, at most {LARGEST} in this format: add LIMIT, or ask for TSV, JSONEachRow or Native, which are streamed. (TOO_MANY_ROWS_OR_BYTES)")
        return out, rows

    def stream(self, sql: str, fmt: str, params: dict[str, str]) -> Generator[bytes]:
        """A query's answer in pieces as they are made; closing the iterator ends the query."""
        with _taken(self.readers) as conn:
            result = conn.send_query(sql, fmt, params=params)
            try:
                while (piece := result.fetch()) is not None:
                    yield piece.bytes()
            finally:
                result.cancel()

    def kill(self, mark: str) -> None:
        """Ends the query that carries a mark (see `marked`), whatever it is doing."""
        with _taken(self.writers) as conn:
            conn.query(f"KILL QUERY WHERE startsWith(query, '{mark}') ASYNC", "Null")


def marked(sql: str) -> tuple[str, str]:
    """(a mark, the query that carries it)."""
    mark = f"/* {uuid.uuid4().hex} */"
    return mark, f"{mark} {sql}"


def streams(sql: str, fmt: str) -> bool:
    """May the answer be sent piece by piece?"""
    return fmt.lower() in STREAMED and SELECTS.match(sql) is not None


def _pool(path: Path, size: int) -> queue.Queue[Any]:
    pool: queue.Queue[Any] = queue.Queue()
    for _ in range(size):
        pool.put(chdb.connect(str(path)))
    return pool


@contextmanager
def _taken(pool: queue.Queue[Any]) -> Iterator[Any]:
    conn = pool.get()
    try:
        yield conn
    finally:
        pool.put(conn)
