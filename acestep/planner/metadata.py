"""The metadata of a piece: what users give, what the planner writes, and the YAML between the two phases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

Metadata = dict[str, int | str]

FIELDS: Final = ("bpm", "caption", "duration", "genres", "keyscale", "language", "timesignature")
"""All fields, in the order in which they are written."""
REQUIRED: Final = ("bpm", "keyscale", "timesignature", "duration")
"""With these given by the user there is nothing left to plan in phase 1."""
NUMERIC: Final = ("bpm", "duration")
WRITTEN: Final = tuple(field for field in FIELDS if field != "genres")
"""What phase 2 is told."""


def has_all_metas(user_metadata: Mapping[str, Any] | None) -> bool:
    """Whether bpm, keyscale, timesignature and duration all have a value."""
    return all((user_metadata or {}).get(field) is not None for field in REQUIRED)


def write_yaml(metadata: Mapping[str, Any]) -> str:
    """The lines that phase 2 reads between ``<think>`` and ``</think>``, without a final newline.

    The models were trained on PyYAML's block style: sorted keys, Unicode kept, lines folded at 80 columns.
    """
    return "\n".join(spell(field, metadata[field]) for field in WRITTEN if metadata.get(field) is not None)


def spell(field: str, value: Any) -> str:
    """The line, or folded lines, of one *field* in YAML; a whole number is one, quarters lose their ``/4``."""
    if field == "timesignature":
        value = str(value).removesuffix("/4")
    if isinstance(value, str) and re.fullmatch("0|[1-9][0-9]{0,8}", value):
        value = int(value)
    return str(yaml.dump({field: value}, allow_unicode=True)).strip()


def read_yaml(text: str) -> Metadata:
    """The metadata in *text*, the lines of a chain of thought without its tags.

    Reads what a model writes (never quoted) as well as what `write_yaml` writes (quoted where YAML needs
    it). A field starts at a line without indentation and continues on indented or blank lines; unknown
    fields and lines that start with ``<`` are dropped. Text becomes one line of printable characters, as
    `acestep.planner.user_metadata.clean_metadata` makes it; bpm and duration become whole numbers where they are such.
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
            joined = one_line(loaded["value"]) or joined
    return one_line(joined)


def one_line(text: str) -> str:
    """*text* with single spaces for everything that is not printable."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
