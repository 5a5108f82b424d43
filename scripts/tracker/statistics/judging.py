"""Verdicts from pairs of runs: faster, slower, same, or not enough evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, exp, log, sqrt
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scripts.tracker.statistics import holm, interim_looks
from scripts.tracker.statistics.pairs import detectable_change, interval, one_sided_p, walsh_averages
from scripts.tracker.statistics.pooling import PooledCells

Verdict = Literal["slower", "faster", "same", "not enough evidence"]
INCONCLUSIVE: Verdict = "not enough evidence"
ALPHA = 0.01
"""Probability that any row of a table is wrongly called slower, faster or same."""
MIN_ROUNDS = 2
"""Number of rounds, each with a fresh pair of processes, that have to reach the same verdict."""
MAX_ROUNDS = 4
"""Largest number of rounds of a cell."""
DELTA = 0.02
"""Default relative difference up to which two times are the same; see `margin`."""
POWER = 0.8
"""Probability with which a change of the minimum detectable size is found."""
_CHOICES = comb(MAX_ROUNDS, MIN_ROUNDS)
"""Number of ways to choose the rounds that agree."""


@dataclass(frozen=True)
class Evidence:
    """What the pairs of one row, in one round, say at the last interim look.

    Attributes:
        pairs: number of pairs at that look; 0 before the first look.
        ratio: Hodges-Lehmann estimate of candidate time / baseline time.
        low: lower bound of the confidence interval of the ratio. The interval is so wide that two rounds miss the
            ratio on one side with a probability of at most `ALPHA` / 2.
        high: upper bound of that interval.
        simultaneous_low: lower bound of the interval that is simultaneous for all rows of the table.
        simultaneous_high: upper bound of that interval. Both intervals are the intersection over all looks so far.
        p_slower: one-sided p value of "not slower by more than `margin`": the least over the looks, corrected for
            their number.
        p_faster: the same of "not faster by more than `margin`".
        detectable: minimum detectable change: the relative change that two such rounds find with probability `POWER`.
    """

    pairs: int = 0
    ratio: float = float("nan")
    low: float = 0.0
    high: float = float("inf")
    simultaneous_low: float = 0.0
    simultaneous_high: float = float("inf")
    p_slower: float = 1.0
    p_faster: float = 1.0
    detectable: float = float("inf")


NO_EVIDENCE = Evidence()


@dataclass(frozen=True)
class Table:
    """The family of tests that a row belongs to.

    Attributes:
        rows: number of rows of the table, measured or not.
        delta: relative difference up to which two times are the same.
    """

    rows: int = 1
    delta: float = DELTA


def margin(delta: float) -> float:
    """Return the logarithm of the ratio above which a row is slower: a quarter of log(1 + *delta*).

    Two processes that run identical code differ by 0.6 % (standard deviation), and enough runs distinguish that from
    zero. If a row differs by less than the mean of the margin and log(1 + delta), fewer pairs show that it is the same
    than that it is slower.
    """
    return log(1 + delta) / 4


def estimate(before: Evidence, differences: NDArray[np.float64], table: Table) -> Evidence:
    """Return the evidence of one row of *table* at an interim look.

    Args:
        before: evidence of the previous look.
        differences: log(candidate time / baseline time) of all pairs so far.
        table: the table that the row belongs to.
    """
    means = walsh_averages(differences)
    pairs, ignored = len(differences), margin(table.delta)
    low, high = interval(means, pairs, interim_looks.alpha_per_look(round_alpha(ALPHA)))
    table_alpha = interim_looks.alpha_per_look(round_alpha(ALPHA / table.rows))
    simultaneous_low, simultaneous_high = interval(means, pairs, table_alpha)
    (slower, _), (_, faster) = one_sided_p(differences - ignored), one_sided_p(differences + ignored)
    return Evidence(
        pairs,
        exp(float(np.median(means))),
        max(before.low, exp(low)),
        min(before.high, exp(high)),
        max(before.simultaneous_low, exp(simultaneous_low)),
        min(before.simultaneous_high, exp(simultaneous_high)),
        min(before.p_slower, interim_looks.p_over_looks(slower)),
        min(before.p_faster, interim_looks.p_over_looks(faster)),
        detectable_change((simultaneous_high - simultaneous_low) / 2, table_alpha, POWER ** (1 / MIN_ROUNDS), ignored),
    )


def estimate_pooled(cells: Sequence[NDArray[np.float64]], table: Table) -> Evidence:
    """Return the evidence of a stage, which is one row of *table*, from the differences of its cells.

    There is a single look at a number of pairs that is fixed beforehand.

    Args:
        cells: log(candidate time / baseline time) of the pairs of each cell, the same number for every cell.
        table: the table that the stage belongs to.
    """
    pooled, ignored, table_alpha = PooledCells(cells), margin(table.delta), round_alpha(ALPHA / table.rows)
    low, high = pooled.interval(round_alpha(ALPHA))
    simultaneous_low, simultaneous_high = pooled.interval(table_alpha)
    return Evidence(
        sum(map(len, cells)),
        exp(float(np.median(pooled.means))),
        exp(low),
        exp(high),
        exp(simultaneous_low),
        exp(simultaneous_high),
        pooled.p_greater(ignored),
        pooled.p_less(-ignored),
        detectable_change((simultaneous_high - simultaneous_low) / 2, table_alpha, POWER ** (1 / MIN_ROUNDS), ignored),
    )


def judge(table: Sequence[Sequence[Evidence]], delta: float = DELTA) -> list[Verdict]:
    """Return the verdict of each row of *table*, from the evidence of its rounds.

    A round says *same* if the simultaneous interval lies between 1 / (1 + delta) and 1 + delta, even if it excludes 1.
    It says *slower* or *faster* if Holm's procedure over the p values of two rounds of every row rejects a change
    within `margin`; each direction has half of `ALPHA`.

    The verdict is the one of at least `MIN_ROUNDS` rounds and of more than half of the rounds that have a verdict. One
    pair of processes is not enough: two processes that run identical code mostly differ by less than 1 %, but
    occasionally by several percent.
    """
    undecided = [[NO_EVIDENCE if _is_same(evidence, delta) else evidence for evidence in rounds] for rounds in table]
    slower = _significance_bounds([[evidence.p_slower for evidence in rounds] for rounds in undecided])
    faster = _significance_bounds([[evidence.p_faster for evidence in rounds] for rounds in undecided])
    return [
        _majority(["same" if _is_same(evidence, delta) else _round_verdict(evidence, *bounds) for evidence in rounds])
        for rounds, bounds in zip(table, zip(slower, faster, strict=True), strict=True)
    ]


def would_conclude(table: Sequence[Evidence], delta: float = DELTA) -> list[Verdict]:
    """Return the verdict that each row of *table* would have if another round gave the same evidence as this one."""
    return judge([[evidence] * MIN_ROUNDS for evidence in table], delta)


def pairs_factor(evidence: Evidence, delta: float = DELTA) -> float:
    """Return by which factor the number of pairs would have to grow for a verdict, if the estimate stays as it is.

    The simultaneous interval narrows with the square root of the number of pairs until it excludes the `margin` or
    lies within *delta*. The factor is infinite if there is no interval yet.
    """
    if evidence.simultaneous_high == float("inf"):
        return float("inf")
    half_width, change = log(evidence.simultaneous_high / evidence.simultaneous_low) / 2, abs(log(evidence.ratio))
    return (half_width / max(change - margin(delta), log(1 + delta) - change)) ** 2


def round_alpha(alpha: float) -> float:
    """Return the two-sided level of one round such that two of `MAX_ROUNDS` are wrong on one side at *alpha* / 2."""
    return 2 * sqrt(alpha / 2 / _CHOICES)


def two_of_four_p(p: float) -> float:
    """Return the p value of the two strongest of `MAX_ROUNDS` rounds, where *p* is the larger one of the two."""
    return min(1.0, _CHOICES * p**MIN_ROUNDS)


def combine_rounds(rounds: Sequence[Evidence]) -> Evidence:
    """Return the evidence of several rounds: the mean ratio, the hull of the intervals, and the largest p values."""
    measured = [evidence for evidence in rounds if evidence.pairs]
    if not measured:
        return NO_EVIDENCE
    return Evidence(
        sum(evidence.pairs for evidence in measured),
        exp(fmean(log(evidence.ratio) for evidence in measured)),
        min(evidence.low for evidence in measured),
        max(evidence.high for evidence in measured),
        min(evidence.simultaneous_low for evidence in measured),
        max(evidence.simultaneous_high for evidence in measured),
        max(evidence.p_slower for evidence in measured),
        max(evidence.p_faster for evidence in measured),
        max(evidence.detectable for evidence in measured),
    )


def _significance_bounds(table: Sequence[Sequence[float]]) -> list[float]:
    """Return for each row of p values the largest p that counts as significant; -1.0 if Holm rejects nothing."""
    second = [sorted(rounds)[MIN_ROUNDS - 1] if len(rounds) >= MIN_ROUNDS else 1.0 for rounds in table]
    adjusted = holm.adjusted([two_of_four_p(p) for p in second])
    return [p if adjusted_p <= ALPHA / 2 else -1.0 for p, adjusted_p in zip(second, adjusted, strict=True)]


def _is_same(evidence: Evidence, delta: float) -> bool:
    return 1 / (1 + delta) < evidence.simultaneous_low and evidence.simultaneous_high < 1 + delta


def _round_verdict(evidence: Evidence, slower_bound: float, faster_bound: float) -> Verdict:
    if evidence.p_slower <= slower_bound:
        return "slower"
    return "faster" if evidence.p_faster <= faster_bound else INCONCLUSIVE


def _majority(verdicts: Sequence[Verdict]) -> Verdict:
    counts = Counter(verdict for verdict in verdicts if verdict != INCONCLUSIVE)
    for verdict, count in counts.items():
        if count >= MIN_ROUNDS and 2 * count > counts.total():
            return verdict
    return INCONCLUSIVE
