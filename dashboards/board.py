"""What stands now, folded from alerts, verdicts and minutes: jobs, lights, risk of areas. Pure."""

from __future__ import annotations

from typing import Any, Final

from streams.life import OPEN_STATES
from streams.outputs import Alert, Minute, Verdict

OPEN: Final = ("requested", "issued", "active", "suspended", "finished")
KEEP: Final = 3_600_000
FAMILIES: Final = {"hot": ("01", "02", "03"), "confined": ("70",), "height": ("21", "22", "23", "24"), "lift": ("61", "62", "63"),
                   "power": ("10",), "dig": ("30",), "road": ("40",), "blind": ("50",)}  # fmt: skip


class Board:
    """The latest revision of every alert and verdict of one site."""

    def __init__(self) -> None:
        self.alerts: dict[str, Alert] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.minute: Minute | None = None

    def take(self, said: Alert | Verdict | Minute) -> bool:
        """Takes a revision, or a minute; False for one that is not newer than what stands."""
        if isinstance(said, Minute):
            newer = self.minute is None or self.minute.at < said.at
            self.minute = said if newer else self.minute
            return newer
        table: dict[str, Any] = self.alerts if isinstance(said, Alert) else self.verdicts
        key = said.id if isinstance(said, Alert) else said.permit
        old = table.get(key)
        if old is not None and (old.life, old.revision) >= (said.life, said.revision):
            return False
        table[key] = said
        return True

    def forget(self, now: int) -> None:
        """Lets go of what was closed an hour ago."""
        self.alerts = {k: a for k, a in self.alerts.items() if a.state in OPEN_STATES or a.known > now - KEEP}
        self.verdicts = {k: v for k, v in self.verdicts.items() if v.status in OPEN or v.known > now - KEEP}

    def standing(self) -> list[Alert]:
        """Alerts that stand, the most urgent and newest first."""
        return sorted((a for a in self.alerts.values() if a.state in OPEN_STATES), key=lambda a: (a.priority, -a.raised))

    def jobs(self, shop: str = "", crew: str = "") -> list[Verdict]:
        """Open jobs, the worst light first."""
        order = {"red": 0, "yellow": 1, "green": 2, "grey": 3}
        found = [v for v in self.verdicts.values() if v.status in OPEN and (not shop or v.shop == shop) and (not crew or v.crew == crew)]
        return sorted(found, key=lambda v: (order[v.light], v.permit))

    def at_work(self) -> list[Verdict]:
        return [v for v in self.verdicts.values() if v.barriers]

    def risk(self) -> dict[str, int]:
        """Risk index of each area that had jobs at work in the minute told last (000-37)."""
        return {area: round(index) for area, (index, _) in self.minute.areas.items()} if self.minute else {}

    def summary(self) -> dict[str, Any]:
        """What the tiles, maps and matrices of a wall show."""
        work, standing = self.at_work(), self.standing()
        return {
            "active": len(work), "people": len({w for v in work for w in (*v.workers, *v.guardians)}),
            "families": {f: sum(v.type in types for v in work) for f, types in FAMILIES.items()},
            "p": {str(p): sum(a.priority == p for a in standing) for p in (1, 2, 3, 4)},
            "unacknowledged": sum(a.priority == 1 and a.state == "raised" for a in standing),
            "risk": self.risk(), "as_of": self.minute.known if self.minute else None, "matrix": self.matrix(), "light": {v.permit: v.light for v in work},
        }  # fmt: skip

    def matrix(self) -> dict[str, dict[str, int]]:
        """Jobs at work by area and family."""
        out: dict[str, dict[str, int]] = {}
        for v in self.at_work():
            family = next((f for f, types in FAMILIES.items() if v.type in types), "dig")
            row = out.setdefault(v.area, {})
            row[family] = row.get(family, 0) + 1
        return out


def alert_row(a: Alert) -> dict[str, Any]:
    """An alert as the live feed sends it."""
    return {"id": a.id, "code": a.code, "priority": a.priority, "state": a.state, "text": a.text, "permit": a.permit, "point": a.point, "area": a.area,
            "raised": a.raised, "known": a.known, "revision": a.revision, "clause": f"{a.edition} {a.clause} ({a.confidence})"}  # fmt: skip


def job_row(v: Verdict) -> dict[str, Any]:
    """A job as the live feed sends it."""
    return {"permit": v.permit, "type": v.type, "point": v.point, "area": v.area, "shop": v.shop, "crew": v.crew, "status": v.status, "light": v.light, "why": v.why,
            "outcome": v.outcome, "barriers": v.barriers, "workers": v.workers, "guardians": v.guardians, "valid_to": v.valid_to}  # fmt: skip
