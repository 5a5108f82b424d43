"""Validates the metadata that a user gives, and normalises it to the planner's own notation."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, Final
from unicodedata import normalize

from acestep.constants import BPM_MAX, BPM_MIN, DURATION_MAX_S, DURATION_MIN_S, KEYSCALES, LANGUAGES, TIME_SIGNATURES
from acestep.planner import PlannerError
from acestep.planner.metadata import FIELDS, SongMetadata, one_line

COMPOUND_TIME: Final = "6/8"
"""The only time signature that keeps its denominator."""
_KEYSCALES_SHOWN: Final = "A to G, then nothing or #, b, ♯ or ♭, then major or minor, as in 'F# minor'"
"""Description of the valid keys, for messages."""


def check_text(name: str, value: object) -> str:
    """Return *value*, the text of the parameter *name*.

    Raises:
        PlannerError: the value is not text, or has characters that cannot be encoded (lone surrogates).
    """
    if not isinstance(value, str):
        raise PlannerError(f"{name} is {value!r}, expected text.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        found = value[error.start]
        raise PlannerError(f"{name} is no valid Unicode text: it has {found!r} at position {error.start}.") from None
    return value


def clamp_duration(seconds: Any) -> float:
    """*seconds* (a number, or text of one) clamped to 10..600.

    Raises:
        PlannerError: it is not a finite number.
    """
    return min(max(_number("duration", seconds), float(DURATION_MIN_S)), float(DURATION_MAX_S))


def clamp_target(seconds: float | None) -> float | None:
    """The target duration *seconds* clamped to 10..600; None if it is None or not positive, which leaves it open.

    Raises:
        PlannerError: it is not a finite number.
    """
    return None if seconds is None or seconds <= 0 else clamp_duration(seconds)


def clean_metadata(user_metadata: Mapping[str, Any] | None) -> SongMetadata:
    """The user's metadata in the planner's notation: whole numbers, and text on one line in Unicode's normal form C,
    which the planners' tokenizers expect.

    ``None``, blank text, ``N/A`` and a duration of at most 0 leave a field open. A time signature in quarters loses
    its ``/4``; a duration is clamped to 10..600 s.

    Raises:
        PlannerError: a field is unknown, or a value is out of range; the message says what is allowed.
    """
    cleaned: SongMetadata = {}
    if not isinstance(user_metadata, Mapping | None):
        raise PlannerError(f"user_metadata is {user_metadata!r}, expected a dictionary.")
    for field, value in (user_metadata or {}).items():
        if field not in FIELDS:
            raise PlannerError(f"unknown metadata field {field!r}; known are {', '.join(FIELDS)}.")
        if value is None or (isinstance(value, str) and one_line(value).lower() in ("", "n/a")):
            continue
        if field == "duration" and _number(field, value) <= 0:
            continue
        cleaned[field] = _clean(field, value)
    return cleaned


def drop_invalid(metadata: Mapping[str, Any]) -> SongMetadata:
    """The generated *metadata* without fields that are empty, unknown or out of range."""
    valid: SongMetadata = {}
    for field, value in metadata.items():
        try:
            valid |= clean_metadata({field: value})
        except PlannerError:
            continue
    return valid


def _clean(field: str, value: Any) -> int | str:
    if field == "duration":
        return int(clamp_duration(value))
    if field == "bpm":
        number = _number(field, value)
        if not BPM_MIN <= number <= BPM_MAX:
            raise PlannerError(f"bpm {value!r} is out of range; give a whole number from {BPM_MIN} to {BPM_MAX}.")
        return int(number)
    text = one_line(normalize("NFC", check_text(field, str(value) if isinstance(value, int) else value)))
    if field == "keyscale":
        return _one_of(field, text, KEYSCALES, _KEYSCALES_SHOWN)
    if field == "language":
        return _one_of(field, text, LANGUAGES, ", ".join(LANGUAGES))
    if field == "timesignature":
        shown = f"{', '.join(TIME_SIGNATURES)} (quarters) or {COMPOUND_TIME}"
        return _one_of(field, text.removesuffix("/4"), (*TIME_SIGNATURES, COMPOUND_TIME), shown)
    return text


def _one_of(field: str, value: str, allowed: Collection[str], shown: str) -> str:
    if value not in allowed:
        raise PlannerError(f"{field} {value!r} is not known; use {shown}.")
    return value


def _number(field: str, value: Any) -> float:
    low, high = (BPM_MIN, BPM_MAX) if field == "bpm" else (DURATION_MIN_S, DURATION_MAX_S)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise PlannerError(f"{field} {value!r} is not a number; give one from {low} to {high}.")
    return number
