"""The diffusion transformer under one condition predicts what diffusers' does, for tiles and blocks of any size."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.models.transformers.ace_step_transformer import AceStepTransformer1DModel
from torch import Tensor

from acestep.dit import block_ops, denoiser
from acestep.dit.block_ops import Attention
from acestep.dit.denoiser import Denoiser
from acestep.memory.limit import MemoryLimit

CONDITION_TOKENS = 7
CHANNELS = 6


def model(**changes: Any) -> Any:
    """Return a small transformer with random weights; its condition has 20 channels."""
    torch.manual_seed(0)
    config = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "in_channels": 3 * CHANNELS,
        "audio_acoustic_hidden_dim": CHANNELS,
        "encoder_hidden_size": 20,
        "sliding_window": 4,
    }
    network: Any = AceStepTransformer1DModel(**config | changes).eval()
    for name, parameter in network.named_parameters():
        if "norm" in name:
            parameter.data.uniform_(0.5, 1.5)
    return network.requires_grad_(False)


SMALL = model()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def inputs(batch: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, condition and context."""
    return (
        random(batch, frames, CHANNELS, seed=1),
        random(batch, CONDITION_TOKENS, 20, seed=2),
        random(batch, frames, 2 * CHANNELS, seed=3),
    )


def theirs(network: Any, latents: Tensor, condition: Tensor, context: Tensor, time: float = 0.7) -> Tensor:
    times = torch.full((len(latents),), time)
    velocity: Tensor = network(latents, times, times, condition, context, return_dict=False)[0]
    return velocity


def ours(network: Any, latents: Tensor, *rest: Any, time: float = 0.7, **options: Any) -> Tensor:
    with torch.inference_mode():
        return Denoiser(network, *rest, **options)(latents, torch.full((len(latents),), time))


@pytest.mark.parametrize("tile_tokens", [1000, 16, 5])
@pytest.mark.parametrize(("batch", "frames"), [(1, 46), (3, 23), (2, 5)])
def test_it_predicts_what_diffusers_does(
    monkeypatch: pytest.MonkeyPatch, tile_tokens: int, batch: int, frames: int
) -> None:
    monkeypatch.setattr(denoiser, "TILE_TOKENS", tile_tokens)
    monkeypatch.setattr(block_ops, "BLOCK_TOKENS", 3)
    latents, condition, context = inputs(batch, frames)
    for network in (SMALL, model(hidden_size=40, num_attention_heads=6, patch_size=3)):
        expected = theirs(network, latents, condition, context)
        torch.testing.assert_close(ours(network, latents, condition, context), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("tile_tokens", [1000, 16])
def test_the_second_half_of_a_doubled_batch_has_no_condition(monkeypatch: pytest.MonkeyPatch, tile_tokens: int) -> None:
    monkeypatch.setattr(denoiser, "TILE_TOKENS", tile_tokens)
    latents, condition, context = inputs(2, 23)
    null = random(1, 1, 20, seed=4)
    doubled = [torch.cat([x, x]) for x in (latents, context)]
    conditions = torch.cat([condition, null.expand_as(condition)])
    expected = theirs(SMALL, doubled[0], conditions, doubled[1])
    torch.testing.assert_close(ours(SMALL, doubled[0], condition, context, null=null), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours(SMALL, latents, condition, context, null=null), expected[:2], atol=1e-5, rtol=1e-5)


def test_one_denoiser_predicts_all_steps_of_a_generation() -> None:
    latents, condition, context = inputs(2, 24)
    with torch.inference_mode():
        predict = Denoiser(SMALL, condition, context)
        for time in (1.0, 0.5, 0.1):
            velocity = predict(latents * time, torch.full((2,), time))
            expected = theirs(SMALL, latents * time, condition, context, time)
            torch.testing.assert_close(velocity, expected, atol=1e-5, rtol=1e-5)


def test_the_keys_of_a_shared_condition_are_computed_once() -> None:
    latents, condition, context = inputs(3, 24)
    rows: list[int] = []
    hook = SMALL.layers[1].cross_attn.to_k.register_forward_pre_hook(lambda _module, given: rows.append(len(given[0])))
    shared = condition[:1].expand(3, -1, -1)
    with torch.inference_mode():
        predict = Denoiser(SMALL, shared, context)
        velocity = [predict(latents, torch.full((3,), 0.7)) for _ in range(4)][-1]
    hook.remove()
    assert rows == [1]
    torch.testing.assert_close(velocity, theirs(SMALL, latents, shared, context), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backend", ["sdpa", "flash", "eager"])
def test_all_backends_give_the_same_result(backend: str) -> None:
    latents, condition, context = inputs(2, 46)
    expected = theirs(SMALL, latents, condition, context)
    velocity = ours(SMALL, latents, condition, context, attention=Attention(backend))
    torch.testing.assert_close(velocity, expected, atol=1e-5, rtol=1e-5)


def test_a_backend_allows_no_other_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed: list[tuple[bool, bool]] = []
    attend = block_ops.scaled_dot_product_attention

    def remembered(*arguments: Any, **options: Any) -> Tensor:
        allowed.append((torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.math_sdp_enabled()))
        return attend(*arguments, **options)

    monkeypatch.setattr(block_ops, "scaled_dot_product_attention", remembered)
    queries, keys, values = (random(1, 9, heads, 16) for heads in (4, 2, 2))
    for backend in ("sdpa", "flash", "eager"):
        Attention(backend)(queries, keys, values)
    assert allowed == [(True, True), (True, False), (False, True)]


def test_sliding_window_attention_compares_no_tokens_outside_the_window() -> None:
    queries, keys, values = (random(1, 4000, heads, 16) for heads in (4, 2, 2))
    with torch.inference_mode(), MemoryLimit(1 << 40) as limit:
        attended = Attention().sliding_window(queries, keys, values, 0, 64)
    assert limit.peak_bytes < 4000 * 4000
    one = Attention().sliding_window(queries[:, 2000:2001], keys, values, 2000, 64)
    torch.testing.assert_close(attended[:, 2000:2001], one, atol=1e-5, rtol=1e-5)
    alone = Attention()(queries[:, 2000:2001], keys[:, 1936:2065], values[:, 1936:2065])
    torch.testing.assert_close(one, alone, atol=1e-5, rtol=1e-5)


def test_the_estimate_is_near_the_peak() -> None:
    network = model(hidden_size=256, intermediate_size=768, num_attention_heads=16, num_key_value_heads=8)
    for batch, frames in ((1, 4000), (4, 1000)):
        latents, condition, context = inputs(batch, frames)
        with torch.inference_mode(), MemoryLimit(1 << 40) as limit:
            Denoiser(network, condition, context)(latents, torch.full((batch,), 0.5))
        estimate = denoiser.denoiser_peak_bytes(network, batch, frames, batch * CONDITION_TOKENS, "cpu", 4)
        assert 0.6 * estimate < limit.peak_bytes < 1.4 * estimate
