"""`AceStepHandler`: the synthesizer's public class, with the names that ACE-Step's users know."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from acestep.audio.levels import is_silent
from acestep.audio.read import read_audio, timbre_clip
from acestep.checkpoints.folders import checkpoints_root, component_folders
from acestep.checkpoints.variants import ModelVariant
from acestep.constants import (
    DEFAULT_DIT,
    DEFAULT_GUIDANCE_SCALE,
    INSTRUCTION_TEXT2MUSIC,
    MAX_BATCH,
    SAMPLE_RATE,
    TEXT_ENCODER_FOLDER,
    VAE_FOLDER,
)
from acestep.memory.limit import outside_limit
from acestep.memory.units import format_bytes
from acestep.pipeline import ResolvedRequest, generate
from acestep.planner.codes import format_codes, parse_codes
from acestep.progress import no_progress
from acestep.request import SAMPLER_MODES, GenerationRequest, takes_fields_of
from acestep.runtime.finite_outputs import NonFiniteOutputError, is_finite
from acestep.runtime.load_options import LoadOptions
from acestep.sampling.dcw import DCW
from acestep.sampling.guidance import Guidance
from acestep.sampling.solver import SolverSettings
from acestep.synthesizer import NOT_LOADED, Synthesizer
from acestep.tasks.source import SourceAudio
from acestep.tasks.spec import TaskSpec
from acestep.text.prompts import PromptMetadata, caption_prompt, generate_instruction, lego_caption, lyric_prompt
from acestep.timing.clock import Clock
from acestep.validation import one_of, read_seeds

logger = logging.getLogger(__name__)


class AceStepHandler(Synthesizer):
    """Loads the models of one checkpoint and generates music with them.

    Attributes:
        sample_rate: samples per second of the waveforms.
        batch_size: number of items that `generate_music` generates if its *batch_size* is None.
        last_init_params: resolved arguments of the last `initialize_service` if that succeeded, else None.
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
        """Load the models, in place of those loaded before. Never raises.

        An option that cannot be honoured is an error, and the report says what each option has led to.

        Args:
            project_root: its folder ``checkpoints`` holds the models unless ``$ACESTEP_CHECKPOINTS_DIR`` is set.
            config_path: name of the diffusion model's folder; None is ``acestep-v15-turbo``.
            device: ``auto``, ``cuda``, ``cuda:N``, ``mps`` or ``cpu``.
            use_flash_attention: the same as ``attention_backend="flash"``.
            compile_model: compile the layers of the diffusion transformer and the activation function of the VAE.
            offload_to_cpu: keep the weights of text encoder and VAE on the host and copy them to the device for
                each use.
            offload_dit_to_cpu: do the same with the diffusion model.
            quantization: ``int8_weight_only``, ``fp8_weight_only`` or ``w8a8_dynamic``: the number format in which the
                linear layers of the diffusion transformer are stored, and for the last one also computed; None
                leaves them in *dtype*.
            vae_checkpoint: ``official`` (the same as None), the name of another VAE's folder, or its absolute path.
            attention_backend: ``sdpa`` (torch chooses the kernel), ``flash`` or ``eager``; None chooses by device.
            dtype: ``float32``, ``bfloat16`` or ``float16``; None chooses by device.

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
        models, options = self.models, self.models.options
        quantization = "none"
        if models.quantized is not None:
            done = models.quantized
            quantization = f"{done.method}, {done.layers} linear layers, {format_bytes(done.saved_bytes)} saved"
        return "\n".join(
            [
                f"[OK] Model initialized successfully on {models.device}",
                f"Main model: {name}",
                f"VAE: {vae}",
                f"Text encoder: {TEXT_ENCODER_FOLDER}",
                f"Dtype: {str(models.dtype).removeprefix('torch.')}",
                f"Attention: {options.attention}",
                f"Compiled: {'transformer layers and VAE activation, at their first use' if models.compiled else 'no'}",
                f"Quantization: {quantization}",
                f"Offload to CPU: {'yes' if options.offload else 'no'}",
                f"Offload DiT to CPU: {'yes' if options.offload_dit else 'no'}",
            ]
        )

    @property
    def ready(self) -> bool:
        """Whether `initialize_service` has succeeded."""
        return self.last_init_params is not None

    def is_turbo_model(self) -> bool:
        """Whether the loaded checkpoint is a turbo (distilled) variant; False if none is loaded."""
        return self.loaded is not None and self.loaded.variant.turbo

    def prepare_seeds(
        self, count: int, seed: Sequence[int] | int | str | None, use_random_seed: bool
    ) -> tuple[list[int], str]:
        """The seeds of *count* items, and the same as comma-joined text.

        A single seed is the first item's, and the other items count on from it. In a list (or comma-separated text),
        negative and missing entries are drawn at random.

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

    @takes_fields_of(GenerationRequest)
    def generate_music(self, request: GenerationRequest) -> dict[str, Any]:
        """Generate *batch_size* items from one caption. The keywords are the fields of `GenerationRequest`.

        Returns:
            ``audios`` (each with ``tensor``, fp32 ``[2, samples]`` with a peak of at most 1, and ``sample_rate``),
            ``status_message``, ``extra_outputs``, ``success``, ``error``. Failures are returned, not raised.
        """
        if not self.ready:
            return _failure(NOT_LOADED)
        clock = request.clock or Clock(self.device)
        try:
            resolved = self._resolve(request, clock)
            result = generate(self, resolved, request.progress or no_progress, clock)
        except (ValueError, RuntimeError) as error:
            logger.debug("generate_music failed", exc_info=True)
            return _failure(str(error))
        except Exception as error:
            logger.exception("generate_music failed")
            return _failure(f"{type(error).__name__}: {error}")
        for note in _ineffective_choices(request, resolved, self.models.variant):
            logger.warning(note)
            result["status_message"] += f" {note}"
        return result

    def _resolve(self, request: GenerationRequest, clock: Clock) -> ResolvedRequest:
        """Check *request*, read its audio files, write its prompts, draw its seeds and compute its schedule."""
        variant, batch = self.models.variant, request.batch_size or self.batch_size
        codes = _codes_per_item(request.audio_code_string, batch)
        spec = TaskSpec(request)
        spec.check()
        spec.check_trained(variant)
        with outside_limit(), clock.span("audio_load"):
            source = SourceAudio.read(spec, codes, request.audio_duration)
            path = request.reference_audio
            reference = None if path is None else self.process_reference_audio(path)
        caption = _variant_caption(request, variant)
        metadata = PromptMetadata(request.bpm, request.time_signature, request.key_scale, source.duration_s)
        return ResolvedRequest(
            request=request,
            source=source,
            reference=reference,
            caption=caption_prompt(spec.instruction, caption, metadata),
            text2music_caption=caption_prompt(INSTRUCTION_TEXT2MUSIC, caption, metadata),
            lyric=lyric_prompt(request.vocal_language, request.lyrics),
            seeds=self.prepare_seeds(batch, request.seed, request.use_random_seed)[0],
            retake_seeds=self.prepare_seeds(batch, request.retake_seed, request.retake_seed is None)[0],
            schedule=variant.schedule(request.inference_steps, request.shift, request.timesteps),
            sampler=_sampler(request, variant),
            correction=_correction(request),
        )

    def process_src_audio(self, path: str) -> Tensor:
        """Read source audio: its waveform ``[2, samples]`` at 48 kHz.

        Raises:
            ValueError: there is no such file, or it cannot be used; the message says why.
        """
        return read_audio(path, "src_audio")

    def process_reference_audio(self, path: str) -> Tensor:
        """Read a timbre reference: 30 s of its waveform, ``[2, 1440000]``, for the timbre encoder.

        Raises:
            ValueError: there is no such file, or it cannot be used; the message says why.
        """
        waveform = read_audio(path, "reference_audio")
        if is_silent(waveform):
            raise ValueError(f"reference_audio {path!r} is silent; choose audio that has a timbre.")
        return timbre_clip(waveform)

    def convert_src_audio_to_codes(self, path: str) -> str:
        """The audio codes of an audio file as text, or an error message that begins with ❌."""
        if not self.ready:
            return f"❌ {NOT_LOADED}"
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


