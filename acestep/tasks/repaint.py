"""Repaint and lego: the region that is regenerated, and how it is blended with the source around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from acestep.constants import DURATION_MAX_S, HOP_SAMPLES, LATENT_RATE, SAMPLE_RATE
from acestep.sampling.noise import add_noise

REPAINT_MODES: Final = ("conservative", "balanced", "aggressive")
CHUNK_MASK_MODES: Final = ("auto", "explicit")
MAX_CROSSFADE_FRAMES: Final = LATENT_RATE
"""Latent frames of the crossfade on each side of the region when the source is kept most strictly: 1 s."""
MAX_CROSSFADE_S: Final = 0.05
"""Seconds of the waveform crossfade on each side of the region when the source is kept most strictly."""


@dataclass(frozen=True)
class BlendSettings:
    """How strictly the source is kept outside the repaint region, and how long the crossfades are.

    Attributes:
        injection_ratio: share of the steps, from the first on, after which the noised source is put back.
        crossfade_frames: latent frames of the crossfade on each side of the region.
        crossfade_samples: audio samples of the crossfade on each side of the region.
        keep_source_waveform: whether the source's own waveform replaces the decoded one outside the region.
    """

    injection_ratio: float
    crossfade_frames: int
    crossfade_samples: int
    keep_source_waveform: bool

    @classmethod
    def of(cls, mode: str, strength: float) -> BlendSettings:
        """The settings of one of `REPAINT_MODES`.

        ``balanced`` lies between the other two: *strength* 0 is ``conservative``, 1 is like ``aggressive`` except that
        the source's waveform is kept.
        """
        strictness = {"aggressive": 0.0, "conservative": 1.0}.get(mode, 1 - strength)
        return cls(
            injection_ratio=strictness,
            crossfade_frames=round(MAX_CROSSFADE_FRAMES * strictness),
            crossfade_samples=int(MAX_CROSSFADE_S * strictness * SAMPLE_RATE),
            keep_source_waveform=mode != "aggressive",
        )


@dataclass(frozen=True)
class RepaintRegion:
    """The region of a source that is regenerated. The source is padded with silence where the region exceeds it.

    Attributes:
        start: first audio sample of the region, in the padded source.
        end: the audio sample after its last one.
        before: samples of silence before the source.
        after: samples of silence after it.
    """

    start: int
    end: int
    before: int = 0
    after: int = 0

    @classmethod
    def of(cls, start_s: float, end_s: float, samples: int) -> RepaintRegion:
        """The region from *start_s* to *end_s* of a source of *samples*; a negative end is the end of the source.

        Raises:
            ValueError: the region is shorter than a latent frame, begins after the source, or makes it too long.
        """
        source_s = samples / SAMPLE_RATE
        start = round(start_s * SAMPLE_RATE)
        end = samples if end_s < 0 else round(end_s * SAMPLE_RATE)
        before, after = max(0, -start), max(0, end - samples)
        if end - start < HOP_SAMPLES:
            shown = f"{source_s:g}, the end of the source" if end_s < 0 else f"{end_s:g}"
            raise ValueError(
                f"repainting_start is {start_s:g} and repainting_end {shown}: "
                f"the end must be at least {HOP_SAMPLES / SAMPLE_RATE} s after the start."
            )
        if start > samples:
            raise ValueError(f"repainting_start is {start_s:g}, after the end of the source at {source_s:g} s.")
        total_s = (before + samples + after) / SAMPLE_RATE
        if total_s > DURATION_MAX_S:
            raise ValueError(
                f"repainting from {start_s:g} to {end_s:g} s makes {total_s:g} s; at most {DURATION_MAX_S} are allowed."
            )
        return cls(start + before, end + before, before, after)

    def pad(self, waveform: Tensor) -> Tensor:
        """*waveform* ``[2, samples]`` with the silence before and after it."""
        return pad(waveform, (self.before, self.after))

    def mask(self, frames: int) -> Tensor:
        """A mask, bool ``[frames]``, that is true in the latent frames of the region, at least in one."""
        first = min(self.start // HOP_SAMPLES, frames - 1)
        end = max(first + 1, self.end // HOP_SAMPLES)
        frame = torch.arange(frames)
        return (frame >= first) & (frame < end)

    def splice(self, waveforms: Tensor, source: Tensor, crossfade_samples: int) -> Tensor:
        """*waveforms* ``[B, 2, n]`` inside the region, the padded *source* ``[2, m]`` outside, crossfaded.

        Samples after the end of the source stay as they are; a region of the whole source changes nothing.
        """
        length = min(waveforms.shape[-1], source.shape[-1])
        sample = torch.arange(length)
        weights = crossfade_weights((sample >= self.start) & (sample < self.end), crossfade_samples)
        blended = weights * waveforms[..., :length] + (1 - weights) * source[:, :length]
        return torch.cat([blended, waveforms[..., length:]], dim=-1)


@dataclass(frozen=True)
class RepaintInjection:
    """Keeps the source latents outside the region: injected, noised, during sampling, and blended in at the end.

    Attributes:
        mask: bool ``[B, T]``, true where a latent frame is regenerated.
        clean: latents of the source, ``[B, T, 64]``.
        crossfade_frames: latent frames of the crossfade outside the mask; 0 leaves the network's own output there.
        injection_ratio: share of the steps, from the first on, after which the noised source is put back.
    """

    mask: Tensor
    clean: Tensor
    crossfade_frames: int = 10
    injection_ratio: float = 0.5

    def injections(self, steps: int) -> int:
        """The number of steps, from the first on, after which the source is injected."""
        return round(self.injection_ratio * steps)

    def inject(self, state: Tensor, noise: Tensor, time: float) -> Tensor:
        """*state* inside the mask; outside it the source, noised to flow *time*."""
        return torch.where(self.mask.unsqueeze(-1), state, add_noise(self.clean, noise, time))

    def blend(self, latents: Tensor) -> Tensor:
        """Final *latents* inside the mask, the source outside, with a crossfade between them."""
        if self.crossfade_frames <= 0:
            return latents
        weights = torch.stack([crossfade_weights(item, self.crossfade_frames) for item in self.mask]).unsqueeze(-1)
        return (weights * latents + (1 - weights) * self.clean).to(latents.dtype)


def crossfade_weights(mask: Tensor, length: int) -> Tensor:
    """Weights ``[T]`` of the new signal: 1 inside *mask* (bool ``[T]``), 0 outside, linear ramps of *length* between.

    The ramps lie outside the mask, before its first and after its last position, and are shortened at the ends of the
    signal. Gaps inside the mask have no ramps.
    """
    weights = mask.float()
    if not mask.any() or mask.all():
        return weights
    inside = mask.nonzero()
    first, end = int(inside[0]), int(inside[-1]) + 1
    before, after = min(length, first), min(length, len(mask) - end)
    weights[first - before : first] = _ramp(before, weights)
    weights[end : end + after] = _ramp(after, weights).flip(0)
    return weights


def _ramp(length: int, like: Tensor) -> Tensor:
    return torch.arange(1, length + 1, device=like.device, dtype=like.dtype) / (length + 1)
