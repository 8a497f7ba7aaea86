"""When a fact that comes in was true: nothing is known before it happened, and a clock that tells local time as UTC is a clock. Pure."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from streams import events as e
from streams.clocks import ENOUGH, NEAR, SLACK, Arrivals, Lead, Steps, moved
from streams.events import Any_, Entry
from streams.rules.rule import Known
from streams.telemetry import Dirty
from streams.times import DAY, HOUR, SECOND

OBSERVED: Final = frozenset({
    e.Frame, e.Positions, e.Scan, e.Guard, e.TagSaid, e.Requested, e.GasTest, e.Step, e.Isolation, e.Detection, e.CameraBeat, e.Clip, e.Weather, e.Activity, e.Action,
    e.DeviceSaid, e.EquipmentSaid, e.Done, e.Certificate, e.Authorisation, e.Registry, e.Contractor, e.Hazard,
})  # fmt: skip
"""Kinds that say what has happened; the others may speak of times to come (a leaver's last day, a new man's first, a warning that is to be in force)."""
FILMED: Final = frozenset({e.CameraBeat, e.Detection, e.Clip})
"""Kinds that a camera's clock stamps."""
SOON_OR_LATE: Final = frozenset({e.GasTest, e.Clip, e.Detection})
"""Kinds that are sent when somebody gets to it: how soon they come says nothing of a clock."""
STREAMED: Final = frozenset({e.Frame, e.Positions, e.CameraBeat, e.Weather})
OURS: Final = (e.ClockSaid, e.SourceSaid, e.ChainSaid, e.Decided, e.PlantSaid, e.PackSaid, e.Tick)
"""What we stamp ourselves."""
STEPPED: Final = frozenset({e.Frame, e.CameraBeat})
"""Kinds of one clock each, which says the time again and again."""


def clock_of(entry: Entry) -> tuple[str, bool]:
    """(whose clock stamped it, is that a camera's?)"""
    event = entry.event
    if type(event) in FILMED:
        return event.camera, True  # type: ignore[union-attr]
    return (event.device, False) if isinstance(event, e.GasTest) and event.device else (entry.source, False)


def timed(known: Known, entry: Entry, dirty: Dirty) -> tuple[Entry, bool]:
    """(the entry with its time as it can have been, was it from the future?). A fact from the future lies between its source's previous arrival, a day back at most, and its own."""
    event, site = entry.event, known.site
    lead = site.leads.get(entry.source)
    if type(event) not in OBSERVED:
        told = lead is not None and lead.shift and not isinstance(event, OURS)
        return replace(entry, event=shifted(event, lead.shift, lead.u)) if told and lead is not None else entry, False
    if lead is not None and lead.shift:
        entry = _shifted(known, entry, lead, dirty)
        event = entry.event
    clock, camera = clock_of(entry)
    offset = site.offset(clock, event.at)[0] if clock in site.clocks else 0
    _compare(known, entry)
    if type(event) in STEPPED:
        entry = _stepped(known, entry, clock, dirty)
        event = entry.event
    if offset and type(event) in (e.Positions, e.Weather):
        entry = replace(entry, event=replace(event, at=event.at - offset))
    ahead = event.at - offset - entry.seen
    arrivals = _note(known, entry, -ahead, dirty)
    if ahead <= 0:
        _fits(lead, entry, dirty)
        return entry, False
    u = site.doubt(entry.source, event)
    limit = known.terms_at(entry.seen).ms["camera_clock_off" if camera else "clock_off"]
    if ahead <= u + max(SLACK, limit):
        _fits(lead, entry, dirty)
        return entry, False
    return _from_the_future(known, entry, ahead, arrivals, dirty), True


def _note(known: Known, entry: Entry, delay: int, dirty: Dirty) -> Arrivals:
    """Notes the arrival; an hour that closes with a bound on the source's clock is told."""
    arrivals = known.site.arrivals.get(entry.source)
    if arrivals is None:
        arrivals = known.site.arrivals[entry.source] = Arrivals()
    if entry.lane == "live":
        arrivals.before, arrivals.last = arrivals.last, max(arrivals.last, entry.seen)
        if arrivals.note(entry.seen, delay):
            dirty.add(("source", entry.source, "clock"))
            known.courses.clear()  # a bound on its clock is part of every stamp of that hour
            dirty.update(("permit", permit, "clock") for permit in known.site.works)
    return arrivals


