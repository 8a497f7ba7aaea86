"""What PermitBench itself knows of the law: types, days off, trades, priorities, what is asked of other systems. Its own literals, taken from nobody's code."""

from __future__ import annotations

from datetime import date
from typing import Final

SPECIAL: Final = "01"
CONFINED: Final = "70"
HOT: Final = frozenset({"01", "02", "03"})
NEEDS_GAS: Final = frozenset({"01", "02", "03", "70"})
HEIGHT: Final = frozenset({"21", "22", "23", "24"})
LIFTING: Final = frozenset({"61", "62", "63"})
TRADES: Final = {"01": "welding", "02": "welding", "03": "welding", "10": "electrician", "21": "height", "22": "height", "23": "height", "24": "height", "61": "lifting", "62": "lifting", "63": "lifting"}
"""Type of work → the certificate that it asks for."""

OFF: Final = (("2026-01-01", "2026-01-03"), ("2026-02-15", "2026-02-23"), ("2026-04-04", "2026-04-06"), ("2026-05-01", "2026-05-05"), ("2026-06-19", "2026-06-21"), ("2026-09-25", "2026-09-27"), ("2026-10-01", "2026-10-07"))
WORKED: Final = frozenset({"2026-01-04", "2026-02-14", "2026-02-28", "2026-05-09", "2026-09-20", "2026-10-10"})
"""Holidays of 2026 (both days included) and the weekends worked for them, as the State Council announced them."""


def kind_of(day: date) -> str:
    """holiday, rest or workday."""
    if any(date.fromisoformat(a) <= day <= date.fromisoformat(b) for a, b in OFF):
        return "holiday"
    return "rest" if day.weekday() >= 5 and day.isoformat() not in WORKED else "workday"


PRIORITY: Final = {
    code: priority
    for priority, codes in {
        1: "GAS-NONE X-GAS-LIM TICKET-NONE X-FORBID X-SIMOPS-H X-WX X-DCS-OPEN X-SOS X-FIRE X-SMOKE X-FALL",
        2: "GAS-STALE GAS-INTERRUPT GAS-DAILY X-GAS-RISE X-GAS-GAP X-GUARD-MULTI X-T1 X-T3 TICKET-OVER X-CHG JSA-NONE MEAS-NONE BRIEF-NONE BLIND-ONE LINK-MISS LINK-UNREL X-BIND "
           "UPG-HOL UPG-REST UPG-NIGHT UPG-EVENT X-LEVEL CERT-EXP CERT-NONE CERT-MISM X-CERT-CONTRA X-BADGE-AFTER X-BADGE-NOPERMIT X-OVERSTAY X-LEAVER X-DORMANT X-WIND X-DCS-DEV "
           "X-VENT-OFF X-ZONE X-STILL X-PPE-HELMET X-PPE-HARNESS X-PPE-MASK X-SMOKING X-CONTR DQ-CAL X-GAS-MISMATCH DQ-FROZEN SYS-CHAIN SYS-LAG SYS-ASIDE SYS-LOST",
        3: "GAS-2H GUARD-ABSENT X-WATCH X-CLOSE-LATE X-REASSESS APPR-OFFSITE X-APPR-RUBBER X-T4 X-SIGNOUT X-CERT-SHORT X-REG-DRIFT X-SIMOPS-S X-DUP X-MES X-STAY X-CROWD X-MANNING "
           "X-GATHER X-PPE-EYES X-PHONE X-BARRIER X-UNWATCHED X-EVID-3P1R X-EVID-5D X-EVID-REUSED X-EVID-BLURRED X-FRAUD-PHOTO X-EVID-RETENTION X-PERSON X-FRAUD-ROUND X-FRAUD-TYPED "
           "X-HAZ-UNACK X-HAZ-OVERDUE X-HAZ-BLURRED X-HAZ-FALSE X-GAS-TREND DQ-RANGE DQ-UNIT DQ-CLOCK DQ-WORD DQ-SILENT DQ-UNBOUND DQ-SEQ DQ-LATE DQ-DUP SYS-DECIDED",
        4: "X-NEAR-EXP X-PAPER-LATE X-APPR-LATE X-CERT-WARN X-TEMPLATE-MIX X-RISK-MIX X-SKILL-STALE X-RESCUE",
    }.items()
    for code in codes.split()
}  # fmt: skip
"""How urgent each code is (`domain.md` 2.6), unless a truth says otherwise."""

ASKED: Final = {
    code: frozenset(actions.split())
    for actions, codes in {
        "permit.suspend": "GAS-NONE GAS-STALE GAS-INTERRUPT GAS-DAILY X-T3 X-CHG X-VENT-OFF",
        "siren.on permit.suspend": "X-GAS-LIM",
        "permit.lock": "TICKET-OVER",
        "permit.block": "JSA-NONE MEAS-NONE BRIEF-NONE BLIND-ONE LINK-MISS LINK-UNREL X-BIND X-FORBID X-LEVEL UPG-HOL UPG-REST UPG-NIGHT UPG-EVENT APPR-OFFSITE",
        "permit.suspend evacuate": "X-DCS-OPEN",
        "access.deny": "X-BADGE-NOPERMIT X-CONTR",
        "authorization.freeze": "X-LEAVER X-DORMANT",
        "siren.on": "X-FIRE X-SMOKE X-FALL X-SOS",
        "training.request": "X-PERSON X-SKILL-STALE",
        "": "GAS-2H X-WATCH X-T4 X-T1 X-NEAR-EXP X-CLOSE-LATE X-GAS-RISE X-GAS-GAP DQ-CLOCK DQ-CAL DQ-SILENT X-APPR-LATE X-DUP X-UNWATCHED",
    }.items()
    for code in codes.split()
}  # fmt: skip
"""Code → what is asked of the systems that own the functions, as long as it stands; a code that is not named here is not scored for it."""
