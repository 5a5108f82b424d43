"""The interim looks of a sequential test.

A series of pairs is tested at numbers of pairs that are fixed beforehand. Each look spends an equal part of the error
(Bonferroni), so the total error is at most the allowed one, whenever measuring stops.
"""

from __future__ import annotations

LOOKS = 14
"""Number of interim looks."""
FIRST_PAIRS = 14
"""Pairs at the first look. The smallest p value of n pairs is 2 ** -n, so fewer pairs could not be significant in a
table of a hundred rows."""
GROWTH = 1.5
"""Ratio of the numbers of pairs at two successive looks."""
SIZES = tuple(round(FIRST_PAIRS * GROWTH**look) for look in range(LOOKS))
"""Numbers of pairs at which there is a look: 14 to 2,725."""


def next_size(pairs: int) -> int | None:
    """Return the number of pairs at the next look after *pairs*, or None if there is no further look."""
    return next((size for size in SIZES if size > pairs), None)


def alpha_per_look(alpha: float) -> float:
    """Return the level of one look, where all looks together have the level *alpha*."""
    return alpha / LOOKS


def p_over_looks(p: float) -> float:
    """Return the p value of all looks together, where *p* is the smallest p value of any look."""
    return min(1.0, p * LOOKS)
