"""What a run's time was spent on, from the ledger that the benchmarks keep."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from benchmarks.harness.files import read_lines
from benchmarks.harness.progress import LedgerLine

PARTS = {
    "timed samples": "timed_s",
    "exact metrics": "exact_s",
    "warm-up": "warmup_s",
    "untimed work": "untimed_s",
    "loading models": "loading_s",
}
"""What the benchmarks spend time on, and where a line of the ledger has it."""


def journal_folder(configuration: Path) -> Path:
    """Where the benchmarks keep journal and ledger: ``$ACESTEP_BENCH_JOURNAL``, else under *configuration*."""
    chosen = os.environ.get("ACESTEP_BENCH_JOURNAL")
    return Path(chosen) if chosen else configuration / ".asv" / "journal"


def read_ledger(folder: Path, since_unix: float) -> list[LedgerLine]:
    """The lines of the matrices that began at *since_unix* or later; none if there is no ledger.

    What an older version of the benchmarks kept, and this one does not know, is passed over.
    """
    known = {field.name for field in fields(LedgerLine)}
    return [
        LedgerLine(**{name: value for name, value in line.items() if name in known})
        for line in read_lines(folder / "ledger.jsonl")
        if line["started_unix"] >= since_unix
    ]


def summary(lines: Sequence[LedgerLine], elapsed_s: float, building_s: float = 0.0) -> str | None:
    """One line on where the *elapsed_s* seconds of a run went; None if there was nothing to measure.

    *building_s* of them went to building commits and making environments. The shares are in percent and add up to 100;
    asv's is what is left.
    """
    if not lines:
        return None
    spent_s = {part: sum(getattr(line, name) for line in lines) for part, name in PARTS.items()}
    spent_s["building"] = building_s
    spent_s["asv"] = max(0.0, elapsed_s - sum(spent_s.values()))
    told = ", ".join(f"{part} {share} %" for part, share in shares(spent_s).items())
    cells = sum(line.cells for line in lines)
    resumed = sum(line.resumed for line in lines)
    kept = f", {resumed} more kept from an earlier run" if resumed else ""
    return (
        f"Measuring took {elapsed_s:.0f} s: {told}; "
        f"{cells} cell{'' if cells == 1 else 's'}{kept}, {sum(line.failed for line in lines)} failed."
    )


def shares(parts: Mapping[str, float]) -> dict[str, int]:
    """Return each of *parts* in whole percent of all together; they add up to 100.

    Each is rounded down, and what is missing goes to those that lost most by that.
    """
    whole = sum(parts.values()) or 1.0
    exactly = {part: 100 * value / whole for part, value in parts.items()}
    rounded = {part: int(value) for part, value in exactly.items()}
    by_loss = sorted(parts, key=lambda part: rounded[part] - exactly[part])
    for part in by_loss[: 100 - sum(rounded.values())]:
        rounded[part] += 1
    return rounded
