"""/risk/<area>: an area's dimensions on a radar; outside is good."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from dash import html

from dashboards.board import Board
from dashboards.figures import radar
from dashboards.pages import clean, live
from dashboards.parts import alert_item, clock, graph, message, shell
from streams.outputs import Alert, Verdict
from streams.texts import ui

DIMENSIONS = ("gas", "guard", "video", "permit", "load", "alerts")


def scores(jobs: list[Verdict], alerts: list[Alert]) -> list[float]:
    """0–100 for each dimension: the share of barriers that are live, how few jobs, how few alerts; 100 where nothing is going on."""

    def share(name: str) -> float:
        states = [v.barriers[name] for v in jobs if name in v.barriers]
        return 100.0 * sum(s == "ok" for s in states) / len(states) if states else 100.0

    load = max(0.0, 100.0 - 12.5 * len(jobs))
    quiet = max(0.0, 100.0 - sum({1: 60, 2: 30, 3: 10, 4: 2}[a.priority] for a in alerts))
    return [share("gas"), share("guard"), share("video"), share("permit"), load, quiet]


def _index(board: Board, area: str) -> str:
    """The index of an area; a dash where no minute was ever told, 0 where nobody works."""
    return str(board.risk().get(area, 0)) if board.minute else "—"


def _as_of(board: Board, lang: str, timezone: str) -> str:
    return ui("as_of", lang, at=clock(board.minute.known, timezone)) if board.minute else ui("no_minute", lang)


async def layout(area_id: str = "", lang: str = "zh", theme: str = "light", **_: Any) -> html.Div:
    lang, theme = clean(lang, theme)
    here = live()
    area = next((a for a in here.plant.areas if a.id == area_id), None) if here.plant else None
    if here.plant is None or area is None:
        return message(ui("not_found", lang, what=area_id), lang, theme, f"/risk/{quote(area_id)}")
    jobs = [v for v in here.board.at_work() if v.area == area_id]
    alerts = [a for a in here.board.standing() if a.area == area_id]
    values = scores(jobs, alerts)
    body = html.Main([
        html.Div([html.H2(f"{ui('risk', lang)} {_index(here.board, area_id)}"), html.P(_as_of(here.board, lang, here.plant.timezone)), graph("radar", radar([ui(f"dim.{d}", lang) for d in DIMENSIONS], values, 80, theme))], className="panel"),
        html.Div([html.H2(ui("alerts", lang)), html.Ul([alert_item(a, lang, here.plant.timezone) for a in alerts] or [html.Li(ui("nothing", lang))], className="feed still")], className="panel"),
    ], className="risk")  # fmt: skip
    return shell(f"{area.id} {area.zh if lang == 'zh' else area.en}", lang, theme, f"/risk/{area_id}", body, "risk")
