"""Holm's step-down procedure (1979): the error over a whole table, whatever its rows have to do with each other."""

from __future__ import annotations

from collections.abc import Sequence


def adjusted(p: Sequence[float]) -> list[float]:
    """Return p values that account for the table: rows where one is at most alpha are finds.

    The chance that any of them is false is then at most alpha.
    """
    order = sorted(range(len(p)), key=lambda row: p[row])
    result, least = [1.0] * len(p), 0.0
    for place, row in enumerate(order):
        least = max(least, min(1.0, (len(p) - place) * p[row]))
        result[row] = least
    return result
