"""Progress is watched, not life: what lives and does nothing is told from what rests, waits or thinks."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition

from infra.supplies import SCARCE, Supplies, _open_files, rotate
from infra.up import Part, Ports, System, secrets_of
from infra.watch import PATIENCE, RECOVERS, STARTING, THINKING, Hang, Look, Moving, Watch, looked, steps_seen
from streams.deaths import Deaths
from streams.desk import Batch, FaustDesk, Settings
from streams.notify import append
from streams.outputs import Command
from streams.progress import Progress, Reached, read_progress


def hangs(looks: list[Look], every: float = 2.0) -> list[str]:
    moving = Moving()
    return [moving.judge(n * every, look) for n, look in enumerate(looks)]


def first(said: list[str], every: float = 2.0) -> float | None:
    return next((n * every for n, why in enumerate(said) if why), None)


STILL = [Look(reached=7, waiting=3)] * 40


def test_work_that_waits_and_a_step_that_does_not_move_is_told_within_fifteen_seconds():
    said = hangs(STILL)
    assert first(said) is not None and PATIENCE <= first(said) <= 10
    assert "has not moved for 8 s, and 3 messages wait" in said[4]


@pytest.mark.parametrize(
    "looks",
    [
        [Look(reached=7, waiting=0)] * 90,
        [Look(reached=7, waiting=3, waits="ClickHouse does not answer")] * 90,
        [Look(reached=n // 4, waiting=9_000) for n in range(90)],
        [Look(reached=7, waiting=3, answers=True)] * 2,
    ],
    ids=["nothing to do", "waits for another part", "moves now and then", "just started"],
)
def test_what_rests_waits_or_moves_is_left_alone(looks):
    assert not any(hangs(looks))


def test_what_thinks_has_longer_and_not_for_ever():
    said = hangs([Look(reached=7, waiting=3, cpu=1.9 * n) for n in range(60)])
    assert THINKING <= (first(said) or 0) <= THINKING + 3
    assert first(hangs([Look(reached=7, waiting=3, cpu=0.02 * n) for n in range(60)])) == PATIENCE  # heartbeats are no thought


def test_what_was_not_looked_at_is_not_held_against_a_step():
    """Kafka was away and nobody could look: the steps have their patience once it is back."""
    moving = Moving()
    assert not any(moving.judge(at, Look(7, 3)) for at in (0, 2, 60, 61))
    assert moving.judge(64, Look(7, 3))
    slow = Moving()
    assert [bool(slow.judge(n * 12.0, Look(7, 3))) for n in range(4)] == [False, False, True, True]  # looks that take long still see something in the end


def test_a_door_that_does_not_answer_hangs_and_one_slow_answer_is_none():
    silent = [Look(answers=True), *[Look(answers=False)] * 20]
    assert first(hangs(silent)) == PATIENCE
    assert "has not answered for 8 s" in hangs(silent)[4]
    assert not any(hangs([Look(answers=bool(n % 4)) for n in range(60)]))
    assert first(hangs([Look(answers=False)] * 60)) == STARTING  # it has only just been started


def test_kafka_may_read_its_log_again_for_minutes():
    moving = Moving(RECOVERS)
    told = [moving.judge(n * 2.0, Look(answers=n < 5, cpu=0.0)) for n in range(200)]
    assert first(told) == RECOVERS + 8


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans(), st.floats(0, 2)), max_size=60))
def test_nothing_is_told_to_hang_in_less_than_the_patience_since_it_moved(told):
    """Whatever is seen: a part that is told to hang has shown one place, with work waiting and for nobody, for so long."""
    cpu, looks = 0.0, list[Look]()
    for reached, waiting, waits, used in told:
        cpu += used
        looks.append(Look(reached, waiting, "sql" if waits else "", cpu))
    for n, why in enumerate(hangs(looks)):
        if why:
            before = looks[max(0, n - int(PATIENCE / 2)) : n + 1]
            assert len({look.reached for look in before}) == 1 and all(look.waiting and not look.waits for look in before)


def test_how_far_a_step_is_stands_in_what_it_wrote_and_before_that_in_what_it_has_finished_with():
    standing = {TopicPartition("a", 0): (10, 50), TopicPartition("a", 1): (0, 20), TopicPartition("b", 0): (0, 99), TopicPartition("a", 2): (5, 5)}
    asked = []

    def committed() -> dict[TopicPartition, int]:
        asked.append(1)
        return {TopicPartition("a", 1): 15}

    assert looked(Reached(["a"], {"a": {0: 40, 1: 20}}), standing, committed) == Look(60, 10)
    assert not asked
    assert looked(Reached(["a"], {"a": {0: 40}}, "sql"), standing, committed) == Look(55, 15, "sql")
    assert looked(Reached(["a"]), standing, dict) == Look(10, 60)


def test_what_a_step_wrote_is_read_back_and_rubbish_is_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("streams.progress.EVERY", 0)
    progress = Progress(tmp_path, "archive-1", ["a"])
    assert read_progress(tmp_path, "archive-1") == Reached(["a"])
    progress.took("a", 1, 20)
    progress.waits("sql")
    progress.write()
    assert read_progress(tmp_path, "archive-1") == Reached(["a"], {"a": {1: 20}}, "sql")
    progress.lost({("a", 1), ("z", 3)})
    progress.waits()
    progress.write()
    assert read_progress(tmp_path, "archive-1") == Reached(["a"], {"a": {}})
    (tmp_path / "archive-1.reached").write_bytes(b"\xff{")
    assert read_progress(tmp_path, "archive-1") is None
    assert read_progress(tmp_path, "never") is None


def test_another_process_of_a_part_begins_anew():
    watch = Watch("", None, (), {}, lambda: {"archive": pid})  # type: ignore[arg-type]
    for n in range(8):
        pid = 1 if n < 4 else 2
        watch.judge(n * 2.0, {"archive": Look(7, 3)})
        assert not watch.hung()
    watch.judge(16.0, {"archive": Look(7, 3)})
    assert [(hang.name, hang.process, hang.thinking) for hang in watch.hung()] == [("archive", 2, False)]
    assert watch.hung() == []


def test_partitions_of_another_worker_are_not_held_against_this_one(tmp_path, monkeypatch):
    monkeypatch.setattr("streams.progress.EVERY", 0)

    class Log:
        def standing(self, topics: list[str]) -> dict[TopicPartition, tuple[int, int]]:
            return {TopicPartition("a", p): (0, 50) for p in range(3)}

        def committed(self, group: str) -> dict[TopicPartition, int]:
            return {TopicPartition("a", 1): 10, TopicPartition("a", 2): 40}

    for worker, partition, at in ((1, 0, 50), (2, 1, 12)):
        progress = Progress(tmp_path, f"archive-{worker}", ["a"])
        progress.took("a", partition, at)
        progress.write()
    assert dict(steps_seen(Log(), tmp_path, ("archive",))) == {"archive": Look(90, 10)}  # type: ignore[arg-type]


def test_a_word_that_it_waits_is_believed_only_while_it_is_said(tmp_path, monkeypatch):
    progress = Progress(tmp_path, "archive-1", ["a"])
    monkeypatch.setattr("streams.progress.EVERY", 0)
    progress.waits("sql")
    progress.write()
    assert read_progress(tmp_path, "archive-1").waits == "sql"  # type: ignore[union-attr]
    os.utime(progress.file, (1, 1))
    assert read_progress(tmp_path, "archive-1").waits == ""  # type: ignore[union-attr]
    progress.write(again=True)
    assert read_progress(tmp_path, "archive-1").waits == "sql"  # type: ignore[union-attr]


def test_that_another_part_is_waited_for_is_said_again_and_again_until_it_answers(tmp_path, monkeypatch):
    monkeypatch.setattr("streams.progress.EVERY", 0)
    monkeypatch.setattr("streams.desk.SLOW", 0.05)
    progress = Progress(tmp_path, "archive-1", ["a"])
    desk = FaustDesk(SimpleNamespace(turn=0), Settings(""), "permitwatch-archive", progress)

    async def ask() -> list[str]:
        said = list[str]()
        with desk.asking("ClickHouse"):
            await asyncio.sleep(0.01)
            said.append(read_progress(tmp_path, "archive-1").waits)  # type: ignore[union-attr]
            for _ in range(3):
                await asyncio.sleep(0.2)
                said.append(read_progress(tmp_path, "archive-1").waits)  # type: ignore[union-attr]
                os.utime(progress.file, (1, 1))
        progress.write()
        await asyncio.sleep(0.2)
        return [*said, read_progress(tmp_path, "archive-1").waits]  # type: ignore[union-attr]

    assert asyncio.run(ask()) == ["", *["ClickHouse has not answered yet"] * 3, ""]


def test_the_work_of_another_part_is_no_work_of_the_step_that_leans_on_it(monkeypatch):
    """An archive that had stopped was left alone for a minute, because ClickHouse was busy for others."""
    monkeypatch.setattr("infra.watch._cpu", {1: 3.0, 2: 700.0}.get)
    monkeypatch.setattr("infra.watch.steps_seen", lambda log, folder, steps: [("archive", Look(7, 3))])
    watch = Watch("", None, ("archive",), {"sql": lambda: answers}, lambda: {"archive": 1, "sql": 2})  # type: ignore[arg-type]
    answers = True
    assert dict(watch.looks(None)) == {"sql": Look(cpu=700.0, answers=True), "archive": Look(7, 3, "", 3.0)}  # type: ignore[arg-type]
    answers = False
    assert dict(watch.looks(None))["archive"] == Look(7, 3, "sql does not answer", 3.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("thinking", [False, True])
def test_what_was_ended_while_it_waited_had_no_deadly_record_in_hand(tmp_path, monkeypatch, thinking):
    """Kafka hung four times, and the record that lay in hand each time was passed over."""
    batch = Batch("a", 0, [SimpleNamespace(offset=7, key=b"", value=b"")])
    deaths = Deaths(tmp_path / "steps", "archive-1")
    deaths.hold(batch)
    system = System(tmp_path, Ports(), say=lambda said: None)
    system.parts["archive"] = Part("archive", [], process=Ended(), started=0.0)  # type: ignore[arg-type]
    alive = [True]
    monkeypatch.setattr(Ended, "poll", lambda self: None if alive[0] else -9)
    monkeypatch.setattr(system, "_spawn", lambda part: None)
    system.moves = Watch("", tmp_path, (), {}, dict, {4711: Hang("archive", 4711, "", thinking), 1: Hang("archive", 1, "of an earlier process", False)})
    system.watch()
    alive[0] = False
    system.watch()
    assert bool(Deaths(tmp_path / "steps", "archive-1").kept.died) is thinking


class Ended:
    """A process that has ended."""

    returncode = -9
    pid = 4711

    def kill(self) -> None:
        pass

    def poll(self) -> int:
        return self.returncode


def test_what_ends_soon_is_started_again_more_slowly_and_a_death_counts_once(tmp_path, monkeypatch):
    """Each look at a dead part used to count as a death of its own."""
    system, started, now = System(tmp_path, Ports(), say=lambda said: None), list[float](), 1000.0
    part = Part("archive", [], process=Ended(), started=now)  # type: ignore[arg-type]
    system.parts["archive"] = part
    monkeypatch.setattr("infra.up.time.monotonic", lambda: now)

    def spawn(part: Part) -> None:
        started.append(now)
        part.started = now

    monkeypatch.setattr(system, "_spawn", spawn)
    for _ in range(400):
        system.watch()
        now += 0.25
    assert [round(b - a) for a, b in zip([1000.0, *started], started, strict=False)][:7] == [0, 1, 3, 7, 15, 30, 30]
    now += 60
    part.due = 0.0
    part.started = now - 25
    system.watch()
    assert started[-1] == now and part.deaths == 0


def test_a_watch_that_cannot_look_says_so_once_and_goes_on(monkeypatch):
    """Whatever keeps it from seeing, a fault of ours too: silence of the watch must not look like health."""
    monkeypatch.setattr("infra.watch.EVERY", 0.001)
    monkeypatch.setattr("infra.watch.BLIND", 0.02)
    watch = Watch("127.0.0.1:1", Path(), (), {}, dict)
    monkeypatch.setattr(watch, "looks", lambda log: 1 // 0)
    watch.start()
    deadline = time.monotonic() + 10
    while not watch.says and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    watch.stop()
    assert len(watch.says) == 1 and "ZeroDivisionError" in watch.says[0]


def test_what_runs_short_is_said_once_and_once_when_it_is_over(tmp_path, monkeypatch):
    free, used = [9 << 30], [0.1]
    monkeypatch.setattr("infra.supplies.shutil.disk_usage", lambda folder: SimpleNamespace(free=free[0]))
    monkeypatch.setattr("infra.supplies._open_files", lambda pid: used[0])
    supplies = Supplies(tmp_path)

    def said(bytes_: int, share: float) -> list[str]:
        free[0], used[0] = bytes_, share
        return [line.partition(" ")[0] for line in supplies.look({"sql": 7})]

    assert [said(*now) for now in ((9 << 30, 0.1), (SCARCE - 1, 0.1), (SCARCE - 9, 0.9), (SCARCE + 1, 0.9), (9 << 30, 0.1), (9 << 30, 0.1))] == [[], ["only"], ["sql"], [], ["9", "sql"], []]
    assert list(supplies.look({})) == []


def test_a_folder_that_is_gone_is_said_once(tmp_path):
    supplies = Supplies(tmp_path / "gone")
    assert [len(list(supplies.look({}))) for _ in range(3)] == [1, 0, 0]
    (tmp_path / "gone").mkdir()
    assert [line for line in supplies.look({}) if "again" in line]


def test_how_many_files_a_process_has_open_is_seen(monkeypatch):
    before = _open_files(os.getpid())
    assert before is not None and 0 < before < 1
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(50)]
    after = _open_files(os.getpid())
    for one in held:
        os.close(one)
    assert after is not None and after > before
    assert _open_files(1 << 22) is None


def test_a_log_that_has_become_too_large_is_kept_once_more_and_whoever_writes_goes_on(tmp_path):
    with (tmp_path / "sql.log").open("ab") as log:
        log.write(b"old\n" * 100)
        log.flush()
        (tmp_path / "ingest.log").write_bytes(b"small\n")
        rotate(tmp_path, largest=99)
        log.write(b"new\n")
        log.flush()
    assert ((tmp_path / "sql.log").read_bytes(), (tmp_path / "sql.log.1").read_bytes()) == (b"new\n", b"old\n" * 100)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["ingest.log", "sql.log", "sql.log.1"]


def test_the_log_of_what_was_told_begins_anew(tmp_path, monkeypatch):
    file = tmp_path / "notify.jsonl"
    monkeypatch.setattr("streams.notify.LARGEST_LOG", 10)
    for _ in range(3):
        assert append(file, [Command("c", "S", "siren.on", "P", "a", 1, 0, 1)])[0] == "delivered"
    assert [len(f.read_text().splitlines()) for f in (file, tmp_path / "notify.jsonl.1")] == [1, 1]


def test_a_folder_of_an_older_version_gets_the_secrets_that_are_new(tmp_path):
    (tmp_path / "tokens").write_text("PERMITWATCH_TOKEN_PTW=old\n")
    first = secrets_of(tmp_path)
    assert first["PERMITWATCH_TOKEN_PTW"] == "old" and len(first["PERMITWATCH_TOKEN_GATEWAY"]) >= 20
    assert secrets_of(tmp_path) == first
    assert (tmp_path / "tokens").stat().st_mode & 0o077 == 0
