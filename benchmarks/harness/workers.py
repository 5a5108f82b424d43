"""Measures cells in a worker process, which is replaced when a cell crashes it or exceeds its time limit."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace

from benchmarks.harness.cells import Matrix
from benchmarks.harness.host import describe
from benchmarks.harness.process import WorkerDied, WorkerProcess, WorkerTimeout
from benchmarks.harness.record import UNCOUNTED, Cell, Record, Status
from benchmarks.harness.settings import Settings

LOADING_LIMIT_S = 1800.0


class Workers:
    """Starts one worker after the other; `loading_s` is the total time of starting them and loading the models."""

    def __init__(self, matrix: Matrix, settings: Settings) -> None:
        self._matrix = matrix.name
        self._workload = matrix.workload
        self._settings = settings
        self._host = describe(settings)
        self.loading_s = 0.0

    def measure(self, cells: list[Cell]) -> Generator[Record, None, None]:
        """Yield the record of each cell. If the models cannot be loaded, the records of all remaining cells say so."""
        waiting = list(cells)
        while waiting:
            start = time.perf_counter()
            with WorkerProcess(self._matrix, self._workload, self._settings) as worker:
                failure = self._load(worker)
                self.loading_s += time.perf_counter() - start
                if failure is not None:
                    yield from (self._without_samples(cell, *failure) for cell in waiting)
                    return
                alive = True
                while waiting and alive:
                    record, alive = self._ask(worker, waiting.pop(0))
                    yield record

    def _load(self, worker: WorkerProcess) -> tuple[Status, str] | None:
        """Wait until the models are loaded; return status and reason if they cannot be."""
        try:
            answer = worker.answer(LOADING_LIMIT_S)
        except WorkerDied as error:
            return "fail", f"loading failed: {error}"
        except WorkerTimeout as error:
            return "timeout", f"loading failed: {error}"
        if answer["status"] != "ok":
            return answer["status"], answer["reason"]
        self._host = answer["host"]
        return None

    def _ask(self, worker: WorkerProcess, cell: Cell) -> tuple[Record, bool]:
        """Return the cell's record, and whether the worker is still usable."""
        record, start = None, time.perf_counter()
        try:
            answer = worker.ask(cell, self._workload.limit_s)
            record = Record.from_dict(answer["record"])
            if not answer["last"]:
                answer = worker.answer(self._workload.limit_s)
            return Record.from_dict(answer["record"]).with_host(self._host), True
        except (WorkerDied, WorkerTimeout) as error:
            spent_s = time.perf_counter() - start
            if record is not None:
                counting_s = max(0.0, spent_s - record.spent_s)
                uncounted = replace(record, exact={UNCOUNTED: f"while counting: {error}"}, exact_s=counting_s)
                return uncounted.with_host(self._host), False
            status: Status = "fail" if isinstance(error, WorkerDied) else "timeout"
            return replace(self._without_samples(cell, status, str(error)), untimed_s=spent_s), False

    def _without_samples(self, cell: Cell, status: Status, reason: str) -> Record:
        return Record(self._matrix, cell, status, reason, host=self._host, ended_unix=time.time())
