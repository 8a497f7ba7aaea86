"""Moves each figure of the built-in pack one step to the looser side, by itself, and says which test notices: `make mutants`."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from infra.truth.score import wilson
from streams import packs
from streams.limits import LIMITS
from streams.rules import RULES
from tests.mutants import checks, forked, story_codes

STEP = {"s": 5.0, "min": 1.0, "h": 1.0, "d": 1.0, "m": 1.0, "%vol": 0.1, "%LEL": 1.0, "m/s": 0.5, "m3": 1.0}
"""A step of a figure in its unit; of a share a twentieth, of a count one."""
LONGEST = 3600.0
"""Seconds for all tests that read a figure; what was not found by then counts as not found."""
EVERY: dict[str, Callable[[], bool]] = {}
"""All checks, made once before the work is shared out."""
ASKED: set[str] = set()
"""The figures that the check of this process has asked for."""


def moved(name: str, value: float) -> float:
    """A figure one step to the looser side, as a plant might write it by mistake."""
    limit = LIMITS[name]
    step = STEP.get(limit.unit, 1.0 if float(value).is_integer() and value > 1 else 0.05)
    step = 1.0 if limit.unit == "s" and value < 10 else min(step, value / 2) if value else step
    return round(value - step if limit.stricter == "higher" else value + step, 6)


class _Read(dict[str, Any]):
    """A table of figures that remembers which were asked for."""

    def __getitem__(self, name: str) -> Any:
        ASKED.add(name)
        return super().__getitem__(name)


def read_by(name: str) -> tuple[str, float, list[str]]:
    """(check, its seconds, the figures that it asks for)."""

    def work() -> str:
        ready = packs.Terms.__init__

        def noting(terms: packs.Terms, *args: Any, **named: Any) -> None:
            ready(terms, *args, **named)
            terms.limits, terms.ms = _Read(terms.limits), _Read(terms.ms)

        packs.Terms.__init__ = noting  # type: ignore[assignment, method-assign]
        packs._ready.clear()
        passed = EVERY[name]()
        return json.dumps(sorted(ASKED) if passed else None)

    said, seconds = forked(work, LONGEST)
    asked = json.loads(said) if said[:1] in "[n" and said != "never ended" else None
    if asked is None:
        print(f"  {name} does not pass with all figures as they are and is left out: {said[:200]}", file=sys.stderr, flush=True)
    return name, seconds, asked or []


def noticed(asked: tuple[str, list[str]]) -> tuple[str, float, float, str]:
    """(figure, as it is, moved, the first check that fails; empty: none). `asked`: the figure, and the checks that read it."""
    name, order = asked
    was = packs.built_in("gb").limits[name]
    now = moved(name, was)

    def work() -> str:
        for spelled in ("gb", "GB"):
            packs.built_in(spelled).limits[name] = now
        packs._ready.clear()
        for check in order:
            try:
                if not EVERY[check]():
                    return check
            except Exception:
                return check
        return "none"

    said, seconds = forked(work, LONGEST)
    by = "" if said in ("none", "never ended") else said
    print(f"  {seconds:.0f} s {name}: {was:g} → {now:g}: {by or ('nothing notices' if order else 'no test reads it')}", file=sys.stderr, flush=True)
    return name, was, now, by


def orders(read: list[tuple[str, float, list[str]]], before: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Figure → the checks that read it: the one that noticed it `before` first, then stories about the rules that take it, then every other, then the tests of rules and pure rooms; quick ones first."""
    codes, readers, seconds = story_codes(), defaultdict[str, list[str]](list), {check: took for check, took, _ in read}
    for check, _, names in read:
        for name in names:
            readers[name].append(check)
    for name in LIMITS:
        taking = {r.code for r in RULES if name in r.takes}
        yield name, sorted(readers[name], key=lambda n: (n != before.get(name), 0 if codes.get(n, set()) & taking else 1 if n.startswith("story") else 2, seconds[n]))


def page_of(found: list[tuple[str, float, float, str]], minutes: float, workers: int) -> str:
    """What each figure's step was found by."""
    hit = sum(bool(by) for *_, by in found)
    low, high = wilson(hit, len(found))
    out = ["# Figures moved one step", "", "Each figure of the built-in pack, one step to the looser side, by itself; which test notices. By command: `make mutants`.", "",
           f"{len(found)} figures, {minutes:.0f} minutes on {workers} cores: **{hit} of {len(found)} found, {hit / max(1, len(found)):.1%}** ({low:.1%} – {high:.1%}).", "", "| figure | is | moved to | found by |", "|---|---|---|---|"]  # fmt: skip
    return "\n".join(out + [f"| {name} | {was:g} | {now:g} | {by or '**nothing**'} |" for name, was, now, by in found]) + "\n"


def noticed_before(page: Path | None) -> dict[str, str]:
    """Figure → what noticed it when the page was written: only where to look first."""
    rows = [line.strip("| ").split(" | ") for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")] if page and page.exists() else []
    return {row[0]: row[3] for row in rows if len(row) == 4}


def step_packs(write: Path | None, workers: int) -> int:
    """Moves each figure; 0 if at least 95 % are found."""
    began = time.monotonic()
    EVERY.update(checks())
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        print("which figures each test reads is looked up ...", flush=True)
        read = pool.map(read_by, list(EVERY), chunksize=1)
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        found = pool.map(noticed, list(orders(read, noticed_before(write))), chunksize=1)
    page = page_of(found, (time.monotonic() - began) / 60, workers)
    print(page)
    if write:
        write.write_text(page, encoding="utf-8")
    return 0 if sum(bool(by) for *_, by in found) >= 0.95 * len(found) else 1
