"""Sets of moments kept as spans: what a stream of readings or fixes leaves behind, the same whatever order it came in."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from msgspec import Struct


class Spans(Struct):
    """Moments (ms) merged into spans wherever neighbours are at most `join` apart.

    The spans depend only on the set of moments, never on their order of arrival, because they are the
    connected components of that set. `head` is the value at a span's first moment, `top` its extreme value, `ref` the
    evidence of its first moment.
    """

    join: int
    first: list[int] = []
    last: list[int] = []
    head: list[float] = []
    top: list[float] = []
    ref: list[str] = []

    def add(self, at: int, value: float = 0.0, ref: str = "") -> bool:
        """Adds a moment; True if a span began, grew backwards or two became one: what a rule may want to look at again."""
        last = self.last
        if last and last[-1] < at <= last[-1] + self.join:
            last[-1] = at
            if value > self.top[-1]:
                self.top[-1] = value
            return False
        return self._insert(at, value, ref)

    def _insert(self, at: int, value: float, ref: str) -> bool:
        i = bisect_left(self.last, at - self.join)
        if i == len(self.last) or self.first[i] > at + self.join:
            self._put(i, at, at, value, value, ref)
            return True
        changed = at < self.first[i] or (at == self.first[i] and (value, ref) < (self.head[i], self.ref[i]))
        if changed:
            self.first[i], self.head[i], self.ref[i] = at, value, ref
        self.last[i] = max(self.last[i], at)
        self.top[i] = max(self.top[i], value)
        while i + 1 < len(self.first) and self.first[i + 1] <= self.last[i] + self.join:
            self.last[i] = max(self.last[i], self.last[i + 1])
            self.top[i] = max(self.top[i], self.top[i + 1])
            self._drop(i + 1)
            changed = True
        return changed

    def _put(self, i: int, first: int, last: int, head: float, top: float, ref: str) -> None:
        self.first.insert(i, first)
        self.last.insert(i, last)
        self.head.insert(i, head)
        self.top.insert(i, top)
        self.ref.insert(i, ref)

    def _drop(self, i: int) -> None:
        del self.first[i], self.last[i], self.head[i], self.top[i], self.ref[i]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.first, self.last, strict=True)

    def __bool__(self) -> bool:
        return bool(self.first)

    def forget(self, before: int) -> None:
        """Drops spans that ended before `before`."""
        while self.last and self.last[0] < before:
            self._drop(0)

    def cut(self, at: int) -> None:
        """Drops what lies after a moment."""
        while self.first and self.first[-1] > at:
            self._drop(len(self.first) - 1)
        if self.last:
            self.last[-1] = min(self.last[-1], at)

    def latest(self, at: int) -> int | None:
        """The last moment not after `at` that is surely in a span, or None."""
        i = bisect_right(self.first, at) - 1
        return None if i < 0 else min(at, self.last[i])

    def next(self, at: int) -> int | None:
        """The first moment not before `at` that is surely in a span, or None."""
        i = bisect_left(self.last, at)
        return None if i == len(self.last) else max(at, self.first[i])

    def proof(self, at: int) -> tuple[str, ...]:
        """The evidence of the spans that a moment is surely in."""
        return tuple(ref for first, last, ref in zip(self.first, self.last, self.ref, strict=True) if first <= at <= last)

    def gaps(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The spans' complement within [start, end], as (from, to) pairs of positive length."""
        at = start
        for i in range(bisect_left(self.last, start), len(self.last)):
            first, last = self.first[i], self.last[i]
            if first >= end:
                break
            if first > at:
                yield at, first
            at = max(at, last)
        if at < end:
            yield at, end


class Intervals(Struct):
    """A set of closed intervals (ms), kept disjoint; the union does not depend on order."""

    lo: list[int] = []
    hi: list[int] = []

    def add(self, lo: int, hi: int) -> bool:
        """Adds [lo, hi]; True if the set changed."""
        i, j = bisect_left(self.hi, lo), bisect_right(self.lo, hi)
        if i < j and self.lo[i] <= lo and self.hi[i] >= hi:
            return False
        if i < j:
            lo, hi = min(lo, self.lo[i]), max(hi, self.hi[j - 1])
        self.lo[i:j], self.hi[i:j] = [lo], [hi]
        return True

    def forget(self, before: int) -> None:
        """Drops what was over before a moment."""
        n = bisect_left(self.hi, before)
        del self.lo[:n], self.hi[:n]

    def cut(self, at: int) -> None:
        """Drops what lies after a moment."""
        while self.lo and self.lo[-1] > at:
            del self.lo[-1], self.hi[-1]
        if self.hi:
            self.hi[-1] = min(self.hi[-1], at)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.lo, self.hi, strict=True)

    def __contains__(self, at: int) -> bool:
        i = bisect_left(self.hi, at)
        return i < len(self.lo) and self.lo[i] <= at


