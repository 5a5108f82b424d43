"""Tells how far a matrix is and what it has cost: a line a cell, and a line in the ledger at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.harness.cells import key
from benchmarks.harness.files import write_lines
from benchmarks.harness.record import UNCOUNTED, Cell, Record, Scalar
from benchmarks.harness.settings import Settings


class CellProgress:
    """Prints a line for each finished cell and adds it to progress.jsonl in *folder*.

    asv shows neither, but takes a line on standard output as a sign of life, and whoever runs asv can follow
    the file. There the line of a cell has `matrix`, `cell`, `outcome`, `done` and `total` beside its `text`. The time
    left is that of the cells done, in proportion to the weights.
    """

    def __init__(self, matrix: str, cells: list[Cell], weight: Callable[[Cell], float], folder: Path) -> None:
        self._matrix = matrix
        self._total = len(cells)
        self._weight = weight
        self._left = sum(weight(cell) for cell in cells)
        self._done = 0
        self._measured_weight = 0.0
        self._busy_s = 0.0
        self._path = folder / "progress.jsonl"

    def begin(self, resumed: int) -> None:
        """Say how many cells there are, and how many more an earlier run has measured."""
        known = f", {resumed} more are known from an earlier run" if resumed else ""
        self._say(f"{self._matrix}: {_count(self._total, 'cell')} to measure{known}")

    def finished(self, record: Record) -> None:
        """Say what became of a cell and how long the others may take."""
        self._done += 1
        self._left -= self._weight(record.cell)
        if record.status == "ok":
            self._measured_weight += self._weight(record.cell)
            self._busy_s += record.spent_s
        told: dict[str, Scalar] = {
            "matrix": self._matrix,
            "cell": key(record.cell),
            "outcome": outcome_of(record),
            "done": self._done,
            "total": self._total,
        }
        position = f"[{self._done}/{self._total}]"
        self._say(f"{position} {told['matrix']} {told['cell']} {told['outcome']}, {self._estimate()} left", told)

    def _estimate(self) -> str:
        if not self._measured_weight:
            return "about an unknown time"
        left_s = self._busy_s * self._left / self._measured_weight
        return f"about {left_s:.0f} s" if left_s < 100 else f"about {left_s / 60:.0f} min"

    def _say(self, text: str, told: dict[str, Scalar] | None = None) -> None:
        print(text, flush=True)
        write_lines(self._path, [{"unix": time.time(), "text": text, **(told or {})}], "a")


def outcome_of(record: Record) -> str:
    """Return what became of a cell, in words: `ok, 10 samples in 2.0 s`."""
    if record.status != "ok":
        return f"{record.status}: {record.reason}"
    if not record.contended:
        return f"ok, exact, in {record.spent_s:.1f} s"
    told = f"ok, {_count(len(record.contended), 'sample')} in {record.timed_s:.1f} s"
    contended = sum(map(bool, record.contended))
    told += f", {contended} of them contended" if contended else ""
    return told + (f", not counted: {record.exact[UNCOUNTED]}" if UNCOUNTED in record.exact else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@dataclass
class LedgerLine:
    """What one `measure_matrix` spent its time on, in seconds; none of them is counted twice (see `Record`)."""

    matrix: str
    commit: str
    environment: str
    started_unix: float
    ended_unix: float = 0.0
    timed_s: float = 0.0
    exact_s: float = 0.0
    warmup_s: float = 0.0
    untimed_s: float = 0.0
    loading_s: float = 0.0
    cells: int = 0
    resumed: int = 0
    failed: int = 0


class Ledger:
    """Adds up what one `measure_matrix` spends its time on, for the file ledger.jsonl beside the journal."""

    def __init__(self, settings: Settings, matrix: str) -> None:
        self._line = LedgerLine(matrix, settings.commit, settings.environment, time.time())
        self._path = Path(settings.journal) / "ledger.jsonl"

    def count(self, record: Record) -> None:
        """Add a cell that was measured now."""
        self._line.cells += 1
        self._line.timed_s += record.timed_s
        self._line.exact_s += record.exact_s
        self._line.warmup_s += record.warmup_s
        self._line.untimed_s += record.untimed_s
        self._line.failed += record.failed

    def write(self, loading_s: float, resumed: int) -> None:
        """Write the line, with the seconds spent loading and the number of cells that were known before."""
        self._line.ended_unix, self._line.loading_s, self._line.resumed = time.time(), loading_s, resumed
        write_lines(self._path, [asdict(self._line)], "a")
