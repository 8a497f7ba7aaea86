"""`permitwatch verify`: follows the archive's hash chain and names the first broken link; with --report the plant itself is told (SYS-CHAIN)."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sql.store import Store, StoreError
from streams.archive import digest_of
from streams.spoken import CHAINS


@dataclass(frozen=True, slots=True)
class Broken:
    """A link that does not hold: where, and what is wrong with it (`streams.spoken.CHAINS`)."""

    link: str
    detail: str
    rows: int = 0


def verify(url: str, report: str) -> int:
    """0 if the chain holds, 1 with the first broken link of each partition, 2 where it cannot be read."""
    store = Store(url)
    try:
        checked, broken = 0, list[Broken]()
        for topic, partition in _partitions(store):
            links = store.rows("SELECT start, end, digest, previous FROM links FINAL WHERE topic = {t:String} AND partition = {p:UInt16} ORDER BY start", {"t": topic, "p": partition})
            checked += len(links)
            broken += list(follow(store, topic, partition, links))[:1]
    except StoreError as wrong:
        print(f"permitwatch verify: {wrong}", file=sys.stderr)
        return 2
    for one in broken:
        print(f"✗ {one.link}: {CHAINS[one.detail][1]}{f' ({one.rows} rows)' if one.rows else ''}")
        if report:
            _tell(report, one)
    print(f"{checked} links followed: {'the chain holds' if not broken else f'{len(broken)} partition(s) broken'}")
    return 1 if broken else 0


def _partitions(store: Store) -> list[tuple[str, int]]:
    return [(r["topic"], r["partition"]) for r in store.rows("SELECT DISTINCT topic, partition FROM links ORDER BY topic, partition")]


def follow(store: Store, topic: str, partition: int, links: list[dict[str, Any]]) -> Iterator[Broken]:
    """Every link of a partition that does not hold."""
    previous = ""
    for link in links:
        name = f"{topic}[{partition}] {link['start']}–{link['end']}"
        if link["previous"] != previous:
            yield Broken(name, "link")
        sql = "SELECT body FROM messages FINAL WHERE topic = {t:String} AND partition = {p:UInt16} AND offset >= {a:UInt64} AND offset < {b:UInt64} ORDER BY offset"
        bodies = [row["body"] for row in store.rows(sql, {"t": topic, "p": partition, "a": link["start"], "b": link["end"]})]
        digest = link["digest"].decode() if isinstance(link["digest"], bytes) else link["digest"]
        if digest_of(link["previous"], bodies) != digest:
            yield Broken(name, "rows", len(bodies))
        previous = digest


def _tell(door: str, broken: Broken) -> None:
    """Tells the plant's own log."""
    body = json.dumps({"at": int(time.time() * 1000), "link": broken.link, "detail": broken.detail}).encode()
    request = urllib.request.Request(f"{door}/events/chain", body, {"authorization": f"Bearer {os.environ.get('PERMITWATCH_TOKEN_OPERATOR', '')}"})
    try:
        urllib.request.urlopen(request, timeout=5).close()
    except OSError as wrong:
        print(f"permitwatch verify: {door} does not take the report: {wrong}. Set PERMITWATCH_TOKEN_OPERATOR", file=sys.stderr)
