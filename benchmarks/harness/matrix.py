"""Measures the selected cells of a matrix."""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.harness.cells import Matrix, Selection, key
from benchmarks.harness.files import NotWritable
from benchmarks.harness.journal import Journal
from benchmarks.harness.matrices import MATRICES
from benchmarks.harness.progress import CellProgress, Ledger
from benchmarks.harness.record import Cell, Record
from benchmarks.harness.settings import Settings, SettingsError
from benchmarks.harness.stored import saved
from benchmarks.harness.workers import Workers

Records = dict[str, dict[str, Any]]
"""Records as plain data, by the key of their cell; cells that were not selected are absent."""
WHOLE = "matrix"
"""Key of the only record if nothing could be measured; the record says why."""


def measure_matrix(
    matrix: Matrix,
    settings: Settings | None = None,
    known: tuple[Matrix, ...] = MATRICES,
) -> Records:
    """Measure the selected cells of *matrix* and return their records.

    *settings* come from the environment if not given. The conditions of the selection can name the parameters of all
    *known* matrices. Nothing is raised: an error that concerns the whole matrix becomes a record under `WHOLE`.
    """
    try:
        settings = settings or Settings.from_environment()
        cells = Selection(settings.cells, known).of(matrix)
        records = _measure(matrix, settings, cells)
    except (SettingsError, NotWritable) as error:
        print(error, flush=True)
        return {WHOLE: Record(matrix.name, {}, "fail", str(error)).to_dict()}
    return {key(cell): records[key(cell)].to_dict() for cell in cells}


def _measure(matrix: Matrix, settings: Settings, cells: list[Cell]) -> dict[str, Record]:
    """Return the records of *cells*, from the journal if it has them; new records are added to the journal."""
    ledger = Ledger(settings, matrix.name)
    journal = Journal(settings, matrix.name, definition(settings), saved(settings, matrix.name))
    records = dict(journal.records)
    missing = [cell for cell in cells if key(cell) not in records]
    progress = CellProgress(matrix.name, missing, matrix.workload().weight, Path(settings.journal))
    progress.begin(resumed=len(cells) - len(missing))
    workers = Workers(matrix, settings)
    try:
        with closing(workers.measure(missing)) as measured:
            for record in measured:
                journal.append(record)
                records[key(record.cell)] = record
                ledger.count(record)
                progress.finished(record)
    finally:
        ledger.write(workers.loading_s, resumed=len(cells) - len(missing))
    return records


def definition(settings: Settings) -> str:
    """Return a digest of what numbers depend on besides the commit: the benchmarks, scale, device and environment."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    for path in sorted((*package.rglob("*.py"), *package.rglob("*.json"))):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    digest.update(f"{settings.scale}\0{settings.device}\0{settings.environment}".encode())
    return digest.hexdigest()
