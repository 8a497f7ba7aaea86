"""A plant looked up by name: points, channels, doors, and what is bound to what."""

from __future__ import annotations

import math
from typing import Final

from msgspec.structs import replace

from streams.calendar import built_in
from streams.plant import Area, Channel, Door, Plant, Point, Zone
from streams.words import gas_of, unit_of

REACH: Final = 60.0
"""Metres beyond which no distance rule looks."""


WIDE: Final = 4096
"""Cells of the grid that one zone may fill: two kilometres square."""
BESIDE: Final = 30.0
"""Metres within which one release is seen by two channels."""


def spelled(channel: Channel) -> Channel:
    """A channel with its gas and unit in our words, where they are known; a plant in an old log may have written others."""
    gas = gas_of(channel.gas) or channel.gas
    unit = unit_of(channel.unit, gas) or channel.unit
    return channel if (gas, unit) == (channel.gas, channel.unit) else replace(channel, gas=gas, unit=unit)


class Atlas:
    """The indexes of one plant, built once."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.points: dict[str, Point] = {p.id: p for p in plant.points}
        self.alias: dict[str, str] = {a: p.id for p in plant.points for a in p.aliases}
        self.channels: dict[str, Channel] = {c.tag: spelled(c) for c in plant.channels}
        self.doors: dict[str, Door] = {d.id: d for d in plant.doors}
        self.areas: dict[str, Area] = {a.id: a for a in plant.areas}
        self.points_of_tag: dict[str, list[str]] = {}
        self.points_of_camera: dict[str, list[str]] = {}
        self.doors_of_point: dict[str, set[str]] = {}
        self._behind: dict[str, list[str]] = {}
        self._near: dict[str, list[str]] = {}
        self._beside: dict[str, list[str]] = {}
        self.zones: dict[str, Zone] = {z.id: z for z in plant.zones}
        self._grid: dict[tuple[int, int], tuple[Zone, ...]] = _grid([z for z in plant.zones if _cells(z) <= WIDE])
        self._wide = tuple(z for z in plant.zones if not _cells(z) <= WIDE)
        """Zones that are too large for the grid: asked of every place."""
        self.calendar = plant.calendar or built_in()
        self.points_of_equipment: dict[str, list[str]] = {}
        self.tags_of_area: dict[str, list[str]] = {}
        self.isolations: dict[str, list[str]] = {}
        """isolation → the channels that say whether it is open."""
        for channel in plant.channels:
            if channel.kind == "combustible":
                self.tags_of_area.setdefault(channel.area, []).append(channel.tag)
            if channel.kind == "isolation":
                self.isolations.setdefault(channel.isolation, []).append(channel.tag)
        for point in plant.points:
            if point.equipment:
                self.points_of_equipment.setdefault(point.equipment, []).append(point.id)
            for tag in point.fans:
                self.points_of_tag.setdefault(tag, []).append(point.id)
        for door in plant.doors:
            for name in door.points:
                self.doors_of_point.setdefault(name, set()).add(door.id)
        for point in plant.points:
            for tag in point.detectors:
                self.points_of_tag.setdefault(tag, []).append(point.id)
            for camera in point.cameras:
                self.points_of_camera.setdefault(camera, []).append(point.id)

    def beside(self, tag: str) -> list[str]:
        """The other channels bound to work points within thirty metres of this one's."""
        found = self._beside.get(tag)
        if found is None:
            here = [self.points[p] for p in self.points_of_tag.get(tag, ()) if p in self.points]
            near = [p for p in self.plant.points if any(math.dist((p.x, p.y, p.z), (h.x, h.y, h.z)) <= BESIDE for h in here)]
            found = self._beside[tag] = sorted({t for p in near for t in p.detectors if t != tag and t in self.channels})
        return found

    def behind(self, door: str) -> list[str]:
        """The work points that a door leads to."""
        found = self._behind.get(door)
        if found is None:
            known = self.doors.get(door)
            found = [*known.points, *(p.id for p in self.plant.points if p.area in known.areas)] if known else []
            self._behind[door] = found
        return found

    def point(self, name: str) -> Point | None:
        """A work point by its name or by an alias."""
        return self.points.get(name) or self.points.get(self.alias.get(name, ""))

    def near(self, name: str) -> list[str]:
        """The work points that could concern this one (within REACH metres, on the same line, or in the same space), itself included."""
        found = self._near.get(name)
        if found is None:
            here = self.points.get(name)
            found = self._near[name] = [p.id for p in self.plant.points if here and _concerns(here, p)]
        return found

    def zones_at(self, x: float, y: float) -> tuple[Zone, ...]:
        """The zones of the cell in which a place lies; whether it lies inside, the caller asks."""
        found = self._grid.get((int(x) >> 5, int(y) >> 5), ())
        return (*found, *self._wide) if self._wide else found

    def place(self, point: str) -> tuple[str, str]:
        """(area, shop) of a work point, empty where it is not described."""
        known = self.point(point)
        area = self.areas.get(known.area) if known else None
        return (area.id, area.shop) if area else ("", "")


def _concerns(a: Point, b: Point) -> bool:
    return math.hypot(a.x - b.x, a.y - b.y) <= REACH or bool((a.line and a.line == b.line) or (a.space and a.space == b.space) or (a.equipment and a.equipment == b.equipment))


def _cells(z: Zone) -> float:
    """How many cells of 32 m it may touch."""
    return (abs(z.w) / 32 + 2) * (abs(z.h) / 32 + 2)


def _grid(zones: list[Zone]) -> dict[tuple[int, int], tuple[Zone, ...]]:
    """Cells of 32 m and the zones that touch each."""
    cells: dict[tuple[int, int], tuple[Zone, ...]] = {}
    for z in zones:
        for i in range(int(z.x) >> 5, (int(z.x + z.w) >> 5) + 1):
            for j in range(int(z.y) >> 5, (int(z.y + z.h) >> 5) + 1):
                cells[i, j] = (*cells.get((i, j), ()), z)
    return cells


_last: list[Atlas] = []


def atlas_of(plant: Plant | None) -> Atlas:
    """The atlas of a plant; the latest few are kept."""
    for known in _last:
        if known.plant is plant:
            return known
    made = Atlas(plant or Plant("", "", ""))
    if plant is not None:
        _last.append(made)
        del _last[:-8]
    return made
