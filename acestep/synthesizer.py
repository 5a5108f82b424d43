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
from acestep.checkpoints.dit_files import config_source
from acestep.checkpoints.errors import CheckpointError
from acestep.checkpoints.variants import ModelVariant
from acestep.constants import HOP_SAMPLES, LATENT_CHANNELS, TIMBRE_FRAMES
from acestep.dit.block_ops import Attention, LayerOperations
from acestep.dit.denoiser import Denoiser
from acestep.dit.model import load_model
from acestep.memory.limit import outside_limit
from acestep.runtime.finite_outputs import NonFiniteOutputError, is_finite
from acestep.runtime.load_options import LoadOptions
from acestep.runtime.offload import OffloadManager
from acestep.runtime.quantization import QuantizationReport, quantize
from acestep.sampling.dcw import DCW
from acestep.sampling.flow_edit import FlowEditSettings, edit_latents
from acestep.sampling.inputs import DEFAULT_INPUTS, SamplerInputs
from acestep.sampling.noise import NoiseStreams, mix_noise, seeded_noise
from acestep.sampling.sample import NetworkSwitch, sample
from acestep.sampling.solver import EULER, SolverSettings, VelocityModel
from acestep.text.encoder import TextStates, encode_text, load_text_encoder
from acestep.timing.clock import Clock
from acestep.vae.decode import DecodeReport, OnFallback, decode
from acestep.vae.model import load_vae
from acestep.vae.oobleck import encoder_stacks, snake
from acestep.vae.tiling import input_range, run_tiled

ENCODE_FRAMES = 750
"""Latent frames that are made of a waveform together, from all the samples that they depend on."""
ENCODE_SEED = 0x5EED
"""Of the noise in encoded audio: latents of a file depend on nothing but the file."""


