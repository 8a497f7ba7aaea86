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
"""Messages that may be on their way to the judge, at most, before a flood waits."""
AHEAD: Final = 0.3
"""Seconds of his work that may be on their way: what comes beside a flood waits no longer for him."""
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
    clock: Callable[[], float] = time.monotonic
    sent: dict[str, int] = field(default_factory=dict)
    """Topic → the offset of the last message that was sent."""
    known: Reached | None = None
    asked: float = 0.0
    due: float = 0.0
    window: float = WINDOW
    moved: float = 0.0

    def went(self, topic: str, offset: int) -> None:
        """Kafka has a message."""
        self.sent[topic] = offset

    def room(self, most: int) -> int:
        """How many messages of floods may go now, at most `most`."""
        now = self.clock()
        if now >= self.due:
            self._look(now)
        if self.known is None:
            return most
        on_its_way = self._on_its_way(self.known)
        if on_its_way >= self.window and now - self.moved > (STILL if self.known.behind <= LATE else HOLDS):
            self.sent.clear()
            return most
        return max(0, min(most, int(self.window) - on_its_way))

    def _on_its_way(self, known: Reached) -> int:
        return sum(max(0, self.sent[t] - at) for t, at in known.judged.items() if t in self.sent)

    def _look(self, now: float) -> None:
        """Asks how far he is, and makes the window as wide as what he did since he was last asked."""
        before, since = self.known, now - self.asked
        self.known = self.ask()
        self.asked, self.due = now, self.clock() + (EVERY if self.known else AGAIN)
        if self.known is None or before is None:
            return
        took = sum(max(0, at - before.judged.get(t, at)) for t, at in self.known.judged.items() if t in self.sent)
        open_ = self._on_its_way(self.known)
        if took or not open_:
            self.moved = now
        if open_ >= FEW and since > 0:
            self.window += 0.2 * (min(WINDOW, max(FEW, AHEAD * took / since)) - self.window)
        elif open_ < FEW:
            self.window = min(WINDOW, 1.5 * self.window)
