"""The whole system on one machine: starts every part in order, starts again what dies, stops what it started by process id."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

import psutil

from infra.kafka.jars import JarsError
from infra.kafka.node import Node, answers
from infra.kafka.topics import create_topics
from infra.plant.reference import SOURCES, write_plant
from infra.plant.script import write_story_plant
from infra.plant.story import Story, StoryError, read_story, scene
from infra.supplies import Supplies, rotate
from infra.watch import Watch
from streams.broker import PROTOCOLS, SETTING, security
from streams.deaths import forgive
from streams.packs import PackError, find_pack
from streams.plant import PlantError, read_plant

STEPS = ("normalise", "correlate", "archive", "notify")
LEAST_FREE = 2 << 30
HOUSE = 10.0
"""Seconds between two looks at the disk, open files and logs."""
SOON = 20.0
"""Seconds: what ends sooner after its start than that is started again more slowly."""


class UpError(Exception):
    """The system cannot start: one sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where each part listens; `offset` moves all of them."""

    offset: int = 0

    def __getattr__(self, name: str) -> int:
        base = {"kafka": 9092, "sql": 8123, "ingest": 8090, "decide": 8091, "refused": 8095, "dashboards": 8050, "modbus": 15020, "opcua": 14840}
        if name not in base:
            raise AttributeError(name)
        return base[name] + self.offset


@dataclass
class Part:
    """One process of the system."""

    name: str
    command: list[str]
    ready: Callable[[], bool] | None = None
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    """How often in a row it ended soon after it was started."""
    due: float = 0.0
    """When it is to be started again, once it has ended; 0: it has not."""
    innocent: bool = False
    """It was ended while it waited for something: what it had in hand is not to blame."""
    held: float = 0.0
    """Not started again before this moment (an outage on trial)."""


def secrets_of(data: Path) -> dict[str, str]:
    """The secrets of a data folder, each made at the first start that wants it: a token for each source, a password for each user of ClickHouse. Only the owner reads them."""
    file = data / "tokens"
    known = dict(line.split("=", 1) for line in file.read_text(encoding="utf-8").splitlines() if "=" in line) if file.exists() else {}
    wanted = [*(f"PERMITWATCH_TOKEN_{s.upper()}" for s in SOURCES), "PERMITWATCH_SQL_PASSWORD", "PERMITWATCH_ANALYST_PASSWORD", "PERMITWATCH_INSIDE_TOKEN"]
    if fresh := {name: secrets.token_urlsafe(18) for name in wanted if name not in known}:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as out:
            out.write("".join(f"{name}={value}\n" for name, value in fresh.items()))
        file.chmod(0o600)
    return known | fresh


SECRET = re.compile(r"PERMITWATCH_(TOKEN_\w+|SQL|SQL_PASSWORD|ANALYST_PASSWORD|SCREEN_TOKEN|INSIDE_TOKEN)")
NEEDED = {
    "ingest": re.compile(r"PERMITWATCH_(TOKEN_\w+|INSIDE_TOKEN)"), "plant": re.compile(r"PERMITWATCH_TOKEN_\w+"), "dashboards": re.compile(r"PERMITWATCH_(TOKEN_OPERATOR|SQL|SCREEN_TOKEN)"),
    "sql": re.compile(r"PERMITWATCH_\w+_PASSWORD"), "archive": re.compile(r"PERMITWATCH_SQL"), "normalise": re.compile(r"PERMITWATCH_INSIDE_TOKEN"), "correlate": re.compile(r"PERMITWATCH_INSIDE_TOKEN"),
}  # fmt: skip
"""Part → the secrets that it needs; no other part is told any."""


def told(part: str, known: Mapping[str, str]) -> dict[str, str]:
    """What one part is told: of the secrets only those that it needs."""
    needed = NEEDED.get(part)
    return {name: value for name, value in known.items() if not SECRET.fullmatch(name) or (needed is not None and needed.fullmatch(name))}


def sql_url(data: Path, ports: Ports) -> str:
    """The address of a data folder's ClickHouse, for who writes."""
    password = os.environ.get("PERMITWATCH_SQL_PASSWORD") or (secrets_of(data).get("PERMITWATCH_SQL_PASSWORD", "") if data.exists() else "")
    return f"http://default{':' + password if password else ''}@127.0.0.1:{ports.sql}"



