"""Which cells of a commit are measured, read from asv's result file and its outcome file alone."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Literal

from asv.benchmarks import Benchmarks

from scripts.tracker.running.benchmark_cells import Benchmark, CellId, cell_ids_of, filtered, suite
from scripts.tracker.running.cell_outcomes import CellOutcomes

State = Literal["measured", "n/a", "failed", "unknown"]
"""`unknown`: never measured, or with another version of the benchmark, or not measured because the build failed."""


class CellStates:
    """The states of all benchmarks and cells in one result file."""

    def __init__(self, result: Any, outcomes: CellOutcomes) -> None:
        self._result, self._outcomes = result, outcomes

    def state(self, benchmark: Benchmark, index: int, cell_id: CellId) -> State:
        """Return the state of the combination *index* of the parameters of *benchmark*, whose cell is *cell_id*."""
        value = self._values(benchmark)[index]
        if value is not None and not math.isnan(value):
            return "measured"
        if not self._is_stored(benchmark) or (
            self._outcomes.outcome(cell_id) is None and cell_id not in self.measured_cells
        ):
            return "unknown"
        return "failed" if value is None else "n/a"

    @cached_property
    def measured_cells(self) -> set[CellId]:
        """The cells for which at least one series has a number."""
        return {
            cell_id
            for benchmark in suite()
            for cell_id, value in zip(cell_ids_of(benchmark) or (), self._values(benchmark), strict=False)
            if value is not None and not math.isnan(value)
        }

    def unknown(self, cell_ids: set[CellId]) -> set[CellId]:
        """Return those of *cell_ids* for which at least one series is unknown."""
        return {cell_id for cell_id, state in self._states(cell_ids) if state == "unknown"}

    def failed(self, cell_ids: set[CellId]) -> dict[CellId, str]:
        """Return those of *cell_ids* for which at least one series has failed, with the reasons."""
        failed = sorted({cell_id for cell_id, state in self._states(cell_ids) if state == "failed"})
        return {cell_id: self._reason(cell_id) for cell_id in failed}

    def to_measure(self, benchmarks: Benchmarks, *, skip_measured: bool, skip_failed: bool) -> Benchmarks:
        """Return *benchmarks* without the combinations to skip; *skip_measured* also skips what is n/a."""
        skipped = {"measured": skip_measured, "n/a": skip_measured, "failed": skip_failed, "unknown": False}
        return filtered(benchmarks, lambda *combination: not skipped[self.state(*combination)])

    def _states(self, cell_ids: set[CellId]) -> list[tuple[CellId, State]]:
        return [
            (cell_id, self.state(benchmark, index, cell_id))
            for benchmark in suite()
            for index, cell_id in enumerate(cell_ids_of(benchmark) or ())
            if cell_id in cell_ids
        ]

    def _reason(self, cell_id: CellId) -> str:
        outcome = self._outcomes.outcome(cell_id)
        return str(outcome["reason"]) if outcome else ""

    def _is_stored(self, benchmark: Benchmark) -> bool:
        """Return whether asv has stored results of the present version of *benchmark*."""
        return bool(self._result.get_result_keys({benchmark["name"]: benchmark}))

    def _values(self, benchmark: Benchmark) -> list[float | None]:
        if not self._is_stored(benchmark):
            return [None] * math.prod(len(values) for values in benchmark["params"])
        values: list[float | None] = self._result.get_result_value(benchmark["name"], benchmark["params"])
        return values
