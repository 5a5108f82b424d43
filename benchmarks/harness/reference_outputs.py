"""Reference outputs, which are stored with the benchmarks, and the distance of an output to its reference."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.harness.output import differing_share, numbers
from benchmarks.harness.settings import SCALES
from benchmarks.harness.sketch import Sketch, distance, sketch

FOLDER = Path(__file__).resolve().parents[1] / "reference"

Entry = Mapping[str, Any]
"""A stored output: the `words` of a text, or the `length` and the `projections` of numbers (see `sketch`)."""


def file_of(scale: str, device: str) -> Path:
    """Return the path of the reference outputs of *scale* on *device*, whether the file exists or not."""
    return FOLDER / f"{scale}-{device}.json"


def read_outputs(scale: str, device: str) -> dict[str, Entry]:
    """Return the reference outputs of *scale* on *device*, by the `name_of` their cells; none if there is no file."""
    path = file_of(scale, device)
    if scale not in SCALES or not path.is_file():
        return {}
    entries: dict[str, Entry] = json.loads(path.read_text(encoding="utf-8"))
    return entries


@cache
def version(matrix: str) -> str:
    """Return the version of the series of distances in *matrix*, which changes with its reference outputs."""
    entries = {
        f"{path.stem}/{name}": entry
        for path in sorted(FOLDER.glob("*.json"))
        for name, entry in json.loads(path.read_text(encoding="utf-8")).items()
        if name.startswith(name_of(matrix, ""))
    }
    return "reference-" + hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()[:12]


def name_of(matrix: str, cell: str) -> str:
    """Return the name of an output, from the name of its *matrix* and the key of its *cell*."""
    return f"{matrix}/{cell}"


def entry_of(output: Any) -> Entry:
    """Return what is stored of *output*."""
    return {"words": output} if isinstance(output, str) else asdict(sketch(numbers(output)))


def distance_to(expected: Entry, entry: Entry) -> float:
    """Return the distance of *entry* to the *expected* one.

    For numbers it is the Euclidean length of the difference, relative to that of the expected numbers (estimated from
    sketches). For texts it is the share of words that differ. Between a text and numbers it is 1.
    """
    if "words" in expected and "words" in entry:
        return differing_share(entry["words"].split(), expected["words"].split())
    if "words" in expected or "words" in entry:
        return 1.0
    return distance(Sketch(**entry), Sketch(**expected))
