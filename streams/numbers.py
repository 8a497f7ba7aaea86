"""Which numbers of a source have come, over all beginnings of its outbox: tells a repeat, shows a hole, and sees that a number was used twice.

    ValueError
      UsedTwice       a number of old under which something else is said
"""

from __future__ import annotations

from msgspec import Struct, field

from streams.spans import Numbers

EPOCHS = 8
"""So many beginnings of an outbox are kept of one series; more only where numbers are missing."""


class UsedTwice(ValueError):
    """A number that was taken before, of a message that was accepted after it."""


class Epoch(Struct):
    """What came since one beginning of an outbox."""

    numbers: Numbers = field(default_factory=Numbers)
    last: int = 0
    """The last number that it gave, once its next beginning has said so; 0: not known."""
    seen: int = 0
    """When its gateway took the latest of them, ms."""

    def holes(self) -> list[tuple[int, int]]:
        """The numbers that were given and have not come, as closed intervals."""
        end = self.numbers.hi[-1]
        return [*self.numbers.holes(), *([(end + 1, self.last)] if self.last > end else [])]


class Numbering(Struct):
    """The numbers of one source, topic and lane."""

    epochs: dict[int, Epoch] = {}

    def take(self, epoch: int, after: int, n: int, seen: int) -> bool:
        """Notes a number; False for a repeat. `epoch`: the number before the first since its outbox was opened (0: it says none); `after`: the last that it gave before. Raises UsedTwice."""
        one = self.epochs.get(epoch) or self._begin(epoch, after)
        if one.numbers.add(n):
            one.seen = max(one.seen, seen)
            return True
        if seen > one.seen:
            raise UsedTwice("its number was used before for something else, as an old copy of an outbox does. Start this version of `permitwatch ingest` on that file: it gives new numbers")
        return False

    def _begin(self, epoch: int, after: int) -> Epoch:
        """A beginning: what went before it is over, and what it gives first may not be missing."""
        one = Epoch()
        before = max((e for e in self.epochs if e < after), default=None)
        if before is not None:
            self.epochs[before].last = max(after, self.epochs[before].last)
            one.numbers.add(epoch)
        self.epochs[epoch] = one
        if len(self.epochs) > EPOCHS and (old := next((e for e in sorted(self.epochs)[:-EPOCHS] if not self.epochs[e].holes()), None)) is not None:
            del self.epochs[old]
        return one

    @property
    def whole(self) -> bool:
        """Has everything come that was given, as far as is known?"""
        return all(len(one.numbers.lo) == 1 and one.last <= one.numbers.hi[-1] for one in self.epochs.values())

    def holes(self) -> list[tuple[int, int]]:
        """All numbers that have not come, as closed intervals."""
        return [hole for _, one in sorted(self.epochs.items()) for hole in one.holes()]
