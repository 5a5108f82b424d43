"""A series on the scale on which it is tested: its levels and the noise around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

PRIOR_DEVIATION = 0.01
"""Prior standard deviation from commit to commit, relative; it is used until a history provides an estimate."""
PRIOR_FREEDOM = 4
"""Degrees of freedom of the prior (moderated t test, Smyth 2004)."""
_MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution divided by its median absolute deviation."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """The variance of one commit's value around its level, and the degrees of freedom of that estimate."""

    variance: float
    freedom: int


@dataclass(frozen=True)
class Level:
    """The mean of *count* consecutive values, and their variances as estimated from the samples of each commit."""

    mean: float
    count: int
    spread_variances: Floats

    def variance(self, noise: Noise) -> float:
        """Return the variance of the mean; the variance of a commit is at least that of its own samples."""
        return float(np.maximum(self.spread_variances, noise.variance).sum()) / self.count**2


@dataclass(frozen=True)
class ScaledSeries:
    """A series on its test scale: logarithms if all values are positive, else values divided by the largest one.

    Attributes:
        values: the scaled values, one a commit.
        spreads: their standard errors on the same scale.
        unit: the divisor, or None for logarithms.
    """

    values: Floats
    spreads: Floats
    unit: float | None

    @classmethod
    def of(cls, values: Sequence[float], spreads: Sequence[float]) -> ScaledSeries:
        """Return *values* and *spreads*, given in one unit, on the test scale.

        Raises:
            ValueError: a value is infinite or not a number.
        """
        plain, errors = np.asarray(values, dtype=np.float64), np.asarray(spreads, dtype=np.float64)
        if not np.isfinite(plain).all():
            raise ValueError(f"values must be finite, has {values}")
        if (plain > 0).all():
            return cls(np.log(plain), errors / plain, None)
        unit = float(np.abs(plain).max()) or 1.0
        return cls(plain / unit, errors / unit, unit)

    def take(self, kept: Sequence[int]) -> ScaledSeries:
        """Return the series of the values at the positions in *kept*."""
        return ScaledSeries(self.values[list(kept)], self.spreads[list(kept)], self.unit)

    def unscaled(self, level: float) -> float:
        """Return a level in the original unit of the values."""
        return math.exp(level) if self.unit is None else level * self.unit

    def ratio(self, before: float, after: float) -> float:
        """Return *after* / *before* in the original unit; infinite if *before* is zero."""
        if self.unit is None:
            return math.exp(after - before)
        return after / before if before else math.inf

    @cached_property
    def _spread_variances(self) -> Floats:
        return np.square(self.spreads)

    @cached_property
    def _sums(self) -> Floats:
        """Cumulative sums of the centred values and of their squares before each position, shape `(2, n + 1)`."""
        centred = self.values - np.median(self.values)
        return np.pad(np.cumsum([centred, centred**2], axis=1), ((0, 0), (1, 0)))

    def level(self, start: int, end: int) -> Level:
        """Return the level of the values from *start* up to, but not including, *end*."""
        return Level(float(self.values[start:end].mean()), end - start, self._spread_variances[start:end])

    def best_split(self, start: int, end: int) -> int:
        """Return the position that splits the values from *start* to *end* into two levels with the least squares."""
        splits = np.arange(start + 1, end)
        sums = self._sums[0]
        left, right = sums[splits] - sums[start], sums[end] - sums[splits]
        return int(splits[np.argmax(left**2 / (splits - start) + right**2 / (end - splits))])

    def pooled_noise(self, bounds: Sequence[int]) -> Noise:
        """Return the noise around the levels between *bounds*, pooled over all levels and moderated by the prior.

        The variance is (4 prior + squares) / (4 + n - levels). It is at least squares / (n - levels), and at least the
        mean square of the spreads, since variation within commits is also variation between them.
        """
        edges = np.array([0, *bounds, len(self.values)])
        sums = np.diff(self._sums[:, edges], axis=1)
        squares = float((sums[1] - sums[0] ** 2 / np.diff(edges)).sum())
        return self._moderated(max(squares, 0.0), len(self.values) - len(bounds) - 1)

    def neighbour_noise(self) -> Noise:
        """Return the noise estimated from the median distance of neighbouring values, which a few steps do not change.

        The estimate has a third as many degrees of freedom as there are distances.
        """
        distances = np.abs(np.diff(self.values))
        freedom = len(distances) // 3
        variance = (_MAD_TO_SIGMA * float(np.median(distances))) ** 2 / 2
        return self._moderated(freedom * variance, freedom)

    def _moderated(self, squares: float, freedom: int) -> Noise:
        """Return the variance from a sum of *squares*, moderated by the prior.

        The prior variance is that of `PRIOR_DEVIATION`, or twice the variance within commits if that is larger. It can
        raise the estimate from few commits, but not lower one.
        """
        within = float(self._spread_variances.mean())
        prior = max(PRIOR_DEVIATION**2, 2 * within)
        variance = (PRIOR_FREEDOM * prior + squares) / (PRIOR_FREEDOM + freedom)
        return Noise(max(variance, squares / max(freedom, 1), within), PRIOR_FREEDOM + freedom)
