"""The order in which a bisection probes commits. Each probe answers good, bad, or unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

State = Literal["good", "bad", "unknown"]


def suspects(states: Mapping[int, State], last: int) -> range:
    """Return the indices that can be the first bad commit: those after the last good and up to the first bad one.

    Index 0 is good and index *last* is bad, whatever *states* holds.
    """
    first_bad = min((index for index, state in states.items() if state == "bad"), default=last)
    last_good = max((index for index, state in states.items() if state == "good" and index < first_bad), default=0)
    return range(last_good + 1, first_bad + 1)


def next_probe(states: Mapping[int, State], last: int) -> int | None:
    """Return the unprobed index nearest to the middle of the suspects, or None if all suspects are probed.

    The last suspect is known to be bad. Each probe of the middle halves the suspects, so about log2(n) of n commits
    are probed.
    """
    remaining = suspects(states, last)
    middle = (remaining.start + remaining.stop - 1) / 2 - 0.25  # the fraction prefers the earlier of two middles
    unprobed = [index for index in remaining[:-1] if index not in states]
    return min(unprobed, key=lambda index: abs(index - middle), default=None)


def state_of(low: float, high: float, threshold: float) -> State:
    """Classify a commit whose time ratio to the good commit has the interval *low* to *high*; NaN is unknown.

    A commit is bad if its whole interval lies above *threshold*, and good if it lies below. To find a speed-up, pass
    reciprocals of the ratios.
    """
    if high < threshold:
        return "good"
    return "bad" if low > threshold else "unknown"
