"""One file a page: layout only; what changes is live.js's business."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dashboards.live import Live

LIVE: list[Live] = []
"""The process's live source, set once by the application."""


def live() -> Live:
    return LIVE[0]


def clean(lang: str, theme: str) -> tuple[str, str]:
    """Only known languages and themes."""
    return ("en" if lang == "en" else "zh"), ("dark" if theme == "dark" else "light")
