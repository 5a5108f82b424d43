"""Numbers made fit for the page."""

from __future__ import annotations

import math
from collections.abc import Sequence


def finite(value: float) -> float | None:
    """The value, or None for an infinity, which JSON does not have."""
    return value if math.isfinite(value) else None


def significant(value: float, digits: int = 5) -> float:
    """*value* rounded to significant digits, to keep the page small."""
    return float(f"{value:.{digits}g}")


def ordinals(values: Sequence[float | None], tolerance: float) -> list[int | None]:
    """Values that differ by no more than the relative *tolerance* as one number, in the order they appear."""
    known: list[float] = []
    numbers: list[int | None] = []
    for value in values:
        if value is None:
            numbers.append(None)
            continue
        same = [n for n, other in enumerate(known) if abs(value - other) <= tolerance * abs(other)]
        numbers.append(same[0] if same else len(known))
        if not same:
            known.append(value)
    return numbers
