"""`make demands`: says of every demand whether tests show it whole, in part or not yet, and which tests do."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import itertools
import re
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
STORY = re.compile(r"R-[\w-]+|[STBNAUWHDLG]\d[\w-]*|[TLGWD]-[\w-]+")
STATUSES = ("IN", "PART", "OUT", "CTX")
UNSHOWN = {"CTX": "context", "OUT": "elsewhere"}
HOLES = ("partly", "missing")
STATES = ("works", "partly", "missing", *UNSHOWN.values())
EXAMPLES = """\
examples:
  make demands                                  every demand and story, what shows it, and the counts
  .venv/bin/python tests/demands.py --missing   what no test shows yet, or only a part of

how a test says what it shows:
  @pytest.mark.seed("000-28")                                  the whole: with less of it the test would fail
  @pytest.mark.seed("000-27", part="the answer at the door")   that part only
  seeds = ["000-28", "000-27 part the answer at the door"]     the same in the file of a story
"""


@dataclass
class Shown:
    """The tests that show a demand or a story: the whole of it, or a part."""

    whole: list[str] = field(default_factory=list)
    parts: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


class Collect:
    """Notes what every collected test says it shows, and what is wrong with a mark."""

    def __init__(self, demands: Mapping[str, dict[str, str]]) -> None:
        self.demands = demands
        self.shown: dict[str, Shown] = defaultdict(Shown)
        self.wrong: dict[str, list[str]] = defaultdict(list)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        for mark in item.iter_markers("seed"):
            self.note(item.nodeid.removeprefix("tests/"), mark)

    def note(self, test: str, mark: pytest.Mark) -> None:
        if said := fault(mark, self.demands):
            self.wrong[said].append(test)
        elif part := mark.kwargs.get("part"):
            self.shown[mark.args[0]].parts[part].append(test)
        else:
            self.shown[mark.args[0]].whole.append(test)


def fault(mark: pytest.Mark, demands: Mapping[str, dict[str, str]]) -> str:
    """What is wrong with a mark; nothing if it names a demand or a story."""
    if len(mark.args) != 1 or mark.kwargs.keys() - {"part"} or not mark.kwargs.get("part", "whole"):
        return 'write seed("000-28"), or seed("000-27", part="which part")'
    ident = str(mark.args[0])
    if ident in demands or STORY.fullmatch(ident):
        return ""
    near = difflib.get_close_matches(ident, demands, 1)
    return f'"{ident}" is no story and no demand of demands.toml' + (f"; near it is {near[0]}" if near else "")


def read() -> dict[str, dict[str, str]]:
    return tomllib.loads((HERE / "demands.toml").read_text(encoding="utf-8"))


def collect(demands: Mapping[str, dict[str, str]]) -> Collect:
    """Every test of the project, collected and not run."""
    found = Collect(demands)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        status = pytest.main(["-q", "-s", "--collect-only", str(HERE)], plugins=[found])
    if status:
        sys.exit(said.getvalue())
    return found


def state(status: str, shown: Shown) -> str:
    if shown.whole:
        return "works"
    return "partly" if shown.parts else UNSHOWN.get(status, "missing")


def _tests(names: list[str]) -> str:
    return f"{len(names)} test{'s' if len(names) > 1 else ''}: {names[0]}{' …' if len(names) > 1 else ''}"


def _shows(shown: Shown) -> Iterator[str]:
    if shown.whole:
        yield f"        {_tests(shown.whole)}"
    yield from (f"        {part}: {_tests(names)}" for part, names in shown.parts.items())


def report(found: Collect, only_holes: bool = False) -> Iterator[str]:
    """A line a demand with its state, under it what shows it; then the stories and the counts."""
    states = {ident: state(demand["status"], found.shown[ident]) for ident, demand in found.demands.items()}
    for ident, what in states.items():
        if not only_holes or what in HOLES:
            yield f"{ident}  {what:9}  {found.demands[ident]['says']}"
            yield from _shows(found.shown[ident])
    if not only_holes:
        yield from _stories(found)
    counts = Counter(states.values())
    yield f"\n{len(states)} demands: " + ", ".join(f"{counts[s]} {s}" for s in STATES)


def _stories(found: Collect) -> Iterator[str]:
    yield ""
    for ident in sorted(found.shown.keys() - found.demands.keys()):
        shown = found.shown[ident]
        yield f"{ident:9} {_tests([*shown.whole, *itertools.chain(*shown.parts.values())])}"


def main(argv: Sequence[str] | None = None) -> int:
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("demands", description=__doc__, epilog=EXAMPLES, formatter_class=shape)
    parser.add_argument("--missing", action="store_true", help="only what no test shows, or only a part of")
    asked = parser.parse_args(argv)
    found = collect(read())
    print("\n".join(report(found, asked.missing)))
    for said, tests in found.wrong.items():
        print(f"{said} ({_tests(tests)})", file=sys.stderr)
    return int(bool(found.wrong))


if __name__ == "__main__":
    sys.exit(main())