class Numbers(Struct):
    """Which numbers of one series were seen, as intervals: tells a repeat, and shows a hole."""

    lo: list[int] = []
    hi: list[int] = []

    def add(self, n: int) -> bool:
        """True if `n` is new."""
        hi = self.hi
        if hi and n == hi[-1] + 1:
            hi[-1] = n
            return True
        if hi and self.lo[-1] <= n <= hi[-1]:
            return False
        return self._insert(n)

    def _insert(self, n: int) -> bool:
        i = bisect_left(self.hi, n)
        if i < len(self.lo) and self.lo[i] <= n:
            return False
        left = i > 0 and self.hi[i - 1] == n - 1
        right = i < len(self.lo) and self.lo[i] == n + 1
        if left and right:
            self.hi[i - 1] = self.hi[i]
            del self.lo[i], self.hi[i]
        elif left:
            self.hi[i - 1] = n
        elif right:
            self.lo[i] = n
        else:
            self.lo.insert(i, n)
            self.hi.insert(i, n)
        return True

    def holes(self) -> list[tuple[int, int]]:
        """The numbers that are missing between the first and the last, as closed intervals."""
        return [(a + 1, b - 1) for a, b in zip(self.hi, self.lo[1:], strict=False)]


LATEST = 80_000
"""Two facts that each come up to 40 s late may change places over so many ms."""


PRUNED = 128
"""How many calm moments are gathered between two looks at which may go: a long interval with calm in it must not be searched at every sample."""


class Held(Struct):
    """A condition told by samples: when it held (`over`, joined over gaps of at most `over.join` ms), and the moments that said otherwise.

    Depends only on the set of samples, as long as none comes later than twice the join or `LATEST` after a newer one: older moments beside which nothing held are let go.
    """

    over: Spans
    calm: list[int] = []

    def add(self, at: int, holds: bool, value: float, ref: str) -> bool:
        """Adds a sample; True if an interval began or ended, or may have grown after its end was known."""
        if holds:
            before = self.over.last[-1] if self.over.last else at
            return self.over.add(at, value, ref) or at < before or bool(self.calm and self.calm[-1] > before)
        insort(self.calm, at)
        if len(self.calm) % PRUNED == 0:
            self._prune()
        last = self.over.last
        return bool(last) and (last[-1] + 2 * self.over.join >= at or self.relieved(last[-1]) == at)

    def _prune(self) -> None:
        join, newest = self.over.join, self.calm[-1]
        relief = {self.relieved(b) for b in self.over.last}
        self.calm = [c for c in self.calm if c >= newest - max(2 * join, LATEST) or c in relief or any(a - join <= c <= b + join for a, b in self.over)]

    def relieved(self, last: int) -> int | None:
        """The first sample that said otherwise after a moment; None: nothing has, and silence does not."""
        i = bisect_right(self.calm, last)
        return self.calm[i] if i < len(self.calm) else None

    def standing(self, now: int) -> Iterator[tuple[int, int | None, int, float, str]]:
        """As `intervals`, but what fell silent while it held stands until a sample says otherwise."""
        for start, end, last, top, ref in self.intervals(now):
            yield start, self.relieved(last) if end == last else end, last, top, ref

    def intervals(self, now: int) -> Iterator[tuple[int, int | None, int, float, str]]:
        """(start, end or None while it holds, last sample that says so, extreme, evidence). Silence beyond the join ends it where it was last seen."""
        join = self.over.join
        for first, last, top, ref in zip(self.over.first, self.over.last, self.over.top, self.over.ref, strict=True):
            cuts = [c for c in self.calm if first < c <= last + join]
            start = first
            for cut in cuts:
                if cut > start and start < last:
                    yield start, cut, min(cut, last), top, ref
                elif start == first == last:
                    yield start, cut, last, top, ref
                start = cut
            if not cuts or start < last:
                yield start, (None if now <= last + join else last), last, top, ref

    def forget(self, before: int) -> None:
        self.over.forget(before)
        self.calm = [c for c in self.calm if c >= before]
