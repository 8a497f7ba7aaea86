"""`make demands`: every demand of `domain.md` §1 and every story that a test carries, and the demands that none carries yet."""

from __future__ import annotations

import contextlib
import io
import sys
from collections import defaultdict
from pathlib import Path

IDS = {"000": 37, "001": 32, "002": 25, "003": 26, "004": 21}


class Collect:
    """Notes the seeds of every collected test."""

    def __init__(self) -> None:
        self.tests: dict[str, set[str]] = defaultdict(set)

    def pytest_collection_modifyitems(self, items) -> None:
        for item in items:
            for mark in item.iter_markers("seed"):
                self.tests[mark.args[0]].add(item.nodeid.split("/")[-1])


def main() -> int:
    import pytest

    found = Collect()
    with contextlib.redirect_stdout(io.StringIO()) as said:
        status = pytest.main(["-q", "--collect-only", str(Path(__file__).parent)], plugins=[found])
    if status:
        print(said.getvalue())
        return int(status)
    demands = [f"{source}-{n:02d}" for source, most in IDS.items() for n in range(1, most + 1)]
    for ident in sorted(found.tests):
        names = sorted(found.tests[ident])
        print(f"{ident:8} {len(names):3} tests  {names[0]}{' …' if len(names) > 1 else ''}")
    holes = [d for d in demands if d not in found.tests]
    print(f"\n{len(demands) - len(holes)} of {len(demands)} demands have a test; none yet: {', '.join(holes)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())


