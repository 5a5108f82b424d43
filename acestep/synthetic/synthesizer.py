"""Synthetic synthesizer checkpoints: diffusion model, VAE and text encoder with seeded weights, original layout."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from acestep.checkpoints import build_empty
from acestep.constants import LATENT_CHANNELS, SAMPLE_RATE
from acestep.families import TURBO, XL_SHAPES, Family
from acestep.layouts import original_key
from acestep.model import DEFAULTS, AceStepModel
from acestep.synthetic.tokenizer import Scale, build_text_tokenizer, save_tokenizer
from acestep.synthetic.weights import Dtype, write_weights

TINY_MODEL: Final[dict[str, Any]] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "text_hidden_dim": 32,
    "num_lyric_encoder_hidden_layers": 2,
    "num_timbre_encoder_hidden_layers": 2,
    "fsq_dim": 64,
    "sliding_window": 64,
}
TINY_XL: Final[dict[str, Any]] = {
    "hidden_size": 80,
    "intermediate_size": 160,
    "num_attention_heads": 8,
    "encoder_hidden_size": 64,
    "encoder_intermediate_size": 128,
    "encoder_num_attention_heads": 4,
    "encoder_num_key_value_heads": 2,
}
"""Where a tiny XL model differs from `TINY_MODEL`."""
SILENCE_FRAMES: Final = {"tiny": 1500, "full": 15_000}

VAE_CONFIGS: Final[dict[Scale, dict[str, Any]]] = {
    "tiny": {"decoder_channels": 2, "channel_multiples": [1, 1, 1, 1, 2]},
    "full": {"decoder_channels": 128, "channel_multiples": [1, 2, 4, 8, 16]},
}
"""What differs between scales; the encoder needs two channels per latent channel at either."""

TEXT_CONFIGS: Final[dict[Scale, dict[str, Any]]] = {
    "tiny": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
    },
    "full": {
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
    },
}

DTYPES: Final[dict[Scale, Dtype]] = {"tiny": "float32", "full": "bfloat16"}
"""The stored number format."""


def write_model(
    folder: Path, scale: Scale, seed: int = 0, family: Family = TURBO, *, layers: int | None = None
) -> None:
    """Write a diffusion model of *family*: ``config.json``, weights (in shards where large), ``silence_latent.pt``.

    Weights are normal with variance 1 / fan-in and norms near 1, so that every layer keeps its signal's size; the
    stored number format is fp32 (tiny, and XL as released) or bf16 (full). The same *seed* gives the same bytes.

    Args:
        folder: is made if it is not there.
        scale: ``tiny`` or ``full``.
        seed: of the weights.
        family: what kind of model.
        layers: of the transformer, no more than a model of *scale* has; None is as many.

    Raises:
        ValueError: there are no so many *layers*.
    """
    dtype: Dtype = "float32" if family.xl else DTYPES[scale]
    shapes = model_shapes(scale, family)
    if layers is not None:
        if not 1 <= layers <= shapes["num_hidden_layers"]:
            raise ValueError(f"layers is {layers}, expected 1 to {shapes['num_hidden_layers']}.")
        shapes["num_hidden_layers"] = layers
    described = {
        "architectures": ["AceStepConditionGenerationModel"],
        "model_type": "acestep",
        "is_turbo": family.turbo,
        "model_version": family.kind,
        "timbre_fix_frame": 750,
        "vocab_size": 64_003,
        "dtype": dtype,
        **shapes,
    }
    _write(folder, described, lambda: AceStepModel(described, family), "model", dtype, seed, original_key)
    silence = torch.randn(1, LATENT_CHANNELS, 1, generator=torch.Generator().manual_seed(seed))
    torch.save(silence.expand(-1, -1, SILENCE_FRAMES[scale]).contiguous(), folder / "silence_latent.pt")


def model_shapes(scale: Scale, family: Family) -> dict[str, Any]:
    """What the configuration says about sizes: the released ones (full) or small ones of the same kind (tiny)."""
    tiny = TINY_MODEL | (TINY_XL if family.xl else {})
    full = XL_SHAPES if family.xl else {}
    return DEFAULTS | (tiny if scale == "tiny" else full)


def vae_shapes(scale: Scale) -> dict[str, Any]:
    """The configuration of an Oobleck VAE: hop 1920, 64 latent channels, 48 kHz stereo."""
    return {
        "audio_channels": 2,
        "decoder_input_channels": LATENT_CHANNELS,
        "downsampling_ratios": [2, 4, 4, 6, 10],
        "encoder_hidden_size": 2 * LATENT_CHANNELS,
        "sampling_rate": SAMPLE_RATE,
        **VAE_CONFIGS[scale],
    }


def build_vae(scale: Scale) -> nn.Module:
    """The VAE of `vae_shapes`, with weight norms as checkpoints have them."""
    from diffusers import AutoencoderOobleck

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the stored keys are those of the old weight_norm
        return AutoencoderOobleck(**vae_shapes(scale))  # type: ignore[no-any-return]


def write_vae(folder: Path, scale: Scale, seed: int = 0) -> None:
    """Write the VAE of `vae_shapes`; see `write_model` for the weights."""
    described = {"_class_name": "AutoencoderOobleck", **vae_shapes(scale)}
    _write(folder, described, lambda: build_vae(scale), "diffusion_pytorch_model", DTYPES[scale], seed)


def write_text_encoder(folder: Path, scale: Scale, seed: int = 0) -> None:
    """Write a Qwen3 text encoder with its tokenizer; see `write_model` for the weights."""
    from transformers import Qwen3Config, Qwen3Model

    tokenizer = build_text_tokenizer(scale)
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(tokenizer, folder)
    config = {
        "architectures": ["Qwen3Model"],
        "model_type": "qwen3",
        "vocab_size": tokenizer.get_vocab_size(),
        "max_position_embeddings": 32_768,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "dtype": DTYPES[scale],
        "transformers_version": "4.57.6",
        **TEXT_CONFIGS[scale],
    }
    _write(folder, config, lambda: Qwen3Model(Qwen3Config(**config)), "model", DTYPES[scale], seed)


def _write(
    folder: Path,
    config: dict[str, Any],
    build: Callable[[], nn.Module],
    stem: str,
    dtype: Dtype,
    seed: int,
    rename: Callable[[str], str] = lambda key: key,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    slots = build_empty(build).state_dict()
    shapes = {rename(key): tuple(slot.shape) for key, slot in slots.items()}
    write_weights(folder, shapes, _tensors(slots, dtype, seed), dtype, stem)


def _tensors(slots: dict[str, Tensor], dtype: Dtype, seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    for key, slot in slots.items():
        yield _scaled(key, torch.randn(slot.shape, generator=generator, dtype=getattr(torch, dtype)))


def _scaled(key: str, noise: Tensor) -> Tensor:
    """Give standard normal *noise* the size that the parameter *key* has in a signal-preserving model."""
    name = key.rsplit(".", 1)[-1]
    if name in ("weight", "weight_v") and noise.ndim > 1:
        fan_in = noise.shape[0] if "proj_out_conv" in key else math.prod(noise.shape[1:])
        return noise.mul_(1 / math.sqrt(fan_in))
    if name == "weight":
        return noise.mul_(0.1).add_(1)
    if name == "weight_g":
        return noise.mul_(0.1).add_(0.7)
    return noise.mul_(0.1)