@dataclass
class System:
    """Everything `permitwatch up` runs. `data` holds Kafka's log, ClickHouse's folder, the outbox and all logs."""

    data: Path
    ports: Ports = field(default_factory=Ports)
    plant: Path | None = None
    scale: float = 0.1
    seed: int = 7
    host: str = "127.0.0.1"
    say: Callable[[str], None] = print
    story: Path | None = None
    since: str = ""
    shadow: str = ""
    """A pack that runs silently beside the one in force."""
    parts: dict[str, Part] = field(default_factory=dict)
    lock: IO[str] | None = None
    moves: Watch | None = None
    supplies: Supplies | None = None
    looked: float = 0.0
    """When the disk, open files and logs were last looked at."""

    # ---- before -------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Everything that can be known to fail before anything is started. Raises UpError."""
        if (known := security()).protocol != PROTOCOLS[0]:
            raise UpError(f"{SETTING}SECURITY is {known.protocol}, and `up` runs a Kafka of its own, open to this machine only. Unset it; for a Kafka that asks for a name, start the parts one by one (docs/operators.md, More than one machine)")
        self.data = self.data.absolute()
        try:
            (self.data / "logs").mkdir(parents=True, exist_ok=True)
            self.data.chmod(0o700)
        except OSError as wrong:
            raise UpError(f"cannot write to {self.data}: {wrong}. Give another folder with --data") from None
        self.lock = (self.data / "up.lock").open("a+")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.lock.seek(0)
            raise UpError(f"the data in {self.data} are in use by process {self.lock.read().strip() or '?'}. Stop that one, or give another folder with --data") from None
        self.lock.seek(0)
        self.lock.truncate()
        self.lock.write(str(os.getpid()))
        self.lock.flush()
        self._end_leftovers()
        free = shutil.disk_usage(self.data).free
        if free < LEAST_FREE:
            raise UpError(f"only {free >> 20} MB are free where {self.data} lies; at least {LEAST_FREE >> 20} MB are needed. Free some, or give another folder with --data")
        for name in ("kafka", "sql", "ingest", "decide", "refused", "dashboards"):
            port = getattr(self.ports, name)
            if answers("127.0.0.1", port):
                raise UpError(f"port {port} ({name}) is taken. Stop what listens there, or move all ports with --port-offset {self.ports.offset + 1000}")
        if self.plant is not None:
            read_plant(self.plant)
        if self.shadow:
            self.shadow = self.shadow if not Path(self.shadow).exists() else str(Path(self.shadow).absolute())
            find_pack(self.shadow, Path())
        if self.story is not None:
            self._story().ms(self.since or "00:00:00")

    def receivers(self) -> Path | str:
        """receivers.toml beside the plant's own files, if there is one."""
        beside = self.plant.absolute().parent / "receivers.toml" if self.plant else self.data / "receivers.toml"
        return beside if beside.exists() else ""

    def _end_leftovers(self) -> None:
        """Whoever was to stop the parts of an earlier run may have been killed before it could: they are known by process id and time of birth."""
        left = [p for pid, born in self._recorded() if (p := _process(pid, born))]
        if left:
            self.say(f"  {len(left)} parts of an earlier run on these data were still there; stopping them")
        for process in left:
            process.terminate()
        for process in psutil.wait_procs(left, timeout=12)[1]:
            process.kill()
        (self.data / "parts.json").unlink(missing_ok=True)

    def _recorded(self) -> list[tuple[int, float]]:
        try:
            return [(pid, born) for pid, born in json.loads((self.data / "parts.json").read_text()).values()]
        except (OSError, ValueError):
            return []

    def _record(self) -> None:
        alive = {name: p for name, pid in self.pids().items() if (p := _process(pid))}
        (self.data / "parts.json").write_text(json.dumps({name: [p.pid, p.create_time()] for name, p in alive.items()}))

    def environment(self) -> dict[str, str]:
        """What every part is told."""
        return secrets_of(self.data) | {
            "PERMITWATCH_KAFKA": f"127.0.0.1:{self.ports.kafka}", "PERMITWATCH_SQL": self.sql,
            "PERMITWATCH_SHADOW_PACK": self.shadow, "PERMITWATCH_RECEIVERS": str(self.receivers()), "PERMITWATCH_DECIDE": f"127.0.0.1:{self.ports.decide}", "PERMITWATCH_REFUSED": f"127.0.0.1:{self.ports.refused}", "PERMITWATCH_DOOR": f"http://127.0.0.1:{self.ports.ingest}", "PERMITWATCH_DATA": str(self.data), "PERMITWATCH_HOST": self.host,
        } | os.environ  # fmt: skip

    @property
    def sql(self) -> str:
        """The address of its ClickHouse, for who writes."""
        return sql_url(self.data, self.ports)

    # ---- start --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts every part in order; returns when the screens answer."""
        began = time.monotonic()
        self._start_kafka()
        self._add("sql", ["sql", "--port", str(self.ports.sql)], lambda: answers("127.0.0.1", self.ports.sql))
        fresh = create_topics(f"127.0.0.1:{self.ports.kafka}")
        self._wait("sql", 40)
        self.say(f"  Kafka and ClickHouse answer ({time.monotonic() - began:.1f} s){', topics created' if fresh else ''}")
        from sql.store import Store

        Store(self.sql).migrate()
        for step in STEPS:
            self._add(step, ["streams", step])
        if self.shadow:
            self._add("shadow", ["streams", "shadow"])
        plant = self.plant or self._box_files()
        self._add("ingest", ["ingest", "--plant", str(plant), "--port", str(self.ports.ingest)], lambda: answers("127.0.0.1", self.ports.ingest))
        self._add("dashboards", ["dashboards", "--port", str(self.ports.dashboards)], lambda: _ok(f"http://127.0.0.1:{self.ports.dashboards}/healthz"))
        self._wait("ingest", 30)
        if self.plant is None:
            acted = ["--story", str(self.story), "--since", self.since] if self.story else []
            self._add("plant", ["plant", "--plant", str(plant), "--scale", str(self.scale), "--seed", str(self.seed), "--door", f"http://127.0.0.1:{self.ports.ingest}", *acted])
        self._wait("dashboards", 60)
        self.moves = self._watched()
        self.moves.start()
        self.say(f"  everything runs ({time.monotonic() - began:.1f} s)")

    def _start_kafka(self) -> None:
        node = Node(self.data / "kafka", self.data / "jars", self.ports.kafka)
        try:
            command = node.command()
        except JarsError as wrong:
            raise UpError(str(wrong)) from None
        self._spawn(Part("kafka", command, lambda: answers("127.0.0.1", self.ports.kafka)))
        self._wait("kafka", 60)

    def _story(self) -> Story:
        assert self.story is not None
        self.story = self.story.absolute()
        return read_story(self.story, self.story.stem)

    def _box_files(self) -> Path:
        if self.story is not None:
            story = self._story()
            return write_story_plant(self.data / "plant-story", story, scene(story.told, self.story.stem), SOURCES, self.ports.modbus, self.ports.opcua)
        folder = self.data / f"plant-{self.scale:g}"
        return write_plant(folder, self.scale, self.ports.modbus, self.ports.opcua)

    def _add(self, name: str, arguments: list[str], ready: Callable[[], bool] | None = None) -> None:
        self._spawn(Part(name, [sys.executable, "-m", "infra", *arguments], ready))

    def _spawn(self, part: Part) -> None:
        with (self.data / "logs" / f"{part.name}.log").open("ab") as log:
            part.process = subprocess.Popen(part.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, env=told(part.name, self.environment()), cwd=Path(__file__).parent.parent)
        part.started = time.monotonic()
        self.parts[part.name] = part
        self._record()

    def _wait(self, name: str, patience: float) -> None:
        part, deadline = self.parts[name], time.monotonic() + patience
        while part.ready and not part.ready():
            if part.process and part.process.poll() is not None:
                raise UpError(f"{name} ended at once. Its last words:\n{self.last_words(name)}")
            if time.monotonic() > deadline:
                raise UpError(f"{name} does not answer after {patience:.0f} s; see {self.data / 'logs' / name}.log")
            time.sleep(0.05)

    def last_words(self, name: str) -> str:
        """The last lines that a part has said."""
        lines = (self.data / "logs" / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-8:])

    # ---- run and stop -------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Ends what hangs, and starts again whatever has ended, more slowly each time that it ends soon."""
        for part in self.parts.values():
            if part.process is None or part.process.poll() is None:
                continue
            now = time.monotonic()
            if not part.due:
                part.deaths = part.deaths + 1 if now - part.started < SOON else 0
                part.due = now + min(30, 2 ** max(0, part.deaths - 1) - 1)
            if now < max(part.due, part.held):
                continue
            self.say(f"  {part.name} ended ({part.process.returncode}); started again. Log: {self.data / 'logs' / part.name}.log")
            self._spawn_again(part)
        while self.moves and self.moves.says:
            self.say(f"  {self.moves.says.pop(0)}")
        self._keep_house()
        for hang in self.moves.hung() if self.moves else ():
            part_ = self.parts.get(hang.name)
            if part_ and part_.process and part_.process.pid == hang.process and part_.process.poll() is None:
                self.say(f"  {hang.name} hangs: {hang.why}; it is ended and started again. Log: {self.data / 'logs' / hang.name}.log")
                part_.process.kill()
                part_.innocent = not hang.thinking

    def _keep_house(self) -> None:
        """Every ten seconds: what runs short is said, and no log grows for ever."""
        if (now := time.monotonic()) < self.looked + HOUSE:
            return
        self.looked = now
        self.supplies = self.supplies or Supplies(self.data)
        for said in self.supplies.look(self.pids()):
            self.say(f"  {said}")
        rotate(self.data / "logs")

    def _watched(self) -> Watch:
        """Steps by how far they read, doors by whether they answer."""
        doors = {"sql": f"http://127.0.0.1:{self.ports.sql}/ping", "ingest": f"http://127.0.0.1:{self.ports.ingest}/healthz", "dashboards": f"http://127.0.0.1:{self.ports.dashboards}/healthz"}
        asked: dict[str, Callable[[], bool]] = {name: partial(_ok, url) for name, url in doors.items()}
        steps = (*STEPS, "shadow") if self.shadow else STEPS
        return Watch(f"127.0.0.1:{self.ports.kafka}", self.data / "steps", steps, asked, self.pids)

    def _spawn_again(self, part: Part) -> None:
        if part.innocent:
            forgive(self.data / "steps", f"{part.name}-1")
        part.due, part.innocent = 0.0, False
        self._spawn(part)

    def stop(self) -> None:
        """Stops every part, last started first, by process id."""
        if self.moves:
            self.moves.stop()
        order = ["plant", "ingest", "dashboards", "notify", "archive", "shadow", "correlate", "normalise", "sql", "kafka"]
        for name in order:
            part = self.parts.pop(name, None)
            if part and part.process:
                _end(part.process)
        if (self.data / "parts.json").exists():
            self._record()

    def pids(self) -> dict[str, int]:
        return {name: p.process.pid for name, p in self.parts.items() if p.process}


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(12)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


