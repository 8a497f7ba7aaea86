"""Clocks of wires: measured from both sides, said when it is news, on real Modbus TCP and OPC UA."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.plant.devices import Devices
from infra.plant.reference import write_plant
from ingest.clocks import ANEW, Clock, shown
from ingest.modbus import Endpoint
from ingest.opcua import Session
from streams.clocks import Steps
from streams.events import ClockSaid, Frame
from streams.plant import ClockRegister, Modbus, OpcUa, PlantError, read_plant
from streams.wall import LASTS, LEAP, Steady

T0 = 1_795_000_000_000


def readings(offset: int, trips: list[tuple[int, int]], grain: int, start: int = T0, every: int = 20_000) -> tuple[Clock, list[ClockSaid]]:
    """A clock that is `offset` ms fast, read at some moments; each trip is (there, back) ms."""
    said: list[ClockSaid] = []
    clock = Clock("D", said.append)
    for i, (there, back) in enumerate(trips):
        asked = start + i * every + (i * 377) % 1000
        true = asked + there + offset
        clock.read(true // grain * grain, asked, asked + there + back, grain)
    return clock, said


TRIPS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=40)


@given(st.integers(LEAP + 1, 10**10), st.sampled_from([1, -1]), st.integers(1, LASTS - 1), st.integers(-300, 300))
def test_a_leap_of_our_own_clock_that_comes_and_goes_is_never_told(much, way, long, drift):
    """An hour ahead for half a minute and back: no plant's second is skipped, and none is told twice."""
    steady = Steady(T0, 0)
    assert steady.now(T0 + 10_000 + drift, 10_000) == T0 + 10_000 + drift
    for at in (10_500, 10_000 + long // 2 + 500, 10_500 + long - 1):
        assert steady.now(T0 + at + drift + way * much, at) == T0 + at + drift
    assert steady.now(T0 + 10_500 + long, 10_500 + long) == T0 + 10_500 + long


@given(st.integers(LEAP + 1, 10**10), st.sampled_from([1, -1]))
def test_a_leap_that_lasts_is_followed_and_so_is_the_way_back(much, way):
    steady, leapt = Steady(T0, 0), T0 + way * much
    assert [steady.now(leapt + at, at) - at for at in (0, 1_000, LASTS - 1, LASTS, LASTS + 1)] == [T0, T0, T0, leapt, leapt]
    assert [steady.now(T0 + at, at) - at for at in (LASTS + 2, 2 * LASTS + 1, 2 * LASTS + 2)] == [leapt, leapt, T0]


def test_a_leap_is_said_once_and_once_what_came_of_it(caplog):
    steady = Steady(T0, 0)
    for at, leap in ((0, 0), (1, 5_000), (2, 5_000), (3, 0), (4, 0), (5, -9_000), (6, -9_000), (7, -20_000), (7 + LASTS, -20_000), (8 + LASTS, -20_000)):
        steady.now(T0 + at + leap, at)
    said = [r.message for r in caplog.records]
    assert ["leapt by +5 s" in said[0], "right again" in said[1], "leapt by -9 s" in said[2], "leapt by -20 s" in said[3], "is followed" in said[4], len(said)] == [True] * 5 + [5]


@pytest.mark.seed("T9")
@given(st.integers(-600_000, 600_000), TRIPS, st.sampled_from([1, 1000]))
def test_the_true_offset_lies_within_what_is_said(offset, trips, grain):
    clock, said = readings(offset, trips, grain)
    assert said
    for s in said:
        assert abs(s.offset - offset) <= s.residual + (s.at - T0) // 3_600_000 + 1
    assert clock.lo - 1 <= offset <= clock.hi + 1


@given(st.integers(-600_000, 600_000), TRIPS)
def test_more_readings_never_know_less(offset, trips):
    residuals = [(c.hi - c.lo) for n in range(1, len(trips) + 1) for c in [readings(offset, trips[:n], 1000)[0]]]
    drift = 20_000 / 3_600_000
    assert all(b <= a + 2 * drift + 1 for a, b in pairwise(residuals))


@given(st.integers(-600_000, 600_000), st.integers(5_000, 600_000), st.booleans())
def test_a_clock_that_is_set_is_told_at_the_next_reading_with_what_it_was_before(offset, step, back):
    said: list[ClockSaid] = []
    clock = Clock("D", said.append)
    for i in range(5):
        clock.read(T0 + i * 20_000 + offset, T0 + i * 20_000 - 5, T0 + i * 20_000 + 5)
    new = offset + (-step if back else step)
    at = T0 + 100_000
    if back and step == 20_000:  # it shows once more what it showed: as if it stood still, so it is told one reading later
        before = list(said)
        clock.read(at + new, at - 5, at + 5)
        assert said == before
        at += 20_000
    clock.read(at + new, at - 5, at + 5)
    assert abs(said[-1].offset - new) <= said[-1].residual
    assert (said[-1].at, said[-2].at) == (at + 5, T0 + 80_005)
    assert abs(said[-2].offset - offset) <= said[-2].residual


def test_what_stands_is_said_again_so_that_its_error_does_not_grow_and_not_more_often():
    _, said = readings(3_000, [(2, 2)] * 91, 1)
    assert len(said) == 1 + 90 * 20_000 // ANEW
    assert {s.offset for s in said} <= {2_999, 3_000, 3_001}


@pytest.mark.parametrize(("kind", "words", "order", "want"), [
    ("unix", {0: 27_383, 1: 23_424}, "ABCD", (27_383 << 16 | 23_424) * 1000), ("unix", {0: 23_424, 1: 27_383}, "CDAB", (27_383 << 16 | 23_424) * 1000),
    ("unix", {0: 0, 1: 0}, "ABCD", None), ("unix", {0: 27_383}, "ABCD", None),
    ("ymdhms", dict(enumerate((2026, 11, 28, 8, 0, 1))), "ABCD", 1_795_824_001_000), ("ymdhms", dict(enumerate((26, 11, 28, 8, 0, 1))), "ABCD", 1_795_824_001_000),
    ("ymdhms", dict(enumerate((2026, 13, 28, 8, 0, 1))), "ABCD", None), ("ymdhms", dict(enumerate((0, 0, 0, 0, 0, 0))), "ABCD", None),
])  # fmt: skip
def test_a_panels_clock_is_read_as_it_is_written_or_not_at_all(kind, words, order, want):
    assert shown(ClockRegister("GDS", 0, kind=kind), words, order) == want


# ---- on the wire ---------------------------------------------------------------------------------------------------------


class Acts:
    """A script of which only the plant is asked."""

    def __init__(self, plant):
        self.plant, self.seed = plant, 1

    def readings(self, channels, at):
        return [5.0] * len(channels)


BUSY = 5_000
"""How long a busy machine may take between a frame's moment and the test's look at it, ms: far less than the clocks here are wrong by."""


async def _during(work: Awaitable[None], done: Callable[[], bool], seconds: float = 80) -> None:
    task, until = asyncio.ensure_future(work), time.monotonic() + seconds
    while not done() and time.monotonic() < until and not task.done():
        await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert done()


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.seed("T9")
@pytest.mark.parametrize("skew", [240_000, -95_000, 0])
def test_an_opc_ua_servers_clock_is_measured_and_its_frames_are_true_once_corrected(tmp_path, skew):
    port = _port()
    plant = read_plant(write_plant(tmp_path, 0.02, 15020, port)).plant
    channels = [c for c in plant.channels if c.source == "dcs"][:5]
    devices = Devices(Acts(plant), [], f"opc.tcp://127.0.0.1:{port}/plant/", "", {}, {"dcs": skew})
    said: list[ClockSaid] = []
    frames: list[tuple[int, Frame]] = []
    session = Session(OpcUa("dcs", f"opc.tcp://127.0.0.1:{port}/plant/"), channels, lambda f, offset: frames.append((int(time.time() * 1000), f)), said.append)

    def enough() -> bool:
        return len([f for _, f in frames if not f.bad]) >= 5

    async def both() -> None:
        await asyncio.gather(devices._dcs(), session.run())

    asyncio.run(_during(both(), enough))
    assert said[0].device == "dcs"
    assert abs(said[-1].offset - skew) <= said[-1].residual
    assert said[-1].residual <= 1_000
    for now, frame in frames:
        if not frame.bad:
            assert abs(frame.at - said[-1].offset - now) <= frame.u + said[-1].residual + BUSY


class Hands:
    """Time as a test moves it, for `ingest.opcua`."""

    def __init__(self):
        self.now = T0 / 1000
        self.framed: list[float] = []

    def monotonic(self):
        return self.now


def _session(monkeypatch) -> tuple[Session, Hands, list[Frame], list[ClockSaid]]:
    hands, frames, said = Hands(), [], []
    monkeypatch.setattr("ingest.opcua.time", hands)
    monkeypatch.setattr("ingest.opcua.wall.now", lambda: int(hands.now * 1000))
    session = Session(OpcUa("dcs", "opc.tcp://x"), [], lambda f, offset: (hands.framed.append(hands.now), frames.append(f))[1], said.append)
    session.last = {"T": (1.0, "")}
    return session, hands, frames, said


def _second(session: Session, hands: Hands, shown: int | None) -> None:
    hands.now += 1
    if shown is not None:
        session._beat(shown)
    session._frame()


def test_a_servers_clock_that_stands_while_its_data_go_on_hides_nothing(monkeypatch):
    """Its frames were once stamped by the time at which it stopped, for hours, and an alarm came late and untold."""
    session, hands, frames, said = _session(monkeypatch)
    session.clock.read(T0 + 300, T0 - 5, T0 + 5, 1000)
    for n in range(200):
        _second(session, hands, T0 + min(n + 1, 60) * 1000 + 300)
        if n % 30 == 29:
            session.clock.read(T0 + min(n + 1, 60) * 1000 + 300, int(hands.now * 1000) - 5, int(hands.now * 1000) + 5, 1000)
    late = [int(now * 1000) - f.at for now, f in zip(hands.framed, frames, strict=True)]
    assert max(map(abs, late)) <= 6_500
    assert sum(abs(ms) > 1_500 for ms in late) <= 5
    assert len(late) >= 195
    assert all(abs(s.offset) <= 1_000 for s in said)


@pytest.mark.parametrize("step", [240_000, -240_000])
def test_no_frame_is_stamped_by_one_clock_and_corrected_by_another(monkeypatch, step):
    session, hands, frames, said = _session(monkeypatch)
    session.clock.read(T0, T0 - 5, T0 + 5, 1000)
    for n in range(30):
        set_to = step if n >= 10 else 0
        _second(session, hands, int(hands.now * 1000) + 1000 + set_to)
        if session.look.is_set():
            now = int(hands.now * 1000)
            session.look.clear()
            session.clock.read(now + set_to, now + 5, now + 10, 1000)
    assert len(said) == 2
    assert all(f.at < T0 + 11_500 or f.at > T0 + step + 9_000 if step > 0 else True for f in frames)
    assert len(frames) >= 28
    assert abs(said[-1].offset - step) <= said[-1].residual + 1


def test_a_clock_that_is_never_compared_again_holds_frames_back_for_three_seconds_only(monkeypatch):
    session, hands, frames, _ = _session(monkeypatch)
    session.clock.read(T0, T0 - 5, T0 + 5, 1000)
    for _ in range(20):
        _second(session, hands, int(hands.now * 1000) + 500_000)
    assert 16 <= len(frames) <= 18
    assert all(abs(f.at - T0) <= 25_000 for f in frames)


@pytest.mark.seed("T9")
@pytest.mark.parametrize("skew", [-42_000, 400])
def test_a_panels_clock_register_is_measured_beside_its_readings(tmp_path, skew):
    port = _port()
    described = read_plant(write_plant(tmp_path, 0.02, port, 14840))
    wire = described.wires.modbus[0]
    channels = [c for c in described.plant.channels if c.source == wire.name]
    devices = Devices(Acts(described.plant), [wire], "", "", {}, {wire.name: skew})
    said: list[ClockSaid] = []
    frames: list[Frame] = []

    async def both() -> None:
        from infra.plant.devices import Panel

        await asyncio.get_running_loop().create_server(lambda: Panel(lambda: devices._words(channels) | devices._clock(wire)), "127.0.0.1", port)
        await Endpoint(wire, channels, frames.append, said.append).run()

    asyncio.run(_during(both(), lambda: bool(said) and len(frames) >= 3))
    assert (said[0].device, wire.name) == ("GDS-1", "panel-1")
    assert abs(said[0].offset - skew) <= said[0].residual <= 1_500
    assert all(abs(f.at - time.time() * 1000) < 30_000 and not f.bad for f in frames)


def test_a_panel_that_shows_no_time_is_said_once_and_its_readings_go_on(tmp_path, caplog):
    port = _port()
    described = read_plant(write_plant(tmp_path, 0.02, port, 14840))
    channels = [c for c in described.plant.channels if c.source == "panel-1"]
    wire = Modbus("panel-1", f"127.0.0.1:{port}", clock=ClockRegister("GDS-1", 900, kind="ymdhms"))
    devices = Devices(Acts(described.plant), [wire], "", "", {})
    said: list[ClockSaid] = []
    frames: list[Frame] = []

    async def both() -> None:
        from infra.plant.devices import Panel

        await asyncio.get_running_loop().create_server(lambda: Panel(lambda: devices._words(channels)), "127.0.0.1", port)
        await Endpoint(wire, channels, frames.append, said.append).run()

    asyncio.run(_during(both(), lambda: len(frames) >= 3))
    assert said == []
    assert [r.message for r in caplog.records if "show no time" in r.message] == [f"panel-1 (127.0.0.1:{port}): registers 900+6 of unit 1 show no time; correct [modbus.clock] in plant.toml"]


@pytest.mark.parametrize(("change", "field"), [
    (('device = "GDS-1"', 'device = "dcs"'), "clock.device"), (("cameras = 2000", "camera = 2000"), "push_delay.camera"), (("cameras = 2000", "cameras = -1"), "push_delay.cameras"), (("cameras = 2000", "cameras = 86400001"), "push_delay.cameras"),
    (("register = 900", "registr = 900"), "registr"), (("register = 900", 'register = 900, kind = "bcd"'), "kind"),
])  # fmt: skip
def test_a_clock_written_wrong_is_said_with_its_line(tmp_path, change, field):
    file = write_plant(tmp_path, 0.02, 15020, 14840)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(*change, 1), encoding="utf-8")
    with pytest.raises(PlantError) as wrong:
        read_plant(file)
    assert wrong.value.field == field
    assert change[1].split(" =")[0].split(",")[0].strip() in text.replace(*change, 1).splitlines()[wrong.value.line - 1]




