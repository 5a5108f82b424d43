"""How much of a run's time was spent measuring, from the ledger that the benchmarks keep."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.files import read_lines
from benchmarks.harness.progress import LedgerLine


def journal_folder(configuration: Path) -> Path:
    """Where the benchmarks keep journal and ledger: ``$ACESTEP_BENCH_JOURNAL``, else under *configuration*."""
    chosen = os.environ.get("ACESTEP_BENCH_JOURNAL")
    return Path(chosen) if chosen else configuration / ".asv" / "journal"


def read_ledger(folder: Path, since_unix: float) -> list[LedgerLine]:
    """The lines of the matrices that began at *since_unix* or later; none if there is no ledger."""
    lines = [LedgerLine(**line) for line in read_lines(folder / "ledger.jsonl")]
    return [line for line in lines if line.started_unix >= since_unix]


def summary(lines: Sequence[LedgerLine], elapsed_s: float) -> str | None:
    """One line on where the *elapsed_s* seconds of a run went; None if there was nothing to measure."""
    if not lines:
        return None
    measuring = sum(line.measuring_s for line in lines)
    warmup = sum(line.warmup_s for line in lines)
    loading = sum(line.loading_s for line in lines)
    rest = max(0.0, elapsed_s - measuring - warmup - loading)
    cells = sum(line.cells for line in lines)
    resumed = sum(line.resumed for line in lines)
    kept = f", {resumed} more kept from an earlier run" if resumed else ""

    def share(seconds: float) -> str:
        return f"{100 * seconds / elapsed_s:.0f} %"

    return (
        f"Measuring took {share(measuring)} of {elapsed_s:.0f} s (warm-up {share(warmup)}, "
        f"loading models {share(loading)}, building and asv {share(rest)}); "
        f"{cells} cell{'' if cells == 1 else 's'}{kept}, {sum(line.failed for line in lines)} failed."
    )
