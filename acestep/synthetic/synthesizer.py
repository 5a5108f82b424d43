"""Synthetic synthesizer checkpoints: diffusion model, VAE and text encoder with seeded weights, original layout."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from acestep.checkpoints.key_map import original_key
from acestep.checkpoints.variants import TURBO, XL_SHAPES, ModelVariant
from acestep.constants import LATENT_CHANNELS, SAMPLE_RATE
from acestep.dit.model import CONFIG_DEFAULTS, AceStepModel
from acestep.synthetic.checkpoint import SyntheticCheckpoint
from acestep.synthetic.tokenizer import Scale, build_text_tokenizer, save_tokenizer
from acestep.synthetic.weights import Dtype

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


def contents_digest(scale: Scale, variants: Iterable[ModelVariant]) -> str:
    """A digest of all that is stored besides random numbers and planners: configurations, keys, shapes, tokenizer."""
    tokenizer = build_text_tokenizer(scale)
    checkpoints = [*(dit_checkpoint(scale, variant) for variant in variants), vae_checkpoint(scale)]
    checkpoints.append(text_encoder_checkpoint(scale, tokenizer.get_vocab_size()))
    stored = [(one.config, one.dtype, one.stem, one.shapes(one.slots())) for one in checkpoints]
    return hashlib.sha256(json.dumps([stored, tokenizer.to_str()]).encode()).hexdigest()


def write_model(
    folder: Path, scale: Scale, seed: int = 0, variant: ModelVariant = TURBO, *, layers: int | None = None
) -> None:
    """Write a diffusion model of *variant*: ``config.json``, weights (in shards where large), ``silence_latent.pt``.

    Weights are normal with variance 1 / fan-in and norms near 1, so that every layer keeps its signal's size; the
    stored number format is fp32 (tiny, and XL as released) or bf16 (full). The same *seed* gives the same bytes.

    Args:
        folder: is made if it is not there.
        scale: ``tiny`` or ``full``.
        seed: of the weights.
        variant: what kind of model.
        layers: of the transformer, no more than a model of *scale* has; None is as many.

    Raises:
        ValueError: there are no so many *layers*.
    """
    dit_checkpoint(scale, variant, layers).write(folder, seed)
    silence = torch.randn(1, LATENT_CHANNELS, 1, generator=torch.Generator().manual_seed(seed))
    torch.save(silence.expand(-1, -1, SILENCE_FRAMES[scale]).contiguous(), folder / "silence_latent.pt")


def dit_checkpoint(scale: Scale, variant: ModelVariant, layers: int | None = None) -> SyntheticCheckpoint:
    """A diffusion model of *variant*; see `write_model`."""
    dtype: Dtype = "float32" if variant.xl else DTYPES[scale]
    shapes = dit_config_sizes(scale, variant)
    if layers is not None:
        if not 1 <= layers <= shapes["num_hidden_layers"]:
            raise ValueError(f"layers is {layers}, expected 1 to {shapes['num_hidden_layers']}.")
        shapes["num_hidden_layers"] = layers
    config = {
        "architectures": ["AceStepConditionGenerationModel"],
        "model_type": "acestep",
        "is_turbo": variant.turbo,
        "model_version": variant.kind,
        "timbre_fix_frame": 750,
        "vocab_size": 64_003,
        "dtype": dtype,
        **shapes,
    }
    return SyntheticCheckpoint(config, lambda: AceStepModel(config, variant), dtype, rename=original_key)


def dit_config_sizes(scale: Scale, variant: ModelVariant) -> dict[str, Any]:
    """What the configuration says about sizes: the released ones (full) or small ones of the same kind (tiny)."""
    tiny = TINY_MODEL | (TINY_XL if variant.xl else {})
    full = XL_SHAPES if variant.xl else {}
    return CONFIG_DEFAULTS | (tiny if scale == "tiny" else full)


def vae_config_sizes(scale: Scale) -> dict[str, Any]:
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
    """The VAE of `vae_config_sizes`, with weight norms as checkpoints have them."""
    from diffusers import AutoencoderOobleck

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the stored keys are those of the old weight_norm
        return AutoencoderOobleck(**vae_config_sizes(scale))  # type: ignore[no-any-return]


def vae_checkpoint(scale: Scale) -> SyntheticCheckpoint:
    """The VAE of `vae_config_sizes`."""
    config = {"_class_name": "AutoencoderOobleck", **vae_config_sizes(scale)}
    return SyntheticCheckpoint(config, lambda: build_vae(scale), DTYPES[scale], stem="diffusion_pytorch_model")


def write_vae(folder: Path, scale: Scale, seed: int = 0) -> None:
    """Write the VAE of `vae_config_sizes`; see `write_model` for the weights."""
    vae_checkpoint(scale).write(folder, seed)


def text_encoder_checkpoint(scale: Scale, vocabulary: int) -> SyntheticCheckpoint:
    """A Qwen3 text encoder whose tokenizer has *vocabulary* entries."""
    from transformers import Qwen3Config, Qwen3Model

    config = {
        "architectures": ["Qwen3Model"],
        "model_type": "qwen3",
        "vocab_size": vocabulary,
        "max_position_embeddings": 32_768,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "dtype": DTYPES[scale],
        "transformers_version": "4.57.6",
        **TEXT_CONFIGS[scale],
    }
    return SyntheticCheckpoint(config, lambda: Qwen3Model(Qwen3Config(**config)), DTYPES[scale])


def write_text_encoder(folder: Path, scale: Scale, seed: int = 0) -> None:
    """Write a Qwen3 text encoder with its tokenizer; see `write_model` for the weights."""
    tokenizer = build_text_tokenizer(scale)
    save_tokenizer(tokenizer, folder)
    text_encoder_checkpoint(scale, tokenizer.get_vocab_size()).write(folder, seed)
