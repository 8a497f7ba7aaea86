"""Delivery: real servers that speak the channels' protocols; limits, refusals, retries, fail-over, gathering, requests; the routing file's museum."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from aiohttp import web

from infra.plant.story import read_story
from infra.plant.tell import tell
from streams import notify as rooms
from streams.desk import Batch
from streams.notify import Notify
from streams.outputs import Alert, Command, Delivery
from streams.routes import Receiver, Request, Route, RouteError, Routing, read_routing

SCENARIOS = Path(__file__).parent / "scenarios"


class Memory:
    """A desk that keeps what is sent; Kafka itself is in test_system."""

    def __init__(self) -> None:
        self.sent: list[Delivery] = []
        self.marks: dict[tuple[str, int], int] = {}

    async def send(self, sendings) -> None:
        self.sent += [msgspec.json.decode(value, type=Delivery) for _, _, _, value in sendings]

    def done(self, topic: str, partition: int, next: int) -> None:
        self.marks[topic, partition] = next

    async def read(self, topic, partition):
        return []

    async def committed(self, topic, partition):
        return None


class Server:
    """A channel's server: answers from a list, remembers what it was asked."""

    def __init__(self, answers) -> None:
        self.answers, self.asked = list(answers), []

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append((time.monotonic(), str(request.rel_url), await request.json()))
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.json_response(body, status=status)

    @contextlib.asynccontextmanager
    async def running(self):
        app = web.Application()
        app.add_routes([web.post("/{tail:.*}", self.handle)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        finally:
            await runner.cleanup()


def _outputs(name: str):
    now = int(time.time() * 1000)
    outputs = tell(read_story(SCENARIOS / f"{name}.toml")).outputs
    alerts = [msgspec.structs.replace(o, known=now) for o in outputs if isinstance(o, Alert)]
    commands = [msgspec.structs.replace(o, known=now, expires=now + 60_000) for o in outputs if isinstance(o, Command)]
    return alerts, commands


def _batch(topic: str, said) -> Batch:
    return Batch(topic, 0, [SimpleNamespace(offset=i, value=msgspec.json.encode(s)) for i, s in enumerate(said)])


async def _notified(routing: Routing, alerts, commands, until, patience: float = 20, file=None) -> Memory:
    desk, step = Memory(), Notify(file, routing)
    await step.start(desk)
    try:
        if alerts:
            await step.take(_batch("alerts", alerts), desk)
        if commands:
            await step.take(_batch("commands", commands), desk)
        deadline = time.monotonic() + patience
        while not until(desk):
            assert time.monotonic() < deadline, desk.sent
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
    finally:
        await step.stop(desk)
    return desk


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(rooms, "PAUSES", (0.0, 0.05, 0.1))


@pytest.mark.seed("003-04", part="messages")
def test_p1_goes_alone_and_at_once_the_rest_is_gathered():
    async def run():
        server = Server([(200, {"errcode": 0})])
        async with server.running() as url:
            routing = Routing([Receiver("room", "wecom", url=url, gather=1.0)], [Route(["room"])])
            alerts, _ = _outputs("S26_lel_12_methane")
            loud = [a for a in alerts if a.announce]
            assert {a.priority for a in loud} == {1, 2}
            began = time.monotonic()
            desk = await _notified(routing, alerts, [], lambda d: len(d.sent) >= len(loud))
        first, last = server.asked[0], server.asked[-1]
        assert first[0] - began < 0.5
        assert "[P1] X-GAS-LIM" in first[2]["text"]["content"] and "X-GAS-RISE" not in first[2]["text"]["content"]
        assert last[0] - began >= 0.9 and "X-GAS-RISE" in last[2]["text"]["content"]
        assert {d.outcome for d in desk.sent} == {"delivered"}
        assert desk.marks["alerts", 0] == len(alerts)

    asyncio.run(run())


def test_http_200_with_an_error_code_is_a_refusal_and_the_next_channel_takes_over():
    async def run():
        wecom, dingtalk = Server([(200, {"errcode": 93000, "errmsg": "invalid webhook url"})]), Server([(200, {"errcode": 0})])
        async with wecom.running() as one, dingtalk.running() as two:
            receivers = [Receiver("a", "wecom", url=one, gather=0, fallback="b"), Receiver("b", "dingtalk", url=two, gather=0)]
            alerts = [a for a in _outputs("S26_lel_12_methane")[0] if a.announce and a.priority == 1][:1]
            desk = await _notified(Routing(receivers, [Route(["a"])]), alerts, [], lambda d: any(x.outcome == "delivered" for x in d.sent))
        assert [(d.outcome, d.step) for d in desk.sent] == [("retry", ""), ("delivered", "instead of a")]
        assert len(wecom.asked) == 1 and len(dingtalk.asked) == 1

    asyncio.run(run())


def test_a_busy_channel_is_asked_again_and_every_attempt_is_recorded():
    async def run():
        server = Server([(200, {"errcode": 45009}), (500, {}), (200, {"errcode": 0})])
        async with server.running() as url:
            alerts = [a for a in _outputs("S26_lel_12_methane")[0] if a.announce and a.priority == 1][:1]
            desk = await _notified(Routing([Receiver("a", "wecom", url=url)], [Route(["a"])]), alerts, [], lambda d: any(x.outcome == "delivered" for x in d.sent))
        assert [d.outcome for d in desk.sent] == ["retry", "retry", "delivered"]

    asyncio.run(run())


def test_dingtalk_is_signed(monkeypatch):
    monkeypatch.setenv("DING_SECRET", "SEC123")

    async def run():
        server = Server([(200, {"errcode": 0})])
        async with server.running() as url:
            alerts = [a for a in _outputs("S26_lel_12_methane")[0] if a.announce and a.priority == 1][:1]
            await _notified(Routing([Receiver("d", "dingtalk", url=url + "/robot?access_token=x", secret_env="DING_SECRET")], [Route(["d"])]), alerts, [], lambda d: bool(d.sent))
        query = parse_qs(urlsplit(server.asked[0][1]).query)
        expected = base64.b64encode(hmac.new(b"SEC123", f"{query['timestamp'][0]}\nSEC123".encode(), hashlib.sha256).digest()).decode()
        assert query["sign"] == [expected]

    asyncio.run(run())


def test_requests_are_dry_by_default_and_sent_where_the_plant_says_so():
    async def run():
        server = Server([(200, {})])
        async with server.running() as url:
            routing = Routing([Receiver("ptw", "command", url=url)], [], [Request("ptw", ["permit.*"])])
            _, commands = _outputs("S26_lel_12_methane")
            assert {c.action for c in commands} >= {"permit.suspend", "siren.on"}
            dry = await _notified(routing, [], commands, lambda d: bool(d.sent))
            assert {d.outcome for d in dry.sent} == {"dry-run"} and not server.asked
            live = [msgspec.structs.replace(c, dry_run=False) for c in commands]
            sent = await _notified(routing, [], live, lambda d: bool(d.sent))
            assert [d.outcome for d in sent.sent] == ["delivered"] and server.asked[0][2]["action"] == "permit.suspend"
            late = [msgspec.structs.replace(c, dry_run=False, expires=1) for c in commands]
            expired = await _notified(routing, [], late, lambda d: bool(d.sent))
            assert [d.outcome for d in expired.sent] == ["expired"] and len(server.asked) == 1

    asyncio.run(run())


def test_syslog_and_mail_reach_real_servers():
    async def run():
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(5)
        mails: list[str] = []

        async def smtp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 test\r\n")
            data = False
            while line := await reader.readline():
                if data:
                    mails.append(line.decode())
                    if line == b".\r\n":
                        data = False
                        writer.write(b"250 ok\r\n")
                elif line.upper().startswith(b"DATA"):
                    data = True
                    writer.write(b"354 go\r\n")
                elif line.upper().startswith(b"QUIT"):
                    writer.write(b"221 bye\r\n")
                    break
                else:
                    writer.write(b"250 ok\r\n")
            writer.close()

        server = await asyncio.start_server(smtp, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        receivers = [Receiver("s", "syslog", url=f"syslog://127.0.0.1:{udp.getsockname()[1]}", lang="en"), Receiver("m", "smtp", url=f"smtp://127.0.0.1:{port}", to=["hse@example.org"], lang="en")]
        alerts = [a for a in _outputs("S26_lel_12_methane")[0] if a.announce and a.priority == 1][:1]
        await _notified(Routing(receivers, [Route(["s", "m"])]), alerts, [], lambda d: len(d.sent) == 2)
        server.close()
        assert b"permitwatch - X-GAS-LIM" in udp.recv(9000)
        assert any("Subject: PermitWatch P1: X-GAS-LIM" in m for m in mails)

    asyncio.run(run())


def test_routes_choose_by_area_priority_owner_code_and_shift():
    alert = next(a for a in _outputs("S26_lel_12_methane")[0] if a.code == "X-GAS-LIM")
    routing = Routing(
        [Receiver(n, "log") for n in "abcde"],
        [Route(["a"], areas=["A2"]), Route(["b"], priorities=[1], go_on=True), Route(["c"], codes=["X-GAS-*"], shifts=["night"], go_on=True), Route(["d"], owners=["director"]), Route(["e"])],
    )
    assert routing.told(alert, 10) == ["b", "e"]
    assert routing.told(alert, 23) == ["b", "c", "e"]
    assert routing.told(msgspec.structs.replace(alert, owner="director"), 2) == ["b", "c", "d"]


MUSEUM = {
    "no such receiver": ('[[receiver]]\nname = "a"\nkind = "log"\n[[route]]\nreceivers = ["b"]\n', "there is no receiver b", "Did you mean"),
    "an unknown kind": ('[[receiver]]\nname = "a"\nkind = "pigeon"\n', "pigeon", "docs/operators.md"),
    "no address": ('[[receiver]]\nname = "a"\nkind = "wecom"\n', "no address", "url_env"),
    "a circle": ('[[receiver]]\nname = "a"\nkind = "webhook"\nurl = "http://x"\nfallback = "b"\n[[receiver]]\nname = "b"\nkind = "webhook"\nurl = "http://y"\nfallback = "a"\n', "a → b → a", "no fallback"),
    "broken TOML": ('[[receiver]\n', "syntax", "Mend"),
}


@pytest.mark.parametrize("name", MUSEUM)
def test_a_wrong_routing_file_is_refused_with_line_key_and_remedy(name, tmp_path):
    text, said, remedy = MUSEUM[name]
    file = tmp_path / "receivers.toml"
    file.write_text(text)
    with pytest.raises(RouteError) as refused:
        read_routing(file)
    assert f"{file}:" in str(refused.value) and said in str(refused.value)
    assert remedy in str(refused.value) or "Known" in str(refused.value)


def test_the_log_gets_everything(tmp_path):
    alerts, _ = _outputs("S26_lel_12_methane")
    file = tmp_path / "notify.jsonl"
    asyncio.run(_notified(Routing([Receiver("log", "log")], [Route(["log"])]), alerts, [], lambda d: len(d.sent) == len(alerts), file=file))
    assert [json.loads(line)["revision"] for line in file.read_text().splitlines()] == [a.revision for a in alerts]
