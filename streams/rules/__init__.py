"""The rule book: every rule as one tuple."""

from __future__ import annotations

from typing import Final

from streams.rules import access, gas, guardian, permit, quality, video
from streams.rules.rule import Cause, Rule, Subject

RULES: Final[tuple[Rule, ...]] = (*gas.RULES, *guardian.RULES, *permit.RULES, *video.RULES, *access.RULES, *quality.RULES)
BOOK: Final = "0.1.0"
"""The version of the rule book, carried by every alert beside the pack."""

BY_CAUSE: Final[dict[tuple[Subject, Cause], tuple[int, ...]]] = {
    (subject, cause): tuple(i for i, r in enumerate(RULES) if r.subject == subject and cause in r.watches)
    for subject in ("permit", "point", "channel", "series", "device", "scan", "site")
    for cause in ("permit", "seen", "gas", "guard", "video", "clock", "roster", "scan", "holes", "dark")
}
