"""Inputs of the sampler for retakes, covers and repainting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from acestep.sampling.noise import add_noise
from acestep.sampling.schedules import truncate_schedule
from acestep.tasks.repaint import RepaintInjection


@dataclass(frozen=True)
class SamplerInputs:
    """Inputs of the sampler beside condition, context and seeds; the defaults are those of text to music.

    Attributes:
        retake_seeds: seeds of another noise, one an item.
        retake_variance: how far the noise is turned towards that one, 0 to 1.
        source: latents ``[B, T, 64]`` to start from instead of pure noise.
        source_strength: how much of them: the flow starts at the time of the schedule nearest to 1 less this.
        plain: condition and context of the steps after the cover part, shaped like the main ones but for ``S``.
        cover_strength: share of the steps that are made with the main ones before.
        repaint: frames of a source to keep.

    Raises:
        ValueError: a strength is given without what it is the strength of.
    """

    retake_seeds: Sequence[int] = ()
    retake_variance: float = 0.0
    source: Tensor | None = None
    source_strength: float = 0.0
    plain: tuple[Tensor, Tensor] | None = None
    cover_strength: float = 1.0
    repaint: RepaintInjection | None = None

    def __post_init__(self) -> None:
        if self.retake_variance > 0 and not self.retake_seeds:
            raise ValueError(f"retake_variance is {self.retake_variance}, but there are no retake seeds.")
        if self.source_strength > 0 and self.source is None:
            raise ValueError(f"cover_noise_strength is {self.source_strength}, but there is no source audio.")
        if self.cover_strength < 1 and self.plain is None:
            raise ValueError(f"audio_cover_strength is {self.cover_strength}, but nothing follows the cover part.")

    def start(self, noise: Tensor, schedule: Sequence[float]) -> tuple[Tensor, list[float]]:
        """The state ``[B, T, 64]`` to begin with, and the rest of *schedule* from its time on."""
        if self.source is None or self.source_strength <= 0:
            return noise, list(schedule)
        rest = truncate_schedule(schedule, self.source_strength)
        return add_noise(self.source, noise, rest[0]), rest


DEFAULT_INPUTS = SamplerInputs()
