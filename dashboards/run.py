"""The screens' process: Dash on FastAPI, the live stream beside it, headers that let nothing foreign in."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import sys
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import dash
import httpx
import msgspec
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from dashboards import pages, parts
from dashboards.answer import Answer, give
from dashboards.board import alert_row
from dashboards.figures import heatmap, matrix, plant_map
from dashboards.live import Live
from dashboards.pages import alert, crew, evidence, me, permit, risk, shop, wall
from dashboards.theme import tokens_css
from streams.wall import now

TOPICS = ("alerts", "jobs", "pulse", "heat")
COOKIE = "permitwatch"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def application(live: Live, token: str = "") -> FastAPI:
    """The ASGI application. With a token, every request needs it once as ?token= and then as a cookie."""

    @contextlib.asynccontextmanager
    async def lifespan(server: FastAPI) -> AsyncIterator[None]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=server), base_url="http://127.0.0.1") as client:
            await client.get("/_dash-dependencies", cookies={COOKIE: token} if token else None)
        csp.append(_csp(app.csp_hashes()))
        task = asyncio.create_task(live.run())
        yield
        task.cancel()

    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    csp: list[str] = []
    _routes(server, live)
    app = _dash(server)
    pages.LIVE[:] = [live]

    @server.middleware("http")
    async def guard(request: Request, go: Any) -> Response:
        if not token and request.url.hostname not in LOOPBACK:
            return JSONResponse({"error": "without a screen token only this machine itself is served"}, 403)
        if token and request.url.path != "/healthz" and not hmac.compare_digest(request.cookies.get(COOKIE, ""), token):
            if hmac.compare_digest(request.query_params.get("token", ""), token):
                entered = RedirectResponse(str(request.url.remove_query_params("token")))
                entered.set_cookie(COOKIE, token, httponly=True, samesite="lax")
                return entered
            return JSONResponse({"error": "this screen wants ?token=… once"}, 401)
        response: Response = await go(request)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        if csp:
            response.headers["Content-Security-Policy"] = csp[0]
        return response

    return server


def _csp(hashes: Any) -> str:
    return (f"default-src 'self'; script-src 'self' {' '.join(hashes)}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
            "connect-src 'self'; worker-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'")  # fmt: skip


def _dash(server: FastAPI) -> Any:
    app = dash.Dash("dashboards", server=server, use_pages=True, pages_folder="", update_title=None, use_async=True, suppress_callback_exceptions=True, title="PermitWatch", assets_folder=str(files("dashboards").joinpath("assets")), enable_mcp=False,
                    meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}])  # fmt: skip
    app.backend.websocket_capability = False
    for name, page, path in (("wall", wall, "/wall"), ("me", me, "/me"), ("evidence", evidence, "/evidence"), ("alert", alert, "/alert")):
        dash.register_page(name, path=path, layout=page.layout)
    for name, page, template in (("shop", shop, "/shop/<shop_id>"), ("crew", crew, "/crew/<crew_id>"), ("permit", permit, "/permit/<permit_id>"), ("risk", risk, "/risk/<area_id>")):
        dash.register_page(name, path_template=template, layout=page.layout)
    app.layout = dash.html.Div([dash.page_container])
    return app


def _routes(server: FastAPI, live: Live) -> None:
    @server.get("/", include_in_schema=False)
    async def home() -> RedirectResponse:
        return RedirectResponse("/wall")

    @server.get("/healthz")
    async def health() -> JSONResponse:
        return JSONResponse({"ready": live.ready.is_set(), "plant": live.plant is not None})

    @server.get("/tokens.css")
    async def tokens() -> Response:
        return Response(tokens_css(), media_type="text/css")

    @server.get("/live")
    async def stream(topics: str = ",".join(TOPICS)) -> StreamingResponse:
        names = [n for n in topics.split(",") if n in TOPICS]
        return StreamingResponse(live.hub.stream(names), media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    @server.get("/api/words")
    async def words(lang: str = "zh") -> JSONResponse:
        return JSONResponse(parts.words("en" if lang == "en" else "zh"))

    @server.get("/api/alerts")
    async def alerts() -> JSONResponse:
        return JSONResponse([alert_row(a) for a in live.board.standing()])

    @server.post("/api/answer")
    async def answer(request: Request, lang: str = "zh") -> JSONResponse:
        """A person's step about an alert; only from our own pages."""
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin" or request.headers.get("content-type") != "application/json":
            return JSONResponse({"said": "only from our own pages, as JSON"}, 403)
        try:
            step = msgspec.json.decode(await request.body(), type=Answer)
        except msgspec.DecodeError as wrong:
            return JSONResponse({"said": str(wrong)}, 400)
        status, said = await give(step, live.board, "en" if lang == "en" else "zh")
        return JSONResponse({"said": said}, status)

    @server.get("/api/figure/{name}")
    async def figure(name: str, theme: str = "light", lang: str = "zh") -> Response:
        """A wall's figure as it is now; the browser asks for it only when its state changed, at most every five seconds."""
        plant, said = live.plant, live.board.summary()
        if plant is None:
            return JSONResponse({}, 503)
        theme, lang = ("dark" if theme == "dark" else "light"), ("en" if lang == "en" else "zh")

        match name:
            case "map":
                fig = plant_map(plant, said["risk"], {v.permit: (v.point, v.light) for v in live.board.at_work()}, theme, lang)
            case "matrix":
                fig = matrix(plant, said["matrix"], theme, lang)
            case "heat":
                fig = heatmap(plant, live.heat, now(), theme, lang)
            case _:
                return JSONResponse({}, 404)
        return Response(fig.to_json(), media_type="application/json")


def serve(host: str, port: int, kafka: str, sql: str, prefix: str) -> None:
    """Serves the screens until stopped."""
    token = os.environ.get("PERMITWATCH_SCREEN_TOKEN", "")
    if host not in ("127.0.0.1", "localhost", "::1") and not token:
        sys.exit("permitwatch dashboards: to listen beyond loopback, set PERMITWATCH_SCREEN_TOKEN first")
    uvicorn.run(application(Live(kafka, sql, prefix), token), host=host, port=port, log_level="warning", timeout_graceful_shutdown=3, timeout_keep_alive=75)
