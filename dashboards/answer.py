"""What people do about an alert from a screen: checked here, sent through ingest's door as the event it is, refused with a sentence."""

from __future__ import annotations

import os
import re
from typing import Any

import httpx
from msgspec import Struct

from dashboards.board import Board
from streams import wall
from streams.life import LONGEST_SHELF
from streams.outputs import Alert
from streams.rules import RULES
from streams.texts import ui

OFFERED = {
    "raised": ("acknowledge", "start", "shelve"), "acknowledged": ("start", "resolve", "shelve"), "in_progress": ("resolve", "shelve"), "shelved": ("unshelve",),
    "cleared": ("verify", "close"), "verified": ("close",),
}  # fmt: skip
"""What may follow a state."""
FLEETING = frozenset(r.code for r in RULES if r.fleeting)
TOKEN = "PERMITWATCH_TOKEN_OPERATOR"
NAME = re.compile(r"[\w.-]{1,40}")
MINUTE = 60_000


class Answer(Struct, forbid_unknown_fields=True):
    """What the browser sends. `minutes`: for how long to shelve."""

    alert: str
    action: str
    by: str
    note: str = ""
    minutes: int = 0


def offered(alert: Alert) -> tuple[str, ...]:
    """The steps that a person may take; none where this process was given no right to answer, or where the kernel has let go of what is over."""
    if not os.environ.get(TOKEN) or (alert.end is not None and alert.code in FLEETING):
        return ()
    return OFFERED.get(alert.state, ())


def wrong_with(answer: Answer, alert: Alert | None, lang: str) -> str:
    """What is wrong with an answer, in words; empty if nothing is."""
    if alert is None:
        return ui("not_found", lang, what=answer.alert)
    if not os.environ.get(TOKEN):
        return ui("answer.off", lang)
    if answer.action not in offered(alert):
        return ui("answer.late", lang, state=ui(f"state.{alert.state}", lang))
    if not NAME.fullmatch(answer.by):
        return ui("answer.who", lang)
    if answer.action == "shelve" and not answer.note.strip():
        return ui("answer.reason", lang)
    if answer.action == "shelve" and not 0 < answer.minutes * MINUTE <= LONGEST_SHELF:
        return ui("answer.shelf", lang, most=LONGEST_SHELF // MINUTE)
    return ""


async def give(answer: Answer, board: Board, lang: str) -> tuple[int, str]:
    """(HTTP status, what to show): 202 once the door has taken it."""
    if wrong := wrong_with(answer, board.alerts.get(answer.alert), lang):
        return 422, wrong
    now = wall.now()
    event: dict[str, Any] = {"at": now, "alert": answer.alert, "action": answer.action, "by": answer.by, "note": answer.note.strip()}
    if answer.action == "shelve":
        event["until"] = now + answer.minutes * MINUTE
    door, token = os.environ.get("PERMITWATCH_DOOR", "http://127.0.0.1:8090"), os.environ[TOKEN]
    try:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            said = await client.post(f"{door}/events/action", json=event, headers={"authorization": f"Bearer {token}"})
    except httpx.HTTPError:
        return 503, ui("answer.door", lang)
    return (202, ui("answer.taken", lang)) if said.status_code == 202 else (502, f"{ui('answer.refused', lang)} {said.text[:200]}")
