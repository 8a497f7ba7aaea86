"""Data to figures: pure functions that return Plotly figures; no figure here needs WebGL, tiles or the network."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboards.theme import TOKENS, layout
from streams.outputs import Verdict
from streams.plant import Plant
from streams.texts import ui

SYMBOL = {"red": "square", "yellow": "triangle-up", "green": "circle", "grey": "circle-open"}


def safe(text: str) -> str:
    """Text for Plotly, which reads a little HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def local(ms: int, zone: str) -> str:
    """ISO local time without zone, as Plotly's date axes want it."""
    return dt.datetime.fromtimestamp(ms / 1000, ZoneInfo(zone)).replace(tzinfo=None).isoformat(timespec="milliseconds")


def plant_map(plant: Plant, risk: dict[str, int], lights: Mapping[str, tuple[str, str]], theme: str, lang: str) -> go.Figure:
    """Areas filled by risk and jobs as markers; `lights` is permit → (point, light)."""
    c = TOKENS[theme]
    fig = go.Figure()
    for a in plant.areas:
        r = risk.get(a.id, 0)
        name = a.zh if lang == "zh" else a.en
        fill = c["p1"] if r >= 80 else c["area"]
        fig.add_scatter(x=[a.x, a.x + a.w, a.x + a.w, a.x, a.x], y=[a.y, a.y, a.y + a.h, a.y + a.h, a.y], fill="toself", fillcolor=fill, mode="lines", hoveron="fills",
                        line={"width": 4 if r >= 50 else 1.5, "color": c["p2"] if 50 <= r < 80 else c["line"]}, text=f"{a.id} {safe(name)} · {r}", hoverinfo="text", customdata=[a.id] * 5)  # fmt: skip
    fig.add_scatter(x=[a.x + a.w / 2 for a in plant.areas], y=[a.y + a.h - 9 for a in plant.areas], mode="text", hoverinfo="skip",
                    text=[f"<b>{a.id}</b> {safe(a.zh if lang == 'zh' else a.en)}" + (f" <b>{risk[a.id]}</b>" if risk.get(a.id) else "") for a in plant.areas], textfont={"size": 12, "color": c["text"]})  # fmt: skip
    places = {p.id: p for p in plant.points}
    shown = [(places[point], light, permit) for permit, (point, light) in sorted(lights.items()) if point in places]
    colours = {"red": c["p1"], "yellow": c["p3"], "green": c["ok"], "grey": c["normal"]}
    fig.add_scatter(x=[p.x for p, _, _ in shown], y=[p.y for p, _, _ in shown], mode="markers", text=[f"{permit} · {p.id}" for p, _, permit in shown], hoverinfo="text",
                    customdata=[permit for _, _, permit in shown], marker={"size": 15, "symbol": [SYMBOL[light] for _, light, _ in shown], "color": [colours[light] for _, light, _ in shown], "line": {"width": 2, "color": c["bg"]}})  # fmt: skip
    fig.update_layout(**layout(theme), xaxis={"visible": False, "constrain": "domain"}, yaxis={"visible": False, "scaleanchor": "x", "autorange": "reversed"})
    return fig


def heatmap(plant: Plant, rows: list[dict[str, Any]], now: int, theme: str, lang: str) -> go.Figure:
    """Risk by area and hour of the last day; cells carry the number of jobs."""
    c, zone = TOKENS[theme], ZoneInfo(plant.timezone)
    hours = [dt.datetime.fromtimestamp(now / 1000, zone).replace(minute=0, second=0, microsecond=0) - dt.timedelta(hours=23 - i) for i in range(24)]
    index = {int(h.timestamp() * 1000): i for i, h in enumerate(hours)}
    names = [f"{a.id} {a.zh if lang == 'zh' else a.en}" for a in plant.areas]
    z, n = [[0.0] * 24 for _ in names], [[0] * 24 for _ in names]
    order = {a.id: i for i, a in enumerate(plant.areas)}
    for row in rows:
        if row["hour"] in index and row["area"] in order:
            z[order[row["area"]]][index[row["hour"]]], n[order[row["area"]]][index[row["hour"]]] = float(row["risk"]), int(row["jobs"])
    fig = go.Figure(go.Heatmap(z=z, x=list(range(24)), y=names, zmin=0, zmax=100, colorscale=c["scale"], xgap=2, ygap=2, showscale=False, customdata=n,
                               hovertemplate="%{y} · %{text}:00<br>" + ui("risk", lang) + " %{z:.0f} · " + ui("permits", lang) + " %{customdata}<extra></extra>", text=[[f"{h:%H}" for h in hours]] * len(names)))  # fmt: skip
    hot = [(r, h) for r, row in enumerate(z) for h, v in enumerate(row) if v >= 20]
    fig.add_scatter(x=[h for _, h in hot], y=[names[r] for r, _ in hot], mode="text", text=[f"<b>{z[r][h]:.0f}</b>" for r, h in hot], textfont={"size": 13, "color": c["text"]}, hoverinfo="skip")
    fig.update_layout(**layout(theme), yaxis={"autorange": "reversed", "ticksuffix": " ", "fixedrange": True}, xaxis={"tickmode": "array", "tickvals": list(range(0, 24, 2)), "ticktext": [f"{h:%H}" for h in hours[::2]], "fixedrange": True, "showgrid": False})  # fmt: skip
    return fig


