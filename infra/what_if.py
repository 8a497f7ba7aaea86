"""`permitwatch replay --pack`: which alerts would come, go or change under another pack, and what it would mean for each operator's load."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from streams.events import decode_entry
from streams.kernel import SILENCE, Kernel
from streams.outputs import Alert
from streams.packs import Pack
from streams.shadow import rebook

Key = tuple[str, str, str, int]
"""(site, code, subject, start)"""
HOUR = 3_600_000
STREAMED = (b'"kind":"frame"', b'"kind":"positions"', b'"kind":"camera.beat"', b'"kind":"tick"')
"""What is left out where only permits are judged again: the streams, and the clock."""


def permits_alone(bodies: Iterable[bytes]) -> Iterator[bytes]:
    """Timeline entries without the streams and the clock."""
    return (body for body in bodies if not any(mark in body for mark in STREAMED))


@dataclass
class Judgement:
    """What one pack says of a span: the last revision of each alert, and how often somebody is told."""

    alerts: dict[str, Alert] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)

    def take(self, alert: Alert, span: tuple[int, int]) -> None:
        if span[0] <= alert.known < span[1]:
            self.alerts[alert.id] = alert
            self.told[f"{alert.site} {alert.numbers.get('shop', '—')} {alert.owner}"] += alert.announce

    def standing(self) -> dict[Key, Alert]:
        return {(a.site, a.code, a.subject, a.start): a for a in self.alerts.values() if a.state not in ("retracted", "suppressed")}


def compare(bodies: Iterator[bytes], pack: Pack, span: tuple[int, int], permits_only: bool = False) -> tuple[Judgement, Judgement, int, float]:
    """(as it was, as it would be, entries, hours of plant time): one pass, two kernels a site.

    `permits_only`: the bodies come without streams and clock; rules that speak of silence are left out, and the seconds in which something is due are told.
    """
    left_out = SILENCE if permits_only else frozenset[int]()
    was, would = Judgement(), Judgement()
    kernels: dict[str, tuple[Kernel, Kernel]] = {}
    first: dict[str, int] = {}
    n = 0
    for body in bodies:
        entry = decode_entry(body)
        n += 1
        if entry.site not in kernels:
            kernels[entry.site] = Kernel(entry.site, left_out=left_out), Kernel(entry.site, left_out=left_out)
        one, two = kernels[entry.site]
        for kernel, told, judgement in ((one, entry, was), (two, rebook(entry, pack), would)):
            for said in [*(kernel.advance(entry.seen) if permits_only else ()), *(kernel.step(told) if told else ())]:
                if isinstance(said, Alert):
                    judgement.take(said, span)
        if one.memory.site.now:
            first.setdefault(entry.site, one.memory.site.now)
    return was, would, n, sum((kernels[s][0].memory.site.now - at) / HOUR for s, at in first.items())


def report(was: Judgement, would: Judgement, pack: Pack, hours: float, examples: int = 3) -> list[str]:
    """The difference, by code, then the load of each operator."""
    a, b = was.standing(), would.standing()
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    lines: dict[str, list[str]] = defaultdict(list)
    for key in sorted({*a, *b}, key=str):
        what = "comes" if key not in a else ("goes" if key not in b else ("changes" if a[key].priority != b[key].priority else "stays"))
        rows[key[1]][what] += 1
        if what != "stays" and len(lines[key[1]]) < examples:
            shown = b.get(key) or a[key]
            change = f"P{a[key].priority} → P{b[key].priority}" if what == "changes" else f"P{shown.priority}"
            lines[key[1]].append(f"      {what} {change}: {shown.text['en']}")
    out = [f"under {pack.label} instead of what was in force:", f"  {'code':18} {'stay':>6} {'come':>6} {'go':>6} {'change P':>8}"]
    for code, counts in sorted(rows.items()):
        out.append(f"  {code:18} {counts['stays']:6} {counts['comes']:6} {counts['goes']:6} {counts['changes']:8}")
        out += lines[code]
    out.append(f"  told to people, per hour over {hours:.1f} h:")
    for who in sorted({*was.told, *would.told}):
        out.append(f"    {who:30} {was.told[who] / max(hours, 1e-9):8.2f} → {would.told[who] / max(hours, 1e-9):8.2f}")
    return out
