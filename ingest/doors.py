"""The HTTP door: what permit systems, access control, cameras and people push, checked against the schema, on disk before the answer."""

from __future__ import annotations

import asyncio
import datetime as dt
import hmac
import re
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from ingest.outbox import Outbox
from streams.events import Any_, Decided, Lane, encode
from streams.outputs import schema
from streams.topics import OF_KIND

INSTANTS = frozenset({"at", "valid_from", "valid_to", "planned_start", "until"})
DAY = re.compile(r"\d{4}-\d\d-\d\d")
LARGEST = 8 << 20


@dataclass(frozen=True, slots=True)
class Door:
    """The door's state: the site, where events go, the token of each source, and who answers scans."""

    site: str
    outbox: Outbox
    tokens: dict[str, str]
    deciders: list[str]
    session: aiohttp.ClientSession


DOOR = web.AppKey("door", Door)


def source_of(request: web.Request) -> str:
    """The source whose token the request carries. Raises 401."""
    token = request.headers.get("authorization", "").removeprefix("Bearer ").strip() or request.query.get("token", "")
    for source, known in request.app[DOOR].tokens.items():
        if known and hmac.compare_digest(token.encode(), known.encode()):
            return source
    raise _error(web.HTTPUnauthorized, "this door wants `Authorization: Bearer <token of the source>`; tokens stand in the environment that plant.toml names")


def instant(value: Any, field: str) -> Any:
    """ISO 8601 with an offset as ms; anything else as it is."""
    if not isinstance(value, str) or field not in INSTANTS or DAY.fullmatch(value):
        return value
    try:
        at = dt.datetime.fromisoformat(value)
    except ValueError:
        raise msgspec.ValidationError(f"{value!r} is not an ISO 8601 time - at `$.{field}`") from None
    if at.tzinfo is None:
        raise msgspec.ValidationError(f"{value!r} has no UTC offset (write 2026-11-22T08:00:00+08:00) - at `$.{field}`")
    return int(at.timestamp() * 1000)


def read_event(kind: str, row: Any) -> Any_:
    """A JSON object as an event of a kind; times may be ISO 8601 or ms."""
    if not isinstance(row, dict):
        raise msgspec.ValidationError("Expected `object` - at `$`")
    timed = {k: instant(v, k) for k, v in row.items()}
    return msgspec.convert(timed | {"kind": kind}, Any_)  # type: ignore[arg-type, no-any-return]


async def take(request: web.Request) -> web.Response:
    """POST /events/<kind>[?lane=backlog]: one event or a list of them. 202 when all are on disk; 422 with the JSON path if any is wrong, and then none is taken.

    `lane=backlog` is for what a system kept while it was cut off: it delays nothing live, and its age is no finding.
    """
    lane = Lane.BACKLOG if request.query.get("lane") == "backlog" else None
    source, kind, door = source_of(request), request.match_info["kind"], request.app[DOOR]
    if kind not in OF_KIND or kind == "tick":
        raise _error(web.HTTPNotFound, f"no kind {kind}. Known: {', '.join(k for k in OF_KIND if k != 'tick')}")
    try:
        body = msgspec.json.decode(await request.read())
    except msgspec.DecodeError as wrong:
        raise _error(web.HTTPUnprocessableEntity, f"not JSON: {wrong}") from None
    rows = body if isinstance(body, list) else [body]
    try:
        events = [read_event(kind, row) for row in rows]
    except msgspec.ValidationError as wrong:
        raise _error(web.HTTPUnprocessableEntity, f"{wrong}. GET /schema has the JSON Schema") from None
    try:
        await asyncio.gather(*(asyncio.wrap_future(door.outbox.accept(door.site, source, e, lane)) for e in events))
    except OSError as wrong:
        raise _error(web.HTTPInsufficientStorage, f"{wrong}. Keep the events and send them again") from None
    return web.json_response({"accepted": len(events)}, status=202)


async def decide(request: web.Request) -> web.Response:
    """GET /decide?worker&door[&direction]: allow, deny or pending with reasons, from whoever holds the site's state; the answer is logged as an event."""
    source, door = source_of(request), request.app[DOOR]
    query = {k: request.query[k] for k in ("worker", "door", "direction", "at", "u") if k in request.query}
    if "worker" not in query or "door" not in query:
        raise _error(web.HTTPBadRequest, "worker and door are needed: /decide?worker=W1&door=DOOR")
    said = await _ask(door, query)
    at = int(query.get("at", dt.datetime.now().timestamp() * 1000))
    door.outbox.accept(door.site, source, Decided(at=at, worker=query["worker"], door=query["door"], direction=query.get("direction", "in"), answer=said["answer"], reasons=said["reasons"]))
    return web.json_response(said)


async def _ask(door: Door, query: dict[str, str]) -> dict[str, Any]:
    for address in door.deciders:
        try:
            async with door.session.get(f"{address}/decide", params=query | {"site": door.site}) as response:
                if response.status == 200:
                    return dict(await response.json())
        except (aiohttp.ClientError, TimeoutError, OSError):
            continue
    return {"answer": "allow" if query.get("direction") == "out" else "pending", "reasons": ["SYS-DECIDER-AWAY"]}


async def health(request: web.Request) -> web.Response:
    """GET /healthz: what waits on disk and whether Kafka takes it."""
    outbox = request.app[DOOR].outbox
    return web.json_response({"waiting": outbox.written - outbox.sent, "kafka": outbox.away_since is None, "accepted": outbox.written})


async def show_schema(request: web.Request) -> web.Response:
    """GET /schema: the JSON Schema of everything on the wire."""
    return web.Response(body=encode(schema()), content_type="application/schema+json")


def _error(kind: type[web.HTTPException], said: str) -> web.HTTPException:
    return kind(text=msgspec.json.encode({"error": said}).decode(), content_type="application/json")


def application(door: Door) -> web.Application:
    app = web.Application(client_max_size=LARGEST)
    app[DOOR] = door
    app.add_routes([web.post("/events/{kind}", take), web.get("/decide", decide), web.get("/healthz", health), web.get("/schema", show_schema)])
    return app
