"""The outcome file beside each result file of asv: status, reason and host of every measured cell.

asv stores a number, None for a failure, or NaN for what is not applicable or was never requested; it does not store
reasons. Each result file therefore has an outcome file of the same name and another suffix, which asv ignores and
which is copied along with the results. It is JSON lines, one for each matrix: `host` describes where the matrix was
measured, and `cells` holds `status`, `reason` and time of the end (`unix`, in seconds) of each cell. The line of the
matrix `BUILD` says why the commit could not be built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from asv.results import get_filename

from benchmarks.harness.cells import key
from benchmarks.harness.files import read_lines, write_lines
from benchmarks.harness.stored import OUTCOMES_SUFFIX
from scripts.tracker.running.benchmark_cells import CellId

BUILD = "<build>"
"""Name, in place of a matrix, of the line about a failed build."""
Outcome = Mapping[str, Any]
"""`status`, `reason` and `unix` of one cell."""


class CellOutcomes:
    """The outcome file of one result file. Malformed lines are skipped; `damaged` says whether there were any."""

    def __init__(self, results_dir: str, machine: str, commit: str, environment: str) -> None:
        self.path = Path(results_dir, get_filename(machine, commit, environment)).with_suffix(OUTCOMES_SUFFIX)
        lines = read_lines(self.path)
        sound = [line for line in lines if _is_sound(line)]
        self.damaged = len(sound) < len(lines)
        self._lines = {line["matrix"]: line for line in sound}

    @classmethod
    def of(cls, results_dir: str, result: Any) -> CellOutcomes:
        """Return the outcome file of *result*, one of asv's results in the folder *results_dir*."""
        return cls(results_dir, result.params["machine"], result.commit_hash, result.env_name)

    @property
    def hosts(self) -> dict[str, Mapping[str, Any]]:
        """Host facts of the last measurement of each matrix."""
        return {matrix: line["host"] for matrix, line in self._lines.items() if "host" in line}

    @property
    def build_failure(self) -> str:
        """Reason why the commit could not be built; empty if it was built, or if nobody tried."""
        return str(self._lines.get(BUILD, {}).get("reason", ""))

    def outcome(self, cell_id: CellId) -> Outcome | None:
        """Return the outcome of a cell; None if no run of asv has measured it."""
        matrix, cell = cell_id
        found: Outcome | None = self._lines.get(matrix, {}).get("cells", {}).get(cell)
        return found

    def add(self, journal: Iterable[Path], cell_ids: set[CellId]) -> None:
        """Add the records of the cells *cell_ids* from the *journal* files; the commit has been built."""
        self._lines.pop(BUILD, None)
        for path in journal:
            for record in read_lines(path):
                if "cell" in record and (record["matrix"], key(record["cell"])) in cell_ids:
                    self._add_record(record)
        self._write()

    def add_build_failure(self, reason: str) -> None:
        """Store why the commit could not be built."""
        self._lines[BUILD] = {"matrix": BUILD, "reason": reason}
        self._write()

    def _add_record(self, record: Mapping[str, Any]) -> None:
        line = self._lines.setdefault(record["matrix"], {"matrix": record["matrix"]})
        line["host"] = record["host"]
        reason = record["reason"] or record["exact"].get("uncounted", "")
        outcome = {"status": record["status"], "reason": reason, "unix": record["ended_unix"]}
        line.setdefault("cells", {})[key(record["cell"])] = outcome

    def _write(self) -> None:
        write_lines(self.path, [self._lines[matrix] for matrix in sorted(self._lines)], "w")


def _is_sound(line: Mapping[str, Any]) -> bool:
    """Return whether *line* has a matrix, entries of the right types, and a host or a reason."""
    types = {"matrix": str, "host": dict, "cells": dict, "reason": str}
    well_typed = all(isinstance(line[name], expected) for name, expected in types.items() if name in line)
    return well_typed and "matrix" in line and ("host" in line or "reason" in line)


def journal_files(journal: Path, commit: str, environment: str) -> list[Path]:
    """Return the files in the folder *journal* that belong to *commit* in *environment*."""
    stem = Path(get_filename("", commit, environment)).stem
    return sorted(journal.glob(f"{stem}-*.jsonl"))
