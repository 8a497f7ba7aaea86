"""Alerts keep their meaning in the whole kernel: gas over its limit now and then, its readings in any order within the time in which a fact is not late."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.plant.story import read_story
from infra.plant.tell import timeline
from streams.events import Entry, Frame, Step, Tick
from streams.kernel import Kernel
from streams.outputs import Alert, Command
from streams.times import MINUTE, SECOND

STORY = Path(__file__).parent / "scenarios" / "S26_lel_12_methane.toml"
EVERY = 5 * SECOND
SPAN = 8 * MINUTE
"""Facts that come within ten minutes are not late: they may wake people."""


def ready() -> tuple[bytes, int]:
    """(a kernel in which the story's work has begun, that moment)."""
    kernel = Kernel("story")
    for n, (at, said) in enumerate(timeline(read_story(STORY))):
        if isinstance(said, Entry) and not isinstance(said.event, Frame):
            kernel.step(said)
            if isinstance(said.event, Step) and said.event.step == "started":
                return kernel.snapshot(), at
        elif isinstance(said, Tick):
            kernel.step(Entry("story", "clock", n, at, "site.events", said))
    raise AssertionError


BEGUN, START = ready()
VALUES = st.lists(st.tuples(st.integers(1, 14), st.sampled_from([2.0, 9.5, 12.0])), min_size=2, max_size=8)
"""(how many readings, at which %LEL): below, in the width in which an alarm does not clear, over the limit of 10."""


def told(values: list[float], delays: list[int]) -> list[Alert | Command]:
    """What is said of readings each of which comes so many seconds after it was true."""
    from streams.kernel import restore

    kernel, out = restore(BEGUN), list[Alert | Command]()
    coming = sorted((START + (i + 1) * EVERY + delay * SECOND, i) for i, delay in enumerate(delays))
    n = 0
    for at in range(START + SECOND, START + SPAN + 12 * MINUTE, SECOND):
        while n < len(coming) and coming[n][0] <= at:
            seen, i = coming[n]
            frame = Frame(at=START + (i + 1) * EVERY, u=0, names=["D"], values=[values[i]])
            out += [o for o in kernel.step(Entry("story", "gas", i + 1, seen, "sensor.readings", frame)) if isinstance(o, Alert | Command)]
            n += 1
        out += [o for o in kernel.step(Entry("story", "clock", at, at, "site.events", Tick(at=at))) if isinstance(o, Alert | Command)]
    return [o for o in out if (o.id if isinstance(o, Alert) else o.alert).startswith("X-GAS-LIM")]


def standing(said: list[Alert | Command]) -> set[tuple[str, int, int | None, int, str]]:
    """(subject, interval, priority, text) of everything that was true in the end."""
    last = {o.id: o for o in said if isinstance(o, Alert)}
    return {(a.subject, a.start, a.end, a.priority, a.text["en"]) for a in last.values() if a.state != "retracted"}


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[float], list[int]]:
    """Readings that join, part, begin earlier and end later as they come."""
    values = [value for n, value in draw(VALUES) for _ in range(n)][: SPAN // EVERY]
    held = draw(st.lists(st.tuples(st.integers(0, len(values) - 1), st.integers(1, 12), st.integers(1, 400)), max_size=4))
    delays = [0] * len(values)
    for start, length, delay in held:
        delays[start : start + length] = [delay] * len(delays[start : start + length])
    return values, delays


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_whatever_order_readings_come_in_the_same_alerts_are_true_in_the_end(case):
    values, delays = case
    assert standing(told(values, delays)) == standing(told(values, [0] * len(values)))


def _one_with(gone: Alert, others: list[Alert]) -> bool:
    """Does another number go on that holds its interval? Then what it asked for went over to that one."""
    return any(a.state != "retracted" and a.start <= (gone.end or gone.known) and gone.start <= (a.end if a.end is not None else 1 << 62) for a in others[-1:])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_a_number_once_said_keeps_meaning_its_interval(case):
    """Revisions of a number overlap the ones before; commands are asked once a number and priority; what is retracted has its commands withdrawn; a number is announced once a priority and owner, unless it was cleared in between."""
    said = told(*case)
    by: dict[str, list[Alert]] = {}
    for alert in (o for o in said if isinstance(o, Alert)):
        by.setdefault(alert.id, []).append(alert)
    far = 1 << 62
    for revisions in by.values():
        assert [a.revision for a in revisions] == list(range(1, len(revisions) + 1))
        for a, b in pairwise(revisions):
            assert a.start <= (b.end if b.end is not None else far)
            assert b.start <= (a.end if a.end is not None else far)
        for n, a in enumerate(revisions):
            since = max((i for i, b in enumerate(revisions[:n]) if b.state == "cleared"), default=0)
            assert not (a.announce and any(b.announce and (b.priority, b.owner) == (a.priority, a.owner) for b in revisions[since:n]))
    asked = [(o.alert, o.action, o.target) for o in said if isinstance(o, Command) and not o.withdrawn]
    assert len(asked) == len(set(asked))
    gone = {i for i, revisions in by.items() if revisions[-1].state == "retracted" and not any(_one_with(revisions[-1], others) for j, others in by.items() if j != i)}
    withdrawn = {(o.alert, o.action, o.target) for o in said if isinstance(o, Command) and o.withdrawn}
    assert {a for a in asked if a[0] in gone} <= withdrawn
