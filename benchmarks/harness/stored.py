"""When asv last saved the results of each cell; asv saves all results of a commit together, at the end."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.files import read_lines
from benchmarks.harness.settings import Settings

_RESULTS_DIR = re.compile(r'"results_dir"\s*:\s*"([^"]+)"')


OUTCOMES_SUFFIX = ".hosts.jsonl"
"""Suffix of the file beside a result file of asv that has the outcome of each cell, a line a matrix."""


@dataclass(frozen=True)
class Saved:
    """When the saved records of a matrix ended, in seconds since the epoch.

    Attributes:
        cells: that time by the key of the cell.
        otherwise: that time for all other cells: 0.0 if nothing of them is saved. Results without an outcomes file
            have only one time for all cells.
    """

    cells: Mapping[str, float]
    otherwise: float = 0.0

    def unix(self, cell: str) -> float:
        """Return when the saved record of *cell* ended; 0.0 if none is saved."""
        return self.cells.get(cell, self.otherwise)


def saved(settings: Settings, matrix: str) -> Saved:
    """Return when asv has saved records of *matrix* for this commit, environment and machine.

    Results that contain no number are ignored.
    """
    cells: dict[str, float] = {}
    times = [0.0]
    for path in _candidates(settings):
        data = _load(path)
        if data is None or (data.get("commit_hash"), data.get("env_name")) != (settings.commit, settings.environment):
            continue
        outcomes = _outcomes(path.with_suffix(OUTCOMES_SUFFIX), matrix)
        if outcomes is None:
            times.append(_started(data, matrix))
        else:
            cells |= {cell: max(outcome["unix"], cells.get(cell, 0.0)) for cell, outcome in outcomes.items()}
    return Saved(cells, max(times))


def _outcomes(outcomes: Path, matrix: str) -> Mapping[str, Any] | None:
    """Return the outcomes of the cells of *matrix*; None if the outcomes file lacks the matrix."""
    return next((line.get("cells") for line in read_lines(outcomes) if line.get("matrix") == matrix), None)


def _candidates(settings: Settings) -> list[Path]:
    """Return the result files of the commit in the results folders of all asv configurations."""
    conf_dir = Path(settings.conf_dir)
    folders = {
        conf_dir / name
        for configuration in (*conf_dir.glob("*.json"), *conf_dir.glob("*.jsonc"))
        for name in _RESULTS_DIR.findall(configuration.read_text(encoding="utf-8", errors="replace"))
    }
    machines = machines_here()
    return [
        path
        for folder in folders
        for path in folder.glob(f"*/{settings.commit[:8]}-*.json")
        if machines is None or path.parent.name in machines
    ]


def machines_here() -> set[str] | None:
    """Return asv's names of this machine; None if it has none. Results of other machines are ignored."""
    data = _load(Path("~/.asv-machine.json").expanduser())
    return None if data is None else set(data) - {"version"}


def _started(data: dict[str, Any], matrix: str) -> float:
    rows = [
        dict(zip(data["result_columns"], row, strict=False))
        for name, row in data["results"].items()
        if name.startswith(f"{matrix}.")
    ]
    return max((row["started_at"] for row in rows if _has_a_number(row["result"])), default=0.0) / 1000


def _has_a_number(values: list[float | None] | None) -> bool:
    """Return whether one of *values* is a number, rather than a failure (None) or n/a (NaN)."""
    return any(value is not None and not math.isnan(value) for value in values or ())


def _load(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file; None if the file does not exist or is just being written."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return data if isinstance(data, dict) else None
