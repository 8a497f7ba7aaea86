"""The embedded default: ClickHouse's own engine (chDB) behind ClickHouse's HTTP interface, for one machine."""

from __future__ import annotations

import asyncio
import base64
import binascii
import gzip
import hmac
import os
import queue
import re
import sys
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chdb
import lz4.frame
import uvicorn
import zstandard
from fastapi import FastAPI, Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

INSERT = re.compile(rb"^\s*(INSERT\s+INTO\s.*?)\s+FORMAT\s+(\w+)\s*", re.I | re.S)
FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.I)
READS = re.compile(r"^\s*(?:--[^\n]*\n\s*)*(?:SELECT|WITH|SHOW|DESCRIBE|DESC|EXPLAIN|EXISTS)\b", re.I)
INSERT_SETTINGS = ("insert_deduplication_token", "deduplicate_blocks_in_dependent_materialized_views", "insert_deduplicate")
POOL = 4
LARGEST = 256 << 20
TOKENED = 3 << 20
"""Beyond this a client sends several blocks, of which the engine would keep only the first under one token (measured on 26.9)."""


@dataclass(frozen=True, slots=True)
class User:
    """Who may ask; `writes` says whether anything but reading is allowed."""

    password: str
    writes: bool


class Engine:
    """One data folder, a pool of connections to it: a connection serialises its queries, several run side by side."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.pool: queue.Queue[Any] = queue.Queue()
        for _ in range(POOL):
            self.pool.put(chdb.connect(str(path)))

    @contextmanager
    def connection(self) -> Iterator[Any]:
        taken = self.pool.get()
        try:
            yield taken
        finally:
            self.pool.put(taken)

    def insert(self, head: str, data: bytes, fmt: str) -> None:
        """An INSERT whose rows came as the body."""
        with self.connection() as conn, conn.send_insert(head, fmt) as stream:
            stream.append(data)
            stream.finish()

    def query(self, sql: str, fmt: str, params: dict[str, str]) -> bytes:
        """A query's whole answer in one format."""
        with self.connection() as conn:
            result = conn.query(sql, fmt, params=params) if params else conn.query(sql, fmt)
            out = result.bytes() if hasattr(result, "bytes") else (result if isinstance(result, bytes) else str(result).encode())
        if len(out) > LARGEST:
            raise ValueError(f"Code: 396. DB::Exception: the answer has {len(out)} bytes, at most {LARGEST}: add LIMIT. (TOO_MANY_ROWS_OR_BYTES)")
        return out or b""


def unpack(body: bytes, encoding: str | None) -> bytes:
    """A request body as it was before Content-Encoding."""
    match encoding:
        case "gzip":
            return gzip.decompress(body)
        case "deflate":
            return zlib.decompress(body)
        case "lz4":
            return bytes(lz4.frame.decompress(body))
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return body


def user_of(request: Request, query: dict[str, str]) -> tuple[str, str]:
    """(name, password) from the headers or the URL, as ClickHouse reads them."""
    head = request.headers.get("authorization", "")
    if head.lower().startswith("basic "):
        try:
            name, _, password = base64.b64decode(head[6:]).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "?", ""
        return name, password
    name = request.headers.get("x-clickhouse-user") or query.get("user") or "default"
    return name, request.headers.get("x-clickhouse-key") or query.get("password") or ""


def answer(engine: Engine, sql: str, body: bytes, query: dict[str, str], writes: bool, fmt: str) -> tuple[bytes, str]:
    """(what ClickHouse answers, its format)."""
    if not writes and not READS.match(sql or body[:4096].decode("latin1")):
        raise PermissionError("Code: 164. DB::Exception: this user may only read. (READONLY)")
    whole = INSERT.match(sql.encode() + b"\n") if sql else INSERT.match(body)
    if whole:
        data = body if sql else body[whole.end() :]
        if "insert_deduplication_token" in query and len(data) > TOKENED:
            raise ValueError(f"Code: 394. DB::Exception: an insert with a token must be one block, at most {TOKENED} bytes; this one has {len(data)}: send less at a time. (QUERY_WAS_CANCELLED)")
        engine.insert(_with_settings(whole[1].decode(), query), data, whole[2].decode())
        return b"", fmt
    text = sql + ("\n" if sql and body else "") + body.decode()
    if found := FORMAT.search(text):
        fmt = found[1]
    return engine.query(text, fmt, {k[6:]: v for k, v in query.items() if k.startswith("param_")}), fmt


