"""Does each part move when there is work? What lives and does nothing is as bad as what died."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

import psutil
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from streams.broker import security
from streams.progress import Reached, read_progress

EVERY: Final = 2.0
"""Seconds between two looks."""
PATIENCE: Final = 8.0
"""So many seconds without a step forward, with work waiting, and a part hangs."""
THINKING: Final = 60.0
"""As long as it uses the processor it may think for so many seconds."""
STARTING: Final = 60.0
"""A door that has not answered yet since its part was started has so many seconds."""
RECOVERS: Final = 180.0
"""Kafka reads its whole log again after it was killed: so many seconds before that counts as hanging."""
BLIND: Final = 20.0
"""Seconds for which it may be unable to look before it says so."""
BUSY: Final = 0.05
"""The share of a core that counts as thinking."""


LEANS: Final = {"archive": ("sql",)}
"""Step → parts without which it cannot move: while one of them does not answer, it is not the step that hangs."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a part: how far it has come, how much waits, what it waits for, the processor's seconds that it has used. `answers`: does its door answer (None: it has none)?"""

    reached: int = 0
    waiting: int = 0
    waits: str = ""
    cpu: float = 0.0
    answers: bool | None = None


@dataclass(frozen=True, slots=True)
class Hang:
    """A process that hangs, and why; `thinking`: it used the processor all the time, so that what it has in hand may be the cause."""

    name: str
    process: int
    why: str
    thinking: bool


@dataclass
class Moving:
    """One part over time. `judge` says why it hangs, or nothing."""

    patience: float = PATIENCE
    since: float = 0.0
    last: Look | None = None
    at: float = 0.0
    thought: float = 0.0
    """Seconds of the processor since it moved last."""
    answered: bool = False
    """Has its door ever answered?"""
    thinking: bool = False

    def judge(self, now: float, look: Look) -> str:
        """Why the part hangs; empty: it moves, has nothing to do, waits for another part, or thinks."""
        last, before = self.last, self.at
        self.last, self.at = look, now
        self.answered = self.answered or look.answers is True
        if last is None or look.cpu < last.cpu or self._moves(last, look):
            self.since, self.thought = now, 0.0
            return ""
        self.since += max(0.0, now - before - 2 * EVERY)  # what was not looked at is held against nobody
        self.thought += look.cpu - last.cpu
        still = now - self.since
        self.thinking = look.cpu - last.cpu > BUSY * (now - before) or self.thought > BUSY * still
        patience = STARTING if look.answers is False and not self.answered else THINKING if self.thinking else PATIENCE
        if still < max(self.patience, patience):
            return ""
        if look.answers is False:
            return f"it has not answered for {still:.0f} s"
        return f"it has not moved for {still:.0f} s, and {look.waiting:,} messages wait"

    @staticmethod
    def _moves(last: Look, look: Look) -> bool:
        if look.answers is False:
            return False
        return look.waiting <= 0 or bool(look.waits) or look.reached != last.reached


class Log:
    """What stands in Kafka's log, and what groups have finished with."""

    def __init__(self, kafka: str) -> None:
        self.kafka = kafka
        self.consumer: KafkaConsumer | None = None
        self.admin: KafkaAdminClient | None = None

    def standing(self, topics: list[str]) -> dict[TopicPartition, tuple[int, int]]:
        """Partition → (first offset, the next to be written). Raises KafkaError or OSError."""
        self.consumer = self.consumer or KafkaConsumer(bootstrap_servers=self.kafka, **security().client(), enable_auto_commit=False, request_timeout_ms=4000, session_timeout_ms=3000, bootstrap_timeout_ms=3000)
        parts = [TopicPartition(t, p) for t in topics for p in sorted(self.consumer.partitions_for_topic(t) or ())]
        first, end = self.consumer.beginning_offsets(parts), self.consumer.end_offsets(parts)
        return {tp: (first[tp], end[tp]) for tp in parts}

    def committed(self, group: str) -> dict[TopicPartition, int]:
        """Partition → what a group has finished with. Raises KafkaError or OSError."""
        self.admin = self.admin or KafkaAdminClient(bootstrap_servers=self.kafka, **security().client(), request_timeout_ms=4000)
        return {tp: at.offset for tp, at in self.admin.list_group_offsets({group: None})[group].items()}

    def close(self) -> None:
        """Asks anew at the next look."""
        for client in (self.consumer, self.admin):
            if client is not None:
                client.close()
        self.consumer = self.admin = None


def looked(reached: Reached, standing: Mapping[TopicPartition, tuple[int, int]], committed: Callable[[], Mapping[TopicPartition, int]]) -> Look:
    """How far a step has come in its topics: by what it wrote, in partitions of which it has written nothing yet by what it has finished with."""
    mine = {tp: ends for tp, ends in standing.items() if tp.topic in reached.topics and ends[1] > ends[0]}
    known = {tp: at for tp in mine if (at := reached.next.get(tp.topic, {}).get(tp.partition)) is not None}
    done = committed() if len(known) < len(mine) else {}
    places = {tp: max(first, known.get(tp, done.get(tp, first))) for tp, (first, _) in mine.items()}
    return Look(sum(places.values()), sum(max(0, mine[tp][1] - at) for tp, at in places.items()), reached.waits)


