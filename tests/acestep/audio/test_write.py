"""Levels, fades and files."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
import torch

from acestep.audio.levels import fade, item_peaks, limit_peak, normalize_peak
from acestep.audio.write import AUDIO_FORMATS, MP3_BITRATES, file_suffix, save

RATE = 48_000


@pytest.fixture(scope="module")
def tone() -> torch.Tensor:
    time = torch.arange(2 * RATE) / RATE
    return 0.5 * torch.stack([torch.sin(2 * torch.pi * 440 * time), torch.sin(2 * torch.pi * 660 * time)])


@pytest.mark.parametrize("audio_format", AUDIO_FORMATS)
def test_every_format_reads_back(tone: torch.Tensor, tmp_path: Path, audio_format: str) -> None:
    path = tmp_path / f"tone.{file_suffix(audio_format)}"
    save(tone, path, audio_format)
    read, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE
    assert read.shape == (2 * RATE, 2) or audio_format == "mp3"  # mp3 pads to whole frames
    left, right = torch.from_numpy(read[: 2 * RATE].T)
    assert spectrum_peak(left) == pytest.approx(440, abs=1)
    assert spectrum_peak(right) == pytest.approx(660, abs=1)
    level = 0.95 if audio_format == "mp3" else 1  # libsndfile leaves its mp3 encoder headroom
    assert left[RATE // 2 : RATE].square().mean() == pytest.approx(0.125 * level**2, rel=0.02)


def spectrum_peak(channel: torch.Tensor) -> float:
    """Frequency in Hz of the strongest component."""
    return float(torch.fft.rfft(channel).abs().argmax()) * RATE / len(channel)


def test_wav32_is_exact(tone: torch.Tensor, tmp_path: Path) -> None:
    loud = tone * 3
    save(loud, tmp_path / "tone.wav", "wav32")
    read, _ = soundfile.read(tmp_path / "tone.wav", dtype="float32")
    assert torch.equal(torch.from_numpy(read.T), loud)


def test_long_vorbis_is_written(tmp_path: Path) -> None:
    save(torch.zeros(2, 240 * RATE), tmp_path / "long.ogg", "ogg")
    assert soundfile.info(tmp_path / "long.ogg").duration == 240


@pytest.mark.parametrize("bitrate", MP3_BITRATES)
def test_mp3_rates(tone: torch.Tensor, tmp_path: Path, bitrate: str) -> None:
    path = tmp_path / "tone.mp3"
    save(tone.repeat(1, 5), path, "mp3", mp3_bitrate=bitrate, mp3_sample_rate=44_100)
    info = soundfile.info(path)
    assert info.samplerate == 44_100
    assert path.stat().st_size * 8 / 10 == pytest.approx(int(bitrate[:-1]) * 1000, rel=0.02)
    read, _ = soundfile.read(path, dtype="float32")
    left = torch.from_numpy(read[: 10 * 44_100, 0])
    assert float(torch.fft.rfft(left).abs().argmax()) / 10 == pytest.approx(440, abs=1)


def test_file_that_cannot_be_written(tone: torch.Tensor, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"missing/tone\.flac cannot be written"):
        save(tone, tmp_path / "missing" / "tone.flac", "flac")


def test_limit_peak_touches_only_what_clips(tone: torch.Tensor) -> None:
    waveforms = torch.stack([tone, 4 * tone])
    limited = limit_peak(waveforms, item_peaks(waveforms))
    assert torch.equal(limited[0], tone)
    assert limited[1].abs().max() == pytest.approx(1.0)


def test_normalize(tone: torch.Tensor) -> None:
    assert normalize_peak(tone, -1.0).abs().max() == pytest.approx(10 ** (-1 / 20))
    silence = torch.zeros(2, 10)
    assert torch.equal(normalize_peak(silence, -1.0), silence)


def test_fades_are_linear_and_clipped_to_the_length() -> None:
    ones = torch.ones(2, RATE)
    faded = fade(ones, 0.5, 0.25)
    assert faded[0, 0] == 0
    assert faded[0, RATE // 4] == pytest.approx(0.5, abs=1e-3)
    assert faded[0, RATE * 5 // 8] == 1
    assert faded[0, -1] == 0
    assert torch.equal(ones, torch.ones(2, RATE))
    assert fade(ones, 9, 0)[0, -1] == 1
