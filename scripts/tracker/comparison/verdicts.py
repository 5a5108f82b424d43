"""How a table stands: the verdict of every row, and of every stage in all cells that measure it."""

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

LEAST_CELLS = 2
"""A stage that fewer cells measure is no more than their rows."""

Key = tuple[CellComparison, str]
"""A cell and the name of a series of it: a row of the table."""


@dataclass(frozen=True)
class RowVerdict:
    """A verdict, the evidence of the rounds that reached it (of all if none is reached), and what each round says."""

    verdict: Verdict
    evidence: Evidence
    votes: Sequence[Verdict]


@dataclass(frozen=True)
class Stage:
    """A stage in the cells that measure it: their first pairs together see what no cell sees in so little time."""

    name: str
    cells: int
    judged: RowVerdict


@dataclass(frozen=True)
class TableVerdicts:
    """What is known of each row, and of each stage."""

    rows: Mapping[Key, RowVerdict]
    stages: Sequence[Stage]

    @classmethod
    def of(cls, comparisons: Sequence[CellComparison], table: Table) -> TableVerdicts:
        """Judge all rows and stages of *comparisons*, which are one *table*."""
        rows = [(comparison, name) for comparison in comparisons for name in comparison.rows]
        stages = _stages(comparisons)
        pools = [_rounds_of(cells, table) for cells in stages.values()]
        judged = _judged([comparison.rounds_of(name) for comparison, name in rows] + pools, table)
        named = zip(stages.items(), judged[len(rows) :], strict=True)
        return cls(
            dict(zip(rows, judged, strict=False)), [Stage(name, len(cells), found) for (name, cells), found in named]
        )


def table_of(comparisons: Sequence[CellComparison], delta: float) -> Table:
    """Return the table that *comparisons* make, of all rows and stages that they may have."""
    measured = [
        stage for comparison in comparisons for stage in {one.stage for one in comparison.series.values() if one.timed}
    ]
    stages = sum(measured.count(stage) >= LEAST_CELLS for stage in set(measured))
    return Table(max(1, sum(comparison.declared for comparison in comparisons) + stages), delta)


def round_verdicts(comparisons: Sequence[CellComparison], place: int, table: Table) -> dict[Key, Verdict]:
    """Return what the round at *place* says of each row by itself."""
    rows = [(comparison, name) for comparison in comparisons for name in comparison.rows]
    return dict(zip(rows, _votes([comparison.rounds_of(name) for comparison, name in rows], place, table), strict=True))


def _judged(subjects: Sequence[Sequence[Evidence]], table: Table) -> list[RowVerdict]:
    """Judge rows and stages, of which *subjects* hold the evidence of each round."""
    verdicts = judge([*subjects, *[[]] * (table.rows - len(subjects))], table.delta)
    by_round = [_votes(subjects, place, table) for place in range(MAX_ROUNDS)]
    found = []
    for number, (rounds, verdict) in enumerate(zip(subjects, verdicts, strict=False)):
        votes = [by_round[place][number] for place in range(len(rounds))]
        agreeing = [evidence for evidence, vote in zip(rounds, votes, strict=True) if vote == verdict]
        found.append(RowVerdict(verdict, combine_rounds(agreeing or rounds), votes))
    return found


def _votes(subjects: Sequence[Sequence[Evidence]], place: int, table: Table) -> list[Verdict]:
    known = [rounds[place] if place < len(rounds) else NO_EVIDENCE for rounds in subjects]
    return would_conclude(known + [NO_EVIDENCE] * (table.rows - len(known)), table.delta)[: len(known)]


def _stages(comparisons: Sequence[CellComparison]) -> dict[str, list[Key]]:
    """Return the rows of each stage, one a cell: its longest."""
    stages: dict[str, list[Key]] = {}
    for comparison in comparisons:
        longest = {comparison.series[name].stage: name for name in reversed(comparison.rows)}
        for stage, name in longest.items():
            stages.setdefault(stage, []).append((comparison, name))
    return {stage: cells for stage, cells in stages.items() if len(cells) >= LEAST_CELLS}


def _rounds_of(cells: Sequence[Key], table: Table) -> list[Evidence]:
    """Return the evidence of each round, from the first pairs of the *cells* that have them."""
    rounds = []
    for place in range(max(len(comparison.rounds) for comparison, _ in cells)):
        reached = [(comparison.rounds[place], name) for comparison, name in cells if place < len(comparison.rounds)]
        measured = [one.differences.get(name, [])[: interim_looks.FIRST_PAIRS] for one, name in reached]
        enough = [np.array(found) for found in measured if len(found) == interim_looks.FIRST_PAIRS]
        rounds.append(estimate_pooled(enough, table) if len(enough) >= LEAST_CELLS else NO_EVIDENCE)
    return rounds
