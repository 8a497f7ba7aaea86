"""The ledger of watched minutes: of the work in each minute, how much was gas-tested, filmed, guarded and permitted, and how much nobody saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from streams.course import Course
from streams.gases import limit_of
from streams.rules.guardian import guarded
from streams.rules.permit import valid_until
from streams.rules.readings import gas_tags, modes
from streams.rules.rule import Known, both_of, merge, without
from streams.rules.verdict import live_for
from streams.rules.video import recorded
from streams.times import MINUTE
from streams.work import Series

Time = list[tuple[int, int]]
Row = tuple[int, int | None, int, int, int, int, int]
"""(work, gas, filmed, guard, permitted, all, nobody) of a minute, ms."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A life's minutes from `start` on: in each the ms of work, and those of it that were watched by each, by all that is asked, by none. None: not asked."""

    start: int
    work: list[int]
    gas: list[int] | None
    filmed: list[int]
    guard: list[int]
    permitted: list[int]
    all: list[int]
    nobody: list[int]

    def rows(self) -> Iterator[Row]:
        """Every minute, in order."""
        return map(self.row, range(len(self.work)))

    def row(self, i: int) -> Row:
        """The i-th minute."""
        return self.work[i], self.gas[i] if self.gas is not None else None, self.filmed[i], self.guard[i], self.permitted[i], self.all[i], self.nobody[i]


def watched(known: Known, course: Course, start: int, end: int) -> Watched:
    """What of a life's work from `start` to `end` (ms, whole minutes) was watched, minute by minute."""
    work = [(max(a, start), min(b, end)) for a, b in course.working(end) if a < end and b > start]
    gas = both_of(work, _tested(known, course, start, end)) if course.needs_gas else None
    filmed, guard = both_of(work, recorded(known, course, live_for(known))), both_of(work, guarded(known, course, live_for(known)))
    permitted = both_of(work, _in_force(known, course, end))
    both = both_of(both_of(filmed, guard), permitted)
    seen = merge([*(gas or ()), *filmed, *guard])
    nobody = [span for a, b in work for span in without(seen, a, b)]
    cut = [_by_minute(spans, start, end) for spans in (work, gas or [], filmed, guard, permitted, both if gas is None else both_of(both, gas), nobody)]
    return Watched(start, cut[0], cut[1] if gas is not None else None, *cut[2:])


def _by_minute(spans: Time, start: int, end: int) -> list[int]:
    out = [0] * ((end - start) // MINUTE)
    for a, b in merge(spans):
        for i in range((a - start) // MINUTE, (b - 1 - start) // MINUTE + 1):
            lo = start + i * MINUTE
            out[i] += min(b, lo + MINUTE) - max(a, lo)
    return out


def _in_force(known: Known, course: Course, end: int) -> Time:
    """From the approval, and not before the validity begins, to its end, as declared or as the type allows."""
    if course.issued is None or course.request is None:
        return []
    since, until = max(course.issued.at, course.request.valid_from), min(end, valid_until(known, course) or end)
    return [(since, until)] if since < until else []


def _tested(known: Known, course: Course, start: int, end: int) -> Time:
    """When every gas channel of the point that has a limit was read well; never where there is none."""
    tags = gas_tags(known, course)
    live: Time = [(start, end)] if tags else []
    for tag in tags:
        live = both_of(live, list(_read(known, tag, start, end)))
    return live


def _read(known: Known, tag: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """When a channel was live: from a good reading for as long as a word holds, or to a bad one or to its service; a bad word is no live one for as long as it holds."""
    series = known.site.series.get(tag)
    if series is None or limit_of(known.atlas.channels[tag], known.terms_at(start)) is None:
        return
    fresh = live_for(known)
    heard = merge([(a, min(b + fresh, end)) for group in series.groups for a, b in known.site.frames[group] if b + fresh > start and a < end])
    bad = [*_unread(known, series, end, fresh), *((a, b) for a, b, _ in modes(known.site, tag, end))]
    for a, b in heard:
        if a < b:
            yield from without(bad, a, b)


def _unread(known: Known, series: Series, end: int, fresh: int) -> Iterator[tuple[int, int]]:
    """When a channel was bad; where nothing came after a bad word, as long as that word holds."""
    covers = [known.site.frames[group] for group in series.groups]
    for a, b, last, *_ in series.bad.intervals(known.now):
        if b is None:
            yield a, end
        else:
            silent = b == last and not any(x <= last < y for spans in covers for x, y in spans)
            yield a, last + fresh if silent else b
