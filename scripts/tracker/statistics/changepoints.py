"""Change points of a series: the divisive search of otava with a significance test of our own.

otava proposes splits by the divisive energy statistic (Matteson and James 2014). Its own t test divides by n instead of
n - 1 and assumes a deviation of zero for a single commit, so it cannot judge the newest commit. The test of this module
can. It is applied twice, as in Hunter (Fleming et al. 2023): a lenient pass may split too often; then the least
significant change points are removed until all that are left pass the strict levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from otava.change_point_divisive.base import BaseStats, CandidateChangePoint, SignificanceTester
from otava.change_point_divisive.base import ChangePoint as Split
from otava.change_point_divisive.calculator import PairDistanceCalculator
from otava.change_point_divisive.detector import ChangePointDetector
from scipy.special import stdtr, stdtrit

from scripts.tracker.statistics.levels import Level, Noise, ScaledSeries

HISTORY_COMMITS = 40
"""Length of the histories for which `FALSE_ALARM_SHARE` holds, in commits."""
FALSE_ALARM_SHARE = 0.01
"""Largest share of histories of `HISTORY_COMMITS` commits, tested after every commit, with a change made of noise."""
LENIENT_P = 0.01
"""One-sided p value up to which the lenient pass splits."""
ONE_COMMIT_P, MORE_COMMITS_P = 4.5e-4, 2.5e-5
"""One-sided p values up to which a change is reported, with one commit after it and with more.

They were set by simulation (``python -m scripts.validate histories``) so that both together spend
`FALSE_ALARM_SHARE`. Most of it is spent on the newest commit alone, because that test is made only once.
"""
FULL_LEVEL_COMMITS = 10
"""Shortest history, in commits, with the full strict levels. In a shorter one they are multiplied by the square of its
length divided by this length."""
SMALLEST_CHANGE = 0.01
"""Smallest relative change that is reported, however low the noise of a series is."""
MAX_PROBABILITY = math.nextafter(1.0, 0.0)
"""Largest probability of a change of a noisy series; 1.0 is reserved for exact metrics."""
CONFIDENCE = 0.99
"""Confidence level of the interval of a ratio."""


@dataclass(frozen=True)
class ChangePoint:
    """A change of the level of a series.

    Attributes:
        since: position of the last value on the old level. Values between *since* and *index* were disturbed.
        index: position of the first value on the new level.
        before: old level, in the unit of the values.
        after: new level, in the same unit.
        ratio: after / before; infinite if *before* is zero.
        interval: confidence interval of *ratio* at level `CONFIDENCE`.
        probability: 1 - `FALSE_ALARM_SHARE` p / level: one minus the share of histories of `HISTORY_COMMITS` commits
            in which noise alone makes a change with such a p value.
        persists: whether the newest level still differs from *before* in the same direction, by more than noise.
    """

    since: int
    index: int
    before: float
    after: float
    ratio: float
    interval: tuple[float, float]
    probability: float
    persists: bool


def change_points(
    values: Sequence[float], spreads: Sequence[float], smallest: float = SMALLEST_CHANGE
) -> list[ChangePoint]:
    """Return the change points of *values*, one value a commit, oldest first.

    Positive values are compared as ratios. A single commit whose value resembles neither neighbour is treated as a
    disturbed measurement and left out.

    Args:
        values: one value a commit.
        spreads: standard errors of the values from the samples of each commit; 0.0 where they are unknown.
        smallest: smallest relative change that is reported.

    Raises:
        ValueError: a value is not finite, or the lengths differ.
    """
    if len(values) != len(spreads):
        raise ValueError(f"{len(values)} values with {len(spreads)} spreads: give one spread for each value.")
    scaled = ScaledSeries.of(values, spreads)
    kept = list(range(len(values)))
    while True:
        chosen = scaled.take(kept)
        bounds = _pruned(chosen, _proposed(chosen), smallest)
        lone = [at for at, end in pairwise(bounds) if end - at == 1]
        if not lone:
            return [_change_point(chosen, bounds, number, kept) for number in range(len(bounds))]
        kept = [at for position, at in enumerate(kept) if position not in lone]


class _LenientTest(SignificanceTester):  # type: ignore[misc]  # otava ships no types
    """Accepts a split where two levels may differ.

    It uses the smaller of two noise estimates: that of neighbouring values, which steps elsewhere do not change, and
    the pooled one around the levels.
    """

    def __init__(self, scaled: ScaledSeries) -> None:
        super().__init__(LENIENT_P)
        self._scaled = scaled
        self._between_neighbours = scaled.neighbour_noise()

    def change_point(self, candidate: CandidateChangePoint, series: Any, intervals: list[slice]) -> Any:
        """Test otava's best split inside one of the present segments; otava calls this."""
        starts = [interval.start or 0 for interval in intervals]
        start = max(start for start in starts if start < candidate.index)
        end = min([start for start in starts if start > candidate.index], default=len(series))
        before, after = self._scaled.level(start, candidate.index), self._scaled.level(candidate.index, end)
        around = self._scaled.pooled_noise(sorted({*starts, candidate.index} - {0}))
        noise = min(around, self._between_neighbours, key=lambda noise: noise.variance)
        return Split.from_candidate(candidate, BaseStats(p_value(before, after, noise)))


