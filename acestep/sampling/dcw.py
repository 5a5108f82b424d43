"""Wavelet-domain correction (DCW) of a sampler's states."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class DCW:
    """Wavelet-domain correction (DCW) of each new state towards or away from the predicted clean state.

    Attributes:
        mode: ``low``, ``high``, ``double`` (both bands of a one-level wavelet transform along time) or ``pix``.
        scaler: strength in the low band, or in the only band.
        high_scaler: strength in the high band, in mode ``double``.
        wavelet: ``haar``, or another discrete wavelet by its name in PyWavelets, which is then needed.

    Raises:
        ValueError: *mode* or *wavelet* is unknown, or PyWavelets is needed and missing.
    """

    MODES = ("low", "high", "double", "pix")

    mode: str = "double"
    scaler: float = 0.05
    high_scaler: float = 0.02
    wavelet: str = "haar"

    def __post_init__(self) -> None:
        if self.mode not in self.MODES:
            raise ValueError(f"DCW mode is {self.mode!r}, expected one of {', '.join(self.MODES)}.")
        if self.wavelet != "haar":
            low_pass_filters(self.wavelet)

    def __call__(self, state: Tensor, clean: Tensor, time: float) -> Tensor:
        """Correct *state* given the predicted *clean* latents, both ``[B, T, 64]``, at flow *time*."""
        low = self.scaler * (time if self.mode in ("low", "double") else 0.0)
        high = {"high": self.scaler, "double": self.high_scaler}.get(self.mode, 0.0) * (1 - time)
        difference = (state - clean).float()
        if self.mode == "pix":
            return (state.float() + self.scaler * difference).to(state.dtype)
        if low == high == 0:
            return state
        coarse = _pair_means(difference) if self.wavelet == "haar" else _low_band(difference, self.wavelet)
        return (state.float() + low * coarse + high * (difference - coarse)).to(state.dtype)


def _pair_means(x: Tensor) -> Tensor:
    """The low Haar band of ``[B, T, C]``: each pair of frames replaced by its mean, an odd end paired with zero."""
    frames = x.shape[1]
    padded = torch.nn.functional.pad(x, (0, 0, 0, frames % 2))
    means = (padded[:, 0::2] + padded[:, 1::2]) / 2
    return means.repeat_interleave(2, dim=1)[:, :frames]


def _low_band(x: Tensor, wavelet: str) -> Tensor:
    """What the low-pass half of one level of *wavelet*, with zeros beyond the ends, keeps of ``[B, T, C]``.

    Both halves add up to the input: the rest is the high band.
    """
    analysis, synthesis = (torch.tensor(taps, device=x.device).view(1, 1, -1) for taps in low_pass_filters(wavelet))
    frames, length = x.shape[1], analysis.shape[-1]
    coefficients = (frames + length - 1) // 2
    padding = 2 * (coefficients - 1) - frames + length
    rows = torch.nn.functional.pad(x.transpose(1, 2).flatten(0, 1).unsqueeze(1), (0, padding % 2))
    coarse = torch.nn.functional.conv1d(rows, analysis, stride=2, padding=padding // 2)
    kept = torch.nn.functional.conv_transpose1d(coarse, synthesis, stride=2, padding=length - 2)
    return kept[..., :frames].view(len(x), -1, frames).transpose(1, 2)


@lru_cache
def low_pass_filters(wavelet: str) -> tuple[list[float], list[float]]:
    """Low-pass taps of *wavelet* for correlation and for synthesis.

    Raises:
        ValueError: there is no such discrete wavelet, or PyWavelets is not installed.
    """
    try:
        import pywt
    except ModuleNotFoundError:
        raise ValueError(
            f"DCW with the wavelet {wavelet!r} needs PyWavelets: pip install 'acestep[wavelets]'. 'haar' works without."
        ) from None
    if wavelet not in pywt.wavelist(kind="discrete"):
        raise ValueError(f"DCW wavelet is {wavelet!r}, expected 'haar' or another discrete wavelet of PyWavelets.")
    known = pywt.Wavelet(wavelet)
    return list(reversed(known.dec_lo)), list(known.rec_lo)
