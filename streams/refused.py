"""Each source's latest refusals, kept by the steps that refuse and told to whoever sent them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from aiohttp import web

from streams.desk import Desk
from streams.outputs import DeadLetter
from streams.topics import DEAD

LATEST: Final = 50
LONGEST: Final = 400


class Refused:
    """The latest refusals of each source of each site."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], deque[DeadLetter]] = {}

    def add(self, letter: DeadLetter) -> None:
        self.kept.setdefault((letter.site, letter.source), deque(maxlen=LATEST)).append(letter)

    def refill(self, raws: Iterable[bytes], mine: Callable[[DeadLetter], bool]) -> None:
        """What dead.letters held when the step began, as far as this step had refused it."""
        for raw in raws:
            try:
                letter = msgspec.json.decode(raw, type=DeadLetter)
            except msgspec.DecodeError:
                continue
            if mine(letter):
                self.add(letter)

    async def recall(self, desk: Desk, partition: int, mine: Callable[[DeadLetter], bool]) -> None:
        """The latest dead letters of a partition with which a step begins."""
        self.refill([r.value for r in await desk.tail(DEAD, partition, 2000) if r.value], mine)

    def of(self, site: str, source: str) -> list[dict[str, Any]]:
        """The latest first: when, why, where it lay, and the beginning of its bytes."""
        mine = self.kept.get((site, source), ())
        return [
            {"at": d.at, "reason": d.reason, "detail": d.detail, "topic": d.topic, "partition": d.partition, "offset": d.offset, "raw": d.raw[:LONGEST].decode("utf-8", "replace")}
            for d in reversed(mine)
        ]

    async def answer(self, request: web.Request) -> web.Response:
        """GET /refused?site&source."""
        return web.json_response({"refused": self.of(request.query.get("site", ""), request.query.get("source", ""))})
