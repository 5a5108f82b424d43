"""The synthesizer's stages, each a method that can be called, and timed, alone.

In order: `Synthesizer.encode_text`, `encode_audio`, `encode_condition`, `decode_codes`, `coarse_latents`,
`context_latents`, `diffuse`, `decode_latents`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_oobleck import OobleckDiagonalGaussianDistribution
from torch import Tensor

from acestep.audio.levels import is_silent
from acestep.constants import HOP_SAMPLES, LATENT_CHANNELS, TIMBRE_FRAMES
from acestep.dit.block_ops import Attention
from acestep.dit.denoiser import Denoiser
from acestep.loaded_models import LoadedModels, load_models
from acestep.memory.limit import outside_limit
from acestep.runtime.finite_outputs import NonFiniteOutputError, is_finite
from acestep.runtime.load_options import LoadOptions
from acestep.runtime.offload import OffloadManager
from acestep.sampling.dcw import DCW
from acestep.sampling.flow_edit import FlowEditSettings, edit_latents
from acestep.sampling.inputs import DEFAULT_INPUTS, SamplerInputs
from acestep.sampling.noise import NoiseStreams, mix_noise, seeded_noise
from acestep.sampling.sample import NetworkSwitch, sample
from acestep.sampling.solver import EULER, SolverSettings, VelocityModel
from acestep.text.encoder import TextStates, encode_text
from acestep.timing.clock import Clock
from acestep.vae.decode import DecodeReport, OnFallback, decode
from acestep.vae.oobleck import encoder_stacks
from acestep.vae.tiling import input_range, run_tiled

NOT_LOADED = "Model not fully initialized"
ENCODE_FRAMES = 750
"""Latent frames of a tile when a waveform is encoded; tiles overlap by the receptive field and join exactly."""
ENCODE_SEED = 0x5EED
"""Seed of the noise in encoded audio, so that the latents of a waveform are always the same."""


def _of_loaded(name: str, doc: str) -> Any:
    """A property of `Synthesizer` that reads the attribute *name* of the loaded models; None if there are none."""
    return property(lambda self: None if self.loaded is None else getattr(self.loaded, name), doc=doc)


class Synthesizer:
    """Turns prompts and audio codes into waveforms.

    Attributes:
        loaded: the loaded models; None before `load` and after `clear`.
        decoding: how the last waveforms were decoded; None before the first time.
    """

    def __init__(self, loaded: LoadedModels | None = None) -> None:
        self.loaded = loaded
        self.decoding: DecodeReport | None = None

    def load(self, model_folder: Path, vae_folder: Path, text_folder: Path, options: LoadOptions) -> None:
        """Load every model and apply *options*; see `load_models` for the errors."""
        self.loaded = load_models(model_folder, vae_folder, text_folder, options)

    def clear(self) -> None:
        """Drop every model."""
        self.loaded = None
        self.decoding = None

    @property
    def models(self) -> LoadedModels:
        """The loaded models.

        Raises:
            RuntimeError: no models are loaded.
        """
        if self.loaded is None:
            raise RuntimeError(NOT_LOADED)
        return self.loaded

    model = _of_loaded("model", "The `AceStepModel`; None before loading.")
    vae = _of_loaded("vae", "The Oobleck autoencoder; None before loading.")
    text_encoder = _of_loaded("text_encoder", "The Qwen3 text encoder; None before loading.")
    text_tokenizer = _of_loaded("text_tokenizer", "The tokenizer of the text encoder; None before loading.")
    config = _of_loaded("config", "The configuration of the checkpoint; None before loading.")
    variant = _of_loaded("variant", "The variant of the checkpoint; None before loading.")
    silence_latent = _of_loaded("silence_latent", "Latents of silence ``[1, T, 64]``; None before loading.")
    options = _of_loaded("options", "The load options; None before loading.")
    quantized = _of_loaded("quantized", "What quantization did; None if it was not asked for.")
    compiled = _of_loaded("compiled", "Compiles regions and counts their calls; None if it was not asked for.")

    @property
    def device(self) -> str:
        """The device that the models run on; ``cpu`` before loading."""
        return self.loaded.device if self.loaded else "cpu"

    @property
    def dtype(self) -> torch.dtype:
        """The number format that the models compute in; float32 before loading."""
        return self.loaded.dtype if self.loaded else torch.float32

    @property
    def offload_manager(self) -> OffloadManager:
        """Moves the offloaded parts to the device, and counts what that costs; has no parts before loading."""
        return self.loaded.offload_manager if self.loaded else OffloadManager({}, "cpu", ())

    def parts(self) -> dict[str, list[Any]]:
        """The modules that are offloaded together, by the name of the part."""
        return dict(self.models.parts)

    def in_effect(self) -> dict[str, Any]:
        """What the load options have led to; compiled graphs, calls and quantized layers are counted."""
        return self.models.in_effect()

    @torch.inference_mode()
    def encode_text(
        self, captions: Sequence[str], lyrics: Sequence[str], caption_tokens: int | None = None
    ) -> TextStates:
        """Tokenize and encode caption and lyric prompts (see `acestep.text.prompts`), one of each an item.

        If *caption_tokens* is given, caption prompts are padded or cut to that length.
        """
        models = self.models
        with models.offload_manager.on_device("text_encoder"):
            return encode_text(
                models.text_encoder,
                models.text_tokenizer,
                captions,
                lyrics,
                device=models.device,
                caption_tokens=caption_tokens,
            )

    @torch.inference_mode()
    def encode_audio(self, waveform: Tensor) -> Tensor:
        """Latents ``[samples // 1920, 64]`` of *waveform* ``[2, samples]``.

        They are drawn from the posterior of the VAE with a fixed seed. Silence is not encoded: its latents are the
        checkpoint's `silence_latent`.
        """
        models = self.models
        samples = waveform.shape[-1]
        frames = samples // HOP_SAMPLES
        with outside_limit():
            silent = is_silent(waveform)
        if silent:
            return models.silence(frames)[0]
        with models.offload_manager.on_device("vae_encoder"):
            stacks, parts = encoder_stacks(models.vae.encoder, models.activation), []
            for start in range(0, frames, ENCODE_FRAMES):
                output = (start, min(start + ENCODE_FRAMES, frames))
                part = waveform[:, slice(*input_range(stacks, output, samples))].unsqueeze(0)
                parts.append(run_tiled(stacks, part.to(models.device, models.dtype), output, samples))
        posterior = OobleckDiagonalGaussianDistribution(torch.cat(parts, -1))
        latents = posterior.sample(torch.Generator(models.device).manual_seed(ENCODE_SEED))
        encoded: Tensor = latents[0].T.contiguous()
        return encoded

    @torch.inference_mode()
    def encode_condition(
        self, text: TextStates, references: Tensor | None = None, owners: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Condition sequence ``[B, S, H]`` and its mask ``[B, S]``.

        Args:
            text: encoded prompts of the batch.
            references: latents ``[N, R, 64]`` of the timbre references; None is silence for every item.
            owners: the item of each reference, int64 ``[N]``; every item has at least one.
        """
        models = self.models
        if references is None:
            references = models.silence(TIMBRE_FRAMES).expand(len(text.text), -1, -1)
            owners = torch.arange(len(text.text), device=models.device)
        with models.offload_manager.on_device("condition"):
            return models.model.encoder(  # type: ignore[no-any-return]
                text.text, text.text_mask, text.lyrics, text.lyrics_mask, references, owners
            )

    @torch.inference_mode()
    def coarse_latents(self, latents: Tensor) -> Tensor:
        """What 5 Hz audio codes keep of *latents* ``[B, T, 64]``: they are tokenized and detokenized, for a cover."""
        models = self.models
        with models.offload_manager.on_device("condition"):
            quantized, _ = models.model.tokenizer.tokenize(latents, models.silence_latent)
            return models.model.detokenizer(quantized)[:, : latents.shape[1]]  # type: ignore[no-any-return]

    @torch.inference_mode()
    def encode_codes(self, latents: Tensor) -> list[int]:
        """The 5 Hz audio codes of *latents* ``[T, 64]``, which are padded with silence to whole codes.

        Raises:
            NonFiniteOutputError: the weights hold NaN or infinite numbers.
        """
        models = self.models
        with models.offload_manager.on_device("condition"):
            quantized, indices = models.model.tokenizer.tokenize(latents.unsqueeze(0), models.silence_latent)
        if not is_finite(quantized):
            raise NonFiniteOutputError("The audio tokenizer")
        return indices.flatten().tolist()  # type: ignore[no-any-return]

    @torch.inference_mode()
    def decode_codes(self, codes: Sequence[Sequence[int]]) -> list[Tensor]:
        """Latents ``[5n, 64]`` of each list of n audio codes (0..63999); lists of equal length run as a batch."""
        models = self.models
        empty = torch.empty(0, LATENT_CHANNELS, device=models.device, dtype=models.dtype)
        by_item = dict.fromkeys(range(len(codes)), empty)
        lengths = {len(item) for item in codes} - {0}
        with models.offload_manager.on_device(*(["condition"] if lengths else [])):
            for length in lengths:
                items = [index for index, item in enumerate(codes) if len(item) == length]
                indices = torch.tensor([codes[index] for index in items], device=models.device)
                quantized = models.model.tokenizer.quantizer.get_output_from_indices(indices.unsqueeze(-1))
                by_item.update(zip(items, models.model.detokenizer(quantized.to(models.dtype)), strict=True))
        return list(by_item.values())

    def filled_latents(self, sources: Sequence[Tensor], frames: int) -> Tensor:
        """Source latents ``[n, 64]`` of each item, cut or padded with silence to ``[B, frames, 64]``."""
        silence = self.models.silence(frames)[0]
        return torch.stack([torch.cat([item[:frames], silence[: max(0, frames - len(item))]]) for item in sources])

    def context_latents(self, sources: Sequence[Tensor], frames: int, mask: Tensor | None = None) -> Tensor:
        """Context latents ``[B, frames, 128]``: `filled_latents`, and 64 channels that are 1 inside *mask*, else 0.

        *mask* is bool ``[frames]``; None is true everywhere.
        """
        latents = self.filled_latents(sources, frames)
        mask_channels = torch.ones_like(latents)
        if mask is not None:
            mask_channels *= mask.to(mask_channels).unsqueeze(-1)
        return torch.cat([latents, mask_channels], dim=-1)

    @torch.inference_mode()
    def diffuse(
        self,
        condition: Tensor,
        context: Tensor,
        seeds: Sequence[int],
        schedule: Sequence[float],
        correction: DCW | None = None,
        clock: Clock | None = None,
        on_step: Callable[[int, int], None] | None = None,
        sampler: SolverSettings = EULER,
        variation: SamplerInputs = DEFAULT_INPUTS,
    ) -> Tensor:
        """Sample latents ``[B, T, 64]``.

        All random numbers follow from *seeds*, also those of the method ``sde``, which the reference draws from the
        global generator.

        Args:
            condition: condition sequences ``[B, S, H]``.
            context: context latents ``[B, T, 128]``.
            seeds: the seed of each item.
            schedule: flow times, see `ModelVariant.schedule`.
            correction: the DCW correction of each step, or None.
            clock: gets a visit of the stage ``dit_step`` for each step, and counts ``dit_calls`` (of the network) and
                ``dit_rows`` (of their batches).
            on_step: called after each step with its number, from 1 on, and the number of steps.
            sampler: the solver and the guidance.
            variation: the inputs of retakes, covers and repaint.

        Raises:
            ValueError: guidance was asked for, and the model has it distilled into its weights.
        """
        models = self.models
        self._check_guidance(sampler)
        clock = clock or Clock(models.device)
        frames, channels = context.shape[1], context.shape[2] // 2
        streams = NoiseStreams(seeds, device=models.device, dtype=models.dtype)
        noise = streams.draw(frames, channels)
        if variation.retake_variance > 0:
            other = seeded_noise(variation.retake_seeds, frames, channels, device=models.device, dtype=models.dtype)
            noise = mix_noise(noise, other, variation.retake_variance)
        start, schedule = variation.start(noise, schedule)
        with models.offload_manager.on_device("decoder"):
            switch = None
            if variation.plain is not None:
                step = int(len(schedule) * variation.cover_strength)
                switch = NetworkSwitch(step, self._network(*variation.plain, sampler, clock))
            return sample(
                self._network(condition, context, sampler, clock),
                noise,
                schedule,
                correction=correction,
                clock=clock,
                on_step=on_step,
                sampler=sampler,
                turbo=models.variant.turbo,
                start=start,
                switch=switch,
                repaint=variation.repaint,
                draw=streams.like,
            )

    @torch.inference_mode()
    def edit(
        self,
        conditions: tuple[Tensor, Tensor],
        context: Tensor,
        source: Tensor,
        seeds: Sequence[int],
        schedule: Sequence[float],
        edit: FlowEditSettings,
        clock: Clock | None = None,
        on_step: Callable[[int, int], None] | None = None,
        sampler: SolverSettings = EULER,
    ) -> Tensor:
        """FlowEditSettings latents ``[B, T, 64]`` from one description to another (FlowEdit).

        Args:
            conditions: condition sequences ``[B, S, H]`` of the source's and of the target's description.
            context: context latents ``[B, T, 128]`` of both.
            source: the latents ``[B, T, 64]`` to edit.
            seeds: the seed of each item.
            schedule: flow times of `base_schedule`, for every variant.
            edit: which of the steps edit, and with how many draws of noise.
            clock, on_step: as for `diffuse`.
            sampler: guidance, limit and smoothing of the velocities.

        Raises:
            ValueError: guidance was asked for, and the model has it distilled into its weights.
        """
        models = self.models
        self._check_guidance(sampler)
        clock = clock or Clock(models.device)
        draw = NoiseStreams(seeds, device=models.device, dtype=models.dtype).like
        with models.offload_manager.on_device("decoder"):
            before, after = (self._network(condition, context, sampler, clock) for condition in conditions)
            networks = before, after
            return edit_latents(
                networks, source, schedule, edit, clock=clock, sampler=sampler, draw=draw, on_step=on_step
            )

    def _check_guidance(self, sampler: SolverSettings) -> None:
        variant = self.models.variant
        if sampler.guidance and not variant.guided:
            raise ValueError(f"A {variant.name} model cannot be guided; leave guidance out.")

    @torch.inference_mode()
    def denoiser(self, condition: Tensor, context: Tensor, *, guided: bool = False) -> Denoiser:
        """The diffusion transformer with *condition* ``[B, S, H]`` and *context* ``[B, T, 128]``.

        With *guided* it takes doubled batches, whose second half is computed without the condition. An offloaded
        transformer must be kept on the device by the caller as long as the denoiser is called.
        """
        models = self.models
        return Denoiser(
            models.model.decoder,
            condition,
            context,
            models.model.encoder.null_condition_emb.to(models.device) if guided else None,
            Attention(models.options.attention),
            models.layer_class,
        )

    def _network(self, condition: Tensor, context: Tensor, sampler: SolverSettings, clock: Clock) -> VelocityModel:
        """A `denoiser` whose calls are counted by *clock*."""
        denoise = self.denoiser(condition, context, guided=sampler.guidance is not None)

        def velocity(latents: Tensor, times: Tensor) -> Tensor:
            clock.counts.update(dit_calls=1, dit_rows=len(latents))
            return denoise(latents, times)

        return velocity

    def decode_latents(
        self, latents: Tensor, tiled: bool = True, window_frames: int | None = None, announce: OnFallback | None = None
    ) -> Tensor:
        """Waveforms as `decode` returns them; `decoding` tells how they were decoded."""
        return self.decode(latents, tiled, window_frames, announce)[0]

    @torch.inference_mode()
    def decode(
        self, latents: Tensor, tiled: bool = True, window_frames: int | None = None, announce: OnFallback | None = None
    ) -> tuple[Tensor, DecodeReport]:
        """Waveforms, fp32 ``[B, 2, 1920·T]`` on the CPU, of latents ``[B, T, 64]``, and how they were decoded.

        Args:
            latents: what `diffuse` returns.
            tiled: decode in tiles if decoding the whole does not fit into memory; without it, the whole must fit.
            window_frames: always decode in tiles of this many latent frames.
            announce: called with a sentence when one decode strategy is given up for the next.

        Raises:
            OutOfMemoryError: no decode strategy fits.
        """
        models = self.models
        with models.offload_manager.on_device("vae_decoder"):
            waveforms, self.decoding = decode(
                models.vae.decoder,
                latents,
                activate=models.activation,
                tiled=tiled,
                tile_frames=window_frames,
                on_fallback=announce,
            )
        return waveforms, self.decoding
