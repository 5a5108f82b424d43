"""Regressions that a look at a history lists: by our change points, and by asv's detection as its publish uses it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from asv.step_detect import detect_regressions, detect_steps

from scripts.tracker.statistics.changepoints import change_points
from scripts.tracker.validation.synthetic import History

Detector = Callable[[History, int], list[int]]
"""From a history and how many of its commits are known, the first commit of every regression that is open."""


def ours(history: History, known: int) -> list[int]:
    """What ``python -m scripts.regressions`` lists."""
    points = change_points(history.values[:known], history.spreads[:known])
    return [point.index for point in points if point.persists and point.ratio > 1]


def asv_with(threshold: float) -> Detector:
    """asv's steps over its weights, and its regressions with one of ``regressions_thresholds`` (asv's default 0.05)."""

    def detect(history: History, known: int) -> list[int]:
        return [after for _, after, _, _ in detect_regressions(_asv_steps(history, known), threshold)[2] or ()]

    return detect


@cache
def _asv_steps(history: History, known: int) -> Any:
    return detect_steps(history.values[:known], history.weights[:known])
