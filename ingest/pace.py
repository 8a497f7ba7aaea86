"""How fast a flood goes on: no faster than the judge takes it, so that what comes beside it is judged at once."""

from __future__ import annotations

import http.client
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Struct

FEW: Final = 20
"""So many messages of a source are no flood."""
WINDOW: Final = 300
"""Messages that may be on their way to the judge before a flood waits."""
EVERY: Final = 0.02
"""Seconds between two questions."""
AGAIN: Final = 2.0
"""Seconds after which somebody who did not answer is asked again."""
STILL: Final = 0.5
"""Seconds without a step forward after which what is on its way will not come, if the judge's clock is up to date: it was refused on the way."""
HOLDS: Final = 10.0
"""The same, if the judge is late."""
LATE: Final = 1500
"""ms by which the judge's clock may be behind and count as up to date: it is told the time once a second."""


class Reached(Struct, frozen=True):
    """How far the judge of a site is: raw topic → the offset of the last message that it judged; ms by which it is behind."""

    judged: Mapping[str, int]
    behind: int


class _Health(Struct):
    sites: dict[str, int] = {}
    judged: dict[str, dict[str, int]] = {}


def ask(site: str, deciders: list[str]) -> Reached | None:
    """What the judge of a site says of itself; None: nobody here judges it, or nobody answers."""
    for address in deciders:
        try:
            with urllib.request.urlopen(f"{address}/healthz", timeout=0.3) as answer:
                said = msgspec.json.decode(answer.read(), type=_Health)
        except (OSError, ValueError, msgspec.MsgspecError, http.client.HTTPException):
            continue
        if site in said.sites:
            return Reached(said.judged.get(site, {}), said.sites[site])
    return None


@dataclass
class Pace:
    """What was sent, held against what the judge has taken. Without anybody to ask nothing is held back: Kafka keeps it."""

    ask: Callable[[], Reached | None] = lambda: None
    sent: dict[str, int] = field(default_factory=dict)
    """Topic → the offset of the last message that was sent."""
    known: Reached | None = None
    due: float = 0.0
    open: dict[str, int] = field(default_factory=dict)
    moved: float = 0.0

    def went(self, topic: str, offset: int) -> None:
        """Kafka has a message."""
        self.sent[topic] = offset

    def room(self, most: int, now: float) -> int:
        """How many messages of floods may go now (s), at most `most`."""
        if now >= self.due:
            self.known = self.ask()
            self.due = time.monotonic() + (EVERY if self.known else AGAIN)
        if self.known is None:
            return most
        before, self.open = self.open, {t: at for t, at in self.known.judged.items() if at < self.sent.get(t, at)}
        on_its_way = sum(self.sent[t] - at for t, at in self.open.items())
        if on_its_way < WINDOW or self.open != before:
            self.moved = now
        elif now - self.moved > (STILL if self.known.behind <= LATE else HOLDS):
            self.sent.clear()
            return most
        return max(0, min(most, WINDOW - on_its_way))
