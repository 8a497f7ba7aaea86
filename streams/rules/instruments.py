"""Instruments: calibrated, moving, within their range, in the unit that is written down, and in agreement with what people typed."""

from __future__ import annotations

from collections.abc import Iterator

from streams.course import Course
from streams.events import DeviceSaid, GasResult, GasTest
from streams.gases import limit_of, to_lel, to_mg
from streams.plant import Channel
from streams.rules.permit import OURS
from streams.rules.readings import GASES, gas_tags
from streams.rules.rule import NOTHING, Cause, Finding, Judged, Known, Rule, minutes, wake_at
from streams.spans import Held, Spans
from streams.times import MINUTE, SECOND

CAUSES: frozenset[Cause] = frozenset({"gas", "device"})


def judge_calibration(known: Known, permit: str) -> Judged:
    """DQ-CAL: a gas test with an instrument whose calibration had run out; it does not count."""
    course, found = known.course(permit), []
    for test in course.tests:
        if test.calibrated or test.ref in known.work(permit).carried:
            continue
        device = test.event.device
        said = [f.event.calibrated_to for f in known.site.devices.get(device, ()) if isinstance(f.event, DeviceSaid) and f.event.calibrated_to]
        due = said[-1] if said else "—"
        refs = (test.ref, *(f.ref for f in known.site.devices.get(device, ())[:1]))
        better = next((a.done.at for a in course.analyses if a.passed and not a.open and a.done.at > test.at.at), None)
        end = min((m for m in (better, course.over_at) if m is not None), default=None)
        numbers = {"permit": permit, "device": device, "due": due, "sampled": known.clock(test.at.at)}
        found.append(Finding(test.at.at, refs, end, numbers=numbers, permit=permit))
    return Judged(tuple(found))


def judge_mismatch(known: Known, permit: str) -> Judged:
    """X-GAS-MISMATCH: what was typed (or read off a screenshot) differs from the live reading of the same gas at the same place and minute."""
    course, found = known.course(permit), []
    for fact in known.work(permit).all("permit.gas_test"):
        test = fact.event
        if not isinstance(test, GasTest) or fact.ref in known.work(permit).carried:
            continue
        for result in test.results:
            off = _off(known, course, fact.ref, test.at, result)
            if off:
                tag, live, typed, most = off
                unit = known.atlas.channels[tag].unit
                said = f"{result.value:g} {result.unit}" + (f" ({typed:.3g} {unit})" if unit != result.unit else "")
                numbers = {"permit": permit, "gas": result.gas, "typed": said, "live": f"{live:g} {unit}", "tolerance": f"{most:.3g} {unit}", "tag": tag, "sampled": known.clock(test.at)}
                end = course.over_at if course.over_at is None or course.over_at > test.at else course.put_down(test.at)
                found.append(Finding(test.at, (fact.ref, course.request_ref), end, numbers=numbers, permit=permit))
                break
    return Judged(tuple(found))


def _off(known: Known, course: Course, ref: str, at: int, result: GasResult) -> tuple[str, float, float, float] | None:
    """(channel, its live value, the result in its unit, the tolerance) if a result surely differs from it by more than the tolerance."""
    for tag in gas_tags(known, course):
        channel, near = known.atlas.channels[tag], known.work(course.permit).beside.get(ref, {}).get(tag, [])
        typed, limit = _in_unit(known, result, channel, at), limit_of(channel, known.terms_at(at))
        if typed is None or limit is None or limit.high is None or not near:
            continue
        most = known.terms_at(at)["mismatch_share"] * limit.high
        if all(abs(v - typed) > most for v in near):
            return tag, near[0], typed, most
    return None


def _in_unit(known: Known, result: GasResult, channel: Channel, at: int) -> float | None:
    """A typed result in the unit of a channel of the same gas."""
    if result.value is None:
        return None
    terms = known.terms_at(at)
    if channel.kind == "oxygen":
        return result.value if result.gas == "o2" and result.unit == channel.unit else None
    if result.gas != channel.gas:
        return None
    scale = to_lel if channel.kind == "combustible" else to_mg
    mine, one = scale(result.value, result.unit, result.gas, terms), scale(1.0, channel.unit, channel.gas, terms)
    return None if mine is None or not one else mine / one


def frozen_since(known: Known, tag: str) -> tuple[int, int] | None:
    """(since when a channel has read the same, after how long that is too long; ms), where it has been for longer."""
    channel, series, terms = known.atlas.channels.get(tag), known.site.series.get(tag), known.terms_now()
    if channel is None or series is None or not series.constant.last:
        return None
    same = series.constant
    since = same.other or known.site.began
    fine = round(same.value * 1000) % 10 != 0
    limit = terms.ms["frozen_zero"] if same.value == 0 else (terms.ms["frozen"] if fine else 0)
    if not limit or same.last - since <= limit or (same.value == 0 and not _neighbours_move(known, channel, since)):
        return None
    return since, limit


