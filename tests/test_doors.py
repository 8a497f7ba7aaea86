"""The HTTP door with what senders really send, the outbox, and what a step had in hand when it died."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import json
import os
import socket
import sqlite3
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import aiohttp
import msgspec
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.errors import KafkaError

from infra.plant.reference import SOURCES
from ingest import body
from ingest.doors import GATES, POSTED, Door, _asked_at, application
from ingest.outbox import SLICE, Accepted, Outbox, TooLarge
from ingest.pace import AGAIN, AHEAD, EVERY, FEW, HOLDS, LATE, STILL, WINDOW, Busy, Pace, Taken, ask
from streams.asked import inside, open_to_all, serve
from streams.deaths import ENOUGH, Deaths
from streams.desk import Batch
from streams.events import SourceSaid, Step, decode_envelope
from streams.plant import Http, PlantError, read_plant
from streams.rules import gates
from streams.sentences import REASONS
from streams.topics import OF_KIND


def _step(**more: object) -> dict[str, object]:
    return {"at": int(time.time() * 1000), "permit": "P", "step": "jsa", "note": "动火", **more}


def _raw(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


@pytest.fixture(scope="module")
def box(tmp_path_factory) -> Iterator[Outbox]:
    made = Outbox(tmp_path_factory.mktemp("box") / "outbox.db", "127.0.0.1:1")
    yield made
    made.close()


def _ask(box: Outbox, said: bytes, path: str = "/events/permit.step", method: str = "POST", token: bytes = b"secret", sends: dict[str, frozenset[str]] | None = None, refusers: list[str] | None = None, shelters: frozenset[str] = frozenset(), deciders: list[str] | None = None, **headers: str) -> tuple[int, dict]:
    """What the door answers to a request as it is, byte for byte."""

    async def asked() -> tuple[int, bytes]:
        async with aiohttp.ClientSession() as session:
            runner = web.AppRunner(application(Door("S", box, {"ptw": "secret"}, deciders or ["http://127.0.0.1:1"], session, refusers or [], sends or {}, shelters)), access_log=None, auto_decompress=False)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
            lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", f"Content-Length: {len(said)}", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
            writer.write("\r\n".join(lines).encode() + b"\r\nAuthorization: Bearer " + token + b"\r\n\r\n" + said)
            await writer.drain()
            raw = await asyncio.wait_for(reader.read(), 20)
            writer.close()
            await runner.cleanup()
        head, _, rest = raw.partition(b"\r\n\r\n")
        return int(head.split()[1]), rest

    status, rest = asyncio.run(asked())
    return status, json.loads(rest)


KINDS = [kind for kind in OF_KIND if kind != "tick"]


@pytest.mark.parametrize("kind", sorted(POSTED))
def test_a_token_sends_the_kinds_that_are_named_and_no_other(box, kind):
    """Whichever kind it is: the others only, and it is refused before it is read; it alone, and it is read."""
    before = box.written
    status, answer = _ask(box, _raw({"at": 1}), f"/events/{kind}", sends={"ptw": frozenset(KINDS) - {kind}})
    assert (status, f"may not send {kind}" in answer["error"], f"Add {kind} to its kinds" in answer["error"]) == (403, True, True)
    assert _ask(box, _raw({"at": "x"}), f"/events/{kind}", sends={"ptw": frozenset({kind})})[0] == 422
    assert box.written == before


@pytest.mark.parametrize("kind", ["tick", "decided"])
def test_nobody_writes_what_a_gate_was_answered_or_what_time_it_is(box, kind):
    before = box.written
    status, answer = _ask(box, _raw({"at": int(time.time() * 1000), "worker": "W", "answer": "allow"}), f"/events/{kind}", sends={"ptw": frozenset(KINDS)})
    assert (status, "GET /decide" in answer["error"], box.written) == (404, kind == "decided", before)


def test_who_may_not_ask_at_gates_is_told_so_and_who_may_is_answered(box):
    gate = "/decide?worker=W&door=D"
    assert _ask(box, b"", gate, "GET", sends={"ptw": frozenset({"scan"})})[0] == 403
    assert _ask(box, b"", gate, "GET", sends={"ptw": frozenset({"decided"})}) == (200, {"answer": "pending", "reasons": ["SYS-DECIDER-AWAY"], "mode": "away", "names": [], "behind_ms": None, "why": [
        {"code": "SYS-DECIDER-AWAY", "clause": "rule of the site", "zh": REASONS["SYS-DECIDER-AWAY"][0], "en": REASONS["SYS-DECIDER-AWAY"][1]}]})
    assert _ask(box, b"", "/refused", "GET", sends={"ptw": frozenset()}) == (200, {"source": "ptw", "refused": []})
    assert _ask(box, b"", gate, "GET", token=b"other", sends={"ptw": frozenset({"decided"})})[0] == 401


@pytest.mark.parametrize(("kinds", "may", "not_"), [
    ('["permit.*", "scan"]', {"permit.step", "permit.gas_test", "scan"}, {"guard", "action"}), ("[]", set(), set(KINDS)), ('["*"]', set(KINDS), {"tick"}), ("", set(KINDS), {"tick"}),
])  # fmt: skip
def test_a_plant_names_the_kinds_of_a_token(tmp_path, kinds, may, not_):
    (http,) = read_plant(_plant_file(tmp_path, kinds)).wires.http
    assert may <= http.sends() and not (not_ & http.sends())


@pytest.mark.parametrize("kinds", ['["permits"]', '["scan", "permit_*"]', '[""]', '["tick"]'])
def test_a_kind_that_is_none_is_refused_where_the_plant_is_read(tmp_path, kinds):
    with pytest.raises(PlantError, match=r"plant\.toml:8: kinds: .* is no kind of event"):
        read_plant(_plant_file(tmp_path, kinds))


def _plant_file(folder: Path, kinds: str) -> Path:
    (folder / "points.csv").write_text("tag,source\n")
    (folder / "places.csv").write_text("id,area\n")
    lines = ['site = "S"', 'zh = "厂"', 'en = "plant"', 'timezone = "Asia/Shanghai"', "[[http]]", 'name = "ptw"', 'token_env = "T"', *([f"kinds = {kinds}"] if kinds else [])]
    (folder / "plant.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "plant.toml"


def test_the_systems_of_the_box_may_send_what_they_send_and_only_people_answer_alerts():
    may = {source: Http(source, "T", kinds).sends() for source, kinds in SOURCES.items()}
    assert {s for s, kinds in may.items() if kinds & {"action", "pack"}} == {"operator"}
    assert {s for s, kinds in may.items() if "permit.step" in kinds} == {"ptw"}
    assert {s for s, kinds in may.items() if kinds & {"plant", "source"}} == set()
    assert may["weather"] == {"weather", "warning"}


@pytest.mark.parametrize(("token", "path", "status"), [("", "/refused", 401), ("wrong", "/refused", 401), ("Bearer ", "/refused", 401), ("s\u00e9same", "/refused", 401), ("inside", "/refused", 200), ("", "/healthz", 200)])
def test_a_step_answers_the_other_parts_only(monkeypatch, token, path, status):
    async def asked() -> int:
        async def answer(request: web.Request) -> web.Response:
            return web.json_response({})

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        await serve([web.get("/refused", answer), web.get("/healthz", answer)], ("127.0.0.1", port))
        monkeypatch.setenv("PERMITWATCH_INSIDE_TOKEN", token)
        headers = inside()
        monkeypatch.setenv("PERMITWATCH_INSIDE_TOKEN", "inside")
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}", headers=headers) as said:
            return said.status

    assert asyncio.run(asked()) == status


def test_beyond_this_machine_a_step_answers_nobody_without_a_token(monkeypatch):
    monkeypatch.delenv("PERMITWATCH_INSIDE_TOKEN", raising=False)
    assert [bool(open_to_all((host, 8091))) for host in ("127.0.0.1", "::1", "0.0.0.0", "10.2.0.7")] == [False, False, True, True]
    assert "PERMITWATCH_INSIDE_TOKEN" in open_to_all(("0.0.0.0", 8091))
    monkeypatch.setenv("PERMITWATCH_INSIDE_TOKEN", "x")
    assert open_to_all(("0.0.0.0", 8091)) == ""


READ = {
    "plain": (_raw(_step()), {}),
    "gzip": (gzip.compress(_raw(_step())), {"content_encoding": "gzip"}),
    "deflate as zlib": (zlib.compress(_raw(_step())), {"content_encoding": "deflate"}),
    "deflate, bare": (zlib.compress(_raw(_step()))[2:-4], {"content_encoding": "deflate"}),
    "a mark of UTF-8": (b"\xef\xbb\xbf" + _raw(_step()), {}),
    "UTF-16 with its mark": ("\ufeff" + _raw(_step()).decode()).encode("utf-16-le") and (b"\xff\xfe" + _raw(_step()).decode().encode("utf-16-le"), {}),
    "GBK, said so": (_raw(_step()).decode().encode("gbk"), {"content_type": "application/json; charset=gbk"}),
}


@pytest.mark.parametrize("name", READ)
def test_what_systems_write_is_read(box, name):
    said, headers = READ[name]
    assert _ask(box, said, **headers) == (202, {"accepted": 1})
    db = box._open("normal")
    (value,) = db.execute("select value from outbox order by id desc limit 1").fetchone()
    db.close()
    assert msgspec.json.decode(decode_envelope(value).event)["note"] == "动火"


WRONG = {
    "no gzip": (_raw(_step()), {"content_encoding": "gzip"}, 400, "gzip"),
    "half a gzip": (gzip.compress(_raw(_step()))[:-9], {"content_encoding": "gzip"}, 400, "whole"),
    "a bomb": (gzip.compress(b" " * 100_000_000), {"content_encoding": "gzip"}, 413, "unpacked"),
    "zstd": (b"\x28\xb5\x2f\xfd", {"content_encoding": "zstd"}, 415, "gzip"),
    "a charset of nobody": (_raw(_step()), {"content_type": "application/json; charset=klingon"}, 415, "UTF-8"),
    "GBK, not said": (_raw(_step()).decode().encode("gbk"), {}, 422, "UTF-8"),
    "other letters than said": (b'{"note":"\xff\xff\xff"}', {"content_type": "application/json; charset=gbk"}, 422, "gbk"),
    "nested": (b"[" * 100_000, {}, 422, "JSON"),
    "nested in a field": (b'{"at":1,"permit":' + b"[" * 5000 + b"]" * 5000 + b"}", {}, 422, "JSON"),
    "nothing": (b"", {}, 422, "JSON"),
    "a list of lists": (b"[[]]", {}, 422, "$"),
    "a number": (b"1", {}, 422, "$"),
    "no number": (b'{"at":NaN}', {}, 422, "JSON"),
    "a schema of nobody": (_raw(_step(schema="2")), {}, 422, "$.schema"),
    "too long a text": (_raw(_step(note="x" * 3_000_000)), {}, 422, "16384"),
    "a photo in a field of its own": (_raw(_step(photo="x" * 3_000_000)), {}, 413, "$.photo"),
    "a photo in the second": (_raw([_step(), _step(more={"photo": "x" * 3_000_000})]), {}, 413, "$[1].more"),
    "nine megabytes": (b"[" + b" " * 9_000_000 + b"]", {}, 413, "several posts"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_read_is_said_with_what_to_send(box, name):
    said, headers, status, word = WRONG[name]
    before = box.written
    answered, answer = _ask(box, said, **headers)
    assert answered == status
    assert word in answer["error"]
    assert box.written == before


@settings(max_examples=60, deadline=None)
@given(said=st.one_of(st.binary(max_size=60), st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8), lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(["at", "permit", "step", "schema", "note", "x"]), x, max_size=4)).map(lambda v: json.dumps(v).encode())))
def test_no_body_ends_in_a_fault_of_ours(box, said):
    assert _ask(box, said)[0] in (202, 422)


@pytest.mark.parametrize("token", [b"", b"wrong", b"\xe4\xbb\xa4", b"\xff\xfe", b"secre"])
def test_no_token_but_the_right_one_opens(box, token):
    assert _ask(box, _raw(_step()), token=token)[0] == 401


@pytest.mark.parametrize("query, status, word", [
    ("worker=a&door=b&at=2026-11-29T18:00:00Z", 200, "pending"), ("worker=a&door=b", 200, "pending"), ("worker=a&door=b&at=now", 400, "ISO 8601"), ("worker=a&door=b&at=%C2%B2", 400, "ISO 8601"),
    ("worker=a&door=b&at=2026-11-29T18:00:00", 400, "offset"), ("worker=a&door=b&at=99999999999999999999", 400, "no time"), ("worker=a&door=b&at=-1", 400, "ISO 8601"), ("for=party", 400, "application"), ("for=entry", 400, "door"),
])  # fmt: skip
def test_a_question_at_a_gate_is_answered_or_said_how_to_write(box, query, status, word):
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    answered, answer = _ask(box, b"", f"/decide?{query.replace('2026-11-29T18:00:00Z', now)}", "GET")
    assert answered == status
    assert word in json.dumps(answer)


@pytest.mark.parametrize("said, status", [(_raw({"permit": "P"}), 200), (b"", 422), (b"[]", 400), (b"1", 400), (b"\xff", 422), (b"[" * 9999, 422)])
def test_an_application_is_one_object(box, said, status):
    assert _ask(box, said, "/decide?for=application")[0] == status


def _kept(box: Outbox) -> list[dict]:
    """The events that are on disk."""
    with contextlib.closing(sqlite3.connect(box.path)) as db:
        return [json.loads(value)["event"] for (value,) in db.execute("select value from outbox")]


@pytest.mark.parametrize("query, answer", [("worker=W&door=SHELTER", "allow"), ("worker=W&door=DOOR&for=leave", "allow"), ("worker=W&door=DOOR&direction=out", "allow"), ("worker=W&door=DOOR", "pending"), ("for=start&permit=P&door=SHELTER", "pending"), ("for=start&permit=P&direction=out", "pending")])
def test_a_shelter_and_the_way_out_are_open_though_nobody_answers(box, query, answer):
    """`domain.md` 4.5: a shelter's door is never closed by our blindness."""
    status, said = _ask(box, b"", f"/decide?{query}", "GET", shelters=frozenset({"SHELTER"}))
    assert (status, said["answer"], [why["code"] for why in said["why"]]) == (200, answer, said["reasons"])


