"""Tokens shared by the stylesheet and the figures: grey is normal, colour only for what is not; luminance rises with risk in both themes."""

from __future__ import annotations

from typing import Any, Final

TOKENS: Final = {
    "light": {"bg": "#d3d6d9", "panel": "#e3e5e7", "line": "#b4b9be", "text": "#2b3035", "mute": "#565e66", "normal": "#8a9199", "area": "#c3c8cc",
              "p1": "#c1121f", "p2": "#b85a00", "p3": "#6f5f00", "ok": "#2f6b3d", "info": "#2f6f9f",
              "scale": [[0, "#e3e5e7"], [0.3, "#cdd1d5"], [0.5, "#b0b6bb"], [0.6, "#c9a64a"], [0.8, "#d9730d"], [1, "#8f0d18"]]},
    "dark": {"bg": "#1c2126", "panel": "#262c32", "line": "#3b434b", "text": "#dfe4e8", "mute": "#98a2ab", "normal": "#7d8790", "area": "#343c44",
             "p1": "#ff6b6d", "p2": "#ff9f1c", "p3": "#ffe066", "ok": "#7ac48b", "info": "#6cb6ff",
             "scale": [[0, "#262c32"], [0.3, "#333b43"], [0.5, "#48525b"], [0.6, "#7d6a35"], [0.8, "#ff9f1c"], [1, "#ff4d4f"]]},
}  # fmt: skip
FONT: Final = "Inter, 'Noto Sans SC', 'Noto Sans CJK SC', 'Microsoft YaHei', sans-serif"
GRAPH: Final = {"displayModeBar": False, "responsive": True, "displaylogo": False, "showSendToCloud": False, "plotlyServerURL": ""}


def tokens_css() -> str:
    """The tokens as CSS variables, light by default."""
    rules = []
    for theme, selector in (("light", ":root"), ("dark", ".dark")):
        pairs = ";".join(f"--{k}:{v}" for k, v in TOKENS[theme].items() if isinstance(v, str))
        rules.append(f"{selector}{{{pairs}}}")
    return "\n".join(rules)


def layout(theme: str, **more: Any) -> dict[str, Any]:
    """What every figure has in common."""
    c = TOKENS[theme]
    common = {"paper_bgcolor": c["panel"], "plot_bgcolor": c["panel"], "font": {"family": FONT, "size": 14, "color": c["text"]},
              "margin": {"l": 8, "r": 8, "t": 8, "b": 8}, "uirevision": "k", "showlegend": False, "transition": {"duration": 0}}  # fmt: skip
    return common | more
