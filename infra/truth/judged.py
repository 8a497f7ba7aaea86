"""What another system raised on the days of PermitBench, read from a file, so that it is scored as we are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct, ValidationError

from infra.truth.book import PRIORITY
from infra.truth.days import Truth
from infra.truth.score import Score, lines, score
from streams.outputs import Alert
from streams.times import HOUR


class JudgedError(Exception):
    """A line cannot be read: says which, why and what to write."""


class Raised(Struct):
    """One alert of another system. `subject` is what the truth names: a permit, a person, a device, a place; `raised` ms. `told`: were people called?"""

    code: str
    subject: str
    raised: int
    permit: str = ""
    retracted: bool = False
    told: bool = True
    owner: str = "crew"


def read_alerts(path: Path) -> Iterator[Alert]:
    """One JSON object a line; JudgedError with file and line where one is not."""
    for n, line in enumerate(path.read_bytes().splitlines(), 1):
        if line.strip():
            try:
                yield _alert(n, msgspec.json.decode(line, type=Raised))
            except (ValidationError, msgspec.DecodeError) as wrong:
                raise JudgedError(f'{path}:{n}: {wrong}. Write {{"code": "GAS-NONE", "subject": "D00-001", "raised": 1772413200000}}') from None


def _alert(n: int, r: Raised) -> Alert:
    return Alert(
        id=f"{r.code}:{r.subject}:{n}", revision=1, site="", code=r.code, priority=PRIORITY.get(r.code, 4), state="retracted" if r.retracted else "raised", subject=r.subject, incident="",
        permit=r.permit, point="", area="", start=r.raised, end=None, raised=r.raised, known=r.raised, deadline=r.raised, aq="", clause="", edition="", confidence="", pack="",
        text={"en": f"raised about {r.subject}", "zh": ""}, advice={}, numbers={}, evidence=[], owner=r.owner, announce=r.told,  # type: ignore[arg-type]
    )  # fmt: skip


def score_other(alerts: Path, truth: Path) -> int:
    """Prints another system's score on published days; 0 if it read both files, 2 if not."""
    try:
        truths = [msgspec.convert(json.loads(line), Truth) for line in truth.read_text(encoding="utf-8").splitlines() if line.strip()]
        said = list(read_alerts(alerts))
    except (OSError, JudgedError, ValueError, ValidationError) as wrong:
        print(f"permitwatch bench score: {wrong}")
        return 2
    days = (max((t.at for t in truths), default=0) - min((t.at for t in truths), default=0)) / (24 * HOUR)
    result: Score = score(truths, said, max(days, 1e-9))
    print("\n".join(line for line in lines(result) if not line.startswith("verdicts")))
    return 0
