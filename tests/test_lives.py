"""Lives by themselves: which fact belongs to which, and what goes along."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from streams.events import GasResult, GasTest, Guard, Requested, Step
from streams.lives import life_of, lives_of, number_of, ordered, parted, possible, subject_of, with_what_was_said
from streams.work import Fact


def _fact(at: int, word: str, source: str = "ptw") -> Fact:
    match word:
        case "permit.requested":
            event = Requested(at=at, u=0, permit="A", type="02", point="P", valid_from=0, valid_to=100, workers=["W"], guardians=["G"])
        case "permit.gas_test":
            event = GasTest(at=at, u=0, permit="A", results=[GasResult("o2", 20.8, "%vol")])  # type: ignore[assignment]
        case "guard":
            event = Guard(at=at, u=0, permit="A", worker="G", action="sign_in")  # type: ignore[assignment]
        case _:
            event = Step(at=at, u=0, permit="A", step=word)  # type: ignore[assignment]
    return Fact(f"{source}/{at}", source, at, at, event)


@pytest.mark.parametrize(
    ("words", "lives"),
    [
        ("permit.requested issued started finished accepted", [1, 1, 1, 1, 1]),
        ("permit.requested rejected permit.requested", [1, 1, 2]),
        ("permit.requested rejected started permit.requested issued", [1, 1, 1, 2, 2]),
        ("permit.requested rejected cancelled started permit.requested", [1, 1, 1, 1, 2]),
        ("permit.requested issued started accepted started permit.requested", [1, 1, 1, 1, 1, 2]),
        ("permit.requested issued started finished started finished permit.requested", [1, 1, 1, 1, 1, 1, 2]),
        ("permit.requested issued started finished permit.requested accepted issued accepted", [1, 1, 1, 1, 2, 1, 2, 2]),
        ("permit.requested issued permit.requested issued", [1, 1, 1, 1]),
        ("permit.requested issued started finished accepted permit.requested accepted issued", [1, 1, 1, 1, 1, 2, 1, 2]),
        ("permit.requested issued started finished permit.requested accepted accepted issued started", [1, 1, 1, 1, 2, 1, 1, 2, 2]),
        ("permit.requested issued started finished issued accepted started accepted", [1, 1, 1, 1, 2, 1, 2, 2]),
        ("permit.requested rejected permit.requested accepted permit.requested", [1, 1, 2, 2, 3]),
    ],
)
def test_what_is_over_stays_over_until_it_is_asked_for_again(words, lives):
    assert lives_of([_fact(n, word) for n, word in enumerate(words.split())]) == lives


WORDS = ("started", "suspended", "resumed", "finished", "cancelled", "rejected", "accepted")


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("over", ["rejected", "cancelled", "accepted"])
def test_whatever_comes_after_an_end_the_next_request_begins_another_life(over, word):
    words = ["permit.requested", "issued", "started", over, word, "permit.requested"]
    assert lives_of([_fact(n, w) for n, w in enumerate(words)]) == [1, 1, 1, 1, 1, 2]


@pytest.mark.parametrize("late", [False, True], ids=["while valid", "after its validity"])
@pytest.mark.parametrize("word", WORDS)
def test_only_work_that_goes_on_while_it_is_valid_undoes_a_finish(word, late):
    words, off = ["permit.requested", "issued", "started", "finished", word, "permit.requested"], 200 if late else 0
    goes_on = word in ("started", "resumed") and not late
    assert lives_of([_fact(n + (off if n else 0), w) for n, w in enumerate(words)])[-1] == (1 if goes_on else 2)


@pytest.mark.parametrize(("sources", "order"), [(("ptw", "ptw"), ["started", "finished"]), (("ptw", "app"), ["finished", "started"])])
def test_of_one_instant_a_sources_own_numbers_decide_and_of_two_sources_the_more_dangerous_holds(sources, order):
    first, second = (_fact(5, word, source) for word, source in zip(("started", "finished"), sources, strict=True))
    second = replace(second, seq=6)
    assert [f.event.step for f in ordered([second, first])] == order


def test_what_is_no_turn_belongs_to_the_life_of_its_moment():
    facts = [_fact(n, word) for n, word in enumerate(["permit.requested", "permit.gas_test", "rejected", "jsa", "permit.requested", "permit.gas_test"])]
    assert {life: [f.seq for f in own] for life, own in parted(facts).items()} == {1: [0, 2, 1, 3], 2: [4, 5]}
    assert {life: len(own) for life, own in parted([_fact(1, "permit.gas_test")]).items()} == {1: 1}
    assert parted([]) == {1: []}


def test_tests_and_the_guardians_turns_add_up_over_lives_and_the_rest_is_said_anew_or_taken_over():
    before, _ = with_what_was_said([_fact(n, word) for n, word in enumerate(["permit.requested", "jsa", "briefed", "permit.gas_test", "guard", "issued"])], {})
    mine, carried = with_what_was_said([_fact(n, word) for n, word in enumerate(["permit.requested", "jsa", "permit.gas_test", "guard"], 10)], before)
    assert {name: [f.seq for f in facts] for name, facts in mine.items()} == {"permit.requested": [10], "jsa": [11], "briefed": [2], "permit.gas_test": [3, 12], "guard": [4, 13]}
    assert carried == {"ptw/2", "ptw/3", "ptw/4"}


@pytest.mark.parametrize(("subject", "number", "life"), [("A", "A", 1), ("A#2", "A", 2), ("A#b", "A#b", 1), ("#3", "#3", 1), ("A#1#4", "A#1", 4), ("", "", 1), ("A#", "A#", 1)])
def test_a_life_is_named_by_its_number(subject, number, life):
    assert (number_of(subject), life_of(subject)) == (number, life)
    if subject != "A#1#4":
        assert subject_of(number, life) == subject


@pytest.mark.parametrize(
    ("words", "can"),
    [
        ("issued started suspended resumed suspended resumed", True), ("suspended suspended resumed", True), ("started started finished finished", True),
        ("suspended resumed resumed", False), ("resumed issued resumed", False), ("accepted finished", False), ("finished accepted", True),
    ],
)  # fmt: skip
def test_a_life_goes_so_or_cannot(words, can):
    assert possible([_fact(n, word) for n, word in enumerate(words.split())]) is can
