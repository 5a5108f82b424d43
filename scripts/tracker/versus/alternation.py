"""Ways of doing the same work take turns, there and back, so that drift hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol, TypeVar

from acestep.timing.clock import Clock
from scripts.tracker.progress import ProgressLine

Round = TypeVar("Round")


class DisagreementError(Exception):
    """The two sides did different work where they must not."""


@dataclass(frozen=True)
class Spread:
    """A number measured once a round: its median, least and largest value."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of *values*."""
        return cls(median(values), min(values), max(values))


class Timed(Protocol):
    """What takes turns.

    Attributes:
        name: what a reader calls it.
    """

    name: str

    def run(self) -> object:
        """Do the work once."""


def abba(lanes: Sequence[Timed], clock: Clock, progress: ProgressLine) -> list[float]:
    """Run every one of *lanes* twice, and return the mean seconds of a run of each."""
    seconds = [0.0] * len(lanes)
    for place in [*range(len(lanes)), *reversed(range(len(lanes)))]:
        start = clock.now()
        lanes[place].run()
        seconds[place] += (clock.now() - start) / 2
        progress.finished(lanes[place].name)
    return seconds


def complete_rounds(rounds: int, run: Callable[[], Round]) -> list[Round]:
    """What *run* returned in each of *rounds*; interrupted, in those that are complete, if there are any."""
    done: list[Round] = []
    try:
        while len(done) < rounds:
            done.append(run())
    except KeyboardInterrupt:
        if not done:
            raise
    return done