def _variant_caption(request: GenerationRequest, variant: ModelVariant) -> str:
    """The caption in the form that *variant* was trained with."""
    if variant.lego:
        spec = TaskSpec(request)
        return lego_caption(request.captions, request.global_caption, spec.instruction, spec.explicit_mask)
    if request.global_caption:
        raise ValueError(
            f"global_caption is {request.global_caption!r}, but only models for lego (is_lego_sft) read one; "
            "put it into the caption."
        )
    return request.captions


def _guidance(request: GenerationRequest) -> Guidance:
    return Guidance(request.guidance_scale, request.use_adg, request.cfg_interval_start, request.cfg_interval_end)


def _sampler(request: GenerationRequest, variant: ModelVariant) -> SolverSettings:
    one_of("sampler_mode", request.sampler_mode, SAMPLER_MODES)
    return SolverSettings(
        request.infer_method,
        request.sampler_mode == "heun",
        _guidance(request) if variant.guided and request.guidance_scale > 1 else None,
        request.velocity_norm_threshold,
        request.velocity_ema_factor,
    )


def _correction(request: GenerationRequest) -> DCW | None:
    if not request.dcw_enabled:
        return None
    return DCW(request.dcw_mode, request.dcw_scaler, request.dcw_high_scaler, request.dcw_wavelet)


def _ineffective_choices(request: GenerationRequest, resolved: ResolvedRequest, variant: ModelVariant) -> list[str]:
    """A sentence for each of the caller's choices that the model or the source overrules."""
    notes, most, guidance = [], variant.max_steps, _guidance(request)
    if request.timesteps is None and most is not None and request.inference_steps > most:
        notes.append(f"inference_steps={request.inference_steps} was limited to {most}: this is a turbo model.")
    if not variant.guided and guidance not in (Guidance(DEFAULT_GUIDANCE_SCALE), Guidance(1.0)):
        notes.append(f"{guidance} has no effect: a turbo model has its guidance in its weights.")
    if resolved.source.waveform is not None and request.audio_duration is not None:
        notes.append(f"duration={request.audio_duration:g} has no effect: a source sets the length.")
    return notes


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
