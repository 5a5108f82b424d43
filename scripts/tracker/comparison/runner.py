"""Runs the cells of one matrix on two warm workers, one a side, in interleaved pairs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from random import Random
from typing import Any

from benchmarks.harness.host import shared_core
from benchmarks.harness.process import WorkerDied, WorkerProcess, WorkerTimeout
from benchmarks.harness.record import Scalar, Status
from benchmarks.harness.workers import LOADING_LIMIT_S
from benchmarks.harness.workload import Workload
from scripts.tracker.comparison.cell import CellComparison, ProcessPair
from scripts.tracker.comparison.sides import Side
from scripts.tracker.statistics import interim_looks
from scripts.tracker.statistics.judging import Table

BASELINE, CANDIDATE = 0, 1
"""Indices of the two sides."""
ORDERS = ((BASELINE, CANDIDATE), (CANDIDATE, BASELINE))
"""The orders in which the two runs of a pair can be made."""
StopRule = Callable[[CellComparison], bool]
"""Decides, before each pair, whether sampling of the cell ends."""


class SideFailed(Exception):
    """A worker has died, has exceeded its time limit, or could not load the models; `side` is its index."""

    def __init__(self, side: int, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.side, self.status, self.reason = side, status, reason


class PairedRunner:
    """Two workers that have loaded the models of both sides. As a context manager it ends the workers."""

    def __init__(self, matrix: str, workload: type[Workload], sides: tuple[Side, Side]) -> None:
        self._limit_s = workload.limit_s
        self._core = shared_core(sides[0].settings)
        self._started: list[CellComparison] = []
        self._random = Random()
        self._stack = ExitStack()
        self._workers = [
            self._stack.enter_context(WorkerProcess(matrix, workload, side.settings, "sample", side.installed))
            for side in sides
        ]

    def __enter__(self) -> PairedRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def load(self) -> tuple[Mapping[str, Scalar], Mapping[str, Scalar]]:
        """Wait until both workers have loaded, pin them to one core, and return the host record of each.

        Raises:
            SideFailed: a worker could not load.
        """
        baseline, candidate = (
            self._checked(side, self._reply(side, None, LOADING_LIMIT_S)) for side in (BASELINE, CANDIDATE)
        )
        if self._core is not None:
            for worker in self._workers:
                worker.stay_on(self._core)
        return baseline["host"], candidate["host"]

    def sample(self, comparison: CellComparison, table: Table, stop: StopRule) -> None:
        """Warm the cell up on both sides, and add pairs until *stop* ends it.

        The first call for a cell begins a round. If a side cannot run the cell, the reason is stored in
        `comparison.errors`.

        Args:
            comparison: the cell.
            table: the table that its timed series are rows of.
            stop: decides when sampling ends.

        Raises:
            SideFailed: a worker has died or exceeded its time limit.
        """
        if self._prepare(comparison):
            start = time.perf_counter()
            if not any(started is comparison for started in self._started):
                self._started.append(comparison)
                comparison.rounds.append(ProcessPair())
            try:
                while comparison.rounds[-1].pairs < interim_looks.SIZES[-1] and not stop(comparison):
                    self._add_pair(comparison, self._random.choice(ORDERS))
                    comparison.rounds[-1].estimate(table)
            except _RunFailed as failure:
                comparison.errors[failure.side] = failure.status, failure.reason
            finally:
                comparison.spent_s += time.perf_counter() - start

    def _prepare(self, comparison: CellComparison) -> bool:
        """Let both sides prepare the cell at the same time; return whether there is something to time."""
        for side in (BASELINE, CANDIDATE):
            self._workers[side].send({"prepare": dict(comparison.cell)})
        replies = [self._reply(side, None, self._limit_s) for side in (BASELINE, CANDIDATE)]
        for side, reply in enumerate(replies):
            comparison.errors[side] = None if reply["status"] == "ok" else (reply["status"], reply["reason"])
        if comparison.failed:
            return False
        comparison.exact = replies[BASELINE]["exact"] and replies[CANDIDATE]["exact"]
        if comparison.exact:
            comparison.counters = [reply["series"] for reply in replies]
        elif not comparison.pairs:
            comparison.counters = self._count(comparison, replies)
        return not comparison.exact

    def _count(self, comparison: CellComparison, prepared: list[dict[str, Any]]) -> list[Mapping[str, Scalar]]:
        """Return the exact metrics of each side; both count at the same time."""
        for worker in self._workers:
            worker.send({"count": True})
        counted = [self._reply(side, None, self._limit_s) for side in (BASELINE, CANDIDATE)]
        return [comparison.exact_metrics(reply, counts) for reply, counts in zip(prepared, counted, strict=True)]

    def _add_pair(self, comparison: CellComparison, order: tuple[int, ...]) -> None:
        runs: list[Mapping[str, float]] = [{}, {}]
        for side in order:
            reply = self._reply(side, {"take": 1}, self._limit_s)
            if reply["status"] != "ok":
                raise _RunFailed(side, reply["status"], reply["reason"])
            (sample,) = reply["samples"]
            runs[side] = sample["series"]
            comparison.contended.append(sample["contended"])
        comparison.add_pair(*runs)

    def _reply(self, side: int, request: Mapping[str, Any] | None, limit_s: float) -> dict[str, Any]:
        """Return the reply of a worker to *request*, or to what it was sent before if that is None."""
        worker = self._workers[side]
        try:
            return worker.answer(limit_s) if request is None else worker.ask(request, limit_s)
        except WorkerDied as error:
            raise SideFailed(side, "fail", str(error)) from error
        except WorkerTimeout as error:
            raise SideFailed(side, "timeout", str(error)) from error

    def _checked(self, side: int, reply: dict[str, Any]) -> dict[str, Any]:
        if reply["status"] != "ok":
            raise SideFailed(side, reply["status"], reply["reason"])
        return reply


class _RunFailed(Exception):
    """A side could not run the cell this time; its worker goes on."""

    def __init__(self, side: int, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.side, self.status, self.reason = side, status, reason