def steps_seen(log: Log, folder: Path, steps: tuple[str, ...]) -> Iterator[tuple[str, Look]]:
    """Step → how far its worker on this machine is now, of those that wrote anything; partitions that another worker has are not its. Raises KafkaError, OSError."""
    wrote = {name: reached for name in steps if (reached := read_progress(folder, f"{name}-1"))}
    standing = log.standing(sorted({t for reached in wrote.values() for t in reached.topics}))
    for name, reached in wrote.items():
        others = [other for file in folder.glob(f"{name}-*.reached") if file.stem != f"{name}-1" and (other := read_progress(folder, file.stem))]
        theirs = {(t, p) for other in others for t, parts in other.next.items() for p in parts} - {(t, p) for t, parts in reached.next.items() for p in parts}
        yield name, looked(reached, {tp: ends for tp, ends in standing.items() if (tp.topic, tp.partition) not in theirs}, partial(log.committed, f"permitwatch-{name}"))


@dataclass
class Watch:
    """Looks at the steps and at the parts that have a door, in a thread of its own. `hanging` names what is to be ended, and why."""

    kafka: str
    folder: Path
    steps: tuple[str, ...]
    doors: Mapping[str, Callable[[], bool]]
    """Part → does it answer?"""
    processes: Callable[[], Mapping[str, int]]
    """Part → its process."""
    hanging: dict[int, Hang] = field(default_factory=dict)
    moving: dict[tuple[str, int], Moving] = field(default_factory=dict)
    blind_since: float = 0.0
    told: str = ""
    says: list[str] = field(default_factory=list)
    """What is to be told to whoever reads the supervisor's words."""
    stopping: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def stop(self) -> None:
        self.stopping.set()

    def hung(self) -> list[Hang]:
        """What hangs, each process told once."""
        return [self.hanging.popitem()[1] for _ in range(len(self.hanging))]

    def _run(self) -> None:
        log = Log(self.kafka)
        while not self.stopping.wait(EVERY):
            looks = dict[str, Look]()
            try:
                for name, look in self.looks(log):
                    looks[name] = look
                self.blind_since, self.told = 0.0, ""
            except Exception as wrong:  # whatever it is, the watch goes on and is heard of
                self._cannot(wrong)
                with contextlib.suppress(Exception):  # a client that cannot even be closed must not end the watch
                    log.close()
            self.judge(time.monotonic(), looks)

    def _cannot(self, wrong: Exception) -> None:
        """It cannot look: said once, if it lasts."""
        now = time.monotonic()
        self.blind_since = self.blind_since or now
        if now - self.blind_since > BLIND and not self.told:
            self.told = f"whether the parts move cannot be seen ({type(wrong).__name__}: {wrong})"
            self.says.append(self.told)

    def judge(self, now: float, looks: Mapping[str, Look]) -> None:
        """Notes which parts hang."""
        here = set(self.processes().items())
        self.moving = {key: one for key, one in self.moving.items() if key in here}
        for name, pid in here:
            if name in looks:
                moving = self.moving.setdefault((name, pid), Moving(RECOVERS if name == "kafka" else PATIENCE))
                if why := moving.judge(now, looks[name]):
                    self.hanging[pid] = Hang(name, pid, why, moving.thinking)

    def looks(self, log: Log) -> Iterator[tuple[str, Look]]:
        """Part → what is seen of it now. Raises KafkaError, OSError."""
        processes = self.processes()
        cpu = {name: seconds for name, pid in processes.items() if (seconds := _cpu(pid)) is not None}
        silent = dict[str, bool]()
        for name, answers in self.doors.items():
            if name in cpu:
                silent[name] = not (said := answers())
                yield name, Look(cpu=cpu[name], answers=said)
        try:
            steps = list(steps_seen(log, self.folder, tuple(n for n in self.steps if n in cpu)))
        except (KafkaError, OSError):
            if "kafka" in cpu:
                yield "kafka", Look(cpu=cpu["kafka"], answers=False)
            raise
        if "kafka" in cpu:
            yield "kafka", Look(cpu=cpu["kafka"], answers=True)
        for name, look in steps:
            away = next((part for part in LEANS.get(name, ()) if silent.get(part)), "")
            yield name, replace(look, cpu=cpu[name], waits=look.waits or (f"{away} does not answer" if away else ""))


def _cpu(pid: int) -> float | None:
    try:
        used = psutil.Process(pid).cpu_times()
        return float(used.user + used.system)
    except psutil.Error:
        return None
