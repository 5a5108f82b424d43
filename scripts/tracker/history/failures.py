"""Why a cell has no value: asv stores that it failed, the companion of the result file stores why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scripts.tracker.running.cells import place_named
from scripts.tracker.running.records import Companion


class Reasons:
    """The reasons that the companion of one result file of asv holds."""

    def __init__(self, results_dir: str, result: Any) -> None:
        self._companion = Companion.of(results_dir, result)

    def of(self, owner: str, cell: Iterable[tuple[str, str]]) -> str | None:
        """The reason for a cell, (name, ``repr``) pairs, of the class *owner* (``module.Class``), if known."""
        place = place_named(owner, cell)
        outcome = None if place is None else self._companion.outcome(place)
        return (outcome["reason"] if outcome else "") or self._companion.build_failure or None
