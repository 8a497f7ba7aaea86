"""Who may ask a step over HTTP: the parts of the system itself, by the token that they share."""

from __future__ import annotations

import hmac
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

TOKEN: Final = "PERMITWATCH_INSIDE_TOKEN"
"""Where it stands in the environment. Without it a step answers whoever is on its own machine, and nobody else."""
HERE: Final = ("127.0.0.1", "::1", "localhost")
log = logging.getLogger("permitwatch")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _token() -> str:
    return os.environ.get(TOKEN, "").strip()


def inside() -> dict[str, str]:
    """The headers with which one part asks another."""
    token = _token()
    return {"authorization": f"Bearer {token}"} if token else {}


@web.middleware
async def _ours_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """401 for whoever does not bring the token; how far a step is (/healthz) it tells everybody."""
    token = _token()
    given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    if token and request.path != "/healthz" and not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode()):
        return web.json_response({"error": f"only parts of the system ask here, with {TOKEN}. Ask the door of ingest"}, status=401)
    return await handler(request)


def open_to_all(at: tuple[str, int]) -> str:
    """Why a step may not answer at an address: it would answer everybody. Empty: it may."""
    return "" if at[0] in HERE or _token() else f"to listen at {at[0]}, beyond this machine, set {TOKEN} to the same secret for every part first"


async def serve(routes: list[web.RouteDef], at: tuple[str, int]) -> None:
    """Answers at an address of its own, unless everybody could ask there: that is said, and the step goes on without. Raises OSError."""
    if wrong := open_to_all(at):
        log.error("this step answers nobody, and gates stay pending: %s", wrong)
        return
    app = web.Application(middlewares=[_ours_only])
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, *at).start()
