"""What the same stage says in several cells together: a stratified signed-rank test.

In each cell the ranks of the signed differences are summed up as in Wilcoxon's test; then these sums are added, since
cells of other lengths and noise cannot be ranked together. The total is a sum over tosses again, and its distribution
is counted. That of differences less a shift is the number of means, of two differences of a cell, above the shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from scripts.tracker.statistics.pairs import signed_rank_pmf, walsh_averages


class Pool:
    """The differences of several cells, as many of each.

    Attributes:
        means: of all two differences of the same cell, sorted; their median is the estimate.
    """

    def __init__(self, cells: Sequence[NDArray[np.float64]]) -> None:
        sizes = {len(differences) for differences in cells}
        if len(sizes) != 1:
            raise ValueError(f"cells have {sorted(sizes)} differences, expected as many of each, and one cell at least")
        self.means = np.sort(np.concatenate([walsh_averages(differences) for differences in cells]))
        self._upper_tail = _upper_tail(sizes.pop(), len(cells))

    def p_greater(self, shift: float) -> float:
        """Return the probability of so much evidence for differences above *shift* by chance, if they are not."""
        return float(self._upper_tail[int(np.sum(self.means > shift))])

    def p_less(self, shift: float) -> float:
        """Return the probability of so much evidence for differences below *shift* by chance, if they are not."""
        return float(self._upper_tail[int(np.sum(self.means < shift))])

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return the interval of shifts that the test at level *alpha*, two-sided, does not reject; maybe infinite."""
        rejected = int(np.sum(self._upper_tail <= alpha / 2))
        if not rejected:
            return float("-inf"), float("inf")
        return float(self.means[rejected - 1]), float(self.means[-rejected])


@lru_cache(maxsize=64)
def _upper_tail(pairs: int, cells: int) -> NDArray[np.float64]:
    """Return the probability that the sum of *cells* signed-rank statistics, of *pairs* each, is so large or larger."""
    pmf: NDArray[np.float64] = np.ones(1)
    for _ in range(cells):
        pmf = np.asarray(np.convolve(pmf, signed_rank_pmf(pairs)), np.float64)
    tail: NDArray[np.float64] = np.cumsum(pmf[::-1])[::-1]
    return tail
