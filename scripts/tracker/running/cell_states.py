"""What is known of the cells of one commit: read from asv's result file and its companion, and nowhere else."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Literal

from asv.benchmarks import Benchmarks

from scripts.tracker.running.benchmark_cells import Benchmark, CellId, cell_id_of, cells_of, filtered, suite
from scripts.tracker.running.cell_outcomes import CellOutcomes

State = Literal["measured", "n/a", "failed", "unknown"]
"""`unknown`: never measured, or not in the present version of the benchmark, or lost with a build that failed."""


class CellStates:
    """The states of the benchmarks of one result file."""

    def __init__(self, result: Any, companion: CellOutcomes) -> None:
        self._result, self._companion = result, companion

    def state(self, benchmark: Benchmark, index: int, cell_id: CellId) -> State:
        """Return the state of one combination of a benchmark's parameters, which is of the cell at *cell_id*."""
        value = self._values(benchmark)[index]
        if value is not None and not math.isnan(value):
            return "measured"
        if not self._has(benchmark) or (self._companion.outcome(cell_id) is None and cell_id not in self.measured):
            return "unknown"
        return "failed" if value is None else "n/a"

    @cached_property
    def measured(self) -> set[CellId]:
        """The cells of which some series has a number."""
        return {
            cell_id_of(*cell)
            for benchmark in suite()
            for cell, value in zip(cells_of(benchmark) or (), self._values(benchmark), strict=False)
            if value is not None and not math.isnan(value)
        }

    def unknown(self, cell_ids: set[CellId]) -> set[CellId]:
        """Return those of *cell_ids* of which some series is unknown."""
        return {cell_id for cell_id, state in self._states(cell_ids) if state == "unknown"}

    def failed(self, cell_ids: set[CellId]) -> dict[CellId, str]:
        """Return the reasons of those of *cell_ids* that have failed, in some series at least."""
        failed = sorted({cell_id for cell_id, state in self._states(cell_ids) if state == "failed"})
        return {cell_id: self._reason(cell_id) for cell_id in failed}

    def undone(self, benchmarks: Benchmarks, *, skip_measured: bool, skip_failed: bool) -> Benchmarks:
        """Return *benchmarks* without those combinations that are measured, n/a or, if asked for, failed."""
        skipped = {"measured": skip_measured, "n/a": skip_measured, "failed": skip_failed, "unknown": False}
        return filtered(
            benchmarks, lambda benchmark, index, cell_id: not skipped[self.state(benchmark, index, cell_id)]
        )

    def _states(self, cell_ids: set[CellId]) -> list[tuple[CellId, State]]:
        found = []
        for benchmark in suite():
            for index, cell in enumerate(cells_of(benchmark) or ()):
                cell_id = cell_id_of(*cell)
                if cell_id in cell_ids:
                    found.append((cell_id, self.state(benchmark, index, cell_id)))
        return found

    def _reason(self, cell_id: CellId) -> str:
        outcome = self._companion.outcome(cell_id)
        return str(outcome["reason"]) if outcome else ""

    def _has(self, benchmark: Benchmark) -> bool:
        """Whether asv has stored the benchmark in its present version."""
        return bool(self._result.get_result_keys({benchmark["name"]: benchmark}))

    def _values(self, benchmark: Benchmark) -> list[float | None]:
        if not self._has(benchmark):
            return [None] * math.prod(len(values) for values in benchmark["params"])
        values: list[float | None] = self._result.get_result_value(benchmark["name"], benchmark["params"])
        return values
