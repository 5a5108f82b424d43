"""The synthesizer and the parts of diffusers' `AceStepPipeline` on the same work: a DiT step and a VAE decode."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from acestep.checkpoints.folders import component_folder
from acestep.constants import DEFAULT_DIT, LATENT_CHANNELS, LATENT_RATE, VAE_FOLDER
from acestep.dit.denoiser import Denoiser
from acestep.dit.model import load_model
from acestep.memory.device import free_bytes
from acestep.vae.decode import FREE_SHARE, decode
from acestep.vae.model import load_vae
from scripts.tracker.versus.alternation import Variant
from scripts.tracker.versus.diffusers_pipeline import open_pipeline
from scripts.tracker.versus.synthesizer_variants import PairedVariants

TIMESTEP = 0.5
"""Timestep of a DiT step, half way between noise (1) and data (0)."""


class SynthesizerSides:
    """The synthesizer and diffusers' pipeline, loaded from one checkpoints folder in float32 on the CPU.

    Attributes:
        pipeline: diffusers' side. Both sides share one transformer module, but each has its own VAE.
        layers: number of layers of the transformer; 0 without one.
    """

    def __init__(
        self,
        root: Path,
        *,
        seconds: Sequence[int],
        condition_tokens: int,
        parts: Collection[str],
        layers: int | None = None,
    ) -> None:
        """Load the models of *root*.

        Args:
            root: checkpoints folder.
            seconds: durations of audio in seconds; each gives one work.
            condition_tokens: number of tokens of the condition of a DiT step.
            parts: ``dit``, ``vae`` or both; the other part is not loaded.
            layers: number of layers to keep of the transformer; None keeps all.

        Raises:
            CheckpointError: a folder is missing, incomplete or damaged.
            ValueError: the transformer has fewer layers.
        """
        self._seconds, self._condition_tokens = seconds, condition_tokens
        self._model, self._vae = None, None
        vae, self.layers = None, 0
        if "dit" in parts:
            self._model = load_model(component_folder(root, DEFAULT_DIT), device="cpu", dtype=torch.float32)
            self.layers = _keep_layers(self._model.decoder, layers)
        if "vae" in parts:
            vae = component_folder(root, VAE_FOLDER)
            self._vae = load_vae(vae, device="cpu", dtype=torch.float32)
        self.pipeline = open_pipeline(self._model, vae)

    @torch.inference_mode()
    def variants(self, say: Callable[[str], None]) -> tuple[list[PairedVariants], list[Variant]]:
        """Return the paired variants, and what this package does once a generation.

        A check that the outputs of both sides agree also warms them up.

        Raises:
            DisagreementError: the outputs of the two sides differ.
        """
        pairs, once = [], []
        if self._model is not None:
            for seconds in self._seconds:
                say(f"warming up and comparing outputs: DiT step, {seconds} s")
                pair, preparation = self._dit_step(self._model.decoder, seconds)
                pairs.append(pair)
                once.append(preparation)
        if self._vae is not None:
            for seconds in self._seconds:
                say(f"warming up and comparing outputs: VAE decode, {seconds} s")
                pairs.append(self._vae_decode(self._vae.decoder, seconds))
        return pairs, once

    def _dit_step(self, decoder: Any, seconds: int) -> tuple[PairedVariants, Variant]:
        """Return a DiT step with a condition, and the construction of the denoiser for that condition."""
        latents, context = _noise(seconds, LATENT_CHANNELS), _noise(seconds, 2 * LATENT_CHANNELS)
        width = self.pipeline.transformer.condition_embedder.in_features
        condition = torch.randn(1, self._condition_tokens, width, generator=torch.Generator().manual_seed(0))
        times = torch.full((1,), TIMESTEP)
        denoiser = Denoiser(decoder, condition, context)

        def theirs() -> Tensor:
            velocities: Tensor = self.pipeline.transformer(
                hidden_states=latents,
                timestep=times,
                timestep_r=times,
                encoder_hidden_states=condition,
                context_latents=context,
                return_dict=False,
            )[0]
            return velocities

        pair = PairedVariants.of(f"DiT step, {seconds} s", lambda: denoiser(latents, times), theirs)
        return pair, Variant(f"DiT denoiser, {seconds} s", lambda: Denoiser(decoder, condition, context))

    def _vae_decode(self, decoder: Any, seconds: int) -> PairedVariants:
        """Return a decode to the waveform; diffusers decodes in tiles only if the whole decode does not fit memory."""
        latents = _noise(seconds, LATENT_CHANNELS)
        vae = self.pipeline.vae
        tiled = _whole_bytes(vae, seconds) > FREE_SHARE * free_bytes("cpu")

        def theirs() -> Tensor:
            vae.use_tiling = tiled
            waveforms: Tensor = vae.decode(latents.transpose(1, 2)).sample
            return waveforms

        work = f"VAE decode, {seconds} s{', theirs in tiles' if tiled else ''}"
        return PairedVariants.of(work, lambda: decode(decoder, latents)[0], theirs)


def _whole_bytes(vae: Any, seconds: int) -> int:
    """Return the bytes that diffusers needs to decode without tiles: four copies of the widest activation."""
    samples = seconds * int(vae.config.sampling_rate)
    return 4 * samples * int(vae.config.decoder_channels) * torch.float32.itemsize


def _noise(seconds: int, channels: int) -> Tensor:
    """Return seeded noise ``(1, frames, channels)`` at 25 latent frames a second."""
    return torch.randn(1, seconds * LATENT_RATE, channels, generator=torch.Generator().manual_seed(channels))


def _keep_layers(transformer: Any, layers: int | None) -> int:
    """Remove all but the first *layers* layers of *transformer*, or none; return the number of layers kept."""
    available = len(transformer.layers)
    if layers is not None:
        if layers > available:
            raise ValueError(f"layers is {layers}, but the transformer has {available}: ask for 1 to {available}.")
        transformer.layers = transformer.layers[:layers]
    return len(transformer.layers)
