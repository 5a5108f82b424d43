"""What became of each cell, kept beside asv's results.

asv stores a number, or None for a failure, or NaN for what is n/a or was never asked for. So each result file has a
companion of the same name, in a format that asv passes over, which travels with the results. A line of it is about one
matrix: `host` says where it was measured, and `cells` holds the `status`, the `reason` and the end (`unix`, in seconds)
of each cell. The line of the matrix `BUILD` tells why the commit could not be built.
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
Outcome = Mapping[str, Any]
"""The status, the reason and the end of one cell."""


class CellOutcomes:
    """The companion of one result file; lines that it cannot have are left out, and it is `damaged` then."""

    def __init__(self, results_dir: str, machine: str, commit: str, environment: str) -> None:
        self.path = Path(results_dir, get_filename(machine, commit, environment)).with_suffix(OUTCOMES_SUFFIX)
        lines = read_lines(self.path)
        sound = [line for line in lines if _is_sound(line)]
        self.damaged = len(sound) < len(lines)
        self._lines = {line["matrix"]: line for line in sound}

    @classmethod
    def of(cls, results_dir: str, result: Any) -> CellOutcomes:
        """Return the companion of a result of asv."""
        return cls(results_dir, result.params["machine"], result.commit_hash, result.env_name)

    @property
    def hosts(self) -> dict[str, Mapping[str, Any]]:
        """Where each matrix was measured last."""
        return {matrix: line["host"] for matrix, line in self._lines.items() if "host" in line}

    @property
    def build_failure(self) -> str:
        """Why the commit could not be built; empty if it could, or nobody tried."""
        return str(self._lines.get(BUILD, {}).get("reason", ""))

    def outcome(self, cell_id: CellId) -> Outcome | None:
        """Return what became of a cell; None if it was never measured, or by another way than asv's run."""
        matrix, cell = cell_id
        found: Outcome | None = self._lines.get(matrix, {}).get("cells", {}).get(cell)
        return found

    def add(self, journal: Iterable[Path], cell_ids: set[CellId]) -> None:
        """Take over what the *journal* files hold of the cells at *cell_ids*; the commit has been built."""
        self._lines.pop(BUILD, None)
        for path in journal:
            for record in read_lines(path):
                if "cell" in record and (record["matrix"], key(record["cell"])) in cell_ids:
                    self._take(record)
        self._write()

    def add_build_failure(self, reason: str) -> None:
        """Keep why the commit could not be built."""
        self._lines[BUILD] = {"matrix": BUILD, "reason": reason}
        self._write()

    def _take(self, record: Mapping[str, Any]) -> None:
        line = self._lines.setdefault(record["matrix"], {"matrix": record["matrix"]})
        line["host"] = record["host"]
        reason = record["reason"] or record["exact"].get("uncounted", "")
        outcome = {"status": record["status"], "reason": reason, "unix": record["ended_unix"]}
        line.setdefault("cells", {})[key(record["cell"])] = outcome

    def _write(self) -> None:
        write_lines(self.path, [self._lines[matrix] for matrix in sorted(self._lines)], "w")


def _is_sound(line: Mapping[str, Any]) -> bool:
    """Return whether *line* names a matrix, and the host and the cells of it, or why the build failed."""
    kinds = {"matrix": str, "host": dict, "cells": dict, "reason": str}
    told = all(isinstance(line[name], kind) for name, kind in kinds.items() if name in line)
    return told and "matrix" in line and ("host" in line or "reason" in line)


def journal_files(journal: Path, commit: str, environment: str) -> list[Path]:
    """Return the files of the *journal* folder that are of a commit in an environment."""
    stem = Path(get_filename("", commit, environment)).stem
    return sorted(journal.glob(f"{stem}-*.jsonl"))
