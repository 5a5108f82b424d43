"""One cell of two commits: the pairs measured so far, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log
from statistics import median
from typing import Any

import numpy as np

from benchmarks.harness.cells import key
from benchmarks.harness.record import UNCOUNTED, Cell, Scalar, Status
from scripts.tracker.comparison.series_names import CellSeries, series_of
from scripts.tracker.history.changes import SAME_OUTPUT
from scripts.tracker.statistics import interim_looks
from scripts.tracker.statistics.judging import NO_EVIDENCE, Evidence, Table, estimate

OUTPUT = ("fingerprint", "distance")
"""The companions that are about what came out."""
MAJOR_SHARE = 0.1
"""A series that takes less than this share of its cell's time is judged, but not measured longer for its own sake."""


@dataclass(frozen=True)
class CounterDiff:
    """A number that does not jitter, and differs between the sides; None where a side does not have it."""

    name: str
    base: Scalar | None
    head: Scalar | None

    @property
    def output(self) -> bool:
        """Whether it is about what came out, not about what was done for it."""
        return self.name in OUTPUT

    @property
    def equal(self) -> bool:
        """Whether it is none: outputs may differ by rounding, nothing else may.

        That something could not be counted is a fact even if it holds for both sides.
        """
        if self.name == UNCOUNTED:
            return False
        if self.output and isinstance(self.base, float) and isinstance(self.head, float):
            return abs(self.head - self.base) <= SAME_OUTPUT * max(1.0, abs(self.base))
        return self.base == self.head


@dataclass
class ProcessPair:
    """The pairs of one pair of processes, and the evidence of each timed series at its last look.

    What two processes differ by, though they run the same code, is the same in all pairs of a round.
    """

    differences: dict[str, list[float]] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)

    @property
    def pairs(self) -> int:
        """The number of pairs measured."""
        return max(map(len, self.differences.values()), default=0)

    def estimate(self, table: Table) -> None:
        """Judge every series anew if it has come to a look, as a row of *table*."""
        for name, differences in self.differences.items():
            before = self.evidence.get(name, NO_EVIDENCE)
            if len(differences) in interim_looks.SIZES and len(differences) > before.pairs:
                self.evidence[name] = estimate(before, np.array(differences), table)


@dataclass(eq=False)
class CellComparison:
    """The cell of a matrix, its samples on both sides, and its rounds.

    `told` is what base and head tell of the cell that does not jitter, `trouble` why a side could not be measured,
    `spent_s` the seconds that its samples have taken, `contended` whether each run waited for a core (None: unknown).
    """

    matrix: str
    cell: Cell
    series: Mapping[str, CellSeries]
    samples: tuple[dict[str, list[float]], dict[str, list[float]]] = field(default_factory=lambda: ({}, {}))
    rounds: list[ProcessPair] = field(default_factory=list)
    told: list[Mapping[str, Scalar]] = field(default_factory=lambda: [{}, {}])
    trouble: list[tuple[Status, str] | None] = field(default_factory=lambda: [None, None])
    exact: bool = False
    spent_s: float = 0.0
    contended: list[bool | None] = field(default_factory=list)

    @classmethod
    def of(cls, matrix: str, cell: Cell) -> CellComparison:
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
    def pairs(self) -> int:
        """The number of pairs of all rounds."""
        return sum(one.pairs for one in self.rounds)

    @property
    def failed(self) -> bool:
        """Whether a side could not be measured, by its own fault or for want of what the cell needs."""
        return any(self.trouble)

    def evidence(self, name: str) -> Evidence:
        """Return what the last round says of the series *name*."""
        return self.rounds[-1].evidence.get(name, NO_EVIDENCE) if self.rounds else NO_EVIDENCE

    def rounds_of(self, name: str) -> list[Evidence]:
        """Return what each round says of the series *name*."""
        return [one.evidence.get(name, NO_EVIDENCE) for one in self.rounds]

    @property
    def facts(self) -> list[CounterDiff]:
        """What the sides tell differently."""
        base, head = self.told
        names = [*base, *(name for name in head if name not in base)]
        facts = [CounterDiff(name, base.get(name), head.get(name)) for name in names]
        return [fact for fact in facts if not fact.equal]

    def exact_numbers(self, prepared: Mapping[str, Any], counted: Mapping[str, Any]) -> dict[str, Scalar]:
        """Return what a worker's answers to `prepare` and `count` tell that does not jitter."""
        series = {name: value for name, value in prepared["series"].items() if prepared["exact"] or self.is_exact(name)}
        companions = counted["companions"] if counted["status"] == "ok" else {UNCOUNTED: counted["reason"]}
        return {**prepared["work"], **series, **companions}

    def is_exact(self, name: str) -> bool:
        """Return whether the series *name* does not jitter."""
        return name in self.series and self.series[name].exact

    @property
    def rows(self) -> list[str]:
        """The names of the timed series that both sides have, largest first."""
        base = self.samples[0]
        timed = {name: None for one in self.rounds for name in one.differences}
        return sorted(timed, key=lambda name: -median(base[name]))

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

    def add_pair(self, base: Mapping[str, float], head: Mapping[str, float]) -> None:
        """Take a run of each side, with the seconds of its series, into the last round."""
        for taken, run in zip(self.samples, (base, head), strict=True):
            for name, value in run.items():
                taken.setdefault(name, []).append(value)
        for name, series in self.series.items():
            if series.timed and base.get(name, 0.0) > 0 and head.get(name, 0.0) > 0:
                self.rounds[-1].differences.setdefault(name, []).append(log(head[name] / base[name]))
