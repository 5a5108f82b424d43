"""The metadata of a piece: what users give, what the planner writes, and the YAML between the two phases."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from acestep.constants import DURATION_MAX_S, DURATION_MIN_S
from acestep.planner import PlannerError

Metadata = dict[str, int | str]

FIELDS: Final = ("bpm", "caption", "duration", "genres", "keyscale", "language", "timesignature")
"""All fields, in the order in which they are written."""
REQUIRED: Final = ("bpm", "keyscale", "timesignature", "duration")
"""With these given by the user there is nothing left to plan in phase 1."""
NUMERIC: Final = ("bpm", "duration")
WRITTEN: Final = tuple(field for field in FIELDS if field != "genres")
"""What phase 2 is told."""


def has_all_metas(user_metadata: Mapping[str, Any] | None) -> bool:
    """Whether bpm, keyscale, timesignature and duration are all given."""
    return all((user_metadata or {}).get(field) is not None for field in REQUIRED)


def clamp_duration(seconds: Any) -> float:
    """*seconds* (a number or its text) limited to 10..600.

    Raises:
        PlannerError: it is not a finite number.
    """
    try:
        value = float(seconds)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise PlannerError(f"duration {seconds!r} is not a number of seconds; give one from 10 to 600.")
    return min(max(value, float(DURATION_MIN_S)), float(DURATION_MAX_S))


def clean_metadata(user_metadata: Mapping[str, Any] | None) -> Metadata:
    """What a user gave, as the planner writes it: whole numbers, one line each, no ``None``.

    A time signature in quarters loses its ``/4``; the duration is clamped to 10..600 s.

    Raises:
        PlannerError: an unknown field, or a bpm or duration that is no number.
    """
    cleaned: Metadata = {}
    for field, value in (user_metadata or {}).items():
        if field not in FIELDS:
            raise PlannerError(f"unknown metadata field {field!r}; known are {', '.join(FIELDS)}.")
        if value is None:
            continue
        if field == "duration":
            cleaned[field] = int(clamp_duration(value))
        elif field == "bpm":
            cleaned[field] = _whole_number(value)
        elif text := _one_line(str(value)):
            cleaned[field] = _without_quarters(text) if field == "timesignature" else text
    return cleaned


def _whole_number(value: Any) -> int:
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        raise PlannerError(f"bpm {value!r} is not a number; give one from 30 to 300.") from None


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _without_quarters(signature: str) -> str:
    return signature.removesuffix("/4")


def write_yaml(metadata: Mapping[str, Any]) -> str:
    """The lines that phase 2 reads between ``<think>`` and ``</think>``, without a final newline.

    The models were trained on PyYAML's block style: sorted keys, Unicode kept, lines folded at 80 columns.
    """
    fields = {field: metadata[field] for field in WRITTEN if metadata.get(field) is not None}
    if "timesignature" in fields:
        fields["timesignature"] = _without_quarters(str(fields["timesignature"]))
    values = {field: _number_if_digits(value) for field, value in fields.items()}
    return yaml.dump(values, allow_unicode=True, sort_keys=True).strip() if values else ""


def _number_if_digits(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def read_yaml(text: str) -> Metadata:
    """The metadata in *text*, the lines of a chain of thought without its tags.

    Reads what a model writes (never quoted) as well as what `write_yaml` writes (quoted where YAML needs
    it). A field starts at a line without indentation and continues on indented or blank lines; unknown
    fields and lines that start with ``<`` are dropped. Text becomes one line of printable characters, as
    `clean_metadata` makes it; bpm and duration become whole numbers where they are such.
    """
    raw: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.split("\n"):
        if line[:1] in (" ", "\t") or not line:
            lines.append(line)
        elif ":" in line and not line.startswith("<"):
            name, _, value = line.partition(":")
            lines = raw[name.strip().lower()] = [value]
        else:
            lines = []
    metadata: Metadata = {}
    for field in FIELDS:
        value = _unquoted(raw.get(field, []))
        if value:
            metadata[field] = int(value) if field in NUMERIC and re.fullmatch(r"-?[0-9]+", value) else value
    return metadata


def _unquoted(lines: list[str]) -> str:
    """The value on *lines* as one line; YAML's quotes and folds are undone if it has any."""
    joined = "\n".join(lines).strip()
    if joined[:1] in ("'", '"'):
        try:
            loaded = yaml.safe_load("value: " + joined.replace("\n", "\n "))
        except yaml.YAMLError:
            loaded = None  # a model's text that merely begins with a quotation mark
        if isinstance(loaded, dict) and isinstance(loaded.get("value"), str):
            joined = loaded["value"]
    return _one_line(joined)
