"""Findings become alerts: each interval in which a rule's condition held is one alert, raised, revised, cleared or retracted, never deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from streams.events import Action
from streams.life import ACTIVE, LONGEST_SHELF, OPEN_STATES, OWNERS, Life, live
from streams.limits import LIMITS
from streams.lives import life_of, number_of
from streams.matching import Match, Numbered, key_of, match
from streams.outputs import Alert, Command
from streams.packs import Pack, Setting
from streams.rules import BOOK
from streams.rules.rule import RESPOND, Finding, Known, Rule, dated, wake_at
from streams.texts import both, sentence
from streams.times import HOUR, MINUTE, SECOND
from streams.work import Fact

NOBODY: frozenset[str] = frozenset()
MOST: Final = 128
"""So many intervals of one rule and subject that are over may still be revised; of earlier ones what was told stays told. Without a bound a badge reader that flutters would keep the judge busy with itself."""


class Told(Struct):
    """What was last said of one rule and one subject: its alerts, what tells each apart from its sisters, and how the numbers belong together."""

    alerts: list[Alert] = []
    keys: list[str] = []
    count: int = 0
    """The last number given."""
    one_with: dict[int, int] = {}
    """number → the older one that it turned out to be."""
    part_of: dict[int, int] = {}
    """number → the one from which it was split off."""
    was: dict[int, tuple[int, int | None]] = {}
    """number → the interval of an alert that was taken back."""
    asked: dict[int, list[Command]] = {}
    """number → what was asked of other systems because of it."""
    rose: dict[int, int] = {}
    """number → when it became more urgent (ms): what people did before that answers it no more."""
    over: dict[str, int] = {}
    """What tells it apart → what ended before this moment (ms) is not looked at any more, because so much came after it."""


def number(alert: Alert) -> int:
    """n of an alert's id."""
    return int(alert.id.rpartition(":")[2])


def settle(known: Known, rule: Rule, subject: str, findings: tuple[Finding, ...], told: Told, moment: int, horizon: int) -> tuple[list[Alert], int | None]:
    """(the revisions that bring what was told in line with what was found, when to look again). `told` is changed accordingly."""
    if told.alerts:
        _crowd(told)
        _let_go(told, horizon)
    setting = known.terms_now().setting(rule.code)
    steady, wake = debounce(sorted(findings, key=lambda f: f.start), setting, known.now)
    current = _once([f for f in steady if f.end is None or f.end >= max(horizon, told.over.get(key_of(f, rule.apart), 0) if told.over else 0)], rule)
    found = match([_numbered(told, a, k) for a, k in zip(told.alerts, told.keys, strict=True) if number(a) not in told.one_with], current, rule.apart)
    out, wakes, place = [], [wake], {number(a): i for i, a in enumerate(told.alerts)}
    for one in found.matches:
        said, look = _told(known, rule, subject, one, told, place, moment, setting)
        out += said
        wakes.append(look)
    over = {n for n in found.left if _is_over(rule, told.alerts[place[n]], horizon)}
    out += [r for n in found.left for r in (_ended_now(told.alerts[place[n]], moment) if n in over else _retract(told, place[n], moment))]
    if over:
        kept = [(a, k) for a, k in zip(told.alerts, told.keys, strict=True) if number(a) not in over]
        told.alerts, told.keys = [a for a, _ in kept], [k for _, k in kept]
    return out, wake_at(*wakes)


def _once(findings: list[Finding], rule: Rule) -> list[Finding]:
    """What a rule finds twice (a worker who is named twice) is one: the one that is no test, is more urgent, and lasts longer."""
    if len(findings) < 2:
        return findings
    kept: dict[tuple[str, int], Finding] = {}
    for finding in findings:
        key = key_of(finding, rule.apart), finding.start
        kept[key] = finding if key not in kept else max(kept[key], finding, key=lambda f: (not f.hold, -(f.priority or rule.priority), f.end is None, f.end or 0))
    return list(kept.values())


def _numbered(told: Told, alert: Alert, key: str) -> Numbered:
    n = number(alert)
    start, end = told.was.get(n, (alert.start, alert.end))
    return Numbered(n, key, start, end, alert.state == "retracted")


