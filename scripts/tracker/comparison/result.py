"""How a comparison ended: rows with verdicts, facts, troubles, and the exit status."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.harness.exact import EXACT
from benchmarks.harness.record import Scalar
from scripts.tracker.comparison.cell import CellComparison, CounterDiff
from scripts.tracker.comparison.runner import BASE, HEAD
from scripts.tracker.comparison.schedule import Schedule
from scripts.tracker.comparison.verdicts import RowVerdict, Stage
from scripts.tracker.labels import cell_text, owner_label, series_label
from scripts.tracker.statistics.judging import Evidence, Verdict

ORDER: tuple[Verdict, ...] = ("slower", "faster", "not enough evidence", "same")
Status = Literal[0, 1, 2]


@dataclass(frozen=True)
class Row:
    """One timed series of one cell.

    `other_work` names what the sides did differently: its times are then not those of the same work.
    """

    matrix: str
    benchmark: str
    series: str
    cell: str
    stage: str
    verdict: Verdict
    base_s: float
    head_s: float
    evidence: Evidence
    pairs: int
    other_work: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """Head over base: by the pairs where there were enough of them, else of the medians."""
        return self.evidence.ratio if self.evidence.pairs else self.head_s / self.base_s


@dataclass(frozen=True)
class StageRow:
    """A stage of a generation, in all cells that measure it together."""

    stage: str
    cells: int
    verdict: Verdict
    evidence: Evidence


@dataclass(frozen=True)
class CellCounterDiff:
    """What differs in one cell, whatever the clock says."""

    matrix: str
    cell: str
    name: str
    base: Scalar | None
    head: Scalar | None
    output: bool


@dataclass(frozen=True)
class Trouble:
    """A cell that a side, base or head, could not run."""

    matrix: str
    cell: str
    side: str
    reason: str
    skipped: bool


@dataclass
class ComparisonResult:
    """Everything that a reader of a comparison wants to know.

    `contended` is the share of the runs that waited for a core; None if that is unknown.
    """

    rows: list[Row] = field(default_factory=list)
    stages: list[StageRow] = field(default_factory=list)
    facts: list[CellCounterDiff] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    exact_cells: int = 0
    contended: float | None = None

    @classmethod
    def of(cls, match: Schedule) -> ComparisonResult:
        """Read *match* when it is over."""
        standing = match.standing()
        outcome = cls(stages=[_stage_row(stage) for stage in standing.stages if stage.judged.evidence.pairs])
        runs: list[bool] = []
        for comparison in match.comparisons:
            outcome.rows += [_row(comparison, name, standing.rows[comparison, name]) for name in comparison.rows]
            outcome.facts += [
                CellCounterDiff(
                    comparison.matrix, _title(comparison), _label(comparison, fact), fact.base, fact.head, fact.output
                )
                for fact in comparison.facts
            ]
            outcome.troubles += _troubles(comparison)
            outcome.exact_cells += comparison.exact
            runs += [contended for contended in comparison.contended if contended is not None]
        outcome.rows.sort(key=lambda row: (ORDER.index(row.verdict), -abs(row.ratio - 1)))
        outcome.stages.sort(key=lambda row: (ORDER.index(row.verdict), -abs(row.evidence.ratio - 1)))
        outcome.contended = sum(runs) / len(runs) if runs else None
        return outcome

    @property
    def counts(self) -> Counter[Verdict]:
        """The number of rows of each verdict."""
        return Counter(row.verdict for row in self.rows)

    @property
    def status(self) -> Status:
        """The exit status: 1 if a row or a stage is slower, 2 if nothing or not everything could be measured, else 0.

        A cell that a side skips for want of something is not a failure, but for one that only head cannot run.
        """
        if self.counts["slower"] or any(row.verdict == "slower" for row in self.stages):
            return 1
        measured = bool(self.rows) or self.exact_cells > 0
        return 0 if measured and not any(self._counts_as_failure(trouble) for trouble in self.troubles) else 2

    def _counts_as_failure(self, trouble: Trouble) -> bool:
        base_too = any(
            (other.matrix, other.cell, other.side) == (trouble.matrix, trouble.cell, "base") for other in self.troubles
        )
        return not trouble.skipped or (trouble.side == "head" and not base_too)


def _stage_row(stage: Stage) -> StageRow:
    return StageRow(stage.name, stage.cells, stage.judged.verdict, stage.judged.evidence)


def _row(comparison: CellComparison, name: str, judged: RowVerdict) -> Row:
    series = comparison.series[name]
    work = tuple(_label(comparison, fact) for fact in comparison.facts if not fact.output)
    return Row(
        comparison.matrix,
        series.benchmark,
        series.label,
        _text(comparison),
        series.stage,
        judged.verdict,
        comparison.time_s(BASE, name),
        comparison.time_s(HEAD, name),
        judged.evidence,
        comparison.pairs,
        work,
    )


def _troubles(comparison: CellComparison) -> list[Trouble]:
    return [
        Trouble(comparison.matrix, _title(comparison), side, trouble[1], trouble[0] == "skip")
        for side, trouble in zip(("base", "head"), comparison.trouble, strict=True)
        if trouble is not None
    ]


def _label(comparison: CellComparison, fact: CounterDiff) -> str:
    if fact.name in EXACT:
        return EXACT[fact.name][1]
    series = comparison.series.get(fact.name)
    return series_label(series.benchmark) if series else fact.name.replace("_", " ")


def _title(comparison: CellComparison) -> str:
    """The class of benchmarks that a cell belongs to, and its parameters."""
    owner = next(iter(comparison.series.values())).benchmark.rpartition(".")[0]
    return f"{owner_label(owner)}, {_text(comparison)}"


def _text(comparison: CellComparison) -> str:
    parameters = tuple((name, repr(value)) for name, value in comparison.cell.items() if name != "stage")
    return cell_text(parameters)