def _process(pid: int, born: float | None = None) -> psutil.Process | None:
    """The process of that id, if it still is the one that was born then."""
    try:
        process = psutil.Process(pid)
        return process if born is None or process.create_time() == born else None
    except psutil.NoSuchProcess:
        return None


def _ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def up(system: System, say: Callable[[str], None] = print) -> int:
    """Runs the system until Ctrl-C."""
    stopping: list[int] = []
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(name) is not signal.SIG_IGN:  # nohup asks to stay
            signal.signal(name, lambda *_: stopping.append(1))
    try:
        system.prepare()
        say(f"PermitWatch starts; data in {system.data}")
        system.start()
    except (UpError, PackError, PlantError, StoryError, RuntimeError, ValueError) as wrong:
        system.stop()
        say(f"permitwatch up: {wrong}")
        return 1
    base = f"http://127.0.0.1:{system.ports.dashboards}"
    say(f"\n  wall     {base}/wall\n  shop     {base}/shop/W1\n  crew     {base}/crew/C01\n  worker   {base}/me\n  analysts http://127.0.0.1:{system.ports.sql} (user analyst, password in {system.data}/tokens)\n\nCtrl-C stops everything and keeps the data.")
    try:
        while not stopping:
            system.watch()
            time.sleep(0.5)
        say("stopping ...")
    finally:  # a terminal that was closed takes no words any more
        system.stop()
    return 0
