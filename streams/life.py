"""The life of an alert: what people did about it, who owns it now, whether it is shelved; a pure function of its interval, the actions and the time."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from streams.events import Action
from streams.rules.rule import RESPOND
from streams.times import HOUR
from streams.work import Fact

State = Literal["raised", "acknowledged", "in_progress", "cleared", "verified", "closed", "shelved", "suppressed", "retracted"]
Owner = Literal["crew", "workshop", "director"]
LONGEST_SHELF: Final = 8 * HOUR
"""Nobody may shelve an alert for longer (ISA-18.2 asks a limit; the hours are ours)."""
OWNERS: Final[tuple[Owner, ...]] = ("crew", "workshop", "director")
ACTIVE: Final = frozenset({"raised", "acknowledged", "in_progress"})
"""It stands, and nobody has put it aside."""
OPEN_STATES: Final = ACTIVE | {"shelved"}


class Life(Struct, frozen=True):
    """Where an alert stands. `wake`: when that may change although nothing happens."""

    state: State
    owner: Owner = "crew"
    by: str = ""
    until: int | None = None
    deadline: int = 0
    wake: int | None = None
    photo: str = ""
    refs: tuple[str, ...] = ()


def live(done: list[tuple[Fact, Action]], raised: int, ended: bool, priority: int, concerned: frozenset[str], hold: str, now: int) -> Life:
    """Raised, acknowledged, in progress, verified, closed; shelved for a while; cleared when the condition has gone. `concerned`: whom the permit names."""
    if hold:
        return Life("suppressed")
    response = next((a.at for _, a in done if a.action in ("acknowledge", "start", "resolve")), None)
    owner, deadline, wake = _owner(raised, priority, response, ended, now)
    by = done[-1][1].by if done else ""
    photo = next((a.photo for _, a in reversed(done) if a.photo), "")
    shelf = _shelf(done, priority, concerned)
    if shelf is not None and now < shelf and not ended:
        return Life("shelved", owner, by, shelf, deadline, shelf, photo)
    return Life(_state(done, ended), owner, by, None, deadline, None if ended else wake, photo)


def _state(done: list[tuple[Fact, Action]], ended: bool) -> State:
    said = {a.action for _, a in done}
    if ended:
        return "closed" if "close" in said else ("verified" if "verify" in said else "cleared")
    if said & {"start", "resolve"}:
        return "in_progress"
    return "acknowledged" if said & {"acknowledge", "hand_over"} else "raised"


def _shelf(done: list[tuple[Fact, Action]], priority: int, concerned: frozenset[str]) -> int | None:
    """Until when it is shelved: with a reason, for at most eight hours, a P1 never by somebody whom it concerns."""
    until = None
    for _, a in done:
        if a.action == "unshelve":
            until = None
        elif a.action == "shelve" and a.note.strip() and not (priority == 1 and a.by in concerned):
            until = min(a.until if a.until is not None else a.at + LONGEST_SHELF, a.at + LONGEST_SHELF)
    return until


def _owner(raised: int, priority: int, response: int | None, ended: bool, now: int) -> tuple[Owner, int, int | None]:
    """(who owns it, by when the next one is told, when to look again): the crew, the workshop after one deadline without a response, the director after two."""
    step = RESPOND[priority]
    until = min(m for m in (response, now) if m is not None)
    level = min(2, max(0, (until - raised) // step)) if not ended or response is not None else 0
    due = raised + step * (level + 1)
    return OWNERS[level], due, (due if response is None and not ended and level < 2 else None)
