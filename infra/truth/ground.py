"""The ground on which the truth happens: the reference plant and, beside it, places for what it has none of: bare, forbidden and diked points, zones, fans, a controlled process; every rule of the book on."""

from __future__ import annotations

import msgspec

from streams.packs import Pack, built_in
from streams.plant import Area, Channel, Door, Plant, Point, Zone

OUTSIDE = "900"
"""The area of the added points; no job of the plan is there unless a quirk moves it."""
EACH = 12
"""So many of each kind, so that two quirks do not meet."""
FANNED = 3
"""Every third point of the plant has a fan."""


def furnish(plant: Plant) -> Plant:
    """The plant with its additions."""
    points = [_fanned(p, i) for i, p in enumerate(plant.points)] + outside()
    detectors = [Channel(tag=t, source="panel-900", kind="combustible", unit="%LEL", area=OUTSIDE, gas="methane", low=0, high=100) for p in outside() for t in p.detectors]
    fans = [Channel(tag=t, source=f"fan-{t}", kind="fan", unit="", area=p.area) for p in points for t in p.fans]
    loops = [Channel(tag=f"TC-{k:02d}", source="dcs-900", kind="process", unit="degC", area=OUTSIDE, setpoint=80.0, process_unit=f"U-{k:02d}") for k in range(EACH)]
    doors = [Door(id=f"D-{p.id}", points=[p.id]) for p in outside()]
    return msgspec.structs.replace(
        plant, points=points, channels=[*plant.channels, *detectors, *fans, *loops], doors=[*plant.doors, *doors], zones=zones(), book=everything_on(),
        areas=[*plant.areas, Area(id=OUTSIDE, shop=plant.areas[0].shop, zh="外围", en="outside", x=0, y=2000, w=6000, h=600)],
    )  # fmt: skip


def _fanned(point: Point, i: int) -> Point:
    return msgspec.structs.replace(point, fans=[f"FAN-{point.id}"]) if i % FANNED == 0 else point


def outside() -> list[Point]:
    """Points 100 m apart: plain (R), without detectors (B), where hot work is forbidden (F), in a dike (L)."""
    out = []
    for row, kind in enumerate("RBFL"):
        for k in range(EACH):
            name = f"{kind}-P{k:02d}"
            out.append(Point(
                id=name, area=OUTSIDE, x=100.0 * k, y=2000.0 + 120 * row, cameras=[f"CAM-{name}"], detectors=[] if kind == "B" else [f"AT-{name}"],
                forbidden=["hot"] if kind == "F" else [], dike=f"DK-{k}" if kind == "L" else "",
            ))  # fmt: skip
    return out


def zones() -> list[Zone]:
    """Zones far from all work: restricted, for stays, for crowds, for a crew that must not be too small, against gatherings."""
    out: list[Zone] = []
    for k in range(EACH):
        kinds = (
            Zone(id=f"ZR-{k}", zh=f"禁区{k}", en=f"restricted {k}", x=0, y=0, w=40, h=40, restricted=True),
            Zone(id=f"ZS-{k}", zh=f"限时区{k}", en=f"short stay {k}", x=100, y=0, w=40, h=40, restricted=True, allowed=[f"ST-{k}"]),
            Zone(id=f"ZC-{k}", zh=f"限员区{k}", en=f"limited {k}", x=200, y=0, w=40, h=40, most=3),
            Zone(id=f"ZM-{k}", zh=f"值守区{k}", en=f"manned {k}", x=300, y=0, w=40, h=40, least=2),
            Zone(id=f"ZG-{k}", zh=f"禁聚区{k}", en=f"no gathering {k}", x=400, y=0, w=40, h=40, gather=False),
        )
        out += [msgspec.structs.replace(zone, y=-1000.0 - 100 * k) for zone in kinds]
    return out


def everything_on() -> Pack:
    """GB with the rules on that a site switches on for itself."""
    pack = built_in("GB")
    asked = {code: msgspec.structs.replace(setting, on=True) for code, setting in pack.rules.items() if setting.on is False}
    return msgspec.structs.replace(pack, name="BENCH", base="GB", zh="全部规则", en="every rule on", rules={**pack.rules, **asked})