def judge_frozen(known: Known, tag: str) -> Judged:
    """DQ-FROZEN: the same reading to three decimals for half an hour, or exactly zero for hours while a neighbour moves."""
    channel, series = known.atlas.channels.get(tag), known.site.series.get(tag)
    if channel is None or series is None or channel.kind not in GASES:
        return NOTHING
    wake, same = known.now + 5 * MINUTE, series.constant
    frozen = frozen_since(known, tag)
    if frozen is None:
        return Judged(wake=wake)
    since, limit = frozen
    jobs = [c for point in known.atlas.points_of_tag.get(tag, ()) for c in known.at(point) if c.at_work()]
    numbers = {"tag": tag, "value": f"{same.value:g}", "unit": channel.unit, "since": known.clock(since), "limit": minutes(limit), "permit": jobs[0].permit if jobs else "—"}
    return Judged((Finding(since + limit, (same.ref,), None, 2 if jobs else 4, numbers, jobs[0].permit if jobs else "", jobs[0].point_id if jobs else "", area=channel.area),), wake)


def _neighbours_move(known: Known, channel: Channel, since: int) -> bool:
    """Has another detector of the area read something else meanwhile?"""
    others = [known.site.series[t] for t in known.atlas.tags_of_area.get(channel.area, ()) if t != channel.tag and t in known.site.series]
    return any(s.constant.other > since for s in others)


def _spans(known: Known, tag: str, spans: Spans) -> Judged:
    channel, found = known.atlas.channels[tag], []
    jobs = [c for point in known.atlas.points_of_tag.get(tag, ()) for c in known.at(point) if c.at_work()]
    for a, b, head, ref in zip(spans.first, spans.last, spans.head, spans.ref, strict=True):
        over = b + spans.join < known.now
        numbers = {"tag": tag, "value": f"{head:g}", "unit": channel.unit, "low": f"{channel.low:g}" if channel.low is not None else "—", "high": f"{channel.high:g}" if channel.high is not None else "—",
                   "since": known.clock(a)}  # fmt: skip
        found.append(Finding(a, (ref,), b if over else None, numbers=numbers, variant="" if channel.low is not None and channel.high is not None else "absurd", permit=jobs[0].permit if jobs else "", point=jobs[0].point_id if jobs else "", area=channel.area))
    return Judged(tuple(found), known.now + 30 * SECOND if any(f.end is None for f in found) else None)


def judge_range(known: Known, tag: str) -> Judged:
    """DQ-RANGE: readings outside what the instrument can measure; they are no readings, the gas is unknown. A little below zero is zero, and told when it lasts."""
    series = known.site.series.get(tag)
    if series is None or tag not in known.atlas.channels or not (series.wild or series.below.over):
        return NOTHING
    wild, drifted = _spans(known, tag, series.wild), list(_drifted(known, tag, series.below))
    standing = [(start, last) for start, end, last, *_ in series.below.intervals(known.now) if end is None]
    turns = [m for start, last in standing for m in (start + known.terms_at(start).ms["zero_low"] + SECOND, last + series.below.over.join + 1) if m > known.now]
    return Judged(tuple(sorted((*wild.findings, *drifted), key=lambda f: f.start)), wake_at(wild.wake, *turns))


def _drifted(known: Known, tag: str, below: Held) -> Iterator[Finding]:
    """A zero that has been a little too low for an hour."""
    channel = known.atlas.channels[tag]
    for start, end, last, top, ref in below.intervals(known.now):
        lasts = known.terms_at(start).ms["zero_low"]
        if last - start >= lasts:
            numbers = {"tag": tag, "value": f"{-top:g}", "unit": channel.unit, "since": known.clock(start), "limit": minutes(lasts)}
            yield Finding(start + lasts, (ref,), end, 4, numbers, variant="zero", area=channel.area)


def judge_unit(known: Known, tag: str) -> Judged:
    """DQ-UNIT: the device says another unit than points.csv; its readings are not used."""
    series = known.site.series.get(tag)
    return _spans(known, tag, series.units) if series and series.units and tag in known.atlas.channels else NOTHING


RULES = (
    Rule("DQ-CAL", "permit", 2, frozenset({"permit", "tested", "device"}), judge_calibration, "rule of the site (001-13)", OURS, "C", "", ("S68",), apart=("device", "sampled")),
    Rule("X-GAS-MISMATCH", "permit", 2, frozenset({"permit", "tested"}), judge_mismatch, "rule of the site (000-23)", OURS, "C", "", ("R-TYPED",), apart=("gas", "sampled"), takes=("lel_percent", "lel_vol_high", "lel_vol_low", "mismatch_share", "oxygen_high", "oxygen_low", "rise_share",)),
    Rule("DQ-FROZEN", "channel", 2, CAUSES, judge_frozen, "our figures", OURS, "C", "", ("S61",), fleeting=True, takes=("frozen", "frozen_zero",)),
    Rule("DQ-RANGE", "channel", 3, CAUSES, judge_range, "our rule", OURS, "C", "", ("S65",), apart=("limit",), takes=("zero_low",)),
    Rule("DQ-UNIT", "channel", 3, CAUSES, judge_unit, "our rule", OURS, "C", "", ("S65",)),
)
