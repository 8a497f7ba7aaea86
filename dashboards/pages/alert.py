"""/alert?id=: one alert with its sentence, advice, evidence and history, and the buttons with which people answer it."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import quote

from dash import dcc, html

from dashboards.answer import offered
from dashboards.pages import clean, live
from dashboards.parts import SYMBOL, clock, evidence_links, message, shell, to_ms
from sql.store import StoreError
from streams.outputs import Alert
from streams.texts import ui

SHELF = (30, 60, 120, 240, 480)
"""Minutes for which an alert may be put aside."""


async def layout(id: str = "", lang: str = "zh", theme: str = "light", **_: Any) -> html.Div:
    lang, theme = clean(lang, theme)
    here = live()
    path = f"/alert?id={quote(id)}"
    alert = here.board.alerts.get(id)
    try:
        rows = await here.ask("alert_history", site=here.plant.site if here.plant else "", id=id)
    except StoreError:
        rows = []
    if alert is None:
        return message(ui("not_found" if not rows else "alert_old", lang, what=id), lang, theme, path)
    if not rows or rows[0]["revision"] < alert.revision:  # the archive is a second behind
        rows = [{"known": dt.datetime.fromtimestamp(alert.known / 1000, dt.UTC), "state": alert.state, "priority": alert.priority, "by": alert.by, **alert.text}, *rows]
    zone = here.plant.timezone if here.plant else "Asia/Shanghai"
    body = html.Main([_head(alert, lang, zone), _form(alert, lang), html.Div([html.H2(ui("history", lang)), html.Table(html.Tbody([_row(r, lang, zone) for r in rows]))], className="panel")],
                     className="permit alert", id="alert", **{"data-alert": id, "data-revision": str(alert.revision)})  # type: ignore[arg-type] # fmt: skip
    return shell(f"{alert.code} · {alert.point or alert.subject}", lang, theme, path, body, "alert")


def _head(a: Alert, lang: str, zone: str) -> html.Section:
    link = [html.P(html.A(f"{ui('permit', lang)} {a.permit}", href=f"/permit/{quote(a.permit)}?lang={lang}"))] if a.permit else []
    return html.Section([
        html.Div([html.Span(f"{SYMBOL[a.priority]} P{a.priority} ", className=f"pri p{a.priority}"), html.Span(ui(f"state.{a.state}", lang), id="alert-state")], className="st"),
        html.P(a.text[lang], className="say"), html.P(a.advice[lang]), *link,
        html.P([f"{clock(a.start, zone, day=True)} · {ui('owner', lang)} {ui(f'owner.{a.owner}', lang)} · {ui('deadline', lang)} {clock(a.deadline, zone, day=True)}"], className="t"),
        html.Small([f"{a.edition} {a.clause} ({a.confidence}) · {a.pack} ", *evidence_links(a.evidence, lang)]),
    ], className="panel head")  # fmt: skip


def _form(a: Alert, lang: str) -> html.Div:
    buttons = [html.Button(ui(f"do.{action}", lang), className="do", **{"data-action": action}) for action in offered(a)]  # type: ignore[arg-type]
    if not buttons:
        return html.Div(html.P(ui("answer.none", lang)), className="panel")
    shelf = [html.Label([ui("answer.minutes", lang), html.Datalist([html.Option(value=str(m)) for m in SHELF], id="minutes-list"), dcc.Input(id="minutes", value="60", inputMode="numeric", list="minutes-list")])] if "shelve" in offered(a) else []
    return html.Div([
        html.H2(ui("answer", lang)), html.Label([ui("answer.by", lang), dcc.Input(id="by", maxLength=40)]), html.Label([ui("answer.note", lang), dcc.Input(id="note", maxLength=200)]), *shelf,
        html.Div(buttons, className="dos"), html.P("", id="answer", role="status"),
    ], className="panel answer")  # fmt: skip


def _row(r: dict[str, Any], lang: str, zone: str) -> html.Tr:
    return html.Tr([html.Td(clock(to_ms(r["known"]), zone, day=True), className="t"), html.Td(f"P{r['priority']}"), html.Td(ui(f"state.{r['state']}", lang)), html.Td(r["by"]), html.Td(r[lang])])
