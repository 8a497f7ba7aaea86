"""The edges by themselves: the outbox, the embedded engine, the merge of a virtual site."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from infra.plant.story import read_story
from infra.plant.tell import END
from infra.play import messages
from ingest.outbox import Outbox
from streams.events import Entry, Lane, Scan, Tick, decode_envelope
from streams.intake import Intake
from streams.merge import Virtual

HOME = Path(__file__).parent.parent
SCENARIOS = HOME / "tests" / "scenarios"


def test_the_outbox_numbers_without_gaps_over_restarts_and_keeps_what_was_not_sent(tmp_path):
    for start in (0, 5):
        box = Outbox(tmp_path / "outbox.db", "127.0.0.1:1")
        for i in range(start, start + 5):
            box.put("S", "badges", Scan(at=i, u=0, worker=f"W{i}", door="D"))
        assert box.waiting() == start + 5
        box.close()
    db = box._open("normal")
    envelopes = [decode_envelope(v) for (v,) in db.execute("select value from outbox order by id")]
    for half, after in ((envelopes[:5], 0), (envelopes[5:], envelopes[4].seq)):
        assert [e.seq - e.epoch for e in half] == [1, 2, 3, 4, 5]
        assert {e.after for e in half} == {after}
    assert envelopes[5].epoch > envelopes[4].seq
    assert {e.lane for e in envelopes} == {Lane.LIVE}
    db.close()


@pytest.mark.parametrize("stem", ["S67_year_1970", "S73_failover", "W_guardian_inside_fast_door"])
@pytest.mark.parametrize("seed", range(3))
def test_a_virtual_site_has_one_order_however_its_topics_are_read(seed, stem):
    """Topics are read in bursts of any length; what comes out is the same, each second closed by its tick, and the end is the last fact, also where a story says something after its end."""
    story, rng, intake = read_story(SCENARIOS / f"{stem}.toml", "v"), random.Random(seed), Intake()
    queues: dict[str, list[Entry]] = {}
    for topic, raw in messages(story, "v"):
        if isinstance(entry := intake.take(raw, topic), Entry):
            queues.setdefault(topic, []).append(entry)

    def read(burst: int) -> list[tuple[str, str, int]]:
        virtual, out, left = Virtual(0), [], {t: list(q) for t, q in queues.items()}
        while any(left.values()):
            topic = rng.choice([t for t, q in left.items() if q])
            for entry in left[topic][:burst]:
                out += [(e.topic, e.source, e.seq) for e in virtual.add(entry)]
            del left[topic][:burst]
        return out

    one = read(1)
    assert one == read(rng.randint(5, 500))
    assert [s for t, src, s in one if src == "player"] == sorted(s for t, src, s in one if src == "player")
    assert [x for x in one if x[1] != "player"][-1][1] == END
    assert len(one) >= sum(not isinstance(e.event, Tick) for q in queues.values() for e in q)
