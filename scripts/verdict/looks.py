"""When a series of blocks is looked at, so that looking often does not make a find of nothing.

Looks come at numbers of blocks fixed beforehand, `LOOKS` of them; each spends an equal part of the error (Bonferroni),
so whenever measuring stops, the error is at most what was allowed.
"""

from __future__ import annotations

LOOKS = 13
FIRST_BLOCKS = 16
"""Fewer could never be significant in a table: the least p of n blocks is 2 ** -n."""
GROWTH = 1.5
SIZES = tuple(round(FIRST_BLOCKS * GROWTH**look) for look in range(LOOKS))
"""The numbers of blocks after which there is a look: 16 to 2,076."""


def next_size(blocks: int) -> int | None:
    """Return the number of blocks at the next look after *blocks*; None if there is none."""
    return next((size for size in SIZES if size > blocks), None)


def per_look(alpha: float) -> float:
    """Return the level of one look if all of them together may have *alpha*."""
    return alpha / LOOKS


def over_looks(p: float) -> float:
    """Return the p value of all looks together, where *p* is the least of any."""
    return min(1.0, p * LOOKS)