def test_a_shelter_is_open_though_the_judge_does_not_know_it(box):
    """The judge folds its log anew and does not know the plant yet; the door does."""

    class Judge(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(_raw({"answer": "pending", "reasons": ["DOOR-UNKNOWN"], "why": [], "mode": "full", "names": [], "behind_ms": 0}))

        def log_message(self, *said: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Judge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    at = f"http://127.0.0.1:{server.server_port}"
    said = [_ask(box, b"", f"/decide?worker=W&door={door}", "GET", shelters=frozenset({"SHELTER"}), deciders=[at])[1]["answer"] for door in ("SHELTER", "DOOR")]
    server.shutdown()
    assert said == ["allow", "pending"]


@pytest.mark.parametrize("scale", [1 / 1000, 1, 1000, 1_000_000])
def test_a_moment_in_whichever_unit_is_asked_about_in_ms(scale):
    now = int(time.time() * 1000)
    query = {"at": str(int(now * scale))}
    assert abs(_asked_at(query) - now) < 1000 and query["at"] == str(_asked_at(query))


def test_an_application_is_kept_as_it_was_asked_so_that_it_can_be_judged_again(box):
    """In our words; one that nobody can read is refused with its path."""
    now = int(time.time() * 1000)
    asked = {"permit": "HW-7", "type": "一级动火", "point": "P", "valid_from": now, "valid_to": now + 3_600_000, "workers": ["W"]}
    assert _ask(box, _raw(asked), "/decide?for=application")[0] == 200
    deadline = time.monotonic() + 5
    while not (kept := [e for e in _kept(box) if e["kind"] == "decided" and e.get("request", {}).get("permit") == "HW-7"]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [e["request"]["type"] for e in kept] == ["02"]
    assert _ask(box, _raw(asked | {"at": "yesterday"}), "/decide?for=application")[0] == 422


def test_the_gates_of_the_door_are_those_of_the_judge():
    assert set(GATES) == set(gates.GATES)


def test_a_fault_of_ours_is_said_once_and_answered_in_json(box, monkeypatch, caplog):
    monkeypatch.setattr(body, "said", lambda *_: 1 / 0)
    for _ in range(3):
        assert _ask(box, b"{}")[0] == 500
    assert len([r for r in caplog.records if "the door failed" in r.message]) == 1


# ---- the outbox ---------------------------------------------------------------------------------------------------------


def test_an_event_that_no_step_could_carry_is_refused_and_numbers_nothing(box):
    at = int(time.time() * 1000)
    with pytest.raises(TooLarge, match="at most"):
        box.accept("S", "big", Step(at=at, u=0, permit="P", step="jsa"), raw=_raw(_step(x="x" * 2_000_000))).result(10)
    box.put("S", "big", Step(at=at, u=0, permit="P", step="jsa"))
    assert box.numbers["big", "permit.events", "live"] == box.epoch + 1


def test_what_waited_before_a_restart_is_counted(tmp_path):
    for n in (1, 2):
        box = Outbox(tmp_path / "outbox.db", "127.0.0.1:1")
        box.put("S", "ptw", Step(at=int(time.time() * 1000), u=0, permit="P", step="jsa"))
        assert box.pending == n
        box.close()


def test_a_long_post_of_one_source_delays_no_other(tmp_path):
    box = Outbox(tmp_path / "outbox.db", "127.0.0.1:1")
    at = int(time.time() * 1000)
    for source, count in (("badges", 3000), ("ptw", 5), ("panel", 1)):
        done = [box.accept("S", source, Step(at=at, u=0, permit=source, step="jsa")) for _ in range(count)]
        done[-1].result(30)
    db = box._open("normal")
    rows = box._next(db)
    assert len(rows) <= SLICE
    assert [decode_envelope(r[3]).source for r in rows].count("ptw") == 5
    assert [decode_envelope(r[3]).source for r in rows].count("panel") == 1
    mine = [decode_envelope(r[3]).seq - box.epoch for r in rows if decode_envelope(r[3]).source == "badges"]
    assert mine == list(range(1, len(mine) + 1))
    db.close()
    box.close()


class _Judge:
    """Somebody who is asked how far he is."""

    def __init__(self, at: int | None = 0, behind: int = 0) -> None:
        self.at, self.behind, self.asked = at, behind, 0

    def __call__(self) -> Taken | None:
        self.asked += 1
        return None if self.at is None else Taken({"access.events": self.at}, self.behind)


class _Hours:
    """A clock that goes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("speed", [50, 100, 1000, 5000])
def test_a_flood_goes_no_faster_than_the_judge_takes_it(speed):
    """Of a judge who takes so many a second no more is on its way than he does in a moment, and he is never idle."""
    judge, hours, waits = _Judge(1000), _Hours(), list[float]()
    pace = Pace(judge, hours)
    pace.went("access.events", 1000)
    for n in range(4000):
        hours.now += EVERY
        pace.went("access.events", pace.sent["access.events"] + pace.room(100))
        if n > 400:
            waits.append((pace.sent["access.events"] - judge.at) / speed)
        judge.at = min(judge.at + int(speed * EVERY), pace.sent["access.events"])
    assert max(waits) <= max(2 * AHEAD, 2 * FEW / speed)
    assert judge.at >= 1000 + 0.95 * 4000 * int(speed * EVERY)


@pytest.mark.parametrize("behind, after", [(0, STILL), (LATE, STILL), (LATE + 1, HOLDS)])
def test_what_is_refused_on_its_way_holds_no_flood_for_ever(behind, after):
    hours = _Hours()
    pace = Pace(_Judge(0, behind), hours)
    pace.room(100)
    pace.went("access.events", WINDOW)
    hours.now += EVERY
    assert pace.room(100) == 0
    hours.now += after
    assert pace.room(100) == 0
    hours.now += 0.1
    assert pace.room(100) == 100


def test_what_is_refused_in_one_topic_holds_nobody_while_another_moves():
    hours, frames = _Hours(), 0
    pace = Pace(lambda: Taken({"access.events": 0, "sensor.readings": frames}, 0), hours)
    pace.went("access.events", WINDOW)
    for _ in range(int(STILL / EVERY) + 5):
        hours.now += EVERY
        frames += 1
        pace.went("sensor.readings", frames)
        left = pace.room(100)
    assert left == 100


def test_a_judge_who_is_busy_for_a_moment_opens_no_gate():
    hours, busy = _Hours(), False

    def ask() -> Taken:
        if busy:
            raise Busy
        return Taken({"access.events": 0}, 0)

    pace = Pace(ask, hours)
    pace.went("access.events", WINDOW)
    assert pace.room(100) == 0
    busy = True
    for _ in range(int((HOLDS - 1) / AGAIN)):
        hours.now += AGAIN
        assert pace.room(100) == 0
    hours.now += 2
    assert pace.room(100) == 100


@pytest.fixture
def waits(tmp_path):
    """An outbox that cannot send, with what a test puts in."""
    box = Outbox(tmp_path / "outbox.db", "127.0.0.1:1", pace=Pace(_Judge(0), _Hours()))
    db = box._open("normal")

    def put(source: str, count: int) -> None:
        done = [box.accept("S", source, Step(at=int(time.time() * 1000), u=0, permit="P", step="jsa")) for _ in range(count)]
        done[-1].result(30)

    def turns(many: int) -> Counter[str]:
        out = Counter[str]()
        for _ in range(many):
            rows = box._next(db)
            out.update(decode_envelope(r[3]).source for r in rows)
            db.executemany("delete from outbox where id = ?", [(r[0],) for r in rows])
        return out

    yield put, turns, box
    db.close()
    box.close()


def test_of_many_floods_none_comes_last_always(waits):
    put, turns, box = waits
    for n in range(30):
        put(f"GW{n:02}", FEW + 20)
    box.pace.window = FEW  # less room than floods
    sent = turns(45)
    assert len(sent) == 30
    assert max(sent.values()) <= 3 * min(sent.values())


def test_what_goes_alone_at_the_head_of_its_line_holds_nobody_and_comes_soon(waits):
    put, turns, box = waits
    put("a", 60)
    put("b", 5)
    put("z", 60)
    box.doubtful.add(box._open("normal").execute("select min(id) from outbox").fetchone()[0])
    sent = turns(2)
    assert sent["b"] == 5
    assert sent["a"] >= 1
    assert sent["z"] > FEW
    assert turns(4)["a"] > FEW


def test_where_nobody_judges_nothing_is_held_and_nobody_is_asked_all_the_time():
    judge = _Judge(None)
    pace = Pace(judge)
    for n in range(500):
        pace.went("access.events", n)
        assert pace.room(100) == 100
    assert judge.asked == 1


def test_a_flood_that_waits_for_the_judge_delays_nobody(tmp_path):
    pace = Pace(_Judge(0), _Hours())
    pace.went("access.events", WINDOW + 7)
    box = Outbox(tmp_path / "outbox.db", "127.0.0.1:1", pace=pace)
    at = int(time.time() * 1000)
    for source, count in (("badges", 3000), ("panel", FEW)):
        done = [box.accept("S", source, Step(at=at, u=0, permit=source, step="jsa")) for _ in range(count)]
        done[-1].result(30)
    db = box._open("normal")
    assert [decode_envelope(r[3]).source for r in box._next(db)] == ["panel"] * FEW
    db.execute("delete from outbox where source = 'panel'")
    assert box._next(db) == []
    assert box.held
    db.close()
    box.close()


@pytest.mark.parametrize("said", [b"", b"{}", b"[]", b'{"sites": 1}', b'{"sites": {"T": 1}, "judged": {"T": {"a": 1}}}', b'{"sites": {"S": 5}, "judged": {"S": {"a": 7}}}', b"\xff"])
def test_whoever_answers_for_the_judge_ends_no_outbox(said):
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        found = ask("S", ["http://127.0.0.1:1", f"http://127.0.0.1:{server.server_port}"])
    assert found == (Taken({"a": 7}, 5) if b'"S": 5' in said else None)


class _Odd:
    """A client of Kafka that fails in a way that nobody expects, at one message or for a while."""

    sent: ClassVar[list[int]] = []
    places: ClassVar[Iterator[int]] = itertools.count()
    poison: ClassVar[int] = 0
    broken: ClassVar[int] = 0

    def __init__(self, bootstrap_servers: str, **_: object) -> None:
        if bootstrap_servers != "odd":  # another outbox of these tests
            raise KafkaError

    def end_offsets(self, _: object) -> dict[object, int]:
        raise KafkaError

    def send(self, topic: str, key: bytes, value: bytes) -> SimpleNamespace:
        if _Odd.broken:
            _Odd.broken -= 1
            raise AssertionError("a fault of the client")
        seq = (envelope := decode_envelope(value)).seq - envelope.epoch if topic == "permit.events" else 0
        if seq and seq == _Odd.poison:
            raise TypeError("this one, always")
        _Odd.sent += [seq] if seq else []
        place = next(_Odd.places)
        return SimpleNamespace(get=lambda timeout: SimpleNamespace(partition=0, offset=place))

    def close(self, timeout: float = 0) -> None:
        pass


@pytest.mark.parametrize(("poison", "broken"), [(3, 0), (0, 1), (0, 25), (1, 2), (6, 0)])
def test_a_fault_that_nobody_expects_ends_no_outbox(tmp_path, monkeypatch, caplog, poison, broken):
    """What fails by itself three times while others go is set aside with its bytes; everything else goes, however long nothing goes, and it is said once."""
    monkeypatch.setattr("ingest.outbox.KafkaProducer", _Odd)
    monkeypatch.setattr("ingest.outbox.KafkaConsumer", _Odd)
    _Odd.sent, _Odd.poison, _Odd.broken = [], poison, broken
    box = Outbox(tmp_path / "outbox.db", "odd")
    at = int(time.time() * 1000)
    for done in [box.accept("S", "ptw", Step(at=at, u=0, permit=f"P{n}", step="jsa")) for n in range(6)]:
        done.result(30)
    deadline = time.monotonic() + 40
    while (box.pending > 0 or (poison and not box.aside("ptw"))) and time.monotonic() < deadline:
        box.put("S", "ingest", SourceSaid(at=at, name="ingest", state="up"))  # as it says once a second that it is there
        time.sleep(0.2)
    assert sorted(set(_Odd.sent)) == [n for n in range(1, 7) if n != poison]
    assert [r["detail"].partition(": ")[2] for r in box.aside("ptw")] == (["TypeError: this one, always"] if poison else [])
    assert sum("could not be sent" in r.message for r in caplog.records) == 1
    box.put("S", "ptw", Step(at=at, u=0, permit="P", step="jsa"))
    while box.pending > 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert 7 in _Odd.sent
    box.close()


def test_three_faults_of_three_messages_set_none_aside(tmp_path, monkeypatch):
    """Places in the line are used again once it is empty: what failed there before was another message."""
    monkeypatch.setattr("ingest.outbox.KafkaProducer", _Odd)
    monkeypatch.setattr("ingest.outbox.KafkaConsumer", _Odd)
    _Odd.sent, _Odd.poison, _Odd.broken = [], 0, 0
    box = Outbox(tmp_path / "outbox.db", "odd")
    deadline = time.monotonic() + 40
    for n in range(4):
        _Odd.broken = 1
        box.put("S", "ptw", Step(at=int(time.time() * 1000), u=0, permit=f"P{n}", step="jsa"))
        while (box.pending > 0 or _Odd.broken) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert (sorted(set(_Odd.sent)), box.aside("ptw"), box.failed, box.doubtful) == ([1, 2, 3, 4], [], {}, set())
    box.close()


def test_a_fault_while_it_is_written_leaves_no_number_out(tmp_path):
    class Broken:
        in_transaction, said = True, list[str]()

        def execute(self, sql: str) -> None:
            self.said.append(sql)

        def executemany(self, *_: object) -> None:
            raise MemoryError

    box = Outbox(tmp_path / "outbox.db", "127.0.0.1:1")
    done: Future[None] = Future()
    box._commit(Broken(), [Accepted("S", "ptw", Step(at=int(time.time() * 1000), u=0, permit="P", step="jsa"), 1, None, done)])  # type: ignore[arg-type]
    assert (Broken.said, box.numbers) == (["begin immediate", "rollback"], {})
    with pytest.raises(OSError, match="cannot write"):
        done.result(1)
    box.close()


@pytest.mark.parametrize("status", [200, 401, 500])
def test_a_step_that_turns_ingest_away_is_no_step_that_refused_nothing(box, monkeypatch, caplog, status):
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"refused": []}')

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = [_ask(box, b"", "/refused", "GET", refusers=[f"http://127.0.0.1:{server.server_port}"])[0] for _ in range(2)]
        server.shutdown()
    assert found == [200 if status == 200 else 503] * 2
    assert sum("turns ingest away" in r.message for r in caplog.records) == (status == 401)


def test_whoever_goes_away_before_it_is_on_disk_ends_no_outbox(tmp_path, monkeypatch):
    """A caller that was cancelled, or a fault of the writer: the next one is taken, and no number is left out."""
    box = Outbox(tmp_path / "outbox.db", "127.0.0.1:1")
    step = Step(at=int(time.time() * 1000), u=0, permit="P", step="jsa")
    for n in range(200):
        done = box.accept("S", "ptw", step)
        if n % 2:
            done.cancel()
    box.put("S", "ptw", step)
    commit = box._commit
    monkeypatch.setattr(box, "_commit", lambda *_: 1 / 0)
    with pytest.raises(OSError, match="cannot write"):
        box.put("S", "ptw", step)
    monkeypatch.setattr(box, "_commit", commit)
    box.put("S", "ptw", step)
    db = box._open("normal")
    seqs = sorted(decode_envelope(value).seq - box.epoch for (value,) in db.execute("select value from outbox where topic = ?", ("permit.events",)))
    db.close()
    box.close()
    assert seqs == list(range(1, len(seqs) + 1))
    assert 102 <= len(seqs) < 202


def test_an_outbox_of_0_2_0_goes_on_in_this_version(tmp_path):
    db = sqlite3.connect(tmp_path / "outbox.db")
    db.executescript("""create table outbox (id integer primary key, lane integer, topic text, key text, value blob);
        create table series (source text, topic text, lane text, seq integer, primary key (source, topic, lane)); create index by_lane on outbox (lane, id);
        insert into outbox values (7, 0, 'permit.events', 'S', '{"site":"S","source":"ptw","seq":41,"seen":1,"event":{}}'); insert into series values ('ptw', 'permit.events', 'live', 41);""")
    db.close()
    for _ in range(2):
        box = Outbox(tmp_path / "outbox.db", "127.0.0.1:1")
        box.put("S", "ptw", Step(at=int(time.time() * 1000), u=0, permit="P", step="jsa"))
        db = box._open("normal")
        waiting = [decode_envelope(r[3]) for r in box._next(db)]
        db.close()
        box.close()
    assert [(e.seq - e.epoch, e.after) for e in waiting] == [(41, 0), (1, 41), (1, waiting[1].seq)]


def test_a_disk_that_takes_nothing_is_said_to_the_sender_once_in_the_log_and_heals(tmp_path, caplog):
    box = Outbox(tmp_path / "outbox.db", "127.0.0.1:1")
    step = Step(at=int(time.time() * 1000), u=0, permit="P", step="jsa")
    blocker = sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)
    (pages,) = blocker.execute("pragma page_count").fetchone()
    blocker.close()
    full = box._open
    box._open = lambda mode: _limited(full(mode), pages)
    box.incoming.put(None)
    box.threads[0].join(5)
    import threading

    box.threads[0] = threading.Thread(target=box._write, daemon=True)
    box.threads[0].start()
    for _ in range(3):
        with pytest.raises(OSError, match="cannot write"):
            box.accept("S", "ptw", step, raw=_raw(_step(x="x" * 400_000))).result(10)
    box.put("S", "ptw", step)
    box.close()
    assert len([r for r in caplog.records if "cannot write" in r.message]) == 1
    assert len([r for r in caplog.records if "can write" in r.message]) == 1
    assert box.numbers["ptw", "permit.events", "live"] == box.epoch + 1


def _limited(db: sqlite3.Connection, pages: int) -> sqlite3.Connection:
    db.execute(f"pragma max_page_count={pages + 20}")
    return db


# ---- what a step had in hand when it died ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    offset: int
    value: bytes = b""
    key: bytes = b"S"


def _lives(folder: Path, offsets: list[int], deadly: set[int], cut: int) -> tuple[list[int], list[int], int]:
    """(taken in the last life, set aside, deaths) of a step that dies on some records, without a word, and begins anew from the first record each time."""
    for deaths in range(100):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            step, said = Deaths(folder, "step"), {"taken": [], "aside": []}
            for i in range(0, len(offsets), cut):
                for part in step.parts(Batch("t", 0, [Record(o) for o in offsets[i : i + cut]])):
                    if step.deadly(part):
                        said["aside"] += [r.offset for r in part.records]
                        step.passed(part)
                        continue
                    step.hold(part)
                    if deadly & {r.offset for r in part.records}:
                        os._exit(9)
                    step.let_go()
                    step.passed(part)
                    said["taken"] += [r.offset for r in part.records]
            os.write(write, json.dumps(said).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as words:
            raw = words.read()
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            said = json.loads(raw)
            return said["taken"], said["aside"], deaths
    raise AssertionError("never ends")


@settings(max_examples=12, deadline=None)
@given(deadly=st.sets(st.integers(0, 29), max_size=3), cut=st.integers(1, 12))
def test_a_record_on_which_a_step_dies_three_times_steps_aside_alone(tmp_path_factory, deadly, cut):
    taken, aside, deaths = _lives(tmp_path_factory.mktemp("deaths"), list(range(30)), deadly, cut)
    assert aside == sorted(deadly)
    assert taken == [n for n in range(30) if n not in deadly]
    assert deaths <= len(deadly) * (ENOUGH + 1)


def test_a_death_between_batches_blames_nobody(tmp_path):
    step = Deaths(tmp_path, "step")
    step.hold(Batch("t", 0, [Record(1)]))
    step.let_go()
    assert Deaths(tmp_path, "step").kept.died == {}


def test_rubbish_in_its_file_is_forgotten(tmp_path):
    (tmp_path / "step.deaths").write_bytes(b"\xff{")
    (tmp_path / "step.hand").write_bytes(b"[1,2")
    assert Deaths(tmp_path, "step").kept.runs == []
