"""The detectors that are compared: the change points of this project, and asv's detection as `asv publish` uses it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from asv.step_detect import detect_regressions, detect_steps

from scripts.tracker.statistics.changepoints import change_points
from scripts.tracker.validation.synthetic import History

Detector = Callable[[History, int], list[int]]
"""Returns the first commit of every open regression among the given number of first commits of a history."""


def ours(history: History, known: int) -> list[int]:
    """Return the regressions that ``python -m scripts.regressions`` lists."""
    points = change_points(history.values[:known], history.spreads[:known])
    return [point.index for point in points if point.persists and point.ratio > 1]


def asv_with(threshold: float) -> Detector:
    """Return asv's detector with weights and this value of ``regressions_thresholds`` (asv's default is 0.05)."""

    def detect(history: History, known: int) -> list[int]:
        return [after for _, after, _, _ in detect_regressions(_asv_steps(history, known), threshold)[2] or ()]

    return detect


@cache
def _asv_steps(history: History, known: int) -> Any:
    return detect_steps(history.values[:known], history.weights[:known])
