"""Which interval is which alert's: two are the same if they overlap; joins, splits and intervals that become known late keep every number's meaning. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.rules.rule import Finding
from streams.times import EVER


@dataclass(frozen=True, slots=True)
class Numbered:
    """An interval that has a number: what tells it apart from others of its subject, from when to when (None: it goes on)."""

    n: int
    key: str
    start: int
    end: int | None
    gone: bool = False
    """It was taken back; found again, it is the same."""


@dataclass(frozen=True, slots=True)
class Match:
    """A finding and its number; None: a new one. `joined`: numbers that are one with it; `part_of`: the number from which it was split off; `earlier`: it lies before one that has a number."""

    finding: Finding
    n: int | None
    joined: tuple[int, ...] = ()
    part_of: int | None = None
    earlier: bool = False


@dataclass
class Matching:
    """What was found, numbered, and the numbers that nothing was found for."""

    matches: list[Match] = field(default_factory=list)
    left: list[int] = field(default_factory=list)


def overlap(a: int, b: int | None, c: int, d: int | None) -> bool:
    """Do [a, b] and [c, d] share more than a common end? An instant overlaps what holds it."""
    b, d = EVER if b is None else b, EVER if d is None else d
    return a == c or (max(a, c) < min(b, d)) or (a == b and c <= a <= d) or (c == d and a <= c <= b)


def key_of(finding: Finding, apart: Sequence[str]) -> str:
    """What tells simultaneous findings of one subject apart."""
    return "|".join(str(finding.numbers.get(name, getattr(finding, name, ""))) for name in apart) if apart else ""


def match(numbered: Sequence[Numbered], findings: Sequence[Finding], apart: Sequence[str]) -> Matching:
    """Numbers findings (sorted by start)."""
    keys = [key_of(f, apart) for f in findings]
    homes: dict[int, list[int]] = {i: [] for i in range(len(findings))}
    parts: dict[int, int] = {}
    out, taken, latest = Matching(), set[int](), dict[str, int]()
    for old in (o for o in numbered if not o.gone):
        latest[old.key] = max(old.start, latest.get(old.key, old.start))
        mine = [i for i, f in enumerate(findings) if keys[i] == old.key and overlap(old.start, old.end, f.start, f.end)]
        if not mine:
            out.left.append(old.n)
            continue
        own = next((i for i in mine if findings[i].start == old.start and any(j != i and _meet(findings[i], findings[j]) for j in mine)), None)
        home = own if own is not None else next((i for i in reversed(mine) if findings[i].end is None), mine[-1])
        homes[home].append(old.n)
        parts |= {i: old.n for i in mine if i != home}
    for i, finding in enumerate(findings):
        mine_too = sorted(homes[i]) or _again(numbered, finding, keys[i], taken)
        if mine_too:
            taken.add(mine_too[0])
            out.matches.append(Match(finding, mine_too[0], tuple(mine_too[1:])))
        else:
            out.matches.append(Match(finding, None, part_of=parts.get(i), earlier=latest.get(keys[i], finding.start) > finding.start))
    return out


def _meet(a: Finding, b: Finding) -> bool:
    """Two findings of one judging that stand side by side are two, each with its own number."""
    return overlap(a.start, a.end, b.start, b.end)


def _again(numbered: Sequence[Numbered], finding: Finding, key: str, taken: set[int]) -> list[int]:
    """The number that was taken back and is found again."""
    return [o.n for o in numbered if o.gone and o.key == key and o.n not in taken and overlap(o.start, o.end, finding.start, finding.end)][:1]
