"""The result of a comparison: rows with verdicts, differing exact metrics, errors, and the exit status."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.harness.exact import EXACT_METRICS
from benchmarks.harness.record import Scalar
from scripts.tracker.comparison.cell import CellComparison, CounterDiff
from scripts.tracker.comparison.runner import BASELINE, CANDIDATE
from scripts.tracker.comparison.schedule import Schedule
from scripts.tracker.comparison.verdicts import RowVerdict, StageVerdict
from scripts.tracker.labels import cell_text, owner_label, series_label
from scripts.tracker.statistics.judging import Evidence, Verdict

VERDICT_ORDER: tuple[Verdict, ...] = ("slower", "faster", "not enough evidence", "same")
"""The order of the rows of a report."""
SIDES = ("baseline", "candidate")
"""Names of the two sides."""
Status = Literal[0, 1, 2]


@dataclass(frozen=True)
class Row:
    """One timed series of one cell.

    Attributes:
        matrix: name of the matrix.
        benchmark: asv's name of the series.
        series: label of the series.
        cell: text of the cell's parameters.
        stage: label of the stage that the series measures.
        verdict: the verdict.
        baseline_s: median time of the baseline, in seconds.
        candidate_s: median time of the candidate, in seconds.
        evidence: evidence of the rounds that agree with the verdict.
        pairs: pairs of all rounds.
        changed_counters: labels of the work counters that differ; if there are any, the times compare different work.
    """

    matrix: str
    benchmark: str
    series: str
    cell: str
    stage: str
    verdict: Verdict
    baseline_s: float
    candidate_s: float
    evidence: Evidence
    pairs: int
    changed_counters: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """Candidate / baseline: the estimate from the pairs, or the ratio of the medians if there are too few pairs."""
        return self.evidence.ratio if self.evidence.pairs else self.candidate_s / self.baseline_s


@dataclass(frozen=True)
class StageRow:
    """A stage over all cells that measure it."""

    stage: str
    cells: int
    verdict: Verdict
    evidence: Evidence


@dataclass(frozen=True)
class CellCounterDiff:
    """An exact metric of a cell that differs between the sides; `output` says whether it describes the output."""

    matrix: str
    cell: str
    name: str
    baseline: Scalar | None
    candidate: Scalar | None
    output: bool


@dataclass(frozen=True)
class CellError:
    """A cell that one of `SIDES` could not run; `skipped` if it lacks what the cell needs."""

    matrix: str
    cell: str
    side: str
    reason: str
    skipped: bool


@dataclass
class ComparisonResult:
    """The rows, stages, differing exact metrics and errors of a comparison.

    Attributes:
        exact_cells: number of cells that have exact metrics alone.
        contended: share of the runs that waited for a core, or None if that is unknown.
    """

    rows: list[Row] = field(default_factory=list)
    stages: list[StageRow] = field(default_factory=list)
    counter_diffs: list[CellCounterDiff] = field(default_factory=list)
    errors: list[CellError] = field(default_factory=list)
    exact_cells: int = 0
    contended: float | None = None

    @classmethod
    def of(cls, schedule: Schedule) -> ComparisonResult:
        """Return the result of *schedule* after it has run."""
        verdicts = schedule.verdicts()
        result = cls(stages=[_stage_row(stage) for stage in verdicts.stages if stage.pooled.evidence.pairs])
        runs: list[bool] = []
        for comparison in schedule.comparisons:
            result.rows += [_row(comparison, name, verdicts.rows[comparison, name]) for name in comparison.rows]
            result.counter_diffs += _counter_diffs(comparison)
            result.errors += _errors(comparison)
            result.exact_cells += comparison.exact
            runs += [contended for contended in comparison.contended if contended is not None]
        result.rows.sort(key=lambda row: (VERDICT_ORDER.index(row.verdict), -abs(row.ratio - 1)))
        result.stages.sort(key=lambda row: (VERDICT_ORDER.index(row.verdict), -abs(row.evidence.ratio - 1)))
        result.contended = sum(runs) / len(runs) if runs else None
        return result

    @property
    def counts(self) -> Counter[Verdict]:
        """The number of rows with each verdict."""
        return Counter(row.verdict for row in self.rows)

    @property
    def status(self) -> Status:
        """The exit status: 1 if a row or a stage is slower, else 2 if anything could not be measured, else 0.

        A cell that a side skips because it lacks what the cell needs is no failure, unless only the candidate lacks it.
        """
        if self.counts["slower"] or any(row.verdict == "slower" for row in self.stages):
            return 1
        measured = bool(self.rows) or self.exact_cells > 0
        return 0 if measured and not any(self._is_failure(error) for error in self.errors) else 2

    def _is_failure(self, error: CellError) -> bool:
        baseline_too = any(
            (other.matrix, other.cell, other.side) == (error.matrix, error.cell, "baseline") for other in self.errors
        )
        return not error.skipped or (error.side == "candidate" and not baseline_too)


def _stage_row(stage: StageVerdict) -> StageRow:
    return StageRow(stage.name, stage.cells, stage.pooled.verdict, stage.pooled.evidence)


def _row(comparison: CellComparison, name: str, verdict: RowVerdict) -> Row:
    series = comparison.series[name]
    work = tuple(_label(comparison, diff) for diff in comparison.counter_diffs if not diff.is_output)
    return Row(
        comparison.matrix,
        series.benchmark,
        series.label,
        _parameters(comparison),
        series.stage,
        verdict.verdict,
        comparison.time_s(BASELINE, name),
        comparison.time_s(CANDIDATE, name),
        verdict.evidence,
        comparison.pairs,
        work,
    )


def _counter_diffs(comparison: CellComparison) -> list[CellCounterDiff]:
    matrix, title = comparison.matrix, _title(comparison)
    return [
        CellCounterDiff(matrix, title, _label(comparison, diff), diff.baseline, diff.candidate, diff.is_output)
        for diff in comparison.counter_diffs
    ]


def _errors(comparison: CellComparison) -> list[CellError]:
    return [
        CellError(comparison.matrix, _title(comparison), side, error[1], error[0] == "skip")
        for side, error in zip(SIDES, comparison.errors, strict=True)
        if error is not None
    ]


def _label(comparison: CellComparison, diff: CounterDiff) -> str:
    if diff.name in EXACT_METRICS:
        return EXACT_METRICS[diff.name][1]
    series = comparison.series.get(diff.name)
    return series_label(series.benchmark) if series else diff.name.replace("_", " ")


def _title(comparison: CellComparison) -> str:
    """Return the label of the benchmark class that a cell belongs to, and the cell's parameters."""
    owner = next(iter(comparison.series.values())).benchmark.rpartition(".")[0]
    return f"{owner_label(owner)}, {_parameters(comparison)}"


def _parameters(comparison: CellComparison) -> str:
    parameters = tuple((name, repr(value)) for name, value in comparison.cell.items() if name != "stage")
    return cell_text(parameters)
