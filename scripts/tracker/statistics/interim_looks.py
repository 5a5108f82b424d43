"""When a series of pairs is looked at, so that looking often does not make a find of nothing.

Looks come at numbers of pairs fixed beforehand, `LOOKS` of them; each spends an equal part of the error (Bonferroni),
so whenever measuring stops, the error is at most what was allowed.
"""

from __future__ import annotations

LOOKS = 14
FIRST_PAIRS = 14
"""Fewer could not be significant in a table of a hundred rows: the least p of n pairs is 2 ** -n."""
GROWTH = 1.5
SIZES = tuple(round(FIRST_PAIRS * GROWTH**look) for look in range(LOOKS))
"""The numbers of pairs after which there is a look: 14 to 2,725."""


def next_size(pairs: int) -> int | None:
    """Return the number of pairs at the next look after *pairs*; None if there is none."""
    return next((size for size in SIZES if size > pairs), None)


def alpha_per_look(alpha: float) -> float:
    """Return the level of one look if all of them together may have *alpha*."""
    return alpha / LOOKS


def p_over_looks(p: float) -> float:
    """Return the p value of all looks together, where *p* is the least of any."""
    return min(1.0, p * LOOKS)
