"""A plant looked up by name: points, channels, doors, and what is bound to what."""

from __future__ import annotations

from streams.plant import Area, Channel, Door, Plant, Point


class Atlas:
    """The indexes of one plant, built once."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.points: dict[str, Point] = {p.id: p for p in plant.points}
        self.channels: dict[str, Channel] = {c.tag: c for c in plant.channels}
        self.doors: dict[str, Door] = {d.id: d for d in plant.doors}
        self.areas: dict[str, Area] = {a.id: a for a in plant.areas}
        self.points_of_tag: dict[str, list[str]] = {}
        self.points_of_camera: dict[str, list[str]] = {}
        self.doors_of_point: dict[str, set[str]] = {}
        self._behind: dict[str, list[str]] = {}
        for door in plant.doors:
            for name in door.points:
                self.doors_of_point.setdefault(name, set()).add(door.id)
        for point in plant.points:
            for tag in point.detectors:
                self.points_of_tag.setdefault(tag, []).append(point.id)
            for camera in point.cameras:
                self.points_of_camera.setdefault(camera, []).append(point.id)

    def behind(self, door: str) -> list[str]:
        """The work points that a door leads to."""
        found = self._behind.get(door)
        if found is None:
            known = self.doors.get(door)
            found = [*known.points, *(p.id for p in self.plant.points if p.area in known.areas)] if known else []
            self._behind[door] = found
        return found

    def place(self, point: str) -> tuple[str, str]:
        """(area, shop) of a work point, empty where it is not described."""
        known = self.points.get(point)
        area = self.areas.get(known.area) if known else None
        return (area.id, area.shop) if area else ("", "")


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
