"""Probes of single commits for a bisection: what is exact, and how its time compares with the good commit's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.harness.process import WorkerDied, WorkerProcess, WorkerTimeout
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.workers import LOADING_LIMIT_S
from scripts.comparing.catalog import Series, workload_of
from scripts.comparing.commits import Commit
from scripts.comparing.contest import Contest
from scripts.comparing.duel import Duel, SideFailed
from scripts.comparing.sides import Builder
from scripts.verdict.judging import NOTHING, Evidence

Settled = Callable[[Evidence], bool]


class ProbeFailed(Exception):
    """A commit cannot tell; the message says why."""


@dataclass(frozen=True)
class Prober:
    """Probes one series of one cell."""

    matrix: str
    cell: Cell
    series: Series
    builder: Builder
    budget_s: float

    def companions(self, commit: Commit) -> dict[str, Scalar]:
        """Return what *commit* tells of the cell that does not jitter; one run of it is enough.

        Raises ProbeFailed if it cannot run the cell, RefusalError if it cannot be built.
        """
        side, workload = self.builder.side(commit), workload_of(self.matrix)
        try:
            with WorkerProcess(self.matrix, workload, side.settings, "sample", side.installed) as worker:
                _checked(worker.answer(LOADING_LIMIT_S))
                told = _checked(worker.ask({"prepare": dict(self.cell)}, workload.limit_s))
                counted = {} if told["exact"] else _checked(worker.ask({"count": True}, workload.limit_s))
        except (WorkerDied, WorkerTimeout) as error:
            raise ProbeFailed(str(error)) from error
        contest = Contest.of(self.matrix, self.cell)
        exact = {name: value for name, value in told["series"].items() if told["exact"] or contest.is_exact(name)}
        return {**told["work"], **exact, **counted.get("companions", {})}

    def race(self, base: Commit, head: Commit, settled: Settled) -> Evidence:
        """Measure *head* against *base* in turns until *settled* says that this is enough, or the budget is spent.

        Raises ProbeFailed if one of them cannot run the cell, RefusalError if one cannot be built.
        """
        contest, end = Contest.of(self.matrix, self.cell), time.perf_counter() + self.budget_s

        def over(contest: Contest) -> bool:
            return time.perf_counter() >= end or settled(contest.evidence.get(self.series.name, NOTHING))

        sides = self.builder.side(base), self.builder.side(head)
        try:
            with Duel(self.matrix, workload_of(self.matrix), sides) as duel:
                duel.load()
                end = time.perf_counter() + self.budget_s
                duel.visit(contest, rows=1, until=over)
        except SideFailed as failure:
            raise ProbeFailed(failure.reason) from failure
        for trouble in contest.trouble:
            if trouble is not None:
                raise ProbeFailed(trouble[1])
        return contest.evidence.get(self.series.name, NOTHING)


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if answer["status"] != "ok":
        raise ProbeFailed(str(answer["reason"]))
    return answer
