"""Levels of waveforms: silence, peak limit, normalization and fades."""

from __future__ import annotations

import torch
from torch import Tensor

from acestep.constants import SAMPLE_RATE

SILENCE_PEAK = 1e-6
"""Waveforms whose peak is below this magnitude count as silent."""


def is_silent(waveform: Tensor) -> bool:
    """Whether no sample of ``[2, samples]`` can be heard."""
    return bool(waveform.abs().max() < SILENCE_PEAK)


def item_peaks(waveforms: Tensor) -> Tensor:
    """The largest magnitude of each item of ``[B, 2, samples]``, ``[B, 1, 1]``; NaN if there is one in the item."""
    return waveforms.abs().amax(dim=(1, 2), keepdim=True)


def limit_peak(waveforms: Tensor, peaks: Tensor) -> Tensor:
    """Scale down each item of ``[B, 2, samples]`` whose peak, one of *peaks*, exceeds 1; others stay as they are."""
    return waveforms / peaks.clamp(min=1.0)


def normalize_peak(waveform: Tensor, target_db: float) -> Tensor:
    """Scale ``[2, samples]`` so that its peak is *target_db* dBFS; silence stays silence."""
    peak = waveform.abs().max()
    if peak < SILENCE_PEAK:
        return waveform
    return waveform * float(10 ** (target_db / 20) / peak)


def fade(waveform: Tensor, fade_in_s: float, fade_out_s: float) -> Tensor:
    """Linear ramps at both ends of ``[2, samples]``, at most as long as the waveform."""
    samples = waveform.shape[-1]
    begin = min(round(fade_in_s * SAMPLE_RATE), samples)
    end = min(round(fade_out_s * SAMPLE_RATE), samples)
    if begin == end == 0:
        return waveform
    ramped = waveform.clone()
    ramped[..., :begin] *= torch.linspace(0, 1, begin)
    ramped[..., samples - end :] *= torch.linspace(1, 0, end)
    return ramped
