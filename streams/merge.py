"""One order from many topics: a live site's entries as they come, a virtual site's when every topic has reached its tick. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from streams.events import Entry, Tick
from streams.times import EVER
from streams.topics import RAW, SITE

LANES = tuple(t.name for t in RAW)


class Virtual:
    """A site whose player drives the clock: every second a tick in site.events; an entry of another topic says how far that has come, and where it is idle for long, a mark does."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.marks: dict[str, int] = {}
        self.ended = False
        self.waiting: dict[str, deque[Entry]] = {name: deque() for name in LANES}
        self.reached: dict[str, int] = dict.fromkeys(LANES, 0)

    def add(self, entry: Entry) -> Iterator[Entry]:
        """Takes an entry; yields what may now go, in order, each second closed by its tick."""
        self.waiting[entry.topic].append(entry)
        if isinstance(entry.event, Tick) or entry.topic != SITE.name:
            self.marks[entry.topic] = entry.offset
            self.reached[entry.topic] = max(self.reached[entry.topic], _moment(entry) if isinstance(entry.event, Tick) else entry.seen - 1)
            yield from self._release()

    def _release(self) -> Iterator[Entry]:
        slowest = min(self.reached.values())
        own = self.waiting[SITE.name]
        while tick := next((e for e in own if isinstance(e.event, Tick)), None):
            second = tick.event
            if not isinstance(second, Tick) or second.at > slowest:
                return
            for name in LANES:
                if name != SITE.name:
                    yield from self._before(self.waiting[name], EVER if second.last else second.at)
            while (entry := own.popleft()) is not tick:
                yield entry
            self.ended = self.ended or second.last
            yield tick

    @staticmethod
    def _before(queue: deque[Entry], at: int) -> Iterator[Entry]:
        """Takes from a topic what came not after a moment; its own marks are dropped."""
        while queue and _moment(queue[0]) <= at:
            entry = queue.popleft()
            if not isinstance(entry.event, Tick):
                yield entry

    def needed(self, topic: str) -> int | None:
        """The first offset of a topic that a successor must read again: what still waits, and what last said how far the topic has come."""
        queue, mark = self.waiting[topic], self.marks.get(topic)
        first = queue[0].offset if queue else None
        return mark if first is None else (first if mark is None else min(first, mark))


def _moment(entry: Entry) -> int:
    """When an entry came by its player's clock (ms)."""
    return entry.event.at if isinstance(entry.event, Tick) else entry.seen
