"""Writes the JSON file of `scripts.profile_inference`; it is complete and valid after every result."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.tracker.profiling.breakdown import Spread

SCHEMA = "acestep-profile/1"


class OutputError(Exception):
    """The file cannot be written; the message says why."""


class Results:
    """The results of a run so far, also in a file if there is a path.

    Attributes:
        entries: the result of each configuration.
    """

    def __init__(self, path: str | None, described: Mapping[str, Any]) -> None:
        """Write the file with the facts *described*, which are known before anything is measured.

        Raises:
            OutputError: *path* cannot be written.
        """
        self._path = None if path is None else Path(path)
        self._envelope = {"schema": SCHEMA, **described, "started_utc": _now(), "finished_utc": None, "complete": False}
        self.entries: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        if self._path is not None and not self._path.parent.is_dir():
            raise OutputError(f"--benchmark-output {path}: there is no folder {self._path.parent}; make it first.")
        self._write()

    def describe(self, **facts: Any) -> None:
        """Add facts about the whole run."""
        self._envelope.update(facts)
        self._write()

    def add(self, entry: dict[str, Any]) -> None:
        """Add the result of one configuration."""
        self.entries.append(entry)
        self._write()

    def finish(self) -> None:
        """Mark the run as complete."""
        self._envelope |= {"finished_utc": _now(), "complete": True}
        self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        text = json.dumps({**self._envelope, "results": self.entries, "summary": self.summary}, indent=2, default=str)
        try:
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}-")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text + "\n")
            Path(name).chmod(0o644)
            Path(name).replace(self._path)
        except OSError as error:
            raise OutputError(f"--benchmark-output {self._path}: {error}.") from error


def spreads(samples: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    """Return the spread of the samples of every series."""
    return {name: asdict(Spread.of(values)) for name, values in samples.items()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
