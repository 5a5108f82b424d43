"""Which cells are worth the time that is left: those that a verdict is nearest for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

from scripts.tracker.comparison.cell import CellComparison
from scripts.tracker.comparison.verdicts import RowVerdict, TableVerdicts
from scripts.tracker.statistics.judging import MIN_ROUNDS, margin, pairs_factor


@dataclass(frozen=True)
class Allocation:
    """The seconds that each cell is worth, in so many further rounds."""

    seconds: Mapping[CellComparison, float]
    rounds: int


@dataclass(frozen=True, order=True)
class _Cost:
    """What the next verdict of a cell would take, if its rows go on as they did; what comes first sorts first.

    A cell of other work, and one that looks faster or slower, comes before those that look the same.
    """

    same_work: bool
    looks_same: bool
    seconds: float
    rounds: int


def allocate(comparisons: Sequence[CellComparison], standing: TableVerdicts, left_s: float, delta: float) -> Allocation:
    """Return those of *comparisons* whose next verdicts can be had in *left_s* altogether; if none can, the nearest."""
    costs = {comparison: _cost(comparison, standing, delta) for comparison in comparisons}
    order = sorted(comparisons, key=lambda comparison: costs[comparison])
    chosen: dict[CellComparison, float] = {}
    for comparison in order:
        if sum(chosen.values()) + costs[comparison].seconds <= left_s:
            chosen[comparison] = costs[comparison].seconds
    chosen = chosen or dict.fromkeys(order[:1], left_s)
    seconds = {comparison: chosen[comparison] for comparison in comparisons if comparison in chosen}
    return Allocation(seconds, max((costs[comparison].rounds for comparison in chosen), default=0))


def _cost(comparison: CellComparison, standing: TableVerdicts, delta: float) -> _Cost:
    """Return the least of the rows of *comparison* that are worth measuring and have no verdict."""
    same_work = all(fact.output for fact in comparison.facts)
    costs = []
    for name in comparison.major:
        judged, evidence = standing.rows[comparison, name], comparison.evidence(name)
        if judged.verdict == "not enough evidence" and evidence.pairs:
            round_s = comparison.spent_s * evidence.pairs / comparison.pairs
            rounds = _missing(judged)
            more = pairs_factor(evidence, delta) if rounds == MIN_ROUNDS else 1.0
            looks_same = abs(log(evidence.ratio)) < (margin(delta) + log(1 + delta)) / 2
            costs.append(_Cost(same_work, looks_same, rounds * round_s * max(1.0, more), rounds))
    return min(costs, default=_Cost(same_work, True, float("inf"), MIN_ROUNDS))


def _missing(judged: RowVerdict) -> int:
    """Return how many rounds would have to agree with those that have a verdict."""
    votes = [vote for vote in judged.votes if vote != "not enough evidence"]
    return max(1, MIN_ROUNDS - max((votes.count(vote) for vote in votes), default=0))
