"""What the machine still has for the system: room on the disk, files that a part may open; and logs that do not grow for ever."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

SCARCE: Final = 5 << 30
"""So many free bytes are told of: below 2 GB nothing is started any more."""
AGAIN: Final = 1.2
"""Free space must be so many times as much before it is enough again."""
OPEN: Final = 0.8
"""The share of the files that a part may open, from which on it is told of."""
LARGEST_LOG: Final = 20 << 20


@dataclass
class Supplies:
    """Looks at a data folder and the processes of the parts; each shortage is said once, and once when it is over."""

    folder: Path
    short: set[str] = field(default_factory=set)

    def look(self, processes: Mapping[str, int]) -> Iterator[str]:
        """What has become scarce, and what no longer is, a sentence each."""
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError as wrong:
            yield from self._said("folder", True, f"{self.folder} cannot be looked at: {wrong}", "")
            return
        yield from self._said("folder", False, "", f"{self.folder} can be looked at again")
        yield from self._said("disk", free < SCARCE * (AGAIN if "disk" in self.short else 1),
                              f"only {free >> 20:,} MB are free where {self.folder} lies: free some, or what comes will be refused", f"{free >> 30} GB are free again where {self.folder} lies")  # fmt: skip
        for name, pid in processes.items():
            if (used := _open_files(pid)) is not None:
                yield from self._said(f"files of {name}", used > OPEN, f"{name} has opened {used:.0%} of the files that it may open: raise the limit (ulimit -n), and look at who holds so many connections", f"{name} has files to open again")
        for key in [key for key in self.short if key.startswith("files of ") and key.removeprefix("files of ") not in processes]:
            self.short.discard(key)

    def _said(self, what: str, is_short: bool, begins: str, ends: str) -> Iterator[str]:
        if is_short != (what in self.short):
            (self.short.add if is_short else self.short.discard)(what)
            yield begins if is_short else ends


def _open_files(pid: int) -> float | None:
    """The share of the files that a process may open which it has opened; None: nobody can tell."""
    try:
        process = psutil.Process(pid)
        most = process.rlimit(psutil.RLIMIT_NOFILE)[0]
        return process.num_fds() / most if most > 0 else None
    except (psutil.Error, AttributeError, OSError):
        return None


def rotate(folder: Path, largest: int = LARGEST_LOG) -> None:
    """Keeps what a log that has become too large holds once more beside it (.1), where the disk has room for that, and begins it anew; whoever writes to it goes on."""
    for file in folder.glob("*.log"):
        with contextlib.suppress(OSError):
            if file.stat().st_size > largest:
                before = file.with_name(f"{file.name}.1")
                try:
                    shutil.copyfile(file, before)
                except OSError:
                    before.unlink(missing_ok=True)
                os.truncate(file, 0)
