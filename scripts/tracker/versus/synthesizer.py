"""Our synthesizer against the parts of diffusers' `AceStepPipeline`: a step of the transformer, a decode of the VAE."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from acestep.checkpoints.folders import component_folder
from acestep.constants import DEFAULT_DIT, LATENT_CHANNELS, LATENT_RATE, VAE_FOLDER
from acestep.dit.model import load_model
from acestep.memory.device import free_bytes
from acestep.synthesizer import Synthesizer
from acestep.vae.decode import FREE_SHARE
from acestep.vae.model import load_vae
from scripts.tracker.versus.pipeline import open_pipeline
from scripts.tracker.versus.sides import Line, Side

TIME = 0.5
"""Flow time of a step: half way between noise and data."""


class SynthesizerRace:
    """Both sides loaded from one folder of checkpoints, in float32 on the processor, and the work that they are given.

    Attributes:
        pipeline: diffusers' side. The transformer is one module for both sides; the VAE is loaded for each.
        layers: of the transformer; 0 without one.
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
            root: holds the folders of the checkpoints.
            seconds: of audio, one work for each.
            condition_tokens: of a step's condition.
            parts: ``dit``, ``vae`` or both: what is raced; the other is not loaded.
            layers: leave the transformer its first ones alone.

        Raises:
            CheckpointError: a folder is missing, incomplete or damaged.
            ValueError: the transformer has fewer layers.
        """
        self._seconds, self._condition_tokens = seconds, condition_tokens
        self._ours = Synthesizer()
        vae, self.layers = None, 0
        if "dit" in parts:
            model = load_model(component_folder(root, DEFAULT_DIT), device="cpu", dtype=torch.float32)
            self._ours.model, self.layers = model, _cut(model.decoder, layers)
        if "vae" in parts:
            vae = component_folder(root, VAE_FOLDER)
            self._ours.vae = load_vae(vae, device="cpu", dtype=torch.float32)
        self.pipeline = open_pipeline(self._ours.model, vae)

    @torch.inference_mode()
    def lines(self, say: Callable[[str], None]) -> tuple[list[Line], list[Side]]:
        """What both sides do, after checking (and so warming up) that they agree; and what ours does once a generation.

        Raises:
            DisagreementError: the outputs of the two sides differ.
        """
        lines, once = [], []
        if self._ours.model is not None:
            for seconds in self._seconds:
                say(f"warming up and comparing outputs: DiT step, {seconds} s")
                line, made = self._dit_step(seconds)
                lines.append(line)
                once.append(made)
        if self._ours.vae is not None:
            for seconds in self._seconds:
                say(f"warming up and comparing outputs: VAE decode, {seconds} s")
                lines.append(self._vae_decode(seconds))
        return lines, once

    def _dit_step(self, seconds: int) -> tuple[Line, Side]:
        """A step under a condition, and making the denoiser of that condition."""
        latents, context = _noise(seconds, LATENT_CHANNELS), _noise(seconds, 2 * LATENT_CHANNELS)
        width = self.pipeline.transformer.condition_embedder.in_features
        condition = torch.randn(1, self._condition_tokens, width, generator=torch.Generator().manual_seed(0))
        times = torch.full((1,), TIME)
        denoiser = self._ours.denoiser(condition, context)

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

        line = Line.of(f"DiT step, {seconds} s", lambda: denoiser(latents, times), theirs)
        return line, Side(f"DiT denoiser, {seconds} s", lambda: self._ours.denoiser(condition, context))

    def _vae_decode(self, seconds: int) -> Line:
        """A decode as far as the waveform in float32 on the processor; a pipeline's VAE has no tiles unless it must."""
        latents = _noise(seconds, LATENT_CHANNELS)
        vae = self.pipeline.vae
        tiled = _whole_bytes(vae, seconds) > FREE_SHARE * free_bytes("cpu")

        def theirs() -> Tensor:
            vae.use_tiling = tiled
            waveforms: Tensor = vae.decode(latents.transpose(1, 2)).sample
            return waveforms

        work = f"VAE decode, {seconds} s{', theirs in tiles' if tiled else ''}"
        return Line.of(work, lambda: self._ours.decode_latents(latents), theirs)


def _whole_bytes(vae: Any, seconds: int) -> int:
    """What diffusers needs to decode without tiles: four of the widest activations at once."""
    samples = seconds * int(vae.config.sampling_rate)
    return 4 * samples * int(vae.config.decoder_channels) * torch.float32.itemsize


def _noise(seconds: int, channels: int) -> Tensor:
    """Seeded noise ``[1, T, channels]``, 25 frames a second."""
    return torch.randn(1, seconds * LATENT_RATE, channels, generator=torch.Generator().manual_seed(channels))


def _cut(transformer: Any, layers: int | None) -> int:
    """Leave *transformer* its first *layers*, or all of them; returns their number."""
    have = len(transformer.layers)
    if layers is not None:
        if layers > have:
            raise ValueError(f"layers is {layers}, but the transformer has {have}: ask for 1 to {have}.")
        transformer.layers = transformer.layers[:layers]
    return len(transformer.layers)
