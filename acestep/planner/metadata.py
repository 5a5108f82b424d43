"""The metadata of a piece, and its YAML form, which phase 1 generates and the prompt of phase 2 contains."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

SongMetadata = dict[str, int | str]
"""Values of some of `FIELDS`."""

FIELDS: Final = ("bpm", "caption", "duration", "genres", "keyscale", "language", "timesignature")
"""All fields, in the order in which they are generated."""
REQUIRED: Final = ("bpm", "keyscale", "timesignature", "duration")
"""Fields that phase 1 must find; if the user fixed all of them, it is skipped."""
NUMERIC: Final = ("bpm", "duration")
"""Fields whose values are whole numbers."""
PROMPT_FIELDS: Final = tuple(field for field in FIELDS if field != "genres")
"""Fields that the prompt of phase 2 contains."""


def has_all_metas(user_metadata: Mapping[str, Any] | None) -> bool:
    """Whether bpm, keyscale, timesignature and duration all have a value."""
    return all((user_metadata or {}).get(field) is not None for field in REQUIRED)


def to_yaml(metadata: Mapping[str, Any]) -> str:
    """The lines between ``<think>`` and ``</think>`` in the prompt of phase 2, without a final newline.

    The models were trained on PyYAML's block style: sorted keys, Unicode kept, lines folded at 80 columns.
    """
    return "\n".join(format_field(field, metadata[field]) for field in PROMPT_FIELDS if metadata.get(field) is not None)


def format_field(field: str, value: Any) -> str:
    """The line, or folded lines, of *field* in YAML. Digits become a number; a time signature loses its ``/4``."""
    if field == "timesignature":
        value = str(value).removesuffix("/4")
    if isinstance(value, str) and re.fullmatch("0|[1-9][0-9]{0,8}", value):
        value = int(value)
    return str(yaml.dump({field: value}, allow_unicode=True)).strip()


def from_yaml(text: str) -> SongMetadata:
    """The metadata in *text*, the lines of a chain of thought without its tags.

    Values may be unquoted, as a model writes them, or quoted where YAML needs it, as `to_yaml` writes them. A field
    starts at a line without indentation and continues on indented or blank lines; unknown fields and lines that start
    with ``<`` are dropped. Text becomes one line of printable characters, as in
    `acestep.planner.user_metadata.clean_metadata`; bpm and duration become whole numbers if they are written as such.
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
    metadata: SongMetadata = {}
    for field in FIELDS:
        value = _unquoted(raw.get(field, []))
        if value:
            metadata[field] = int(value) if field in NUMERIC and re.fullmatch(r"-?[0-9]+", value) else value
    return metadata


def _unquoted(lines: list[str]) -> str:
    """The value on *lines* as one line, without YAML's quotes and folds."""
    joined = "\n".join(lines).strip()
    if joined[:1] in ("'", '"'):
        try:
            loaded = yaml.safe_load("value: " + joined.replace("\n", "\n "))
        except yaml.YAMLError:
            loaded = None  # a model's text that merely begins with a quotation mark
        if isinstance(loaded, dict) and isinstance(loaded.get("value"), str):
            joined = one_line(loaded["value"]) or joined
    return one_line(joined)


def one_line(text: str) -> str:
    """*text* on one line: every run of blanks and unprintable characters becomes one space."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
