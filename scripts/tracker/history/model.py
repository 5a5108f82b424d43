"""Reads asv's result files as environments that contain series of values over revisions."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

from asv.graph import Graph
from asv.results import iter_results

from benchmarks.harness.series_types import DISTANCE, EXACT_TYPES, FINGERPRINT
from scripts.tracker.history.changes import SAME_OUTPUT, Change, Point, exact_changes, latest, level_changes
from scripts.tracker.history.host_facts import breaks, read_facts
from scripts.tracker.labels import series_order
from scripts.tracker.statistics.changepoints import SMALLEST_CHANGE

Parameters = dict[str, str | None]
"""Parameters of machine and environment, as asv distinguishes graphs; a missing one is None."""


@dataclass
class Series:
    """The values of a benchmark with one combination of its parameters, on one machine and environment.

    Attributes:
        benchmark: asv's name of the benchmark.
        type: one of `benchmarks.harness.series_types`.
        unit: unit of the values.
        index: index of the combination of parameters; None without parameters.
        cell: the parameters as (name, ``repr`` of the value) pairs.
        points: the values by revision, ascending.
        graph: asv's graph, without its values.
        breaks: the first revisions measured under other conditions; nothing is compared across them.
        smallest: smallest relative change that is reported.
    """

    benchmark: str
    type: str
    unit: str
    index: int | None
    cell: tuple[tuple[str, str], ...]
    points: dict[int, Point]
    graph: Any = field(repr=False)
    breaks: tuple[int, ...] = ()
    smallest: float = SMALLEST_CHANGE

    @property
    def name(self) -> str:
        """asv's name of the series: the benchmark, with the values of its parameters if it has some."""
        return entry_name(self.benchmark, self.cell)

    @property
    def exact(self) -> bool:
        """Whether the values are exact, without noise."""
        return self.type in EXACT_TYPES

    @property
    def tolerance(self) -> float:
        """Largest relative difference of an exact series that is no change."""
        return SAME_OUTPUT if self.type == FINGERPRINT else 0.0

    @property
    def least(self) -> float:
        """Largest absolute difference of an exact series that is no change; a distance is relative already."""
        return SAME_OUTPUT if self.type == DISTANCE else 0.0

    @cached_property
    def changes(self) -> list[Change]:
        """The changes of the level, oldest first; for an exact series, the differences between neighbours."""
        if self.exact:
            return exact_changes(self.points, self.breaks, self.tolerance, self.least)
        return level_changes(self.points, self.breaks, self.smallest)

    def last_change(self) -> Change | None:
        """Return the last change, see `changes.latest`; None with fewer than two commits."""
        return latest(self.points, self.changes)


@dataclass
class Environment:
    """All series of one machine and environment.

    Attributes:
        parameters: the parameters of machine and environment.
        series: the series.
        revisions: the measured revisions, ascending.
        latest: asv's result of the newest revision.
        breaks: revisions from which on the host facts differ, with texts such as ``torch 2.12.0 → 2.13.0``.
    """

    parameters: Parameters
    series: list[Series]
    revisions: list[int]
    latest: Any
    breaks: dict[int, str] = field(default_factory=dict)

    @property
    def machine(self) -> str:
        """The name of the machine."""
        return self.parameters.get("machine") or "unknown machine"


def read_environments(
    conf: Any, repo: Any, benchmarks: Mapping[str, Any], revisions: Mapping[str, int]
) -> list[Environment]:
    """Return everything that asv publishes of the commits in *revisions*, the environment with the newest commit first.

    As on asv's pages, a commit counts for the branches that contain it, and a value only if the version of its
    benchmark is the present one.
    """
    results = sorted(
        (result for result in iter_results(conf.results_dir) if result.commit_hash in revisions),
        key=lambda result: revisions[result.commit_hash],
    )
    branches = {repo.get_branch_name(branch): set(repo.get_branch_commits(branch)) for branch in conf.branches}
    names = sorted({name for result in results for name in _stored(result)})
    by_parameters: dict[tuple[tuple[str, str | None], ...], dict[int, Any]] = {}
    for result in results:
        if not result.get_result_keys(benchmarks):
            continue
        stored = _stored(result)
        for branch, commits in branches.items():
            if result.commit_hash in commits:
                parameters = (*((name, stored.get(name)) for name in names), ("branch", branch))
                by_parameters.setdefault(parameters, {})[revisions[result.commit_hash]] = result
    reader = _Reader(conf, benchmarks)
    environments = [
        reader.environment(dict(parameters), by_parameters[parameters]) for parameters in sorted(by_parameters, key=str)
    ]
    return sorted(environments, key=lambda environment: -environment.revisions[-1])


