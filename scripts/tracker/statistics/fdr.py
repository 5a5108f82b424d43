"""The false discovery rate over many series at once (Benjamini and Hochberg 1995)."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.stats import false_discovery_control

FALSE_DISCOVERY_RATE = 0.1
"""Expected share of false changes among those listed for a commit. Where nothing changed, this is the probability
that any change is listed."""


def passes_fdr(p: Sequence[float], family: int) -> list[bool]:
    """Return for each p value whether the Benjamini-Hochberg procedure accepts it as a change.

    Args:
        p: the p values of the series with a candidate change.
        family: number of series that were tested; those without a candidate count as p = 1.
    """
    if not p:
        return []
    adjusted = false_discovery_control([*p, *[1.0] * (family - len(p))])
    return [bool(value <= FALSE_DISCOVERY_RATE) for value in adjusted[: len(p)]]
