"""Times ways of doing the same work against each other: in turns, there and back, so that drift hits all alike."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter

import torch
from torch import Tensor

from acestep.clock import Clock


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
    clock, bandwidths = Clock(device), []
    reader = Reader(weights_bytes, device)
    progress = _Progress(rounds * 2 * len(lanes))
    try:
        for _ in range(rounds):
            seconds, bandwidth = _round(lanes, clock, reader, progress)
            bandwidths.append(bandwidth)
            for lane in lanes:
                lane.seconds.append(seconds[lane.name])
                lane.bound_s.append(lane.needed_bytes / bandwidth)
    except KeyboardInterrupt:
        if not bandwidths:
            raise
    return bandwidths


def _round(lanes: list[Lane], clock: Clock, reader: Reader, progress: _Progress) -> tuple[dict[str, float], float]:
    """Seconds of a run by lane, and the memory bandwidth meanwhile."""
    seconds = dict.fromkeys((lane.name for lane in lanes), 0.0)
    speeds = [reader.bytes_per_s(clock)]
    for lane in [*lanes, *reversed(lanes)]:
        start = clock.now()
        lane.run()
        seconds[lane.name] += (clock.now() - start) / 2
        progress.finished(lane.name)
    speeds.append(reader.bytes_per_s(clock))
    return seconds, max(speeds)


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


class _Progress:
    """Says how far the race is: in place on a terminal, else a line every `INTERVAL_S`."""

    INTERVAL_S = 20.0

    def __init__(self, turns: int) -> None:
        self._turns, self._done = turns, 0
        self._began = self._spoke = perf_counter()

    def finished(self, text: str) -> None:
        """Count *text* as one more turn."""
        self._done += 1
        now = perf_counter()
        left_s = (now - self._began) * (self._turns / self._done - 1)
        text = f"[{self._done}/{self._turns}] {text}, about {left_s:.0f} s left"
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="" if self._done < self._turns else "\n", file=sys.stderr, flush=True)
        elif now - self._spoke > self.INTERVAL_S:
            self._spoke = now
            print(text, file=sys.stderr, flush=True)
