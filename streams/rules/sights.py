"""Work of a permit's own kind that cameras surely saw at its point: three sightings over ten seconds, by true time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from streams.course import Course
from streams.rules.limits import HOT
from streams.rules.rule import Known


@dataclass(frozen=True, slots=True)
class Sight:
    """From the first detection to the last (ms, true time), the clock's error, the camera, its evidence, and until when detections still join it."""

    first: int
    last: int
    u: int
    camera: str
    ref: str
    joins: int


def sights_at(known: Known, point: str) -> Iterator[Sight]:
    """All sure sights of hot work at a point, by camera."""
    for camera, seen in sorted(known.site.sightings.get(point, {}).items()):
        for first, last, ref in seen.sure():
            offset, error = known.site.offset(camera, first)
            yield Sight(first - offset, known.site.true(camera, last), error + seen.u, camera, ref, last - offset + seen.spans.join)


def sure_sights(known: Known, course: Course) -> list[Sight]:
    """Those of a permit's kind of work at its point, in order."""
    return sorted(sights_at(known, course.point_id), key=lambda s: (s.first, s.camera)) if course.type in HOT else []


def after(sight: Sight, step: int, tools_down: int, sure: int) -> int | None:
    """From when a sight surely shows work after a step (ms): its part after it lasts for `sure` ms, and a detection is so long after that tools could be put down; None where it does not."""
    since = max(sight.first, step + sight.u)
    return since if sight.last - since >= sure and sight.last - sight.u >= step + tools_down else None
