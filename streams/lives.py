"""A permit's lives: sent back, called off or finished and asked for again under its number, it begins the next one; which fact belongs to which. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from streams.events import Requested, Step

if TYPE_CHECKING:
    from streams.work import Fact

BEGINS: Final = frozenset({"permit.requested", "issued"})
OVER: Final = frozenset({"rejected", "cancelled", "finished", "accepted"})
TURNING: Final = OVER | BEGINS | {"started", "suspended", "resumed"}
"""Words after which another life may begin, or that must come in a possible order."""
CARRIED: Final = ("permit.requested", "jsa", "isolated", "briefed", "measures", "permit.gas_test", "guard")
"""What was said goes with a permit into its next life unless that says it anew; approvals do not."""
TOOLS: Final = frozenset({"tools_in", "tools_out"})
"""The register of a number's tools: of no life, since what was left inside is inside."""
DANGER: Final = {"permit.requested": 0, "finished": 1, "accepted": 2, "suspended": 2, "issued": 3, "resumed": 4, "started": 5, "cancelled": 6, "rejected": 7}
"""Of two steps of one instant from two clocks the later one in this list holds: work goes on over finished, rejected over issued."""
CLOSES: Final = OVER | {"suspended"}
HOLDS: Final = frozenset({*((closes, opens) for closes in ("rejected", "cancelled") for opens in ("issued", "resumed")), ("started", "finished"), ("resumed", "finished")})
"""(step, step that does not take it back where nobody can say which was last)."""
AFTER: Final = {"resumed": "suspended", "finished": "started", "suspended": "started", "accepted": "finished", "started": "issued"}


def number_of(subject: str) -> str:
    """The permit's number, without the life that `#n` names."""
    head, mark, life = subject.rpartition("#")
    return head if mark and life.isdigit() and head else subject


def life_of(subject: str) -> int:
    """Which life a subject names; 1 where it names none."""
    m = re.search(r".#(\d{1,6})$", subject)
    return max(1, int(m[1])) if m else 1


def subject_of(number: str, life: int) -> str:
    """A life as a subject of rules: the number itself for the first, `NUMBER#2` for the second."""
    return number if life <= 1 else f"{number}#{life}"


def name_of(fact: Fact) -> str:
    """The word under which a permit's fact is kept."""
    event = fact.event
    if isinstance(event, Step):
        return event.step
    return str(event.__struct_config__.tag)


def ordered(facts: Sequence[Fact]) -> list[Fact]:
    """Turning facts by their stamps; of one instant by the source's numbers or the more dangerous last; by a source's numbers where only they give a possible sequence."""
    turns = sorted(facts, key=lambda f: (_place(f), f.source, f.seq))
    turns = _doubted([f for group in _instants(turns) for f in group])
    if possible(turns):
        return turns
    one = {f.source for f in turns}
    counted = sorted(turns, key=lambda f: f.seq)
    return counted if len(one) == 1 and possible(counted) else turns


def _place(fact: Fact) -> int:
    """Where a step stands among others: one from the future that closes gates at its arrival, for it is believed though nobody knows when it was."""
    return fact.event.at + (fact.event.u or 0 if fact.ahead and name_of(fact) in CLOSES else 0)


def _doubted(turns: list[Fact]) -> list[Fact]:
    """Of two sources whose clocks leave open which step was last the dangerous one holds: rejected over issued, work that goes on over finished (`domain.md` 4.5)."""
    out: list[Fact] = []
    for fact in turns:
        place = len(out)
        while place and _after(out[place - 1], fact):
            place -= 1
        out.insert(place, fact)
    return out


def _after(one: Fact, other: Fact) -> bool:
    """Does a step that was stamped before another hold over it?"""
    return (name_of(one), name_of(other)) in HOLDS and one.source != other.source and one.event.at + (one.event.u or 0) >= other.event.at - (other.event.u or 0) and not (one.ahead or other.ahead)


def _instants(turns: list[Fact]) -> Iterable[list[Fact]]:
    group: list[Fact] = []
    for fact in turns:
        if group and _place(fact) != _place(group[0]):
            yield _decided(group)
            group = []
        group.append(fact)
    if group:
        yield _decided(group)


def _decided(group: list[Fact]) -> list[Fact]:
    if len({f.source for f in group}) == 1:
        return sorted(group, key=lambda f: f.seq)
    return sorted(group, key=lambda f: (DANGER.get(name_of(f), 0), f.source, f.seq))


def possible(turns: Sequence[Fact]) -> bool:
    """Can a life go so? What answers another step must not stand before the first of those, where there is one."""
    names = [name_of(f) for f in turns]
    for name, needed in AFTER.items():
        if name in names and needed in names and names.index(needed) > names.index(name) and (name != "started"):
            return False
    return not any(a == b == "resumed" for a, b in pairwise(n for n in names if n in ("suspended", "resumed")))


def lives_of(turns: Sequence[Fact]) -> list[int]:
    """Which life each turning fact belongs to, in order. An acceptance of what is only asked for, or the first that a finished life still wanted, is of the life before."""
    life, state, before, waiting, out = 1, "", 0, False, list[int]()
    until: int | None = None
    for fact in turns:
        name = name_of(fact)
        if isinstance(fact.event, Requested) and fact.event.valid_to > 0:
            until = fact.event.valid_to
        if name in BEGINS and state in OVER:
            before, waiting = life if state in ("finished", "accepted") else 0, state == "finished"
            life, state = life + 1, name
        elif name == "accepted" and before and (state == "permit.requested" or (waiting and state == "issued")):
            out.append(before)
            waiting = False
            continue
        else:
            state = _next(state, name, past=until is not None and fact.event.at > until)
        out.append(life)
    return out


def _next(state: str, name: str, past: bool) -> str:
    """Where a life stands after a step; what is over stays over, but for work that goes on after a finish, while it is valid."""
    if state in ("rejected", "cancelled", "accepted"):
        return name if name == "accepted" else state
    if state == "finished" and name not in (*OVER, *(() if past else ("started", "resumed"))):
        return state
    return name


def parted(facts: Sequence[Fact]) -> dict[int, list[Fact]]:
    """Life → its own facts in order. What is no turn belongs to the life of its moment."""
    turns = ordered([f for f in facts if name_of(f) in TURNING])
    of = lives_of(turns)
    begins = [(f.event.at, life) for i, (f, life) in enumerate(zip(turns, of, strict=True)) if life > max(of[:i], default=1)]
    out: dict[int, list[Fact]] = {life: [] for life in range(1, max(of, default=1) + 1)}
    for fact, life in zip(turns, of, strict=True):
        out[life].append(fact)
    for fact in facts:
        if name_of(fact) not in TURNING:
            out[max((life for at, life in begins if at <= fact.event.at), default=1)].append(fact)
    return out


def with_what_was_said(own: list[Fact], before: dict[str, list[Fact]]) -> tuple[dict[str, list[Fact]], set[str]]:
    """(name → facts of a life with what it takes over from the one before, the references of what it took over)."""
    mine: dict[str, list[Fact]] = {}
    for fact in own:
        mine.setdefault(name_of(fact), []).append(fact)
    carried: set[str] = set()
    for name in CARRIED:
        if before.get(name) and (name in ("permit.gas_test", "guard") or name not in mine):
            mine[name] = sorted([*before[name], *mine.get(name, ())], key=lambda f: f.order)
            carried |= {f.ref for f in before[name]}
    return mine, carried


def begun(own: Sequence[Fact]) -> int:
    """When a later life begins: its first request or approval."""
    return min((f.event.at for f in own if isinstance(f.event, Requested) or name_of(f) == "issued"), default=0)
