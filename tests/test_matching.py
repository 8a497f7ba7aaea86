"""Alerts keep their meaning: numbers under late, early, joined and split intervals."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.matching import Numbered, match, overlap
from streams.rules.rule import Finding

FAR = 1 << 62
SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=6).map(lambda rows: _apart(sorted(rows)))


def _apart(rows: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Intervals that do not touch."""
    out: list[tuple[int, int]] = []
    for start, length in rows:
        if not out or start > out[-1][1] + 1:
            out.append((start, start + length))
    return out


def _findings(spans: list[tuple[int, int]], open_last: bool = False) -> list[Finding]:
    return [Finding(a, ("e",), None if open_last and i == len(spans) - 1 else b) for i, (a, b) in enumerate(spans)]


class Register:
    """Numbers as `settle` keeps them, without anything else."""

    def __init__(self) -> None:
        self.numbered: list[Numbered] = []
        self.count = 0
        self.meant: dict[int, tuple[int, int | None]] = {}

    def judge(self, findings: list[Finding]) -> dict[int, Finding]:
        found = match(list(self.numbered), findings, ())
        now: dict[int, Finding] = {}
        for one in found.matches:
            n = one.n
            if n is None:
                n = self.count = self.count + 1
            now[n] = one.finding
        gone = [Numbered(o.n, o.key, o.start, o.end, True) for o in self.numbered if o.n not in now]
        self.numbered = gone + [Numbered(n, "", f.start, f.end) for n, f in now.items()]
        return now


@given(SPANS)
def test_the_same_findings_again_change_no_number(spans):
    register = Register()
    assert register.judge(_findings(spans)) == register.judge(_findings(spans))


@given(SPANS, SPANS)
def test_a_number_never_goes_over_to_an_interval_that_shares_nothing_with_it(first, second):
    register = Register()
    before = register.judge(_findings(first))
    after = register.judge(_findings(second))
    for n in before.keys() & after.keys():
        a, b = before[n], after[n]
        assert overlap(a.start, a.end, b.start, b.end)


@given(SPANS, SPANS)
def test_every_finding_has_a_number_of_its_own(first, second):
    register = Register()
    register.judge(_findings(first))
    after = register.judge(_findings(second))
    assert len(after) == len(second)


@settings(max_examples=200)
@given(SPANS, st.integers(0, 5))
def test_a_late_earlier_interval_leaves_the_numbers_of_the_others(spans, at):
    """H1b: one late reading clears no standing alert."""
    if not spans:
        return
    at %= len(spans)
    without = [s for i, s in enumerate(spans) if i != at]
    register = Register()
    before = register.judge(_findings(without))
    after = register.judge(_findings(spans))
    assert all(after.get(n) == f for n, f in before.items())


def test_on_a_join_the_oldest_number_stays_and_the_other_is_one_with_it():
    found = match([Numbered(1, "", 0, 10), Numbered(2, "", 20, None)], [Finding(0, ("e",), None)], ())
    assert (found.matches[0].n, found.matches[0].joined) == (1, (2,))


def test_on_a_split_the_number_stays_with_the_part_that_stands_now():
    found = match([Numbered(1, "", 0, None)], [Finding(0, ("e",), 10), Finding(20, ("e",), None)], ())
    assert [(m.n, m.part_of) for m in found.matches] == [(None, 1), (1, None)]


def test_what_was_taken_back_and_is_found_again_is_the_same():
    found = match([Numbered(1, "", 0, 10, gone=True)], [Finding(2, ("e",), 9)], ())
    assert found.matches[0].n == 1


def test_two_workers_at_one_time_are_two_alerts():
    findings = [Finding(0, ("e",), None, numbers={"worker": w}) for w in ("A", "B")]
    first = match([], findings, ("worker",))
    again = match([Numbered(1, "A", 0, None), Numbered(2, "B", 0, None)], findings[1:], ("worker",))
    assert [m.n for m in first.matches] == [None, None]
    assert ([m.n for m in again.matches], again.left) == ([2], [1])


def test_two_findings_that_stand_side_by_side_keep_their_numbers():
    findings = [Finding(0, ("e",), None), Finding(10, ("e",), None)]
    register = Register()
    first = register.judge(findings)
    assert register.judge(findings) == first and len(first) == 2
