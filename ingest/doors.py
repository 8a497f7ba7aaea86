"""The HTTP door: what permit systems, access control, cameras and people push, checked against the schema, on disk before the answer."""

from __future__ import annotations

import asyncio
import datetime as dt
import hmac
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from msgspec.structs import replace

from ingest import body
from ingest.outbox import Outbox, TooLarge
from streams import wall
from streams.asked import TOKEN as INSIDE
from streams.asked import inside
from streams.events import Any_, Decided, Lane, Requested, encode
from streams.intake import LARGEST as LARGEST_EVENT
from streams.intake import too_much
from streams.outputs import schema
from streams.plain import CLOSE, ON_LIVES, in_reason, nameless, plain, settled, shown
from streams.plant import SOURCED
from streams.sentences import REASONS
from streams.strict import faults, strange_fields
from streams.topics import OF_KIND

log = logging.getLogger("permitwatch")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
INSTANTS = frozenset({"at", "valid_from", "valid_to", "planned_start", "until", "due", "recorded", "since", "effective", "onset", "decided"})
POSTED = SOURCED - {"decided"}
"""Kinds that are posted: what a gate was answered we write ourselves."""
DAY = re.compile(r"\d{4}-\d\d-\d\d")
SAID: set[str] = set()
"""The faults of ours that the log has."""
SLICE = 500
"""So many events of a long post go to disk before others have their turn."""
ENVELOPE = 4096
"""Bytes that the envelope around an event may take."""


@dataclass(frozen=True, slots=True)
class Door:
    """The door's state: the site, where events go, the token of each source, who answers scans, and what each source may send."""

    site: str
    outbox: Outbox
    tokens: dict[str, str]
    deciders: list[str]
    session: aiohttp.ClientSession
    refusers: list[str] = field(default_factory=list)
    """Who knows what became of what was taken."""
    sends: dict[str, frozenset[str]] = field(default_factory=dict)
    """Source → the kinds of events that its token may send; one that is not named here may send all of them."""
    shelters: frozenset[str] = frozenset()
    """Doors that let everybody in, whoever answers."""
    gases: frozenset[str] = frozenset()
    """The gases of the plant's pack."""


DOOR = web.AppKey("door", Door)


class TooMuch(web.HTTPClientError):
    """More than a message, or the door, can carry."""

    status_code = 413


def source_of(request: web.Request) -> str:
    """The source whose token the request carries. Raises 401."""
    token = request.headers.get("authorization", "").removeprefix("Bearer ").strip() or request.query.get("token", "")
    given = token.encode("utf-8", "surrogateescape")
    for source, known in request.app[DOOR].tokens.items():
        if known and hmac.compare_digest(given, known.encode()):
            return source
    raise _error(web.HTTPUnauthorized, "this door wants `Authorization: Bearer <token of the source>`; tokens stand in the environment that plant.toml names")


def may(request: web.Request, kind: str) -> str:
    """The source whose token the request carries, if it may send such an event. Raises 401, 403."""
    source = source_of(request)
    allowed = request.app[DOOR].sends.get(source)
    if allowed is not None and kind not in allowed:
        what = "ask at gates" if kind == "decided" else f"send {kind}"
        raise _error(web.HTTPForbidden, f"the token of {source} may not {what}, only {', '.join(sorted(allowed - {'decided'})) or 'nothing'}. Add {kind} to its kinds under [[http]] in plant.toml, if it should")
    return source


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
    return read_row(kind, row, 1).event


@dataclass(frozen=True, slots=True)
class Read:
    """A row that may go in: the event, its JSON as it was written (times in ms), its schema, and what of it is unknown or could not be read."""

    event: Any_
    raw: bytes
    schema: int
    strange: list[str]
    odd: list[str]


def _instant(value: Any, field: str, kind: str, schema: int) -> Any:
    """As `instant`; of kinds on which lives hang an older sender's instant that cannot be read is unknown, unless it is the one without which nothing can be said."""
    try:
        return instant(value, field)
    except msgspec.ValidationError:
        if schema == 2 or field == "at" or kind not in ON_LIVES:
            raise
        return value


