"""When a series changed, by its points over the revisions. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from scripts.tracker.statistics.changepoints import SMALLEST_CHANGE, change_points

SAME_OUTPUT = 1e-4
"""Difference up to which two fingerprints, or two distances to a reference, stand for one output.

Rounding, as by another number of threads, moves either by about 1e-6, a waveform that differs by one part in a
thousand by about 1e-3.
"""


@dataclass(frozen=True)
class Point:
    """One commit's value of a series, the interval of its samples, and the standard error that they give it."""

    value: float
    low: float | None = None
    high: float | None = None
    spread: float = 0.0


@dataclass(frozen=True)
class Change:
    """A series leaves the level *before* for the level *after*.

    *revision* is the first one measured on the new level, *since* the last one measured on the old level; what lies
    between the two was not measured, or disturbed. *interval*
    is of the ratio after / before; see `ChangePoint` of `scripts.tracker.statistics.changepoints` for it, *probability*
    and *stands*.
    """

    before: float
    after: float
    since: int
    revision: int
    interval: tuple[float, float]
    probability: float
    stands: bool

    @property
    def ratio(self) -> float:
        """New level over old level, infinite from zero."""
        return ratio(self.before, self.after)


def ratio(before: float, after: float) -> float:
    """*after* / *before*; 1.0 for two zeros, infinite from zero to anything else."""
    if before:
        return after / before
    return math.inf if after else 1.0


def level_changes(
    points: Mapping[int, Point], breaks: Sequence[int] = (), smallest: float = SMALLEST_CHANGE
) -> list[Change]:
    """Every change of level of a series that jitters, oldest first.

    *points* are by revision, ascending; nothing is compared across *breaks*, the first revisions of other
    surroundings. What happened before a break stands if it stood there.
    """
    changes = []
    for piece in pieces(points, breaks):
        revisions = list(piece)
        found = change_points([p.value for p in piece.values()], [p.spread for p in piece.values()], smallest)
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
    """Every change of a series that does not jitter (operators, fingerprints), oldest first; each is a fact.

    *tolerance* is relative; a change is more than *least*, too, in the unit of the values.
    """
    changes = []
    for piece in pieces(points, breaks):
        present = list(piece.values())[-1].value
        for (since, before), (revision, after) in pairwise((at, point.value) for at, point in piece.items()):
            if not _differ(before, after, tolerance, least):
                continue
            stands = _differ(before, present, tolerance, least) and (present > before) == (after > before)
            size = ratio(before, after)
            changes.append(Change(before, after, since, revision, (size, size), 1.0, stands))
    return changes


def _differ(before: float, after: float, tolerance: float, least: float) -> bool:
    return abs(after - before) > max(tolerance * abs(before), least)


def pieces(points: Mapping[int, Point], breaks: Sequence[int]) -> Iterator[dict[int, Point]]:
    """The points between *breaks*, without empty pieces."""
    edges = [-math.inf, *sorted(breaks), math.inf]
    for start, end in pairwise(edges):
        piece = {revision: point for revision, point in points.items() if start <= revision < end}
        if piece:
            yield piece


def latest(points: Mapping[int, Point], changes: Sequence[Change]) -> Change | None:
    """The last of *changes*; without any the difference of the last two commits, which has *probability* 0.0.

    None for a series with fewer than two commits.
    """
    if changes or len(points) < 2:
        return changes[-1] if changes else None
    (since, before), (revision, after) = list(points.items())[-2:]
    size = ratio(before.value, after.value)
    return Change(before.value, after.value, since, revision, (size, size), probability=0.0, stands=False)
