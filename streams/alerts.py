"""Findings become alerts: each interval in which a rule's condition held is one alert, raised, revised, cleared or retracted, never deleted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import Struct

from streams.life import LONGEST_SHELF, OPEN_STATES, OWNERS, Life, live, mine
from streams.outputs import Alert, Command
from streams.packs import Setting
from streams.rules import BOOK
from streams.rules.rule import RESPOND, Finding, Known, Rule, wake_at
from streams.texts import both, sentence
from streams.times import HOUR, MINUTE, SECOND

NOBODY: frozenset[str] = frozenset()


class Told(Struct):
    """What was last said of one rule and one subject: its alerts in order, and how many older ones were let go."""

    alerts: list[Alert] = []
    gone: int = 0


def settle(known: Known, rule: Rule, subject: str, findings: tuple[Finding, ...], told: Told, moment: int, horizon: int) -> tuple[list[Alert], int | None]:
    """(the revisions that bring what was told in line with what was found, when to look again). `told` is changed accordingly."""
    _let_go(told, horizon)
    setting = known.terms().setting(rule.code)
    steady, wake = debounce(sorted(findings, key=lambda f: f.start), setting, known.now)
    current = [f for f in steady if f.end is None or f.end >= horizon]
    out, wakes = _forgotten(told, current, horizon, moment), [wake]
    actions = known.site.actions.get(f"{rule.code}|{subject}", ())
    for n, finding in enumerate(current):
        old = told.alerts[n] if n < len(told.alerts) else None
        after = current[n + 1].start if n + 1 < len(current) else None
        fresh, look = _alert(known, rule, subject, finding, told.gone + n + 1, moment, old, setting, mine(actions, finding.start, after) if actions else [])
        out += _revise(told, n, fresh)
        wakes.append(look)
    out += _end(told, len(current), len(told.alerts), moment) if rule.fleeting else _retract(told, len(current), moment)
    return out, wake_at(*wakes)


def debounce(findings: list[Finding], setting: Setting, now: int) -> tuple[list[Finding], int | None]:
    """On-delay: what has not lasted so long is not said yet. Off-delay: what comes back within it never went."""
    on, off = int((setting.on_delay or 0) * SECOND), int((setting.off_delay or 0) * SECOND)
    if not (on or off):
        return findings, None
    joined: list[Finding] = []
    for finding in findings:
        last = joined[-1] if joined else None
        if last and last.end is not None and finding.start - last.end <= off:
            joined[-1] = replace(last, end=finding.end, evidence=tuple(sorted({*last.evidence, *finding.evidence})))
        else:
            joined.append(finding)
    out, wakes = [], []
    for finding in joined:
        if finding.end is not None and now <= finding.end + off:
            wakes.append(finding.end + off + 1)
            finding = replace(finding, end=None)
        if (finding.end if finding.end is not None else now) - finding.start >= on:
            out.append(finding)
        elif finding.end is None:
            wakes.append(finding.start + on)
    return out, wake_at(*wakes)


def _let_go(told: Told, horizon: int) -> None:
    while told.alerts and told.alerts[0].end is not None and told.alerts[0].end < horizon:
        del told.alerts[0]
        told.gone += 1


def _revise(told: Told, n: int, fresh: Alert) -> list[Alert]:
    if n == len(told.alerts):
        told.alerts.append(fresh)
        return [fresh]
    old = told.alerts[n]
    same = msgspec.structs.replace(fresh, revision=old.revision, raised=old.raised, known=old.known, announce=old.announce)
    if msgspec.structs.replace(same, evidence=old.evidence) == old:  # newer proof of the same is no news
        return []
    worse = fresh.priority < old.priority or OWNERS.index(fresh.owner) > OWNERS.index(old.owner)
    announce = fresh.state in ("raised", "acknowledged", "in_progress") and not fresh.late and (worse or (old.state in ("suppressed", "retracted") and fresh.state == "raised"))
    told.alerts[n] = msgspec.structs.replace(same, revision=old.revision + 1, known=fresh.known, announce=announce)
    return [told.alerts[n]]


def _retract(told: Told, n: int, moment: int) -> list[Alert]:
    out = []
    for i in range(n, len(told.alerts)):
        old = told.alerts[i]
        if old.state != "retracted":
            told.alerts[i] = msgspec.structs.replace(old, state="retracted", revision=old.revision + 1, known=moment, end=old.start, announce=False)
            out.append(told.alerts[i])
    return out


def _forgotten(told: Told, current: list[Finding], horizon: int, moment: int) -> list[Alert]:
    """What began before the horizon, never ended, and is not found any more because its facts are not remembered, is over; it was not wrong."""
    n = 0
    while n < len(told.alerts) and told.alerts[n].end is None and told.alerts[n].start < horizon and not (current and current[0].start <= told.alerts[n].start):
        n += 1
    return _end(told, 0, n, moment)


def _end(told: Told, first: int, last: int, moment: int) -> list[Alert]:
    """Alerts that are over without a word about when; the next time is another alert."""
    out = [_over(old, moment) for old in told.alerts[first:last]]
    told.gone += len(out)
    del told.alerts[first:last]
    return out


def _over(old: Alert, moment: int) -> Alert:
    return msgspec.structs.replace(old, state="closed" if old.state == "closed" else "cleared", revision=old.revision + 1, known=moment, end=max(old.start, moment), announce=False)


def ended(told: Told, moment: int) -> list[Alert]:
    """The last word about alerts that are let go while they stand."""
    return [_over(old, moment) for old in told.alerts if old.end is None]


def _priority(rule: Rule, finding: Finding, setting: Setting) -> int:
    """A pack's priority replaces the rule's; a finding that stands above or below its rule keeps its distance."""
    shift = (setting.priority - rule.priority) if setting.priority else 0
    return min(4, max(1, (finding.priority or rule.priority) + shift))


def _concerned(known: Known, finding: Finding) -> frozenset[str]:
    return frozenset(known.course(finding.permit).people) if finding.permit in known.site.works else NOBODY


def _alert(known: Known, rule: Rule, subject: str, finding: Finding, n: int, moment: int, old: Alert | None, setting: Setting, done: list[Any]) -> tuple[Alert, int | None]:
    site, priority = known.site, _priority(rule, finding, setting)
    late = old.late if old else rule.prompt and moment - finding.start > known.terms().ms["late_fact"]
    priority = max(2, priority) if late else priority
    raised, ended = old.raised if old else moment, finding.end is not None
    life = _life(known, finding, done, raised, ended, priority, late)
    area, shop = known.atlas.place(finding.point)
    alert = Alert(
        id=f"{rule.code}:{site.site}:{subject}:{n}", revision=1, site=site.site, code=rule.code, priority=priority, state=life.state,
        subject=subject, incident=f"{site.site}:{finding.incident or finding.permit or finding.point or subject}",
        permit=finding.permit, point=finding.point, area=area or finding.area, start=finding.start, end=finding.end, raised=raised, known=moment,
        deadline=life.deadline or raised + RESPOND[priority], aq=rule.aq if finding.aq is None else finding.aq, clause=rule.clause, edition=rule.edition,
        confidence=rule.confidence, pack=f"{known.terms(finding.start).pack.label} {BOOK}", text=_text(rule, finding, setting), advice=both(f"{rule.code}.advice"),
        numbers=finding.numbers | ({"shop": shop} if shop else {}), evidence=sorted(set(finding.evidence)), by=life.by, owner=life.owner,
        announce=life.state in ("raised", "cleared") and not late, late=late, hold=finding.hold, until=life.until, members=finding.members,
    )  # fmt: skip
    return alert, life.wake


def _life(known: Known, finding: Finding, done: list[Any], raised: int, ended: bool, priority: int, late: bool) -> Life:
    concerned = _concerned(known, finding) if done else NOBODY
    life = live(done, raised, ended, priority, concerned, finding.hold, known.now)
    return replace(life, owner="crew", wake=None) if late else life


def _text(rule: Rule, finding: Finding, setting: Setting) -> dict[str, str]:
    if setting.zh and not finding.variant:
        return {"zh": setting.zh.format_map(finding.numbers), "en": setting.en.format_map(finding.numbers)}
    return sentence(rule.code, finding.variant, finding.numbers)


ACTIONS = {"permit.suspend": HOUR, "permit.lock": HOUR, "permit.block": 24 * HOUR, "permit.freeze": LONGEST_SHELF, "authorization.freeze": 24 * HOUR, "siren.on": MINUTE,
           "access.deny": MINUTE, "evacuate": 10 * MINUTE, "roll_call": HOUR, "training.request": 24 * HOUR}  # fmt: skip
"""How long a request stands before it expires, ms."""


def commands(known: Known, finding: Finding, alert: Alert) -> Iterator[Command]:
    """The requests that a newly raised or raised-in-priority alert asks of the systems that own the functions."""
    for action, target in finding.requests:
        yield Command(
            id=f"{alert.id}:{action}:{target}", site=alert.site, action=action, target=target, alert=alert.id, revision=alert.revision,  # type: ignore[arg-type]
            known=alert.known, expires=alert.known + ACTIONS[action], dry_run=known.site.policy.commands == "dry-run",
        )  # fmt: skip


def stands(alert: Alert) -> bool:
    """Does its condition hold now, as far as is known?"""
    return alert.state in OPEN_STATES


def open_alerts(told: dict[Any, Told]) -> Iterator[Alert]:
    """Every alert that still stands."""
    for one in told.values():
        yield from (a for a in one.alerts if stands(a))
