"""Measures cells in a worker process that is replaced when a cell takes it along."""

from __future__ import annotations

import time
from collections.abc import Generator

from benchmarks.harness.cells import Matrix
from benchmarks.harness.host import describe
from benchmarks.harness.process import WorkerDied, WorkerProcess, WorkerTimeout
from benchmarks.harness.record import Cell, Record, Status
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import Workload

LOADING_LIMIT_S = 1800.0


class Workers:
    """One worker after the other; `loading_s` adds up the seconds in which they loaded models."""

    def __init__(self, matrix: Matrix, workload: type[Workload], settings: Settings) -> None:
        self._matrix = matrix.name
        self._workload = workload
        self._settings = settings
        self._host = describe(settings)
        self.loading_s = 0.0

    def measure(self, cells: list[Cell]) -> Generator[Record, None, None]:
        """Yield the record of each of *cells*; if the models cannot be loaded, of all that are left."""
        waiting = list(cells)
        while waiting:
            with WorkerProcess(self._matrix, self._workload, self._settings) as worker:
                trouble = self._load(worker)
                if trouble is not None:
                    yield from (self._without_samples(cell, *trouble) for cell in waiting)
                    return
                alive = True
                while waiting and alive:
                    record, alive = self._ask(worker, waiting.pop(0))
                    yield record

    def _load(self, worker: WorkerProcess) -> tuple[Status, str] | None:
        """Wait for the models; return status and reason if they cannot be loaded."""
        try:
            answer = worker.answer(LOADING_LIMIT_S)
        except WorkerDied as error:
            return "fail", f"loading failed: {error}"
        except WorkerTimeout as error:
            return "timeout", f"loading failed: {error}"
        if answer["status"] != "ok":
            return answer["status"], answer["reason"]
        self._host = answer["host"]
        self.loading_s += answer["loading_s"]
        return None

    def _ask(self, worker: WorkerProcess, cell: Cell) -> tuple[Record, bool]:
        """Return the cell's record, and whether the worker can go on."""
        try:
            record = Record.from_dict(worker.ask(cell, self._workload.limit_s))
        except WorkerDied as error:
            return self._without_samples(cell, "fail", str(error)), False
        except WorkerTimeout as error:
            return self._without_samples(cell, "timeout", str(error)), False
        return record.with_host(self._host), True

    def _without_samples(self, cell: Cell, status: Status, reason: str) -> Record:
        return Record(self._matrix, cell, status, reason, host=self._host, ended_unix=time.time())
