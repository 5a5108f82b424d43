"""Summarizes what the time of a run was spent on, from the ledger that the benchmarks write."""

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
"""Parts of the time in the summary, and the field of `LedgerLine` of each, in seconds."""


def journal_folder(configuration: Path) -> Path:
    """Return the folder of journal and ledger: ``$ACESTEP_BENCH_JOURNAL``, or the default below *configuration*."""
    chosen = os.environ.get("ACESTEP_BENCH_JOURNAL")
    return Path(chosen) if chosen else configuration / ".asv" / "journal"


def read_ledger(folder: Path, since_unix: float) -> list[LedgerLine]:
    """Return the lines of matrices that began at *since_unix* (seconds) or later; none if there is no ledger.

    Fields that only an older version of the benchmarks wrote are ignored.
    """
    known = {field.name for field in fields(LedgerLine)}
    return [
        LedgerLine(**{name: value for name, value in line.items() if name in known})
        for line in read_lines(folder / "ledger.jsonl")
        if line["started_unix"] >= since_unix
    ]


def summary(lines: Sequence[LedgerLine], elapsed_s: float, building_s: float = 0.0) -> str | None:
    """Return one line about the *elapsed_s* seconds of a run; None if nothing was measured.

    *building_s* of them were spent on building commits and making environments. The shares are whole percents that add
    up to 100; the remainder is asv's own.
    """
    if not lines:
        return None
    spent_s = {part: sum(getattr(line, name) for line in lines) for part, name in PARTS.items()}
    spent_s["building"] = building_s
    spent_s["asv"] = max(0.0, elapsed_s - sum(spent_s.values()))
    listed = ", ".join(f"{part} {share} %" for part, share in shares(spent_s).items())
    cells = sum(line.cells for line in lines)
    resumed = sum(line.resumed for line in lines)
    kept = f", {resumed} more kept from an earlier run" if resumed else ""
    return (
        f"Measuring took {elapsed_s:.0f} s: {listed}; "
        f"{cells} cell{'' if cells == 1 else 's'}{kept}, {sum(line.failed for line in lines)} failed."
    )


def shares(parts: Mapping[str, float]) -> dict[str, int]:
    """Return the share of each part in whole percents, which add up to 100 (largest remainder method)."""
    total = sum(parts.values()) or 1.0
    exact = {part: 100 * value / total for part, value in parts.items()}
    rounded = {part: int(value) for part, value in exact.items()}
    by_remainder = sorted(parts, key=lambda part: rounded[part] - exact[part])
    for part in by_remainder[: 100 - sum(rounded.values())]:
        rounded[part] += 1
    return rounded
