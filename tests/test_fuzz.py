"""Events of every kind, plausible and absurd: nothing raises, and a permit whom they do not concern does not notice."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.fuzz import BASE, KINDS, NUMBERS, OTHERS, SITE, STEP, STRINGS, Report, Way, anew, clock, plausible, run
from streams.events import Any_, Entry, Envelope, encode
from streams.intake import Intake
from streams.kernel import restore
from streams.times import HOUR
from streams.topics import OF_KIND

PERMITS = ("HW-0", "HW-1", "CS-1", "HW|2")
ASKED = {
    "kind": "permit.requested", "at": BASE, "permit": "HW-0", "type": "02", "point": "PA", "workers": ["W1"], "guardians": ["G1"],
    "valid_from": BASE, "valid_to": BASE + 8 * HOUR,
}  # fmt: skip


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("events", [2_000, pytest.param(20_000, marks=pytest.mark.every)])
def test_events_of_every_kind_raise_nothing_and_a_clean_permit_does_not_notice(events):
    """Two thousand in `make test`, twenty thousand in `make test-all`, a million by `make fuzz`."""
    report = run(events, seed=1, say=lambda said: None)
    assert [str(fault) for fault in report.often] == []
    assert set(report.made) == set(KINDS)
    assert report.taken.total() > events // 4
    assert report.compared > 20


def test_the_same_seed_tells_the_same_events():
    one, two = (run(400, seed=3, say=lambda said: None) for _ in range(2))
    assert (one.made, one.door, one.intake, one.taken, one.outputs) == (two.made, two.door, two.intake, two.taken, two.outputs)


def test_every_kind_of_event_is_made_without_being_named():
    assert set(KINDS) == {str(kind.__struct_config__.tag) for kind in Any_.__args__}


def test_what_raises_is_counted_shown_and_can_be_told_again():
    said: list[str] = []
    report = Report()
    way = Way(10, 1, report, said.append)
    way.bring(0, BASE)
    assert [way.attempt("step", divmod, 1, 0) for _ in range(2)] == [None, None]
    assert [fault.steps.total() for fault in report.often] == [2]
    assert len(said) == 1
    assert "--events 10 --seed 1 --at 0" in said[0]
    way.loop.close()


# ---- shrinking ------------------------------------------------------------------------------------------------------

WILD = st.one_of(
    st.sampled_from([*(o for o in OTHERS if not isinstance(o, str)), *STRINGS]), st.sampled_from([n for n in NUMBERS if n == n and abs(n) < 1e308]),
    st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20), st.dates().map(str),
)  # fmt: skip


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """A plausible event of any kind but the plant itself, a tick or a pack, with one or two fields that are anything."""
    kind = draw(st.sampled_from(sorted(KINDS.keys() - {"plant", "pack", "tick"})))
    now = BASE + draw(st.integers(0, 200)) * STEP
    row = copy.deepcopy(plausible(random.Random(draw(st.integers(0, 50))), KINDS[kind], kind, now, PERMITS)) | {"kind": kind, "at": now}
    for name in draw(st.lists(st.sampled_from(sorted(row.keys() - {"kind"})), min_size=1, max_size=2, unique=True)):
        row[name] = draw(WILD)
    return row


def _entry(n: int, row: dict[str, Any]) -> object:
    raw = encode(Envelope(SITE, "ptw", n, BASE + 200 * STEP, msgspec.Raw(json.dumps(row).encode())))
    return Intake().take(raw, OF_KIND[row["kind"]].name)


@pytest.mark.timeout(300)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(told=st.lists(rows(), min_size=1, max_size=6))
def test_no_few_events_make_a_kernel_raise_now_or_later(told):
    kernel = anew(BASE)
    for n, row in enumerate([ASKED, *told], 1):
        entry = _entry(n, row)
        if isinstance(entry, Entry):
            kernel.step(entry)
    for minutes in (41, 42, 90, 600, 3000):
        kernel.step(clock(BASE + minutes * 60_000, idle=3000 * 60_000))
        kernel = restore(kernel.snapshot())
    assert kernel.memory.broken == {}
