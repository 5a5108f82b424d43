"""Environment variables that switch something on or give a number.

A variable is strict or lenient: text that is not understood is an error, or is ignored as ACE-Step ignores it.
"""

from __future__ import annotations

import os

_ON, _OFF = ("1", "true", "yes"), ("", "0", "false", "no")


def flag(name: str, *, strict: bool) -> bool:
    """Whether the variable *name* is on; unset is off.

    Raises:
        ValueError: *strict*, and the text means neither on nor off.
    """
    text = os.environ.get(name, "").strip().lower()
    if strict and text not in _ON + _OFF:
        raise ValueError(f"${name} is {text!r}, expected 1 or 0.")
    return text in _ON


def whole_number(name: str, least: int = 0, expected: str | None = None) -> int | None:
    """The whole number in the variable *name*, or None if it is unset or empty.

    Args:
        name: the variable.
        least: the smallest number that is accepted.
        expected: what the error says that was expected. None is lenient: text that is no such number counts as unset.

    Raises:
        ValueError: *expected* is given, and the text is no whole number of at least *least*.
    """
    text = os.environ.get(name, "").strip()
    if text.isdigit() and int(text) >= least:
        return int(text)
    if text and expected is not None:
        raise ValueError(f"${name} is {text!r}, expected {expected}.")
    return None
