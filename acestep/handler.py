"""AceStepHandler: the synthesizer behind the names that users of ACE-Step know."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from acestep.audio.levels import is_silent
from acestep.audio.read import read_audio, timbre_clip
from acestep.checkpoints.folders import checkpoints_root, component_folders
from acestep.constants import (
    DEFAULT_DIT,
    INSTRUCTION_TEXT2MUSIC,
    MAX_BATCH,
    SAMPLE_RATE,
    TEXT_ENCODER_FOLDER,
    VAE_FOLDER,
)
from acestep.memory.limit import outside_limit
from acestep.memory.units import format_bytes
from acestep.params import DEFAULT_GUIDANCE, SAMPLER_MODES
from acestep.pipeline import Progress, Request, generate
from acestep.planner.codes import format_codes, parse_codes
from acestep.runtime.finite_outputs import NonFiniteOutputError, is_finite
from acestep.runtime.load_options import LoadOptions
from acestep.sampling.dcw import DCW
from acestep.sampling.guidance import Guidance
from acestep.sampling.solver import SolverSettings
from acestep.synthesizer import Synthesizer
from acestep.tasks.source import SourceAudio
from acestep.tasks.spec import TaskSpec
from acestep.tasks.task_types import TEXT2MUSIC
from acestep.text.prompts import PromptMetadata, caption_prompt, generate_instruction, lego_caption, lyric_prompt
from acestep.timing.clock import Clock
from acestep.validation import one_of, read_seeds

logger = logging.getLogger(__name__)


def no_progress(fraction: float, desc: str = "") -> None:
    """Report nothing."""


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
        use_flash_attention: bool = False,
        compile_model: bool = False,
        offload_to_cpu: bool = False,
        offload_dit_to_cpu: bool = False,
        quantization: str | None = None,
        vae_checkpoint: str | None = None,
        *,
        attention_backend: str | None = None,
        dtype: str | None = None,
    ) -> tuple[str, bool]:
        """Load the models; loaded ones are dropped first. Never raises.

        An option that cannot be honoured is an error, and the report says what each one has led to.

        Args:
            project_root: its ``checkpoints`` folder holds the models unless ``$ACESTEP_CHECKPOINTS_DIR`` is set.
            config_path: name of the diffusion model's folder; None is ``acestep-v15-turbo``.
            device: ``auto``, ``cuda``, ``cuda:N``, ``mps`` or ``cpu``.
            use_flash_attention: the same as ``attention_backend="flash"``.
            compile_model: compile the layers of the diffusion transformer and the activation of the VAE.
            offload_to_cpu: text encoder and VAE rest in the host's memory, and are copied to the device for each use.
            offload_dit_to_cpu: so does the diffusion model.
            quantization: ``int8_weight_only``, ``fp8_weight_only`` or ``w8a8_dynamic``: how the linear layers of the
                diffusion transformer are stored, and in the last case computed; None is as the other layers.
            vae_checkpoint: ``official`` (the same as None), the name of another VAE's folder, or its absolute path.
            attention_backend: ``sdpa`` (torch chooses the kernel), ``flash`` or ``eager``; None suits the device.
            dtype: ``float32``, ``bfloat16`` or ``float16``; None is what suits the device.

        Returns:
            A report for people, and whether everything was loaded.
        """
        name = config_path or DEFAULT_DIT
        vae = VAE_FOLDER if vae_checkpoint in (None, "official") else vae_checkpoint
        self.clear()
        self.last_init_params = None
        try:
            options = LoadOptions.resolve(
                device,
                dtype,
                attention_backend,
                use_flash_attention=use_flash_attention,
                compile_model=compile_model,
                quantization=quantization,
                offload=offload_to_cpu,
                offload_dit=offload_dit_to_cpu,
            )
            self.load(*component_folders(checkpoints_root(project_root), name, vae), options)
        except Exception as error:
            logger.debug("initialize_service failed", exc_info=True)
            self.clear()
            return f"Error initializing model: {error}", False
        self.last_init_params = {
            "project_root": project_root,
            "config_path": name,
            "device": options.device,
            "use_flash_attention": options.attention == "flash",
            "compile_model": compile_model,
            "offload_to_cpu": offload_to_cpu,
            "offload_dit_to_cpu": offload_dit_to_cpu,
            "quantization": options.quantization,
            "vae_checkpoint": vae,
            "attention_backend": options.attention,
            "dtype": str(options.dtype).removeprefix("torch."),
        }
        return self._status(name, vae), True

    def _status(self, name: str, vae: str) -> str:
        assert self.options is not None
        done = self.quantized
        quantization = "none"
        if done is not None:
            quantization = f"{done.method}, {done.layers} linear layers, {format_bytes(done.saved_bytes)} saved"
        return "\n".join(
            [
                f"[OK] Model initialized successfully on {self.device}",
                f"Main model: {name}",
                f"VAE: {vae}",
                f"Text encoder: {TEXT_ENCODER_FOLDER}",
                f"Dtype: {str(self.dtype).removeprefix('torch.')}",
                f"Attention: {self.options.attention}",
                f"Compiled: {'transformer layers and VAE activation, at their first use' if self.compiled else 'no'}",
                f"Quantization: {quantization}",
                f"Offload to CPU: {'yes' if self.options.offload else 'no'}",
                f"Offload DiT to CPU: {'yes' if self.options.offload_dit else 'no'}",
            ]
        )

    @property
    def ready(self) -> bool:
        """Whether `initialize_service` has succeeded."""
        return self.last_init_params is not None

    def is_turbo_model(self) -> bool:
        """Whether the loaded checkpoint is a distilled one; False if none is loaded."""
        return self.variant is not None and self.variant.turbo

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
            entries = read_seeds("seed", seed)
        if len(entries) == 1 and entries[0] >= 0:
            entries = [entries[0] + item for item in range(count)]
        entries = (entries + [-1] * count)[:count]
        seeds = [entry if entry >= 0 else random.randint(0, 2**32 - 1) for entry in entries]
        return seeds, ",".join(map(str, seeds))

    def generate_music(
        self,
        captions: str,
        lyrics: str,
        global_caption: str = "",
        bpm: int | None = None,
        key_scale: str = "",
        time_signature: str = "",
        vocal_language: str = "en",
        inference_steps: int = 8,
        guidance_scale: float = DEFAULT_GUIDANCE,
        use_random_seed: bool = True,
        seed: Sequence[int] | int | str | None = -1,
        reference_audio: str | None = None,
        audio_duration: float | None = None,
        batch_size: int | None = None,
        src_audio: str | None = None,
        audio_code_string: str | Sequence[str] = "",
        repainting_start: float = 0.0,
        repainting_end: float | None = None,
        instruction: str = INSTRUCTION_TEXT2MUSIC,
        audio_cover_strength: float = 1.0,
        cover_noise_strength: float = 0.0,
        task_type: str = TEXT2MUSIC,
        track_name: str = "",
        complete_track_classes: Sequence[str] = (),
        use_adg: bool = False,
        cfg_interval_start: float = 0.0,
        cfg_interval_end: float = 1.0,
        shift: float = 1.0,
        infer_method: str = "ode",
        sampler_mode: str = "euler",
        velocity_norm_threshold: float = 0.0,
        velocity_ema_factor: float = 0.0,
        timesteps: Sequence[float] | None = None,
        dcw_enabled: bool = True,
        dcw_mode: str = "double",
        dcw_scaler: float = 0.05,
        dcw_high_scaler: float = 0.02,
        dcw_wavelet: str = "haar",
        chunk_mask_mode: str = "auto",
        repaint_mode: str = "balanced",
        repaint_strength: float = 0.5,
        retake_seed: Sequence[int] | int | str | None = None,
        retake_variance: float = 0.0,
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
            audio_duration: seconds; None is 120. Pieces with a source are as long as it, or as their codes.
            repainting_end: None is the end of the source.
            use_tiled_decode: see `decode_latents`.
            progress: called as ``progress(fraction, desc=text)``.
            clock: takes the time of every stage.

        Returns:
            ``audios`` (``tensor`` fp32 ``[2, samples]`` with a peak of at most 1, ``sample_rate``),
            ``status_message``, ``extra_outputs``, ``success``, ``error``. Failures are returned, not raised.
        """
        if not self.ready:
            return _failure("Model not fully initialized")
        assert self.variant is not None
        batch, clock = batch_size or self.batch_size, clock or Clock(self.device)
        asked = Guidance(guidance_scale, use_adg, cfg_interval_start, cfg_interval_end)
        guidance = asked if self.variant.guided and guidance_scale > 1 else None
        try:
            codes = _codes_per_item(audio_code_string, batch)
            spec = TaskSpec(
                task_type=task_type,
                instruction=instruction,
                track_name=track_name,
                complete_track_classes=complete_track_classes,
                reference_audio=reference_audio,
                src_audio=src_audio,
                audio_codes=audio_code_string,
                repainting_start=repainting_start,
                repainting_end=-1.0 if repainting_end is None else repainting_end,
                chunk_mask_mode=chunk_mask_mode,
                repaint_mode=repaint_mode,
                repaint_strength=repaint_strength,
                retake_seed=retake_seed,
                retake_variance=retake_variance,
                audio_cover_strength=audio_cover_strength,
                cover_noise_strength=cover_noise_strength,
            )
            spec.check()
            spec.check_variant(self.variant)
            with outside_limit(), clock.span("audio_load"):
                source = SourceAudio.read(spec, codes, audio_duration)
                reference = None if reference_audio is None else self.process_reference_audio(reference_audio)
            described = self._captions(captions, global_caption, spec)
            metadata = PromptMetadata(bpm, time_signature, key_scale, source.duration_s)
            request = Request(
                spec=spec,
                source=source,
                reference=reference,
                caption=caption_prompt(spec.task_instruction, described, metadata),
                plain_caption=caption_prompt(INSTRUCTION_TEXT2MUSIC, described, metadata),
                lyric=lyric_prompt(vocal_language, lyrics),
                seeds=self.prepare_seeds(batch, seed, use_random_seed)[0],
                retake_seeds=self.prepare_seeds(batch, retake_seed, retake_seed is None)[0],
                schedule=self.variant.schedule(inference_steps, shift, timesteps),
                sampler=_sampler(infer_method, sampler_mode, guidance, velocity_norm_threshold, velocity_ema_factor),
                correction=DCW(dcw_mode, dcw_scaler, dcw_high_scaler, dcw_wavelet) if dcw_enabled else None,
                latent_shift=latent_shift,
                latent_rescale=latent_rescale,
                tiled=use_tiled_decode,
            )
            result = generate(self, request, progress or no_progress, clock)
        except (ValueError, RuntimeError) as error:
            logger.debug("generate_music failed", exc_info=True)
            return _failure(str(error))
        except Exception as error:
            logger.exception("generate_music failed")
            return _failure(f"{type(error).__name__}: {error}")
        if self.decoding is not None and self.decoding.refused:
            result["status_message"] += f" The VAE decoded {self.decoding.strategy}: {self.decoding.refused[-1]}."
        for note in self._notes(asked, None if timesteps is not None else inference_steps, source, audio_duration):
            logger.warning(note)
            result["status_message"] += f" {note}"
        return result

    def _captions(self, caption: str, global_caption: str, spec: TaskSpec) -> str:
        """The caption as the variant of the model reads it."""
        assert self.variant is not None
        if self.variant.lego:
            explicit = spec.chunk_mask_mode == "explicit"
            return lego_caption(caption, global_caption, spec.task_instruction, explicit)
        if global_caption:
            raise ValueError(
                f"global_caption is {global_caption!r}, but only models for lego (is_lego_sft) read one; "
                "put it into the caption."
            )
        return caption

    def _notes(self, guidance: Guidance, steps: int | None, source: SourceAudio, duration_s: float | None) -> list[str]:
        """Which of the caller's choices the model or the source overrules."""
        assert self.variant is not None
        notes, most = [], self.variant.max_steps
        if steps is not None and most is not None and steps > most:
            notes.append(f"inference_steps={steps} was limited to {most}: this is a turbo model.")
        if not self.variant.guided and guidance not in (Guidance(DEFAULT_GUIDANCE), Guidance(1.0)):
            notes.append(f"{guidance} has no effect: a turbo model has its guidance in its weights.")
        if source.waveform is not None and duration_s is not None:
            notes.append(f"duration={duration_s:g} has no effect: a source sets the length.")
        return notes

    def process_src_audio(self, path: str) -> Tensor:
        """The waveform ``[2, samples]`` of a source at 48 kHz.

        Raises:
            ValueError: there is no such file, or it cannot be used; the message says why.
        """
        return read_audio(path, "src_audio")

    def process_reference_audio(self, path: str) -> Tensor:
        """The 30 s ``[2, 1440000]`` that the timbre encoder hears of a reference.

        Raises:
            ValueError: there is no such file, or it cannot be used; the message says why.
        """
        waveform = read_audio(path, "reference_audio")
        if is_silent(waveform):
            raise ValueError(f"reference_audio {path!r} is silent; choose audio that has a timbre.")
        return timbre_clip(waveform)

    def convert_src_audio_to_codes(self, path: str) -> str:
        """The audio codes of a file as text; on failure a sentence that begins with ❌."""
        if not self.ready:
            return "❌ Model not fully initialized"
        try:
            waveform = self.process_src_audio(path)
            if is_silent(waveform):
                raise ValueError(f"src_audio {path!r} is silent; there is nothing to convert.")
            latents = self.encode_audio(waveform)
            if not is_finite(latents):
                raise NonFiniteOutputError("Stage source_encode")
            return format_codes(self.encode_codes(latents))
        except (ValueError, RuntimeError) as error:
            logger.debug("convert_src_audio_to_codes failed", exc_info=True)
            return f"❌ {error}"

    @staticmethod
    def generate_instruction(
        task_type: str, track_name: str | None = None, complete_track_classes: Sequence[str] | None = None
    ) -> str:
        """See `acestep.text.prompts.generate_instruction`."""
        return generate_instruction(task_type, track_name or "", complete_track_classes or ())


def _sampler(method: str, mode: str, guidance: Guidance | None, norm_threshold: float, ema: float) -> SolverSettings:
    one_of("sampler_mode", mode, SAMPLER_MODES)
    return SolverSettings(method, mode == "heun", guidance, norm_threshold, ema)


def _failure(error: str) -> dict[str, Any]:
    return {
        "audios": [],
        "status_message": f"Error: {error}",
        "extra_outputs": {},
        "success": False,
        "error": error,
    }


def _codes_per_item(codes: str | Sequence[str], batch: int) -> list[list[int]]:
    if not 1 <= batch <= MAX_BATCH:
        raise ValueError(f"batch_size is {batch}, expected 1 to {MAX_BATCH}.")
    texts = [codes] * batch if isinstance(codes, str) else list(codes)
    if len(texts) != batch:
        raise ValueError(f"audio codes for {len(texts)} items were given, the batch has {batch}.")
    return [parse_codes(text) for text in texts]
