"""The priority that the rule book gives each code, as words know it: a pack is held against it wherever it is read."""

from __future__ import annotations

from typing import Final

NORMAL: Final[dict[str, int]] = {
    "APPR-OFFSITE": 3, "BLIND-ONE": 2, "BRIEF-NONE": 2, "CERT-EXP": 2, "CERT-MISM": 2, "CERT-NONE": 2, "DQ-CAL": 2,
    "DQ-CLOCK": 3, "DQ-DUP": 3, "DQ-FROZEN": 2, "DQ-LATE": 3, "DQ-RANGE": 3, "DQ-SEQ": 3, "DQ-SILENT": 3,
    "DQ-UNBOUND": 3, "DQ-UNIT": 3, "DQ-WORD": 3, "GAS-2H": 3, "GAS-DAILY": 2, "GAS-INTERRUPT": 2, "GAS-NONE": 1,
    "GAS-STALE": 2, "GUARD-ABSENT": 3, "JSA-NONE": 2, "LINK-MISS": 2, "LINK-UNREL": 2, "MEAS-NONE": 2, "SYS-ASIDE": 2,
    "SYS-CHAIN": 2, "SYS-DECIDED": 3, "SYS-LAG": 2, "SYS-LOST": 2, "TICKET-NONE": 1, "TICKET-OVER": 2, "UPG-EVENT": 2, "UPG-HOL": 2,
    "UPG-NIGHT": 2, "UPG-REST": 2, "X-APPR-LATE": 4, "X-APPR-RUBBER": 3, "X-BADGE-AFTER": 2, "X-BADGE-NOPERMIT": 2,
    "X-BARRIER": 3, "X-BIND": 2, "X-CERT-CONTRA": 2, "X-CERT-SHORT": 3, "X-CERT-WARN": 4, "X-CHG": 2,
    "X-CLOSE-LATE": 3, "X-CONTR": 2, "X-CROWD": 3, "X-DCS-DEV": 2, "X-DCS-OPEN": 1, "X-DORMANT": 2, "X-DUP": 3,
    "X-EVID-3P1R": 3, "X-EVID-5D": 3, "X-EVID-BLURRED": 3, "X-EVID-RETENTION": 3, "X-EVID-REUSED": 3, "X-FALL": 1,
    "X-FIRE": 1, "X-FORBID": 1, "X-FRAUD-PHOTO": 3, "X-FRAUD-ROUND": 3, "X-FRAUD-TYPED": 3, "X-GAS-GAP": 2,
    "X-GAS-LIM": 1, "X-GAS-MISMATCH": 2, "X-GAS-RISE": 2, "X-GAS-TREND": 3, "X-GATHER": 3, "X-GUARD-MULTI": 2,
    "X-HAZ-BLURRED": 3, "X-HAZ-FALSE": 3, "X-HAZ-OVERDUE": 3, "X-HAZ-UNACK": 3, "X-LEAVER": 2, "X-LEVEL": 2,
    "X-MANNING": 3, "X-MES": 3, "X-NEAR-EXP": 4, "X-OVERSTAY": 2, "X-PAPER-LATE": 4, "X-PERSON": 3, "X-PHONE": 3,
    "X-PPE-EYES": 3, "X-PPE-HARNESS": 2, "X-PPE-HELMET": 2, "X-PPE-MASK": 2, "X-REASSESS": 3, "X-REG-DRIFT": 3,
    "X-RESCUE": 4, "X-RISK-MIX": 4, "X-SIGNOUT": 3, "X-SIMOPS-H": 1, "X-SIMOPS-S": 3, "X-SKILL-STALE": 4,
    "X-SMOKE": 1, "X-SMOKING": 2, "X-SOS": 1, "X-STAY": 3, "X-STILL": 2, "X-T1": 2, "X-T3": 2, "X-T4": 3,
    "X-TEMPLATE-MIX": 4, "X-UNWATCHED": 3, "X-VENT-OFF": 2, "X-WATCH": 3, "X-WIND": 2, "X-WX": 1, "X-ZONE": 2,
}  # fmt: skip
"""The first rule of a code; `tests/test_rules.py` holds it equal to the book."""
