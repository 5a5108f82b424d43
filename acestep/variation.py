"""Where a generation departs from plain text to music."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from acestep.repaint import Repaint


@dataclass(frozen=True)
class Variation:
    """What else goes into the diffusion; the defaults change nothing.

    Attributes:
        retake_seeds: seeds of another noise, one an item.
        retake_variance: how far the noise is turned towards that one, 0 to 1.
        source: latents ``[B, T, 64]`` to start from instead of pure noise.
        source_strength: how much of them: the flow starts at the time of the schedule nearest to 1 less this.
        plain: condition and context of the steps after the cover part, shaped like the main ones but for ``S``.
        cover_strength: share of the steps that are made with the main ones before.
        repaint: frames of a source to keep.
    """

    retake_seeds: Sequence[int] = ()
    retake_variance: float = 0.0
    source: Tensor | None = None
    source_strength: float = 0.0
    plain: tuple[Tensor, Tensor] | None = None
    cover_strength: float = 1.0
    repaint: Repaint | None = None


UNVARIED = Variation()