def _compare(known: Known, entry: Entry) -> None:
    """Where it is declared how soon a source's messages arrive, the quickest of an hour says what its clock (each camera's own) shows, from both sides."""
    plant = known.site.plant
    most = plant.push_delay.get(entry.source) if plant else None
    if most is None or entry.lane != "live":
        return
    event = entry.event
    if type(event) in SOON_OR_LATE:
        return
    clock, _ = clock_of(entry)
    pushed = known.site.pushed.get(clock)
    if pushed is None:
        pushed = known.site.pushed[clock] = Arrivals()
    least, count, hour = pushed.least, pushed.count, pushed.hour
    pushed.note(entry.seen, entry.seen - event.at)
    if pushed.hour == hour or count < ENOUGH:
        return
    lo, hi = -least, most - least
    offset, error = known.site.offset(clock, entry.seen)
    if lo > offset + error or hi < offset - error:
        known.measured.append(replace(entry, event=e.ClockSaid(at=(hour + 1) * HOUR, u=0, device=clock, offset=0 if lo <= 0 <= hi else most // 2 - least, residual=max(abs(lo), hi) if lo <= 0 <= hi else most - most // 2)))


def _stepped(known: Known, entry: Entry, clock: str, dirty: Dirty) -> Entry:
    """A stream's clock that goes back is told; what it says then is unsure by the step (`domain.md` 4.5, *Stamps decide order*)."""
    steps = known.site.steps.get(clock)
    if steps is None:
        steps = known.site.steps[clock] = Steps(at=entry.event.at)
        return entry
    back = steps.at - entry.event.at
    if steps.heard(entry.seen, entry.event.at, entry.ref):
        dirty.add(("source", clock, "clock"))
    return replace(entry, event=replace(entry.event, u=max(entry.event.u or 0, back))) if back > NEAR and entry.lane == "live" else entry


def _fits(lead: Lead | None, entry: Entry, dirty: Dirty) -> None:
    if lead is not None and entry.lane == "live" and lead.fits(entry.seen):
        dirty.add(("source", entry.source, "clock"))


def _from_the_future(known: Known, entry: Entry, ahead: int, arrivals: Arrivals, dirty: Dirty) -> Entry:
    site, event = known.site, entry.event
    lead = site.leads.get(entry.source)
    if lead is None:
        lead = site.leads[entry.source] = Lead()
    if lead.ahead(entry.seen, ahead, entry.ref):
        dirty.add(("source", entry.source, "clock"))
    if entry.lane == "live" and not lead.shift:
        zone = known.local(entry.seen).utcoffset()
        if zone is not None and lead.sample(entry.seen, ahead, entry.ref, int(zone.total_seconds() * 1000), type(event) in STREAMED):
            dirty.add(("source", entry.source, "clock"))
            known.again.append(entry.source)
            known.site.pushed.clear()  # of its cameras too
    since = max(arrivals.before or entry.seen - DAY, entry.seen - DAY)
    if type(event) in (e.Frame, e.CameraBeat, e.Positions, e.Detection):
        since = max(since, entry.seen - SECOND)
    return replace(entry, event=_between(event, since, entry.seen))


def _between(event: Any_, since: int, seen: int) -> Any_:
    """The event somewhere between two moments."""
    half = (seen - since) // 2
    fields: dict[str, Any] = {"at": seen - half, "u": half, "grain": 0}
    if isinstance(event, e.Clip):
        fields["until"] = event.until - (event.at - fields["at"])
    if isinstance(event, e.Detection) and event.onset is not None:
        fields["onset"] = event.onset - (event.at - fields["at"])
    return replace(event, **fields)


def shifted(event: Any_, shift: int, u: int) -> Any_:
    """The event of a clock that tells local time as UTC, by true time."""
    return replace(event, at=event.at - shift, u=max(event.u or 0, u), **moved(event, shift))


def _shifted(known: Known, entry: Entry, lead: Lead, dirty: Dirty) -> Entry:
    """Corrected, unless the event fits no offset better (then the clock has been set right), or its own clock was measured, and that says it already."""
    ahead, (clock, _) = entry.event.at - entry.seen, clock_of(entry)
    if clock in known.site.clocks:
        late = ahead - known.site.offset(clock, entry.event.at)[0]
        if abs(late) < abs(late - lead.shift):
            return entry
    if entry.lane != "live" and abs(ahead) < abs(ahead - lead.shift):
        return entry  # kept somewhere, by a clock that was right: a backlog is late because it is one
    if entry.lane == "live" and abs(ahead) < abs(ahead - lead.shift):
        lead.shift = 0
        known.site.pushed.clear()
        dirty.add(("source", entry.source, "clock"))
        return entry
    return replace(entry, event=shifted(entry.event, lead.shift, lead.u))
