"""/crew/<id>: each job and person of a crew as green, yellow, red or grey, with shape and word (000-37)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from dash import html

from dashboards.pages import clean, live
from dashboards.parts import LIGHT, barriers, shell, type_name
from streams.outputs import Verdict
from streams.texts import ui


async def layout(crew_id: str = "", lang: str = "zh", theme: str = "light", **_: Any) -> html.Div:
    lang, theme = clean(lang, theme)
    jobs = live().board.jobs(crew=crew_id)
    cards = [card for v in jobs for card in _cards(v, lang)]
    body = html.Main(cards or [html.Article([html.Div(f"{LIGHT['grey']} {ui('light.grey', lang)}", className="st grey"), html.P(ui("no_job", lang))], className="card grey")], className="crew", id="crew", **{"data-crew": crew_id})  # type: ignore[arg-type]
    return shell(f"{ui('crew', lang)} {crew_id}", lang, theme, f"/crew/{quote(crew_id)}", body, "crew")


def _cards(v: Verdict, lang: str) -> list[html.Article]:
    people = [(w, ui("permit", lang)) for w in v.workers] + [(g, ui("guard", lang)) for g in v.guardians]
    return [html.Article([html.Div([f"{LIGHT[v.light]} {ui(f'light.{v.light}', lang)}"], className=f"st {v.light}"), html.H3(who), html.P(f"{role} · {type_name(v.type, lang)}"),
                          html.P(html.A(f"{v.permit} · {v.point}", href=f"/permit/{quote(v.permit)}?lang={lang}")), html.P(v.why[lang], className="why"), barriers(v, lang)],
                         className=f"card {v.light}", **{"data-permit": v.permit, "data-who": who}) for who, role in people]  # type: ignore[arg-type] # fmt: skip
