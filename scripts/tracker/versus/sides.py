"""Times two sides that make the same tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from acestep.timing.clock import Clock
from scripts.tracker.progress import ProgressLine
from scripts.tracker.versus.alternation import DisagreementError, Spread, abba, complete_rounds

MOST_DIFFERENT = 1e-4
"""How far apart numbers of size one may be that come of the same work."""


@dataclass
class Side:
    """One side's way of doing a work.

    Attributes:
        name: what a reader calls it.
        run: does the work once.
        seconds: of a run, one mean a round.
    """

    name: str
    run: Callable[[], object]
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Line:
    """One work that both sides do.

    Attributes:
        work: what a reader calls it.
        ours: our way of doing it.
        theirs: the library's.
        difference: the largest one of their outputs.
    """

    work: str
    ours: Side
    theirs: Side
    difference: float

    @classmethod
    def of(cls, work: str, ours: Callable[[], Tensor], theirs: Callable[[], Tensor]) -> Line:
        """Do *work* once on either side, which warms both up, and compare what they make.

        Raises:
            DisagreementError: the outputs are not of one shape, or differ by more than `MOST_DIFFERENT`.
        """
        mine, other = ours(), theirs()
        if mine.shape != other.shape:
            raise DisagreementError(f"{work}: ours makes {list(mine.shape)}, diffusers {list(other.shape)}.")
        difference = (mine - other).abs().max().item()
        if not difference <= MOST_DIFFERENT:
            raise DisagreementError(
                f"{work}: the outputs of ours and of diffusers differ by {difference:.1e}, "
                f"more than {MOST_DIFFERENT:.0e}."
            )
        return cls(work, Side(f"ours: {work}", ours), Side(f"diffusers: {work}", theirs), difference)

    @property
    def ratio(self) -> Spread:
        """How many times as long as the library we took, compared round by round."""
        pairs = zip(self.ours.seconds, self.theirs.seconds, strict=True)
        return Spread.of([mine / other for mine, other in pairs])


@torch.inference_mode()
def race(sides: Sequence[Side], rounds: int) -> int:
    """Run every side twice a round on the processor, in turns there and back, and fill `Side.seconds`.

    Interrupted, it keeps the rounds that are complete, if there are any.

    Returns:
        The number of complete rounds.
    """
    clock, progress = Clock(), ProgressLine(rounds * 2 * len(sides))
    done = complete_rounds(rounds, lambda: abba(sides, clock, progress))
    for seconds in done:
        for side, mean_s in zip(sides, seconds, strict=True):
            side.seconds.append(mean_s)
    return len(done)
