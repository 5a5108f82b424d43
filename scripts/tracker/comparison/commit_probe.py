"""Probes of single commits for a bisection: what is exact, and how its time compares with the good commit's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.harness.process import WorkerDied, WorkerProcess, WorkerTimeout
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.workers import LOADING_LIMIT_S
from scripts.tracker.comparison.cell import CellComparison
from scripts.tracker.comparison.revisions import Revision
from scripts.tracker.comparison.runner import PairedRunner, SideFailed
from scripts.tracker.comparison.series_names import CellSeries, workload_of
from scripts.tracker.comparison.sides import Builder, Side
from scripts.tracker.statistics.judging import MIN_ROUNDS, Evidence, Table, combine_rounds

Settled = Callable[[Evidence], bool]


class ProbeFailed(Exception):
    """A commit cannot tell; the message says why."""


@dataclass(frozen=True)
class CommitProbe:
    """Probes one series of one cell."""

    matrix: str
    cell: Cell
    series: CellSeries
    builder: Builder
    budget_s: float

    def companions(self, commit: Revision) -> dict[str, Scalar]:
        """Return what *commit* tells of the cell that does not jitter; one run of it is enough.

        Raises ProbeFailed if it cannot run the cell, RefusalError if it cannot be built.
        """
        side, workload = self.builder.side(commit), workload_of(self.matrix)
        try:
            with WorkerProcess(self.matrix, workload, side.settings, "sample", side.installed) as worker:
                _checked(worker.answer(LOADING_LIMIT_S))
                told = _checked(worker.ask({"prepare": dict(self.cell)}, workload.limit_s))
                nothing = {"status": "ok", "companions": {}}
                counted = nothing if told["exact"] else worker.ask({"count": True}, workload.limit_s)
        except (WorkerDied, WorkerTimeout) as error:
            raise ProbeFailed(str(error)) from error
        return CellComparison.of(self.matrix, self.cell).exact_numbers(told, counted)

    def race(self, base: Revision, head: Revision, settled: Settled) -> Evidence:
        """Measure *head* against *base* in rounds, each until *settled* or its share of the budget is spent.

        Raises ProbeFailed if one of them cannot run the cell, RefusalError if one cannot be built.
        """
        comparison = CellComparison.of(self.matrix, self.cell)
        for _ in range(MIN_ROUNDS):
            self._round(comparison, (self.builder.side(base), self.builder.side(head)), settled)
        return combine_rounds(comparison.rounds_of(self.series.name))

    def _round(self, comparison: CellComparison, sides: tuple[Side, Side], settled: Settled) -> None:
        """Measure *comparison* with one pair of processes."""
        try:
            with PairedRunner(self.matrix, workload_of(self.matrix), sides) as runner:
                runner.load()
                end = time.perf_counter() + self.budget_s / MIN_ROUNDS
                runner.visit(
                    comparison,
                    Table(),
                    until=lambda met: time.perf_counter() >= end or settled(met.evidence(self.series.name)),
                )
        except SideFailed as failure:
            raise ProbeFailed(failure.reason) from failure
        for trouble in comparison.trouble:
            if trouble is not None:
                raise ProbeFailed(trouble[1])


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if answer["status"] != "ok":
        raise ProbeFailed(str(answer["reason"]))
    return answer
