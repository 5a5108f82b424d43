"""AceStepHandler: the synthesizer behind the names that users of ACE-Step know."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from acestep.audio import limit_peak
from acestep.checkpoints import CheckpointError, checkpoints_root
from acestep.clock import Clock
from acestep.conditioning import Metadata, caption_prompt, lyric_prompt
from acestep.constants import (
    DEFAULT_DIT,
    DEFAULT_DURATION_S,
    FRAMES_PER_CODE,
    HOP_SAMPLES,
    INSTRUCTION_COVER,
    INSTRUCTION_TEXT2MUSIC,
    LATENT_CHANNELS,
    MAX_BATCH,
    MIN_LATENT_FRAMES,
    SAMPLE_RATE,
    TEXT_ENCODER_FOLDER,
    VAE_FOLDER,
)
from acestep.devices import default_dtype, resolve_device
from acestep.diffusion import Correction, turbo_schedule
from acestep.layouts import component_folders
from acestep.planner.codes import parse_codes
from acestep.synthesizer import Synthesizer

logger = logging.getLogger(__name__)

Progress = Callable[..., None]
"""Called as ``progress(fraction, desc=text)``."""


def no_progress(fraction: float, desc: str = "") -> None:
    """Report nothing."""


@dataclass(frozen=True)
class _Request:
    """One checked call of `AceStepHandler.generate_music`."""

    caption: str
    lyric: str
    codes: list[list[int]]
    seeds: list[int]
    duration_s: float | None
    schedule: list[float]
    correction: Correction | None
    latent_shift: float
    latent_rescale: float
    tiled: bool


class AceStepHandler(Synthesizer):
    """Loads the models of one checkpoint and makes music with them.

    Attributes:
        sample_rate: Hz of the waveforms.
        batch_size: pieces that `generate_music` makes when it is not told.
        last_init_params: resolved arguments of the last successful `initialize_service`, or None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sample_rate = SAMPLE_RATE
        self.batch_size = 2
        self.last_init_params: dict[str, Any] | None = None

    def initialize_service(
        self,
        project_root: str | None,
        config_path: str | None = None,
        device: str = "auto",
        vae_checkpoint: str | None = None,
    ) -> tuple[str, bool]:
        """Load the models; loaded ones are dropped first. Never raises.

        Args:
            project_root: its ``checkpoints`` folder holds the models unless ``$ACESTEP_CHECKPOINTS_DIR`` is set.
            config_path: name of the diffusion model's folder; None is ``acestep-v15-turbo``.
            device: ``auto``, ``cuda``, ``cuda:N``, ``mps`` or ``cpu``.
            vae_checkpoint: ``official`` (the same as None), the name of another VAE's folder, or its absolute path.

        Returns:
            A report for people, and whether everything was loaded.
        """
        name = config_path or DEFAULT_DIT
        vae = VAE_FOLDER if vae_checkpoint in (None, "official") else vae_checkpoint
        self.clear()
        self.last_init_params = None
        try:
            device = resolve_device(device)
            folders = component_folders(checkpoints_root(project_root), name, vae)
            self.load(*folders, device=device, dtype=default_dtype(device))
            if not self.is_turbo_model():
                raise CheckpointError(f"{name} is not a turbo model: this version makes music with turbo models only.")
        except Exception as error:
            logger.debug("initialize_service failed", exc_info=True)
            self.clear()
            return f"Error initializing model: {error}", False
        self.last_init_params = {
            "project_root": project_root,
            "config_path": name,
            "device": device,
            "vae_checkpoint": vae,
        }
        return self._status(name, vae), True

    def _status(self, name: str, vae: str) -> str:
        return "\n".join(
            [
                f"[OK] Model initialized successfully on {self.device}",
                f"Main model: {name}",
                f"VAE: {vae}",
                f"Text encoder: {TEXT_ENCODER_FOLDER}",
                f"Dtype: {str(self.dtype).removeprefix('torch.')}",
                "Attention: sdpa",
            ]
        )

    @property
    def ready(self) -> bool:
        """Whether `initialize_service` has succeeded."""
        return self.last_init_params is not None

    def is_turbo_model(self) -> bool:
        """Whether the loaded checkpoint is a distilled one; False if none is loaded."""
        return bool(self.config and self.config.get("is_turbo", False))

    def prepare_seeds(
        self, count: int, seed: Sequence[int] | int | str | None, use_random_seed: bool
    ) -> tuple[list[int], str]:
        """Seeds of *count* items, and the same as comma-joined text.

        A single seed is the first item's and the others count on from it. In a list (or comma-separated text), a
        negative entry and every missing one is drawn at random.

        Raises:
            ValueError: an entry is not a whole number.
        """
        entries: list[int] = []
        if not use_random_seed and seed is not None:
            entries = _parse_seeds(seed)
        if len(entries) == 1 and entries[0] >= 0:
            entries = [entries[0] + item for item in range(count)]
        entries = (entries + [-1] * count)[:count]
        seeds = [entry if entry >= 0 else random.randint(0, 2**32 - 1) for entry in entries]
        return seeds, ",".join(map(str, seeds))

    def generate_music(
        self,
        captions: str,
        lyrics: str,
        bpm: int | None = None,
        key_scale: str = "",
        time_signature: str = "",
        vocal_language: str = "en",
        inference_steps: int = 8,
        use_random_seed: bool = True,
        seed: Sequence[int] | int | str | None = -1,
        audio_duration: float | None = None,
        batch_size: int | None = None,
        audio_code_string: str | Sequence[str] = "",
        instruction: str = INSTRUCTION_TEXT2MUSIC,
        shift: float = 1.0,
        timesteps: Sequence[float] | None = None,
        dcw_enabled: bool = True,
        dcw_mode: str = "double",
        dcw_scaler: float = 0.05,
        dcw_high_scaler: float = 0.02,
        use_tiled_decode: bool = True,
        latent_shift: float = 0.0,
        latent_rescale: float = 1.0,
        progress: Progress | None = None,
        clock: Clock | None = None,
    ) -> dict[str, Any]:
        """Make *batch_size* pieces from one caption; what is not listed here is as in `GenerationParams`.

        Args:
            captions: the description of the music.
            lyrics: the words.
            audio_code_string: codes of every piece, or a list with one entry a piece.
            audio_duration: seconds; None is 120. Pieces with codes are as long as their codes.
            use_tiled_decode: see `decode_latents`.
            progress: called as ``progress(fraction, desc=text)``.
            clock: takes the time of every stage.

        Returns:
            ``audios`` (``tensor`` fp32 ``[2, samples]`` with a peak of at most 1, ``sample_rate``),
            ``status_message``, ``extra_outputs``, ``success``, ``error``. Failures are returned, not raised.
        """
        if not self.ready:
            return _failure("Model not fully initialized")
        batch = batch_size or self.batch_size
        try:
            codes = _codes_per_item(audio_code_string, batch)
            if any(codes) and instruction == INSTRUCTION_TEXT2MUSIC:
                instruction = INSTRUCTION_COVER
            metadata = Metadata(bpm, time_signature, key_scale, audio_duration)
            request = _Request(
                caption=caption_prompt(instruction, captions, metadata),
                lyric=lyric_prompt(vocal_language, lyrics),
                codes=codes,
                seeds=self.prepare_seeds(batch, seed, use_random_seed)[0],
                duration_s=audio_duration,
                schedule=turbo_schedule(inference_steps, shift, timesteps),
                correction=Correction(dcw_mode, dcw_scaler, dcw_high_scaler) if dcw_enabled else None,
                latent_shift=latent_shift,
                latent_rescale=latent_rescale,
                tiled=use_tiled_decode,
            )
            result = self._generate(request, progress or no_progress, clock or Clock(self.device))
        except (ValueError, RuntimeError) as error:
            logger.debug("generate_music failed", exc_info=True)
            return _failure(str(error))
        if timesteps is None and inference_steps > len(request.schedule):
            note = f"inference_steps={inference_steps} was limited to {len(request.schedule)}: this is a turbo model."
            logger.warning(note)
            result["status_message"] += f" {note}"
        return result

    def _generate(self, request: _Request, report: Progress, clock: Clock) -> dict[str, Any]:
        """Run every stage; items of a batch share their prompts, so these are encoded once."""
        batch = len(request.seeds)
        report(0.51, desc="Preparing inputs...")
        with clock.span("text_encode"):
            text = self.encode_text([request.caption], [request.lyric])
        with clock.span("condition_encode"):
            condition, mask = (part.expand(batch, *part.shape[1:]) for part in self.encode_condition(text))
        with clock.span("code_decode"):
            frames = _frames(request.duration_s, request.codes)
            context = self.context_latents(self.decode_codes(request.codes), max(frames))
        with clock.span("diffusion"):
            latents = self.diffuse(
                condition,
                context,
                request.seeds,
                request.schedule,
                request.correction,
                clock,
                lambda step, total: _report_step(report, step, total),
            )
            latents = latents * request.latent_rescale + request.latent_shift
            _check_latents(latents)
        report(0.8, desc="Decoding audio...")
        with clock.span("vae_decode"):
            waveforms = self.decode_latents(latents, tiled=request.tiled)
        with clock.span("post_process"):
            waveforms = limit_peak(waveforms)
        report(0.99, desc="Preparing audio data...")
        steps, length = len(request.schedule), latents.shape[1]
        outputs = {
            "pred_latents": latents,
            "target_latents": context[..., :LATENT_CHANNELS],
            "src_latents": context[..., :LATENT_CHANNELS],
            "latent_masks": torch.arange(length) < torch.tensor(frames).unsqueeze(1),
            "chunk_masks": context[..., LATENT_CHANNELS:],
            "encoder_hidden_states": condition,
            "encoder_attention_mask": mask,
            "context_latents": context,
            "lyric_token_idss": text.lyric_ids.expand(batch, -1),
        }
        return {
            "audios": [{"tensor": waveform, "sample_rate": self.sample_rate} for waveform in waveforms],
            "status_message": "Generation completed successfully.",
            "extra_outputs": {
                **{name: tensor.cpu() for name, tensor in outputs.items()},
                "spans": [("full", 0, length)] * batch,
                "seed_value": ",".join(map(str, request.seeds)),
                "counts": {"dit_calls": steps, "steps": steps, "batch": batch, "latent_frames": length},
            },
            "success": True,
            "error": None,
        }


