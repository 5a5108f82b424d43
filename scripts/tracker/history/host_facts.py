"""Facts about the host of each measurement, such as torch version, driver and processor, and when they changed.

asv stores the requested requirements and what ``asv machine`` once wrote. What was really loaded is in the outcome file
of each result file, see `scripts.tracker.running.cell_outcomes`.
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
"""Names of the facts under which values are comparable; no commit of the measured package changes them."""

Facts = Mapping[str, Any]
"""Values by name."""


def read_facts(results_dir: str, result: Any) -> dict[str, Facts]:
    """Return the `FACTS` of one result by matrix, the module of its benchmarks; empty without an outcome file."""
    outcomes = CellOutcomes.of(results_dir, result)
    if outcomes.damaged:
        log.warning(
            f"{outcomes.path} has a line without matrix or host: it is left out. Delete the file to be rid of it."
        )
    return {matrix: {name: host[name] for name in FACTS if name in host} for matrix, host in outcomes.hosts.items()}


def breaks(facts: Sequence[tuple[int, Facts]]) -> dict[int, str]:
    """Return the revisions at which facts changed, with texts such as ``torch 2.12.0 → 2.13.0``.

    *facts* are (revision, facts) pairs in ascending order. A missing fact is assumed not to have changed.
    """
    known: dict[str, Any] = {}
    found = {}
    for revision, here in facts:
        changed = [f"{name} {known[name]} → {value}" for name, value in here.items() if known.get(name, value) != value]
        if changed:
            found[revision] = ", ".join(changed)
        known |= here
    return found
