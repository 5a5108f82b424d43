"""Progress of a matrix, printed a line a cell, and the time that it spent, a line in ledger.jsonl at the end."""

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
    """Prints a line for each finished cell and appends it to progress.jsonl in *folder*.

    asv shows neither. A line on standard output restarts its timeout, and the command that runs asv follows the file.
    There, the line of a cell has `matrix`, `cell`, `outcome`, `done` and `total` beside its `text`. The remaining time
    is estimated from the finished cells, in proportion to the weights.
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
        """Print the number of cells to measure, and the number that an earlier run has measured."""
        earlier = f", {resumed} more are known from an earlier run" if resumed else ""
        self._print(f"{self._matrix}: {_count(self._total, 'cell')} to measure{earlier}")

    def finished(self, record: Record) -> None:
        """Print the outcome of a cell and the estimated remaining time."""
        self._done += 1
        self._left -= self._weight(record.cell)
        if record.status == "ok":
            self._measured_weight += self._weight(record.cell)
            self._busy_s += record.spent_s
        fields: dict[str, Scalar] = {
            "matrix": self._matrix,
            "cell": key(record.cell),
            "outcome": outcome_of(record),
            "done": self._done,
            "total": self._total,
        }
        position = f"[{self._done}/{self._total}]"
        self._print(
            f"{position} {fields['matrix']} {fields['cell']} {fields['outcome']}, {self._estimate()} left", fields
        )

    def _estimate(self) -> str:
        if not self._measured_weight:
            return "about an unknown time"
        left_s = self._busy_s * self._left / self._measured_weight
        return f"about {left_s:.0f} s" if left_s < 100 else f"about {left_s / 60:.0f} min"

    def _print(self, text: str, fields: dict[str, Scalar] | None = None) -> None:
        print(text, flush=True)
        write_lines(self._path, [{"unix": time.time(), "text": text, **(fields or {})}], "a")


def outcome_of(record: Record) -> str:
    """Return the outcome of a cell in words, such as `ok, 10 samples in 2.0 s`."""
    if record.status != "ok":
        return f"{record.status}: {record.reason}"
    if not record.contended:
        return f"ok, exact, in {record.spent_s:.1f} s"
    text = f"ok, {_count(len(record.contended), 'sample')} in {record.timed_s:.1f} s"
    contended = sum(map(bool, record.contended))
    text += f", {contended} of them contended" if contended else ""
    return text + (f", not counted: {record.exact[UNCOUNTED]}" if UNCOUNTED in record.exact else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@dataclass
class LedgerLine:
    """How one `measure_matrix` spent its time, in seconds; no second is counted twice (see `Record`)."""

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
    """Adds up how one `measure_matrix` spends its time, for the file ledger.jsonl beside the journal."""

    def __init__(self, settings: Settings, matrix: str) -> None:
        self._line = LedgerLine(matrix, settings.commit, settings.environment, time.time())
        self._path = Path(settings.journal) / "ledger.jsonl"

    def count(self, record: Record) -> None:
        """Add the times of a cell that was measured in this run."""
        self._line.cells += 1
        self._line.timed_s += record.timed_s
        self._line.exact_s += record.exact_s
        self._line.warmup_s += record.warmup_s
        self._line.untimed_s += record.untimed_s
        self._line.failed += record.failed

    def write(self, loading_s: float, resumed: int) -> None:
        """Write the line, with the seconds of loading and the number of cells that an earlier run measured."""
        self._line.ended_unix, self._line.loading_s, self._line.resumed = time.time(), loading_s, resumed
        write_lines(self._path, [asdict(self._line)], "a")
