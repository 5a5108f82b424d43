"""Why a cell has no value: asv stores that it failed, the benchmarks' journal stores why."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from asv.results import get_filename

from benchmarks.harness.files import read_lines

CellKey = frozenset[tuple[str, str]]
"""Parameter names with the ``repr`` of their values."""


class Reasons:
    """The reasons that the journal in *folder* holds for one result file of asv.

    A journal file is called like the result file, with the name of the matrix (the module of its benchmarks)
    behind. A cell of a module with several classes names its class as ``stage``.
    """

    def __init__(self, folder: Path, result: Any) -> None:
        self._found: dict[tuple[str, CellKey], str] = {}
        named = Path(get_filename("", result.commit_hash, result.env_name)).stem + "-"
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        for path in files:
            if path.name.startswith(named) and path.suffix == ".jsonl":
                self._read(path.stem.removeprefix(named), path)

    def _read(self, matrix: str, path: Path) -> None:
        for line in read_lines(path):
            if line.get("reason") and line.get("status") != "ok":
                cell = dict(line["cell"])
                owner = f"{matrix}.{cell.pop('stage')}" if "stage" in cell else matrix
                key = frozenset((name, repr(value)) for name, value in cell.items())
                self._found[owner, key] = str(line["reason"])

    def of(self, owner: str, cell: Iterable[tuple[str, str]]) -> str | None:
        """The reason for a cell, (name, ``repr``) pairs, of the class *owner* (``module.Class``), if known."""
        key = frozenset(cell)
        return self._found.get((owner, key)) or self._found.get((owner.partition(".")[0], key))
