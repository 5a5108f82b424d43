"""Times pairs of variants of the synthesizer's work, after checking that their outputs are equal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from acestep.timing.clock import Clock
from scripts.tracker.progress import ProgressLine
from scripts.tracker.versus.alternation import DisagreementError, Spread, Variant, abba, complete_rounds

MAX_DIFFERENCE = 1e-4
"""Largest absolute difference of equal outputs, whose values are of the order of 1."""


@dataclass(frozen=True)
class PairedVariants:
    """One work, done by this package and by diffusers.

    Attributes:
        work: name of the work for the reader.
        ours: variant of this package.
        theirs: variant of diffusers.
        difference: largest absolute difference of their outputs.
    """

    work: str
    ours: Variant
    theirs: Variant
    difference: float

    @classmethod
    def of(cls, work: str, ours: Callable[[], Tensor], theirs: Callable[[], Tensor]) -> PairedVariants:
        """Run both variants once, which also warms them up, and compare their outputs.

        Raises:
            DisagreementError: the outputs differ in shape, or by more than `MAX_DIFFERENCE`.
        """
        mine, other = ours(), theirs()
        if mine.shape != other.shape:
            raise DisagreementError(f"{work}: ours makes {list(mine.shape)}, diffusers {list(other.shape)}.")
        difference = (mine - other).abs().max().item()
        if not difference <= MAX_DIFFERENCE:
            raise DisagreementError(
                f"{work}: the outputs of ours and of diffusers differ by {difference:.1e}, "
                f"more than {MAX_DIFFERENCE:.0e}."
            )
        return cls(work, Variant(f"ours: {work}", ours), Variant(f"diffusers: {work}", theirs), difference)

    @property
    def ratio(self) -> Spread:
        """Our time divided by that of diffusers, round by round."""
        pairs = zip(self.ours.seconds, self.theirs.seconds, strict=True)
        return Spread.of([mine / other for mine, other in pairs])


@torch.inference_mode()
def time_variants(variants: Sequence[Variant], rounds: int) -> int:
    """Run every variant twice a round on the CPU in the order ABBA, and fill its `seconds`.

    On Ctrl-C, the complete rounds are kept if there are any.

    Returns:
        The number of complete rounds.
    """
    clock, progress = Clock(), ProgressLine(rounds * 2 * len(variants))
    results = complete_rounds(rounds, lambda: abba(variants, clock, progress))
    for seconds in results:
        for variant, mean_s in zip(variants, seconds, strict=True):
            variant.seconds.append(mean_s)
    return len(results)
