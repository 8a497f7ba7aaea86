"""What senders really send: fields that nobody can read, clocks that are ahead, words said twice or by another; each small story is told to the judge once."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.plant.story import read_story
from infra.plant.tell import judge, tell

SENT = sorted((Path(__file__).parent / "senders").glob("*.toml"))


@pytest.mark.parametrize("path", SENT, ids=lambda path: path.stem)
def test_what_is_sent_is_judged_as_it_should_be(path):
    story = read_story(path)
    assert judge(story, tell(story)) == []


def test_there_are_some():
    assert len(SENT) >= 29
