"""Finds the cells and series of the newest measured commit that have no value: failed, or not applicable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from scripts.tracker.history.failures import FailureReasons
from scripts.tracker.labels import cell_text, owner_label, series_label

NOT_CHOSEN = "not chosen for this run"
"""Reason of a cell without a value for which no reason is stored."""


@dataclass(frozen=True)
class Failure:
    """A cell that failed in the given *series*; *every* says whether these are all of its series."""

    cell: str
    series: tuple[str, ...]
    every: bool
    reason: str | None


@dataclass
class MissingResults:
    """The missing values of one benchmark class.

    Attributes:
        name: label of the class.
        cells: number of its cells.
        failures: the cells that failed.
        absent: the cells without any value, by reason.
        partly: the series that lack a value in cells with other values, by the number of those cells.
    """

    name: str
    cells: int
    failures: list[Failure] = field(default_factory=list)
    absent: dict[str, list[str]] = field(default_factory=dict)
    partly: dict[int, list[str]] = field(default_factory=dict)


def find_missing_results(result: Any, benchmarks: Mapping[str, Any], reasons: FailureReasons) -> list[MissingResults]:
    """Return the missing values in one result file, for each benchmark class that has some.

    asv stores None for a failure and NaN for what is not applicable; series that were not run have no entry.
    """
    owners: dict[str, list[str]] = {}
    for name in benchmarks:
        owners.setdefault(name.rpartition(".")[0], []).append(name)
    found = [_missing_of(owner, names, result, benchmarks, reasons) for owner, names in owners.items()]
    return [missing for missing in found if missing.failures or missing.absent or missing.partly]


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
    missing = MissingResults(owner_label(owner), len(states))
    lacking: dict[str, int] = {}
    for cell, by_series in states.items():
        failed = tuple(series for series, state in by_series.items() if state == "failed")
        absent = [series for series, state in by_series.items() if state == "absent"]
        reason = reasons.of(owner, cell)
        if failed:
            missing.failures.append(Failure(cell_text(cell), failed, len(failed) == len(by_series), reason))
        if len(absent) == len(by_series):
            missing.absent.setdefault(reason or NOT_CHOSEN, []).append(cell_text(cell))
        else:
            lacking |= {series: lacking.get(series, 0) + 1 for series in absent}
    for series, cells in lacking.items():
        missing.partly.setdefault(cells, []).append(series)
    return missing


def _state(value: float | None) -> str:
    if value is None:
        return "failed"
    return "absent" if math.isnan(value) else "measured"
