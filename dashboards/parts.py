"""Pieces that every page is made of."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from dash import dcc, html

from dashboards.theme import GRAPH
from streams.outputs import Alert, Verdict
from streams.rules.limits import TYPES
from streams.texts import ui

SYMBOL = {1: "■", 2: "◆", 3: "▲", 4: "●"}
LIGHT = {"red": "■", "yellow": "▲", "green": "●", "grey": "○"}
BARRIER = {"ok": "●", "bad": "■", "unknown": "▲"}


def clock(ms: int, zone: str = "Asia/Shanghai", day: bool = False) -> str:
    """Plant time."""
    return f"{dt.datetime.fromtimestamp(ms / 1000, ZoneInfo(zone)):{'%m-%d %H:%M:%S' if day else '%H:%M:%S'}}"


def type_name(code: str, lang: str) -> str:
    return TYPES.get(code, (code, code))[0 if lang == "zh" else 1]


def shell(title: str, lang: str, theme: str, path: str, body: Any, kind: str = "") -> html.Div:
    """The frame of a page: title, plant clock, state of the connection, language, theme."""
    path += "&" if "?" in path else "?"
    other, dark = ("en" if lang == "zh" else "zh"), ("light" if theme == "dark" else "dark")
    bar = html.Header([
        html.Strong(title, className="title"),
        html.Nav([html.A(ui("wall", lang), href=f"/wall?lang={lang}&theme={theme}"), html.A("EN" if lang == "zh" else "中文", href=f"{path}lang={other}&theme={theme}"),
                  html.A("◐", href=f"{path}lang={lang}&theme={dark}", title="theme")]),
        html.Span("—", id="clock", className="clock"),
        html.Span([html.I(className="dot"), html.Span("…", id="conn-state"), " · ", ui("age", lang), " ", html.B("—", id="conn-age")], id="conn", className="conn", role="status"),
    ])  # fmt: skip
    inner = body if isinstance(body, list) else [body]
    return html.Div([bar, *inner, html.Footer(ui("advice", lang)), html.Div(id="page-kind", **{"data-lang": lang, "data-theme": theme, "data-kind": kind})],  # type: ignore[arg-type]
                    className=f"page {theme}", lang=lang)  # fmt: skip


def words(lang: str) -> dict[str, str]:
    """The words that live.js writes by itself."""
    out = {k: ui(k, lang) for k in ("live", "stale", "offline", "no_job", "nothing")} | {f"barrier.{b}": ui(b, lang) for b in ("gas", "guard", "video", "permit")}
    return out | {f"light.{x}": ui(f"light.{x}", lang) for x in LIGHT} | {f"type.{t}": type_name(t, lang) for t in TYPES} | {f"outcome.{o}": ui(f"outcome.{o}", lang) for o in ("consistent", "violation", "indeterminate", "pending")}


def tile(label: str, ident: str, value: Any, mark: str = "", level: str = "") -> html.Div:
    """A figure and what it is."""
    return html.Div([html.Div(label, className="k"), html.Div([html.Span(mark, className="mark"), html.Span(str(value), id=ident)], className=f"v {level}"), html.Div("", id=f"{ident}-sub", className="s")], className="tile")


def alert_item(a: Alert, lang: str, zone: str) -> html.Li:
    """One alert in a feed, leading to its page."""
    href = f"/alert?id={quote(a.id)}&lang={lang}"
    return html.Li(html.A([html.Span(f"{SYMBOL[a.priority]} P{a.priority}", className=f"pri p{a.priority}"), html.Span(clock(a.raised, zone), className="t"), html.Span(a.point or a.subject, className="ar"),
                           html.Span(a.text[lang], className="m")], href=href), className=f"al p{a.priority} {a.state}", **{"data-id": a.id})  # type: ignore[arg-type]


def evidence_links(refs: list[str], lang: str) -> list[html.A]:
    """[1] [2] …, each leading to its raw message."""
    return [html.A(f"[{i + 1}]", href=f"/evidence?ref={quote(r)}&lang={lang}", title=r) for i, r in enumerate(refs)]


def to_ms(at: dt.datetime) -> int:
    """ClickHouse's times come without a zone and are UTC."""
    return int((at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp() * 1000)


def graph(ident: str, figure: Any) -> dcc.Graph:
    return dcc.Graph(id=ident, figure=figure, className="g", config=GRAPH)


def barriers(v: Verdict, lang: str) -> html.Span:
    """Each barrier with its shape and word."""
    return html.Span([html.Span(f"{BARRIER.get(state, '○')} {ui(name, lang)}", className=f"b {state}", title=ui(f"barrier.{state}", lang)) for name, state in v.barriers.items()], className="bs")


def message(text: str, lang: str, theme: str, path: str) -> html.Div:
    return shell("PermitWatch", lang, theme, path, html.Main(html.P(text, className="empty")))
