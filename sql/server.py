"""The embedded default: ClickHouse's own engine (chDB) behind ClickHouse's HTTP interface, for one machine."""

from __future__ import annotations

import asyncio
import base64
import binascii
import gzip
import hmac
import os
import re
import sys
import zlib
from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import lz4.frame
import uvicorn
import zstandard
from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from sql.engine import Engine, marked, streams

T = TypeVar("T")
INSERT = re.compile(rb"^\s*(INSERT\s+INTO\s.*?)\s+FORMAT\s+(\w+)\s*", re.I | re.S)
FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.I)
ABOUT = re.compile(r"^\s*(?:SHOW|DESCRIBE|DESC|EXISTS)\b", re.I)
"""Questions about the schema: an insert asks one first, so they must not wait behind large answers."""
READS = re.compile(r"^\s*(?:--[^\n]*\n\s*)*(?:SELECT|WITH|SHOW|DESCRIBE|DESC|EXPLAIN|EXISTS)\b", re.I)
INSERT_SETTINGS = ("insert_deduplication_token", "deduplicate_blocks_in_dependent_materialized_views", "insert_deduplicate")
HEADERS = {"X-ClickHouse-Timezone": "UTC", "X-ClickHouse-Server-Display-Name": "permitwatch"}
TOKENED = 3 << 20
"""Beyond this a client sends several blocks, of which the engine would keep only the first under one token (measured on 26.9)."""


@dataclass(frozen=True, slots=True)
class User:
    """Who may ask; `writes` says whether anything but reading is allowed."""

    password: str
    writes: bool


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


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, understood: a query in a format, or an INSERT with its rows."""

    sql: str
    fmt: str
    params: dict[str, str]
    rows: bytes | None = None


def understand(sql: str, body: bytes, query: dict[str, str], writes: bool, fmt: str) -> Asked:
    """What a request asks for. Raises PermissionError or ValueError with what ClickHouse would say."""
    reads = READS.match(sql or body[:4096].decode("latin1")) is not None
    if not (writes or reads):
        raise PermissionError("Code: 164. DB::Exception: this user may only read. (READONLY)")
    whole = INSERT.match(sql.encode() + b"\n") if sql else INSERT.match(body)
    if whole:
        data = body if sql else body[whole.end() :]
        if "insert_deduplication_token" in query and len(data) > TOKENED:
            raise ValueError(f"Code: 394. DB::Exception: an insert with a token must be one block, at most {TOKENED} bytes; this one has {len(data)}: send less at a time. (QUERY_WAS_CANCELLED)")
        return Asked(_with_settings(whole[1].decode(), query), whole[2].decode(), {}, data)
    text = sql + ("\n" if sql and body else "") + body.decode()
    if found := FORMAT.search(text):
        fmt, text = found[1], text[: found.start()]
    return Asked(text, fmt, {k[6:]: v for k, v in query.items() if k.startswith("param_")})


async def respond(engine: Engine, asked: Asked, request: Request) -> Response:
    """The answer; a query whose client has gone is ended."""
    if asked.rows is not None:
        await asyncio.to_thread(engine.insert, asked.sql, asked.rows, asked.fmt)
        return _said(b"", asked.fmt, 0)
    mark, sql = marked(asked.sql)
    if streams(asked.sql, asked.fmt):
        pieces = engine.stream(sql, asked.fmt, asked.params)
        first = await _unless_gone(request, engine, mark, asyncio.to_thread(next, pieces, b""))
        return Flow(engine, mark, first, pieces, asked.fmt)
    writes = READS.match(asked.sql) is None or ABOUT.match(asked.sql) is not None
    out, rows = await _unless_gone(request, engine, mark, asyncio.to_thread(engine.query, asked.sql if writes else sql, asked.fmt, asked.params, writes))
    return _said(out, asked.fmt, rows)


class Flow(Response):
    """An answer sent piece by piece as the client takes it; when the client goes away, the query ends."""

    def __init__(self, engine: Engine, mark: str, first: bytes, pieces: Generator[bytes], fmt: str) -> None:
        super().__init__(headers=HEADERS | {"X-ClickHouse-Format": fmt}, media_type="text/plain; charset=UTF-8")
        del self.headers["content-length"]
        self.engine, self.mark, self.piece, self.pieces = engine, mark, first, pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        leaving = asyncio.ensure_future(_left(receive))
        step: asyncio.Future[bytes] | None = None
        try:
            while self.piece:
                await send({"type": "http.response.body", "body": self.piece, "more_body": True})
                step = asyncio.ensure_future(asyncio.to_thread(next, self.pieces, b""))
                await asyncio.wait([step, leaving], return_when=asyncio.FIRST_COMPLETED)
                if leaving.done():
                    return
                self.piece = await step
            await send({"type": "http.response.body", "body": b""})
        finally:
            leaving.cancel()
            if step is not None and not step.done():
                await asyncio.to_thread(self.engine.kill, self.mark)
                await asyncio.wait([step])
            await asyncio.to_thread(self.pieces.close)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _unless_gone(request: Request, engine: Engine, mark: str, work: Coroutine[Any, Any, T]) -> T:
    """Waits for a piece of work, and ends its query if the client goes away meanwhile."""
    task = asyncio.ensure_future(work)
    while not (await asyncio.wait([task], timeout=0.5))[0]:
        if await request.is_disconnected():
            await asyncio.to_thread(engine.kill, mark)
            break
    return await task


def _said(out: bytes, fmt: str, rows: int) -> Response:
    summary = {"X-ClickHouse-Format": fmt, "X-ClickHouse-Summary": f'{{"read_rows":"{rows}","written_rows":"0"}}'}
    return Response(out, headers=HEADERS | summary, media_type="text/plain; charset=UTF-8")


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
            return await respond(engine, understand(query.get("query", ""), body, query, writes, fmt), request)
        except PermissionError as wrong:
            return _refused(str(wrong), 403)
        except Exception as wrong:
            return _refused(str(wrong), 404 if "UNKNOWN_TABLE" in str(wrong) else 500)

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
