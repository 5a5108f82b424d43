"""A stratified signed-rank test: the same stage in several cells together.

In each cell the ranks of the signed differences are summed as in Wilcoxon's test. The sums of all cells are then added,
because differences of cells with other durations and noise cannot be ranked together. Under the null hypothesis the
total is a sum over random signs, so its distribution can be counted exactly. For differences less a shift, the total
is the number of Walsh averages above that shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from scripts.tracker.statistics.pairs import signed_rank_pmf, walsh_averages


class PooledCells:
    """The differences of several cells, the same number of each.

    Attributes:
        means: the Walsh averages of all cells, sorted; their median is the pooled estimate.
    """

    def __init__(self, cells: Sequence[NDArray[np.float64]]) -> None:
        sizes = {len(differences) for differences in cells}
        if len(sizes) != 1:
            raise ValueError(
                f"cells have {sorted(sizes)} differences, expected the same number of each, and one cell at least"
            )
        self.means = np.sort(np.concatenate([walsh_averages(differences) for differences in cells]))
        self._upper_tail = _upper_tail(sizes.pop(), len(cells))

    def p_greater(self, shift: float) -> float:
        """Return the one-sided p value of the hypothesis that the differences are not above *shift*."""
        return float(self._upper_tail[int(np.sum(self.means > shift))])

    def p_less(self, shift: float) -> float:
        """Return the one-sided p value of the hypothesis that the differences are not below *shift*."""
        return float(self._upper_tail[int(np.sum(self.means < shift))])

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return the interval of shifts that the two-sided test at level *alpha* does not reject.

        It is (-inf, inf) if there are too few differences.
        """
        rejected = int(np.sum(self._upper_tail <= alpha / 2))
        if not rejected:
            return float("-inf"), float("inf")
        return float(self.means[rejected - 1]), float(self.means[-rejected])


@lru_cache(maxsize=64)
def _upper_tail(pairs: int, cells: int) -> NDArray[np.float64]:
    """Return, for each value of the sum of *cells* signed-rank statistics of *pairs* each, the upper tail probability.

    The tail includes the value itself.
    """
    pmf: NDArray[np.float64] = np.ones(1)
    for _ in range(cells):
        pmf = np.asarray(np.convolve(pmf, signed_rank_pmf(pairs)), np.float64)
    tail: NDArray[np.float64] = np.cumsum(pmf[::-1])[::-1]
    return tail
