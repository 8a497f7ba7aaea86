"""Kafka's jars: fetched once, held against a committed lock of names and sha256, then used offline."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

ENDPOINT = "org.apache.kafka:kafka_2.13:4.3.1+org.apache.kafka:kafka-clients:4.3.1+org.apache.kafka:kafka-tools:4.3.1"
LOCK = Path(__file__).with_name("jars.lock")


class JarsError(Exception):
    """Jars are missing or are not what the lock says."""


def read_lock() -> dict[str, str]:
    """{file name: sha256}"""
    lines = LOCK.read_text().splitlines() if LOCK.exists() else []
    return {name: sha for sha, name in (line.split("  ", 1) for line in lines)}


def write_lock(jars: list[Path]) -> None:
    """Pins what was fetched; only for whoever moves to another version of Kafka."""
    LOCK.write_text("".join(f"{digest(j)}  {j.name}\n" for j in sorted(jars, key=lambda j: j.name)))


def digest(jar: Path) -> str:
    with jar.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def held(folder: Path) -> list[Path]:
    """The jars of a folder if they are exactly the lock's; an empty list if any is missing or different."""
    lock = read_lock()
    jars = [folder / name for name in lock]
    if not jars or not all(j.exists() for j in jars):
        return []
    stamp = folder / ".verified"
    if stamp.exists() and stamp.read_text() == digest(LOCK):
        return jars
    wrong = [j.name for j in jars if digest(j) != lock[j.name]]
    if wrong:
        for name in wrong:
            (folder / name).unlink()
        return []
    stamp.write_text(digest(LOCK))
    return jars


def fetch(folder: Path) -> list[Path]:
    """Kafka's jars in `folder`, fetched if they are not there. Raises JarsError with what to do."""
    if jars := held(folder):
        return jars
    import jgo

    print("fetching Kafka's jars (54 MB, once) ...", file=sys.stderr, flush=True)
    try:
        environment = jgo.build(ENDPOINT, cache_dir=folder.parent / "jgo")
    except Exception as wrong:
        raise JarsError(f"Kafka's jars could not be fetched: {wrong}. Check the connection to a Maven repository and run the command again") from None
    folder.mkdir(parents=True, exist_ok=True)
    for jar in environment.all_jars:
        target = folder / Path(jar).name
        if not target.exists():
            part = target.with_suffix(".part")
            part.write_bytes(Path(jar).read_bytes())
            part.rename(target)
    if LOCK.exists() and not held(folder):
        raise JarsError("the fetched jars are not what infra/kafka/jars.lock says. Delete the folder var/jars and run the command again")
    return sorted(folder.glob("*.jar"))