def _told(known: Known, rule: Rule, subject: str, one: Match, told: Told, place: dict[int, int], moment: int, setting: Setting) -> tuple[list[Alert], int | None]:
    """What a finding makes of its alert: a new one, a revision, or none; those that are one with it are taken back."""
    n = one.n
    if n is None:
        n = told.count = told.count + 1
        if one.part_of is not None:
            told.part_of[n] = one.part_of
        return _first(known, rule, subject, one, n, told, moment, setting)
    at = place[n]
    out = [r for other in one.joined for r in _joined(told, place[other], n, moment)]
    if told.alerts[at].priority > _priority(rule, one.finding, setting) and not told.alerts[at].late:
        told.rose[n] = moment
    fresh, look = _alert(known, rule, subject, one.finding, n, moment, told.alerts[at], setting, actions_of(known, rule, subject, told, n), told.rose.get(n, 0))
    told.keys[at] = key_of(one.finding, rule.apart)
    return [*out, *_revise(told, at, fresh, bool(one.joined))], look


def _first(known: Known, rule: Rule, subject: str, one: Match, n: int, told: Told, moment: int, setting: Setting) -> tuple[list[Alert], int | None]:
    fresh, look = _alert(known, rule, subject, one.finding, n, moment, None, setting, actions_of(known, rule, subject, told, n))
    whole = next((a for a in told.alerts if number(a) == one.part_of), None)
    if whole is not None and whole.state != "suppressed" and not whole.late:  # beside what nobody was told of it is news
        fresh = msgspec.structs.replace(fresh, announce=False, late=False, priority=whole.priority)
    elif one.earlier:
        fresh = msgspec.structs.replace(fresh, announce=False, late=True)
    told.alerts.append(fresh)
    told.keys.append(key_of(one.finding, rule.apart))
    return [fresh], look


def actions_of(known: Known, rule: Rule, subject: str, told: Told, n: int) -> list[tuple[Fact, Action]]:
    """What people did about an alert, by its number, about those that are one with it, and about the one that it was split off from."""
    said = known.site.actions.get(f"{rule.code}|{subject}")
    if not said:
        return []
    mine = {n, *(k for k, v in told.one_with.items() if _root(told, v) == n), *([told.part_of[n]] if n in told.part_of else [])}
    return [(f, f.event) for f in said if isinstance(f.event, Action) and _n(f.event.alert) in mine and f.event.at >= told.rose.get(n, 0)]


def _root(told: Told, n: int) -> int:
    while n in told.one_with:
        n = told.one_with[n]
    return n


def _n(ident: str) -> int:
    last = ident.rpartition(":")[2]
    return int(last) if last.isdigit() else 0


def _joined(told: Told, at: int, n: int, moment: int) -> list[Alert]:
    """Two intervals turned out to be one: the younger number is taken back."""
    old = told.alerts[at]
    told.one_with[number(old)] = n
    told.asked.setdefault(n, []).extend(told.asked.pop(number(old), []))
    return _retract(told, at, moment, {"zh": f"与第 {n} 次为同一次。", "en": f"One with number {n}."})


def _is_over(rule: Rule, old: Alert, horizon: int) -> bool:
    """What is not found any more is over where the rule sees only what is now or its facts are forgotten; else it never was."""
    return rule.fleeting or (old.end is None and old.start < horizon)


def _ended_now(old: Alert, moment: int) -> list[Alert]:
    return [_over(old, moment)] if old.end is None else []


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


def _crowd(told: Told) -> None:
    """Where many are over, the earliest are not looked at any more."""
    if len(told.alerts) <= MOST:
        return
    ends: dict[str, list[int]] = {}
    for alert, key in zip(told.alerts, told.keys, strict=True):
        if alert.end is not None:
            ends.setdefault(key, []).append(_ended(told, alert, alert.end))
    told.over |= {key: sorted(mine)[-MOST] for key, mine in ends.items() if len(mine) > MOST}


def _ended(told: Told, alert: Alert, end: int) -> int:
    """When the interval of an alert that is over ended; of one that was taken back, when that ended which it was."""
    return told.was.get(number(alert), (0, end))[1] or end


def _let_go(told: Told, horizon: int) -> None:
    kept = [(a, k) for a, k in zip(told.alerts, told.keys, strict=True) if a.end is None or (a.end >= horizon and (not told.over or _ended(told, a, a.end) >= told.over.get(k, 0)))]
    if len(kept) < len(told.alerts):
        told.alerts, told.keys = [a for a, _ in kept], [k for _, k in kept]
        left = {number(a) for a in told.alerts}
        for table in (told.was, told.asked, told.one_with, told.part_of, told.rose):
            for n in [n for n in table if n not in left]:
                del table[n]  # type: ignore[attr-defined]


