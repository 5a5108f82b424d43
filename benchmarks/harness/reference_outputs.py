"""Outputs that are kept with the benchmarks, so that a commit's distance to them is a number, not an opinion."""

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
"""A kept output: the `words` of a text, or the `length` and the `projections` of numbers."""


def file_of(scale: str, device: str) -> Path:
    """Return the file with the outputs of a synthetic *scale* on *device*; it need not be there."""
    return FOLDER / f"{scale}-{device}.json"


def kept(scale: str, device: str) -> dict[str, Entry]:
    """Return all outputs that are kept for *scale* and *device*, under `name_of` their cells."""
    path = file_of(scale, device)
    if scale not in SCALES or not path.is_file():
        return {}
    entries: dict[str, Entry] = json.loads(path.read_text(encoding="utf-8"))
    return entries


@cache
def version(matrix: str) -> str:
    """Return the version of distances in *matrix*: other kept outputs make other distances."""
    entries = {
        f"{path.stem}/{name}": entry
        for path in sorted(FOLDER.glob("*.json"))
        for name, entry in json.loads(path.read_text(encoding="utf-8")).items()
        if name.startswith(name_of(matrix, ""))
    }
    return "reference-" + hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()[:12]


def name_of(matrix: str, cell: str) -> str:
    """Return the name of an output: that of its *matrix* and the key of its *cell*."""
    return f"{matrix}/{cell}"


def entry_of(output: Any) -> Entry:
    """Return what is kept of *output*."""
    return {"words": output} if isinstance(output, str) else asdict(sketch(numbers(output)))


def distance_to(expected: Entry, entry: Entry) -> float:
    """Return how far *entry* is from what was *expected*.

    Of numbers it is the length of their difference, relative to the length of those expected; of texts the share of
    words that differ. A text and numbers have nothing in common, which is 1.
    """
    if "words" in expected and "words" in entry:
        return differing_share(entry["words"].split(), expected["words"].split())
    if "words" in expected or "words" in entry:
        return 1.0
    return distance(Sketch(**entry), Sketch(**expected))