def _with_settings(head: str, query: dict[str, str]) -> str:
    pairs = [f"{k} = '{query[k]}'" for k in INSERT_SETTINGS if k in query and re.fullmatch(r"[\w.:/-]+", query[k])]
    return f"{head} SETTINGS {', '.join(pairs)}" if pairs and " SETTINGS " not in head.upper() else head


def application(engine: Engine, users: dict[str, User]) -> FastAPI:
    """The HTTP interface over one engine."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/ping")
    @app.get("/replicas_status")
    async def ping() -> Response:
        return Response("Ok.\n", media_type="text/plain")

    @app.api_route("/", methods=["GET", "POST"])
    async def handle(request: Request) -> Response:
        query = dict(request.query_params)
        name, password = user_of(request, query)
        user = users.get(name)
        if user is None or not hmac.compare_digest(user.password, password):
            return _refused(f"Code: 516. DB::Exception: {name}: Authentication failed. (AUTHENTICATION_FAILED)", 403)
        if "session_id" in query:
            return _refused("Code: 373. DB::Exception: sessions are not kept here: leave session_id out. (SESSION_IS_LOCKED)", 400)
        body = unpack(await request.body(), request.headers.get("content-encoding"))
        if request.method == "GET" and not query.get("query"):
            return Response("Ok.\n", media_type="text/plain")
        fmt = request.headers.get("x-clickhouse-format") or query.get("default_format") or "TabSeparated"
        writes = user.writes and (request.method == "POST" or READS.match(query.get("query", "")) is not None)
        try:
            out, fmt = await asyncio.to_thread(answer, engine, query.get("query", ""), body, query, writes, fmt)
        except PermissionError as wrong:
            return _refused(str(wrong), 403)
        except Exception as wrong:
            return _refused(str(wrong), 404 if "UNKNOWN_TABLE" in str(wrong) else 500)
        return Response(out, headers={"X-ClickHouse-Format": fmt, "X-ClickHouse-Timezone": "UTC", "X-ClickHouse-Server-Display-Name": "permitwatch",
                                      "X-ClickHouse-Summary": '{"read_rows":"0","written_rows":"0"}'}, media_type="text/plain; charset=UTF-8")  # fmt: skip

    return app


def _refused(said: str, status: int) -> Response:
    code = m[1] if (m := re.search(r"Code: (\d+)", said)) else "1002"
    return Response(said + "\n", status_code=status, headers={"X-ClickHouse-Exception-Code": code}, media_type="text/plain")


def users_from_environment() -> dict[str, User]:
    """`default` writes, `analyst` reads; their passwords from PERMITWATCH_SQL_PASSWORD and PERMITWATCH_ANALYST_PASSWORD (empty on loopback)."""
    return {"default": User(os.environ.get("PERMITWATCH_SQL_PASSWORD", ""), True), "analyst": User(os.environ.get("PERMITWATCH_ANALYST_PASSWORD", ""), False)}


def serve(path: Path, host: str, port: int) -> None:
    """Serves the data folder until stopped."""
    if host not in ("127.0.0.1", "localhost", "::1") and not os.environ.get("PERMITWATCH_SQL_PASSWORD"):
        sys.exit("permitwatch sql: to listen beyond loopback, set PERMITWATCH_SQL_PASSWORD and PERMITWATCH_ANALYST_PASSWORD first")
    uvicorn.run(application(Engine(path), users_from_environment()), host=host, port=port, log_level="warning", timeout_graceful_shutdown=3)
