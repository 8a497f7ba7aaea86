"""/shop/<id>: the workshop head's jobs, the worst first."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from dash import html

from dashboards.pages import clean, live
from dashboards.parts import LIGHT, barriers, clock, message, shell, type_name
from streams.outputs import Verdict
from streams.texts import ui


async def layout(shop_id: str = "", lang: str = "zh", theme: str = "light", **_: Any) -> html.Div:
    lang, theme = clean(lang, theme)
    plant = live().plant
    shop = next((s for s in plant.shops if s.id == shop_id), None) if plant else None
    if plant is None or shop is None:
        return message(ui("not_found", lang, what=shop_id), lang, theme, f"/shop/{quote(shop_id)}")
    jobs = live().board.jobs(shop=shop_id)
    head = html.Thead(html.Tr([html.Th(x) for x in ("", ui("permit", lang), ui("type", lang), ui("point", lang), ui("crew", lang), ui("status", lang), ui("barriers", lang), ui("verdict", lang))]))
    others = [html.A(s.zh if lang == "zh" else s.en, href=f"/shop/{s.id}?lang={lang}&theme={theme}", className="on" if s.id == shop_id else "") for s in plant.shops]
    table = html.Table([head, html.Tbody([_row(v, lang, plant.timezone) for v in jobs], id="jobs", **{"data-shop": shop_id})])  # type: ignore[arg-type]
    empty = [] if jobs else [html.P(ui("no_job", lang), className="empty")]
    return shell(f"{shop.zh if lang == 'zh' else shop.en} · {ui('permits', lang)}", lang, theme, f"/shop/{shop_id}", html.Main([html.Nav(others, className="tabs"), html.Div([table, *empty], className="panel")], className="shop"), "shop")


def _row(v: Verdict, lang: str, zone: str) -> html.Tr:
    return html.Tr([html.Td(f"{LIGHT[v.light]} {ui(f'light.{v.light}', lang)}", className=f"light {v.light}"), html.Td(html.A(v.permit, href=f"/permit/{quote(v.permit)}?lang={lang}")), html.Td(type_name(v.type, lang)),
                    html.Td(v.point), html.Td(html.A(v.crew, href=f"/crew/{quote(v.crew)}?lang={lang}")), html.Td(f"{v.why[lang]} · → {clock(v.valid_to, zone)[:5]}"), html.Td(barriers(v, lang)),
                    html.Td(ui(f"outcome.{v.outcome}", lang), className=f"o {v.outcome}")], **{"data-permit": v.permit})  # type: ignore[arg-type] # fmt: skip
