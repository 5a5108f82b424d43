"""Tells how far a matrix is and what it has cost: a line a cell, and a ledger line at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.harness.cells import key
from benchmarks.harness.files import write_lines
from benchmarks.harness.record import Cell, Record


class Progress:
    """Prints a line for each finished cell and adds it to progress.jsonl in *folder*.

    asv shows neither, but takes a line on standard output as a sign of life, and whoever runs asv can follow
    the file. The time left is estimated from the weights of the cells done and to come.
    """

    def __init__(self, matrix: str, cells: list[Cell], weight: Callable[[Cell], float], folder: Path) -> None:
        self._matrix = matrix
        self._total = len(cells)
        self._weight = weight
        self._left = sum(weight(cell) for cell in cells)
        self._done = 0
        self._done_weight = 0.0
        self._log = folder / "progress.jsonl"
        self._start = time.monotonic()

    def resumed(self, count: int, of: int) -> None:
        """Say that *count* of the *of* chosen cells were measured before."""
        if count:
            self._say(f"{self._matrix}: {count} of {of} cells were measured by an earlier run")

    def loading(self) -> None:
        """Say that the models are being loaded."""
        self._say(f"{self._matrix}: loading for {self._total} cells")

    def finished(self, record: Record) -> None:
        """Say what became of a cell and how long the others may take."""
        self._done += 1
        self._done_weight += self._weight(record.cell)
        self._left -= self._weight(record.cell)
        what = (
            f"ok in {record.measuring_s:.1f} s"
            if record.status == "ok"
            else f"{record.status}: {record.reason}"
        )
        self._say(
            f"[{self._done}/{self._total}] {self._matrix} {key(record.cell)} {what}, {self._estimate()} left"
        )

    def _estimate(self) -> str:
        left_s = (time.monotonic() - self._start) * self._left / self._done_weight
        return f"about {left_s:.0f} s" if left_s < 100 else f"about {left_s / 60:.0f} min"

    def _say(self, text: str) -> None:
        print(text, flush=True)
        write_lines(self._log, [{"unix": time.time(), "text": text}], "a")


@dataclass
class LedgerLine:
    """What one `measure_matrix` spent its time on, in seconds; written when it is done."""

    matrix: str
    commit: str
    environment: str
    started_unix: float
    ended_unix: float = 0.0
    measuring_s: float = 0.0
    warmup_s: float = 0.0
    loading_s: float = 0.0
    cells: int = 0
    resumed: int = 0
    failed: int = 0

    def count(self, record: Record) -> None:
        """Add a cell that was measured now."""
        self.cells += 1
        self.measuring_s += record.measuring_s
        self.warmup_s += record.warmup_s
        self.failed += record.status in ("oom", "fail", "timeout")

    def write(self, folder: Path) -> None:
        """Append the line to ledger.jsonl in *folder*."""
        self.ended_unix = time.time()
        write_lines(folder / "ledger.jsonl", [asdict(self)], "a")