def matrix(plant: Plant, counts: dict[str, dict[str, int]], theme: str, lang: str) -> go.Figure:
    """Jobs at work by area and family."""
    c = TOKENS[theme]
    families = ["hot", "confined", "height", "lift", "power", "dig", "road", "blind"]
    m = [[counts.get(a.id, {}).get(f, 0) for f in families] for a in plant.areas]
    fig = go.Figure(go.Heatmap(z=m, x=[ui(f"family.{f}", lang) for f in families], y=[a.id for a in plant.areas], colorscale=[[0, c["panel"]], [1, c["normal"]]], xgap=3, ygap=3,
                               showscale=False, zmin=0, zmax=5, text=[[v or "" for v in r] for r in m], texttemplate="%{text}", hoverinfo="skip"))  # fmt: skip
    fig.update_layout(**layout(theme), yaxis={"autorange": "reversed", "ticksuffix": " ", "fixedrange": True, "type": "category"}, xaxis={"side": "top", "fixedrange": True})
    return fig


def three_times(verdict: Verdict, plant: Plant, readings: list[dict[str, Any]], limits: dict[str, float], video: list[tuple[int, int]], now: int, theme: str, lang: str) -> go.Figure:
    """Gas, approval and video of one permit on one axis; every instant drawn as the interval in which it lies."""
    c, zone = TOKENS[theme], plant.timezone
    fig = make_subplots(rows=3, cols=1, shared_xaxes=True, row_heights=[0.52, 0.3, 0.18], vertical_spacing=0.03)
    for tag in sorted({r["tag"] for r in readings}):
        mine = [r for r in readings if r["tag"] == tag]
        fig.add_scatter(x=[local(r["t"], zone) for r in mine], y=[r["value"] for r in mine], mode="lines", connectgaps=False, line={"color": c["text"], "width": 2}, name=tag, row=1, col=1)
        if tag in limits:
            fig.add_hline(y=limits[tag], line={"color": c["p1"], "width": 1.5, "dash": "dash"}, annotation_text=f"{ui('limit', lang)} {limits[tag]:.3g}", annotation_font_color=c["p1"], row=1, col=1)
    marks = {"Tg": ui("mark.Tg", lang), "Ta": ui("mark.Ta", lang), "Ts": ui("mark.Ts", lang), "Te": ui("mark.Te", lang), "Tc": ui("mark.Tc", lang)}
    for key, (lo, hi) in sorted(verdict.times.items(), key=lambda kv: kv[1]):
        label = marks.get(key, marks["Tg"])
        wide = max(hi - lo, 20_000)
        fig.add_bar(y=[label], x=[wide], base=[local(lo - (wide - (hi - lo)) // 2, zone)], orientation="h", marker={"color": c["info"]}, row=2, col=1,
                    hovertext=f"{label} {local(lo, zone)[11:19]} ± {(hi - lo) / 2000:g} s", hoverinfo="text")  # fmt: skip
    for a, b in video:
        fig.add_bar(y=[ui("video", lang)], x=[b - a], base=[local(a, zone)], orientation="h", marker={"color": c["ok"]}, hovertext=f"{local(a, zone)[11:19]} – {local(b, zone)[11:19]}", hoverinfo="text", row=3, col=1)
    for key in ("Ta", "Ts", "Te"):
        if key in verdict.times:
            fig.add_vline(x=local(sum(verdict.times[key]) // 2, zone), line={"color": c["mute"], "width": 1, "dash": "dot"})
    start = min([v[0] for v in verdict.times.values()] + [now]) - 300_000
    fig.update_layout(**layout(theme), barmode="overlay", hovermode="closest")
    fig.update_xaxes(type="date", tickformat="%H:%M", gridcolor=c["line"], range=[local(start, zone), local(max(now, start + 1_800_000), zone)])
    fig.update_yaxes(gridcolor=c["line"])
    return fig


def radar(axes: list[str], values: list[float], limit: float, theme: str) -> go.Figure:
    """An area's dimensions, 0–100, outside is good; the dashed line is what is wanted."""
    c = TOKENS[theme]
    ring, bad = [*axes, axes[0]], [i for i, v in enumerate(values) if v < limit]
    fig = go.Figure()
    fig.add_scatterpolar(r=[limit] * len(ring), theta=ring, mode="lines", line={"color": c["mute"], "width": 2, "dash": "dash"}, hoverinfo="skip")
    fig.add_scatterpolar(r=[*values, values[0]], theta=ring, mode="lines+markers", fill="toself", fillcolor="rgba(120,130,140,.28)", line={"color": c["text"], "width": 2.5})
    fig.add_scatterpolar(r=[values[i] for i in bad], theta=[axes[i] for i in bad], mode="markers+text", marker={"size": 15, "symbol": "square", "color": c["p1"]},
                         text=[f"{values[i] - limit:+.0f}" for i in bad], textposition="top center", textfont={"size": 15, "color": c["p1"]})  # fmt: skip
    fig.update_layout(**layout(theme, margin={"l": 70, "r": 70, "t": 34, "b": 30}), polar={"bgcolor": c["panel"], "gridshape": "linear", "radialaxis": {"range": [0, 100], "showticklabels": False, "gridcolor": c["line"], "showline": False}, "angularaxis": {"gridcolor": c["line"], "rotation": 90, "direction": "clockwise"}})  # fmt: skip
    return fig
