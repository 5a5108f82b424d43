"""Where the level of a series changed, and how sure that is: otava's divisive search under a test of our own.

otava proposes places (the divisive energy statistic of Matteson and James 2014). Its own t test divides by n instead
of n - 1 and takes one commit's deviation for zero, so it cannot judge the newest commit; the test here can. It is
applied twice, as in Hunter (Fleming et al. 2023): a lenient pass that may split too often, then the least likely
change points are taken back until all that are left pass the strict levels.
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

HISTORY = 40
"""Commits over which `BUDGET` holds."""
BUDGET = 0.01
"""Share of histories of `HISTORY` commits, looked at after every commit, that may hold a change made of noise."""
LENIENT = 0.01
"""One-sided p up to which the first pass splits."""
ONE_COMMIT, MORE_COMMITS = 4.5e-4, 2.5e-5
"""One-sided p up to which a change counts: with one commit after it, and with more.

`BUDGET` is spent on the two so that the newest commit alone, which is tested once, has most of it. They are set by
simulation, see ``python -m scripts.validate histories``.
"""
FULL_LEVEL = 10
"""Commits from which on the two levels hold; in a shorter history they are smaller by the square of its share."""
SMALLEST_CHANGE = 0.01
"""Relative change that is none, however little a series jitters."""
SUREST = math.nextafter(1.0, 0.0)
"""Probability that noise leaves at most; 1.0 is for what does not jitter."""
INTERVAL = 0.99
"""Confidence of the interval of a ratio."""


@dataclass(frozen=True)
class ChangePoint:
    """A change of level.

    *since* is the position of the last value on the old level, *index* of the first on the new one; what lies between
    was disturbed. *before* and *after* are the levels in the unit of the values, *ratio* is after / before (infinite
    from zero) and *interval* its `INTERVAL` confidence interval. *probability* is 1 - `BUDGET` p / level: one less the
    share of histories of `HISTORY` commits in which noise alone makes a change as unlikely as this one. *persists* says
    whether the newest level still lies beyond *before*, on the same side as *after*, by more than noise.
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
    """The changes of level of *values*, one a commit, oldest first.

    *spreads* are the standard errors of the values as the samples of each commit tell, 0.0 where they do not;
    *smallest* is the relative change below which none is reported. Positive values are compared as ratios. A single
    commit that neither neighbour resembles is taken for a disturbance of its measurement, and left out.

    Raises:
        ValueError: a value is not finite, or the lengths differ.
    """
    if len(values) != len(spreads):
        raise ValueError(f"{len(values)} values with {len(spreads)} spreads: give one spread a value.")
    scaled = ScaledSeries.of(values, spreads)
    kept = list(range(len(values)))
    while True:
        chosen = scaled.take(kept)
        bounds = _pruned(chosen, _proposed(chosen), smallest)
        lone = [at for at, end in pairwise(bounds) if end - at == 1]
        if not lone:
            return [_described(chosen, bounds, number, kept) for number in range(len(bounds))]
        kept = [at for position, at in enumerate(kept) if position not in lone]


class _LenientTest(SignificanceTester):  # type: ignore[misc]  # otava ships no types
    """Splits where two levels may differ.

    The noise is that of neighbours, which steps elsewhere leave alone, or that around the levels, if it is smaller.
    """

    def __init__(self, scaled: ScaledSeries) -> None:
        super().__init__(LENIENT)
        self._scaled = scaled
        self._between_neighbours = scaled.neighbour_noise()

    def change_point(self, candidate: CandidateChangePoint, series: Any, intervals: list[slice]) -> Any:
        """Called by otava for its best place inside one of the present segments."""
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
    """The proposed change points without those that do not pass, the worst taken back first."""
    bounds = list(proposed)
    least = math.log1p(smallest)
    while bounds:
        bounds = _relocated(scaled, bounds)
        levels, noise = _levels(scaled, bounds), scaled.pooled_noise(bounds)
        excess = [
            math.inf
            if abs(after.mean - before.mean) < least
            else p_value(before, after, noise) / strict_level(after, len(scaled.values))
            for before, after in pairwise(levels)
        ]
        worst = max(range(len(bounds)), key=excess.__getitem__)
        if excess[worst] <= 1:
            break
        del bounds[worst]
    return bounds


def _relocated(scaled: ScaledSeries, bounds: list[int]) -> list[int]:
    """Every change point where it splits the values between its neighbours with the least squares.

    The energy statistic finds that there are two levels, but is less sharp on where one ends.
    """
    placed = [0, *bounds, len(scaled.values)]
    for number in range(1, len(placed) - 1):
        placed[number] = scaled.best_split(placed[number - 1], placed[number + 1])
    return placed[1:-1]


def strict_level(after: Level, commits: int) -> float:
    """One-sided p up to which the level *after* counts as another one, in a history of so many *commits*."""
    level = ONE_COMMIT if after.count == 1 else MORE_COMMITS
    return level * min(1.0, (commits / FULL_LEVEL) ** 2)


def p_value(before: Level, after: Level, noise: Noise) -> float:
    """One-sided p of Student's t test of two levels, of any sizes from one commit on, with *noise* from elsewhere, too.

    With one commit after and *noise* from those before alone, it is the test of a prediction interval.
    """
    distance = abs(after.mean - before.mean)
    error = math.sqrt(before.variance(noise) + after.variance(noise))
    return float(stdtr(noise.freedom, -distance / error))


def _levels(scaled: ScaledSeries, bounds: list[int]) -> list[Level]:
    edges = [0, *bounds, len(scaled.values)]
    return [scaled.level(start, end) for start, end in pairwise(edges)]


def _described(scaled: ScaledSeries, bounds: list[int], number: int, kept: list[int]) -> ChangePoint:
    levels, noise, commits = _levels(scaled, bounds), scaled.pooled_noise(bounds), len(scaled.values)
    before, after, present = levels[number], levels[number + 1], levels[-1]
    p, level = p_value(before, after, noise), strict_level(after, commits)
    reach = stdtrit(noise.freedom, (1 + INTERVAL) / 2) * math.sqrt(before.variance(noise) + after.variance(noise))
    same_side = (present.mean - before.mean) * (after.mean - before.mean) > 0
    beyond = p_value(before, present, noise) <= strict_level(present, commits)
    return ChangePoint(
        since=kept[bounds[number] - 1],
        index=kept[bounds[number]],
        before=scaled.unscaled(before.mean),
        after=scaled.unscaled(after.mean),
        ratio=scaled.ratio(before.mean, after.mean),
        interval=(
            scaled.ratio(before.mean, after.mean - float(reach)),
            scaled.ratio(before.mean, after.mean + float(reach)),
        ),
        probability=min(1 - BUDGET * p / level, SUREST),
        persists=same_side and beyond,
    )
