"""The list of demands is whole, every mark names one of them or a story, and `make demands` says what is shown."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests import demands
from tests.marks import seed_marks

LAST = {"000": 38, "001": 33, "002": 26, "003": 29, "004": 22}


@pytest.fixture(scope="module")
def found() -> demands.Collect:
    return demands.collect(demands.read())


@pytest.fixture
def told(monkeypatch, capsys) -> Callable[..., str]:
    """What the command prints about three demands, by what their marks say."""

    def tell(*marks: pytest.MarkDecorator, argv: tuple[str, ...] = (), code: int = 0) -> str:
        small = {ident: demands.read()[ident] for ident in ("000-02", "000-27", "000-28")}
        monkeypatch.setattr(demands, "collect", lambda known: _collected(small, marks))
        assert demands.main(argv) == code
        return "".join(capsys.readouterr())

    return tell


def _collected(known: dict[str, dict[str, str]], marks: tuple[pytest.MarkDecorator, ...]) -> demands.Collect:
    found = demands.Collect(known)
    for mark in marks:
        found.note("test_x.py::test_y", mark.mark)
    return found


def test_every_demand_is_there_once_with_a_sentence_and_a_status():
    known = demands.read()
    assert list(known) == [f"{source}-{n:02d}" for source, last in LAST.items() for n in range(1, last + 1)]
    assert all(one["says"].endswith(".") and one["status"] in demands.STATUSES for one in known.values())
    assert all(one.keys() == {"says", "status"} for one in known.values())


def test_every_mark_names_a_demand_or_a_story(found):
    assert found.wrong == {}
    assert found.shown["000-28"].parts and found.shown["001-30"].whole and found.shown["S26"].whole


def test_the_command_prints_every_demand_and_the_counts(found, monkeypatch, capsys):
    monkeypatch.setattr(demands, "collect", lambda known: found)
    assert demands.main([]) == 0
    said = capsys.readouterr().out
    assert all(f"\n{ident}  " in f"\n{said}" for ident in demands.read())
    assert "\nS26 " in said and "\n148 demands: " in said


def test_a_part_is_not_the_whole(told):
    part = seed_marks({"story": "S04-b", "seeds": ["000-27 part the answer at the door"]})
    said = told(*part)
    assert "000-27  partly " in said and "the answer at the door: 1 test: test_x.py::test_y" in said
    assert "\nS04 " in said and "1 partly, 1 missing, 1 context" in said
    assert "000-27  works " in told(*part, pytest.mark.seed("000-27"))


def test_a_figure_is_context_and_no_hole(told):
    said = told(pytest.mark.seed("000-28"), argv=("--missing",))
    assert "000-27  missing " in said and "000-28" not in said and "000-02" not in said


@pytest.mark.parametrize(("mark", "word"), [
    (pytest.mark.seed("000-29"), 'near it is 000-2'), (pytest.mark.seed("R"), '"R" is no story'),
    (pytest.mark.seed("000-27", parts="x"), 'part="'), (pytest.mark.seed("000-27", "x"), 'part="'),
    (pytest.mark.seed("000-27", part=""), 'part="'), (pytest.mark.seed(), 'part="'),
])  # fmt: skip
def test_a_mark_that_says_nothing_known_is_refused_with_its_test(told, mark, word):
    said = told(mark, code=1)
    assert word in said and "test_x.py::test_y" in said


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit):
        demands.main(["--help"])
    assert "demands.py --missing" in capsys.readouterr().out
