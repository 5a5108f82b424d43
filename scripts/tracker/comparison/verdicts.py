"""The verdicts of a table: one for each timed series of a cell, and one for each stage over all its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scripts.tracker.comparison.cell import CellComparison
from scripts.tracker.statistics import interim_looks
from scripts.tracker.statistics.judging import (
    MAX_ROUNDS,
    NO_EVIDENCE,
    Evidence,
    Table,
    Verdict,
    combine_rounds,
    estimate_pooled,
    judge,
    would_conclude,
)

MIN_STAGE_CELLS = 2
"""Smallest number of cells that give a stage a row of its own."""

RowKey = tuple[CellComparison, str]
"""A row of the table: a cell and the name of one of its timed series."""


@dataclass(frozen=True)
class RowVerdict:
    """The verdict of a row.

    Attributes:
        verdict: the verdict of all rounds.
        evidence: evidence of the rounds that agree with the verdict, or of all rounds if none does.
        by_round: verdict of each round.
    """

    verdict: Verdict
    evidence: Evidence
    by_round: Sequence[Verdict]


@dataclass(frozen=True)
class StageVerdict:
    """The verdict of a stage over all cells that measure it.

    The first pairs of all cells together detect a change long before any single cell does.

    Attributes:
        name: label of the stage.
        cells: number of cells that measure it.
        pooled: verdict of the cells together.
    """

    name: str
    cells: int
    pooled: RowVerdict


@dataclass(frozen=True)
class TableVerdicts:
    """The verdicts of all rows and of all stages."""

    rows: Mapping[RowKey, RowVerdict]
    stages: Sequence[StageVerdict]

    @classmethod
    def of(cls, comparisons: Sequence[CellComparison], table: Table) -> TableVerdicts:
        """Judge all rows and stages of *comparisons*, which form one *table*."""
        rows = [(comparison, name) for comparison in comparisons for name in comparison.rows]
        stages = _stages(comparisons)
        pooled = [_stage_rounds(cells, table) for cells in stages.values()]
        verdicts = _judge([comparison.evidence_by_round(name) for comparison, name in rows] + pooled, table)
        of_stages = zip(stages.items(), verdicts[len(rows) :], strict=True)
        return cls(
            dict(zip(rows, verdicts, strict=False)),
            [StageVerdict(name, len(cells), verdict) for (name, cells), verdict in of_stages],
        )


def table_of(comparisons: Sequence[CellComparison], delta: float) -> Table:
    """Return the table of *comparisons*, with all rows and stages that they can have."""
    stages = [stage for comparison in comparisons for stage in _timed_stages(comparison)]
    stage_rows = sum(stages.count(stage) >= MIN_STAGE_CELLS for stage in set(stages))
    return Table(max(1, sum(comparison.timed_series_count for comparison in comparisons) + stage_rows), delta)


def _timed_stages(comparison: CellComparison) -> set[str]:
    return {series.stage for series in comparison.series.values() if series.timed}


def round_verdicts(comparisons: Sequence[CellComparison], number: int, table: Table) -> dict[RowKey, Verdict]:
    """Return the verdict of each row in the round *number* (0 is the first) alone."""
    rows = [(comparison, name) for comparison in comparisons for name in comparison.rows]
    evidence = [comparison.evidence_by_round(name) for comparison, name in rows]
    return dict(zip(rows, _verdicts_in_round(evidence, number, table), strict=True))


def _judge(evidence: Sequence[Sequence[Evidence]], table: Table) -> list[RowVerdict]:
    """Judge rows and stages, of which *evidence* holds the rounds."""
    verdicts = judge([*evidence, *[[]] * (table.rows - len(evidence))], table.delta)
    by_round = [_verdicts_in_round(evidence, number, table) for number in range(MAX_ROUNDS)]
    judged = []
    for row, (rounds, verdict) in enumerate(zip(evidence, verdicts, strict=False)):
        in_rounds = [by_round[number][row] for number in range(len(rounds))]
        agreeing = [one for one, round_verdict in zip(rounds, in_rounds, strict=True) if round_verdict == verdict]
        judged.append(RowVerdict(verdict, combine_rounds(agreeing or rounds), in_rounds))
    return judged


def _verdicts_in_round(evidence: Sequence[Sequence[Evidence]], number: int, table: Table) -> list[Verdict]:
    in_round = [rounds[number] if number < len(rounds) else NO_EVIDENCE for rounds in evidence]
    return would_conclude(in_round + [NO_EVIDENCE] * (table.rows - len(in_round)), table.delta)[: len(in_round)]


def _stages(comparisons: Sequence[CellComparison]) -> dict[str, list[RowKey]]:
    """Return the rows of each stage: of each cell the one with the longest time."""
    stages: dict[str, list[RowKey]] = {}
    for comparison in comparisons:
        longest = {comparison.series[name].stage: name for name in reversed(comparison.rows)}
        for stage, name in longest.items():
            stages.setdefault(stage, []).append((comparison, name))
    return {stage: cells for stage, cells in stages.items() if len(cells) >= MIN_STAGE_CELLS}


def _stage_rounds(cells: Sequence[RowKey], table: Table) -> list[Evidence]:
    """Return the evidence of a stage in each round, from the first pairs of those *cells* that have enough of them."""
    rounds = []
    for number in range(max(len(comparison.rounds) for comparison, _ in cells)):
        reached = [(comparison.rounds[number], name) for comparison, name in cells if number < len(comparison.rounds)]
        first = [one.differences.get(name, [])[: interim_looks.FIRST_PAIRS] for one, name in reached]
        enough = [np.array(pairs) for pairs in first if len(pairs) == interim_looks.FIRST_PAIRS]
        rounds.append(estimate_pooled(enough, table) if len(enough) >= MIN_STAGE_CELLS else NO_EVIDENCE)
    return rounds
