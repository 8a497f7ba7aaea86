"""A device's clock held against ours: what every reading of it allows, and when what they allow together is worth saying."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from zoneinfo import ZoneInfo

from streams.events import ClockSaid
from streams.plant import ClockRegister

FADES = 1 / 3_600_000
"""By how many ms a ms a clock may drift while it is not read: a second an hour, as `streams.clocks` takes it."""
ANEW = 600_000
"""What stands is said again so often (ms), so that its error does not grow."""
FINER = 2
"""And as soon as it is known so many times more finely."""


class Clock:
    """One device's clock. Each reading bounds its offset (device − ours) from both sides; their intersection is the offset, until a reading contradicts it: then the clock was set."""

    def __init__(self, device: str, say: Callable[[ClockSaid], None]) -> None:
        self.device, self.say = device, say
        self.lo = self.hi = 0.0
        self.last: int | None = None
        """When it was read last, ms; None: never."""
        self.said: tuple[int, int, int] | None = None
        """(ms, offset, residual) as said last."""
        self.shown: int | None = None

    @property
    def offset(self) -> int | None:
        """Device − ours as far as is known, ms."""
        return None if self.last is None else round((self.lo + self.hi) / 2)

    def ours(self, now: int) -> int:
        """What the device's clock shows at a moment of ours, ms."""
        return now + (self.offset or 0)

    def surprising(self, theirs: int, now: int, late: int) -> bool:
        """Is what it told, up to `late` ms ago, not what its offset lets expect? Then it is to be read again."""
        return self.last is not None and not self.lo - late - 1_000 <= theirs - now <= self.hi + 1_000

    def read(self, theirs: int, asked: int, answered: int, grain: int = 1) -> None:
        """It showed `theirs` (ms, cut to `grain` ms) between the question and its answer (ms, ours). One that still shows what it showed stands still, or tells no news: it says nothing."""
        if theirs == self.shown:
            return
        self.shown = theirs
        lo, hi = float(theirs - answered), float(theirs + grain - asked)
        if self.last is not None:
            wide = (answered - self.last) * FADES
            low, high = max(lo, self.lo - wide), min(hi, self.hi + wide)
            if low <= high:
                lo, hi = low, high
            elif self.said is not None and self.last > self.said[0]:
                self._say(self.last)
        self.lo, self.hi, self.last = lo, hi, answered
        if self._news():
            self._say(answered)

    def _news(self) -> bool:
        if self.said is None or self.last is None:
            return True
        at, offset, residual = self.said
        wide = residual + (self.last - at) * FADES
        moved = self.hi < offset - wide or self.lo > offset + wide
        return moved or self.last - at >= ANEW or self._residual() * FINER < residual

    def _residual(self) -> int:
        return int((self.hi - self.lo) / 2) + 1

    def _say(self, at: int) -> None:
        self.said = at, self.offset or 0, self._residual()
        self.say(ClockSaid(at=at, u=self._residual(), device=self.device, offset=self.said[1], residual=self.said[2]))


def register_words(clock: ClockRegister) -> int:
    """How many words a clock register takes."""
    return 6 if clock.kind == "ymdhms" else 2


def shown(clock: ClockRegister, words: Mapping[int, int], order: str) -> int | None:
    """The time (ms) that a panel's clock registers show; None where they show none. `unix`: seconds in two words; `ymdhms`: year … second, one a word, in the panel's zone."""
    span = [words.get(clock.register + i) for i in range(register_words(clock))]
    found = [w for w in span if w is not None]
    if len(found) < len(span):
        return None
    if clock.kind == "unix":
        high, low = found if order in ("ABCD", "BADC") else reversed(found)
        seconds = high << 16 | low
        return seconds * 1000 if seconds else None
    year, month, day, hour, minute, second = found
    try:
        return int(dt.datetime(year + 2000 if year < 100 else year, month, day, hour, minute, second, tzinfo=ZoneInfo(clock.zone)).timestamp() * 1000)
    except ValueError:
        return None
