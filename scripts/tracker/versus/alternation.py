"""Times several variants of the same work in the order ABBA, so that drift affects all of them equally."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TypeVar

from acestep.timing.clock import Clock
from scripts.tracker.progress import ProgressLine

Round = TypeVar("Round")


class DisagreementError(Exception):
    """Two variants that have to produce the same output do not."""


@dataclass(frozen=True)
class Spread:
    """The median, the minimum and the maximum of a number over all rounds."""

    median: float
    minimum: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of *values*."""
        return cls(median(values), min(values), max(values))


@dataclass
class Variant:
    """One implementation of a work.

    Attributes:
        name: name for the reader.
        run: does the work once.
        seconds: mean time of a run in each round.
    """

    name: str
    run: Callable[[], object]
    seconds: list[float] = field(default_factory=list)


def abba(variants: Sequence[Variant], clock: Clock, progress: ProgressLine) -> list[float]:
    """Run each variant twice, in the given order and in reverse; return the mean seconds of a run of each."""
    seconds = [0.0] * len(variants)
    for index in [*range(len(variants)), *reversed(range(len(variants)))]:
        start = clock.now()
        variants[index].run()
        seconds[index] += (clock.now() - start) / 2
        progress.finished(variants[index].name)
    return seconds


def complete_rounds(rounds: int, run: Callable[[], Round]) -> list[Round]:
    """Call *run* for each of *rounds* and return its results.

    On Ctrl-C, the results of the complete rounds are returned; without any, KeyboardInterrupt is raised.
    """
    results: list[Round] = []
    try:
        while len(results) < rounds:
            results.append(run())
    except KeyboardInterrupt:
        if not results:
            raise
    return results
