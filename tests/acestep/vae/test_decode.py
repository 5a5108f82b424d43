"""The decode ladder: whole, in windows, on the CPU, with the same waveform on every strategy and a word about each."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from acestep.handler import AceStepHandler
from acestep.memory.device import OutOfMemoryError
from acestep.memory.limit import MemoryLimit
from acestep.vae import decode
from acestep.vae.decode import (
    FREE_SHARE,
    TILE_FRAMES,
    DecodeReport,
    DecodeStrategy,
    decode_peak_bytes,
    decode_strategies,
)
from acestep.vae.oobleck import decoder_stacks

MIB = 1 << 20
FRAMES = 750


def latents(batch: int = 1, frames: int = FRAMES) -> Tensor:
    return torch.randn(batch, frames, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def whole(handler: AceStepHandler) -> Tensor:
    return handler.decode_latents(latents(2), tiled=False)


def decoded(handler: AceStepHandler, mebibytes: float, batch: int = 2, **options: Any) -> tuple[Tensor, DecodeReport]:
    """What decoding makes on a device with so much free memory."""
    given = latents(2)[:batch]
    with MemoryLimit(int(mebibytes * MIB)):
        waveforms = handler.decode_latents(given, **options)
    assert handler.decoding is not None
    return waveforms, handler.decoding


def enough_for(handler: AceStepHandler, strategy: DecodeStrategy) -> float:
    """Mebibytes of free memory with which *strategy* is the first that fits."""
    need = decode_peak_bytes(decoder_stacks(handler.vae.decoder), strategy, FRAMES, 4, "cpu")
    return 1.05 * need / FREE_SHARE / MIB


@pytest.mark.parametrize(
    "strategy",
    [
        DecodeStrategy("whole", 2, FRAMES),
        DecodeStrategy("whole", 1, FRAMES),
        DecodeStrategy("tiled", 1, 512),
        DecodeStrategy("tiled", 1, 256),
        DecodeStrategy("tiled", 1, 128),
        DecodeStrategy("cpu", 1, 512),
    ],
)
def test_the_first_rung_that_fits_is_taken(handler: AceStepHandler, whole: Tensor, strategy: DecodeStrategy) -> None:
    mebibytes = 1.0 if strategy.path == "cpu" else enough_for(handler, strategy)
    said: list[str] = []
    waveforms, how = decoded(handler, mebibytes, announce=said.append)
    assert how.strategy == strategy
    torch.testing.assert_close(waveforms, whole, atol=1e-5, rtol=0)
    ladder = list(decode_strategies(2, FRAMES, "cuda", True, None))
    assert len(how.refused) == ladder.index(strategy)
    assert all(why.startswith(str(above)) for why, above in zip(how.refused, ladder, strict=False))
    if strategy != ladder[0]:
        assert said[-1] == f"DecodeReport audio {strategy}: {how.refused[-1]}"
        assert "over 80% of the" in how.refused[0]


def test_what_was_expected_to_fit_and_does_not_is_followed_by_the_next_rung(
    handler: AceStepHandler, whole: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    mebibytes = enough_for(handler, DecodeStrategy("tiled", 1, 128)) * FREE_SHARE * 1.1
    monkeypatch.setattr(decode, "vae_decode_bytes", lambda *_: 0)
    said: list[str] = []
    waveforms, how = decoded(handler, mebibytes, announce=said.append)
    assert how.strategy == DecodeStrategy("tiled", 1, 128)
    assert how.refused[-1] == "in windows of 256 frames ran out of memory"
    assert len(said) == len(how.refused) == 5
    torch.testing.assert_close(waveforms, whole, atol=1e-5, rtol=0)


def test_windows_waste_little_of_240_seconds(handler: AceStepHandler) -> None:
    for window in (TILE_FRAMES[0], TILE_FRAMES[-1]):
        handler.decode_latents(latents(1, 6000), window_frames=window)
        assert handler.decoding is not None
        assert handler.decoding.strategy == DecodeStrategy("tiled", 1, window)
        assert 0 < handler.decoding.public["extra_work"] <= 0.15


def test_a_batch_decodes_together_on_the_whole_rung_and_alike(handler: AceStepHandler, whole: Tensor) -> None:
    for item in range(2):
        alone = handler.decode_latents(latents(2)[item : item + 1])
        torch.testing.assert_close(alone[0], whole[item], atol=1e-5, rtol=0)


def test_without_windows_it_is_the_whole_or_the_cpu(handler: AceStepHandler) -> None:
    _, how = decoded(handler, 20, batch=1, tiled=False)
    assert [why.split(" would")[0] for why in how.refused] == ["whole"]
    assert how.strategy.path == "cpu"


def test_a_window_can_be_pinned(handler: AceStepHandler, whole: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACESTEP_VAE_DECODE_CHUNK_SIZE", "200")
    waveforms = handler.decode_latents(latents(2))
    assert handler.decoding is not None
    assert handler.decoding.public["window_frames"] == 200
    torch.testing.assert_close(waveforms, whole, atol=1e-5, rtol=0)
    handler.decode_latents(latents(), window_frames=300)
    assert handler.decoding.public["window_frames"] == 300
    monkeypatch.setenv("ACESTEP_VAE_DECODE_CHUNK_SIZE", "10000")
    handler.decode_latents(latents())
    assert handler.decoding.public["path"] == "whole"


@pytest.mark.parametrize("text", ["-1", "0", "many", "1.5"])
def test_a_window_that_is_none_is_refused(handler: AceStepHandler, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ACESTEP_VAE_DECODE_CHUNK_SIZE", text)
    with pytest.raises(ValueError, match=f"CHUNK_SIZE is '{text}', expected latent frames"):
        handler.decode_latents(latents())


@pytest.mark.parametrize("window", [0, -5, 1.5])
def test_so_is_one_that_a_caller_gives(handler: AceStepHandler, window: Any) -> None:
    with pytest.raises(ValueError, match=f"window_frames is {window}, expected a whole number from 1"):
        handler.decode_latents(latents(), window_frames=window)


def test_the_cpu_can_be_asked_for(handler: AceStepHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACESTEP_VAE_ON_CPU", "1")
    assert decoded(handler, 1000)[1].strategy.path == "cpu"
    monkeypatch.setenv("ACESTEP_VAE_ON_CPU", "perhaps")
    with pytest.raises(ValueError, match=r"ACESTEP_VAE_ON_CPU is 'perhaps', expected 1 or 0"):
        decoded(handler, 1000)


def test_when_no_rung_fits_the_error_says_so(handler: AceStepHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(decode, "copy_module", fail)
    with pytest.raises(
        OutOfMemoryError, match=r"Out of memory in vae_decode: it needs about .* Make shorter pieces"
    ) as told:
        decoded(handler, 1)
    assert told.value.stage == "vae_decode"
    assert told.value.need_bytes > 0


def test_an_error_that_is_not_of_memory_leaves_the_ladder(
    handler: AceStepHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(decode, "run_tiled", fail)
    with pytest.raises(ZeroDivisionError):
        handler.decode_latents(latents())


def test_the_need_of_every_rung_is_known_before(handler: AceStepHandler) -> None:
    chains = decoder_stacks(handler.vae.decoder)
    for batch, frames, window in ((1, 750, None), (2, 750, None), (1, 3000, None), (1, 3000, 256)):
        given = latents(batch, frames)
        with MemoryLimit(1 << 40) as limit:
            handler.decode_latents(given, window_frames=window)
        assert handler.decoding is not None
        known = decode_peak_bytes(chains, handler.decoding.strategy, frames, 4, "cpu")
        assert 0.8 * known < limit.peak_bytes < 1.2 * known