def read_row(kind: str, row: Any, schema: int, now: int | None = None, gases: frozenset[str] = frozenset()) -> Read:
    """A row under its schema (2: closed words, known and required fields), as it comes at `now` (ms; default: this moment). Raises ValidationError with the JSON path and what to write."""
    if not isinstance(row, dict):
        raise msgspec.ValidationError("Expected `object` - at `$`")
    said = row.get("schema", schema)
    if said not in (1, 2):
        raise msgspec.ValidationError(f"schema {said!r} is not known: 1 or 2 - at `$.schema`")
    timed = {k: _instant(v, k, kind, said) for k, v in row.items() if k != "schema"} | {"kind": kind}
    raw, strange = encode(timed), strange_fields(kind, row)
    if said == 2 and (wrong := faults(kind, timed, gases)):
        raise msgspec.ValidationError("; ".join(wrong[:8]))
    try:
        event, odd = msgspec.convert(timed, Any_), list[str]()  # type: ignore[arg-type]
    except (msgspec.ValidationError, OverflowError) as wrong:
        mended = settled(kind, timed) if kind in ON_LIVES else None
        if mended is None:
            raise msgspec.ValidationError(f"{wrong}") from None
        event, odd = mended
    now = wall.now() if now is None else now
    if late := _out_of_time_at(event.at, now, said):
        raise msgspec.ValidationError(late)
    meant = in_reason(event.at, now, CLOSE)
    if said == 1 and meant is not None and meant != event.at:
        event, odd = replace(event, at=meant), [*odd, "at"]
    if much := too_much(event):
        raise msgspec.ValidationError(much[1])
    return Read(event, raw, said, strange, sorted({*odd, *plain(event)[1], *nameless(event, gases)}))


def _out_of_time_at(at: int, now: int, schema: int = 1) -> str:
    """Why an instant cannot be meant; older senders' seconds, µs and ns are understood, under schema 2 they are not."""
    return "" if (abs(at - now) <= CLOSE if schema == 2 else in_reason(at, now, CLOSE) is not None) else f"at = {at} is no time of the last or the next 400 days. Write ms since 1970, or ISO 8601 with an offset"


async def _said(request: web.Request) -> Any:
    """The JSON of a body. Raises 413, 415, 422 and 400 with what to send."""
    try:
        return body.said(await request.read(), request.headers.get("content-encoding", ""), request.charset)
    except body.Unread as wrong:
        raise _error({413: TooMuch, 415: web.HTTPUnsupportedMediaType, 422: web.HTTPUnprocessableEntity}.get(wrong.status, web.HTTPBadRequest), f"{wrong}") from None
    except web.HTTPRequestEntityTooLarge:
        raise _error(TooMuch, f"the body is larger than {body.LARGEST:,} bytes. Send the events in several posts") from None


async def take(request: web.Request) -> web.Response:
    """POST /events/<kind>[?lane=backlog][&schema=2]: one event or a list of them. 202 when all are on disk; 422 with the JSON path if any is wrong, and then none is taken.

    `lane=backlog` is for what a system kept while it was cut off: it delays nothing live, and its age is no finding. `schema=2` (or `"schema": 2` in a row) holds
    it to closed words; without it unknown fields are kept and named in the answer, and what could not be read is named too.
    """
    lane = Lane.BACKLOG if request.query.get("lane") == "backlog" else None
    kind, door = request.match_info["kind"], request.app[DOOR]
    if kind not in POSTED:
        source_of(request)
        why = "what a gate was answered is written down by whoever answered: ask at GET /decide" if kind == "decided" else f"no kind {kind}"
        raise _error(web.HTTPNotFound, f"{why}. Known: {', '.join(k for k in OF_KIND if k in POSTED)}")
    source = may(request, kind)
    posted = await _said(request)
    rows = posted if isinstance(posted, list) else [posted]
    try:
        read = [r async for r in _read_all(kind, rows, 2 if request.query.get("schema") == "2" else 1, door.gases)]
    except (msgspec.ValidationError, RecursionError, OverflowError) as wrong:
        raise _error(web.HTTPUnprocessableEntity, f"{wrong}. GET /schema has the JSON Schema") from None
    if much := next((m for n, r in enumerate(read) if (m := _too_large(r.raw, rows[n], f"[{n}]" if isinstance(posted, list) else ""))), ""):
        raise _error(TooMuch, much)
    try:
        for n in range(0, len(read), SLICE):  # a long post goes to disk in slices, between which others are taken
            await asyncio.gather(*(asyncio.wrap_future(door.outbox.accept(door.site, source, r.event, lane, r.raw, r.schema)) for r in read[n : n + SLICE]))
    except TooLarge as wrong:
        raise _error(TooMuch, f"{wrong}") from None
    except OSError as wrong:
        raise _error(web.HTTPInsufficientStorage, f"{wrong}. Keep the events and send them again") from None
    return web.json_response(_taken(read), status=202)