@pytest.mark.parametrize("room", ["streams", "ingest", "dashboards"])
def test_no_room_takes_a_plants_time_from_a_clock_that_may_leap(room):
    """A leap of an hour made every alarm an hour old, and nobody was called."""
    files = [p for p in (Path(__file__).parent.parent / room).rglob("*.py") if p.name != "wall.py"]
    assert files
    assert not [p.name for p in files if re.search(r"time\.time(_ns)?\(\) ?[*/]|datetime\.now\(|utcnow\(", p.read_text(encoding="utf-8"))]


# ---- a stream whose clock goes back ---------------------------------------------------------------------------------------


def _steps(stamps: list[tuple[int, int]]) -> list[tuple[int, int | None]]:
    """The spans in which a clock had gone back, of (arrival, stamp) in ms."""
    steps = Steps(at=stamps[0][1])
    for seen, at in stamps[1:]:
        steps.heard(seen, at, "r")
    return list(zip(steps.since, steps.until, strict=True))


def _run(seen: int, delay: int, n: int, every: int = 10_000) -> list[tuple[int, int]]:
    return [(seen + i * every, seen + i * every - delay) for i in range(n)]


@given(back=st.integers(60_000, 3_600_000))
def test_a_clock_that_goes_back_and_stays_so_is_told_and_its_end_too(back):
    stamps = [*_run(T0, 500, 10), *_run(T0 + 100_000, 500 + back, 20), *_run(T0 + 300_000, 500, 80)]
    assert _steps(stamps) == ([(T0 + 100_000, T0 + 290_000)] if back - 10_000 > 120_000 else [])


def test_two_gateways_under_one_name_are_no_clock_that_goes_back():
    """One of them 180 s slow: their stamps alternate."""
    assert _steps([(T0 + i * 5_000, T0 + i * 5_000 - (180_500 if i % 2 else 500)) for i in range(200)]) == []


@given(behind=st.integers(130_000, 3_600_000), fast=st.integers(2, 50))
def test_a_backlog_that_catches_up_is_no_clock(behind, fast):
    """A gateway that was cut off sends the latest first, then what it kept, faster than it came about."""
    kept = [(T0 + 100_000 + i * 10_000 // fast, T0 + 100_000 - behind + i * 10_000) for i in range(behind // 10_000)]
    assert _steps([*_run(T0, 500, 10), *kept, *_run(T0 + 100_000 + behind, 500, 5)]) == []


def test_a_fast_clock_that_is_set_too_far_back_and_then_right_is_over():
    """Four minutes fast, then 90 s slow, then right."""
    stamps = [*_run(T0, -240_000, 10), *_run(T0 + 100_000, 90_000, 20), *_run(T0 + 300_000, 500, 80)]
    assert _steps(stamps) == [(T0 + 100_000, T0 + 290_000)]
