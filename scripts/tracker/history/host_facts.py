"""Which torch, driver and processor really measured: facts of the benchmarks' records, kept beside asv's results.

asv stores what was asked for (requirements, variables) and what ``asv machine`` once wrote. What was loaded stands in
the companion of each result file, see `records`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asv.console import log

from scripts.tracker.running.cell_outcomes import CellOutcomes

FACTS = (
    *("os", "cpu", "cores", "python", "torch", "threads", "device_name", "cuda", "driver"),
    *("variables", "workload"),
)
"""Where, with what and on which checkpoints it was measured: a commit of the measured package changes none of it."""

Facts = Mapping[str, Any]


def read_facts(results_dir: str, result: Any) -> dict[str, Facts]:
    """The `FACTS` of one result by matrix, the module of its benchmarks; empty without a companion."""
    companion = CellOutcomes.of(results_dir, result)
    if companion.damaged:
        log.warning(
            f"{companion.path} has a line without matrix or host: it is left out. Delete the file to be rid of it."
        )
    return {matrix: {name: host[name] for name in FACTS if name in host} for matrix, host in companion.hosts.items()}


def breaks(facts: Sequence[tuple[int, Facts]]) -> dict[int, str]:
    """The revisions whose facts differ from those before, and what changed: ``torch 2.12.0 → 2.13.0``.

    *facts* are by revision, ascending. A fact that a revision lacks is taken to be as it was before.
    """
    known: dict[str, Any] = {}
    found = {}
    for revision, here in facts:
        changed = [f"{name} {known[name]} → {value}" for name, value in here.items() if known.get(name, value) != value]
        if changed:
            found[revision] = ", ".join(changed)
        known |= here
    return found
