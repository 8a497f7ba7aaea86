"""The rule book: every rule as one tuple."""

from __future__ import annotations

from typing import Final

from streams.packs import BOOK as BOOK
from streams.rules import (
    access,
    approval,
    certificates,
    decided,
    evidence,
    gas,
    guardian,
    hazards,
    instruments,
    level,
    people,
    permit,
    position,
    preparation,
    process,
    quality,
    readings,
    sight,
    simops,
    video,
    weather,
)  # fmt: skip
from streams.rules.rule import CAUSES, SUBJECTS, Cause, Rule, Subject

RULES: Final[tuple[Rule, ...]] = (
    *gas.RULES, *readings.RULES, *guardian.RULES, *permit.RULES, *preparation.RULES, *approval.RULES, *level.RULES, *video.RULES, *access.RULES, *certificates.RULES, *simops.RULES,
    *weather.RULES, *process.RULES, *position.RULES, *sight.RULES, *evidence.RULES, *people.RULES, *hazards.RULES, *instruments.RULES, *quality.RULES, *decided.RULES,
)  # fmt: skip
BY_CAUSE: Final[dict[tuple[Subject, Cause], tuple[int, ...]]] = {
    (subject, cause): tuple(i for i, r in enumerate(RULES) if r.subject == subject and (cause in r.watches or cause == "pack")) for subject in SUBJECTS for cause in CAUSES
}
