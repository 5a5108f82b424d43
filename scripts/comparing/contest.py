"""One cell of two commits: the blocks measured so far, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from benchmarks.harness.cells import key
from benchmarks.harness.record import Cell, Scalar, Status
from scripts.comparing.catalog import Series, series_of
from scripts.verdict import looks
from scripts.verdict.judging import NOTHING, Evidence, look
from scripts.verdict.pairs import block_difference

MAJOR_SHARE = 0.1
"""A series that takes less than this share of its cell's time is judged, but not measured longer for its own sake."""


@dataclass(frozen=True)
class Fact:
    """A number that does not jitter, and differs between the sides; None where a side does not have it."""

    name: str
    base: Scalar | None
    head: Scalar | None


@dataclass
class Contest:
    """The cell of a matrix, its samples on both sides, and the evidence of each timed series at its last look.

    `trouble` tells, for base and head, why a side could not be measured.
    """

    matrix: str
    cell: Cell
    series: Mapping[str, Series]
    samples: tuple[dict[str, list[float]], dict[str, list[float]]] = field(default_factory=lambda: ({}, {}))
    differences: dict[str, list[float]] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    trouble: list[tuple[Status, str] | None] = field(default_factory=lambda: [None, None])
    exact: bool = False
    spent_s: float = 0.0
    disturbed: int = 0

    @classmethod
    def of(cls, matrix: str, cell: Cell) -> Contest:
        """Begin with nothing measured."""
        return cls(matrix, cell, series_of(matrix, cell))

    @property
    def name(self) -> str:
        """The matrix and the cell, for the progress."""
        return f"{self.matrix} {key(self.cell)}"

    @property
    def declared(self) -> int:
        """The number of timed series that the cell may have."""
        return sum(series.timed for series in self.series.values())

    @property
    def blocks(self) -> int:
        """The number of blocks measured."""
        return max(map(len, self.differences.values()), default=0)

    @property
    def failed(self) -> bool:
        """Whether a side could not be measured, by its own fault or for want of what the cell needs."""
        return any(self.trouble)

    @property
    def rows(self) -> list[str]:
        """The names of the timed series that both sides have, largest first."""
        base = self.samples[0]
        return sorted(self.differences, key=lambda name: -median(base[name]))

    @property
    def major(self) -> list[str]:
        """Those of `rows` that are worth measuring for."""
        rows = self.rows
        if not rows:
            return []
        return [name for name in rows if self.time_s(0, name) >= MAJOR_SHARE * self.time_s(0, rows[0])]

    def time_s(self, side: int, name: str) -> float:
        """Return the median of a series of one side, in seconds."""
        return median(self.samples[side][name])

    def add_block(self, runs: tuple[list[Mapping[str, float]], list[Mapping[str, float]]]) -> None:
        """Take in the two runs of each side."""
        for side, taken in zip(self.samples, runs, strict=True):
            for run in taken:
                for name, value in run.items():
                    side.setdefault(name, []).append(value)
        for name in self._timed(runs):
            base, head = ([run[name] for run in taken] for taken in runs)
            self.differences.setdefault(name, []).append(block_difference(base, head))

    def _timed(self, runs: tuple[list[Mapping[str, float]], list[Mapping[str, float]]]) -> list[str]:
        return [
            name
            for name, series in self.series.items()
            if series.timed and all(run.get(name, 0.0) > 0 for taken in runs for run in taken)
        ]

    def look(self, rows: int) -> None:
        """Judge every series anew if it has come to a look; *rows* is the size of the table."""
        for name, differences in self.differences.items():
            before = self.evidence.get(name, NOTHING)
            if len(differences) in looks.SIZES and len(differences) > before.blocks:
                self.evidence[name] = look(before, np.array(differences), rows)
