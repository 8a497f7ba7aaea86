"""/wall: the director's view: how many, where, how risky, and what is wrong right now."""

from __future__ import annotations

import time
from typing import Any

from dash import html

from dashboards.figures import heatmap, matrix, plant_map
from dashboards.pages import clean, live
from dashboards.parts import alert_item, graph, message, shell, tile
from streams.plant import plant_terms
from streams.texts import ui


async def layout(lang: str = "zh", theme: str = "light", **_: Any) -> html.Div:
    lang, theme = clean(lang, theme)
    here = live()
    plant, board = here.plant, here.board
    if plant is None:
        return message(ui("waiting", lang), lang, theme, "/wall")
    said, now = board.summary(), int(time.time() * 1000)
    lights = {v.permit: (v.point, v.light) for v in board.at_work()}
    tiles = html.Section([
        tile(ui("active", lang), "n-active", said["active"]), tile(ui("unacknowledged", lang), "n-p1", said["unacknowledged"], "■ ", "p1"), tile("P2", "n-p2", said["p"]["2"], "◆ ", "p2"),
        tile("P3", "n-p3", said["p"]["3"], "▲ ", "p3"), tile(ui("areas_at_risk", lang), "n-risk", sum(r >= 50 for r in said["risk"].values())), tile(ui("people", lang), "n-people", said["people"]),
    ], className="kpis")  # fmt: skip
    feed = html.Ul([alert_item(a, lang, plant.timezone) for a in board.standing()[:50]], id="feed", className="feed")
    panels = html.Main([
        html.Div([html.H2(ui("map", lang)), graph("map", plant_map(plant, said["risk"], lights, theme, lang))], className="panel map"),
        html.Div([html.H2(ui("heat", lang)), graph("heat", heatmap(plant, here.heat, now, theme, lang))], className="panel heat"),
        html.Div([html.H2(ui("matrix", lang)), graph("matrix", matrix(plant, said["matrix"], theme, lang))], className="panel mat"),
        html.Div([html.H2(ui("feed", lang)), feed], className="panel feedp"),
    ], className="wall")  # fmt: skip
    waived = [html.Section([html.Li(f"▲ {ui('waiver', lang, what=w.key, until=w.until, by=w.by, reason=w.reason)}", className="al p3") for w in plant_terms(plant).pack.waivers], className="panel waivers", id="waivers")] \
        if plant_terms(plant).pack.waivers else []  # fmt: skip
    return shell(f"{plant.zh if lang == 'zh' else plant.en} · {ui('brand', lang)}", lang, theme, "/wall", [tiles, *waived, panels], "wall")
