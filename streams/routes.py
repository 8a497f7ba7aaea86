"""Who is told: receivers and a routing tree by site, shop, area, priority, owner, code and shift, read from receivers.toml with errors that help.

    RouteError      something in the file is wrong: file, line, key, what to do
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from streams.calendar import in_shift
from streams.outputs import Alert, Command
from streams.reading import line_of, nearest, syntax_line

Kind = Literal["wecom", "dingtalk", "webhook", "smtp", "syslog", "log", "command"]


class Receiver(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One way to reach somebody. Secrets come from the environment or a file, never from here."""

    name: str
    kind: Kind
    url: str = ""
    url_env: str = ""
    secret_env: str = ""
    to: list[str] = []
    sender: str = "permitwatch@localhost"
    lang: Literal["zh", "en"] = "zh"
    fallback: str = ""
    per_minute: int = 20
    gather: float = 60.0
    """Seconds for which what is not P1 is gathered."""
    resolved: bool = False
    """Tell also when an alert that was told has gone."""


class Route(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Alerts that match every given list go to the receivers; empty lists match all. `go_on`: the next routes are tried too."""

    receivers: list[str]
    sites: list[str] = []
    shops: list[str] = []
    areas: list[str] = []
    priorities: list[int] = []
    owners: list[Literal["crew", "workshop", "director"]] = []
    codes: list[str] = []
    shifts: list[Literal["day", "evening", "night"]] = []
    go_on: bool = False


class Request(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Requests whose action matches (permit.*, siren.on …) go to a receiver of kind `command`."""

    receiver: str
    actions: list[str] = msgspec.field(default_factory=lambda: ["*"])
    sites: list[str] = []


class Routing(Struct, frozen=True, forbid_unknown_fields=True):
    """receivers.toml as a whole."""

    receiver: list[Receiver] = []
    route: list[Route] = []
    request: list[Request] = []

    def named(self, name: str) -> Receiver:
        return next(r for r in self.receiver if r.name == name)

    def told(self, alert: Alert, hour: int) -> list[str]:
        """The receivers of an alert at a local hour, in order, each once."""
        out: list[str] = []
        for route in self.route:
            if _matches(route, alert, hour):
                out += [name for name in route.receivers if name not in out]
                if not route.go_on:
                    break
        return out

    def asked(self, command: Command) -> list[str]:
        """The receivers of a request."""
        return [r.receiver for r in self.request if (not r.sites or command.site in r.sites) and any(fnmatchcase(command.action, a) for a in r.actions)]


def _matches(route: Route, alert: Alert, hour: int) -> bool:
    shop = str(alert.numbers.get("shop", ""))
    wanted = ((route.sites, alert.site), (route.shops, shop), (route.areas, alert.area), (route.priorities, alert.priority), (route.owners, alert.owner))
    return (
        all(not names or value in names for names, value in wanted)  # type: ignore[operator]
        and (not route.codes or any(fnmatchcase(alert.code, c) for c in route.codes))
        and (not route.shifts or any(in_shift(hour, s) for s in route.shifts))
    )


class RouteError(Exception):
    """Something in receivers.toml is wrong: says where, what, and what to do."""

    def __init__(self, file: Path, line: int, key: str, what: str, remedy: str) -> None:
        super().__init__(f"{file}:{line}: {key}: {what}. {remedy}")


def read_routing(path: Path) -> Routing:
    """Reads and checks receivers.toml. Raises RouteError."""
    text = path.read_text(encoding="utf-8")
    try:
        routing = msgspec.convert(tomllib.loads(text), Routing)
    except tomllib.TOMLDecodeError as wrong:
        raise RouteError(path, syntax_line(wrong), "syntax", str(wrong), "Mend the TOML on this line") from None
    except msgspec.ValidationError as wrong:
        key = f[1] if (f := re.search(r"field `(\w+)`", str(wrong))) else (m[1] if (m := re.search(r"`\$\.(\w+)", str(wrong))) else "file")
        raise RouteError(path, line_of(text, key), key, str(wrong).split(" - at")[0], "docs/operators.md lists what may stand here") from None
    for key, name in _names(routing):
        if name not in {r.name for r in routing.receiver}:
            raise RouteError(path, line_of(text, name), key, f"there is no receiver {name}", nearest(name, [r.name for r in routing.receiver]))
    for receiver in routing.receiver:
        if receiver.kind not in ("log",) and not (receiver.url or receiver.url_env):
            raise RouteError(path, line_of(text, receiver.name), "url_env", f"{receiver.name} has no address", "Give url_env (a variable that holds it) or url")
    _check_circles(path, text, routing)
    return routing


def _names(routing: Routing) -> Iterator[tuple[str, str]]:
    yield from (("receivers", name) for route in routing.route for name in route.receivers)
    yield from (("receiver", request.receiver) for request in routing.request)
    yield from (("fallback", r.fallback) for r in routing.receiver if r.fallback)


def _check_circles(path: Path, text: str, routing: Routing) -> None:
    for receiver in routing.receiver:
        chain = [receiver.name]
        while fallback := routing.named(chain[-1]).fallback:
            if fallback in chain:
                raise RouteError(path, line_of(text, receiver.name), "fallback", f"{' → '.join((*chain, fallback))} goes in a circle", "Let the last receiver have no fallback")
            chain.append(fallback)
