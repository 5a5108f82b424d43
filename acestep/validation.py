"""Checks of parameters. Each raises a ValueError that names the parameter, its value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path


def flag(name: str, value: object) -> None:
    """Check that *value* is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, expected True or False.")


def one_of(name: str, value: object, allowed: Collection[object], *, or_empty: bool = False) -> None:
    """Check that *value* is one of *allowed*."""
    if any(value == choice for choice in allowed) or (or_empty and value == ""):
        return
    shown = ", ".join(str(choice) for choice in allowed)
    raise ValueError(f"{name} is {value!r}, expected one of: {shown}{' (or empty)' if or_empty else ''}.")


def number(name: str, value: object, low: float, high: float, *, open_low: bool = False) -> None:
    """Check that *value* is a finite number from *low* (or above it, if that end is *open_low*) to *high*."""
    real = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if real and low <= value <= high and not (open_low and value == low):  # type: ignore[operator]
        return
    bounds = f"{'above' if open_low else 'from'} {low:g} to {high:g}"
    raise ValueError(f"{name} is {value!r}, expected a number {bounds}.")


def whole(name: str, value: object, low: int, high: int, *, or_none: bool = False) -> None:
    """Check that *value* is a whole number from *low* to *high*."""
    if value is None and or_none:
        return
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return
    raise ValueError(f"{name} is {value!r}, expected a whole number from {low} to {high}.")


def file(name: str, value: object) -> None:
    """Check that *value* is None or the path of a file."""
    if value is None:
        return
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}, expected the path of an audio file, or None.")
    if not Path(value).is_file():
        raise ValueError(f"{name} is {value!r}, and there is no such file.")


def read_seeds(name: str, seeds: Sequence[int] | int | str) -> list[int]:
    """Return *seeds*, which are one number, several, or comma-separated text, as a list."""
    entries = seeds.split(",") if isinstance(seeds, str) else [seeds] if isinstance(seeds, int) else seeds
    try:
        return [int(entry) for entry in entries]
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {seeds!r}, expected whole numbers.") from None
