"""Two warm workers, one a side, that take turns at the cells of one matrix."""

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

BASE, HEAD = 0, 1
Until = Callable[[CellComparison], bool]
"""Says whether a visit is over."""
ORDERS = ((BASE, HEAD), (HEAD, BASE))


class SideFailed(Exception):
    """A worker is gone, or could not load; `side` says whose."""

    def __init__(self, side: int, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.side, self.status, self.reason = side, status, reason


class PairedRunner:
    """Loads the models of both sides; use it as a context manager, which ends the workers."""

    def __init__(self, matrix: str, workload: type[Workload], sides: tuple[Side, Side]) -> None:
        self._limit_s = workload.limit_s
        self._core = shared_core(sides[0].settings)
        self._met: list[CellComparison] = []
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
        """Wait for the models of both; return what their workers tell about where they run. Raises SideFailed.

        Then both go to the core that they share.
        """
        base, head = (self._checked(side, self._answer(side, None, LOADING_LIMIT_S)) for side in (BASE, HEAD))
        if self._core is not None:
            for worker in self._workers:
                worker.stay_on(self._core)
        return base["host"], head["host"]

    def visit(self, comparison: CellComparison, table: Table, until: Until) -> None:
        """Warm the cell up on both sides, and add pairs, of rows of *table*, as long as *until* allows.

        The first visit begins a round. A side that cannot run the cell becomes its `trouble`. Raises SideFailed if a
        worker is gone.
        """
        if self._prepare(comparison):
            start = time.perf_counter()
            if not any(met is comparison for met in self._met):
                self._met.append(comparison)
                comparison.rounds.append(ProcessPair())
            try:
                while comparison.rounds[-1].pairs < interim_looks.SIZES[-1] and not until(comparison):
                    self._pair(comparison, self._random.choice(ORDERS))
                    comparison.rounds[-1].estimate(table)
            except _Trouble as trouble:
                comparison.trouble[trouble.side] = trouble.status, trouble.reason
            finally:
                comparison.spent_s += time.perf_counter() - start

    def _prepare(self, comparison: CellComparison) -> bool:
        """Have both sides prepare the cell at once; return whether there is something to be timed."""
        for side in (BASE, HEAD):
            self._workers[side].send({"prepare": dict(comparison.cell)})
        answers = [self._answer(side, None, self._limit_s) for side in (BASE, HEAD)]
        for side, answer in enumerate(answers):
            comparison.trouble[side] = None if answer["status"] == "ok" else (answer["status"], answer["reason"])
        if comparison.failed:
            return False
        comparison.exact = answers[BASE]["exact"] and answers[HEAD]["exact"]
        if comparison.exact:
            comparison.told = [answer["series"] for answer in answers]
        elif not comparison.pairs:
            comparison.told = self._count(comparison, answers)
        return not comparison.exact

    def _count(self, comparison: CellComparison, answers: list[dict[str, Any]]) -> list[Mapping[str, Scalar]]:
        """Return what each side tells of the cell that does not jitter, its companions counted at once."""
        for worker in self._workers:
            worker.send({"count": True})
        counted = [self._answer(side, None, self._limit_s) for side in (BASE, HEAD)]
        return [comparison.exact_numbers(answer, count) for answer, count in zip(answers, counted, strict=True)]

    def _pair(self, comparison: CellComparison, order: tuple[int, ...]) -> None:
        runs: list[Mapping[str, float]] = [{}, {}]
        for side in order:
            answer = self._answer(side, {"take": 1}, self._limit_s)
            if answer["status"] != "ok":
                raise _Trouble(side, answer["status"], answer["reason"])
            (sample,) = answer["samples"]
            runs[side] = sample["series"]
            comparison.contended.append(sample["contended"])
        comparison.add_pair(*runs)

    def _answer(self, side: int, question: Mapping[str, Any] | None, limit_s: float) -> dict[str, Any]:
        worker = self._workers[side]
        try:
            return worker.answer(limit_s) if question is None else worker.ask(question, limit_s)
        except WorkerDied as error:
            raise SideFailed(side, "fail", str(error)) from error
        except WorkerTimeout as error:
            raise SideFailed(side, "timeout", str(error)) from error

    def _checked(self, side: int, answer: dict[str, Any]) -> dict[str, Any]:
        if answer["status"] != "ok":
            raise SideFailed(side, answer["status"], answer["reason"])
        return answer


class _Trouble(Exception):
    """A side did not run the cell this time."""

    def __init__(self, side: int, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.side, self.status, self.reason = side, status, reason
