"""What is known of the cells of one commit: read from asv's result file and its companion, and nowhere else."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Literal

from asv.benchmarks import Benchmarks

from scripts.tracker.running.cells import Benchmark, Place, cells_of, narrowed, place_of, suite
from scripts.tracker.running.records import Companion

State = Literal["measured", "n/a", "failed", "unknown"]
"""`unknown`: never measured, or not in the present version of the benchmark, or lost with a build that failed."""


class Known:
    """The states of the benchmarks of one result file."""

    def __init__(self, result: Any, companion: Companion) -> None:
        self._result, self._companion = result, companion

    def state(self, benchmark: Benchmark, index: int, place: Place) -> State:
        """Return the state of one combination of a benchmark's parameters, which is of the cell at *place*."""
        value = self._values(benchmark)[index]
        if value is not None and not math.isnan(value):
            return "measured"
        if not self._has(benchmark) or (self._companion.outcome(place) is None and place not in self.measured):
            return "unknown"
        return "failed" if value is None else "n/a"

    @cached_property
    def measured(self) -> set[Place]:
        """The cells of which some series has a number."""
        return {
            place_of(*cell)
            for benchmark in suite()
            for cell, value in zip(cells_of(benchmark) or (), self._values(benchmark), strict=False)
            if value is not None and not math.isnan(value)
        }

    def unknown(self, places: set[Place]) -> set[Place]:
        """Return those of *places* of which some series is unknown."""
        return {place for place, state in self._states(places) if state == "unknown"}

    def failed(self, places: set[Place]) -> dict[Place, str]:
        """Return the reasons of those of *places* that have failed, in some series at least."""
        failed = sorted({place for place, state in self._states(places) if state == "failed"})
        return {place: self._reason(place) for place in failed}

    def undone(self, benchmarks: Benchmarks, *, skip_measured: bool, skip_failed: bool) -> Benchmarks:
        """Return *benchmarks* without those combinations that are measured, n/a or, if asked for, failed."""
        skipped = {"measured": skip_measured, "n/a": skip_measured, "failed": skip_failed, "unknown": False}
        return narrowed(benchmarks, lambda benchmark, index, place: not skipped[self.state(benchmark, index, place)])

    def _states(self, places: set[Place]) -> list[tuple[Place, State]]:
        found = []
        for benchmark in suite():
            for index, cell in enumerate(cells_of(benchmark) or ()):
                place = place_of(*cell)
                if place in places:
                    found.append((place, self.state(benchmark, index, place)))
        return found

    def _reason(self, place: Place) -> str:
        outcome = self._companion.outcome(place)
        return str(outcome["reason"]) if outcome else ""

    def _has(self, benchmark: Benchmark) -> bool:
        """Whether asv has stored the benchmark in its present version."""
        return bool(self._result.get_result_keys({benchmark["name"]: benchmark}))

    def _values(self, benchmark: Benchmark) -> list[float | None]:
        if not self._has(benchmark):
            return [None] * math.prod(len(values) for values in benchmark["params"])
        values: list[float | None] = self._result.get_result_value(benchmark["name"], benchmark["params"])
        return values
