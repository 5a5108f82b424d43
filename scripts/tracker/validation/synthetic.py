"""Histories whose truth is known: one level, noise, and a step at a known commit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from asv._stats import get_weight
from asv_runner.statistics import compute_stats
from numpy.typing import NDArray

from scripts.tracker.history.model import median_error
from scripts.tracker.statistics.changepoints import HISTORY_COMMITS

COMMITS = HISTORY_COMMITS
SAMPLES = 10
"""Samples of a commit; half of the variance of their median comes from within the commit, half from between commits."""
Tails = Literal["normal", "heavy"]
"""Of the noise between commits: normal, or Student's t with 4 degrees of freedom, of the same variance."""


@dataclass(frozen=True)
class History:
    """One curve as asv stores it: a value a commit, its standard error, and asv's weight of it."""

    values: tuple[float, ...]
    spreads: tuple[float, ...]
    weights: tuple[float, ...]


class Histories:
    """*count* histories of `COMMITS` commits; the same draws serve every size of noise and step."""

    def __init__(self, count: int, seed: int, tails: Tails = "normal") -> None:
        random = np.random.default_rng(seed)
        between = random.standard_normal((count, COMMITS))
        if tails == "heavy":
            between = random.standard_t(4, (count, COMMITS)) / math.sqrt(2)
        within = random.standard_normal((count, COMMITS, SAMPLES)) / _deviation_of_medians(random)
        stored = [[_stored(samples) for samples in commits] for commits in within]
        table = np.array(stored)
        self._deviations = (between + table[:, :, 0]) * math.sqrt(0.5)
        self._spreads = table[:, :, 1] * math.sqrt(0.5)
        self._weights = table[:, :, 2]

    def __len__(self) -> int:
        return len(self._deviations)

    def history(self, number: int, noise: float, step: float, at: int) -> History:
        """One of them: 1 second with relative *noise*, from commit *at* on larger by the relative *step*."""
        levels = np.where(np.arange(COMMITS) < at, 1.0, 1.0 + step)
        return History(
            values=tuple(levels * (1 + noise * self._deviations[number])),
            spreads=tuple(levels * noise * self._spreads[number]),
            weights=tuple(self._weights[number] / levels),
        )


def _stored(samples: NDArray[np.float64]) -> tuple[float, float, float]:
    """Median, its standard error as the site reads it, and asv's weight."""
    median, stats = compute_stats(list(samples), 1)
    weight: Any = get_weight(stats)
    return float(median), median_error(stats), float(weight)


def _deviation_of_medians(random: np.random.Generator) -> float:
    return float(np.median(random.standard_normal((20000, SAMPLES)), axis=1).std())
