"""Instants that carry their uncertainty, and comparisons that may answer *I do not know* (`domain.md` 2.8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final

from msgspec import Struct

SECOND: Final = 1_000
MINUTE: Final = 60_000
HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
EVER: Final = 1 << 62
"""ms: later than anything that can be said; the end of what has none."""


class Truth(IntEnum):
    """Kleene's three values, ordered so that min is *and* and max is *or*."""

    FALSE = 0
    UNKNOWN = 1
    TRUE = 2

    def __and__(self, other: int) -> Truth:
        return self if self <= other else TRUTHS[other]

    def __or__(self, other: int) -> Truth:
        return self if self >= other else TRUTHS[other]

    def __invert__(self) -> Truth:
        return Truth(Truth.TRUE - self)


TRUTHS: Final = tuple(Truth)


def every(truths: Iterable[Truth]) -> Truth:
    """Kleene's *and* over many; TRUE for none."""
    return min(truths, default=Truth.TRUE)


def some(truths: Iterable[Truth]) -> Truth:
    """Kleene's *or* over many; FALSE for none."""
    return max(truths, default=Truth.FALSE)


class Stamp(Struct, frozen=True, gc=False):
    """An instant known to lie in [at − u, at + u], or in [at − u, at + grain + u) where a clock truncates. ms.

    `source` and `seq` decide between two truncated stamps of one clock. What is known to have happened by `at` only,
    whenever it was before (a step from the future, at its arrival), says by `early` how much sooner it may have been.
    """

    at: int
    u: int = 0
    grain: int = 0
    source: str = ""
    seq: int = 0
    early: int = 0

    @property
    def lo(self) -> int:
        return self.at - self.u - self.early

    @property
    def hi(self) -> int:
        return self.at + self.grain + self.u

    def shift(self, ms: int) -> Stamp:
        """The same knowledge, `ms` later; the number that its source gave it says nothing about that moment."""
        return Stamp(self.at + ms, self.u, self.grain, early=self.early)


def exactly(at: int) -> Stamp:
    """A declared value: a limit, a validity, a planned time. It has no error."""
    return Stamp(at)


def before(a: Stamp, b: Stamp) -> Truth:
    """Is a ≤ b? Surely true iff sup a ≤ inf b; surely false iff inf a > sup b (≥ where b is half-open above)."""
    if a.hi <= b.lo:
        return Truth.TRUE
    if a.lo > b.hi or (b.grain and a.lo >= b.hi):
        return Truth.FALSE
    if a.grain and b.grain and (a.at, a.u, a.source) == (b.at, b.u, b.source) and a.source:
        return Truth.TRUE if a.seq <= b.seq else Truth.FALSE
    return Truth.UNKNOWN


def cases(stamp: Stamp, *cuts: int) -> Iterator[Stamp]:
    """A stamp as the spans between moments at which something changes: what holds in each of them holds of the whole (law of cases)."""
    inside = sorted({cut for cut in cuts if stamp.lo < cut < stamp.hi})
    if not inside:
        yield stamp
        return
    at = stamp.lo
    for cut in [*inside, stamp.hi]:
        if cut > at:
            yield Stamp(at, 0, cut - at)
        if cut != stamp.hi or not stamp.grain:
            yield exactly(cut)
        at = cut + 1


def no_later(stamp: Stamp, moment: int) -> Stamp:
    """A stamp that is known to be not after a moment (ms)."""
    return stamp if stamp.hi <= moment or stamp.lo > moment else Stamp(stamp.lo, 0, moment - stamp.lo + 1)


def agreed(truths: Iterable[Truth]) -> Truth:
    """What all cases say; UNKNOWN where they differ."""
    said = set(truths)
    return said.pop() if len(said) == 1 else Truth.UNKNOWN
