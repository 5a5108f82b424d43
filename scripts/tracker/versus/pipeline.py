"""The synthesizer's work as a user of diffusers would have it done: by the parts of an `AceStepPipeline`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from diffusers import AceStepPipeline, AutoencoderOobleck, FlowMatchEulerDiscreteScheduler

from acestep.dit.model import AceStepModel


def open_pipeline(model: AceStepModel | None, vae_folder: Path | None) -> Any:
    """A pipeline without text encoder, in float32 on the processor.

    Args:
        model: holds the transformer, diffusers' own module; without it the pipeline has none.
        vae_folder: diffusers loads the VAE from there, with its weight norm; without it the pipeline has none.
    """
    vae = None
    if vae_folder is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # diffusers builds it with the old weight_norm
            vae = AutoencoderOobleck.from_pretrained(vae_folder, torch_dtype=torch.float32)
    return AceStepPipeline(
        vae=vae,
        text_encoder=None,
        tokenizer=None,
        transformer=model and model.decoder,
        condition_encoder=model and model.encoder,
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
    )
