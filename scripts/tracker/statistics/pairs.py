"""What pairs of interleaved runs say about the ratio of two sides.

A pair is one run of each side, in the order AB or BA, which of them by chance. Its difference is the logarithm of
head's time less that of base's. If the sides are equal, the random order makes the sign of every difference a toss of
its own, whatever the noise and its drift are, so that Wilcoxon's signed-rank test is exact; its estimate, the median of
all pairwise means (Hodges and Lehmann 1963), is nearly as sharp as the mean where noise is normal, and much sharper
where it is not. An order that is balanced by force, ABBA, would need twice the runs for as many tosses.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, wilcoxon

COUNTED_PAIRS = 50
"""Up to so many pairs the distribution of the signed-rank statistic is counted, beyond it is taken as normal."""


def one_sided_p(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Return the probabilities of so much evidence for head being slower, and for its being faster, by chance.

    By Wilcoxon's signed-rank test; 1.0 both if all differences are zero.
    """
    if not np.any(differences):
        return 1.0, 1.0
    method = "exact" if len(differences) <= COUNTED_PAIRS and np.all(differences) else "approx"
    slower, faster = (
        float(wilcoxon(differences, alternative=side, method=method).pvalue) for side in ("greater", "less")
    )
    return slower, faster


def walsh_averages(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the n (n + 1) / 2 means of all pairs (Walsh averages), each difference paired with itself too, sorted."""
    first, second = np.triu_indices(len(differences))
    means = (differences[first] + differences[second]) / 2
    means.sort()
    return means


def interval(means: NDArray[np.float64], pairs: int, alpha: float) -> tuple[float, float]:
    """Return the interval of the shift that the signed-rank test at level *alpha*, two-sided, does not reject.

    *means* are those of `walsh_averages`; (-inf, inf) where *pairs* are too few for that level.
    """
    rank = _critical_rank(pairs, alpha / 2)
    if rank < 1:
        return float("-inf"), float("inf")
    return float(means[rank - 1]), float(means[-rank])


def detectable_change(half_width: float, alpha: float, power: float, margin: float = 0.0) -> float:
    """Return the ratio less one that a test at level *alpha*, two-sided, would find with probability *power*.

    *half_width* is that of the interval at the same level, on the scale of logarithms: z of alpha standard errors.
    A change is found for sure enough if it is z of alpha and z of the power away from the *margin*.
    """
    critical = norm.isf(alpha / 2)
    if half_width == float("inf"):
        return half_width
    return exp(margin + half_width * (1 + norm.ppf(power) / critical)) - 1


@lru_cache(maxsize=4096)
def _critical_rank(pairs: int, tail: float) -> int:
    """Return the largest r for which the signed-rank statistic is below r with a probability of at most *tail*.

    Then the r-th detectable and the r-th largest pairwise mean bound the interval; 0 if there is none.
    """
    if pairs <= COUNTED_PAIRS:
        return int(np.searchsorted(np.cumsum(signed_rank_pmf(pairs)), tail, side="right"))
    mean, deviation = pairs * (pairs + 1) / 4, sqrt(pairs * (pairs + 1) * (2 * pairs + 1) / 24)
    return int(max(0, np.floor(mean - norm.isf(tail) * deviation + 0.5)))


@lru_cache(maxsize=64)
def signed_rank_pmf(pairs: int) -> NDArray[np.float64]:
    """Return the probability of each value of the signed-rank statistic: sums of subsets of 1 to *pairs*."""
    ways = np.ones(1)
    for rank in range(1, pairs + 1):
        more = np.zeros(len(ways) + rank)
        more[: len(ways)] += ways / 2
        more[rank:] += ways / 2
        ways = more
    return ways
