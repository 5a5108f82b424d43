"""The detection rates and the false-alarm rates of a detector on synthetic histories."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.tracker.validation.detectors import Detector
from scripts.tracker.validation.synthetic import COMMITS, Histories


@dataclass(frozen=True)
class DetectionRates:
    """Shares of histories; None where a rate does not apply.

    Attributes:
        after_one: histories with a step in which a regression is listed one commit after it.
        after_three: the same three commits after the step.
        exact: those in which, three commits after the step, it is listed at the correct commit.
        false: histories without a step in which a regression is listed after any commit.
    """

    after_one: float | None = None
    after_three: float | None = None
    exact: float | None = None
    false: float | None = None


def detection_rates(
    detect: Detector, histories: Histories, count: int, noise: float, step: float, at: int
) -> DetectionRates:
    """Run *detect* on the first *count* histories 1 and 3 commits after a *step* at the commit *at*."""
    one = three = exact = 0
    for number in range(count):
        history = histories.history(number, noise, step, at)
        one += bool(detect(history, at + 1))
        listed = detect(history, at + 3)
        three += bool(listed)
        exact += at in listed
    return DetectionRates(one / count, three / count, exact / count)


def false_alarms(detect: Detector, histories: Histories, count: int, noise: float) -> DetectionRates:
    """Run *detect* on the first *count* histories without a step, after every commit until something is listed."""
    steady = (histories.history(number, noise, 0.0, COMMITS) for number in range(count))
    alarms = sum(any(detect(history, known) for known in range(2, COMMITS + 1)) for history in steady)
    return DetectionRates(false=alarms / count)
