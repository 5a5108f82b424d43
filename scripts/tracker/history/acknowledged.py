"""Acknowledged regressions: read from and written as ``benchmarks/acknowledged.toml``, with author and reason."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from scripts.tracker.history.renamed_series import names_of

FILE = "acknowledged.toml"
"""Name of the file in the folder of the benchmarks."""
_REQUIRED = ("commit", "series", "reason", "by")
"""Keys that every entry must have."""
_MIN_HASH_LENGTH = 7
"""Smallest number of characters of a commit hash in an entry."""


class AcknowledgementError(ValueError):
    """The file or an entry is invalid; the message names it and says what to do."""


@dataclass(frozen=True)
class Acknowledgement:
    """One ``[[acknowledged]]`` table.

    Attributes:
        commit: the beginning of a commit hash.
        series: a present or former name of a benchmark, or a shell pattern of names.
        reason: why the regression is accepted.
        by: the name of who acknowledged it.
        cell: a cell as the list of regressions writes it, or a shell pattern of cells.
    """

    commit: str
    series: str
    reason: str
    by: str
    cell: str = "*"

    def covers(self, commits: Iterable[str], benchmark: str, cell: str) -> bool:
        """Return whether this acknowledges a change of *benchmark* in *cell* that one of *commits* caused."""
        return (
            any(fnmatchcase(name, self.series) for name in names_of(benchmark))
            and (self.cell == cell or fnmatchcase(cell, self.cell))
            and any(commit.startswith(self.commit) for commit in commits)
        )

    def to_toml(self) -> str:
        """Return the table as TOML."""
        values = {"commit": self.commit, "series": self.series, "cell": self.cell, "reason": self.reason, "by": self.by}
        lines = [f"{name} = {_toml_string(value)}" for name, value in values.items() if (name, value) != ("cell", "*")]
        return "\n".join(["[[acknowledged]]", *lines])


def _toml_string(text: str) -> str:
    """Return *text* as a basic string of TOML.

    Its escapes are those of JSON, which leaves only the control character DEL as it is.
    """
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_acknowledgements(path: Path) -> list[Acknowledgement]:
    """Return the entries of the file *path*; none if the file does not exist.

    Raises:
        AcknowledgementError: the file is not valid TOML, or an entry has missing, unknown or invalid keys.
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
    if len(entry["commit"]) < _MIN_HASH_LENGTH:
        raise AcknowledgementError(
            f"{where} has commit = {entry['commit']!r}: give at least {_MIN_HASH_LENGTH} characters of the hash."
        )
    return Acknowledgement(**entry)
