"""Audio of any rate and channel count comes in as 48 kHz stereo, or with an error that says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from acestep import synthesizer
from acestep.audio.levels import is_silent
from acestep.audio.read import read_audio, timbre_clip
from acestep.handler import AceStepHandler
from acestep.vae import tiling
from acestep.vae.tiling import ConvStack

RATE = 48_000


def tone(seconds: float, rate: int, hertz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_any_rate_and_channels(tmp_path: Path, rate: int, channels: int) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, np.stack([tone(2, rate, 300.0 * (i + 1)) for i in range(channels)], axis=1), rate)
    waveform = read_audio(str(path), "src_audio")
    assert waveform.shape == (2, 2 * RATE)
    assert waveform.dtype == torch.float32
    for channel, hertz in zip(waveform, (300, 600 if channels > 1 else 300), strict=True):
        assert float(torch.fft.rfft(channel).abs().argmax()) / 2 == hertz
        assert channel[RATE // 2 : RATE].square().mean() == pytest.approx(0.125, rel=0.01)


@pytest.mark.parametrize("suffix", ["flac", "mp3", "ogg", "aiff"])
def test_any_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, tone(2, 44_100), 44_100)
    channel = read_audio(str(path), "src_audio")[0]
    assert float(torch.fft.rfft(channel[: 2 * RATE]).abs().argmax()) / 2 == 440


def test_samples_are_clamped(tmp_path: Path) -> None:
    path = tmp_path / "loud.wav"
    soundfile.write(path, 4 * tone(1, RATE), RATE, subtype="FLOAT")
    assert read_audio(str(path), "src_audio").abs().max() == 1


def broken(folder: Path, kind: str) -> str:
    path = folder / f"{kind}.wav"
    if kind == "text":
        path.write_text("no audio")
    elif kind == "empty":
        soundfile.write(path, np.zeros(0), RATE)
    elif kind == "short":
        soundfile.write(path, np.zeros(1_000), RATE)
    elif kind == "long":
        soundfile.write(path, np.zeros(601 * 100), 100)
    elif kind == "nan":
        soundfile.write(path, np.full(9_000, np.nan), RATE, subtype="FLOAT")
    return str(path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "there is no such file"),
        ("text", "cannot be read as audio"),
        ("empty", "holds 0 s of audio; at least 0.04 s are needed"),
        ("short", "holds 0.0208333 s of audio"),
        ("long", "is 601.0 s long; at most 600 s are allowed"),
        ("nan", "no finite numbers"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, kind: str, message: str) -> None:
    path = broken(tmp_path, kind)
    with pytest.raises(ValueError, match=message) as error:
        read_audio(path, "src_audio")
    assert "src_audio" in str(error.value)
    assert path in str(error.value)


def test_a_timbre_is_thirty_seconds_of_all_of_the_reference() -> None:
    short = torch.arange(7 * RATE).float().expand(2, -1)
    clip = timbre_clip(short)
    assert clip.shape == (2, 30 * RATE)
    assert torch.equal(clip[:, 7 * RATE : 14 * RATE], short)
    seconds = torch.arange(90 * RATE).float().div(RATE).floor().expand(2, -1)
    heard = timbre_clip(seconds)[0].unique().tolist()
    assert heard == [*range(10, 20), *range(40, 50), *range(70, 80)]


def test_the_handler_reads_sources_and_references(handler: AceStepHandler, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(tmp_path / "tone.wav", tone(1, RATE), RATE)
    assert is_silent(handler.process_src_audio(str(tmp_path / "silent.wav")))
    assert handler.process_reference_audio(str(tmp_path / "tone.wav")).shape == (2, 30 * RATE)
    with pytest.raises(ValueError, match=r"reference_audio .*silent\.wav' is silent"):
        handler.process_reference_audio(str(tmp_path / "silent.wav"))


def test_long_audio_is_encoded_in_windows(handler: AceStepHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = 0.1 * torch.randn(2, 2 * RATE + 500, generator=torch.Generator().manual_seed(0))
    widths: list[int] = []

    def run_tiled(chains: list[ConvStack], x: torch.Tensor, *rest: Any) -> torch.Tensor:
        widths.append(x.shape[-1])
        return tiling.run_tiled(chains, x, *rest)

    monkeypatch.setattr(synthesizer, "run_tiled", run_tiled)
    whole = handler.encode_audio(noise)
    monkeypatch.setattr(synthesizer, "ENCODE_FRAMES", 20)
    windows = handler.encode_audio(noise)
    assert whole.shape == (50, 64)
    assert widths[0] >= 2 * RATE
    assert len(widths) == 4
    assert max(widths[1:]) < 1.5 * RATE
    torch.testing.assert_close(windows, whole, atol=1e-4, rtol=0)


def test_audio_is_encoded_as_diffusers_encodes_it(handler: AceStepHandler) -> None:
    noise = 0.1 * torch.randn(2, RATE + 500, generator=torch.Generator().manual_seed(1))
    posterior = handler.vae.encode(noise.unsqueeze(0)).latent_dist
    theirs = posterior.sample(torch.Generator().manual_seed(synthesizer.ENCODE_SEED))[0].T
    torch.testing.assert_close(handler.encode_audio(noise), theirs, atol=1e-4, rtol=0)


def test_silence_is_the_silence_of_the_checkpoint(handler: AceStepHandler) -> None:
    assert handler.silence_latent is not None
    assert torch.equal(handler.encode_audio(torch.zeros(2, 5 * RATE)), handler.silence_latent[0, :125])
