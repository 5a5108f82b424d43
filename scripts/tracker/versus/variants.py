"""Times ways of writing the same tokens against each other, and against what reading the weights alone would take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from acestep.timing.clock import Clock
from scripts.tracker.progress import ProgressLine
from scripts.tracker.versus.alternation import Spread, abba, complete_rounds


@dataclass
class Lane:
    """One way of doing the work.

    Attributes:
        name: what a reader calls it.
        tokens: that one run writes.
        needed_bytes: of weights that have to be read for them, each needed weight once a call of the model.
        run: does the work once.
        seconds: of a run, one mean a round.
        bound_s: seconds that reading `needed_bytes` took in the same round.
    """

    name: str
    tokens: int
    needed_bytes: int
    run: Callable[[], object]
    seconds: list[float] = field(default_factory=list)
    bound_s: list[float] = field(default_factory=list)

    @property
    def rate(self) -> Spread:
        """Tokens per second."""
        return Spread.of([self.tokens / seconds for seconds in self.seconds])

    @property
    def share(self) -> Spread:
        """Share of the memory-bandwidth bound that was reached."""
        return Spread.of([bound / seconds for bound, seconds in zip(self.bound_s, self.seconds, strict=True)])

    def speedup(self, other: Lane) -> Spread:
        """How many times as many tokens per second as *other* this made, compared round by round."""
        pairs = zip(self.seconds, other.seconds, strict=True)
        return Spread.of([self.tokens / mine * theirs / other.tokens for mine, theirs in pairs])


def race(lanes: list[Lane], rounds: int, device: str, weights_bytes: int) -> list[float]:
    """Run every lane twice a round, in turns there and back, and fill `Lane.seconds` and `Lane.bound_s`.

    Interrupted, it keeps the rounds that are complete, if there are any.

    Returns:
        The memory bandwidth, bytes per second, that reading *weights_bytes* reached in each round.
    """
    clock, progress = Clock(device), ProgressLine(rounds * 2 * len(lanes))
    reader = Reader(weights_bytes, device)

    def run() -> tuple[list[float], float]:
        before = reader.bytes_per_s(clock)
        seconds = abba(lanes, clock, progress)
        return seconds, max(before, reader.bytes_per_s(clock))

    done = complete_rounds(rounds, run)
    for seconds, bandwidth in done:
        for lane, mean_s in zip(lanes, seconds, strict=True):
            lane.seconds.append(mean_s)
            lane.bound_s.append(lane.needed_bytes / bandwidth)
    return [bandwidth for _, bandwidth in done]


class Reader:
    """Measures how fast *size* bytes, as many as the weights have, can be read with the threads of this process."""

    def __init__(self, size: int, device: str) -> None:
        columns = 1024
        self._matrix = torch.ones(max(1, size // (4 * columns)), columns, device=device)
        self._vector = torch.ones(columns, device=device)

    def bytes_per_s(self, clock: Clock) -> float:
        """The best of three times of a sum and of a product with a vector."""
        times = []
        for read in (self._sum, self._product):
            for _ in range(3):
                start = clock.now()
                read()
                times.append(clock.now() - start)
        return self._matrix.nbytes / min(times)

    def _sum(self) -> Tensor:
        return self._matrix.sum()

    def _product(self) -> Tensor:
        return torch.mv(self._matrix, self._vector)
