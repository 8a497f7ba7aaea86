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
AGAIN: Final = 0.5
"""Seconds after which somebody who did not answer is asked again."""
PATIENCE: Final = 0.2
"""Seconds for an answer: everybody's messages wait so long."""
STILL: Final = 2.0
"""Seconds without a step forward in a topic after which what is on its way there will not come, if the judge's clock is up to date: it was refused on the way."""
HOLDS: Final = 10.0
"""The same, if the judge is late."""
LATE: Final = 1500
"""ms by which the judge's clock may be behind and count as up to date: it is told the time once a second."""


class Taken(Struct, frozen=True):
    """How far the judge of a site is: raw topic → the offset of the last message that it judged; ms by which it is behind."""

    judged: Mapping[str, int]
    behind: int


class _Health(Struct):
    sites: dict[str, int] = {}
    judged: dict[str, dict[str, int]] = {}


class Busy(Exception):
    """The judge is there and does not answer."""


OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(site: str, deciders: list[str]) -> Taken | None:
    """What the judge of a site says of itself; None: nobody here judges it. Raises Busy."""
    busy = False
    for address in deciders:
        try:
            with OPENER.open(f"{address}/healthz", timeout=PATIENCE) as answer:
                said = msgspec.json.decode(answer.read(), type=_Health)
        except (OSError, ValueError, msgspec.MsgspecError, http.client.HTTPException) as wrong:
            busy = busy or isinstance(getattr(wrong, "reason", wrong), TimeoutError)
            continue
        if site in said.sites:
            return Taken(said.judged.get(site, {}), said.sites[site])
    if busy:
        raise Busy
    return None


@dataclass
class Pace:
    """What was sent, held against what the judge has taken. Without anybody to ask nothing is held back: Kafka keeps it."""

    ask: Callable[[], Taken | None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    sent: dict[str, int] = field(default_factory=dict)
    """Topic → the offset of the last message that was sent."""
    moved: dict[str, float] = field(default_factory=dict)
    """Topic → when the judge was last seen to move in it, or to have all of it."""
    known: Taken | None = None
    heard: float = 0.0
    asked: float = 0.0
    due: float = 0.0
    window: float = WINDOW

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
        return max(0, min(most, int(self.window) - self._on_its_way(self.known)))

    def _on_its_way(self, known: Taken) -> int:
        return sum(max(0, self.sent[t] - at) for t, at in known.judged.items() if t in self.sent)

    def _look(self, now: float) -> None:
        """Asks how far he is."""
        before, since, self.asked = self.known, now - self.asked, now
        try:
            self.known = self.ask()
            self.heard = now
        except Busy:
            self.known = before if now - self.heard < HOLDS else None
            self.due = self.clock() + AGAIN
            return
        self.due = self.clock() + (EVERY if self.known else AGAIN)
        if self.known is not None:
            self._forget(now, self.known, before)
            self._widen(self.known, before, since)

    def _forget(self, now: float, known: Taken, before: Taken | None) -> None:
        """What stands still in a topic for too long will not come, and holds nobody."""
        for topic, sent in list(self.sent.items()):
            at = known.judged.get(topic)
            if at is None or at >= sent or before is None or at != before.judged.get(topic):
                self.moved[topic] = now
            elif now - self.moved.setdefault(topic, now) > (STILL if known.behind <= LATE else HOLDS):
                del self.sent[topic], self.moved[topic]

    def _widen(self, known: Taken, before: Taken | None, since: float) -> None:
        """Makes the window as wide as what he did since he was last asked."""
        on_its_way = self._on_its_way(known)
        if on_its_way < FEW:
            self.window = min(WINDOW, 1.5 * self.window)
        elif before is not None and since > 0:
            took = sum(max(0, at - before.judged.get(t, at)) for t, at in known.judged.items() if t in self.sent)
            self.window += 0.2 * (min(WINDOW, max(FEW, AHEAD * took / since)) - self.window)
