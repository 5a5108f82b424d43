"""Which commit to probe next, when each probe says good, bad, or that it cannot tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

State = Literal["good", "bad", "unknown"]


def suspects(states: Mapping[int, State], last: int) -> range:
    """Return the places that may be the first bad one; place 0 is good and *last* bad, whatever *states* say.

    They follow the last good place before the first bad one.
    """
    first_bad = min((place for place, state in states.items() if state == "bad"), default=last)
    good = max((place for place, state in states.items() if state == "good" and place < first_bad), default=0)
    return range(good + 1, first_bad + 1)


def next_probe(states: Mapping[int, State], last: int) -> int | None:
    """Return the place nearest to the middle of the suspects that has not been probed; None if none is left.

    The last suspect is known to be bad. Probing the middle halves the suspects, so that of n places about log2 n are
    probed.
    """
    among = suspects(states, last)
    middle = (among.start + among.stop - 1) / 2 - 0.25  # of two middles the earlier one
    waiting = [place for place in among[:-1] if place not in states]
    return min(waiting, key=lambda place: abs(place - middle), default=None)


def state_of(low: float, high: float, threshold: float) -> State:
    """Return the state of a commit whose ratio to the good one lies in *low* to *high*; NaN bounds are unknown.

    Bad is on the same side of *threshold* as the bad commit, whose ratio is above 1; for a speed-up, which is looked
    for in the same way, give reciprocals.
    """
    if high < threshold:
        return "good"
    return "bad" if low > threshold else "unknown"
