"""/evidence?ref=topic/source/lane/seq: the raw message, as it came."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.pages import clean, live
from dashboards.parts import message, shell
from sql.store import StoreError
from streams.texts import ui


async def layout(ref: str = "", lang: str = "zh", theme: str = "light", **_: Any) -> html.Div:
    lang, theme = clean(lang, theme)
    topic, _slash, rest = ref.partition("/")
    source, _slash, tail = rest.partition("/")
    lane, _slash, seq = tail.partition("/")
    if not seq.isdigit():
        return message(ui("not_found", lang, what=ref), lang, theme, "/evidence")
    try:
        rows = await live().ask("raw_message", topic=topic, source=source, lane=lane, seq=int(seq))
    except StoreError:
        return message(ui("store_away", lang), lang, theme, "/evidence")
    if not rows:
        return message(ui("not_found", lang, what=ref), lang, theme, "/evidence")
    row = rows[0]
    facts = [html.P(f"{k} = {row[k]}") for k in ("topic", "partition", "offset", "arrived")]
    return shell(f"{ui('raw', lang)} {ref}", lang, theme, "/evidence", html.Main([html.Div([*facts, html.Pre(row["body"], id="raw")], className="panel")], className="evidence"))
