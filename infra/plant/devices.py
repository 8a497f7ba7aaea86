"""Devices that speak the real protocols: Modbus TCP panels, an OPC UA server, and systems that push over HTTP."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import random
import struct
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

import aiohttp
import msgspec
from asyncua import Server, ua

from infra.plant.script import Script
from streams.events import Any_, CameraBeat, Positions, Weather
from streams.plant import Channel, Modbus

log = logging.getLogger("permitwatch")


class Panel(asyncio.Protocol):
    """A gas panel: function 3 over the registers that `words` gives at this moment."""

    def __init__(self, words: Callable[[], dict[int, int]]) -> None:
        self.words = words
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= 12:
            request, self.buffer = self.buffer[:12], self.buffer[12:]
            self._answer(*struct.unpack(">HHHBBHH", request))

    def _answer(self, transaction: int, _: int, __: int, unit: int, function: int, address: int, count: int) -> None:
        if function != 3 or not 1 <= count <= 125:
            body = struct.pack(">BB", function | 0x80, 1)
        else:
            words = self.words()
            body = struct.pack(f">BB{count}H", 3, 2 * count, *(words.get(address + i, 0) & 0xFFFF for i in range(count)))
        self.transport.write(struct.pack(">HHHB", transaction, 0, len(body) + 1, unit) + body)  # type: ignore[attr-defined]


class Devices:
    """All simulated devices of one plant, acting out a script."""

    def __init__(self, script: Script, panels: list[Modbus], opcua: str, door: str, tokens: dict[str, str], clocks: Mapping[str, int] = MappingProxyType({})) -> None:
        self.clocks = clocks
        """source or camera → by how many ms its clock is off."""
        self.script, self.panels, self.opcua, self.door, self.tokens = script, panels, opcua, door, tokens
        self.queues: dict[str, asyncio.Queue[tuple[str, Any_]]] = {name: asyncio.Queue() for name in tokens}

    async def run(self) -> None:
        """Runs until cancelled."""
        loop = asyncio.get_running_loop()
        for panel in self.panels:
            channels = [c for c in self.script.plant.channels if c.source == panel.name]
            host, _, port = panel.address.partition(":")
            await loop.create_server(lambda panel=panel, channels=channels: Panel(lambda: self._words(channels) | self._clock(panel)), host, int(port))  # type: ignore[misc]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            pushers = [self._push(session, name) for name in self.tokens]
            await asyncio.gather(self._dcs(), self._tell(), self._positions(), self._cameras(), self._weather(), *pushers)

    def _words(self, channels: list[Channel]) -> dict[int, int]:
        """The registers at this moment: a value and its status (0 is good), as points.csv places them."""
        words: dict[int, int] = {}
        for channel, value in zip(channels, self.script.readings(channels, int(time.time() * 1000)), strict=True):
            words[channel.register] = int((value or 0.0) / channel.scale)
            if channel.status_register is not None:
                words[channel.status_register] = int(value is None)
        return words

    def _clock(self, panel: Modbus) -> dict[int, int]:
        """Its clock's registers: seconds since 1970."""
        if panel.clock is None:
            return {}
        seconds = int(time.time() + self.clocks.get(panel.name, 0) / 1000)
        return {panel.clock.register: seconds >> 16, panel.clock.register + 1: seconds & 0xFFFF}

    # ---- OPC UA -------------------------------------------------------------------------------------------------

    async def _dcs(self) -> None:
        for name in ("asyncua", "asyncua.server"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        server = Server()
        await server.init()
        server.set_endpoint(self.opcua)
        await server.register_namespace("urn:permitwatch:plant")
        tags = [c.tag for c in self.script.plant.channels if c.source == "dcs"]
        folder = await server.nodes.objects.add_object(2, "DCS")
        nodes = {t: await folder.add_variable(ua.NodeId(t, 2), t, 80.0) for t in tags}
        rng = random.Random(self.script.seed)
        async with server:
            server.iserver.time_task.cancel()
            while True:
                now = dt.datetime.now(dt.UTC) + dt.timedelta(milliseconds=self.clocks.get("dcs", 0))
                await server.iserver.current_time_node.write_value(now)
                for tag in rng.sample(tags, min(len(tags), max(1, len(tags) // 6))):
                    value = ua.DataValue(ua.Variant(80 + rng.gauss(0, 0.6), ua.VariantType.Double), SourceTimestamp=now)
                    await server.write_attribute_value(nodes[tag].nodeid, value)
                await asyncio.sleep(1)

    # ---- HTTP ---------------------------------------------------------------------------------------------------

    def say(self, source: str, event: Any_) -> None:
        self.queues[source].put_nowait((str(event.__struct_config__.tag), event))

    async def _push(self, session: aiohttp.ClientSession, source: str) -> None:
        """Pushes a source's events in order; keeps them until the door has taken them."""
        queue, head = self.queues[source], {"authorization": f"Bearer {self.tokens[source]}"}
        while True:
            kind, event = await queue.get()
            row = msgspec.to_builtins(event)
            row.pop("kind", None)
            while True:
                try:
                    kept = "?lane=backlog" if event.at < (time.time() - 60) * 1000 else ""
                    async with session.post(f"{self.door}/events/{kind}{kept}", json=row, headers=head) as answer:
                        if answer.status < 500 and answer.status != 401:
                            break
                except (aiohttp.ClientError, OSError, TimeoutError):
                    pass
                await asyncio.sleep(0.5)

    async def _tell(self) -> None:
        for at, source, event in self.script.events():
            await asyncio.sleep(max(0.0, at / 1000 - time.time()))
            self.say(source, event)

    async def _positions(self) -> None:
        while True:
            await asyncio.sleep(2 - time.time() % 2)
            now = int(time.time() * 1000)
            rows = list({fix[0]: fix for fix in self.script.fixes(now)}.values())
            for start in range(0, len(rows), 500):
                part = rows[start : start + 500]
                self.say("tags", Positions(at=now, u=200, workers=[r[0] for r in part], x=[round(r[1], 2) for r in part], y=[round(r[2], 2) for r in part],
                                           z=[0.0] * len(part), acc=[r[3] for r in part]))  # fmt: skip

    async def _cameras(self) -> None:
        names = sorted({c for p in self.script.plant.points for c in p.cameras})
        while True:
            now = int(time.time() * 1000)
            for name in names:
                recording = self.script.recording(name, now)
                if recording is not None:
                    self.say("cameras", CameraBeat(at=now + self.clocks.get(name, 0), u=500, camera=name, recording=recording))
            await asyncio.sleep(10)

    async def _weather(self) -> None:
        rng = random.Random(self.script.seed)
        while True:
            self.say("weather", Weather(at=int(time.time() * 1000), u=1000, station="WS-1", wind_mean=round(2 + rng.random() * 3, 1), wind_gust=round(4 + rng.random() * 3, 1)))
            await asyncio.sleep(30)
