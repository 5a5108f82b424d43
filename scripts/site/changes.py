"""When a series last changed, and whether the change stands out of the noise. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import median

SMALLEST_CHANGE = 0.01
"""Relative change below which a measured value counts as unchanged, however narrow its interval is."""

SMALLEST_CHANGE_OF_FEW = 0.05
"""The same while the noise from commit to commit is unknown; asv's threshold for a regression, too."""

COMMITS_FOR_JITTER = 5
"""From so many commits on, the noise from commit to commit is estimated."""

SAME_OUTPUT = 1e-4
"""Difference up to which two fingerprints, or two distances to a reference, stand for one output.

Rounding, as by another number of threads, moves either by about 1e-6, a waveform that differs by one part in a
thousand by about 1e-3.
"""

_MAD_TO_SIGMA = 1.4826
_SIGMAS = 3.0


@dataclass(frozen=True)
class Point:
    """One commit's value of a series, with the interval of its samples where there were enough of them."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def half_width(self) -> float:
        """Half of the interval, in the unit of the value; 0.0 without one."""
        return 0.0 if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True)
class Step:
    """A stretch of commits on one level, as asv's step detection found it: revisions *first* to *last*."""

    first: int
    last: int
    value: float


@dataclass(frozen=True)
class Change:
    """The last change of a series: *before* and *after* are levels, *noise* what they may differ by chance.

    *revision* is the first one measured on the new level, *since* the last one measured on the old level.
    A series that never left its level has ``real=False`` and compares its last two commits.
    """

    before: float
    after: float
    since: int
    revision: int
    noise: float
    real: bool


def run_to_run(values: Sequence[float]) -> float:
    """Standard deviation from commit to commit on one level, in the unit of the values.

    It is taken from the median distance of neighbours, so that a few steps do not count as noise.
    """
    return _MAD_TO_SIGMA * median(abs(b - a) for a, b in pairwise(values)) / sqrt(2)


def noise_between(points: Mapping[int, Point], before: Step, after: Step) -> float:
    """By how much the levels of two steps may differ by chance, in the unit of the values.

    The largest of: the sample intervals of both, half width beside half width; three standard deviations of the
    difference, estimated from commit to commit; and `SMALLEST_CHANGE`. The first two shrink with the root of the
    number of commits on each level. With fewer than `COMMITS_FOR_JITTER` points, `SMALLEST_CHANGE_OF_FEW` stands in
    for the second.
    """
    sides = [
        [point.half_width for revision, point in points.items() if step.first <= revision <= step.last]
        for step in (before, after)
    ]
    intervals = sum(median(side) / sqrt(len(side)) for side in sides)
    if len(points) < COMMITS_FOR_JITTER:
        return max(intervals, SMALLEST_CHANGE_OF_FEW * abs(before.value))
    deviation = run_to_run([point.value for point in points.values()]) * sqrt(sum(1 / len(side) for side in sides))
    return max(intervals, _SIGMAS * deviation, SMALLEST_CHANGE * abs(before.value))


def with_newest_apart(points: Mapping[int, Point], steps: Sequence[Step]) -> list[Step]:
    """The *steps*, with the newest commit as a step of its own if it stands out of the noise of the last one.

    asv's step detection waits for a second commit on the new level before it believes in a step.
    """
    *rest, last = steps
    newest = max(points)
    earlier = [revision for revision in points if last.first <= revision < newest]
    if last.last != newest or not earlier:
        return list(steps)
    before = Step(last.first, max(earlier), median(points[revision].value for revision in earlier))
    after = Step(newest, newest, points[newest].value)
    apart = abs(after.value - before.value) > noise_between(points, before, after)
    return [*rest, before, after] if apart else list(steps)


def last_change(points: Mapping[int, Point], steps: Sequence[Step]) -> Change | None:
    """The most recent level that differs for real from the present one, and the commit where it was left.

    *points* are by revision, ascending; *steps* cover them. None for a series with fewer than two commits.
    """
    if len(points) < 2 or not steps:
        return None
    steps = with_newest_apart(points, steps)
    present = steps[-1]
    for before, following in zip(reversed(steps[:-1]), reversed(steps[1:]), strict=True):
        noise = noise_between(points, before, present)
        if abs(present.value - before.value) > noise:
            return Change(before.value, present.value, before.last, following.first, noise, real=True)
    since, revision = list(points)[-2:]
    single = [Step(r, r, points[r].value) for r in (since, revision)]
    noise = max(noise_between(points, single[0], single[1]), abs(single[1].value - single[0].value))
    return Change(single[0].value, single[1].value, since, revision, noise, real=False)


def exact_changes(points: Mapping[int, Point], tolerance: float = 0.0, least: float = 0.0) -> list[Change]:
    """Every change of a series that does not jitter (tokens, fingerprints), oldest first.

    *tolerance* is relative; a change is more than *least*, too, in the unit of the values.
    """
    return [
        Change(before.value, after.value, since, revision, 0.0, real=True)
        for (since, before), (revision, after) in pairwise(points.items())
        if abs(after.value - before.value) > max(tolerance * abs(before.value), least)
    ]


def last_exact_change(points: Mapping[int, Point], tolerance: float = 0.0, least: float = 0.0) -> Change | None:
    """Like `last_change`, for a series that does not jitter."""
    if len(points) < 2:
        return None
    found = exact_changes(points, tolerance, least)
    if found:
        return found[-1]
    (since, before), (revision, after) = list(points.items())[-2:]
    return Change(before.value, after.value, since, revision, 0.0, real=False)