class Synthesizer:
    """The models that turn prompts and audio codes into waveforms; empty before `load`.

    Attributes:
        model: the `AceStepModel`, or None.
        vae: the Oobleck autoencoder, or None.
        text_encoder: the Qwen3 encoder, or None.
        text_tokenizer: its tokenizer, or None.
        config: the checkpoint's configuration, or None.
        variant: what kind of checkpoint it is, or None.
        silence_latent: latents of silence ``[1, T, 64]``, or None.
        device: where the models run.
        dtype: the number format they compute in.
        options: how they run, or None.
        offload_manager: where they are, and what moving them has cost.
        quantized: what quantization has done, or None.
        compiled: the compiled regions, or None if `compile_model` was not asked for.
        decoding: how the last waveforms were decoded, or None.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Drop every model."""
        self.model: Any = None
        self.vae: Any = None
        self.text_encoder: Any = None
        self.text_tokenizer: Any = None
        self.config: dict[str, Any] | None = None
        self.variant: ModelVariant | None = None
        self.silence_latent: Tensor | None = None
        self.device = "cpu"
        self.dtype = torch.float32
        self.options: LoadOptions | None = None
        self.offload_manager = OffloadManager({}, "cpu", ())
        self.quantized: QuantizationReport | None = None
        self.compiled: Any = None
        self.decoding: DecodeReport | None = None

    def load(self, model_folder: Path, vae_folder: Path, text_folder: Path, options: LoadOptions) -> None:
        """Load every model, and do to them what *options* ask for: quantize first, then compile.

        Raises:
            CheckpointError: a folder is incomplete or damaged.
            ValueError: an option cannot be honoured here.
        """
        dtype = options.dtype
        self.device, self.dtype, self.options = options.device, dtype, options
        self.model = load_model(model_folder, device=options.load_device("decoder"), dtype=dtype)
        self.config, self.variant = self.model.config, self.model.variant
        self.model.silence_latent = self.silence_latent = self.model.silence_latent.to(options.device)
        if options.quantization:
            self.quantized = quantize(self.model.decoder, options.quantization, options.device)
        self.vae = load_vae(vae_folder, device=options.load_device("vae_decoder"), dtype=dtype)
        encoder = load_text_encoder(text_folder, device=options.load_device("text_encoder"), dtype=dtype)
        self.text_encoder, self.text_tokenizer = encoder
        self._check_parts(config_source(model_folder), vae_folder / "config.json", text_folder / "config.json")
        self.offload_manager = OffloadManager(self.parts(), options.device, options.offloaded)
        if options.compile:
            from acestep.runtime.compilation import CompiledRegions

            self.compiled = CompiledRegions()
            self.compiled.check(options.device)

    def _check_parts(self, model_config: Path, vae_config: Path, text_config: Path) -> None:
        """See that the models fit together; the arguments are the files that say what they are.

        Raises:
            CheckpointError: they do not.
        """
        config, text = self.model.config, self.text_encoder.config
        for source, name, found, wanted in (
            (model_config, "audio_acoustic_hidden_dim", config["audio_acoustic_hidden_dim"], LATENT_CHANNELS),
            (vae_config, "decoder_input_channels", self.vae.config.decoder_input_channels, LATENT_CHANNELS),
            (text_config, "hidden_size", text.hidden_size, config["text_hidden_dim"]),
        ):
            if found != wanted:
                raise CheckpointError(
                    f"{source}: {name} is {found}, but the other models expect {wanted}. Use models of one release."
                )

    def parts(self) -> dict[str, list[Any]]:
        """The modules that come and go together, by the names that `offload_manager` knows them by."""
        return {
            "text_encoder": [self.text_encoder],
            "condition": [self.model.encoder, self.model.tokenizer, self.model.detokenizer],
            "decoder": [self.model.decoder],
            "vae_encoder": [self.vae.encoder],
            "vae_decoder": [self.vae.decoder],
        }

    @torch.inference_mode()
    def encode_text(
        self, captions: Sequence[str], lyrics: Sequence[str], caption_tokens: int | None = None
    ) -> TextStates:
        """Tokenize and encode caption and lyric prompts (`caption_prompt`, `lyric_prompt`), one an item.

        Caption prompts are padded or cut to *caption_tokens* where that is given.
        """
        with self.offload_manager.on_device("text_encoder"):
            return encode_text(
                self.text_encoder,
                self.text_tokenizer,
                captions,
                lyrics,
                device=self.device,
                caption_tokens=caption_tokens,
            )

    @torch.inference_mode()
    def encode_audio(self, waveform: Tensor) -> Tensor:
        """Latents ``[samples // 1920, 64]`` of *waveform* ``[2, samples]``.

        They are a sample of what the VAE holds possible, always the same one of one waveform; silence is the
        checkpoint's `silence_latent`.
        """
        samples = waveform.shape[-1]
        frames = samples // HOP_SAMPLES
        with outside_limit():
            silent = is_silent(waveform)
        if silent:
            return self._silence(frames)[0]
        with self.offload_manager.on_device("vae_encoder"):
            chains, parts = encoder_stacks(self.vae.encoder, self._activate), []
            for start in range(0, frames, ENCODE_FRAMES):
                output = (start, min(start + ENCODE_FRAMES, frames))
                part = waveform[:, slice(*input_range(chains, output, samples))].unsqueeze(0)
                parts.append(run_tiled(chains, part.to(self.device, self.dtype), output, samples))
        posterior = OobleckDiagonalGaussianDistribution(torch.cat(parts, -1))
        latents = posterior.sample(torch.Generator(self.device).manual_seed(ENCODE_SEED))
        encoded: Tensor = latents[0].T.contiguous()
        return encoded

    @torch.inference_mode()
    def encode_condition(
        self, text: TextStates, references: Tensor | None = None, owners: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Condition sequence ``[B, S, H]`` and its mask ``[B, S]``.

        Args:
            text: of the batch.
            references: latents ``[N, R, 64]`` of the timbre references; None is silence for every item.
            owners: the item of each reference, int64 ``[N]``; every item has at least one.
        """
        if references is None:
            references = self._silence(TIMBRE_FRAMES).expand(len(text.text), -1, -1)
            owners = torch.arange(len(text.text), device=self.device)
        with self.offload_manager.on_device("condition"):
            return self.model.encoder(  # type: ignore[no-any-return]
                text.text, text.text_mask, text.lyrics, text.lyrics_mask, references, owners
            )

    @torch.inference_mode()
    def coarse_latents(self, latents: Tensor) -> Tensor:
        """What 5 Hz audio codes keep of *latents* ``[B, T, 64]``: tokenized and detokenized, the source of a cover."""
        with self.offload_manager.on_device("condition"):
            quantized, _ = self.model.tokenizer.tokenize(latents, self.silence_latent)
            return self.model.detokenizer(quantized)[:, : latents.shape[1]]  # type: ignore[no-any-return]

    @torch.inference_mode()
    def encode_codes(self, latents: Tensor) -> list[int]:
        """The 5 Hz audio codes of *latents* ``[T, 64]``; the last one hears silence after them if need be.

        Raises:
            NonFiniteOutputError: the weights hold NaN or infinite numbers.
        """
        with self.offload_manager.on_device("condition"):
            quantized, indices = self.model.tokenizer.tokenize(latents.unsqueeze(0), self.silence_latent)
        if not is_finite(quantized):
            raise NonFiniteOutputError("The audio tokenizer")
        return indices.flatten().tolist()  # type: ignore[no-any-return]

    @torch.inference_mode()
    def decode_codes(self, codes: Sequence[Sequence[int]]) -> list[Tensor]:
        """Latents ``[5n, 64]`` of each list of n audio codes (0..63999); lists of one length run as a batch."""
        nothing = torch.empty(0, LATENT_CHANNELS, device=self.device, dtype=self.dtype)
        by_item = dict.fromkeys(range(len(codes)), nothing)
        lengths = {len(item) for item in codes} - {0}
        with self.offload_manager.on_device(*(["condition"] if lengths else [])):
            for length in lengths:
                items = [index for index, item in enumerate(codes) if len(item) == length]
                indices = torch.tensor([codes[index] for index in items], device=self.device)
                quantized = self.model.tokenizer.quantizer.get_output_from_indices(indices.unsqueeze(-1))
                by_item.update(zip(items, self.model.detokenizer(quantized.to(self.dtype)), strict=True))
        return list(by_item.values())

    def filled_latents(self, sources: Sequence[Tensor], frames: int) -> Tensor:
        """Source latents ``[n, 64]``, cut or filled up with silence: ``[B, frames, 64]``."""
        silence = self._silence(frames)[0]
        return torch.stack([torch.cat([item[:frames], silence[: max(0, frames - len(item))]]) for item in sources])

    def context_latents(self, sources: Sequence[Tensor], frames: int, mask: Tensor | None = None) -> Tensor:
        """Context ``[B, frames, 128]``: `filled_latents`, then *mask* (bool ``[frames]``; None is all of them)."""
        latents = self.filled_latents(sources, frames)
        marks = torch.ones_like(latents)
        if mask is not None:
            marks *= mask.to(marks).unsqueeze(-1)
        return torch.cat([latents, marks], dim=-1)

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

        All random numbers come from *seeds*, those of the method ``sde`` too, which the reference draws from the
        global generator.

        Args:
            condition: condition sequences ``[B, S, H]``.
            context: context latents ``[B, T, 128]``.
            seeds: one an item.
            schedule: flow times, see `ModelVariant.schedule`.
            correction: wavelet correction, or None.
            clock: takes the visits of stage ``dit_step``; counts ``dit_calls`` of the network, and their ``dit_rows``.
            on_step: called with the step done and the number of steps.
            sampler: how the flow is integrated.
            variation: retakes, sources and repainting.

        Raises:
            ValueError: guidance was asked of a model that has it in its weights.
        """
        variant = self._check_guidance(sampler)
        clock = clock or Clock(self.device)
        frames, channels = context.shape[1], context.shape[2] // 2
        streams = NoiseStreams(seeds, device=self.device, dtype=self.dtype)
        noise = streams.draw(frames, channels)
        if variation.retake_variance > 0:
            other = seeded_noise(variation.retake_seeds, frames, channels, device=self.device, dtype=self.dtype)
            noise = mix_noise(noise, other, variation.retake_variance)
        start, schedule = variation.start(noise, schedule)
        with self.offload_manager.on_device("decoder"):
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
                turbo=variant.turbo,
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
        """Turn latents ``[B, T, 64]`` of one description into those of another.

        Args:
            conditions: condition sequences ``[B, S, H]`` of the source's and of the target's description.
            context: context latents ``[B, T, 128]`` of both.
            source: latents ``[B, T, 64]``.
            seeds: one an item.
            schedule: flow times of `base_schedule`, for every variant.
            edit: which of them edit.
            clock: takes the visits of stage ``dit_step``; counts ``dit_calls`` of the network, and their ``dit_rows``.
            on_step: called with the step done and the number of steps.
            sampler: guidance, limit and smoothing of the velocities.

        Raises:
            ValueError: guidance was asked of a model that has it in its weights.
        """
        self._check_guidance(sampler)
        clock = clock or Clock(self.device)
        draw = NoiseStreams(seeds, device=self.device, dtype=self.dtype).like
        with self.offload_manager.on_device("decoder"):
            before, after = (self._network(condition, context, sampler, clock) for condition in conditions)
            networks = before, after
            return edit_latents(
                networks, source, schedule, edit, clock=clock, sampler=sampler, draw=draw, on_step=on_step
            )

    def _check_guidance(self, sampler: SolverSettings) -> ModelVariant:
        assert self.variant is not None
        if sampler.guidance and not self.variant.guided:
            raise ValueError(f"A {self.variant.name} model cannot be guided; leave guidance out.")
        return self.variant

    @torch.inference_mode()
    def denoiser(self, condition: Tensor, context: Tensor, *, guided: bool = False) -> Denoiser:
        """The diffusion transformer under *condition* ``[B, S, H]`` and *context* ``[B, T, 128]``.

        With *guided* it takes doubled batches, whose second half is without the condition. An offloaded transformer
        must be in use as long as it is called.
        """
        return Denoiser(
            self.model.decoder,
            condition,
            context,
            self.model.encoder.null_condition_emb.to(self.device) if guided else None,
            Attention(self.options.attention if self.options else "sdpa"),
            self.compiled.layer if self.compiled else LayerOperations,
        )

    def _network(self, condition: Tensor, context: Tensor, sampler: SolverSettings, clock: Clock) -> VelocityModel:
        """A `denoiser` whose calls *clock* counts."""
        denoise = self.denoiser(condition, context, guided=sampler.guidance is not None)

        def velocity(latents: Tensor, times: Tensor) -> Tensor:
            clock.counts.update(dit_calls=1, dit_rows=len(latents))
            return denoise(latents, times)

        return velocity

    @torch.inference_mode()
    def decode_latents(
        self, latents: Tensor, tiled: bool = True, window_frames: int | None = None, announce: OnFallback | None = None
    ) -> Tensor:
        """Waveforms, fp32 ``[B, 2, 1920·T]`` on the CPU, of latents ``[B, T, 64]``; `decoding` says how.

        Args:
            latents: what `diffuse` returns.
            tiled: decode in windows where the whole does not fit; without it, it must.
            window_frames: always decode in windows of so many latent frames.
            announce: called with a sentence when a way of decoding is given up for the next one.

        Raises:
            OutOfMemoryError: there is no way that fits.
        """
        with self.offload_manager.on_device("vae_decoder"):
            waveforms, self.decoding = decode(
                self.vae.decoder,
                latents,
                activate=self._activate,
                tiled=tiled,
                window=window_frames,
                announce=announce,
            )
        return waveforms

    def in_effect(self) -> dict[str, Any]:
        """What the options have led to: counted where it can be counted."""
        assert self.options is not None
        compiled = self.compiled.stats if self.compiled else None
        return {
            "device": self.device,
            "dtype": str(self.dtype).removeprefix("torch."),
            "attention": self.options.attention,
            "offloaded": list(self.options.offloaded),
            "compiled_graphs": compiled.graphs if compiled else 0,
            "compiled_calls": compiled.calls if compiled else 0,
            "quantization": self.quantized.method if self.quantized else None,
            "quantized_layers": self.quantized.layers if self.quantized else 0,
            "quantization_saved_bytes": self.quantized.saved_bytes if self.quantized else 0,
        }

    @property
    def _activate(self) -> Any:
        return self.compiled.activate if self.compiled else snake

    def _silence(self, frames: int) -> Tensor:
        """Latents of silence ``[1, frames, 64]``, repeated where the stored ones end."""
        assert self.silence_latent is not None
        stored = self.silence_latent.shape[1]
        return self.silence_latent.repeat(1, -(-frames // stored), 1)[:, :frames]