def _report_step(report: Progress, step: int, total: int) -> None:
    report(0.52 + 0.27 * step / total, desc=f"Diffusion step {step}/{total}")


def _failure(error: str) -> dict[str, Any]:
    return {
        "audios": [],
        "status_message": f"Error: {error}",
        "extra_outputs": {},
        "success": False,
        "error": error,
    }


def _parse_seeds(seed: Sequence[int] | int | str) -> list[int]:
    entries = seed.split(",") if isinstance(seed, str) else [seed] if isinstance(seed, int) else seed
    try:
        return [int(entry) for entry in entries]
    except (TypeError, ValueError):
        raise ValueError(f"seed is {seed!r}, expected whole numbers.") from None


def _codes_per_item(codes: str | Sequence[str], batch: int) -> list[list[int]]:
    if not 1 <= batch <= MAX_BATCH:
        raise ValueError(f"batch_size is {batch}, expected 1 to {MAX_BATCH}.")
    texts = [codes] * batch if isinstance(codes, str) else list(codes)
    if len(texts) != batch:
        raise ValueError(f"audio codes for {len(texts)} items were given, the batch has {batch}.")
    return [parse_codes(text) for text in texts]


def _frames(duration_s: float | None, codes: Sequence[Sequence[int]]) -> list[int]:
    """Latent frames of each item: those of its codes, else of the duration; never below the minimum."""
    seconds = round(DEFAULT_DURATION_S if duration_s is None else duration_s, 1)
    plain = int(seconds * SAMPLE_RATE) // HOP_SAMPLES
    return [max(MIN_LATENT_FRAMES, FRAMES_PER_CODE * len(item) or plain) for item in codes]


def _check_latents(latents: Tensor) -> None:
    if not torch.isfinite(latents).all():
        raise RuntimeError("Generation produced NaN or Inf latents. Use a wider number format or another seed.")
    if not latents.any():
        raise RuntimeError("Generation produced zero latents. Check the checkpoint and latent_rescale.")
