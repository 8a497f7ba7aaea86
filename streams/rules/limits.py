"""What kinds of work there are, and which figures of a pack concern each."""

from __future__ import annotations

from typing import Final

SPECIAL: Final = "01"
CONFINED: Final = "70"
HOT: Final = frozenset({"01", "02", "03"})
NEEDS_GAS: Final = HOT | {CONFINED}
"""Types that must not start without a gas analysis (AQ 3064.2-2025 5.4.3); temporary power (10) only in explosion areas."""

TYPES: Final = {
    "01": ("特级动火", "hot work, special"), "02": ("一级动火", "hot work, first class"), "03": ("二级动火", "hot work, second class"),
    "10": ("临时用电", "temporary power"), "21": ("高处Ⅰ级", "height Ⅰ"), "22": ("高处Ⅱ级", "height Ⅱ"), "23": ("高处Ⅲ级", "height Ⅲ"),
    "24": ("高处Ⅳ级", "height Ⅳ"), "30": ("动土", "excavation"), "40": ("断路", "road closure"), "50": ("盲板抽堵", "blinding"),
    "61": ("一级吊装", "lifting, first class"), "62": ("二级吊装", "lifting, second class"), "63": ("三级吊装", "lifting, third class"),
    "70": ("受限空间", "confined space"),
}  # fmt: skip

HEIGHT: Final = frozenset({"21", "22", "23", "24"})
LIFTING: Final = frozenset({"61", "62", "63"})
POWER: Final = "10"
BLINDING: Final = "50"
EXCAVATION: Final = "30"

RETEST: Final = {"01": "retest_special", "02": "retest_first", "03": "retest_second", "70": "retest_confined"}
"""The limit on an interruption, by type; longer ones ask for a new test (GB 30871-2022 5.3.1 d, 6.3 f)."""

VALID: Final = {"01": "valid_special", "02": "valid_first", "03": "valid_second", "70": "valid_confined", "10": "valid_power",
                "21": "valid_height", "22": "valid_height", "23": "valid_height", "24": "valid_height"}  # fmt: skip
"""The longest validity, by type (GB 30871-2022 5.1.5, 6.10, 8.2.11, 10.8)."""


def family(type: str) -> str:
    """hot, confined, height, lifting, power, blinding, excavation, road."""
    if type in HOT:
        return "hot"
    if type in HEIGHT:
        return "height"
    if type in LIFTING:
        return "lifting"
    return {CONFINED: "confined", POWER: "power", BLINDING: "blinding", EXCAVATION: "excavation"}.get(type, "road")
