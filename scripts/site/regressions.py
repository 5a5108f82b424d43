"""The steps up (regressions) and down (improvements) that still stand, by asv's own detection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from asv.plugins.regressions import _GraphDataFilter
from asv.step_detect import detect_regressions

from scripts.site.changes import Step, noise_between
from scripts.site.history import Environment, Series

AsvStep = tuple[int, int, float, float, float]
"""First revision, last revision + 1, median, least value, mean deviation from the median."""


@dataclass(frozen=True)
class Jump:
    """One step of one series: *since* is the last revision before it, *revision* the first one after it."""

    series: Series
    since: int
    revision: int
    before: float
    after: float
    clear: bool

    @property
    def ratio(self) -> float:
        """New level over old level."""
        return self.after / self.before if self.before else float("inf")


@dataclass
class JumpGroup:
    """The jumps of one benchmark at one commit, one for each cell."""

    benchmark: str
    since: int
    revision: int
    jumps: list[Jump] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median of the cells' ratios."""
        return median(jump.ratio for jump in self.jumps)

    @property
    def clear(self) -> bool:
        """Whether any cell's jump stands out of its noise."""
        return any(jump.clear for jump in self.jumps)


class JumpFinder:
    """Applies asv's regression detection, with the thresholds and first commits of the configuration."""

    def __init__(self, conf: Any, repo: Any, benchmarks: Mapping[str, Any], revisions: Mapping[str, int]) -> None:
        self._filter = _GraphDataFilter(conf, repo, revisions)
        self._benchmarks = benchmarks

    def regressions(self, environment: Environment) -> list[JumpGroup]:
        """What got worse and still is, newest commit first and the largest first within a commit."""
        return self._groups(environment, invert=False)

    def improvements(self, environment: Environment) -> list[JumpGroup]:
        """What got better and still is, in the same order."""
        return self._groups(environment, invert=True)

    def _groups(self, environment: Environment, *, invert: bool) -> list[JumpGroup]:
        jumps = [
            jump for series in environment.series if not series.exact for jump in self._jumps(series, invert=invert)
        ]
        return grouped(jumps)

    def _jumps(self, series: Series, *, invert: bool) -> list[Jump]:
        benchmark = self._benchmarks[series.benchmark]
        for index, _name, steps, threshold in self._filter.get_graph_data(series.graph, benchmark):
            if index == series.index:
                found = detect_regressions(inverted(steps) if invert else steps, threshold)[2] or ()
                return [_jump(series, position, invert=invert) for position in found]
        return []


def _jump(series: Series, position: tuple[int, int, float, float], *, invert: bool) -> Jump:
    since, revision, before, after = position
    if invert:
        before, after = 1 / before, 1 / after
    clear = abs(after - before) > noise_between(series.points, _step_at(series, since), _step_at(series, revision))
    return Jump(series, since, revision, before, after, clear)


def _step_at(series: Series, revision: int) -> Step:
    return next(step for step in series.steps if step.first <= revision <= step.last)


def inverted(steps: Iterable[AsvStep]) -> list[AsvStep]:
    """The same steps of the reciprocal series, in which every improvement is a regression.

    Steps at or below zero have no reciprocal and are left out. Errors follow to first order.
    """
    return [
        (first, end, 1 / value, 1 / value, error / value**2) for first, end, value, _least, error in steps if value > 0
    ]


def grouped(jumps: Sequence[Jump]) -> list[JumpGroup]:
    """Jumps of the same benchmark at the same commit together; newest commit first, then clear and large first."""
    groups: dict[tuple[str, int, int], JumpGroup] = {}
    for jump in jumps:
        key = (jump.series.benchmark, jump.since, jump.revision)
        groups.setdefault(key, JumpGroup(*key)).jumps.append(jump)
    for group in groups.values():
        group.jumps.sort(key=lambda jump: -abs(jump.ratio - 1))
    return sorted(groups.values(), key=lambda g: (-g.revision, not g.clear, -abs(g.ratio - 1), g.benchmark))
