"""A series on the scale on which it is tested: its levels, and the noise around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

PRIOR_DEVIATION = 0.01
"""Deviation from commit to commit that is expected before a history tells."""
PRIOR_FREEDOM = 4
"""Degrees of freedom that this expectation is worth (a moderated t test, Smyth 2004)."""
_MAD_TO_SIGMA = 1.4826

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """Variance of one commit's value around its level, and the degrees of *freedom* of its estimate."""

    variance: float
    freedom: int


@dataclass(frozen=True)
class Level:
    """Mean of *count* neighbouring values, and the variances that their spreads within commits tell."""

    mean: float
    count: int
    spread_variances: Floats

    def variance(self, noise: Noise) -> float:
        """Variance of the mean; no commit counts for surer than its own spread says."""
        return float(np.maximum(self.spread_variances, noise.variance).sum()) / self.count**2


@dataclass(frozen=True)
class ScaledSeries:
    """Logarithms of positive values, or else values in parts of *unit*, the largest of them; spreads to match."""

    values: Floats
    spreads: Floats
    unit: float | None

    @classmethod
    def of(cls, values: Sequence[float], spreads: Sequence[float]) -> ScaledSeries:
        """Scale *values* and *spreads* of one unit.

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
        """The same without the values whose positions are not in *kept*."""
        return ScaledSeries(self.values[list(kept)], self.spreads[list(kept)], self.unit)

    def unscaled(self, level: float) -> float:
        """A level in the unit of the values."""
        return math.exp(level) if self.unit is None else level * self.unit

    def ratio(self, before: float, after: float) -> float:
        """One level over another; infinite from zero to anything else."""
        if self.unit is None:
            return math.exp(after - before)
        return after / before if before else math.inf

    @cached_property
    def _spread_variances(self) -> Floats:
        return np.square(self.spreads)

    @cached_property
    def _sums(self) -> Floats:
        """Sums of the centred values and of their squares before each position, 2 × (n + 1)."""
        centred = self.values - np.median(self.values)
        return np.pad(np.cumsum([centred, centred**2], axis=1), ((0, 0), (1, 0)))

    def level(self, start: int, end: int) -> Level:
        """The level of the values from *start* to *end*, exclusive."""
        return Level(float(self.values[start:end].mean()), end - start, self._spread_variances[start:end])

    def best_split(self, start: int, end: int) -> int:
        """Where the values from *start* to *end* fall into two levels with the least squares around them."""
        places = np.arange(start + 1, end)
        sums = self._sums[0]
        left, right = sums[places] - sums[start], sums[end] - sums[places]
        return int(places[np.argmax(left**2 / (places - start) + right**2 / (end - places))])

    def pooled_noise(self, bounds: Sequence[int]) -> Noise:
        """Noise around the levels between *bounds*, all of them together, moderated by what is expected.

        The variance is (4 expected + squares) / (4 + n - levels), and neither below squares / (n - levels) nor below
        the mean square of the spreads: what varies within commits varies between them, too.
        """
        edges = np.array([0, *bounds, len(self.values)])
        sums = np.diff(self._sums[:, edges], axis=1)
        squares = float((sums[1] - sums[0] ** 2 / np.diff(edges)).sum())
        return self._moderated(max(squares, 0.0), len(self.values) - len(bounds) - 1)

    def neighbour_noise(self) -> Noise:
        """Noise from the median distance of neighbours, which few steps do not move, worth a third of the values."""
        distances = np.abs(np.diff(self.values))
        freedom = len(distances) // 3
        variance = (_MAD_TO_SIGMA * float(np.median(distances))) ** 2 / 2
        return self._moderated(freedom * variance, freedom)

    def _moderated(self, squares: float, freedom: int) -> Noise:
        """Blend *squares* with the expectation: the prior, or between commits as much again as within them.

        The expectation lifts an estimate from few commits, it does not lower one.
        """
        within = float(self._spread_variances.mean())
        expected = max(PRIOR_DEVIATION**2, 2 * within)
        variance = (PRIOR_FREEDOM * expected + squares) / (PRIOR_FREEDOM + freedom)
        return Noise(max(variance, squares / max(freedom, 1), within), PRIOR_FREEDOM + freedom)
