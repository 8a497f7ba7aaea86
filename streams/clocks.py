"""Clocks against each other: what a measured offset says of a time, what an arrival bounds, and what comes from the future. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from streams.times import HOUR, MINUTE, SECOND

if TYPE_CHECKING:
    from streams.work import Fact

BEFORE: Final = 24 * HOUR
"""How long before its first measurement an offset may have held."""
FADES: Final = SECOND
"""By how much an hour an offset that was not measured again grows doubtful, at least."""
ENOUGH: Final = 20
"""Events of a source in an hour from which their smallest delay bounds its clock."""
TWICE: Final = HOUR
"""How far back (ms) an earlier measurement may have shown the same time."""
DRIFTS: Final = 1 / 1000
"""A clock that moves faster than that between two measurements did not drift, it was set."""
FIVE: Final = 5
NEAR: Final = 2 * MINUTE
LONG: Final = 10 * MINUTE
ALIKE: Final = 40 * SECOND
"""What was kept somewhere catches up; a clock that went back stays as late, to so much: gateways send in batches."""
MOST: Final = 20
"""Spans that are remembered of one source."""
SHIFTED: Final = ("valid_from", "valid_to", "planned_start", "since", "until", "due", "onset", "decided")
"""Fields of an event that its source's clock stamps too."""


def moved(event: Any, shift: int) -> dict[str, int]:
    """Those fields of an event by true time, where its clock is `shift` ms off."""
    return {name: value - shift for name in SHIFTED if isinstance(value := getattr(event, name, None), int) and value > shift}


SLACK: Final = 2 * SECOND


def measured(said: list[Fact], at: int, seen: int | None = None) -> tuple[int, int] | None:
    """(offset, its error) ms of a clock when it showed `at`: between two measurements on the line, after the last and up to a day before the first held, the error growing; None where it is not known.

    Measurements bear our time. A clock that was set back shows some times twice: what arrived (`seen`) before the later of them is of the earlier, else the
    error holds both.
    """
    found: list[tuple[int, int]] = []
    for i in range(len(said) - 1, -1, -1):
        if found and said[i].event.at < at - found[0][0] - TWICE:
            break
        here = _shown_after(said, i, at)
        if here is not None and (seen is None or at - here[0] <= seen + said[i].event.residual + SLACK):  # type: ignore[union-attr]
            found.append(here)
    if found:
        offset, error = found[0]
        return offset, max(error, *(abs(offset - o) + u for o, u in found)) if len(found) > 1 else error
    ahead = said[0].event.at + said[0].event.offset - at if said else 0  # type: ignore[union-attr]
    return _held(said, 0, ahead) if said and 0 <= ahead <= BEFORE else None


def _shown_after(said: list[Fact], i: int, at: int) -> tuple[int, int] | None:
    """(offset, error) if the clock can have shown `at` between the i-th measurement and the next."""
    first: Any = said[i].event
    true = at - first.offset
    if i == len(said) - 1:
        return _held(said, i, true - first.at) if true >= first.at else None
    second: Any = said[i + 1].event
    if not first.at + first.offset <= at < max(second.at + second.offset, first.at + first.offset + 1, second.at + first.offset):
        return None
    return _between(said[i], said[i + 1], min(max(true, first.at), second.at))


def _between(first: Fact, second: Fact, at: int) -> tuple[int, int]:
    a, b = first.event, second.event
    share = (at - a.at) / (b.at - a.at) if b.at > a.at else 1.0
    error = max(a.residual, b.residual)  # type: ignore[union-attr]
    return round(a.offset + share * (b.offset - a.offset)), error  # type: ignore[union-attr]


def _held(said: list[Fact], i: int, ms: int) -> tuple[int, int]:
    """A measurement held for `ms` beyond its own time; it fades by the larger of a second an hour and the drift seen there."""
    event, j = said[i].event, i - 1 if i else 1
    drift = 0.0
    if 0 <= j < len(said) and said[j].event.at != event.at:
        drift = abs(event.offset - said[j].event.offset) / abs(event.at - said[j].event.at)  # type: ignore[union-attr]
        drift = drift if drift <= DRIFTS else 0.0
    return event.offset, event.residual + int(ms * max(FADES / HOUR, drift))  # type: ignore[union-attr]


