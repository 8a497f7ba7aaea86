"""kill -9 of every process, in turn and at random, while stories are told: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
import time
import urllib.request
from itertools import pairwise
from pathlib import Path

import pytest

from infra.chaos import compare
from infra.kafka.node import answers


@pytest.mark.chaos
@pytest.mark.every
@pytest.mark.broker
@pytest.mark.engine
@pytest.mark.seed("S73")
@pytest.mark.timeout(420)
def test_outputs_and_rows_equal_those_of_an_undisturbed_run(system):
    report = asyncio.run(compare(system, Path(__file__).parent / "scenarios", seed=1, rounds=1, outage=8, say=print))
    assert report.faults == []
    assert set(report.killed) >= {"normalise", "correlate", "archive", "notify", "sql", "kafka", "ingest"}
    assert report.outputs > 20
    assert report.facts > 10_000


@pytest.mark.chaos
@pytest.mark.every
@pytest.mark.broker
@pytest.mark.engine
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["archive", "correlate", "normalise", "sql", "ingest", "dashboards"])
def test_a_part_that_lives_and_does_nothing_is_told_and_started_again(system, wait, monkeypatch, name):
    """Stopped, not killed: its process is there, its sockets are open, and nothing comes of it. Nobody else is started again because of it."""
    said, before = list[str](), system.pids()
    monkeypatch.setattr(system, "say", said.append)
    os.kill(before[name], signal.SIGSTOP)
    began = time.monotonic()
    try:
        wait(f"{name} started again", lambda: system.pids()[name] != before[name], 20, system)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(before[name], signal.SIGCONT)
    took = time.monotonic() - began
    assert [line.split(" hangs: ")[0].strip() for line in said if " hangs: " in line] == [name], said
    wait("all parts at work", lambda: all(p.poll() is None for part in system.parts.values() if (p := part.process)), 20, system)
    deadline = time.monotonic() + 12
    while time.monotonic() < deadline:
        system.watch()
        time.sleep(0.3)
    assert {n for n, pid in system.pids().items() if pid != before[n]} == {name}, said
    print(f"{name} was started again after {took:.1f} s")


@pytest.mark.broker
@pytest.mark.engine
@pytest.mark.timeout(180)
def test_what_the_door_accepted_survives_kill_9_of_ingest(system, store, wait):
    """On disk before the answer: every event that got its 202 is in ClickHouse, each number once, none missing."""
    token, accepted, stop = system.environment()["PERMITWATCH_TOKEN_HR"], [], threading.Event()

    def push() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            body = json.dumps({"at": int(time.time() * 1000), "worker": f"kept-{n}"}).encode()
            request = urllib.request.Request(f"http://127.0.0.1:{system.ports.ingest}/events/worker", body, {"authorization": f"Bearer {token}"})
            try:
                with urllib.request.urlopen(request, timeout=2) as answer:
                    accepted.append(f"kept-{n}") if answer.status == 202 else None
            except OSError:
                time.sleep(0.05)

    thread = threading.Thread(target=push, daemon=True)
    thread.start()
    for _ in range(3):
        time.sleep(1.5)
        os.kill(system.parts["ingest"].process.pid, signal.SIGKILL)
        wait("ingest again", lambda: system.parts["ingest"].process.poll() is None and answers("127.0.0.1", system.ports.ingest), 30, system)
    time.sleep(1)
    stop.set()
    thread.join(5)
    assert len(accepted) > 100
    sql = "SELECT worker, seq FROM facts FINAL WHERE site = 'P1286' AND source = 'hr' AND kind = 'worker' AND worker LIKE 'kept-%'"
    rows = wait("all that was accepted", lambda: (lambda r: r if {x["worker"] for x in r} >= set(accepted) else None)(store.rows(sql)), 60, system)
    numbered = store.rows("SELECT topic, lane, groupArray(seq) AS numbers FROM facts FINAL WHERE site = 'P1286' AND source = 'hr' GROUP BY topic, lane")
    assert len(rows) >= len(accepted)
    steps = [b - a for r in numbered for a, b in pairwise(sorted(r["numbers"]))]
    assert all(step == 1 or step > 1_000_000 for step in steps), "each opening of the outbox numbers anew from its own second; within one no number is missing or used twice"
    assert sum(step > 1 for step in steps) >= 2
