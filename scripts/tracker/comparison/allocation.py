"""Chooses the cells that get the remaining time: those that are closest to a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

from scripts.tracker.comparison.cell import CellComparison
from scripts.tracker.comparison.verdicts import RowVerdict, TableVerdicts
from scripts.tracker.statistics.judging import INCONCLUSIVE, MIN_ROUNDS, margin, pairs_factor


@dataclass(frozen=True)
class Allocation:
    """The seconds that each chosen cell gets, spread over *rounds* further rounds."""

    seconds: Mapping[CellComparison, float]
    rounds: int


@dataclass(frozen=True, order=True)
class _Cost:
    """The estimated cost of the next verdict of a cell; costs sort in the order in which cells are chosen.

    Cells whose exact metrics differ come first, then cells that look faster or slower, then those that look the same.
    """

    same_work: bool
    looks_same: bool
    seconds: float
    rounds: int


def allocate(comparisons: Sequence[CellComparison], verdicts: TableVerdicts, left_s: float, delta: float) -> Allocation:
    """Return the cells whose next verdicts fit into *left_s* seconds altogether; the closest one if none fits."""
    costs = {comparison: _cost(comparison, verdicts, delta) for comparison in comparisons}
    order = sorted(comparisons, key=lambda comparison: costs[comparison])
    chosen: dict[CellComparison, float] = {}
    for comparison in order:
        if sum(chosen.values()) + costs[comparison].seconds <= left_s:
            chosen[comparison] = costs[comparison].seconds
    chosen = chosen or dict.fromkeys(order[:1], left_s)
    seconds = {comparison: chosen[comparison] for comparison in comparisons if comparison in chosen}
    return Allocation(seconds, max((costs[comparison].rounds for comparison in chosen), default=0))


def _cost(comparison: CellComparison, verdicts: TableVerdicts, delta: float) -> _Cost:
    """Return the smallest cost of the major rows of *comparison* that have no verdict yet."""
    same_work = all(diff.is_output for diff in comparison.counter_diffs)
    costs = []
    for name in comparison.major_rows:
        row, evidence = verdicts.rows[comparison, name], comparison.evidence(name)
        if row.verdict == INCONCLUSIVE and evidence.pairs:
            round_s = comparison.spent_s * evidence.pairs / comparison.pairs
            rounds = _missing_rounds(row)
            factor = pairs_factor(evidence, delta) if rounds == MIN_ROUNDS else 1.0
            looks_same = abs(log(evidence.ratio)) < (margin(delta) + log(1 + delta)) / 2
            costs.append(_Cost(same_work, looks_same, rounds * round_s * max(1.0, factor), rounds))
    return min(costs, default=_Cost(same_work, True, float("inf"), MIN_ROUNDS))


def _missing_rounds(row: RowVerdict) -> int:
    """Return how many further rounds have to agree with those that have a verdict."""
    verdicts = [verdict for verdict in row.by_round if verdict != INCONCLUSIVE]
    return max(1, MIN_ROUNDS - max((verdicts.count(verdict) for verdict in verdicts), default=0))
