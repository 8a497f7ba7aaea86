"""Findings become alerts: each interval in which a rule's condition held is one alert, raised, revised, cleared or retracted, never deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from streams.events import Alert, Command
from streams.rules import BOOK
from streams.rules.rule import RESPOND, Finding, Known, Rule
from streams.texts import both, sentence
from streams.times import HOUR, MINUTE


class Told(Struct):
    """What was last said of one rule and one subject: its alerts in order, and how many older ones were let go."""

    alerts: list[Alert] = []
    gone: int = 0


def settle(known: Known, rule: Rule, subject: str, findings: tuple[Finding, ...], told: Told, moment: int, horizon: int) -> list[Alert]:
    """The revisions that bring what was told in line with what was found. `told` is changed accordingly."""
    _let_go(told, horizon)
    current = [f for f in findings if f.end is None or f.end >= horizon]
    out = []
    for n, finding in enumerate(sorted(current, key=lambda f: f.start)):
        fresh = _alert(known, rule, subject, finding, told.gone + n + 1, moment)
        out += _revise(told, n, fresh)
    for n in range(len(current), len(told.alerts)):
        old = told.alerts[n]
        if old.state != "retracted":
            told.alerts[n] = msgspec.structs.replace(old, state="retracted", revision=old.revision + 1, known=moment, end=old.start)
            out.append(told.alerts[n])
    return out


def _let_go(told: Told, horizon: int) -> None:
    while told.alerts and told.alerts[0].end is not None and told.alerts[0].end < horizon:
        del told.alerts[0]
        told.gone += 1


def _revise(told: Told, n: int, fresh: Alert) -> list[Alert]:
    if n == len(told.alerts):
        told.alerts.append(fresh)
        return [fresh]
    old = told.alerts[n]
    same = msgspec.structs.replace(fresh, revision=old.revision, raised=old.raised, known=old.known, deadline=old.deadline)
    if same == old:
        return []
    told.alerts[n] = msgspec.structs.replace(same, revision=old.revision + 1, known=fresh.known)
    return [told.alerts[n]]


def _alert(known: Known, rule: Rule, subject: str, finding: Finding, n: int, moment: int) -> Alert:
    site = known.site
    priority = finding.priority or rule.priority
    area, shop = known.atlas.place(finding.point)
    ident = f"{rule.code}:{site.site}:{subject}:{n}"
    ack = site.acks.get(ident)
    return Alert(
        id=ident, revision=1, site=site.site, code=rule.code, priority=priority,
        state="cleared" if finding.end is not None else ("acknowledged" if ack else "raised"),
        subject=subject, incident=f"{site.site}:{finding.permit or finding.point or subject}",
        permit=finding.permit, point=finding.point, area=area, start=finding.start, end=finding.end, raised=moment, known=moment,
        deadline=moment + RESPOND[priority], aq=rule.aq if finding.aq is None else finding.aq, clause=rule.clause, edition=rule.edition,
        confidence=rule.confidence, pack=f"{site.plant.pack if site.plant else '-'} {BOOK}",
        text=sentence(rule.code, finding.variant, finding.numbers), advice=both(f"{rule.code}.advice"),
        numbers=finding.numbers | ({"shop": shop} if shop else {}), evidence=sorted(set(finding.evidence)), by=ack.event.by if ack else "",  # type: ignore[union-attr]
    )  # fmt: skip


ACTIONS = {"permit.suspend": HOUR, "permit.lock": HOUR, "authorization.freeze": 24 * HOUR, "siren.on": MINUTE, "access.deny": MINUTE}
"""How long a request stands before it expires, ms."""


def commands(known: Known, finding: Finding, alert: Alert) -> Iterator[Command]:
    """The requests that a newly raised or raised-in-priority alert asks of the systems that own the functions."""
    for action, target in finding.requests:
        yield Command(
            id=f"{alert.id}:{action}:{target}", site=alert.site, action=action, target=target, alert=alert.id, revision=alert.revision,  # type: ignore[arg-type]
            known=alert.known, expires=alert.known + ACTIONS[action], dry_run=known.site.policy.commands == "dry-run",
        )  # fmt: skip


def open_alerts(told: dict[Any, Told]) -> Iterator[Alert]:
    """Every alert that still stands."""
    for one in told.values():
        yield from (a for a in one.alerts if a.state in ("raised", "acknowledged"))