def _proposed(scaled: ScaledSeries) -> list[int]:
    if len(scaled.values) < 2:
        return []
    found = ChangePointDetector(_LenientTest(scaled), PairDistanceCalculator).get_change_points(scaled.values)
    return [int(split.index) for split in found]


def _pruned(scaled: ScaledSeries, proposed: list[int], smallest: float) -> list[int]:
    """Return the proposed change points that pass the strict levels, after removing the least significant first."""
    bounds = list(proposed)
    threshold = math.log1p(smallest)
    while bounds:
        bounds = _relocated(scaled, bounds)
        levels, noise = _levels(scaled, bounds), scaled.pooled_noise(bounds)
        excess = [
            math.inf
            if abs(after.mean - before.mean) < threshold
            else p_value(before, after, noise) / strict_level(after, len(scaled.values))
            for before, after in pairwise(levels)
        ]
        worst = max(range(len(bounds)), key=excess.__getitem__)
        if excess[worst] <= 1:
            break
        del bounds[worst]
    return bounds


def _relocated(scaled: ScaledSeries, bounds: list[int]) -> list[int]:
    """Return each change point moved to the least-squares split of the values between its neighbours.

    The energy statistic detects that there are two levels, but locates the boundary less precisely.
    """
    edges = [0, *bounds, len(scaled.values)]
    for number in range(1, len(edges) - 1):
        edges[number] = scaled.best_split(edges[number - 1], edges[number + 1])
    return edges[1:-1]


def strict_level(after: Level, commits: int) -> float:
    """Return the one-sided p value up to which the level *after* is a change, in a history of *commits* commits."""
    level = ONE_COMMIT_P if after.count == 1 else MORE_COMMITS_P
    return level * min(1.0, (commits / FULL_LEVEL_COMMITS) ** 2)


def p_value(before: Level, after: Level, noise: Noise) -> float:
    """Return the one-sided p value of Student's t test of two levels, with *noise* as the variance estimate.

    A level can have a single commit. If *after* has one commit and *noise* comes from the earlier commits alone, this
    is the test of a prediction interval.
    """
    distance = abs(after.mean - before.mean)
    error = math.sqrt(before.variance(noise) + after.variance(noise))
    return float(stdtr(noise.freedom, -distance / error))


def _levels(scaled: ScaledSeries, bounds: list[int]) -> list[Level]:
    edges = [0, *bounds, len(scaled.values)]
    return [scaled.level(start, end) for start, end in pairwise(edges)]


def _change_point(scaled: ScaledSeries, bounds: list[int], number: int, kept: list[int]) -> ChangePoint:
    levels, noise, commits = _levels(scaled, bounds), scaled.pooled_noise(bounds), len(scaled.values)
    before, after, present = levels[number], levels[number + 1], levels[-1]
    p, level = p_value(before, after, noise), strict_level(after, commits)
    half_width = stdtrit(noise.freedom, (1 + CONFIDENCE) / 2) * math.sqrt(
        before.variance(noise) + after.variance(noise)
    )
    same_side = (present.mean - before.mean) * (after.mean - before.mean) > 0
    still_different = p_value(before, present, noise) <= strict_level(present, commits)
    return ChangePoint(
        since=kept[bounds[number] - 1],
        index=kept[bounds[number]],
        before=scaled.unscaled(before.mean),
        after=scaled.unscaled(after.mean),
        ratio=scaled.ratio(before.mean, after.mean),
        interval=(
            scaled.ratio(before.mean, after.mean - float(half_width)),
            scaled.ratio(before.mean, after.mean + float(half_width)),
        ),
        probability=min(1 - FALSE_ALARM_SHARE * p / level, MAX_PROBABILITY),
        persists=same_side and still_different,
    )
