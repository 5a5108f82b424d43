"""Renames series in stored results, so that a renamed series keeps its history."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from asv.console import log
from asv.util import UserError

from benchmarks.harness.files import NotWritable, write_lines
from benchmarks.harness.series import Series
from benchmarks.harness.suite import all_series
from scripts.tracker.history.renamed_series import RENAMED

Json = dict[str, Any]

_CONVERTED = {
    "result": "result",
    "samples": "samples",
    "stats_ci_99_a": "stats_ci_99_b",
    "stats_ci_99_b": "stats_ci_99_a",
    "stats_q_25": "stats_q_75",
    "stats_q_75": "stats_q_25",
}
"""asv's columns of values, and the column each is converted from: shortfalls turn lower bounds into upper ones."""


def migrate(results_dir: str, say: Callable[[str], None] = log.info) -> int:
    """Rename series in asv's files in *results_dir*; return the number of result files that were changed.

    Files are replaced atomically, and only if there is something to rename. Unreadable files are left alone; asv
    reports them. If a result has a series under both names, both stay, and asv reads the present one. *say* is called
    with a sentence if files were changed.

    Raises:
        UserError: a file with former names cannot be replaced.
    """
    folder = Path(results_dir)
    results = (path for path in sorted(folder.glob("*/*.json")) if path.name != "machine.json")
    count = sum([_change(path, _rename_results) for path in results])
    if (folder / "benchmarks.json").is_file():
        _change(folder / "benchmarks.json", _rename_descriptions)
    if count:
        say(f"Renamed series in {count} result file{'' if count == 1 else 's'}, as track_vae to track_time_vae.")
    return count


def _change(path: Path, change: Callable[[Json], Json]) -> bool:
    """Replace the JSON in the file *path* by the result of *change*; return whether the two differ."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        changed = change(data)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False
    if changed is data:
        return False
    try:
        write_lines(path, [changed], "w")
    except NotWritable as error:
        raise UserError(
            f"{path} has former names of series and cannot be replaced: {error.__cause__}. Make the folder writable or "
            "free some space, then give the same command again."
        ) from error
    return True


def _rename_results(data: Json) -> Json:
    """Return the content *data* of a result file with the present names; *data* itself if nothing changes."""
    results: Json = data["results"]
    if not any(name in results and RENAMED[name] not in results for name in RENAMED):
        return data
    renamed = {}
    for name, row in results.items():
        present = RENAMED.get(name, name)
        if present in results:
            renamed[name] = row
        else:
            renamed[present] = _converted(row, data["result_columns"], all_series()[present])
    return {**data, "results": renamed}


def _converted(row: Sequence[Any], columns: Sequence[str], series: Series) -> list[Any]:
    """Return *row*, which was stored under a former name, with the values that *series* publishes today."""
    if series.shortfall_of is None:
        return list(row)
    found = dict(zip(columns, row, strict=False))
    return [
        _each(found.get(_CONVERTED[column]), series.value) if column in _CONVERTED else value
        for column, value in found.items()
    ]


def _each(values: Any, convert: Callable[[float], float]) -> Any:
    """Return *values*, numbers in nested lists, with *convert* applied to each; None stays."""
    if isinstance(values, list):
        return [_each(value, convert) for value in values]
    return None if values is None else convert(values)


def _rename_descriptions(data: Json) -> Json:
    """Return asv's descriptions of benchmarks with the present names, types and units; *data* itself if unchanged.

    asv writes the descriptions when it measures, and reads them when it publishes.
    """
    described: Json = {}
    for name, entry in data.items():
        present = RENAMED.get(name, name)
        series = all_series().get(present)
        if present != name and present in data:
            continue
        described[present] = entry
        if series is not None:
            described[present] = {**entry, "name": present, "type": series.type, "unit": series.unit}
    return data if described == data else described
