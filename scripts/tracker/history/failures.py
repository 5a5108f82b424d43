"""The reasons why cells have no value; asv stores that a cell failed, its outcome file stores why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scripts.tracker.running.benchmark_cells import find_cell_id
from scripts.tracker.running.cell_outcomes import CellOutcomes


class FailureReasons:
    """The reasons in the outcome file of one result file of asv."""

    def __init__(self, results_dir: str, result: Any) -> None:
        self._outcomes = CellOutcomes.of(results_dir, result)

    def of(self, owner: str, cell: Iterable[tuple[str, str]]) -> str | None:
        """Return the reason for *cell*, (name, ``repr``) pairs, of the class *owner* (``module.Class``), if known."""
        cell_id = find_cell_id(owner, cell)
        outcome = None if cell_id is None else self._outcomes.outcome(cell_id)
        return (outcome["reason"] if outcome else "") or self._outcomes.build_failure or None
