"""What senders really send: fields that nobody can read, clocks that are ahead, words said twice or by another; each small story is told to the judge once."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.plant.story import read_story
from infra.plant.tell import judge, tell
from streams.outputs import Alert

SENT = sorted((Path(__file__).parent / "senders").glob("*.toml"))


@pytest.mark.parametrize("path", SENT, ids=lambda path: path.stem)
def test_what_is_sent_is_judged_as_it_should_be(path):
    story = read_story(path)
    assert judge(story, tell(story)) == []


def test_there_are_some():
    assert len(SENT) >= 29


def test_a_number_that_is_used_again_once_it_was_forgotten_is_the_next_life():
    """Else what is told of the new permit would bear the name of what was over, and nobody would be told."""
    told = tell(read_story(next(path for path in SENT if path.stem == "number_used_again")))
    said = [o for o in told.outputs if isinstance(o, Alert) and o.code == "GAS-NONE"]
    assert len({(a.id, a.revision) for a in said}) == len(said)
    assert {a.life for a in said} == {1, 2} and {a.permit for a in said} == {"HW-1"}
