"""Tests and estimates of the time ratio of two sides from pairs of interleaved runs.

A pair is one run of each side, in the order AB or BA, chosen at random. Its difference is the logarithm of the
candidate's time less that of the baseline's. If the sides are equal, the random order makes the sign of each difference
an independent coin toss, whatever the noise and its drift, so Wilcoxon's signed-rank test is exact. Its estimate, the
median of all Walsh averages (Hodges and Lehmann 1963), is nearly as precise as the mean for normal noise, and much more
precise otherwise. A balanced order (ABBA) would need twice the runs for the same number of independent signs.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, wilcoxon

MAX_EXACT_PAIRS = 50
"""Largest number of pairs for which the distribution of the signed-rank statistic is counted exactly. For more pairs
the normal approximation is used."""


def one_sided_p(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Return the one-sided p values of Wilcoxon's signed-rank test: candidate slower, candidate faster.

    Both are 1.0 if all differences are zero.
    """
    if not np.any(differences):
        return 1.0, 1.0
    method = "exact" if len(differences) <= MAX_EXACT_PAIRS and np.all(differences) else "approx"
    slower, faster = (
        float(wilcoxon(differences, alternative=side, method=method).pvalue) for side in ("greater", "less")
    )
    return slower, faster


def walsh_averages(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the n (n + 1) / 2 means of all two differences, each also with itself, sorted."""
    first, second = np.triu_indices(len(differences))
    means = (differences[first] + differences[second]) / 2
    means.sort()
    return means


def interval(means: NDArray[np.float64], pairs: int, alpha: float) -> tuple[float, float]:
    """Return the interval of shifts that the two-sided signed-rank test at level *alpha* does not reject.

    Args:
        means: the Walsh averages of the differences.
        pairs: number of differences. If it is too small for *alpha*, the interval is (-inf, inf).
        alpha: two-sided level.
    """
    rank = _critical_rank(pairs, alpha / 2)
    if rank < 1:
        return float("-inf"), float("inf")
    return float(means[rank - 1]), float(means[-rank])


def detectable_change(half_width: float, alpha: float, power: float, margin: float = 0.0) -> float:
    """Return the minimum detectable relative change: the one that the test finds with probability *power*.

    A change is found with that probability if it exceeds *margin* by (z of alpha + z of power) standard errors.

    Args:
        half_width: half the width of the interval at level *alpha*, in logarithms; it is z of alpha standard errors.
        alpha: two-sided level of the test.
        power: probability of finding the change.
        margin: logarithm of the ratio up to which a change does not count.
    """
    critical = norm.isf(alpha / 2)
    if half_width == float("inf"):
        return half_width
    return exp(margin + half_width * (1 + norm.ppf(power) / critical)) - 1


@lru_cache(maxsize=4096)
def _critical_rank(pairs: int, tail: float) -> int:
    """Return the largest r such that the signed-rank statistic is below r with a probability of at most *tail*.

    The r-th smallest and the r-th largest Walsh average bound the interval. The result is 0 if there is no such r.
    """
    if pairs <= MAX_EXACT_PAIRS:
        return int(np.searchsorted(np.cumsum(signed_rank_pmf(pairs)), tail, side="right"))
    mean, deviation = pairs * (pairs + 1) / 4, sqrt(pairs * (pairs + 1) * (2 * pairs + 1) / 24)
    return int(max(0, np.floor(mean - norm.isf(tail) * deviation + 0.5)))


@lru_cache(maxsize=64)
def signed_rank_pmf(pairs: int) -> NDArray[np.float64]:
    """Return the probability of each value of the signed-rank statistic, a sum over a random subset of 1 to *pairs*."""
    ways = np.ones(1)
    for rank in range(1, pairs + 1):
        more = np.zeros(len(ways) + rank)
        more[: len(ways)] += ways / 2
        more[rank:] += ways / 2
        ways = more
    return ways
