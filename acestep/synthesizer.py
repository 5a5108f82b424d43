"""The synthesizer's stages, each a method that can be called, and timed, alone.

In order: `Synthesizer.encode_text`, `encode_audio`, `encode_condition`, `decode_codes`, `coarse_latents`,
`context_latents`, `diffuse`, `decode_latents`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from acestep.clock import Clock
from acestep.conditioning import TextStates, encode_text, load_text_encoder
from acestep.constants import HOP_SAMPLES, LATENT_CHANNELS, TIMBRE_FRAMES
from acestep.diffusion import EULER, Correction, Sampler, Switch, Velocity, sample
from acestep.families import Family
from acestep.flowedit import Edit, edited
from acestep.model import load_model, load_vae
from acestep.noise import Streams, retake, seeded_noise
from acestep.reading import is_silent
from acestep.variation import UNVARIED, Variation

VAE_TILE_FRAMES = 512
VAE_OVERLAP_FRAMES = 16
"""Wider than the decoder's receptive field (about 9 frames a side): tiles join without a seam."""
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
        family: what kind of checkpoint it is, or None.
        silence_latent: latents of silence ``[1, T, 64]``, or None.
        device: where the models are.
        dtype: the number format they compute in.
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
        self.family: Family | None = None
        self.silence_latent: Tensor | None = None
        self.device = "cpu"
        self.dtype = torch.float32

    def load(self, model_folder: Path, vae_folder: Path, text_folder: Path, *, device: str, dtype: torch.dtype) -> None:
        """Load every model.

        Raises:
            CheckpointError: a folder is incomplete or damaged.
        """
        self.model = load_model(model_folder, device=device, dtype=dtype)
        self.vae = load_vae(vae_folder, device=device, dtype=dtype)
        self.vae.tile_latent_min_length = VAE_TILE_FRAMES
        self.vae.tile_latent_overlap = VAE_OVERLAP_FRAMES
        self.text_encoder, self.text_tokenizer = load_text_encoder(text_folder, device=device, dtype=dtype)
        self.config, self.family = self.model.config, self.model.family
        self.silence_latent = self.model.silence_latent
        self.device, self.dtype = device, dtype

    @torch.inference_mode()
    def encode_text(
        self, captions: Sequence[str], lyrics: Sequence[str], caption_tokens: int | None = None
    ) -> TextStates:
        """Tokenize and encode caption and lyric prompts (`caption_prompt`, `lyric_prompt`), one an item.

        Caption prompts are padded or cut to *caption_tokens* where that is given.
        """
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
        """Latents ``[samples // 1920, 64]`` of *waveform* ``[2, samples]``, in windows of 30 s.

        They are a sample of what the VAE holds possible, always the same one of one waveform; silence is the
        checkpoint's `silence_latent`.
        """
        if is_silent(waveform):
            return self._silence(waveform.shape[-1] // HOP_SAMPLES)[0]
        self.vae.use_tiling = True
        posterior = self.vae.encode(waveform.unsqueeze(0).to(self.device, self.vae.dtype)).latent_dist
        latents: Tensor = posterior.sample(torch.Generator(self.device).manual_seed(ENCODE_SEED))
        return latents[0].T.to(self.dtype).contiguous()

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
        return self.model.encoder(  # type: ignore[no-any-return]
            text.text, text.text_mask, text.lyrics, text.lyrics_mask, references, owners
        )

    @torch.inference_mode()
    def coarse_latents(self, latents: Tensor) -> Tensor:
        """What 5 Hz audio codes keep of *latents* ``[B, T, 64]``: tokenized and detokenized, the source of a cover."""
        quantized, _ = self.model.tokenizer.tokenize(latents, self.silence_latent)
        return self.model.detokenizer(quantized)[:, : latents.shape[1]]  # type: ignore[no-any-return]

    @torch.inference_mode()
    def encode_codes(self, latents: Tensor) -> list[int]:
        """The 5 Hz audio codes of *latents* ``[T, 64]``; the last one hears silence after them if need be."""
        _, indices = self.model.tokenizer.tokenize(latents.unsqueeze(0), self.silence_latent)
        return indices.flatten().tolist()  # type: ignore[no-any-return]

    @torch.inference_mode()
    def decode_codes(self, codes: Sequence[Sequence[int]]) -> list[Tensor]:
        """Latents ``[5n, 64]`` of each list of n audio codes (0..63999); lists of one length run as a batch."""
        nothing = torch.empty(0, LATENT_CHANNELS, device=self.device, dtype=self.dtype)
        by_item = dict.fromkeys(range(len(codes)), nothing)
        for length in {len(item) for item in codes} - {0}:
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
        correction: Correction | None = None,
        clock: Clock | None = None,
        on_step: Callable[[int, int], None] | None = None,
        sampler: Sampler = EULER,
        variation: Variation = UNVARIED,
    ) -> Tensor:
        """Sample latents ``[B, T, 64]``.

        All random numbers come from *seeds*, those of the method ``sde`` too, which the reference draws from the
        global generator.

        Args:
            condition: condition sequences ``[B, S, H]``.
            context: context latents ``[B, T, 128]``.
            seeds: one an item.
            schedule: flow times, see `Family.schedule`.
            correction: wavelet correction, or None.
            clock: takes the visits of stage ``dit_step``; counts ``dit_calls`` of the network, and their ``dit_rows``.
            on_step: called with the step done and the number of steps.
            sampler: how the flow is integrated.
            variation: retakes, sources and repainting.

        Raises:
            ValueError: guidance was asked of a model that has it in its weights.
        """
        family = self._check_guidance(sampler)
        clock = clock or Clock(self.device)
        frames, channels = context.shape[1], context.shape[2] // 2
        streams = Streams(seeds, device=self.device, dtype=self.dtype)
        noise = streams.draw(frames, channels)
        if variation.retake_variance > 0:
            other = seeded_noise(variation.retake_seeds, frames, channels, device=self.device, dtype=self.dtype)
            noise = retake(noise, other, variation.retake_variance)
        start, schedule = variation.start(noise, schedule)
        switch = None
        if variation.plain is not None:
            step = int(len(schedule) * variation.cover_strength)
            switch = Switch(step, self._network(*variation.plain, sampler, clock))
        return sample(
            self._network(condition, context, sampler, clock),
            noise,
            schedule,
            correction=correction,
            clock=clock,
            on_step=on_step,
            sampler=sampler,
            turbo=family.turbo,
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
        edit: Edit,
        clock: Clock | None = None,
        on_step: Callable[[int, int], None] | None = None,
        sampler: Sampler = EULER,
    ) -> Tensor:
        """Turn latents ``[B, T, 64]`` of one description into those of another.

        Args:
            conditions: condition sequences ``[B, S, H]`` of the source's and of the target's description.
            context: context latents ``[B, T, 128]`` of both.
            source: latents ``[B, T, 64]``.
            seeds: one an item.
            schedule: flow times of `base_schedule`, for every family.
            edit: which of them edit.
            clock: takes the visits of stage ``dit_step``; counts ``dit_calls`` of the network, and their ``dit_rows``.
            on_step: called with the step done and the number of steps.
            sampler: guidance, limit and smoothing of the velocities.

        Raises:
            ValueError: guidance was asked of a model that has it in its weights.
        """
        self._check_guidance(sampler)
        clock = clock or Clock(self.device)
        before, after = (self._network(condition, context, sampler, clock) for condition in conditions)
        draw = Streams(seeds, device=self.device, dtype=self.dtype).like
        return edited((before, after), source, schedule, edit, clock=clock, sampler=sampler, draw=draw, on_step=on_step)

    def _check_guidance(self, sampler: Sampler) -> Family:
        assert self.family is not None
        if sampler.guidance and not self.family.guided:
            raise ValueError(f"A {self.family.name} model cannot be guided; leave guidance out.")
        return self.family

    def _network(self, condition: Tensor, context: Tensor, sampler: Sampler, clock: Clock) -> Velocity:
        """The diffusion transformer under *condition* and *context*; the second half of a doubled batch has none."""
        if sampler.guidance:
            condition = torch.cat([condition, self.model.encoder.null_condition_emb.expand_as(condition)])
            context = torch.cat([context, context])

        def velocity(latents: Tensor, times: Tensor) -> Tensor:
            rows = len(latents)
            clock.counts.update(dit_calls=1, dit_rows=rows)
            return self.model.decoder(  # type: ignore[no-any-return]
                latents, times, times, condition[:rows], context[:rows], return_dict=False
            )[0]

        return velocity

    @torch.inference_mode()
    def decode_latents(self, latents: Tensor, tiled: bool = True) -> Tensor:
        """Waveforms, fp32 ``[B, 2, 1920·T]`` on the CPU, of latents ``[B, T, 64]``; one item at a time.

        Args:
            latents: what `diffuse` returns.
            tiled: decode windows of `VAE_TILE_FRAMES`, so that memory does not grow with the length.
        """
        self.vae.use_tiling = tiled
        items = latents.transpose(1, 2).to(self.vae.dtype).contiguous()
        return torch.cat([self.vae.decode(item.unsqueeze(0)).sample.float().cpu() for item in items])

    def _silence(self, frames: int) -> Tensor:
        """Latents of silence ``[1, frames, 64]``, repeated where the stored ones end."""
        assert self.silence_latent is not None
        stored = self.silence_latent.shape[1]
        return self.silence_latent.repeat(1, -(-frames // stored), 1)[:, :frames]
