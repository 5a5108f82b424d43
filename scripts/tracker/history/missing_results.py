"""What the newest measured commit has no value for: failed, or not applicable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from scripts.tracker.history.failures import FailureReasons
from scripts.tracker.labels import cell_text, owner_label, series_label

NOT_CHOSEN = "not chosen for this run"


@dataclass(frozen=True)
class Failure:
    """A cell that failed in some series, or in all of them, and why if that is known."""

    cell: str
    series: tuple[str, ...]
    every: bool
    reason: str | None


@dataclass
class MissingResults:
    """The cells of one benchmark class that lack values.

    *absent* holds the cells without any value by reason; *partly* the series without a value in cells that were
    measured otherwise, by the number of those cells.
    """

    name: str
    cells: int
    failures: list[Failure] = field(default_factory=list)
    absent: dict[str, list[str]] = field(default_factory=dict)
    partly: dict[int, list[str]] = field(default_factory=dict)


def find_missing_results(result: Any, benchmarks: Mapping[str, Any], reasons: FailureReasons) -> list[MissingResults]:
    """The gaps of every benchmark class that has some, in one result file.

    asv stores None for a failure and NaN for what is not applicable; what was not run has no entry.
    """
    owners: dict[str, list[str]] = {}
    for name in benchmarks:
        owners.setdefault(name.rpartition(".")[0], []).append(name)
    found = [_missing_of(owner, names, result, benchmarks, reasons) for owner, names in owners.items()]
    return [gaps for gaps in found if gaps.failures or gaps.absent or gaps.partly]


def _missing_of(
    owner: str, names: list[str], result: Any, benchmarks: Mapping[str, Any], reasons: FailureReasons
) -> MissingResults:
    states: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    run = result.get_result_keys(benchmarks)
    for name in names:
        parameters, labels = benchmarks[name]["params"], benchmarks[name]["param_names"]
        combinations = list(product(*parameters))
        values = result.get_result_value(name, parameters) if name in run else [math.nan] * len(combinations)
        for combination, value in zip(combinations, values, strict=True):
            cell = tuple(zip(labels, combination, strict=True))
            states.setdefault(cell, {})[series_label(name)] = _state(value)
    gaps = MissingResults(owner_label(owner), len(states))
    lacking: dict[str, int] = {}
    for cell, by_series in states.items():
        failed = tuple(series for series, state in by_series.items() if state == "failed")
        absent = [series for series, state in by_series.items() if state == "absent"]
        reason = reasons.of(owner, cell)
        if failed:
            gaps.failures.append(Failure(cell_text(cell), failed, len(failed) == len(by_series), reason))
        if len(absent) == len(by_series):
            gaps.absent.setdefault(reason or NOT_CHOSEN, []).append(cell_text(cell))
        else:
            lacking |= {series: lacking.get(series, 0) + 1 for series in absent}
    for series, cells in lacking.items():
        gaps.partly.setdefault(cells, []).append(series)
    return gaps


def _state(value: float | None) -> str:
    if value is None:
        return "failed"
    return "absent" if math.isnan(value) else "measured"
