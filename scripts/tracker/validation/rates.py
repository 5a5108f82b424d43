"""What a detector finds and invents on synthetic histories."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.tracker.validation.detectors import Detector
from scripts.tracker.validation.synthetic import COMMITS, Histories


@dataclass(frozen=True)
class DetectionRates:
    """Shares of histories.

    With a step: a regression is listed after 1 and after 3 commits of it, and after 3 at the *exact* commit.
    Without: one is listed in any look, *false*.
    """

    after_one: float | None = None
    after_three: float | None = None
    exact: float | None = None
    false: float | None = None


def found(detect: Detector, histories: Histories, count: int, noise: float, step: float, at: int) -> DetectionRates:
    """Look at the first *count* histories 1 and 3 commits after a *step* that comes *at* a commit."""
    one = three = exact = 0
    for number in range(count):
        history = histories.history(number, noise, step, at)
        one += bool(detect(history, at + 1))
        listed = detect(history, at + 3)
        three += bool(listed)
        exact += at in listed
    return DetectionRates(one / count, three / count, exact / count)


def false_alarms(detect: Detector, histories: Histories, count: int, noise: float) -> DetectionRates:
    """Look at the first *count* histories without a step after every commit, until something is listed."""
    steady = (histories.history(number, noise, 0.0, COMMITS) for number in range(count))
    alarmed = sum(any(detect(history, known) for known in range(2, COMMITS + 1)) for history in steady)
    return DetectionRates(false=alarmed / count)
