"""What the file of a story says that it shows, as the marks that `make demands` reads."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest


def seed_marks(told: Mapping[str, Any]) -> list[pytest.MarkDecorator]:
    """The story's own id (`S04-b` is S04), then its `seeds`: "000-28" whole, "000-27 part the answer at the door"."""
    story = sentence(told["story"])
    return [_mark(said) for said in (story, *told.get("seeds", []))]


def sentence(story: str) -> str:
    """The name of what a story shows one side of: S02 of S02-b and S02-late, L-PAUSE of L-PAUSE-c."""
    return re.sub(r"^([SN]\d+)-.*|-[a-z]$", r"\1", story)


def _mark(said: str) -> pytest.MarkDecorator:
    ident, _, part = said.partition(" part ")
    return pytest.mark.seed(ident, part=part) if part else pytest.mark.seed(ident)


def one_of_each_sentence(stories: list[Path]) -> list[Path]:
    """One story of each name: S02 of S02, S02-b, S02-late … (where none is just that, the first); the others tell the other sides of the same sentence. Neither rules of the book (R-…) nor cases from the field (A, B, U)."""
    idents = {path: str(tomllib.loads(path.read_text(encoding="utf-8"))["story"]) for path in stories}
    first: dict[str, Path] = {}
    for path in sorted(stories, key=lambda p: len(idents[p])):
        first.setdefault(sentence(idents[path]), path)
    return sorted(path for name, path in first.items() if name[0] not in "RABU")
