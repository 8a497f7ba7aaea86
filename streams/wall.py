"""This machine's wall clock, steadied: a leap is followed once it has lasted, so that one that comes and goes changes no plant's time."""

from __future__ import annotations

import logging
import time
from typing import Final

LEAP: Final = 2_000
"""More ms at once than any clock that is kept right is moved."""
LASTS: Final = 60_000
"""After so many ms a leap is believed: the clock was wrong before."""
log = logging.getLogger("permitwatch")


class Steady:
    """Time as a wall clock and a clock that nobody sets tell it together, both in ms."""

    def __init__(self, wall: int, elapsed: int) -> None:
        self.ahead = wall - elapsed
        """By how much the wall clock is ahead of the one that nobody sets."""
        self.leapt: tuple[int, int] | None = None
        """(elapsed when a leap began that is not believed yet, by how much)."""

    def now(self, wall: int, elapsed: int) -> int:
        """The time (ms): the wall clock's, or while it has just leapt as if it had not."""
        leap = wall - elapsed - self.ahead
        if abs(leap) <= LEAP:
            self._follow(wall - elapsed, "is right again" if self.leapt else "")
            return wall
        if self.leapt is None or abs(leap - self.leapt[1]) > LEAP:
            self.leapt = (elapsed, leap)
            log.warning("this machine's clock leapt by %+.0f s; the plant's time goes on as before, and follows it if that lasts %d s. Look at its time service", leap / 1000, LASTS // 1000)
        if elapsed - self.leapt[0] < LASTS:
            return elapsed + self.ahead
        self._follow(wall - elapsed, "has stayed where it leapt to, and is followed")
        return wall

    def _follow(self, ahead: int, said: str) -> None:
        self.ahead, self.leapt = ahead, None
        if said:
            log.warning("this machine's clock %s", said)


def _elapsed() -> int:
    """ms by a clock that nobody sets; where the system has one that also counts while the machine sleeps, by that."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1_000_000


def _wall() -> int:
    return time.time_ns() // 1_000_000


_steady = Steady(_wall(), _elapsed())


def now() -> int:
    """The time, ms since 1970."""
    return _steady.now(_wall(), _elapsed())
