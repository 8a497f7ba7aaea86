"""OPC UA: a session that ends on silence and begins anew; the server's own clock is its heartbeat."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import time
from collections.abc import Callable
from typing import Any

from asyncua import Client, ua
from asyncua.common.subscription import DataChangeEvent, OverflowPolicy
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from ingest.clocks import Clock
from streams import wall
from streams.events import ClockSaid, Frame
from streams.plant import Channel, OpcUa

log = logging.getLogger("permitwatch")
CLOCK = ua.ObjectIds.Server_ServerStatus_CurrentTime
SAMPLED = 500
"""How often (ms) the server is asked to sample its clock."""
CUT = 1000
"""A server may write its clock's node only once a second (ms)."""
STANDS = 5.0
"""Seconds after which a clock that shows the same time while data go on stands still: frames are stamped by ours."""
HELD = 3.0
"""Seconds for which no frame is sent after the server's clock was set, so that none is stamped by one clock and corrected by the other; comparing takes less."""
CLOCK_EVERY = 30.0
"""Seconds after which it is read again to be compared."""


class Session:
    """One server: its channels' last values, framed once a second and stamped by the server's own clock as it was last heard; that clock is read and held against ours."""

    def __init__(self, wire: OpcUa, channels: list[Channel], take: Callable[[Frame, int], None], say: Callable[[ClockSaid], None] = lambda said: None) -> None:
        self.wire, self.channels, self.take = wire, {c.node: c for c in channels}, take
        self.last: dict[str, tuple[float | None, str]] = {c.tag: (None, "not read yet") for c in channels}
        self.fault = ""
        self.clock = Clock(wire.name, say)
        self.beat: int | None = None
        """What the server's clock showed when it was last heard in this session, ms; None: not yet, it tells no time, or it was set and is to be compared first."""
        self.moved = 0.0
        """When it last showed another time."""
        self.strange = 0.0
        """Since when it shows what its offset did not let expect."""
        self.look = asyncio.Event()

    async def run(self) -> None:
        """Sessions for ever."""
        pause = 0.5
        while True:
            began = time.monotonic()
            try:
                await self._session()
            except asyncio.CancelledError:
                raise
            except Exception as wrong:  # a session may end in any way; the next one begins
                self._report(f"{type(wrong).__name__}: {wrong}" if str(wrong) else f"silent for {self.wire.silence:g} s")
            pause = 0.5 if time.monotonic() - began > 30 else min(10.0, pause * 2)
            self.last, self.beat, self.strange = dict.fromkeys(self.last, (None, "no session")), None, 0.0
            for _ in range(max(1, int(pause))):
                self._frame()
                await asyncio.sleep(min(1.0, pause))

    async def _session(self) -> None:
        client = Client(self.wire.endpoint, timeout=4)
        if self.wire.policy != "None":
            await client.set_security(SecurityPolicyBasic256Sha256, certificate=self.wire.certificate, private_key=self.wire.private_key)
        await client.connect()
        try:
            parameters = ua.CreateSubscriptionParameters(
                RequestedPublishingInterval=self.wire.publish_ms, RequestedLifetimeCount=3000, RequestedMaxKeepAliveCount=10, PublishingEnabled=True
            )
            sub = await client.create_subscription(parameters, None, queue_maxsize=100_000, overflow=OverflowPolicy.DISCONNECT)
            await sub.subscribe_data_change([client.get_node(ua.NodeId(CLOCK))], sampling_interval=SAMPLED)
            await self._compare(client)
            await self._subscribe(client, sub)
            self._report("")
            comparing = asyncio.create_task(self._keep_comparing(client))
            try:
                await self._listen(sub)
            finally:
                comparing.cancel()
        finally:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(client.disconnect(), 3)

    async def _compare(self, client: Client) -> None:
        """Reads the server's clock, between two readings of ours."""
        asked = wall.now()
        shown = await client.get_node(ua.NodeId(CLOCK)).read_value()
        answered = wall.now()
        if isinstance(shown, dt.datetime):
            self.clock.read(_ms(shown), asked, answered, CUT)

    async def _keep_comparing(self, client: Client) -> None:
        """Once in a while, and at once when it shows what its offset did not let expect."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.look.wait(), CLOCK_EVERY)
            self.look.clear()
            with contextlib.suppress(ua.UaError, OSError, TimeoutError):
                await self._compare(client)

    async def _subscribe(self, client: Client, sub: Any) -> None:
        nodes = list(self.channels)
        for start in range(0, len(nodes), 500):
            part = nodes[start : start + 500]
            handles = await sub.subscribe_data_change([client.get_node(n) for n in part], queuesize=10, sampling_interval=self.wire.publish_ms)
            for node, handle in zip(part, handles if isinstance(handles, list) else [handles], strict=False):
                if isinstance(handle, ua.StatusCode):
                    self.last[self.channels[node].tag] = (None, handle.name)
                    log.warning("%s: node %s (%s) cannot be subscribed: %s. Correct its node in points.csv", self.wire.name, node, self.channels[node].tag, handle.name)

    async def _listen(self, sub: Any) -> None:
        events, due = sub.__aiter__(), time.monotonic()
        waiting = asyncio.ensure_future(events.__anext__())
        heard = time.monotonic()
        try:
            while True:
                done, _ = await asyncio.wait({waiting}, timeout=max(0.0, due - time.monotonic()))
                if done:
                    self._note(waiting.result())
                    heard = time.monotonic()
                    waiting = asyncio.ensure_future(events.__anext__())
                elif time.monotonic() - heard > self.wire.silence:
                    raise TimeoutError
                if time.monotonic() >= due:
                    due += 1.0
                    self._frame()
        finally:
            waiting.cancel()

    def _note(self, event: Any) -> None:
        if not isinstance(event, DataChangeEvent):
            return
        if event.node.nodeid == ua.NodeId(CLOCK) and isinstance(event.value, dt.datetime):
            self._beat(_ms(event.value))
        channel = self.channels.get(event.node.nodeid.to_string())
        if channel is None:
            return
        status = event.data.monitored_item.Value.StatusCode
        value = event.value if isinstance(event.value, int | float) and not isinstance(event.value, bool) else None
        if value is None or status is None or status.is_bad():
            self.last[channel.tag] = (None, status.name if status is not None else "no status")
        else:
            self.last[channel.tag] = (float(value) * channel.scale + channel.offset, "")

    def _beat(self, shown: int) -> None:
        """The server's clock as it was heard; where it is not what its offset lets expect, frames are stamped by ours until it was compared."""
        strange = self.clock.surprising(shown, wall.now(), self.wire.publish_ms + SAMPLED + CUT)
        if strange:
            self.look.set()
            self.strange = self.strange or time.monotonic()
        else:
            self.strange = 0.0
        if shown != self.beat:
            self.moved = time.monotonic()
        self.beat = None if strange else shown

    def _frame(self) -> None:
        if self.strange and time.monotonic() - self.strange < HELD:
            return
        now, tags = wall.now(), list(self.last)
        stands = time.monotonic() - self.moved > STANDS
        at = self.clock.ours(now) if self.beat is None or stands else self.beat
        for start in range(0, len(tags), 500):
            names = tags[start : start + 500]
            values = [self.last[t][0] for t in names]
            self.take(Frame(at=at, u=self.wire.publish_ms + SAMPLED, names=names, values=values, bad={t: self.last[t][1] for t in names if self.last[t][1]}), self.clock.offset or 0)

    def _report(self, fault: str) -> None:
        kind = fault.split(":")[0]
        if kind == self.fault:
            return
        log.warning("%s (%s): %s", self.wire.name, self.wire.endpoint, fault or "answers again") if fault or self.fault else None
        self.fault = kind


def _ms(at: dt.datetime) -> int:
    """OPC UA's times are UTC, with or without a zone."""
    return int((at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp() * 1000)