def _revise(told: Told, at: int, fresh: Alert, joined: bool) -> list[Alert]:
    old = told.alerts[at]
    same = msgspec.structs.replace(fresh, revision=old.revision, raised=old.raised, known=old.known, announce=old.announce)
    if msgspec.structs.replace(same, evidence=old.evidence) == old:  # newer proof of the same is no news
        return []
    if not stands(old) and _said(same) == _said(old):  # where what is over would be placed today is no news either
        return []
    worse = fresh.priority < old.priority or (not joined and OWNERS.index(fresh.owner) > OWNERS.index(old.owner))
    again = not joined and (old.state in ("suppressed", "retracted") or (old.late and not fresh.late)) and fresh.state == "raised"
    announce = fresh.state in ACTIVE and not fresh.late and (worse or again)
    told.was.pop(number(old), None)
    told.alerts[at] = msgspec.structs.replace(same, revision=old.revision + 1, known=fresh.known, announce=announce)
    return [told.alerts[at]]


def _said(alert: Alert) -> tuple[object, ...]:
    """What an alert says: of which interval, how urgent, in which state, in which words."""
    return alert.start, alert.end, alert.priority, alert.state, alert.text, alert.by, alert.until, alert.hold


def _retract(told: Told, at: int, moment: int, because: dict[str, str] | None = None) -> list[Alert]:
    old = told.alerts[at]
    if old.state == "retracted":
        return []
    told.was[number(old)] = (old.start, old.end if old.end is not None else max(old.start, moment))
    text = {lang: f"{old.text[lang]} {said}" for lang, said in because.items()} if because else old.text
    told.alerts[at] = msgspec.structs.replace(old, state="retracted", revision=old.revision + 1, known=moment, end=old.start, announce=False, text=text)
    return [told.alerts[at]]


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


def _plainly(numbers: dict[str, Any]) -> dict[str, Any]:
    """Numbers of permits as people know them, without the life."""
    if not any("#" in v for v in numbers.values() if isinstance(v, str)):
        return numbers
    return {k: number_of(v) if k in ("permit", "other", "first") and isinstance(v, str) else v for k, v in numbers.items()}


def _alert(known: Known, rule: Rule, subject: str, finding: Finding, n: int, moment: int, old: Alert | None, setting: Setting, done: list[Any], rose: int = 0) -> tuple[Alert, int | None]:
    site, priority = known.site, _priority(rule, finding, setting)
    late = (old is None or old.late) and (_too_late(known, rule, finding, moment) if old is None or rule.prompt else True)
    priority = max(2, priority) if rule.prompt and late and moment_of(old, moment) - finding.start > known.terms_now().ms["late_fact"] else priority
    if rule.fleeting and old is not None and old.end is None and finding.start > old.start:
        finding = replace(finding, start=old.start)  # it sees only what is now: since when is remembered
    raised, ended = old.raised if old else moment, finding.end is not None
    finding = replace(finding, numbers=dated(_plainly(finding.numbers), known.day(raised)))
    life = _life(known, finding, done, max(raised, rose), ended, priority, late)
    point = finding.point or (known.course(finding.permit).point_id if finding.permit in known.site.works else "")
    area, shop = known.atlas.place(point)
    alert = Alert(
        id=f"{rule.code}:{site.site}:{subject}:{n}", revision=1, site=site.site, code=rule.code, priority=priority, state=life.state,
        subject=subject, incident=f"{site.site}:{finding.incident or finding.permit or finding.point or subject}",
        permit=number_of(finding.permit), life=life_of(finding.permit), point=point, area=area or finding.area, start=finding.start, end=finding.end, raised=raised, known=moment,
        deadline=life.deadline or raised + RESPOND[priority], aq=rule.aq if finding.aq is None else finding.aq, clause=rule.clause, edition=rule.edition,
        confidence=rule.confidence, pack=f"{_judged_by(known, rule, finding).label} {BOOK}", text=_text(rule, finding, setting), advice=both(f"{rule.code}.advice"),
        numbers=finding.numbers | ({"shop": shop} if shop else {}), evidence=sorted(set(finding.evidence)), by=life.by, owner=life.owner,
        announce=life.state in ("raised", "cleared") and not late, late=late, hold=finding.hold, until=life.until, members=finding.members,
    )  # fmt: skip
    return alert, life.wake


def _too_late(known: Known, rule: Rule, finding: Finding, moment: int) -> bool:
    """Is it told long after its moment and not seen to go on, or long after it was over? Then it stands in the record, and nobody runs."""
    patience = known.terms_now().ms["late_fact"]
    going = finding.end is None and finding.lately is not None and moment - finding.lately <= MINUTE
    return (rule.prompt and moment - finding.start > patience and not going) or (finding.end is not None and moment - finding.end > patience)


def moment_of(old: Alert | None, moment: int) -> int:
    """When an alert was first known."""
    return old.raised if old else moment


def _life(known: Known, finding: Finding, done: list[Any], raised: int, ended: bool, priority: int, late: bool) -> Life:
    concerned = _concerned(known, finding) if done else NOBODY
    life = live(done, raised, ended, priority, concerned, finding.hold, known.now)
    return replace(life, owner="crew", wake=None) if late else life


