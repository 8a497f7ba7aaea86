"""What goes wrong: each quirk spoils one job (or one thing of the plant) and writes down what must be raised."""

from __future__ import annotations

from infra.truth.days import Days
from infra.truth.quirk import Quirk
from infra.truth.quirks import around, asked, data, evidence, gas, hazards, lives, pairs, paper, people, work, zones
from infra.truth.quirks.weather import festival, gale, lightning

QUIRKS: dict[str, Quirk] = {
    name: quirk for room in (gas, work, paper, people, around, data, evidence, zones, hazards, asked, pairs, lives) for name, quirk in room.QUIRKS.items()
}  # fmt: skip


def spoil(days: Days, share: float) -> None:
    """Lets a share of the jobs go wrong, each quirk in turn so that all are seen; then the weather."""
    names, i = list(QUIRKS), 0
    days.rng.shuffle(names)
    for job in list(days.jobs):
        if days.rng.random() >= share or job.quirk:
            continue
        for k in range(len(names)):
            name = names[(i + k) % len(names)]
            if QUIRKS[name](days, job):
                job.quirk = name
                names[(i + k) % len(names)], names[i % len(names)] = names[i % len(names)], name
                i += 1
                break
    for day in range(days.days):
        if day % 5 == 2:
            gale(days, day)
        if day % 5 == 4:
            lightning(days, day)
        if day % 7 == 1:
            festival(days, day)
