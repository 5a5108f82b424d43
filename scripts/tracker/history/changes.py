"""Finds the changes of one series over the revisions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from scripts.tracker.statistics.changepoints import SMALLEST_CHANGE, change_points

SAME_OUTPUT = 1e-4
"""Largest relative difference of two fingerprints, or absolute one of two distances, of the same output.

Rounding, for example with another number of threads, changes both by about 1e-6; a waveform that differs by one part
in a thousand changes them by about 1e-3.
"""


@dataclass(frozen=True)
class Point:
    """The value of a series at one commit, the interval (*low*, *high*) of its samples, and its standard *error*."""

    value: float
    low: float | None = None
    high: float | None = None
    error: float = 0.0


@dataclass(frozen=True)
class Change:
    """A change of the level of a series.

    Attributes:
        before: the old level, in the unit of the series.
        after: the new level.
        since: the last revision measured on the old level; those between it and *revision* have no valid value.
        revision: the first revision measured on the new level.
        interval: confidence interval of the ratio after / before.
        probability: see `scripts.tracker.statistics.changepoints.ChangePoint`; 1.0 for an exact series.
        persists: whether the newest level still differs from *before* in the same direction.
    """

    before: float
    after: float
    since: int
    revision: int
    interval: tuple[float, float]
    probability: float
    persists: bool

    @property
    def ratio(self) -> float:
        """New level / old level; infinite if the old level is zero."""
        return ratio(self.before, self.after)


def ratio(before: float, after: float) -> float:
    """Return *after* / *before*: 1.0 if both are zero, infinite if only *before* is."""
    if before:
        return after / before
    return math.inf if after else 1.0


def level_changes(
    points: Mapping[int, Point], breaks: Sequence[int] = (), smallest: float = SMALLEST_CHANGE
) -> list[Change]:
    """Return the changes of the level of a noisy series, oldest first.

    A change before a break persists if it persisted until the break.

    Args:
        points: the values by revision, ascending.
        breaks: the first revisions measured under other conditions; nothing is compared across them.
        smallest: smallest relative change that is reported.
    """
    changes = []
    for segment in segments(points, breaks):
        revisions = list(segment)
        found = change_points([p.value for p in segment.values()], [p.error for p in segment.values()], smallest)
        changes += [
            Change(
                point.before,
                point.after,
                revisions[point.since],
                revisions[point.index],
                point.interval,
                point.probability,
                point.persists,
            )
            for point in found
        ]
    return changes


def exact_changes(
    points: Mapping[int, Point], breaks: Sequence[int] = (), tolerance: float = 0.0, least: float = 0.0
) -> list[Change]:
    """Return the changes of an exact series (operator calls, fingerprints), oldest first.

    Args:
        points: the values by revision, ascending.
        breaks: the first revisions measured under other conditions; nothing is compared across them.
        tolerance: largest relative difference that is no change.
        least: largest absolute difference that is no change, in the unit of the values.
    """
    changes = []
    for segment in segments(points, breaks):
        newest = list(segment.values())[-1].value
        for (since, before), (revision, after) in pairwise((at, point.value) for at, point in segment.items()):
            if not _differ(before, after, tolerance, least):
                continue
            persists = _differ(before, newest, tolerance, least) and (newest > before) == (after > before)
            size = ratio(before, after)
            changes.append(Change(before, after, since, revision, (size, size), 1.0, persists))
    return changes


def _differ(before: float, after: float, tolerance: float, least: float) -> bool:
    return abs(after - before) > max(tolerance * abs(before), least)


def segments(points: Mapping[int, Point], breaks: Sequence[int]) -> Iterator[dict[int, Point]]:
    """Yield the points between two *breaks* each, without empty segments."""
    edges = [-math.inf, *sorted(breaks), math.inf]
    for start, end in pairwise(edges):
        segment = {revision: point for revision, point in points.items() if start <= revision < end}
        if segment:
            yield segment


def latest(points: Mapping[int, Point], changes: Sequence[Change]) -> Change | None:
    """Return the last of *changes*; if there is none, the difference of the last two commits with probability 0.0.

    Returns None for a series with fewer than two commits.
    """
    if changes or len(points) < 2:
        return changes[-1] if changes else None
    (since, before), (revision, after) = list(points.items())[-2:]
    size = ratio(before.value, after.value)
    return Change(before.value, after.value, since, revision, (size, size), probability=0.0, persists=False)
