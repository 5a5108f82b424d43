"""Synthetic histories: one level with noise, and a step of known size at a known commit."""

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
"""Length of a history, in commits."""
SAMPLES = 10
"""Samples of a commit. Half of the variance of their median is variation within the commit, half between commits."""
Tails = Literal["normal", "heavy"]
"""Distribution of the noise between commits: normal, or Student's t with 4 degrees of freedom and the same variance."""


@dataclass(frozen=True)
class History:
    """A series as asv stores it: the value of each commit, its standard error, and asv's weight."""

    values: tuple[float, ...]
    spreads: tuple[float, ...]
    weights: tuple[float, ...]


class Histories:
    """*count* histories of `COMMITS` commits. The same random draws are used for every noise and step size."""

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
        """Return one history: 1 s with relative *noise*, and longer by the relative *step* from commit *at* on."""
        levels = np.where(np.arange(COMMITS) < at, 1.0, 1.0 + step)
        return History(
            values=tuple(levels * (1 + noise * self._deviations[number])),
            spreads=tuple(levels * noise * self._spreads[number]),
            weights=tuple(self._weights[number] / levels),
        )


def _stored(samples: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the median, its standard error as the site computes it, and asv's weight."""
    median, stats = compute_stats(list(samples), 1)
    weight: Any = get_weight(stats)
    return float(median), median_error(stats), float(weight)


def _deviation_of_medians(random: np.random.Generator) -> float:
    return float(np.median(random.standard_normal((20000, SAMPLES)), axis=1).std())
