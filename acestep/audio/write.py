"""Waveforms after the decoder: levels, fades and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from acestep.constants import SAMPLE_RATE

_FORMATS = {
    "flac": ("flac", "FLAC", "PCM_16"),
    "wav": ("wav", "WAV", "PCM_16"),
    "wav32": ("wav", "WAV", "FLOAT"),
    "mp3": ("mp3", "MP3", "MPEG_LAYER_III"),
    "ogg": ("ogg", "OGG", "VORBIS"),
    "vorbis": ("ogg", "OGG", "VORBIS"),
    "opus": ("opus", "OGG", "OPUS"),
}
AUDIO_FORMATS = tuple(_FORMATS)
MP3_BITRATES = {"128k": 128, "192k": 192, "256k": 256, "320k": 320}
MP3_SAMPLE_RATES = (44_100, 48_000)

_SILENCE_PEAK = 1e-6


def peaks_of(waveforms: Tensor) -> Tensor:
    """The largest magnitude of each item of ``[B, 2, samples]``, ``[B, 1, 1]``; NaN if there is one in the item."""
    return waveforms.abs().amax(dim=(1, 2), keepdim=True)


def limit_peak(waveforms: Tensor, peaks: Tensor) -> Tensor:
    """Scale down each item of ``[B, 2, samples]`` whose peak, one of *peaks*, exceeds 1; others stay as they are."""
    return waveforms / peaks.clamp(min=1.0)


def normalize(waveform: Tensor, target_db: float) -> Tensor:
    """Scale ``[2, samples]`` so that its peak is *target_db* dBFS; silence stays silence."""
    peak = waveform.abs().max()
    if peak < _SILENCE_PEAK:
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


def file_suffix(audio_format: str) -> str:
    """The file name ending of *audio_format*, without a dot."""
    return _FORMATS[audio_format][0]


def save(
    waveform: Tensor,
    path: Path,
    audio_format: str,
    *,
    mp3_bitrate: str = "128k",
    mp3_sample_rate: int = SAMPLE_RATE,
) -> None:
    """Write ``[2, samples]`` at 48 kHz to *path*.

    Args:
        waveform: samples, clipped to [-1, 1] unless the format is ``wav32``.
        path: the file; its folder exists.
        audio_format: one of `AUDIO_FORMATS`.
        mp3_bitrate: one of `MP3_BITRATES`, a constant rate in bits per second.
        mp3_sample_rate: one of `MP3_SAMPLE_RATES`.

    Raises:
        OSError: the file cannot be written.
    """
    import soundfile

    _, container, subtype = _FORMATS[audio_format]
    rate = SAMPLE_RATE
    options: dict[str, object] = {}
    if audio_format == "mp3":
        rate = mp3_sample_rate
        waveform = _resample(waveform, rate)
        options = {"bitrate_mode": "CONSTANT", "compression_level": _mp3_compression(mp3_bitrate)}
    frames = np.ascontiguousarray(waveform.T.numpy())
    try:
        with soundfile.SoundFile(
            path, "w", rate, frames.shape[1], subtype=subtype, format=container, **options
        ) as file:
            for start in range(0, len(frames), rate):  # long Vorbis writes in one call crash libsndfile
                file.write(frames[start : start + rate])
    except soundfile.LibsndfileError as error:
        raise OSError(f"{path} cannot be written: {error}") from error


def _mp3_compression(bitrate: str) -> float:
    """libsndfile's 0..1 setting that means *bitrate*: it spans 320 down to 32 kbit/s linearly."""
    return (320 - MP3_BITRATES[bitrate]) / (320 - 32)


def _resample(waveform: Tensor, rate: int) -> Tensor:
    if rate == SAMPLE_RATE:
        return waveform
    import soxr

    return torch.from_numpy(soxr.resample(waveform.T.numpy(), SAMPLE_RATE, rate).T)
