"""What asv has saved already: it writes the results of a commit once, when all of them are there."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from benchmarks.harness.settings import Settings

_RESULTS_DIR = re.compile(r'"results_dir"\s*:\s*"([^"]+)"')


def last_saved_unix(settings: Settings, matrix: str) -> float:
    """Return when asv took over the records of *matrix* that it saved last for this commit and environment.

    Seconds since the epoch, 0.0 if it has saved none: records that are older are in asv's files. Results
    without a number in them do not count, there is nothing in them to be kept.
    """
    times = [
        _started(data, matrix)
        for path in _candidates(settings)
        if (data := _load(path)) is not None
        and data.get("commit_hash") == settings.commit
        and data.get("env_name") == settings.environment
    ]
    return max(times, default=0.0)


def _candidates(settings: Settings) -> list[Path]:
    """Return the result files of the commit, in every results folder that an asv configuration names."""
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
    """Return asv's names of this machine, as results may have come from others; None if it has none."""
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
    """Tell results from failures (None) and n/a (NaN)."""
    return any(value is not None and not math.isnan(value) for value in values or ())


def _load(path: Path) -> dict[str, Any] | None:
    """Return a file's JSON object; None if there is none, or it is being written just now."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return data if isinstance(data, dict) else None