def _judged_by(known: Known, rule: Rule, finding: Finding) -> Pack:
    """The pack whose figures a finding rests on: of the permit's approval, of now, or of the moment that it is about."""
    when = {LIMITS[name].when for name in rule.takes}
    if "permit" in when and finding.permit in known.site.works:
        return known.terms_of(known.course(finding.permit)).pack
    return known.terms_now().pack if when == {"now"} else known.terms_at(finding.start).pack


def _text(rule: Rule, finding: Finding, setting: Setting) -> dict[str, str]:
    if setting.zh and not finding.variant:
        return {"zh": setting.zh.format_map(finding.numbers), "en": setting.en.format_map(finding.numbers)}
    return sentence(rule.code, finding.variant, finding.numbers)


ACTIONS = {"permit.suspend": HOUR, "permit.lock": HOUR, "permit.block": 24 * HOUR, "permit.freeze": LONGEST_SHELF, "authorization.freeze": 24 * HOUR, "siren.on": MINUTE,
           "access.deny": MINUTE, "evacuate": 10 * MINUTE, "roll_call": HOUR, "training.request": 24 * HOUR}  # fmt: skip
"""How long a request stands before it expires, ms; that nobody be given a new permit stands as long as its hazard."""
STOP: Final = "permit.block"


def commands(known: Known, finding: Finding, alert: Alert) -> Iterator[Command]:
    """The requests that a newly raised or raised-in-priority alert asks of the systems that own the functions."""
    for action, named in finding.requests:
        target = number_of(named)
        yield Command(
            id=f"{alert.id}:{action}:{target}", site=alert.site, action=action, target=target, alert=alert.id, revision=alert.revision,  # type: ignore[arg-type]
            known=alert.known, expires=alert.known + ACTIONS[action], dry_run=known.site.policy.commands == "dry-run",
        )  # fmt: skip
    if finding.stop:
        hazard, until = finding.stop
        yield Command(id=f"{alert.id}:{STOP}:{hazard}", site=alert.site, action=STOP, target=hazard, alert=alert.id, revision=alert.revision, known=alert.known, expires=until, dry_run=known.site.policy.commands == "dry-run")


def _above(last: Command, alert: Alert) -> int:
    """The revision of what is said anew of a request: its alert's, and above what was said last."""
    return max(alert.revision, last.revision + 1)


def renewed(told: Told, alert: Alert, finding: Finding, moment: int) -> Iterator[Command]:
    """What was asked until a moment that has changed is asked anew until that, or withdrawn where that is past; where it is another hazard now, the one is withdrawn and the other asked."""
    hazard, until = finding.stop or ("", 0)
    asked, plainly = told.asked.get(number(alert), []), number_of(finding.permit)
    stops = {c.target: at for at, c in enumerate(asked) if c.action == STOP and c.target != plainly}
    for target, at in stops.items():
        last = asked[at]
        expires = until if target == hazard else min(last.expires, moment)
        if expires != last.expires:
            asked[at] = msgspec.structs.replace(last, revision=_above(last, alert), known=moment, expires=expires, withdrawn=expires <= moment)
            yield asked[at]
    if stops and hazard not in stops and until > moment:
        asked.append(msgspec.structs.replace(asked[next(iter(stops.values()))], id=f"{alert.id}:{STOP}:{hazard}", target=hazard, revision=alert.revision, known=moment, expires=until, withdrawn=False))
        yield asked[-1]


def asking(known: Known, told: Told, finding: Finding, alert: Alert) -> list[Command]:
    """What is asked now because of an alert, kept beside it; what was asked before under the same id has a lower revision."""
    before = {c.id: c for c in told.asked.get(number(alert), ())}
    out = [msgspec.structs.replace(c, revision=_above(before[c.id], alert)) if c.id in before else c for c in commands(known, finding, alert)]
    told.asked[number(alert)] = list((before | {c.id: c for c in out}).values())
    return out


def withdrawn(told: Told, said: list[Alert]) -> Iterator[Command]:
    """What was asked because of alerts that are taken back is asked no more."""
    for alert in said:
        if alert.state == "retracted":
            for asked in told.asked.pop(number(alert), []):
                yield msgspec.structs.replace(asked, revision=_above(asked, alert), known=alert.known, withdrawn=True)


def stands(alert: Alert) -> bool:
    """Does its condition hold now, as far as is known?"""
    return alert.state in OPEN_STATES


def open_alerts(told: dict[Any, Told]) -> Iterator[Alert]:
    """Every alert that still stands."""
    for one in told.values():
        yield from (a for a in one.alerts if stands(a))
