"""The embedded default: ClickHouse's own engine (chDB) behind ClickHouse's HTTP interface, for one machine."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import ipaddress
import os
import re
import socket
import sys
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import lz4.frame
import uvicorn
import zstandard
from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from sql.engine import Busy, Engine, Lane, Query
from sql.reading import Forbidden, read_only

INSERT: Final = re.compile(rb"^\s*(INSERT\s+INTO\s.*?)\s+FORMAT\s+(\w+)\s*", re.I | re.S)
FORMAT: Final = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.I)
SELECTS: Final = re.compile(r"^\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*\(?\s*(?:SELECT|WITH|FROM)\b", re.I | re.S)
READS: Final = re.compile(r"^\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:SELECT|WITH|FROM|SHOW|DESCRIBE|DESC|EXPLAIN|EXISTS)\b", re.I | re.S)
ABOUT: Final = re.compile(r"^\s*(?:SHOW|DESCRIBE|DESC|EXISTS)\b", re.I)
"""Questions about the schema: an insert asks one first, so they must not wait behind large answers."""
INSERT_SETTINGS: Final = ("insert_deduplication_token", "deduplicate_blocks_in_dependent_materialized_views", "insert_deduplicate")
HEADERS: Final = {"X-ClickHouse-Timezone": "UTC", "X-ClickHouse-Server-Display-Name": "permitwatch"}
TOKENED: Final = 3 << 20
"""Beyond this a client sends several blocks, of which the engine would keep only the first under one token (measured on 26.9)."""
LARGEST: Final = 256 << 20
"""Bytes of a body, before and after it is unpacked."""
OURS: Final = frozenset(["query", "database", "user", "password", "quota_key", "default_format", "session_id", "session_timeout", "session_check", "query_id", "role", "stacktrace"])
"""What of an address is not a setting."""
UNSET: Final = frozenset(["readonly", "allow_ddl", "wait_end_of_query", "buffer_size", "compress", "decompress", "enable_http_compression", "send_progress_in_http_headers", "http_headers_progress_interval_ms", "cancel_http_readonly_queries_on_client_close"])
"""Settings that mean nothing here, or that nobody may send."""
KEPT: Final = 75
"""So long (s) a connection without a question is kept: longer than clients keep theirs, for a question sent in the moment of closing would be lost."""
MOST: Final = {"max_execution_time": 120, "max_memory_usage": 1 << 30, "max_threads": 2}
"""What a query of somebody else may take at most."""


@dataclass(frozen=True, slots=True)
class User:
    """Who may ask; `writes` says whether anything but reading is allowed."""

    password: str
    writes: bool


class Refused(Exception):
    """What is answered instead: words as ClickHouse has them, and a status."""

    def __init__(self, said: str, status: int) -> None:
        super().__init__(said)
        self.status = status


def unpack(body: bytes, encoding: str | None) -> bytes:
    """A request body as it was before Content-Encoding, within bounds. Raises Refused."""
    try:
        match (encoding or "").lower():
            case "gzip" | "deflate":
                reader = zlib.decompressobj(47)
                out = reader.decompress(body, LARGEST + 1)
            case "lz4":
                frame = lz4.frame.LZ4FrameDecompressor()
                out = bytes(frame.decompress(body, LARGEST + 1))
            case "zstd":
                with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(body) as stream:
                    out = stream.read(LARGEST + 1)
            case "" | "identity":
                out = body
            case other:
                raise Refused(f"Code: 481. DB::Exception: Unknown content encoding {other[:20]}: gzip, deflate, lz4 and zstd are read. (UNKNOWN_COMPRESSION_METHOD)", 400)
    except (zlib.error, RuntimeError, zstandard.ZstdError, EOFError) as wrong:
        raise Refused(f"Code: 271. DB::Exception: the body cannot be unpacked: {wrong}. (CANNOT_DECOMPRESS)", 400) from None
    if len(out) > LARGEST:
        raise Refused(f"Code: 396. DB::Exception: the body has more than {LARGEST} bytes when it is unpacked: send less at a time. (TOO_MANY_ROWS_OR_BYTES)", 413)
    return out


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
    """One request, understood: a query, or an INSERT with its rows."""

    query: Query
    lane: Lane
    rows: bytes | None = None


def insert_of(sql: str, body: bytes, query: Mapping[str, str], settings: dict[str, str]) -> Asked | None:
    """An INSERT whose rows come with it; None where it is none. Raises Refused."""
    whole = INSERT.match(sql.encode() + b"\n") if sql else INSERT.match(body)
    if not whole:
        return None
    data = body if sql else body[whole.end() :]
    if "insert_deduplication_token" in query and len(data) > TOKENED:
        raise Refused(f"Code: 394. DB::Exception: an insert with a token must be one block, at most {TOKENED} bytes; this one has {len(data)}: send less at a time. (QUERY_WAS_CANCELLED)", 500)
    kept = {k: v for k, v in settings.items() if k not in INSERT_SETTINGS}
    return Asked(Query(_with_settings(whole[1].decode(), query), whole[2].decode(), settings=kept, database=query.get("database", "")), "writes", data)


def settings_of(query: Mapping[str, str], known: frozenset[str], user: User) -> dict[str, str]:
    """The settings that an address bears. Raises Refused for one that nobody knows."""
    given = {k: v for k, v in query.items() if k not in OURS and k not in UNSET and not k.startswith("param_")}
    if strange := next((k for k in given if k not in known), ""):
        raise Refused(f"Code: 115. DB::Exception: Unknown setting '{strange[:80]}'. (UNKNOWN_SETTING)", 404)
    if user.writes:
        return given
    if wrong := next((k for k in MOST if not re.fullmatch(r"\d{0,18}", given.get(k, ""), re.A)), ""):
        raise Refused(f"Code: 72. DB::Exception: {wrong} is a whole number. (CANNOT_PARSE_NUMBER)", 400)
    return given | {k: str(min(most, int(given.get(k) or 0) or most)) for k, most in MOST.items()}


async def understand(engine: Engine, query: Mapping[str, str], body: bytes, user: User, fmt: str) -> Asked:
    """What a request asks for. Raises Refused and Forbidden with what ClickHouse would say."""
    settings, sql = settings_of(query, engine.known, user), query.get("query", "")
    if user.writes and (insert := insert_of(sql, body, query, settings)):
        return insert
    try:
        text = sql + ("\n" if sql and body else "") + body.decode()
    except UnicodeDecodeError:
        raise Refused("Code: 62. DB::Exception: the query is not UTF-8. (SYNTAX_ERROR)", 400) from None
    parameters, database = {k[6:]: v for k, v in query.items() if k.startswith("param_")}, query.get("database", "")
    if user.writes:
        if found := FORMAT.search(text):
            fmt, text = found[1], text[: found.start()]
        lane: Lane = "own" if READS.match(text) and not ABOUT.match(text) else "writes"
        return Asked(Query(text, fmt, parameters, settings, database), lane)
    if database not in ("", "default"):
        raise Refused(f"Code: 497. DB::Exception: database {database[:40]} is not open to who may only read. (ACCESS_DENIED)", 403)
    said = await engine.asked(lambda: read_only(text, parameters, engine.text))
    return Asked(Query(said.text, said.format or fmt, parameters, settings, read_only=True), "own" if said.about else "others")


async def respond(engine: Engine, asked: Asked, request: Request) -> Response:
    """The answer; a query whose client has gone is ended."""
    if asked.rows is not None:
        await engine.insert(asked.query, asked.rows)
        return _said(b"", asked.query.format, 0)
    if asked.query.streams and SELECTS.match(asked.query.sql):
        pieces = engine.pieces(asked.query, asked.lane)
        first = await _unless_gone(request, engine, asked.query, anext(pieces, b""))
        return Flow(first, pieces, asked.query.format)
    out, rows = await _unless_gone(request, engine, asked.query, engine.whole(asked.query, asked.lane))
    return _said(out, asked.query.format, rows)


class Flow(Response):
    """An answer sent piece by piece as the client takes it; when the client goes away, the query ends."""

    def __init__(self, first: bytes, pieces: AsyncIterator[bytes], fmt: str) -> None:
        super().__init__(headers=HEADERS | {"X-ClickHouse-Format": fmt}, media_type="text/plain; charset=UTF-8")
        del self.headers["content-length"]
        self.piece, self.pieces = first, pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        leaving, step = asyncio.ensure_future(_left(receive)), None
        try:
            while self.piece and not leaving.done():
                await send({"type": "http.response.body", "body": self.piece, "more_body": True})
                step = asyncio.ensure_future(anext(self.pieces, b""))
                await asyncio.wait([step, leaving], return_when=asyncio.FIRST_COMPLETED)
                if not leaving.done():
                    self.piece = await step
            await send({"type": "http.response.body", "body": b""})
        except Exception as wrong:  # the head is sent: the words stand where the rows end, as ClickHouse does it
            await send({"type": "http.response.body", "body": f"\n{wrong}\n".encode()})
        finally:
            leaving.cancel()
            if step is not None:
                step.cancel()
                await asyncio.gather(step, return_exceptions=True)
            await self.pieces.aclose()  # type: ignore[attr-defined]


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _unless_gone(request: Request, engine: Engine, query: Query, work: Any) -> Any:
    """Waits for a piece of work, and ends its query if the client goes away meanwhile."""
    task = asyncio.ensure_future(work)
    while not (await asyncio.wait([task], timeout=0.5))[0]:
        if await request.is_disconnected():
            await engine.end(query)
            break
    return await task


def _said(out: bytes, fmt: str, rows: int) -> Response:
    summary = {"X-ClickHouse-Format": fmt, "X-ClickHouse-Summary": f'{{"read_rows":"{rows}","written_rows":"0"}}'}
    return Response(out, headers=HEADERS | summary, media_type="text/plain; charset=UTF-8")


def _with_settings(head: str, query: Mapping[str, str]) -> str:
    pairs = [f"{k} = '{query[k]}'" for k in INSERT_SETTINGS if k in query and re.fullmatch(r"[\w.:/-]+", query[k])]
    return f"{head} SETTINGS {', '.join(pairs)}" if pairs and " SETTINGS " not in head.upper() else head


def ours(request: Request, hosts: frozenset[str]) -> bool:
    """Was it asked by a program, or by a page of this very address? A page of somewhere else that a browser here has open may not ask."""
    host = request.headers.get("host", "")
    name = urlsplit(f"//{host}").hostname or ""
    if name not in hosts and not _literal(name):
        return False
    origin = request.headers.get("origin")
    return (origin is None or urlsplit(origin).netloc == host) and request.headers.get("sec-fetch-site", "none") in ("none", "same-origin")


def _literal(name: str) -> bool:
    """An address in numbers cannot be made to point elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _body(request: Request) -> bytes:
    """The body, as far as it is not too large. Raises Refused."""
    out = bytearray()
    async for piece in request.stream():
        out += piece
        if len(out) > LARGEST:
            raise Refused(f"Code: 396. DB::Exception: the body has more than {LARGEST} bytes: send less at a time. (TOO_MANY_ROWS_OR_BYTES)", 413)
    return bytes(out)


