"""The probes of a bisection: the exact metrics of a commit, and its time ratio to another commit."""

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
from scripts.tracker.comparison.sides import Side, SideBuilder
from scripts.tracker.statistics.judging import MIN_ROUNDS, Evidence, Table, combine_rounds

Decided = Callable[[Evidence], bool]
"""Returns whether the evidence of a round suffices."""


class ProbeFailed(Exception):
    """A commit could not be measured; the message says why."""


@dataclass(frozen=True)
class CommitProbe:
    """Probes one series of one cell; a time ratio takes at most *budget_s* seconds of sampling."""

    matrix: str
    cell: Cell
    series: CellSeries
    builder: SideBuilder
    budget_s: float

    def exact_metrics(self, revision: Revision) -> dict[str, Scalar]:
        """Return the exact metrics of the cell at *revision*, from a single run.

        Raises:
            ProbeFailed: the commit cannot run the cell.
            RefusalError: the commit cannot be built.
        """
        side, workload = self.builder.side(revision), workload_of(self.matrix)
        try:
            with WorkerProcess(self.matrix, workload, side.settings, "sample", side.installed) as worker:
                _checked(worker.answer(LOADING_LIMIT_S))
                prepared = _checked(worker.ask({"prepare": dict(self.cell)}, workload.limit_s))
                nothing = {"status": "ok", "exact_metrics": {}}
                counted = nothing if prepared["exact"] else worker.ask({"count": True}, workload.limit_s)
        except (WorkerDied, WorkerTimeout) as error:
            raise ProbeFailed(str(error)) from error
        return CellComparison.of(self.matrix, self.cell).exact_metrics(prepared, counted)

    def time_ratio(self, baseline: Revision, candidate: Revision, decided: Decided) -> Evidence:
        """Measure the time of *candidate* / *baseline* in rounds, each until *decided* or until its time is spent.

        Raises:
            ProbeFailed: one of the commits cannot run the cell.
            RefusalError: one of the commits cannot be built.
        """
        comparison = CellComparison.of(self.matrix, self.cell)
        for _ in range(MIN_ROUNDS):
            self._run_round(comparison, (self.builder.side(baseline), self.builder.side(candidate)), decided)
        return combine_rounds(comparison.evidence_by_round(self.series.name))

    def _run_round(self, comparison: CellComparison, sides: tuple[Side, Side], decided: Decided) -> None:
        """Sample *comparison* with one fresh pair of processes."""
        try:
            with PairedRunner(self.matrix, workload_of(self.matrix), sides) as runner:
                runner.load()
                end = time.perf_counter() + self.budget_s / MIN_ROUNDS
                runner.sample(
                    comparison,
                    Table(),
                    stop=lambda cell: time.perf_counter() >= end or decided(cell.evidence(self.series.name)),
                )
        except SideFailed as failure:
            raise ProbeFailed(failure.reason) from failure
        for error in comparison.errors:
            if error is not None:
                raise ProbeFailed(error[1])


def _checked(reply: dict[str, Any]) -> dict[str, Any]:
    if reply["status"] != "ok":
        raise ProbeFailed(str(reply["reason"]))
    return reply
