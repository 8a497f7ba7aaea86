"""One order from many topics: a live site's entries as they come, a virtual site's when every topic has reached its tick. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from streams.events import Entry, Tick
from streams.topics import RAW

LANES = tuple(t.name for t in RAW)


class Virtual:
    """A site whose player writes each tick to every raw topic."""

    def __init__(self) -> None:
        self.waiting: dict[str, deque[Entry]] = {name: deque() for name in LANES}
        self.ticks: dict[str, deque[int]] = {name: deque() for name in LANES}

    def add(self, entry: Entry) -> Iterator[Entry]:
        """Takes an entry; yields what may now go, in order, each second closed by its tick."""
        self.waiting[entry.topic].append(entry)
        if isinstance(entry.event, Tick):
            self.ticks[entry.topic].append(entry.event.at)
            yield from self._release()

    def _release(self) -> Iterator[Entry]:
        while all(self.ticks.values()):
            at = min(ticks[0] for ticks in self.ticks.values())
            last: Entry | None = None
            for name in LANES:
                if self.ticks[name][0] != at:
                    continue
                self.ticks[name].popleft()
                queue = self.waiting[name]
                while not isinstance(queue[0].event, Tick):
                    yield queue.popleft()
                last = queue.popleft()
            if last is not None:
                yield last

    def oldest(self) -> dict[tuple[str, int], int]:
        """The first offset still waiting in each (topic, partition)."""
        return {(name, q[0].partition): q[0].offset for name, q in self.waiting.items() if q}
