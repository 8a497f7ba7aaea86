"""Fan-out: one producer per process, many subscribers who hold only a cursor; states conflate, logs never drop silently."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec

encode = msgspec.json.encode


class Topic:
    """A live topic: a state keeps its latest frame, a log its last 200."""

    def __init__(self, kind: Literal["state", "log"]) -> None:
        self.kind = kind
        self.seq = 0
        self.ring: deque[tuple[int, bytes]] = deque(maxlen=1 if kind == "state" else 200)


class Hub:
    """Serialises each frame once; a slow reader costs a cursor."""

    def __init__(self, **topics: Literal["state", "log"]) -> None:
        self.topics = {name: Topic(kind) for name, kind in topics.items()}
        self.wakers: set[asyncio.Event] = set()

    def publish(self, name: str, data: Any) -> None:
        topic = self.topics[name]
        topic.seq += 1
        body = encode({"topic": name, "seq": topic.seq, "sent": time.time(), "data": data})
        topic.ring.append((topic.seq, b"event: %s\ndata: %s\n\n" % (topic.kind.encode(), body)))
        for waker in self.wakers:
            waker.set()

    async def stream(self, names: list[str], beat: float = 2.0) -> AsyncIterator[bytes]:
        """Server-sent events of some topics, with a beat when nothing happens."""
        waker = asyncio.Event()
        self.wakers.add(waker)
        cursors = dict.fromkeys(names, 0)
        try:
            yield b"retry: 2000\n\n"
            while True:
                for frame in self._fresh(cursors):
                    yield frame
                waker.clear()
                if any(cursors[n] != self.topics[n].seq for n in names):
                    continue
                try:
                    await asyncio.wait_for(waker.wait(), beat)
                except TimeoutError:
                    yield b'event: beat\ndata: {"sent":%f}\n\n' % time.time()
        finally:
            self.wakers.discard(waker)

    def _fresh(self, cursors: dict[str, int]) -> list[bytes]:
        out = []
        for name, cursor in cursors.items():
            topic = self.topics[name]
            if not topic.ring or cursor == topic.seq:
                continue
            first = topic.ring[0][0]
            if topic.kind == "log" and cursor and first > cursor + 1:
                out.append(b"event: gap\ndata: %s\n\n" % encode({"topic": name, "lost": first - cursor - 1}))
            out += [frame for seq, frame in topic.ring if seq > cursor]
            cursors[name] = topic.seq
        return out