def _stored(result: Any) -> Parameters:
    """Return the parameters of a result under the names that asv gives those of its graphs."""
    stored = {name: value or "" for name, value in result.params.items()}
    return stored | {f"env-{name}": value for name, value in result.env_vars.items()}


class _Reader:
    """Builds environments from their results."""

    def __init__(self, conf: Any, benchmarks: Mapping[str, Any]) -> None:
        self._results_dir = conf.results_dir
        self._thresholds = {re.compile(name): float(size) for name, size in conf.regressions_thresholds.items()}
        self._benchmarks = {name: benchmarks[name] for name in sorted(benchmarks, key=series_order)}

    def environment(self, parameters: Parameters, results: dict[int, Any]) -> Environment:
        """Return the environment of *parameters*; *results* are by revision, ascending."""
        facts = {revision: read_facts(self._results_dir, result) for revision, result in results.items()}
        matrices = {name.partition(".")[0] for name in self._benchmarks}
        broken = {matrix: breaks([(at, found.get(matrix, {})) for at, found in facts.items()]) for matrix in matrices}
        series = [
            one
            for name in self._benchmarks
            for one in self._series(name, parameters, results, tuple(broken[name.partition(".")[0]]))
        ]
        changed: dict[int, str] = {}
        for matrix in sorted(matrices):
            changed = broken[matrix] | changed
        return Environment(parameters, series, list(results), list(results.values())[-1], changed)

    def _series(
        self, name: str, parameters: Parameters, results: dict[int, Any], broken: tuple[int, ...]
    ) -> Iterator[Series]:
        benchmark = self._benchmarks[name]
        combinations = list(product(*benchmark["params"]))
        points: list[dict[int, Point]] = [{} for _ in combinations]
        for revision, result in results.items():
            for index, point in enumerate(_points(result, benchmark)):
                if point is not None:
                    points[index][revision] = point
        graph = Graph(name, parameters)
        for index, combination in enumerate(combinations):
            if not points[index]:
                continue
            cell = tuple(zip(benchmark["param_names"], combination, strict=True))
            yield Series(
                benchmark=name,
                type=benchmark["type"],
                unit=benchmark.get("unit") or "",
                index=index if benchmark["params"] else None,
                cell=cell,
                points=points[index],
                graph=graph,
                breaks=broken,
                smallest=self._smallest(f"{entry_name(name, cell)}@{parameters['branch']}"),
            )

    def _smallest(self, entry: str) -> float:
        """Return the largest of asv's ``regressions_thresholds`` whose pattern matches *entry*, as asv does."""
        sizes = [size for name, size in self._thresholds.items() if name.match(entry)]
        return max(sizes, default=SMALLEST_CHANGE)


def entry_name(benchmark: str, cell: tuple[tuple[str, str], ...]) -> str:
    """Return asv's name of *benchmark* with one combination of its parameters."""
    return f"{benchmark}({', '.join(value for _, value in cell)})" if cell else benchmark


def _points(result: Any, benchmark: Mapping[str, Any]) -> list[Point | None]:
    """Return the values of one result for every combination of the parameters of *benchmark*; [] if it was not run."""
    name = benchmark["name"]
    if name not in result.get_result_keys({name: benchmark}):
        return []
    values = result.get_result_value(name, benchmark["params"])
    stats = result.get_result_stats(name, benchmark["params"])
    return [
        _point(value, one or {}) if value is not None and math.isfinite(value) else None
        for value, one in zip(values, stats, strict=True)
    ]


def _point(value: float, stats: Mapping[str, float]) -> Point:
    low, high = _interval(stats)
    return Point(value, low, high, median_error(stats))


def _interval(stats: Mapping[str, float]) -> tuple[float, float] | tuple[None, None]:
    """Return the interval of the samples behind a value: asv's 99 % confidence interval, else the quartiles."""
    for low_name, high_name in (("ci_99_a", "ci_99_b"), ("q_25", "q_75")):
        low, high = stats.get(low_name), stats.get(high_name)
        if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
            return low, high
    return None, None


def median_error(stats: Mapping[str, float]) -> float:
    """Return the standard error of a median of normal samples, from their quartiles and number; 0.0 without them.

    The quartiles of a normal distribution are 1.349 standard deviations apart, and the median of n samples has a
    standard error of sqrt(pi / 2 / n) standard deviations.
    """
    low, high, count = stats.get("q_25"), stats.get("q_75"), stats.get("repeat")
    if low is None or high is None or not count:
        return 0.0
    return (high - low) / 1.349 * math.sqrt(math.pi / 2 / count)
