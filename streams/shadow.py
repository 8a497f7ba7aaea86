"""What another pack would have said: a timeline's entries as if that pack had been in force all the time. Pure."""

from __future__ import annotations

import msgspec

from streams.events import Entry, PackSaid, PlantSaid
from streams.packs import Pack


def rebook(entry: Entry, pack: Pack) -> Entry | None:
    """The entry under another pack: the plant's description carries it, and changes of packs are left out (None)."""
    event = entry.event
    if isinstance(event, PackSaid):
        return None
    if isinstance(event, PlantSaid):
        plant = msgspec.structs.replace(event.plant, book=pack)
        return msgspec.structs.replace(entry, event=msgspec.structs.replace(event, plant=plant))
    return entry
