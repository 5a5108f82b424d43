"""What was measured: asv's graphs and result files as environments that hold series over revisions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, product
from typing import Any

from asv.results import iter_results

from scripts.site.changes import SAME_OUTPUT, Change, Point, Step, exact_changes, last_change, last_exact_change
from scripts.site.names import DISTANCE_UNIT, EXACT_UNITS, OUTPUT_UNIT, series_order

Key = tuple[tuple[str, str | None], ...]
"""Machine and environment of a graph as asv tells them apart: sorted (name, value) pairs."""


@dataclass
class Series:
    """One curve: a benchmark with one combination of its parameters, on one machine and environment.

    *cell* holds (name, ``repr`` of the value) pairs, *points* the values by revision, ascending.
    """

    benchmark: str
    unit: str
    index: int | None
    cell: tuple[tuple[str, str], ...]
    points: dict[int, Point]
    steps: list[Step]
    graph: Any = field(repr=False)

    @property
    def exact(self) -> bool:
        """Whether equal work gives equal values."""
        return self.unit in EXACT_UNITS

    @property
    def tolerance(self) -> float:
        """Relative difference that is none, for an exact series."""
        return SAME_OUTPUT if self.unit == OUTPUT_UNIT else 0.0

    @property
    def least(self) -> float:
        """Difference that is none, in the unit of an exact series: a distance is relative already."""
        return SAME_OUTPUT if self.unit == DISTANCE_UNIT else 0.0

    def last_change(self) -> Change | None:
        """When the series last left a level, see `changes`; None with fewer than two commits."""
        if self.exact:
            return last_exact_change(self.points, self.tolerance, self.least)
        return last_change(self.points, self.steps)

    def exact_changes(self) -> list[Change]:
        """Every difference between neighbouring commits, oldest first."""
        return exact_changes(self.points, self.tolerance, self.least)


@dataclass
class Environment:
    """All series of one machine and environment, and the *revisions* at which they were run, ascending.

    *latest* is the result file of the newest revision.
    """

    parameters: dict[str, str | None]
    series: list[Series]
    revisions: list[int]
    latest: Any

    @property
    def machine(self) -> str:
        """Name of the machine."""
        return self.parameters.get("machine") or "unknown machine"


def read_environments(
    results_dir: str, benchmarks: Mapping[str, Any], graphs: Any, revisions: Mapping[str, int]
) -> list[Environment]:
    """Everything that asv is about to publish, the most recently measured environment first.

    The values and steps are those of asv's graphs; the sample intervals come from the result files.
    """
    measured = [graph for _, graph in graphs if "summary" not in graph.params and graph.benchmark_name in benchmarks]
    names = sorted({name for graph in measured for name in graph.params if name != "branch"})
    results = [result for result in iter_results(results_dir) if result.commit_hash in revisions]
    intervals = _intervals(results, names, benchmarks, revisions)
    by_place = {(_result_key(result, names), revisions[result.commit_hash]): result for result in results}
    measured.sort(key=lambda graph: series_order(graph.benchmark_name))
    environments = []
    for _, group in groupby(sorted(measured, key=_place), key=_place):
        curves = list(group)
        run = sorted({revision for graph in curves for revision in graph.data_points})
        series = [one for graph in curves for one in _series_of(graph, benchmarks[graph.benchmark_name], intervals)]
        latest = by_place[_without_branch(curves[0].params), run[-1]]
        environments.append(Environment(curves[0].params, series, run, latest))
    return sorted(environments, key=lambda environment: -environment.revisions[-1])


def _place(graph: Any) -> str:
    """Machine, environment and branch of a graph, to group by."""
    return str(sorted(graph.params.items()))


def _series_of(graph: Any, benchmark: Mapping[str, Any], intervals: _Intervals) -> Iterator[Series]:
    data, steps = graph.get_data(), graph.get_steps()
    names, combinations = benchmark["param_names"], list(product(*benchmark["params"]))
    parametrised = bool(benchmark["params"])
    environment = _without_branch(graph.params)
    for index, combination in enumerate(combinations):
        points = {}
        for revision, values, *_ in data:
            value = values[index] if parametrised else values
            if value is not None and math.isfinite(value):
                low, high = intervals.get((environment, revision, benchmark["name"], index), (None, None))
                points[revision] = Point(value, low, high)
        if not points:
            continue
        found = steps[index] if parametrised else steps
        yield Series(
            benchmark=benchmark["name"],
            unit=benchmark.get("unit") or "",
            index=index if parametrised else None,
            cell=tuple(zip(names, combination, strict=True)),
            points=points,
            steps=[Step(first, end - 1, value) for first, end, value, _least, _error in found],
            graph=graph,
        )


_Intervals = dict[tuple[Key, int, str, int], tuple[float, float]]


def _intervals(
    results: Iterable[Any], names: list[str], benchmarks: Mapping[str, Any], revisions: Mapping[str, int]
) -> _Intervals:
    """Interval of the samples behind every value: asv's 99 % interval, else the quartiles."""
    found: _Intervals = {}
    for result in results:
        where = _result_key(result, names), revisions[result.commit_hash]
        for name in result.get_result_keys(benchmarks):
            for index, stats in enumerate(result.get_result_stats(name, benchmarks[name]["params"])):
                interval = _interval(stats or {})
                if interval:
                    found[(*where, name, index)] = interval
    return found


def _interval(stats: Mapping[str, float]) -> tuple[float, float] | None:
    for low_name, high_name in (("ci_99_a", "ci_99_b"), ("q_25", "q_75")):
        low, high = stats.get(low_name), stats.get(high_name)
        if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
            return low, high
    return None


def _without_branch(parameters: Mapping[str, str | None]) -> Key:
    return tuple(sorted((name, value) for name, value in parameters.items() if name != "branch"))


def _result_key(result: Any, names: list[str]) -> Key:
    """The parameters of a result file, spelled as asv spells those of its graphs."""
    stored = {name: value or "" for name, value in result.params.items()}
    stored |= {f"env-{name}": value for name, value in result.env_vars.items()}
    return tuple((name, stored.get(name)) for name in names)
