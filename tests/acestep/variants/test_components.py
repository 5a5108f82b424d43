"""Every part of a model of either size computes what the reference's does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from acestep.synthesizer import Synthesizer
from tests.acestep.variants.conditions import LYRICS_MASK, OWNERS, condition, context, states
from tests.acestep.variants.conftest import Open
from tests.acestep.variants.deterministic import given
from tests.acestep.variants.golden import CODES, GOLDEN, TRAINING_LOSS

FOLDERS = {"2B": "base", "XL": "xl-base"}


@pytest.fixture(params=FOLDERS)
def size(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def tiny(open_variant: Open, size: str) -> Synthesizer:
    return open_variant(FOLDERS[size])


def velocity(tiny: Synthesizer, ends: list[float] | None = None) -> Tensor:
    times = torch.tensor([0.75, 0.3])
    result: Tensor = tiny.model.decoder(
        given("xt"), times, times if ends is None else torch.tensor(ends), condition(tiny), context(tiny)
    ).sample
    return result


@torch.inference_mode()
def test_condition_encoder(tiny: Synthesizer, size: str) -> None:
    encoder = tiny.model.encoder
    GOLDEN[f"{size}.lyric"].check(encoder.lyric_encoder(given("lyric"), LYRICS_MASK))
    GOLDEN[f"{size}.timbre"].check(encoder.timbre_encoder(given("refer"), OWNERS)[0])
    packed, mask = tiny.encode_condition(states(), given("refer"), OWNERS)
    GOLDEN[f"{size}.enc"].check(packed)
    assert mask.sum(1).tolist() == [18, 12]
    GOLDEN[f"{size}.ctx"].check(context(tiny))


@torch.inference_mode()
def test_audio_codes(tiny: Synthesizer, size: str) -> None:
    tokenizer = tiny.model.tokenizer
    quantized, codes = tokenizer.tokenize(given("src"), tiny.silence_latent)
    assert codes.squeeze(-1).tolist() == CODES[size]
    GOLDEN[f"{size}.quant"].check(quantized)
    GOLDEN[f"{size}.detok"].check(tiny.model.detokenizer(quantized))
    known = torch.tensor([[[0], [1], [12345], [63999]]])
    GOLDEN[f"{size}.from_idx"].check(tokenizer.quantizer.get_output_from_indices(known))


@torch.inference_mode()
def test_diffusion_transformer(tiny: Synthesizer, size: str) -> None:
    seen: dict[str, Tensor] = {}
    layers = tiny.model.decoder.layers
    hooks = [layers[-1].register_forward_hook(lambda _module, _inputs, output: seen.update(hidden=output))]
    for index in (0, 3):

        def keep(
            module: nn.Module, _inputs: Any, inputs: dict[str, Tensor], _output: Tensor, index: int = index
        ) -> None:
            seen[f"xattn{index}"] = attention_weights(module, inputs["hidden_states"], inputs["encoder_hidden_states"])

        hooks.append(layers[index].cross_attn.register_forward_hook(keep, with_kwargs=True))
    GOLDEN[f"{size}.dec"].check(velocity(tiny))
    for hook in hooks:
        hook.remove()
    GOLDEN[f"{size}.dec_hidden"].check(seen["hidden"])
    GOLDEN[f"{size}.xattn0"].check(seen["xattn0"])
    GOLDEN[f"{size}.xattn3"].check(seen["xattn3"])
    GOLDEN[f"{size}.dec_r"].check(velocity(tiny, [0.5, 0.1]))


def attention_weights(attention: Any, states: Tensor, condition: Tensor) -> Tensor:
    """What cross-attention looks at, ``[B, heads, queries, keys]``: every key, padding too."""
    query, key = (
        norm(linear(x).unflatten(-1, (-1, attention.head_dim))).transpose(1, 2)
        for x, linear, norm in (
            (states, attention.to_q, attention.norm_q),
            (condition, attention.to_k, attention.norm_k),
        )
    )
    key = key.repeat_interleave(attention.heads // attention.kv_heads, dim=1)
    return (query @ key.transpose(-1, -2) * attention.head_dim**-0.5).softmax(-1)


@torch.inference_mode()
def test_time_embeddings(open_variant: Open) -> None:
    decoder = open_variant("base").model.decoder
    embedding, modulation = decoder.time_embed(torch.tensor([0.75, 0.3]))
    GOLDEN["temb"].check(embedding)
    GOLDEN["tproj"].check(modulation)
    GOLDEN["temb_r0"].check(decoder.time_embed_r(torch.zeros(2))[0])


@torch.inference_mode()
def test_training_loss(open_variant: Open) -> None:
    """The reference's objective: the velocity predicted, where a condition may be dropped, against noise - data."""
    tiny, data = open_variant("base"), given("x0")
    states = condition(tiny)
    torch.manual_seed(7)
    dropped = torch.rand(2) < 0.15
    states = torch.where(dropped.view(2, 1, 1), tiny.model.encoder.null_condition_emb, states)
    noise = torch.randn_like(data)
    times = torch.stack([torch.sigmoid(torch.randn(2) - 0.4) for _ in range(2)]).amax(0)
    mixed = times.view(2, 1, 1) * noise + (1 - times.view(2, 1, 1)) * data
    predicted = tiny.model.decoder(mixed, times, times, states, context(tiny)).sample
    assert float((predicted - (noise - data)).square().mean()) == pytest.approx(TRAINING_LOSS, abs=1e-4)
