"""The autoencoder run tile by tile: any range of its output, computed from its input range, is that of the whole."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from diffusers import AutoencoderOobleck
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import remove_weight_norm

from acestep.memory.limit import MemoryLimit
from acestep.synthetic.synthesizer import VAE_CONFIGS
from acestep.vae import tiling
from acestep.vae.oobleck import Upsampling, decoder_stacks, encoder_stacks, store_for_upsampling
from acestep.vae.tiling import input_range, peak_activation_elements, run_tiled

FRAMES = 40
HOP = 24


def autoencoder(**config: Any) -> Any:
    """Return an autoencoder with random weights, its weight norms folded into the weights."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        vae = AutoencoderOobleck(**config).eval().requires_grad_(False)
    for module in vae.modules():
        if hasattr(module, "weight_g"):
            remove_weight_norm(module)
        if isinstance(module, nn.Parameter):
            module.uniform_(-0.3, 0.3)
    return vae


SMALL = autoencoder(
    audio_channels=2,
    decoder_input_channels=12,
    encoder_hidden_size=24,
    downsampling_ratios=[2, 2, 6],
    channel_multiples=[1, 2, 2],
    decoder_channels=12,
    sampling_rate=600,
)


@pytest.fixture(autouse=True)
def _short_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling, "MIN_TILE_LENGTH", 17)
    monkeypatch.setitem(tiling.TILE_ELEMENTS, "cpu", 500)


def run(stacks: list[Any], x: Tensor, output: tuple[int, int]) -> Tensor:
    """Compute the range *output* from nothing but its input range in *x*."""
    length = x.shape[-1]
    return run_tiled(stacks, x[..., slice(*input_range(stacks, output, length))], output, length)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("batch", [1, 3])
def test_both_networks_compute_what_those_of_diffusers_do(batch: int) -> None:
    latents, waveform = random(batch, 12, FRAMES), random(batch, 2, HOP * FRAMES + 11)
    with torch.inference_mode():
        decoded = run(decoder_stacks(SMALL.decoder), latents, (0, HOP * FRAMES))
        torch.testing.assert_close(decoded, SMALL.decoder(latents), atol=1e-5, rtol=1e-5)
        encoded = run(encoder_stacks(SMALL.encoder), waveform, (0, FRAMES))
        torch.testing.assert_close(encoded, SMALL.encoder(waveform), atol=1e-5, rtol=1e-5)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, HOP * FRAMES), min_size=2, max_size=2, unique=True))
def test_any_range_of_the_output_is_that_of_the_whole(ends: list[int]) -> None:
    output = (min(ends), max(ends))
    with torch.inference_mode():
        whole = SMALL.decoder(random(1, 12, FRAMES))[..., slice(*output)]
        part = run(decoder_stacks(SMALL.decoder), random(1, 12, FRAMES), output)
    torch.testing.assert_close(part, whole, atol=1e-5, rtol=1e-5)


def test_tiles_of_the_released_decoder_overlap_by_nine_latent_frames() -> None:
    config = {"downsampling_ratios": [2, 4, 4, 6, 10], **VAE_CONFIGS["full"]}
    with torch.device("meta"):
        stacks = decoder_stacks(autoencoder(**config).decoder)
    assert input_range(stacks, (1920 * 100, 1920 * 200), 1000) == (91, 209)
    assert input_range(stacks, (0, 1920 * 995), 1000) == (0, 1000)


def test_the_weight_of_a_transposed_convolution_is_not_stored_twice() -> None:
    module = nn.ConvTranspose1d(6, 4, 8, stride=4, padding=2)
    x = random(1, 6, 9)
    before = module(x)
    store_for_upsampling(module)
    torch.testing.assert_close(module(x), before)
    assert Upsampling(module)._halves[0].data_ptr() == module.weight.data_ptr()


def test_a_transposed_convolution_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="a kernel of 9 positions and a stride of 4"):
        Upsampling(nn.ConvTranspose1d(6, 4, 9, stride=4, padding=2))


def test_the_estimate_is_near_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tiling.TILE_ELEMENTS, "cpu", 5000)
    stacks = decoder_stacks(SMALL.decoder)
    for batch, frames in ((1, 400), (1, 4000), (2, 2000)):
        latents, output = random(batch, 12, frames), (0, HOP * frames)
        with torch.inference_mode(), MemoryLimit(1 << 40) as limit:
            run(stacks, latents, output)
        estimate = 4 * peak_activation_elements(stacks, batch, output, frames, "cpu")
        assert 0.75 * estimate < limit.peak_bytes < 1.1 * estimate