async def _read_all(kind: str, rows: list[Any], schema: int, gases: frozenset[str]) -> AsyncIterator[Read]:
    """Rows read one by one; between some of them others have their turn."""
    for n, row in enumerate(rows):
        if n % 100 == 99:
            await asyncio.sleep(0)
        yield read_row(kind, row, schema, None, gases)


def _too_large(raw: bytes, row: dict[str, Any], where: str) -> str:
    """Why an event is more than one message can carry, by its largest field; nothing where it is not."""
    if len(raw) <= LARGEST_EVENT - ENVELOPE:
        return ""
    name, size = max(((k, len(encode(v))) for k, v in row.items()), key=lambda kv: kv[1])
    return f"the event has {len(raw):,} bytes, at most {LARGEST_EVENT - ENVELOPE:,}; {size:,} of them are ${where}.{name}. Send pictures and documents as a `clip` with `uri` and `sha256`"


def _taken(read: list[Read]) -> dict[str, Any]:
    """How many were taken, and of which fields the source should know that nobody reads them, or only as unknown."""
    unknown, odd = sorted({f for r in read for f in r.strange}), shown(f for r in read for f in r.odd)
    return {"accepted": len(read)} | ({"unknown_fields": unknown} if unknown else {}) | ({"unread_fields": odd} if odd else {})


GATES = ("entry", "leave", "application", "issue", "start", "resume", "close")
ASKED = ("for", "worker", "door", "direction", "permit", "at", "u")


async def decide(request: web.Request) -> web.Response:
    """GET /decide?for=entry|issue|start|resume|close|leave&worker&door&permit (POST with the request for=application): allow, deny or pending with reasons, from whoever holds the site's state; the answer is logged as an event."""
    source, door = may(request, "decided"), request.app[DOOR]
    query = {k: request.query[k] for k in ASKED if k in request.query}
    gate = query.get("for") or ("leave" if query.get("direction") == "out" else "entry")
    if gate in ("entry", "leave") and not ("worker" in query and "door" in query):
        raise _error(web.HTTPBadRequest, "worker and door are needed: /decide?worker=W1&door=DOOR")
    if gate in ("issue", "start", "resume", "close") and "permit" not in query:
        raise _error(web.HTTPBadRequest, f"permit is needed: /decide?for={gate}&permit=HW-1")
    if gate not in GATES:
        raise _error(web.HTTPBadRequest, f"for={gate}: no such gate. Known: {', '.join(GATES)}")
    when = _asked_at(query)
    asked = await _applied(request) if gate == "application" else None
    free = gate == "leave" or (gate == "entry" and query["door"] in door.shelters)
    status, said = await _ask(door, query, encode(asked) if asked is not None else b"", free)
    if status != 200:
        raise _error(web.HTTPBadRequest, str(said.get("error", "wrong question")))
    logged = door.outbox.accept(door.site, source, Decided(at=when, worker=query.get("worker", ""), door=query.get("door", ""), direction=query.get("direction", "in"), answer=said["answer"],
                                                  reasons=said["reasons"], gate=gate, permit=query.get("permit", ""), mode=said.get("mode", "full"), request=asked))  # fmt: skip
    logged.add_done_callback(_unlogged)
    return web.json_response(said)


def _unlogged(done: Future[None]) -> None:
    """An answer that could not be written down is given all the same, and said once."""
    if (wrong := done.exception()) is not None and "decided" not in SAID:
        SAID.add("decided")
        log.error("what gates are answered cannot be written down (%s): make room on the disk", wrong)


async def _applied(request: web.Request) -> Requested:
    """The request that is asked about, in our words. Raises 400, 422."""
    said = await _said(request)
    if not isinstance(said, dict):
        raise _error(web.HTTPBadRequest, "for=application: POST the request as it would be sent, one JSON object")
    try:
        event = plain(read_row("permit.requested", {"at": wall.now()} | said, 1).event)[0]
    except (msgspec.ValidationError, RecursionError, OverflowError) as wrong:
        raise _error(web.HTTPUnprocessableEntity, f"{wrong}. GET /schema has the JSON Schema") from None
    assert isinstance(event, Requested)
    return event