class Lead(Struct):
    """What a source said of times that had not come yet: the spans (by arrival) in which it did, and, once they are alike, the offset of a clock that tells local time as UTC."""

    since: list[int] = []
    until: list[int | None] = []
    most: list[int] = []
    ref: list[str] = []
    seen: list[int] = []
    leads: list[int] = []
    refs: list[str] = []
    shift: int = 0
    u: int = 0
    shifted_at: int | None = None
    last: int = 0
    """The last arrival of a stamp that was ahead."""

    def ahead(self, seen: int, lead: int, ref: str) -> bool:
        """Notes a stamp ahead of its arrival; True if that is news."""
        self.last = seen
        if self.until and self.until[-1] is None:
            news = lead > self.most[-1] + MINUTE
            self.most[-1] = max(self.most[-1], lead)
            return news
        self.since.append(seen)
        self.until.append(None)
        self.most.append(lead)
        self.ref.append(ref)
        return True

    def fits(self, seen: int) -> bool:
        """Notes a stamp that is not ahead; True if that ends what stood: nothing was ahead for ten minutes."""
        if not self.until or self.until[-1] is not None or seen - self.last < LONG:
            return False
        self.until[-1] = self.last
        for column in (self.since, self.until, self.most, self.ref):
            del column[:-MOST]  # type: ignore[attr-defined]
        self.seen, self.leads, self.refs = [], [], []
        return True

    def sample(self, seen: int, lead: int, ref: str, zone: int, telemetry: bool) -> bool:
        """Notes a lead that could be the zone's own offset; True once five of them are alike."""
        if abs(lead - zone) > NEAR or zone == 0:
            self.seen, self.leads, self.refs = [], [], []
            return False
        if telemetry and self.seen and seen - self.seen[-1] < LONG // (FIVE - 1):
            return False
        self.seen.append(seen)
        self.leads.append(lead)
        self.refs.append(ref)
        if len(self.leads) < FIVE:
            return False
        self.shift, self.u = zone, max(SECOND, *(abs(x - zone) for x in self.leads))
        self.shifted_at = seen
        return True


class Steps(Struct):
    """What a clock that speaks all the time said last, and the spans (by arrival) in which it had gone back by more than two minutes; a span is over when nothing was as late for ten minutes, so that two gateways under one name are one span."""

    at: int = 0
    since: list[int] = []
    until: list[int | None] = []
    back: list[int] = []
    ref: list[str] = []
    delay: int = 0
    """How long after its stamp the first message came that went back."""
    first: tuple[int, int, str] | None = None
    """(arrival, by how much, evidence) of a step that is not sure yet: what was kept somewhere is older too, but catches up."""
    count: int = 0
    last: int = 0
    """The last arrival of what was as late."""

    def heard(self, seen: int, at: int, ref: str) -> bool:
        """Notes a stamp; True if it begins or ends a span: it counts once it has been as late for a minute."""
        back, delay, self.at = self.at - at, seen - at, at
        if self.until and self.until[-1] is None:
            if delay > max(MINUTE, self.delay - self.back[-1] // 2):
                self.last = seen
            if seen - self.last < LONG:
                return False
            self.until[-1] = self.last
            for column in (self.since, self.until, self.back, self.ref):
                del column[:-MOST]  # type: ignore[attr-defined]
            return True
        if back > NEAR and delay > MINUTE:
            self.first, self.delay, self.count = (seen, back, ref), delay, 0
        if self.first is None:
            return False
        if abs(delay - self.delay) > ALIKE:
            self.first = None
            return False
        self.count += 1
        if self.count < FIVE or seen - self.first[0] < MINUTE:
            return False
        for column, value in ((self.since, self.first[0]), (self.until, None), (self.back, self.first[1]), (self.ref, self.first[2])):
            column.append(value)  # type: ignore[arg-type]
        self.first, self.last = None, seen
        return True


class Arrivals(Struct):
    """When a source was last heard of, and by how much its quickest message of this hour (by arrival) came after its stamp."""

    last: int = 0
    before: int = 0
    """The arrival before the last."""
    hour: int = 0
    count: int = 0
    least: int = 0
    bounds: dict[int, int] = {}
    """hour of arrival → the smallest delay of that hour, ms; the last two days."""

    def note(self, seen: int, delay: int) -> bool:
        """Notes a live arrival; True if an hour closed that says something of the clock."""
        closed = False
        if seen // HOUR != self.hour:
            closed = self.count >= ENOUGH and self.least > SECOND
            if closed:
                self.bounds[self.hour] = self.least
                while len(self.bounds) > 48:
                    del self.bounds[min(self.bounds)]
            self.hour, self.count, self.least = seen // HOUR, 0, delay
        self.count += 1
        self.least = min(self.least, delay)
        return closed
