"""The span of a source that repaint and lego make, and how its ends are joined to what stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from acestep.constants import DURATION_MAX_S, HOP_SAMPLES, SAMPLE_RATE
from acestep.tasks.repaint_injection import ramped

REPAINT_MODES: Final = ("conservative", "balanced", "aggressive")
CHUNK_MASK_MODES: Final = ("auto", "explicit")


@dataclass(frozen=True)
class Joints:
    """How strictly the source is kept outside a window, and how the new part is joined to it.

    Attributes:
        injection_ratio: share of the steps after which the source is put back, noised.
        crossfade_frames: latent frames of the ramps beside the window.
        crossfade_samples: samples of the ramps of the waveforms.
        splice: the source's own waveform stands outside the window in the end.
    """

    injection_ratio: float
    crossfade_frames: int
    crossfade_samples: int
    splice: bool

    @classmethod
    def of(cls, mode: str, strength: float) -> Joints:
        """Of one of `REPAINT_MODES`; ``balanced`` is as lax as its *strength* (0 to 1) says."""
        keep = {"aggressive": 0.0, "conservative": 1.0}.get(mode, 1 - strength)
        return cls(keep, round(25 * keep), int(0.05 * keep * SAMPLE_RATE), mode != "aggressive")


@dataclass(frozen=True)
class Window:
    """A span of a source that is lengthened to hold it.

    Attributes:
        start: first sample of the span, in the lengthened source.
        end: the sample after its last.
        before: samples of silence put before the source.
        after: samples of silence put after it.
    """

    start: int
    end: int
    before: int = 0
    after: int = 0

    @classmethod
    def of(cls, start_s: float, end_s: float, samples: int) -> Window:
        """The span from *start_s* to *end_s* of a source of *samples*; a negative end is the source's.

        Raises:
            ValueError: it is empty, or reaches too far.
        """
        length_s = samples / SAMPLE_RATE
        start = round(start_s * SAMPLE_RATE)
        end = samples if end_s < 0 else round(end_s * SAMPLE_RATE)
        window = cls(start + max(0, -start), end + max(0, -start), max(0, -start), max(0, end - samples))
        if end - start < HOP_SAMPLES:
            shown = f"{length_s:g}, the end of the source" if end_s < 0 else f"{end_s:g}"
            raise ValueError(
                f"repainting_start is {start_s:g} and repainting_end {shown}: "
                f"the end must be at least {HOP_SAMPLES / SAMPLE_RATE} s after the start."
            )
        if start > samples:
            raise ValueError(f"repainting_start is {start_s:g}, after the end of the source at {length_s:g} s.")
        total_s = (window.before + samples + window.after) / SAMPLE_RATE
        if total_s > DURATION_MAX_S:
            raise ValueError(
                f"repainting from {start_s:g} to {end_s:g} s makes {total_s:g} s; at most {DURATION_MAX_S} are allowed."
            )
        return window

    def lengthen(self, waveform: Tensor) -> Tensor:
        """*waveform* ``[2, samples]`` with the silence at its ends."""
        return pad(waveform, (self.before, self.after))

    def mask(self, frames: int) -> Tensor:
        """True in the latent frames of the span, bool ``[frames]``; at least one is."""
        first = min(self.start // HOP_SAMPLES, frames - 1)
        last = max(first + 1, self.end // HOP_SAMPLES)
        place = torch.arange(frames)
        return (place >= first) & (place < last)

    def splice(self, waveforms: Tensor, source: Tensor, ramp: int) -> Tensor:
        """*waveforms* ``[B, 2, n]`` in the span, the lengthened *source* ``[2, m]`` outside, *ramp* samples between.

        What is longer than the source stays as it is; a span of the whole source changes nothing.
        """
        length = min(waveforms.shape[-1], source.shape[-1])
        place = torch.arange(length)
        weights = ramped((place >= self.start) & (place < self.end), ramp)
        joined = weights * waveforms[..., :length] + (1 - weights) * source[:, :length]
        return torch.cat([joined, waveforms[..., length:]], dim=-1)
