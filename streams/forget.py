"""What a site may forget: everything that ended before a horizon and that no rule will ask for again."""

from __future__ import annotations

from streams.events import Activity, Hazard, OfficialWarning, Production, Record, SpecialTime
from streams.times import HOUR
from streams.work import Fact, Person, Site

LONG = 28 * 24 * HOUR
"""How much longer what counts over weeks is kept: photos, violations, closed hazards."""


def forget(site: Site, horizon: int, scans: int, long: bool = True) -> None:
    """Lets go of what ended before the horizon (ms), and of scans before `scans`: who came in must not be remembered longer than the permit because of which he came. `long`: also of what is kept for weeks, which is much and need not be looked at every few hours."""
    _telemetry(site, horizon)
    for person in site.people.values():
        _person(person, horizon, scans)
    site.visitors = {door: kept for door, workers in site.visitors.items() if (kept := [w for w in workers if w in site.people and site.people[w].scans])}
    for signed in site.signed.values():
        signed[:] = [row for row in signed if row[0] >= horizon]
    _facts(site, horizon)
    site.blind.forget(horizon)
    site.away.forget(horizon)
    if long:
        _kept_long(site, horizon - LONG)


def unhear(site: Site, at: int) -> None:
    """Our own clock was ahead and was set right: of what it stamped after a moment (ms) nothing was heard, and we were not blind then."""
    site.blind.cut(at)
    site.away.cut(at)
    site.seen = {worker: seen for worker, seen in site.seen.items() if seen[0] <= at}
    cameras = [spans for camera in site.cameras.values() for spans in (camera.on, camera.off, camera.heard)]
    tracks = [spans for work in site.works.values() for track in work.tracks.values() for spans in (track.inside, track.outside, track.heard, track.away)]
    for spans in (*site.frames.values(), *site.live.values(), *cameras, *tracks):
        spans.cut(at)


def _telemetry(site: Site, horizon: int) -> None:
    for series in site.series.values():
        for spans in (series.over, series.near, series.alarm, series.wild, series.units):
            if spans:
                spans.forget(min(horizon, spans.last[-1]))
        series.held.forget(horizon)
        series.below.forget(horizon)
        series.bad.forget(horizon)
        series.trace = {m: v for m, v in series.trace.items() if v[0] >= horizon}
    for frames in (*site.frames.values(), *site.live.values()):
        while len(frames.last) > 1 and frames.last[1] < horizon:
            frames.forget(frames.last[0] + 1)
    for winds in site.winds.values():
        winds.work.forget(horizon)
        winds.lifting.forget(horizon)
    for inside in site.zones.values():
        last = max((spans.last[-1] for spans in inside.values()), default=0)
        for worker in [w for w, spans in inside.items() if spans.last[-1] < min(horizon, last - HOUR)]:
            del inside[worker]
    for sights in site.sights.values():
        for spans in sights.values():
            spans.forget(horizon)
    for cameras in site.sightings.values():
        for seen in cameras.values():
            seen.spans.forget(horizon)
            seen.few = [m for m in seen.few if m >= horizon]
    for camera in site.cameras.values():
        for spans in (camera.on, camera.off, camera.heard):
            if len(spans.last) > 1:
                spans.forget(min(horizon, spans.last[-1]))
        while camera.clips.hi and camera.clips.hi[0] < horizon:
            del camera.clips.lo[0], camera.clips.hi[0]
    for comer in site.comers.values():
        comer.late.forget(horizon)


def _person(person: Person, horizon: int, scans: int) -> None:
    for facts, since in ((person.scans, scans), (person.tag, horizon)):
        if facts and facts[0].event.at < since:
            facts[:] = [f for f in facts if f.event.at >= since]
    if person.records:
        person.records = [f for f in person.records if f.event.at >= horizon - 4 * LONG or (isinstance(f.event, Record) and f.event.what == "practice")][-200:]
    for said, most in ((person.certificates, 20), (person.listed, 8), (person.hr, 4), (person.authorisations, 4)):
        del said[:-most]


def _facts(site: Site, horizon: int) -> None:
    """Facts of the site that ended."""

    def ended(fact: Fact) -> int:
        match fact.event:
            case OfficialWarning(until=until) | SpecialTime(until=until) | Production(until=until):
                return until
            case _:
                return fact.event.at

    site.warnings = [f for f in site.warnings if ended(f) >= horizon]
    site.specials = [f for f in site.specials if ended(f) >= horizon]
    site.registries = site.registries[-8:]
    for behaviours in site.phases.values():
        for tracks in behaviours.values():
            for track in [name for name, shown in tracks.items() if max((*shown.starts[-1:], *shown.ends[-1:])) < horizon]:
                del tracks[track]
    site.decisions = [f for f in site.decisions if f.event.at >= horizon]
    site.unsettled = [f for f in site.unsettled if f.event.at >= horizon]
    site.settled = {f.ref: site.settled[f.ref] for f in site.decisions if f.ref in site.settled}
    site.seen = {worker: seen for worker, seen in site.seen.items() if seen[0] >= horizon}
    site.productions = {k: v for k, v in site.productions.items() if ended(v[-1]) >= horizon}
    site.activities = {k: v for k, v in site.activities.items() if not (isinstance(v[-1].event, Activity) and v[-1].event.phase == "end" and v[-1].event.at < horizon)}
    site.actions = {k: kept for k, v in site.actions.items() if (kept := [f for f in v if f.event.at >= horizon])}
    site.done = {k: v for k, v in site.done.items() if v[-1].event.at >= horizon}
    for clocks in site.clocks.values():
        while len(clocks) > 2 and clocks[1].event.at < horizon:
            del clocks[0]
    for devices in (site.devices, site.equipment, site.contractors):
        for facts in devices.values():
            del facts[:-8]


def _kept_long(site: Site, horizon: int) -> None:
    site.probes = [f for f in site.probes if f.event.at >= horizon][-5000:]
    site.hazards = {k: v for k, v in site.hazards.items() if not (isinstance(v[-1].event, Hazard) and v[-1].event.state == "closed" and v[-1].event.at < horizon)}
    site.shown = {k: v for k, v in site.shown.items() if k in site.hazards or v[-1].event.at >= horizon}
    site.photos = {k: v for k, v in site.photos.items() if v[-1].event.at >= horizon}
    site.analysts = {k: v for k, v in site.analysts.items() if v[-1].event.at >= horizon}