def _asked_at(query: dict[str, str]) -> int:
    """The moment that is asked about, ms; written into the question where it came as ISO 8601. Raises 400."""
    said = query.get("at")
    if said is None:
        return wall.now()
    try:
        at = int(said) if said.isascii() and said.isdigit() else instant(said, "at")
    except msgspec.ValidationError as wrong:
        raise _error(web.HTTPBadRequest, f"{wrong}") from None
    if not isinstance(at, int) or (much := _out_of_time_at(at, wall.now())):
        raise _error(web.HTTPBadRequest, much if isinstance(at, int) else f"at={said} is no time. Write ms since 1970, or ISO 8601 with an offset")
    at = in_reason(at, wall.now(), CLOSE) or at
    query["at"] = str(at)
    return at


async def _ask(door: Door, query: dict[str, str], body: bytes, free: bool) -> tuple[int, dict[str, Any]]:
    """What the step that holds the site's state answers; `free`: who is let through whatever is known, and though nobody answers."""
    for address in door.deciders:
        try:
            async with door.session.request("POST" if body else "GET", f"{address}/decide", params=query | {"site": door.site}, data=body or None, headers=inside()) as response:
                if response.status in (200, 400):
                    said = dict(await response.json())
                    return response.status, said | {"answer": "allow", "reasons": [], "why": []} if free and said.get("answer") not in (None, "allow") else said
                _turned_away(address, response.status)
        except (aiohttp.ClientError, TimeoutError, OSError):
            continue
    reasons = [] if free else ["SYS-DECIDER-AWAY"]
    why = [{"code": c, "clause": "rule of the site", "zh": REASONS[c][0], "en": REASONS[c][1]} for c in reasons]
    return 200, {"answer": "allow" if free else "pending", "reasons": reasons, "why": why, "mode": "away", "names": [], "behind_ms": None}


def _turned_away(address: str, status: int) -> None:
    """A step that does not know our token is said, once."""
    if status == 401 and address not in SAID:
        SAID.add(address)
        log.error("the step at %s turns ingest away: give both the same %s", address, INSIDE)


async def refused(request: web.Request) -> web.Response:
    """GET /refused: the source's own latest messages that were taken and could not be read or judged afterwards, each with its reason and the beginning of its bytes."""
    source, door = source_of(request), request.app[DOOR]
    found: list[Any] = await asyncio.to_thread(door.outbox.aside, source)
    asked = 0
    for address in door.refusers:
        try:
            async with door.session.get(f"{address}/refused", params={"site": door.site, "source": source}, headers=inside()) as response:
                if response.status == 200:
                    found += (await response.json())["refused"]
                    asked += 1
                _turned_away(address, response.status)
        except (aiohttp.ClientError, TimeoutError, OSError, KeyError):
            continue
    if door.refusers and not asked:
        raise _error(web.HTTPServiceUnavailable, "the step that refuses does not answer; ask again in a moment")
    found = list({(r["topic"], r["partition"], r["offset"], r["reason"]): r for r in found}.values())
    return web.json_response({"source": source, "refused": sorted(found, key=lambda r: -int(r["at"]))[:100]})


async def health(request: web.Request) -> web.Response:
    """GET /healthz: what waits on disk and whether Kafka takes it."""
    outbox = request.app[DOOR].outbox
    return web.json_response({"waiting": max(0, outbox.pending), "kafka": outbox.away_since is None, "accepted": outbox.written})


async def show_schema(request: web.Request) -> web.Response:
    """GET /schema: the JSON Schema of everything on the wire."""
    return web.Response(body=encode(schema()), content_type="application/schema+json")


@web.middleware
async def _never_500(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A fault of ours is said in JSON and once in the log; what was taken was taken."""
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except Exception as wrong:
        where = f"{type(wrong).__name__} at {request.path}"
        if where not in SAID:
            SAID.add(where)
            log.exception("the door failed at %s; said once", request.path)
        raise _error(web.HTTPInternalServerError, f"a fault of ours ({type(wrong).__name__}). Nothing was taken; the log of ingest says more") from None


def _error(kind: type[web.HTTPException], said: str) -> web.HTTPException:
    return kind(text=msgspec.json.encode({"error": said}).decode(), content_type="application/json")


def application(door: Door) -> web.Application:
    app = web.Application(client_max_size=body.LARGEST, middlewares=[_never_500])
    app[DOOR] = door
    app.add_routes([web.post("/events/{kind}", take), web.get("/decide", decide), web.post("/decide", decide), web.get("/refused", refused), web.get("/healthz", health), web.get("/schema", show_schema)])
    return app
