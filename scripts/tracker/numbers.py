"""Formats and rounds numbers for people and for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence

from asv.util import human_value


def finite(value: float) -> float | None:
    """Return *value*, or None if it is infinite or NaN, which JSON does not have."""
    return value if math.isfinite(value) else None


def significant(value: float, digits: int = 5) -> float:
    """Return *value* rounded to *digits* significant digits."""
    return float(f"{value:.{digits}g}")


def ordinals(values: Sequence[float | None], tolerance: float) -> list[int | None]:
    """Number the distinct *values* from 0 in the order in which they appear; None stays None.

    Values that differ by no more than the relative *tolerance* count as one.
    """
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


def percent(ratio: float) -> str:
    """Return *ratio* as a signed change such as ``+5.1 %``; ``new`` if it is infinite (a change from zero)."""
    return f"{100 * (ratio - 1):+.1f} %" if math.isfinite(ratio) else "new"


def amount(value: float, unit: str) -> str:
    """Return *value* with its *unit*; seconds and bytes are scaled as on asv's pages."""
    return str(human_value(value, unit)) if unit in ("seconds", "bytes") else f"{value:.4g} {unit}".strip()
