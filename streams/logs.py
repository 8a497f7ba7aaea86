"""What the steps write to their logs: a fault once when it begins and once when it ends, and of the libraries as little as helps."""

from __future__ import annotations

import logging
import time


class Sparing(logging.Filter):
    """Lets a library's complaint through once in ten minutes: an outage is one line, not thousands."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("permitwatch"):
            return True
        key, now = f"{record.name}{record.levelno}{str(record.msg)[:60]}", time.monotonic()
        if now - self.last.get(key, -1e9) < 600:
            return False
        self.last[key] = now
        return True


def quiet_logging() -> None:
    """Normal operation logs nothing."""
    handler = logging.StreamHandler()
    handler.addFilter(Sparing())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("aiokafka", "faust", "mode", "kafka"):
        logging.getLogger(name).setLevel(logging.ERROR)
