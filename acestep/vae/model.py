"""Loading the Oobleck VAE of a checkpoint."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from diffusers import AutoencoderOobleck
from torch import nn
from torch.nn.utils import remove_weight_norm

from acestep.checkpoints.config_schemas import check_vae_config
from acestep.checkpoints.errors import CheckpointError
from acestep.checkpoints.files import read_config, read_shapes, read_tensors
from acestep.checkpoints.load import build_on_meta, load_tensors
from acestep.vae.oobleck import store_for_upsampling


def load_vae(folder: Path, *, device: str, dtype: torch.dtype) -> AutoencoderOobleck:
    """Load the Oobleck VAE of *folder*, its weight norms folded into plain weights.

    Raises:
        CheckpointError: the folder is incomplete or damaged.
    """
    config = {key: value for key, value in read_config(folder).items() if not key.startswith("_")}
    check_vae_config(config, read_shapes(folder), folder / "config.json")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the stored keys are those of the old weight_norm
            vae: AutoencoderOobleck = build_on_meta(lambda: AutoencoderOobleck(**config))
    except TypeError as error:
        raise CheckpointError(f"{folder}/config.json is not an AutoencoderOobleck configuration: {error}.") from error
    load_tensors(vae, read_tensors(folder), folder, device=device, dtype=dtype)
    for module in vae.modules():
        if hasattr(module, "weight_g"):
            remove_weight_norm(module)
        if isinstance(module, nn.ConvTranspose1d):
            store_for_upsampling(module)
    vae.requires_grad_(False)
    return vae
