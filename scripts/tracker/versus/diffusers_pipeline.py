"""The parts of a diffusers `AceStepPipeline` that do the synthesizer's work."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from diffusers import AceStepPipeline, AutoencoderOobleck, FlowMatchEulerDiscreteScheduler

from acestep.dit.model import AceStepModel


def open_pipeline(model: AceStepModel | None, vae_folder: Path | None) -> Any:
    """Return a pipeline without text encoder, in float32 on the CPU.

    Args:
        model: provides the transformer, which is diffusers' own module; if None, the pipeline has no transformer.
        vae_folder: folder from which diffusers loads the VAE, with its weight norm; if None, the pipeline has no VAE.
    """
    vae = None
    if vae_folder is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # diffusers still uses the deprecated weight_norm
            vae = AutoencoderOobleck.from_pretrained(vae_folder, torch_dtype=torch.float32)
    return AceStepPipeline(
        vae=vae,
        text_encoder=None,
        tokenizer=None,
        transformer=model and model.decoder,
        condition_encoder=model and model.encoder,
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
    )
