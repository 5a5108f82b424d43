"""Which cells are worth the time that is left: those that a verdict is nearest for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

from scripts.tracker.comparison.cell import Contest
from scripts.tracker.comparison.verdicts import Judged, Standing
from scripts.tracker.statistics.judging import LEAST_ROUNDS, margin, more_needed


@dataclass(frozen=True)
class Plan:
    """The seconds that each cell is worth, in so many further rounds."""

    seconds: Mapping[Contest, float]
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


def worth_it(contests: Sequence[Contest], standing: Standing, left_s: float, delta: float) -> Plan:
    """Return those of *contests* whose next verdicts can be had in *left_s* altogether; if none can, the nearest."""
    costs = {contest: _cost(contest, standing, delta) for contest in contests}
    order = sorted(contests, key=lambda contest: costs[contest])
    chosen: dict[Contest, float] = {}
    for contest in order:
        if sum(chosen.values()) + costs[contest].seconds <= left_s:
            chosen[contest] = costs[contest].seconds
    chosen = chosen or dict.fromkeys(order[:1], left_s)
    seconds = {contest: chosen[contest] for contest in contests if contest in chosen}
    return Plan(seconds, max((costs[contest].rounds for contest in chosen), default=0))


def _cost(contest: Contest, standing: Standing, delta: float) -> _Cost:
    """Return the least of the rows of *contest* that are worth measuring and have no verdict."""
    same_work = all(fact.output for fact in contest.facts)
    costs = []
    for name in contest.major:
        judged, evidence = standing.rows[contest, name], contest.evidence(name)
        if judged.verdict == "not enough evidence" and evidence.pairs:
            round_s = contest.spent_s * evidence.pairs / contest.pairs
            rounds = _missing(judged)
            more = more_needed(evidence, delta) if rounds == LEAST_ROUNDS else 1.0
            looks_same = abs(log(evidence.ratio)) < (margin(delta) + log(1 + delta)) / 2
            costs.append(_Cost(same_work, looks_same, rounds * round_s * max(1.0, more), rounds))
    return min(costs, default=_Cost(same_work, True, float("inf"), LEAST_ROUNDS))


def _missing(judged: Judged) -> int:
    """Return how many rounds would have to agree with those that have a verdict."""
    votes = [vote for vote in judged.votes if vote != "not enough evidence"]
    return max(1, LEAST_ROUNDS - max((votes.count(vote) for vote in votes), default=0))
