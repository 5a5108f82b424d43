"""Times variants of the planner's work, and relates them to the time that reading the weights takes."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from acestep.timing.clock import Clock
from scripts.tracker.progress import ProgressLine
from scripts.tracker.versus.alternation import Spread, Variant, abba, complete_rounds


@dataclass(kw_only=True)
class PlannerVariant(Variant):
    """A variant that generates tokens.

    Attributes:
        tokens: number of tokens that one run generates.
        needed_bytes: bytes of weights that one run reads: each needed weight once a forward pass.
        bound_s: seconds that reading `needed_bytes` took in each round.
    """

    tokens: int
    needed_bytes: int
    bound_s: list[float] = field(default_factory=list)

    @property
    def rate(self) -> Spread:
        """Tokens per second."""
        return Spread.of([self.tokens / seconds for seconds in self.seconds])

    @property
    def bound_share(self) -> Spread:
        """The rate as a share of the one that the memory bandwidth allows."""
        return Spread.of([bound / seconds for bound, seconds in zip(self.bound_s, self.seconds, strict=True)])

    def speedup(self, other: PlannerVariant) -> Spread:
        """Return the tokens per second of this variant divided by those of *other*, round by round."""
        pairs = zip(self.seconds, other.seconds, strict=True)
        return Spread.of([self.tokens / mine * theirs / other.tokens for mine, theirs in pairs])


def time_variants(variants: list[PlannerVariant], rounds: int, device: str, weights_bytes: int) -> list[float]:
    """Run every variant twice a round in the order ABBA, and fill `seconds` and `bound_s` of each.

    On Ctrl-C, the complete rounds are kept if there are any.

    Returns:
        The memory bandwidth in bytes per second that reading *weights_bytes* reached in each round.
    """
    clock, progress = Clock(device), ProgressLine(rounds * 2 * len(variants))
    bandwidth = BandwidthProbe(weights_bytes, device)

    def run() -> tuple[list[float], float]:
        before = bandwidth.bytes_per_s(clock)
        seconds = abba(variants, clock, progress)
        return seconds, max(before, bandwidth.bytes_per_s(clock))

    results = complete_rounds(rounds, run)
    for seconds, bytes_per_s in results:
        for variant, mean_s in zip(variants, seconds, strict=True):
            variant.seconds.append(mean_s)
            variant.bound_s.append(variant.needed_bytes / bytes_per_s)
    return [bytes_per_s for _, bytes_per_s in results]


class BandwidthProbe:
    """Measures the memory bandwidth of reading *size* bytes with the threads of this process."""

    def __init__(self, size: int, device: str) -> None:
        columns = 1024
        self._matrix = torch.ones(max(1, size // (4 * columns)), columns, device=device)
        self._vector = torch.ones(columns, device=device)

    def bytes_per_s(self, clock: Clock) -> float:
        """Return the highest bandwidth of three sums and three matrix-vector products."""
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
