"""/me: a worker's phone: three things at the most, large, no pop-ups."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.pages import clean, live
from dashboards.parts import LIGHT, clock, shell, type_name
from streams.texts import ui


async def layout(worker: str = "", lang: str = "zh", theme: str = "light", **_: Any) -> html.Div:
    lang, theme = clean(lang, theme)
    here = live()
    zone = here.plant.timezone if here.plant else "Asia/Shanghai"
    mine = [v for v in here.board.jobs() if worker in v.workers or worker in v.guardians]
    permits = {v.permit for v in mine}
    alerts = [a for a in here.board.standing() if a.permit in permits and a.priority <= 2]
    items = [html.Li([html.B("■ "), ui("todo.stop", lang, text=a.text[lang]), html.Small(f" {clock(a.raised, zone)} · {a.advice[lang]}")], className="stop") for a in alerts[:2]]
    items += [html.Li([html.B(f"{LIGHT[v.light]} "), ui("todo.ticket", lang, permit=f"{v.permit} {type_name(v.type, lang)} {v.point}", status=ui(f"light.{v.light}", lang), why=v.why[lang]),
                       html.Small(" " + ui("todo.expiry", lang, at=clock(v.valid_to, zone)[:5]))]) for v in mine]  # fmt: skip
    empty = ui("nothing", lang) if worker else ui("choose", lang)
    body = html.Main([html.H2(ui("todo", lang)), html.Ul(items[:3] or [html.Li(empty)], className="todos", id="todos", **{"data-worker": worker})], className="phone")  # type: ignore[arg-type]
    return shell(worker or "—", lang, theme, "/me", body, "me")
