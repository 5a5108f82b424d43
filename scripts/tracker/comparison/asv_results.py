"""Puts the samples of a comparison into asv's files, so that its own commands and pages have them."""

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
"""Of more samples so many are kept, evenly spread over the comparison."""


class AsvResultWriter:
    """asv's results folder, for one machine and environment."""

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
        """Add the *samples* of *side* to what asv has of its commit; return the file's name.

        They replace what asv had of the same cells; the others stay.
        """
        results = self._open(side)
        now = datetime.now(UTC)
        for name, cells in self._by_benchmark(samples).items():
            benchmark = self._benchmarks[name]
            results.add_result(
                benchmark, _result(benchmark, cells), started_at=now, record_samples=True, selected_idx=set(cells)
            )
        results.save(self._surroundings.conf.results_dir)
        return str(results._filename)

    def _open(self, side: Side) -> Any:
        environment, repo = self._surroundings.environment, self._surroundings.repo
        params = {**vars(self._machine), "python": environment.python, **environment.requirements}
        results = Results(
            params,
            environment.requirements,
            side.commit.hash,
            repo.get_date(side.commit.hash),
            environment.python,
            environment.name,
            environment.env_vars,
        )
        results.load_data(self._surroundings.conf.results_dir)
        return results

    def _by_benchmark(
        self, samples: Sequence[tuple[CellComparison, dict[str, list[float]]]]
    ) -> dict[str, dict[int, list[float]]]:
        found: dict[str, dict[int, list[float]]] = {}
        for comparison, values in samples:
            for name, taken in values.items():
                series = comparison.series.get(name)
                if series is not None and series.benchmark in self._benchmarks:
                    found.setdefault(series.benchmark, {})[series.index] = spread_evenly(taken)
        return found


def spread_evenly(values: Sequence[float], most: int = MAX_SAMPLES) -> list[float]:
    """Return at most *most* of *values*, evenly spread, in their order."""
    if len(values) <= most:
        return list(values)
    return [values[place * len(values) // most] for place in range(most)]


def _result(benchmark: dict[str, Any], cells: dict[int, list[float]]) -> Any:
    count = math.prod(len(values) for values in benchmark["params"])
    return BenchmarkResult(
        result=[cells[place][0] if place in cells else math.nan for place in range(count)],
        samples=[cells.get(place) for place in range(count)],
        number=[1 if place in cells else None for place in range(count)],
        errcode=0,
        stderr="",
        profile=None,
    )
