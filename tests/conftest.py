"""What tests share: the stories, and (for those that need them) one real system a run: Kafka, ClickHouse, Faust, ingest, screens and a plant in a box."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

from infra.up import Ports, System
from sql.store import Store

SCENARIOS = Path(__file__).parent / "scenarios"
JARS = Path(__file__).parent.parent / "var" / "jars"


RUNNING = ("test_broker", "test_chaos", "test_edges", "test_power", "test_screens", "test_sql", "test_system", "test_wires")
"""The files whose tests need a running system, or a part of one: they share it, and its ports, so one process runs them all."""


class Apart(LoadScopeScheduling):  # type: ignore[misc]
    """What needs a running system is one piece of work, every other test its own (pytest-xdist's groups by mark do not reach pytest 9)."""

    def _split_scope(self, nodeid: str) -> str:
        return "system" if Path(nodeid.partition("::")[0]).stem in RUNNING else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Apart:
    return Apart(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No other file may ask for a running system."""
    for item in items:
        asks = {"system", "store", "kafka"} & set(getattr(item, "fixturenames", ())) or any(item.get_closest_marker(name) for name in ("broker", "engine", "browser"))
        if asks and item.path.stem not in RUNNING:
            raise pytest.UsageError(f"{item.nodeid} needs a running system: name its file in RUNNING of tests/conftest.py")


@pytest.fixture(scope="session")
def scenarios() -> list[Path]:
    return sorted(SCENARIOS.glob("*.toml"))


@pytest.fixture(scope="session")
def system(tmp_path_factory) -> Iterator[System]:
    """The whole system, as `permitwatch up` starts it, at ports of its own."""
    data = tmp_path_factory.mktemp("system")
    if JARS.exists():
        shutil.copytree(JARS, data / "jars")
    running = System(data, Ports(4000), scale=0.05, say=lambda said: None)
    running.prepare()
    try:
        running.start()
        if not JARS.exists():
            shutil.copytree(data / "jars", JARS)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def kafka(system) -> str:
    return f"127.0.0.1:{system.ports.kafka}"


@pytest.fixture
def store(system) -> Store:
    return Store(system.sql)


def wait_for(what: str, question: Callable[[], object], patience: float = 45, system: System | None = None) -> object:
    """Asks until the answer is true; fails loudly with what was waited for."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if system:
            system.watch()
        if answer := question():
            return answer
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {patience:.0f} s")


@pytest.fixture(scope="session")
def wait() -> Callable[..., object]:
    return wait_for
