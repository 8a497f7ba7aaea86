"""What tests share: the stories, and (for those that need them) one real system a run: Kafka, ClickHouse, Faust, ingest, screens and a plant in a box."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.up import Ports, System
from sql.store import Store

SCENARIOS = Path(__file__).parent / "scenarios"
JARS = Path(__file__).parent.parent / "var" / "jars"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs a running system shares one, in one process: they stand on the same ports."""
    for item in items:
        if {"system", "store", "kafka"} & set(getattr(item, "fixturenames", ())) or any(item.get_closest_marker(name) for name in ("broker", "engine", "browser")):
            item.add_marker(pytest.mark.xdist_group("system"))


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
    return Store(f"http://default@127.0.0.1:{system.ports.sql}")


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
