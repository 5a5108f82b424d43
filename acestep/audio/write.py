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
