"""Writes down what came of a story, a line each: alerts with their times and evidence, requests, answers at gates, codes, verdicts, minutes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from infra.plant.story import Story
from infra.plant.tell import Telling
from streams.outputs import Alert, Code, Command, Minute, Verdict

WATCHED = ("work", "gas", "filmed", "guard", "permitted", "all", "nobody")


def transcript(story: Story, telling: Telling) -> Iterator[str]:
    """The lines in the order in which they were said; then the answers at gates, the verdicts and the minutes as they stand in the end."""
    yield f"# {story.file.stem}"
    last: dict[str, Alert] = {}
    for output in telling.outputs:
        match output:
            case Alert():
                yield f"  {_time(story, output.known)} {_alert(story, output, last.get(output.id))}"
                last[output.id] = output
            case Command() as c:
                yield f"  {_time(story, c.known)} {'withdraws' if c.withdrawn else 'requests'} {c.action} {c.target} until {_time(story, c.expires)}"
            case Code() as c:
                yield f"  {_time(story, c.known)} {c.who_is} {c.who} is {c.colour} {' '.join(c.reasons)}".rstrip()
            case _:
                pass
    asked = sorted(story.told.decision, key=lambda d: story.ms(d.at))
    for d, (answer, reasons, mode) in zip(asked, telling.answers, strict=False):  # through Kafka nobody asks
        yield f"  {d.at} {'leave' if d.direction == 'out' else d.gate} {' '.join(n for n in (d.worker, d.permit) if n)} → {answer} {' '.join(reasons)}{'' if mode == 'full' else f' ({mode})'}".rstrip()
    yield from _verdicts(story, telling)
    yield from _minutes(telling)


def read_transcripts(path: Path) -> dict[str, list[str]]:
    """Story → its lines, as `permitwatch play --write` wrote them."""
    blocks = path.read_text(encoding="utf-8").removeprefix("# ").split("\n# ")
    return {(lines := block.splitlines())[0]: [f"# {lines[0]}", *lines[1:]] for block in blocks}


def _alert(story: Story, a: Alert, before: Alert | None) -> str:
    """One revision; its sentence and its evidence where they are not those of the one before."""
    marks = (a.state, "announced" if a.announce else "", "late" if a.late else "", a.hold, f"of {a.members}" if a.members > 1 else "", a.owner if a.owner != "crew" else "")
    line = f"{a.code} P{a.priority} {' '.join(m for m in marks if m)} [{_time(story, a.start)} – {_time(story, a.end)}]"
    if before is None:
        line += f" {a.permit or '-'}/{a.life} {a.point or a.area or '-'}{f' AQ {a.aq}' if a.aq else ''}"
    if before is None or a.text != before.text:
        line += f" | {a.text['en']} {a.text['zh']}"
    if before is None or a.evidence != before.evidence:
        line += f" | {' '.join(e.replace('/live/', ' ').partition('/')[2] for e in a.evidence)}"
    return line


def _verdicts(story: Story, telling: Telling) -> Iterator[str]:
    last: dict[tuple[str, int], Verdict] = {(v.permit, v.life): v for v in telling.outputs if isinstance(v, Verdict)}
    for (permit, life), v in last.items():
        checks = " ".join(f"{name}={check.outcome}" for name, check in v.checks.items())
        barriers = " ".join(f"{name}={state}" for name, state in v.barriers.items())
        times = " ".join(f"{name}={'…'.join(dict.fromkeys(_time(story, t) for t in ts))}" for name, ts in v.times.items())
        yield f"  {permit}/{life} in the end: {v.outcome} {v.status} {v.light} ({v.why['en']}), revision {v.revision}; {checks}; {barriers or 'no barriers'}; {times}; {len(v.evidence)} facts"


def _minutes(telling: Telling) -> Iterator[str]:
    """What the minutes of each life come to, each minute as it was told last: seconds of each kind; and the minute of the greatest risk with its parts."""
    book, worst = dict[tuple[str, int], dict[int, tuple[int | None, ...]]](), dict[tuple[str, int], tuple[float, str]]()
    for m in (o for o in telling.outputs if isinstance(o, Minute)):
        for ledger, ats in ((m.jobs, [m.at] * len(m.jobs.permit)), (m.again, m.again.at)):
            for i, at in enumerate(ats):
                book.setdefault((ledger.permit[i], ledger.life[i]), {})[at] = tuple(getattr(ledger, name)[i] for name in WATCHED)
        for job, risk in _risks(m):
            worst[job] = max(worst.get(job, (-1.0, "")), risk, key=lambda r: r[0])
    for (permit, life), minutes in book.items():
        sums = [sum(v for v in column if v is not None) / 1000 for column in zip(*minutes.values(), strict=True)]
        yield f"  {permit}/{life} seconds: {' '.join(f'{name}={s:g}' for name, s in zip(WATCHED, sums, strict=True))}{worst.get((permit, life), (0.0, ''))[1]}"


def _risks(m: Minute) -> Iterator[tuple[tuple[str, int], tuple[float, str]]]:
    """(permit, life), (risk, its parts) of each job of a minute."""
    jobs = m.jobs
    for i, permit in enumerate(jobs.permit):
        factors = " ".join(f"{name} {value:g}" for name, value in jobs.factors[i].items())
        yield (permit, jobs.life[i]), (jobs.risk[i], f"; {jobs.family[i]}, risk {jobs.risk[i]:g}: {jobs.weight[i]:g} {factors}".rstrip())


def _time(story: Story, ms: int | None) -> str:
    """The clock of the site, with the days since the story began."""
    if ms is None:
        return "…"
    zone = ZoneInfo(story.told.timezone)
    at = datetime.fromtimestamp(ms / 1000, zone)
    days = (at.date() - datetime.fromtimestamp(story.start / 1000, zone).date()).days
    return f"{at:%H:%M:%S}" + (f".{ms % 1000:03}" if ms % 1000 else "") + (f"{days:+} d" if days else "")
