"""How each channel is spoken to: its body, its signature, and what its answer means. Pure but for the two that have no HTTP."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import smtplib
import socket
import time
from email.message import EmailMessage
from typing import Any
from urllib.parse import quote_plus, urlsplit

import msgspec

from streams.outputs import Alert, Command
from streams.routes import Receiver

OWNER = {"crew": ("班组", "crew"), "workshop": ("车间", "workshop"), "director": ("总监", "director")}
SEVERITY = {1: 2, 2: 3, 3: 4, 4: 6}
"""Syslog severities: critical, error, warning, informational."""
BUSY = {45009, 130101, 410100}
"""WeCom and DingTalk answer these when they are asked too often."""
LONGEST = 3800
"""Characters that every channel takes in one message."""


def line(alert: Alert, lang: str, repeat: bool = False) -> str:
    """One alert in one line: priority, code, sentence, advice, clause, owner, deadline."""
    zh = lang == "zh"
    gone = alert.state in ("cleared", "retracted", "closed", "verified")
    head = f"[P{alert.priority}{'·' + ('已消除' if zh else 'gone') if gone else ''}] {alert.code}"
    owner = OWNER[alert.owner][0 if zh else 1]
    due = time.strftime("%H:%M:%S", time.gmtime(alert.deadline / 1000))
    tail = f"{'建议' if zh else 'do'}: {alert.advice[lang]} · {alert.edition} {alert.clause} ({alert.confidence}) · {owner}, {due} UTC"
    again = (" · 可能重复" if zh else " · may be a repeat") if repeat else ""
    return f"{head} {alert.text[lang]} {tail}{again}"


def text_of(alerts: list[Alert], lang: str, repeat: bool = False) -> str:
    """Several alerts as one message, the worst first; what does not fit is counted."""
    lines = [line(a, lang, repeat) for a in sorted(alerts, key=lambda a: (a.priority, a.raised, a.id))]
    out: list[str] = []
    for n, one in enumerate(lines):
        if sum(map(len, out)) + len(one) > LONGEST:
            return "\n".join([*out, f"… +{len(lines) - n}"])
        out.append(one)
    return "\n".join(out)


def body_of(receiver: Receiver, alerts: list[Alert], repeat: bool) -> Any:
    """The JSON body that a receiver wants."""
    text = text_of(alerts, receiver.lang, repeat)
    match receiver.kind:
        case "wecom":
            return {"msgtype": "text", "text": {"content": text, "mentioned_list": receiver.to}}
        case "dingtalk":
            return {"msgtype": "text", "text": {"content": text}, "at": {"atMobiles": receiver.to, "isAtAll": False}}
        case _:
            return alertmanager(alerts)


def signed(receiver: Receiver, url: str, secret: str, now_ms: int) -> str:
    """DingTalk's signature: HMAC-SHA256 over `timestamp\\nsecret`, in the query; other channels carry theirs in the address itself."""
    if receiver.kind != "dingtalk" or not secret:
        return url
    digest = hmac.new(secret.encode(), f"{now_ms}\n{secret}".encode(), hashlib.sha256).digest()
    return f"{url}{'&' if '?' in url else '?'}timestamp={now_ms}&sign={quote_plus(base64.b64encode(digest).decode())}"


def verdict_on(kind: str, status: int, answer: str) -> str:
    """delivered, retry or refused: HTTP 200 with an error code is a refusal."""
    if status == 429 or status >= 500:
        return "retry"
    if status >= 300:
        return "refused"
    if kind in ("wecom", "dingtalk"):
        try:
            code = int(json.loads(answer).get("errcode", 0))
        except (ValueError, AttributeError):
            return "refused"
        return "delivered" if code == 0 else ("retry" if code in BUSY else "refused")
    return "delivered"


def alertmanager(alerts: list[Alert]) -> dict[str, Any]:
    """Alerts as Alertmanager's webhook (version 4) says them."""
    ones = [_one(a) for a in alerts]
    first = alerts[0]
    firing = any(o["status"] == "firing" for o in ones)
    common = dict(set.intersection(*(set(o["labels"].items()) for o in ones)))
    return {"version": "4", "groupKey": first.incident, "truncatedAlerts": 0, "status": "firing" if firing else "resolved", "receiver": "permitwatch",
            "groupLabels": {"incident": first.incident}, "commonLabels": common, "commonAnnotations": ones[0]["annotations"] if len(ones) == 1 else {},
            "externalURL": "", "alerts": ones}  # fmt: skip


def _one(alert: Alert) -> dict[str, Any]:
    gone = alert.state in ("cleared", "retracted", "closed", "verified")
    labels = {"alertname": alert.code, "priority": f"P{alert.priority}", "site": alert.site, "area": alert.area, "point": alert.point, "permit": alert.permit, "owner": alert.owner}
    notes = {"zh": alert.text["zh"], "en": alert.text["en"], "advice_zh": alert.advice["zh"], "advice_en": alert.advice["en"],
             "clause": f"{alert.edition} {alert.clause} ({alert.confidence})", "revision": str(alert.revision), "members": str(alert.members)}  # fmt: skip
    return {"status": "resolved" if gone else "firing", "labels": labels, "annotations": notes, "startsAt": iso(alert.start),
            "endsAt": iso(alert.end) if gone and alert.end is not None else "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": alert.id}  # fmt: skip


def iso(ms: int) -> str:
    """ms as ISO 8601 UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms / 1000)) + f".{ms % 1000:03d}Z"


def request_body(command: Command) -> Any:
    """A request as the owning system gets it."""
    return msgspec.to_builtins(command) | {"expires_at": iso(command.expires), "answer_with": "POST /events/command.done {command, outcome: done|refused, by, note}"}


def mail(receiver: Receiver, address: str, alerts: list[Alert], repeat: bool, secret: str) -> str:
    """Sends by SMTP (smtp://[user@]host[:port]); returns the server's word. Raises OSError or SMTPException."""
    parts = urlsplit(address)
    message = EmailMessage()
    message["From"], message["To"] = receiver.sender, ", ".join(receiver.to)
    message["Subject"] = f"PermitWatch P{min(a.priority for a in alerts)}: {', '.join(sorted({a.code for a in alerts}))}"
    message.set_content(text_of(alerts, receiver.lang, repeat))
    with smtplib.SMTP(parts.hostname or "127.0.0.1", parts.port or 25, timeout=10) as server:
        if parts.scheme == "smtps":
            server.starttls()
        if parts.username and secret:
            server.login(parts.username, secret)
        refused = server.send_message(message)
    return f"accepted, refused: {sorted(refused)}" if refused else "accepted"


def syslog(address: str, alerts: list[Alert], lang: str) -> str:
    """Sends RFC 5424 lines by UDP or TCP (syslog://host:port, syslog+tcp://…); UDP has no answer. Raises OSError."""
    parts = urlsplit(address)
    tcp = parts.scheme.endswith("tcp")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.connect((parts.hostname or "127.0.0.1", parts.port or 514))
        for alert in alerts:
            raw = f"<{13 * 8 + SEVERITY[alert.priority]}>1 {iso(alert.known)} {alert.site} permitwatch - {alert.code} - {line(alert, lang)}".encode()
            s.sendall((str(len(raw)).encode() + b" " + raw) if tcp else raw[:8000])
    return "sent"
