"""Writes the samples of a comparison to asv's result files, so that asv's commands and pages show them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from asv.benchmarks import Benchmarks
from asv.results import Results
from asv.runner import BenchmarkResult

from scripts.tracker.comparison.build import BuildEnvironment
from scripts.tracker.comparison.cell import CellComparison
from scripts.tracker.comparison.sides import Side
from scripts.tracker.history.migration import migrate
from scripts.tracker.progress import say
from scripts.tracker.running.stored_results import this_machine

MAX_SAMPLES = 200
"""Largest number of samples stored for a series; of more samples, evenly spaced ones are stored."""


class AsvResultWriter:
    """Writes to asv's results folder for one machine and environment."""

    def __init__(self, build_environment: BuildEnvironment, commits: Sequence[str]) -> None:
        self._surroundings = build_environment
        self._machine = this_machine()
        self._machine.save(build_environment.conf.results_dir)
        migrate(build_environment.conf.results_dir, say)
        self._benchmarks = Benchmarks.discover(
            build_environment.conf, build_environment.repo, [build_environment.environment], list(commits)
        )
        self._benchmarks.save()

    def save(self, side: Side, samples: Sequence[tuple[CellComparison, dict[str, list[float]]]]) -> str:
        """Store the *samples* of *side*, given by cell and series; return the name of the result file.

        They replace the stored numbers of the same cells; numbers of other cells are kept.
        """
        results = self._open(side)
        now = datetime.now(UTC)
        for name, samples_by_index in self._by_benchmark(samples).items():
            benchmark = self._benchmarks[name]
            results.add_result(
                benchmark,
                _result(benchmark, samples_by_index),
                started_at=now,
                record_samples=True,
                selected_idx=set(samples_by_index),
            )
        results.save(self._surroundings.conf.results_dir)
        return str(results._filename)

    def _open(self, side: Side) -> Any:
        environment, repo = self._surroundings.environment, self._surroundings.repo
        params = {**vars(self._machine), "python": environment.python, **environment.requirements}
        results = Results(
            params,
            environment.requirements,
            side.revision.hash,
            repo.get_date(side.revision.hash),
            environment.python,
            environment.name,
            environment.env_vars,
        )
        results.load_data(self._surroundings.conf.results_dir)
        return results

    def _by_benchmark(
        self, samples: Sequence[tuple[CellComparison, dict[str, list[float]]]]
    ) -> dict[str, dict[int, list[float]]]:
        """Return the samples by the name of the benchmark and the index of the cell."""
        found: dict[str, dict[int, list[float]]] = {}
        for comparison, by_series in samples:
            for name, values in by_series.items():
                series = comparison.series.get(name)
                if series is not None and series.benchmark in self._benchmarks:
                    found.setdefault(series.benchmark, {})[series.index] = evenly_spaced(values)
        return found


def evenly_spaced(values: Sequence[float], most: int = MAX_SAMPLES) -> list[float]:
    """Return at most *most* of *values*, evenly spaced, in their order."""
    if len(values) <= most:
        return list(values)
    return [values[index * len(values) // most] for index in range(most)]


def _result(benchmark: dict[str, Any], cells: dict[int, list[float]]) -> Any:
    """Return asv's result of *benchmark* from the samples of its *cells*, by index."""
    count = math.prod(len(values) for values in benchmark["params"])
    return BenchmarkResult(
        result=[cells[index][0] if index in cells else math.nan for index in range(count)],
        samples=[cells.get(index) for index in range(count)],
        number=[1 if index in cells else None for index in range(count)],
        errcode=0,
        stderr="",
        profile=None,
    )
