"""What tests share: the stories, and (for those that need them) one real broker and one real engine a run."""

from __future__ import annotations

from pathlib import Path

import pytest

SCENARIOS = Path(__file__).parent / "scenarios"
STORIES = sorted(SCENARIOS.glob("*.toml"))


@pytest.fixture(scope="session")
def scenarios() -> list[Path]:
    return STORIES
