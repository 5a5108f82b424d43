"""Files of JSON lines: writing that survives a crash, and reading that tolerates one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal


class NotWritable(RuntimeError):
    """A file cannot be written; the message says what to do."""


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]], mode: Literal["a", "w"]) -> None:
    """Append *lines* as JSON to *path* (mode ``a``), or replace its content (``w``); they are on the disk on return.

    Raises NotWritable.
    """
    target = path if mode == "a" else path.with_suffix(".new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open(mode, encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        if mode == "w":
            target.replace(path)
    except OSError as error:
        raise NotWritable(
            f"Cannot write {target}: {error.strerror}. Free some space, make the folder writable, or set "
            "ACESTEP_BENCH_JOURNAL to another one; then run the same command again: what is measured is kept."
        ) from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the JSON objects in *path*, without a line that a crash cut off; none if the file does not exist."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [parsed for line in lines if (parsed := _parse(line)) is not None]


def _parse(line: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line)
    except json.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None
