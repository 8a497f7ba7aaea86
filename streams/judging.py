"""A kernel that nothing can end: what it cannot take is set aside with its reason and leaves no trace; everything else is judged on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from streams.events import Entry
from streams.kernel import Kernel, restore
from streams.numbers import UsedTwice
from streams.outputs import Output

EVERY = 20_000
"""Entries after which a new foothold is taken."""


@dataclass(frozen=True, slots=True)
class Aside:
    """An entry that could not be judged, and why."""

    entry: Entry
    reason: str


@dataclass
class Judging:
    """One site's kernel with a foothold behind it: the last snapshot and what came since."""

    kernel: Kernel
    foothold: bytes = b""
    since: list[Entry] = field(default_factory=list)
    aside: Callable[[Aside], None] = lambda _: None
    reached: dict[str, int] = field(default_factory=dict)
    """Raw topic → the offset of the last message that was judged."""

    def __post_init__(self) -> None:
        self.foothold = self.foothold or self.kernel.snapshot()

    def step(self, entry: Entry) -> list[Output]:
        """Takes one entry. What raises is set aside: the kernel is made again without it, and says so."""
        if entry.offset >= 0:
            self.reached[entry.topic] = entry.offset
        try:
            out = self.kernel.step(entry)
        except UsedTwice as wrong:  # seen before anything was changed
            self.aside(Aside(entry, str(wrong)))
            return self.kernel.set_aside(entry, str(wrong))
        except Exception as wrong:
            return self._set_aside(entry, f"{type(wrong).__name__}: {wrong}"[:500])
        self.since.append(entry)
        if len(self.since) >= EVERY:
            return out + self.stand()[1]
        return out

    def stand(self) -> tuple[bytes, list[Output]]:
        """(a snapshot of now, what is to be said because of it): where one entry keeps it from being taken, that one is set aside."""
        try:
            raw = self.kernel.snapshot()
            restore(raw)
        except Exception as wrong:
            said = self._without_the_last(f"{type(wrong).__name__}: {wrong}"[:500])
            raw = self.foothold
            return raw, said
        self.foothold, self.since = raw, []
        return raw, []

    def _set_aside(self, entry: Entry, reason: str) -> list[Output]:
        again = self.since
        self._fold_again(again)
        self.aside(Aside(entry, reason))
        return self.kernel.set_aside(entry, reason)

    def _fold_again(self, entries: list[Entry]) -> None:
        """The kernel as it was, without a word."""
        self.kernel = restore(self.foothold)
        self.since = []
        for entry in entries:
            self.kernel.step(entry)
            self.since.append(entry)

    def _without_the_last(self, reason: str) -> list[Output]:
        """Finds the first entry after which no snapshot can be taken, by halves, and goes on without it."""
        entries, low, high = self.since, 0, len(self.since)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._sound(entries[:middle]) else (low, middle)
        culprit = entries[low] if entries else None
        self._fold_again(entries[:low] + entries[low + 1 :])
        if culprit is None:
            return []
        self.aside(Aside(culprit, reason))
        return self.kernel.set_aside(culprit, reason)

    def _sound(self, entries: list[Entry]) -> bool:
        self._fold_again(entries)
        try:
            restore(self.kernel.snapshot())
        except Exception:
            return False
        return True
