"""The decode strategies whole, tiled and on the CPU give the same waveform, and each fallback is reported."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from acestep.handler import AceStepHandler
from acestep.memory.device import OutOfMemoryError
from acestep.memory.limit import MemoryLimit
from acestep.memory.stage_estimates import vae_decode_bytes
from acestep.vae import decode
from acestep.vae.decode import FREE_SHARE, TILE_FRAMES, DecodeReport, DecodeStrategy, decode_strategies
from acestep.vae.oobleck import decoder_stacks

MIB = 1 << 20
FRAMES = 750


def latents(batch: int = 1, frames: int = FRAMES) -> Tensor:
    return torch.randn(batch, frames, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def whole(handler: AceStepHandler) -> Tensor:
    return handler.decode_latents(latents(2), tiled=False)


def decoded(handler: AceStepHandler, mebibytes: float, batch: int = 2, **options: Any) -> tuple[Tensor, DecodeReport]:
    """Decode on a device with this many mebibytes of free memory; return the waveforms and the report."""
    given = latents(2)[:batch]
    with MemoryLimit(int(mebibytes * MIB)):
        waveforms = handler.decode_latents(given, **options)
    assert handler.decoding is not None
    return waveforms, handler.decoding


def enough_for(handler: AceStepHandler, strategy: DecodeStrategy) -> float:
    """Return the mebibytes of free memory with which *strategy* is the first that fits."""
    stacks = decoder_stacks(handler.vae.decoder)
    need = vae_decode_bytes(stacks, strategy.items, strategy.tile_frames, FRAMES, 4, "cpu")
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
def test_the_first_strategy_that_fits_is_used(handler: AceStepHandler, whole: Tensor, strategy: DecodeStrategy) -> None:
    mebibytes = 1.0 if strategy.path == "cpu" else enough_for(handler, strategy)
    messages: list[str] = []
    waveforms, report = decoded(handler, mebibytes, announce=messages.append)
    assert report.strategy == strategy
    torch.testing.assert_close(waveforms, whole, atol=1e-5, rtol=0)
    strategies = list(decode_strategies(2, FRAMES, "cuda", True, None))
    assert len(report.refused) == strategies.index(strategy)
    assert all(reason.startswith(str(refused)) for reason, refused in zip(report.refused, strategies, strict=False))
    if strategy != strategies[0]:
        assert messages[-1] == f"Decoding audio {strategy}: {report.refused[-1]}"
        assert "over 80% of the" in report.refused[0]


def test_a_strategy_that_runs_out_of_memory_is_followed_by_the_next(
    handler: AceStepHandler, whole: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    mebibytes = enough_for(handler, DecodeStrategy("tiled", 1, 128)) * FREE_SHARE * 1.1
    monkeypatch.setattr(decode, "vae_decode_bytes", lambda *_: 0)
    messages: list[str] = []
    waveforms, report = decoded(handler, mebibytes, announce=messages.append)
    assert report.strategy == DecodeStrategy("tiled", 1, 128)
    assert report.refused[-1] == "in tiles of 256 frames ran out of memory"
    assert len(messages) == len(report.refused) == 5
    torch.testing.assert_close(waveforms, whole, atol=1e-5, rtol=0)


def test_tiles_decode_few_frames_of_240_seconds_twice(handler: AceStepHandler) -> None:
    for window in (TILE_FRAMES[0], TILE_FRAMES[-1]):
        handler.decode_latents(latents(1, 6000), window_frames=window)
        assert handler.decoding is not None
        assert handler.decoding.strategy == DecodeStrategy("tiled", 1, window)
        assert 0 < handler.decoding.public["extra_work"] <= 0.15


def test_a_batch_is_decoded_together_and_gives_what_each_item_gives(handler: AceStepHandler, whole: Tensor) -> None:
    for item in range(2):
        alone = handler.decode_latents(latents(2)[item : item + 1])
        torch.testing.assert_close(alone[0], whole[item], atol=1e-5, rtol=0)


def test_without_tiles_the_strategies_are_whole_and_cpu(handler: AceStepHandler) -> None:
    _, report = decoded(handler, 20, batch=1, tiled=False)
    assert [reason.split(" would")[0] for reason in report.refused] == ["whole"]
    assert report.strategy.path == "cpu"


def test_the_length_of_tiles_can_be_set(
    handler: AceStepHandler, whole: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
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
def test_an_invalid_length_in_the_environment_is_an_error(
    handler: AceStepHandler, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("ACESTEP_VAE_DECODE_CHUNK_SIZE", text)
    with pytest.raises(ValueError, match=f"CHUNK_SIZE is '{text}', expected latent frames"):
        handler.decode_latents(latents())


@pytest.mark.parametrize("window", [0, -5, 1.5])
def test_an_invalid_length_from_a_caller_is_an_error(handler: AceStepHandler, window: Any) -> None:
    with pytest.raises(ValueError, match=f"window_frames is {window}, expected a whole number from 1"):
        handler.decode_latents(latents(), window_frames=window)


def test_the_environment_can_choose_the_cpu(handler: AceStepHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACESTEP_VAE_ON_CPU", "1")
    assert decoded(handler, 1000)[1].strategy.path == "cpu"
    monkeypatch.setenv("ACESTEP_VAE_ON_CPU", "perhaps")
    with pytest.raises(ValueError, match=r"ACESTEP_VAE_ON_CPU is 'perhaps', expected 1 or 0"):
        decoded(handler, 1000)


def test_the_error_says_that_no_strategy_fits(handler: AceStepHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(decode, "copy_module", fail)
    with pytest.raises(
        OutOfMemoryError, match=r"Out of memory in vae_decode: it needs about .* Make shorter pieces"
    ) as raised:
        decoded(handler, 1)
    assert raised.value.stage == "vae_decode"
    assert raised.value.need_bytes > 0


def test_an_error_other_than_out_of_memory_is_raised(handler: AceStepHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(decode, "run_tiled", fail)
    with pytest.raises(ZeroDivisionError):
        handler.decode_latents(latents())


def test_the_estimate_is_near_the_peak(handler: AceStepHandler) -> None:
    stacks = decoder_stacks(handler.vae.decoder)
    for batch, frames, window in ((1, 750, None), (2, 750, None), (1, 3000, None), (1, 3000, 256)):
        given = latents(batch, frames)
        with MemoryLimit(1 << 40) as limit:
            handler.decode_latents(given, window_frames=window)
        assert handler.decoding is not None
        strategy = handler.decoding.strategy
        estimate = vae_decode_bytes(stacks, strategy.items, strategy.tile_frames, frames, 4, "cpu")
        assert 0.8 * estimate < limit.peak_bytes < 1.2 * estimate