def application(engine: Engine, users: dict[str, User], hosts: frozenset[str] = frozenset({"localhost"})) -> FastAPI:
    """The HTTP interface over one engine. `hosts`: the names by which it may be addressed, beside addresses in numbers."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/ping")
    @app.get("/replicas_status")
    async def ping() -> Response:
        """Ok only if the engine answers."""
        try:
            await asyncio.wait_for(engine.asked(lambda: engine.text("SELECT 1")), 5)
        except Exception as wrong:
            return Response(f"the engine does not answer: {type(wrong).__name__} {wrong}\n", 503, media_type="text/plain")
        return Response("Ok.\n", media_type="text/plain")

    @app.api_route("/", methods=["GET", "POST"])
    async def handle(request: Request) -> Response:
        query = dict(request.query_params)
        if not ours(request, hosts):
            return _refused("Code: 497. DB::Exception: this address, or a page of another one, may not ask here: name the host in PERMITWATCH_HOSTS. (ACCESS_DENIED)", 403)
        name, password = user_of(request, query)
        user = users.get(name)
        if user is None or not hmac.compare_digest(user.password.encode(), password.encode("utf-8", "surrogateescape")):
            return _refused(f"Code: 516. DB::Exception: {name[:40]}: Authentication failed. (AUTHENTICATION_FAILED)", 403)
        if "session_id" in query:
            return _refused("Code: 373. DB::Exception: sessions are not kept here: leave session_id out. (SESSION_IS_LOCKED)", 400)
        if request.method == "GET" and not query.get("query"):
            return Response("Ok.\n", media_type="text/plain")
        if request.method == "GET" and user.writes and not READS.match(query["query"]):
            return _refused("Code: 164. DB::Exception: a GET may only read: use POST. (READONLY)", 403)
        fmt = request.headers.get("x-clickhouse-format") or query.get("default_format") or "TabSeparated"
        try:
            body = unpack(await _body(request), request.headers.get("content-encoding"))
            return await respond(engine, await understand(engine, query, body, user, fmt), request)
        except Refused as wrong:
            return _refused(str(wrong), wrong.status)
        except Forbidden as wrong:
            return _refused(str(wrong), 403)
        except Busy as wrong:
            return _refused(f"Code: 202. DB::Exception: Too many simultaneous queries: {wrong}. (TOO_MANY_SIMULTANEOUS_QUERIES)", 503)
        except Exception as wrong:
            return _refused(str(wrong), 404 if "UNKNOWN_TABLE" in str(wrong) else 500)

    return app


def _refused(said: str, status: int) -> Response:
    code = m[1] if (m := re.search(r"Code: (\d+)", said)) else "1002"
    return Response(said + "\n", status_code=status, headers={"X-ClickHouse-Exception-Code": code}, media_type="text/plain")


def users_from_environment() -> dict[str, User]:
    """`default` writes, `analyst` reads; their passwords from PERMITWATCH_SQL_PASSWORD and PERMITWATCH_ANALYST_PASSWORD. `up` makes them at its first start."""
    return {"default": User(os.environ.get("PERMITWATCH_SQL_PASSWORD", ""), True), "analyst": User(os.environ.get("PERMITWATCH_ANALYST_PASSWORD", ""), False)}


def server(app: FastAPI, host: str, port: int) -> uvicorn.Server:
    """The server of an application, not yet running."""
    return uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=3, timeout_keep_alive=KEPT))


def serve(path: Path, host: str, port: int) -> None:
    """Serves the data folder until stopped."""
    if host not in ("127.0.0.1", "localhost", "::1") and not (os.environ.get("PERMITWATCH_SQL_PASSWORD") and os.environ.get("PERMITWATCH_ANALYST_PASSWORD")):
        sys.exit("permitwatch sql: to listen beyond loopback, set PERMITWATCH_SQL_PASSWORD and PERMITWATCH_ANALYST_PASSWORD first")
    hosts = frozenset({"localhost", socket.gethostname().lower(), *os.environ.get("PERMITWATCH_HOSTS", "").lower().split(",")}) - {""}
    engine = Engine(path)
    server(application(engine, users_from_environment(), hosts), host, port).run()
    engine.close()
    os._exit(0)  # a thread that is inside the engine would keep the process for as long as its query lasts
