"""What the file of a story says that it shows, as the marks that `make demands` reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest


def seed_marks(told: Mapping[str, Any]) -> list[pytest.MarkDecorator]:
    """The story's own id (`S04-b` is S04), then its `seeds`: "000-28" whole, "000-27 part the answer at the door"."""
    story = re.sub("-[a-z]$", "", told["story"])
    return [_mark(said) for said in (story, *told.get("seeds", []))]


def _mark(said: str) -> pytest.MarkDecorator:
    ident, _, part = said.partition(" part ")
    return pytest.mark.seed(ident, part=part) if part else pytest.mark.seed(ident)
