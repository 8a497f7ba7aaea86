"""/permit/<id>: gas, approval and video on one time axis, the verdict in words, and every fact down to its raw message."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import quote

from dash import html

from dashboards.figures import three_times
from dashboards.pages import clean, live
from dashboards.parts import LIGHT, barriers, clock, evidence_links, graph, message, shell, to_ms, type_name
from sql.store import StoreError
from streams import wall
from streams.atlas import atlas_of
from streams.gases import limit_of
from streams.outputs import Verdict
from streams.plant import Plant, plant_terms
from streams.rules.limits import CONFINED
from streams.texts import ui

MARK = {"consistent": "●", "violation": "■", "indeterminate": "▲", "pending": "○"}


async def layout(permit_id: str = "", lang: str = "zh", theme: str = "light", **_: Any) -> html.Div:
    lang, theme = clean(lang, theme)
    here = live()
    verdict, plant = here.board.verdicts.get(permit_id), here.plant
    if verdict is None or plant is None:
        return message(ui("not_found", lang, what=permit_id), lang, theme, f"/permit/{quote(permit_id)}")
    facts, alerts, figure, away = await _history(verdict, plant, theme, lang)
    checks = [html.Li([html.B(f"{MARK[c.outcome]} {name} {ui(f'outcome.{c.outcome}', lang)} "), c.text[lang]], className=f"o {c.outcome}") for name, c in sorted(verdict.checks.items())]
    point = atlas_of(plant).points.get(verdict.point)
    untold = [html.P(f"▲ {ui('toxics_untold', lang)}", className="o indeterminate", id="toxics-untold")] if verdict.type == CONFINED and point is not None and not point.toxics else []
    head = html.Section([html.Div(f"{LIGHT[verdict.light]} {ui(f'light.{verdict.light}', lang)} · {verdict.why[lang]}", className=f"st {verdict.light}"), barriers(verdict, lang),
                         html.Div([html.B(ui("verdict", lang) + ": "), html.Span(f"{MARK[verdict.outcome]} {ui(f'outcome.{verdict.outcome}', lang)}", id="outcome")], className=f"o {verdict.outcome}"), *untold], className="panel head")  # fmt: skip
    body = html.Main([
        head, html.Div([graph("times", figure)] if figure else [html.P(away, className="empty")], className="panel times"),
        html.Div([html.H2(ui("verdict", lang)), html.Ul(checks, className="checks")], className="panel"),
        html.Div([html.H2(ui("alerts", lang)), html.Ul(alerts, className="feed still")], className="panel"),
        html.Div([html.H2(ui("facts", lang)), html.Table(html.Tbody(facts))], className="panel facts"),
    ], className="permit", **{"data-permit": permit_id})  # type: ignore[arg-type] # fmt: skip
    return shell(f"{permit_id} · {type_name(verdict.type, lang)} · {verdict.point}", lang, theme, f"/permit/{quote(permit_id)}", body, "permit")


async def _history(v: Verdict, plant: Plant, theme: str, lang: str) -> tuple[list[Any], list[Any], Any, str]:
    here, now = live(), wall.now()
    atlas = atlas_of(plant)
    point = atlas.points.get(v.point)
    tags = list(point.detectors) if point else []
    marks = [m[0] for m in v.times.values()] or [now]
    since, until = min(marks) - 600_000, min(now, max([*marks, now if v.status in ("active", "issued", "requested", "suspended") else 0]) + 600_000)
    limits = {t: m.high for t in tags if (m := limit_of(atlas.channels[t], plant_terms(plant))) and m.high}
    try:
        rows = await here.ask("readings_of_tags", site=v.site, tags=tags, since=_utc(since), until=_utc(until), step=max(1, (until - since) // 600_000))
        facts = await here.ask("facts_of_permit", site=v.site, permit=v.permit)
        alerts = await here.ask("alerts_of_permit", site=v.site, permit=v.permit)
        film = await here.ask("video_of_cameras", site=v.site, cameras=list(point.cameras) if point else [], since=_utc(since), until=_utc(until))
    except StoreError:
        return [], [], None, ui("store_away", lang)
    readings = [{"tag": r["tag"], "t": to_ms(r["t"]), "value": r["value"]} for r in rows]
    figure = three_times(v, plant, readings, limits, [(to_ms(r["since"]), to_ms(r["until"])) for r in film], now, theme, lang)
    return [_fact(f, lang, plant.timezone) for f in facts], [_alert(a, lang, plant.timezone) for a in alerts], figure, ""


def _fact(f: dict[str, Any], lang: str, zone: str) -> html.Tr:
    return html.Tr([html.Td(clock(to_ms(f["at"]), zone, day=True)), html.Td(f["kind"]), html.Td(html.Code(f["body"][:160])), html.Td(html.A(ui("raw", lang), href=f"/evidence?ref={quote(f['ref'])}&lang={lang}"))])


def _alert(a: dict[str, Any], lang: str, zone: str) -> html.Li:
    return html.Li([html.A(f"P{a['priority']} {a['code']}", href=f"/alert?id={quote(a['id'])}&lang={lang}", className=f"pri p{a['priority']}"), html.Span(f"{clock(to_ms(a['start']), zone)} {ui('state.' + a['state'], lang)}", className="t"), html.Span([a[lang], " "], className="m"),
                    html.Small([f"{a['edition']} {a['clause']} ({a['confidence']}) ", *evidence_links(a["evidence"], lang)])], className=f"al p{a['priority']} {a['state']}")  # fmt: skip


def _utc(ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).replace(tzinfo=None)

