"""Regressions that somebody has looked at and lets stand, by name and reason, in ``benchmarks/acknowledged.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from scripts.tracker.history.renamed_series import names_of

FILE = "acknowledged.toml"
_REQUIRED = ("commit", "series", "reason", "by")
_SHORTEST_HASH = 7


class AcknowledgementError(ValueError):
    """An entry cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class Acknowledgement:
    """One ``[[acknowledged]]`` table.

    *commit* is the beginning of a hash, *series* the name of a benchmark (a former one, too) or a shell pattern
    of names, and *cell* one of cells as the list of regressions spells them.
    """

    commit: str
    series: str
    reason: str
    by: str
    cell: str = "*"

    def covers(self, commits: Iterable[str], benchmark: str, cell: str) -> bool:
        """Whether it is about a change of *benchmark* in *cell* that one of *commits* made."""
        return (
            any(fnmatchcase(name, self.series) for name in names_of(benchmark))
            and (self.cell == cell or fnmatchcase(cell, self.cell))
            and any(commit.startswith(self.commit) for commit in commits)
        )

    def to_toml(self) -> str:
        """The table as text to paste into the file."""
        values = {"commit": self.commit, "series": self.series, "cell": self.cell, "reason": self.reason, "by": self.by}
        lines = [f"{name} = {_quoted(value)}" for name, value in values.items() if (name, value) != ("cell", "*")]
        return "\n".join(["[[acknowledged]]", *lines])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def read_acknowledgements(path: Path) -> list[Acknowledgement]:
    """The entries of the file at *path*; none without a file.

    Raises:
        AcknowledgementError: the file is no TOML, or an entry lacks something or has too much.
    """
    if not path.is_file():
        return []
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AcknowledgementError(f"{path} cannot be read: {error}. Mend it.") from error
    entries = tables.pop("acknowledged", [])
    if tables or not isinstance(entries, list):
        strange = ", ".join(tables) or "acknowledged"
        raise AcknowledgementError(f"{path} has {strange}; it may hold [[acknowledged]] tables only.")
    return [_entry(entry, f"{path}, entry {number}") for number, entry in enumerate(entries, 1)]


def _entry(entry: Any, where: str) -> Acknowledgement:
    if not isinstance(entry, Mapping):
        raise AcknowledgementError(f"{where} is {entry!r}, expected a [[acknowledged]] table.")
    unknown = sorted(set(entry) - {*_REQUIRED, "cell"})
    if unknown:
        raise AcknowledgementError(f"{where} has {', '.join(unknown)}; it may have {', '.join(_REQUIRED)} and cell.")
    for name in (*_REQUIRED, *(["cell"] if "cell" in entry else [])):
        if not isinstance(entry.get(name), str) or not entry[name].strip():
            raise AcknowledgementError(f'{where} has {name} = {entry.get(name)!r}, expected text: {name} = "…"')
    if len(entry["commit"]) < _SHORTEST_HASH:
        raise AcknowledgementError(
            f"{where} has commit = {entry['commit']!r}: give at least {_SHORTEST_HASH} characters of the hash."
        )
    return Acknowledgement(**entry)
