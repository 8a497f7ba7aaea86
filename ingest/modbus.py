"""Modbus TCP: one loop per endpoint that nothing a device does can end; a failed read is BAD, never silence, never a number."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from ingest.clocks import Clock, register_words, shown
from ingest.registers import reads, value_of
from streams import wall
from streams.events import ClockSaid, Frame
from streams.plant import Channel, ClockRegister, Modbus

log = logging.getLogger("permitwatch")
Take = Callable[[Frame], None]
CLOCK_EVERY = 20.0
"""Seconds after which a panel's clock is read again: at another fraction of its second each time, so that together they tell more than one."""


class Endpoint:
    """One connection, its units and their channels."""

    def __init__(self, wire: Modbus, channels: list[Channel], take: Take, say: Callable[[ClockSaid], None] = lambda said: None) -> None:
        self.wire, self.take = wire, take
        host, _, port = wire.address.partition(":")
        self.client = AsyncModbusTcpClient(host, port=int(port or 502), timeout=wire.timeout, retries=0, reconnect_delay=0)
        self.clock = Clock(wire.clock.device, say) if wire.clock else None
        self.clock_due = 0.0
        self.units: dict[int, list[Channel]] = {}
        for channel in channels:
            self.units.setdefault(channel.unit_id, []).append(channel)
        self.resting: dict[int, tuple[float, float]] = {}
        self.fault = ""
        self.no_clock = False

    async def run(self) -> None:
        """Polls for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            try:
                await self._sweep(loop.time())
            except asyncio.CancelledError:
                self.client.close()
                raise
            except Exception as wrong:  # whatever a device or the library does, the loop goes on
                self._report(f"{type(wrong).__name__}: {wrong}")
            due = max(due + self.wire.period, loop.time() - self.wire.period)

    async def _sweep(self, now: float) -> None:
        if not self.client.connected and not await self._connect():
            for unit in self.units:
                self._bad(unit, "no connection")
            return
        for unit, channels in self.units.items():
            until, pause = self.resting.get(unit, (0.0, 0.5))
            if now < until:
                self._bad(unit, "no answer")
                continue
            words = await self._read(unit, channels)
            if words is None:
                self.resting[unit] = (now + pause, min(30.0, pause * 2))
                self._bad(unit, "no answer")
            else:
                self.resting.pop(unit, None)
        if self.clock and self.wire.clock and now >= self.clock_due:
            self.clock_due = now + CLOCK_EVERY
            await self._compare(self.clock, self.wire.clock)

    async def _compare(self, clock: Clock, where: ClockRegister) -> None:
        """Reads the panel's own clock; one that shows no time is no fault of its readings."""
        asked = wall.now()
        try:
            answer = await self.client.read_holding_registers(where.register, count=register_words(where), device_id=where.unit_id)
        except (ModbusException, OSError, TimeoutError, ValueError):
            return
        answered = wall.now()
        theirs = None if answer.isError() else shown(where, {where.register + i: w for i, w in enumerate(answer.registers)}, self.wire.order)
        if theirs is not None:
            clock.read(theirs, asked, answered, 1000)
        elif not self.no_clock:
            log.warning("%s (%s): registers %s+%s of unit %s show no time; correct [modbus.clock] in plant.toml", self.wire.name, self.wire.address, where.register, register_words(where), where.unit_id)
        self.no_clock = theirs is None

    async def _connect(self) -> bool:
        try:
            if await self.client.connect():
                self._report("")
                return True
        except (ModbusException, OSError, TimeoutError):
            pass
        self._report("no connection")
        return False

    async def _read(self, unit: int, channels: list[Channel]) -> dict[int, int] | None:
        words: dict[int, int] = {}
        began = wall.now()
        for address, count in reads(channels, self.wire.gap, self.wire.max_words):
            try:
                answer = await self.client.read_holding_registers(address, count=count, device_id=unit)
            except (ModbusException, OSError, TimeoutError, ValueError) as wrong:
                self._report(f"unit {unit}: {wrong}")
                return None
            if answer.isError():
                self._report(f"unit {unit} refuses {address}+{count}: {answer}")
                continue
            words |= {address + i: w for i, w in enumerate(answer.registers)}
        ended = wall.now()
        if words:
            self._report("")
        self._frame(unit, words, (began + ended) // 2, (ended - began) // 2 + 1)
        return words or None

    def _frame(self, unit: int, words: dict[int, int], at: int, u: int) -> None:
        channels = self.units[unit]
        said = [value_of(c, words, self.wire.order) for c in channels]
        bad = {c.tag: why for c, (_, why) in zip(channels, said, strict=True) if why}
        for start in range(0, len(channels), 500):
            part = slice(start, start + 500)
            names = [c.tag for c in channels[part]]
            self.take(Frame(at=at, u=u, names=names, values=[v for v, _ in said[part]], bad={k: bad[k] for k in names if k in bad}))

    def _bad(self, unit: int, why: str) -> None:
        names = [c.tag for c in self.units[unit]]
        self.take(Frame(at=wall.now(), u=int(self.wire.period * 1000), names=names, values=[None] * len(names), bad=dict.fromkeys(names, why)))

    def _report(self, fault: str) -> None:
        """A fault once when it begins, once when it ends."""
        kind = fault.split(":")[0]
        if kind == self.fault:
            return
        if fault:
            log.warning("%s (%s): %s", self.wire.name, self.wire.address, fault)
        else:
            log.warning("%s (%s): answers again", self.wire.name, self.wire.address)
        self.fault = kind
