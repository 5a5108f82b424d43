"""Audio files as the models take them: 48 kHz, stereo, within [-1, 1]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from acestep.constants import AUDIO_CHANNELS, DURATION_MAX_S, HOP_SAMPLES, SAMPLE_RATE, TIMBRE_FRAMES

TIMBRE_SAMPLES = TIMBRE_FRAMES * HOP_SAMPLES


def read_audio(path: str, name: str) -> Tensor:
    """The waveform ``[2, samples]`` of the file at *path*, at 48 kHz and clamped to [-1, 1].

    A single channel is doubled; of several, the first two are taken.

    Args:
        path: a file in any format that libsndfile reads.
        name: what the caller calls it, for messages.

    Raises:
        ValueError: there is no such file, it cannot be read, or it is too short or too long.
    """
    import soundfile
    import soxr

    if not Path(path).is_file():
        raise ValueError(f"{name} is {path!r}, and there is no such file.")
    try:
        with soundfile.SoundFile(path) as file:
            rate, seconds = file.samplerate, file.frames / file.samplerate
            if seconds > DURATION_MAX_S:
                raise ValueError(f"{name} {path!r} is {seconds:.1f} s long; at most {DURATION_MAX_S} s are allowed.")
            frames = file.read(dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(
            f"{name} {path!r} cannot be read as audio: {error}. Convert it to WAV, FLAC, MP3 or Ogg."
        ) from error
    frames = frames[:, :AUDIO_CHANNELS]
    if rate != SAMPLE_RATE and len(frames):
        frames = soxr.resample(frames, rate, SAMPLE_RATE)
    if len(frames) < HOP_SAMPLES:
        raise ValueError(
            f"{name} {path!r} holds {len(frames) / SAMPLE_RATE:g} s of audio; at least {HOP_SAMPLES / SAMPLE_RATE} s "
            "are needed."
        )
    if not np.isfinite(frames).all():
        raise ValueError(f"{name} {path!r} holds samples that are no finite numbers; write it anew.")
    waveform = torch.from_numpy(np.ascontiguousarray(frames.T)).clamp(-1, 1)
    return waveform.expand(AUDIO_CHANNELS, -1).contiguous()


def timbre_clip(waveform: Tensor) -> Tensor:
    """What the timbre encoder hears of a reference ``[2, samples]``: 30 s, ``[2, 1440000]``.

    A shorter reference is repeated. Of a longer one it is ten seconds from the middle of each third (the reference
    implementation takes them from random places), so that one file always sounds the same.
    """
    samples = waveform.shape[-1]
    if samples < TIMBRE_SAMPLES:
        return waveform.repeat(1, -(-TIMBRE_SAMPLES // samples))[:, :TIMBRE_SAMPLES]
    third, part = samples // 3, TIMBRE_SAMPLES // 3
    starts = [third * index + (third - part) // 2 for index in range(3)]
    return torch.cat([waveform[:, start : start + part] for start in starts], dim=1)
