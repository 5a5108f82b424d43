"""`measure_matrix`: the one way from cells to records."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness.cells import Matrix, Selection, key
from benchmarks.harness.files import NotWritable
from benchmarks.harness.host import describe
from benchmarks.harness.journal import Journal
from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.process import WorkerDied, WorkerProcess, WorkerTimeout
from benchmarks.harness.progress import LedgerLine, Progress
from benchmarks.harness.record import Cell, Record, Scalar, Status
from benchmarks.harness.settings import Settings, SettingsError
from benchmarks.harness.stored import last_saved_unix
from benchmarks.harness.workload import Workload

LOADING_LIMIT_S = 1800.0
Records = dict[str, dict[str, Any]]
"""A record's plain data under the name of its cell; cells that were not chosen are absent."""
WHOLE = "matrix"
"""In place of all cells: the record that says why none could be measured."""


def measure_matrix(
    matrix: Matrix,
    workload: type[Workload],
    settings: Settings | None = None,
    known: tuple[Matrix, ...] = MATRICES,
) -> Records:
    """Measure the chosen cells of *matrix* and return their records.

    *settings* come from the environment if not given; conditions may name the parameters of all *known*
    matrices. Nothing is raised: what keeps the whole matrix from being measured is a record too.
    """
    try:
        settings = settings or Settings.from_environment()
        cells = Selection(settings.cells, known).of(matrix)
        records = _Run(matrix, workload, settings, cells).measure()
    except (SettingsError, NotWritable) as error:
        print(error, flush=True)
        return {WHOLE: Record(matrix.name, {}, "fail", str(error)).to_dict()}
    return {name: record.to_dict() for name, record in records.items()}


class _Run:
    """One matrix on its way: journal, ledger, and a worker that is replaced when it dies."""

    def __init__(
        self, matrix: Matrix, workload: type[Workload], settings: Settings, cells: list[Cell]
    ) -> None:
        self._matrix = matrix.name
        self._class = workload
        self._workload = workload()
        self._settings = settings
        self._cells = cells
        self._host: dict[str, Scalar] = describe(settings)
        self._ledger = LedgerLine(matrix.name, settings.commit, settings.environment, time.time())
        saved_unix = last_saved_unix(settings, matrix.name)
        self._journal = Journal(settings, matrix.name, definition(settings), saved_unix)

    def measure(self) -> dict[str, Record]:
        """Return the records of all cells, measuring those that the journal does not have."""
        records = {key(cell): self._journal.records.get(key(cell)) for cell in self._cells}
        missing = [cell for cell in self._cells if records[key(cell)] is None]
        self._ledger.resumed = len(self._cells) - len(missing)
        folder = Path(self._settings.journal)
        progress = Progress(self._matrix, missing, self._workload.weight, folder)
        progress.resumed(self._ledger.resumed, len(self._cells))
        try:
            if missing:
                progress.loading()
            for record in self._records(missing):
                records[key(record.cell)] = record
                self._ledger.count(record)
                progress.finished(record)
        finally:
            self._ledger.write(folder)
        return {name: record for name, record in records.items() if record is not None}

    def _records(self, cells: list[Cell]) -> Iterator[Record]:
        """Yield a record for each of *cells* once the journal has it, with a new worker after each death."""
        waiting = list(cells)
        while waiting:
            with WorkerProcess(self._matrix, self._class, self._settings) as worker:
                trouble = self._load(worker)
                if trouble is not None:
                    yield from (Record(self._matrix, cell, *trouble, host=self._host) for cell in waiting)
                    return
                alive = True
                while waiting and alive:
                    record, alive = self._ask(worker, waiting.pop(0))
                    self._journal.append(record)
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
        self._ledger.loading_s += answer["loading_s"]
        self._host = answer["host"]
        return None

    def _ask(self, worker: WorkerProcess, cell: Cell) -> tuple[Record, bool]:
        """Return the cell's record, and whether the worker can go on."""
        try:
            record = Record.from_dict(worker.ask(dict(cell), self._workload.limit_s))
            return record.with_host(self._host), True
        except WorkerDied as error:
            return self._lost(cell, "fail", error), False
        except WorkerTimeout as error:
            return self._lost(cell, "timeout", error), False

    def _lost(self, cell: Cell, status: Status, error: Exception) -> Record:
        """Return the record of a cell that took its worker with it."""
        return Record(self._matrix, cell, status, str(error), host=self._host, ended_unix=time.time())


def definition(settings: Settings) -> str:
    """Return a digest of what decides about a number besides the commit: this folder's code, and the host."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    digest.update(f"{settings.scale}\0{settings.device}\0{settings.environment}".encode())
    return digest.hexdigest()
