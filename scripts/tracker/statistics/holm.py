"""Holm's step-down procedure (1979). It controls the error of a whole table, whatever the dependence of its rows."""

from __future__ import annotations

from collections.abc import Sequence


def adjusted(p: Sequence[float]) -> list[float]:
    """Return the adjusted p values of the rows of one table.

    If all rows with an adjusted p of at most alpha are rejected, the probability of any false rejection is at most
    alpha.
    """
    order = sorted(range(len(p)), key=lambda row: p[row])
    result, lower_bound = [1.0] * len(p), 0.0
    for rank, row in enumerate(order):
        lower_bound = max(lower_bound, min(1.0, (len(p) - rank) * p[row]))
        result[row] = lower_bound
    return result
