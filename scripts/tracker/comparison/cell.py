"""The comparison of one cell: the samples of both sides, the pairs of each round, and the exact metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log
from statistics import median
from typing import Any

import numpy as np

from benchmarks.harness.cells import key
from benchmarks.harness.record import UNCOUNTED, Cell, Scalar, Status
from scripts.tracker.comparison.series_names import CellSeries, series_of
from scripts.tracker.history.changes import SAME_OUTPUT
from scripts.tracker.statistics import interim_looks
from scripts.tracker.statistics.judging import NO_EVIDENCE, Evidence, Table, estimate

OUTPUT_METRICS = ("fingerprint", "distance")
"""The exact metrics that describe the output; all others describe the work."""
MAJOR_SHARE = 0.1
"""Smallest share of its cell's time at which a series gets time of its own. Smaller series get a verdict, too, but the
cell is not sampled longer for them."""


@dataclass(frozen=True)
class CounterDiff:
    """The values of one exact metric on both sides; None where a side does not report it."""

    name: str
    baseline: Scalar | None
    candidate: Scalar | None

    @property
    def is_output(self) -> bool:
        """Whether the metric describes the output rather than the work."""
        return self.name in OUTPUT_METRICS

    @property
    def equal(self) -> bool:
        """Whether the sides agree: output metrics within rounding, all others exactly.

        A failure to count is never equal, so that it is reported even if both sides have it.
        """
        if self.name == UNCOUNTED:
            return False
        if self.is_output and isinstance(self.baseline, float) and isinstance(self.candidate, float):
            return abs(self.candidate - self.baseline) <= SAME_OUTPUT * max(1.0, abs(self.baseline))
        return self.baseline == self.candidate


def counter_diffs(baseline: Mapping[str, Scalar], candidate: Mapping[str, Scalar]) -> list[CounterDiff]:
    """Return the exact metrics that differ, those of *baseline* first."""
    diffs = [CounterDiff(name, baseline.get(name), candidate.get(name)) for name in {**baseline, **candidate}]
    return [diff for diff in diffs if not diff.equal]


@dataclass
class ProcessPair:
    """The pairs of one cell in one round, which one fresh process a side has measured.

    Two processes that run identical code differ a little, and all pairs of a round share that difference.

    Attributes:
        differences: log(candidate time / baseline time) of each pair, by the name of the timed series.
        evidence: evidence of each timed series at its last interim look.
    """

    differences: dict[str, list[float]] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)

    @property
    def pairs(self) -> int:
        """The number of pairs measured."""
        return max(map(len, self.differences.values()), default=0)

    def estimate(self, table: Table) -> None:
        """Update the evidence of each series, a row of *table*, that has reached another interim look."""
        for name, differences in self.differences.items():
            before = self.evidence.get(name, NO_EVIDENCE)
            if len(differences) in interim_looks.SIZES and len(differences) > before.pairs:
                self.evidence[name] = estimate(before, np.array(differences), table)


@dataclass(eq=False)
class CellComparison:
    """One cell of a matrix: the samples of both sides and the pairs of each round.

    Attributes:
        matrix: name of the matrix.
        cell: parameters of the cell.
        series: asv's series of the cell, by their names in the records.
        samples: values of each series, for the baseline and for the candidate.
        rounds: one `ProcessPair` for each round.
        counters: exact metrics of the baseline and of the candidate.
        errors: status and reason of a side that could not be measured, None for a side that could.
        exact: whether the cell has exact metrics alone, and no times.
        spent_s: seconds that sampling the cell has taken.
        contended: for each run whether it waited for a core; None where that is unknown.
    """

    matrix: str
    cell: Cell
    series: Mapping[str, CellSeries]
    samples: tuple[dict[str, list[float]], dict[str, list[float]]] = field(default_factory=lambda: ({}, {}))
    rounds: list[ProcessPair] = field(default_factory=list)
    counters: list[Mapping[str, Scalar]] = field(default_factory=lambda: [{}, {}])
    errors: list[tuple[Status, str] | None] = field(default_factory=lambda: [None, None])
    exact: bool = False
    spent_s: float = 0.0
    contended: list[bool | None] = field(default_factory=list)

    @classmethod
    def of(cls, matrix: str, cell: Cell) -> CellComparison:
        """Return the comparison of *cell* of *matrix* before anything is measured."""
        return cls(matrix, cell, series_of(matrix, cell))

    @property
    def name(self) -> str:
        """The matrix and the cell, for progress messages."""
        return f"{self.matrix} {key(self.cell)}"

    @property
    def timed_series_count(self) -> int:
        """The number of timed series that the cell can have."""
        return sum(series.timed for series in self.series.values())

    @property
    def pairs(self) -> int:
        """The number of pairs of all rounds."""
        return sum(one.pairs for one in self.rounds)

    @property
    def failed(self) -> bool:
        """Whether a side could not be measured: it failed, or it lacks what the cell needs."""
        return any(self.errors)

    def evidence(self, name: str) -> Evidence:
        """Return the evidence of the series *name* in the last round."""
        return self.rounds[-1].evidence.get(name, NO_EVIDENCE) if self.rounds else NO_EVIDENCE

    def evidence_by_round(self, name: str) -> list[Evidence]:
        """Return the evidence of the series *name* in each round."""
        return [one.evidence.get(name, NO_EVIDENCE) for one in self.rounds]

    @property
    def counter_diffs(self) -> list[CounterDiff]:
        """The exact metrics in which the sides differ."""
        return counter_diffs(*self.counters)

    def exact_metrics(self, prepared: Mapping[str, Any], counted: Mapping[str, Any]) -> dict[str, Scalar]:
        """Return the exact metrics in a worker's replies to the requests `prepare` and `count`."""
        series = {name: value for name, value in prepared["series"].items() if prepared["exact"] or self.is_exact(name)}
        companions = counted["exact_metrics"] if counted["status"] == "ok" else {UNCOUNTED: counted["reason"]}
        return {**prepared["work"], **series, **companions}

    def is_exact(self, name: str) -> bool:
        """Return whether the series *name* is an exact metric."""
        return name in self.series and self.series[name].exact

    @property
    def rows(self) -> list[str]:
        """The names of the timed series that both sides have, those with the longest time first."""
        baseline = self.samples[0]
        timed = {name: None for one in self.rounds for name in one.differences}
        return sorted(timed, key=lambda name: -median(baseline[name]))

    @property
    def major_rows(self) -> list[str]:
        """The rows for which the cell is sampled longer, see `MAJOR_SHARE`."""
        rows = self.rows
        if not rows:
            return []
        return [name for name in rows if self.time_s(0, name) >= MAJOR_SHARE * self.time_s(0, rows[0])]

    def time_s(self, side: int, name: str) -> float:
        """Return the median of the series *name* of one side, in seconds."""
        return median(self.samples[side][name])

    def add_pair(self, baseline: Mapping[str, float], candidate: Mapping[str, float]) -> None:
        """Add one run of each side, given as the values of its series, to the last round."""
        for samples, run in zip(self.samples, (baseline, candidate), strict=True):
            for name, value in run.items():
                samples.setdefault(name, []).append(value)
        for name, series in self.series.items():
            if series.timed and baseline.get(name, 0.0) > 0 and candidate.get(name, 0.0) > 0:
                difference = log(candidate[name] / baseline[name])
                self.rounds[-1].differences.setdefault(name, []).append(difference)
