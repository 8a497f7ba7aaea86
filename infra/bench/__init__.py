"""`permitwatch bench`: speed and memory on this machine; figures for the docs by command."""

from __future__ import annotations

import shutil
from pathlib import Path

from infra.bench.kernel import kernel_figures
from infra.bench.running import system_figures
from infra.bench.table import Table, machine
from infra.plant.reference import write_plant
from streams.plant import read_plant

NOTES = """
Where a goal is missed, and why:

- *CPU per reading at one plant's load* is the cost of being awake: at 1.9 k readings/s a batch holds few messages, and five processes wake for each. In the storm, where batches are full, the same code needs the figure below it.
- *A single event*: the first seed pays for what is worked out once per plant. Above its goal: every entry is held against its source's clock and numbers, and whoever a scan or a sight concerns is judged by more rules than before this version.
- *1,000 permits judged again* (102 codes; without the five that speak of silence, and without verdicts): a permit is nine facts that all of its rules look at, some five hundred judgements, and some 1,300 more because of what comes late: one fact in eight is more than a second old when it comes, and of everybody who stands near it the rules that look at others are asked once more, since it may concern him. That is what truth costs here, and why the goal (a year of 22,000, 22 times this figure on one core, in a minute) is missed by far.
- *Replay* is below its goal for the same reason, and because each minute tells its ledger and risk (a tenth) and oxygen bands, trends and samples are kept (a quarter of a frame).
- *p99 to the pixel and beside a long post* are the worst of a hundred and of forty alerts: on a machine that others use too one stall of its own decides them. Beside the post of 90,000 scans three runs of one day gave 0.31, 0.34 and 1.65 s.
"""
"""What the figures do not say themselves."""


def bench(data: Path, quick: bool, write: Path | None) -> int:
    """Runs everything; `quick` leaves the running system out."""
    table = Table()
    print(f"{machine()}\n  {'':58} {'min':>10} {'median':>10} {'max':>10}")
    folder = data.absolute() / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    plant = read_plant(write_plant(folder / "plant", 1.0, 35020, 34840)).plant
    kernel_figures(table, plant, folder)
    if not quick:
        system_figures(table, plant, folder, data)
    if write:
        write.parent.mkdir(parents=True, exist_ok=True)
        write.write_text("# Figures\n\n" + table.markdown() + NOTES, encoding="utf-8")
    return 0
