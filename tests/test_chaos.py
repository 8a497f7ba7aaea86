"""kill -9 of every process, in turn and at random, while stories are told: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from infra.chaos import compare


@pytest.mark.broker
@pytest.mark.engine
@pytest.mark.seed("S73")
@pytest.mark.timeout(420)
def test_outputs_and_rows_equal_those_of_an_undisturbed_run(system):
    report = asyncio.run(compare(system, Path(__file__).parent / "scenarios", seed=1, rounds=1, say=print))
    assert report.faults == []
    assert set(report.killed) >= {"normalise", "correlate", "archive", "notify", "sql", "kafka", "ingest"}
    assert report.outputs > 20
    assert report.facts > 10_000
