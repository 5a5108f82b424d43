"""Tiny models whose weights, and inputs whose values, follow from their names: nothing has to be stored."""

from __future__ import annotations

import json
import math
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderOobleck
from safetensors.torch import save_file
from torch import Tensor, nn

from acestep.checkpoints.key_map import original_key
from acestep.checkpoints.load import build_on_meta
from acestep.checkpoints.variants import ModelVariant
from acestep.dit.model import AceStepModel

CONFIG: dict[str, Any] = {
    "model_type": "acestep",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "text_hidden_dim": 24,
    "num_lyric_encoder_hidden_layers": 3,
    "num_timbre_encoder_hidden_layers": 2,
    "num_attention_pooler_hidden_layers": 2,
    "audio_acoustic_hidden_dim": 8,
    "in_channels": 24,
    "timbre_hidden_dim": 8,
    "fsq_dim": 32,
    "sliding_window": 4,
}
XL = {
    "hidden_size": 40,
    "intermediate_size": 56,
    "encoder_hidden_size": 32,
    "encoder_intermediate_size": 48,
    "encoder_num_attention_heads": 2,
    "encoder_num_key_value_heads": 1,
}
VAE = {
    "encoder_hidden_size": 16,
    "downsampling_ratios": [2, 4, 4, 6, 10],
    "channel_multiples": [1, 1, 2, 2, 2],
    "decoder_channels": 8,
    "decoder_input_channels": 8,
    "audio_channels": 2,
    "sampling_rate": 48_000,
}
SHAPES = {
    "text": (2, 7, 24),
    "lyric": (2, 9, 24),
    "refer": (3, 12, 8),
    "src": (2, 23, 8),
    "silence": (1, 40, 8),
    "xt": (2, 23, 8),
    "clean": (2, 23, 8),
    "nctext": (2, 6, 24),
    "hints": (2, 30, 8),
    "ttext": (2, 7, 24),
    "tlyric": (2, 9, 24),
    "x0": (2, 23, 8),
    "lx": (2, 6, 4),
    "pc": (2, 6, 4),
    "pu": (2, 6, 4),
    "dx": (1, 7, 3),
    "dy": (1, 7, 3),
    "z": (1, 8, 40),
    "wav": (1, 2, 23_040),
}


def uniform(name: str, shape: tuple[int, ...] | torch.Size) -> Tensor:
    """Numbers in [-0.5, 0.5), fp64, that look random and follow from *name*."""
    h = np.arange(math.prod(shape), dtype=np.uint64) * np.uint64(2_654_435_761) + np.uint64(zlib.crc32(name.encode()))
    h &= np.uint64(0xFFFF_FFFF)
    for _ in range(2):
        h = ((h ^ (h >> np.uint64(16))) * np.uint64(0x45D9F3B)) & np.uint64(0xFFFF_FFFF)
    h ^= h >> np.uint64(16)
    return torch.from_numpy(h.astype(np.float64) / 2**32 - 0.5).view(shape)


def given(name: str) -> Tensor:
    """The input *name*."""
    return (math.sqrt(12) * uniform(f"input:{name}", SHAPES[name])).float()


def valid(lengths: tuple[int, int], width: int) -> Tensor:
    """A mask bool ``[2, width]`` that is true for the first *lengths*."""
    return torch.arange(width) < torch.tensor(lengths).unsqueeze(1)


def write_model(folder: Path, variant: ModelVariant) -> None:
    """A checkpoint folder of *variant* in the original layout."""
    config = CONFIG | (XL if variant.xl else {}) | {"is_turbo": variant.turbo}
    slots = build_on_meta(lambda: AceStepModel(config, variant)).state_dict()
    tensors = {original_key(key): slot for key, slot in slots.items()}
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(
        {key: _model_weight(key, slot).contiguous() for key, slot in tensors.items()}, folder / "model.safetensors"
    )
    torch.save(given("silence").transpose(1, 2).contiguous(), folder / "silence_latent.pt")


def _model_weight(key: str, slot: Tensor) -> Tensor:
    u = uniform(key, slot.shape)
    if key.endswith(".bias"):
        return (0.2 * u).float()
    if not key.endswith(".weight"):
        return (2 * u).float()
    if slot.ndim == 1:
        return (1 + 0.2 * u).float()
    fan_in = slot.shape[0] if key == "decoder.proj_out.1.weight" else math.prod(slot.shape[1:])
    return (u * math.sqrt(12 / fan_in)).float()


def write_vae(folder: Path) -> None:
    """A checkpoint folder of a VAE."""

    def build() -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            vae: nn.Module = AutoencoderOobleck(**VAE)
            return vae

    slots = build_on_meta(build).state_dict()
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"_class_name": "AutoencoderOobleck", **VAE}))
    save_file(
        {key: _vae_weight(key, slot) for key, slot in slots.items()}, folder / "diffusion_pytorch_model.safetensors"
    )


def _vae_weight(key: str, slot: Tensor) -> Tensor:
    u = uniform(key, slot.shape)
    scaled = {"weight_g": 0.75 * (1 + 0.4 * u), "alpha": u, "beta": u, "bias": 0.1 * u, "weight_v": 2 * u}
    return scaled[key.rsplit(".", 1)[-1]].float()
