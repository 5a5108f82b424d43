"""Finds among many series at once: the share of false ones (Benjamini and Hochberg 1995)."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.stats import false_discovery_control

FALSE_SHARE = 0.1
"""Expected share of false ones among the finds of a commit; where nothing changed, the chance that there is any."""


def passes_fdr(p: Sequence[float], family: int) -> list[bool]:
    """Say which of the finds with the p values *p* count, where *family* series could have made one.

    Many that come together need less evidence each than one alone. Those that found nothing count as p = 1.
    """
    if not p:
        return []
    adjusted = false_discovery_control([*p, *[1.0] * (family - len(p))])
    return [bool(value <= FALSE_SHARE) for value in adjusted[: len(p)]]
