"""The public functions: `generate_music` runs planner and synthesizer and saves what they made; the three of
`acestep.planner_api` ask the planner alone."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from acestep.audio.levels import fade, normalize_peak
from acestep.audio.write import file_suffix, save
from acestep.handler import AceStepHandler, no_progress
from acestep.llm_inference import LLMHandler
from acestep.memory.limit import outside_limit
from acestep.params import GenerationConfig, GenerationParams, GenerationResult
from acestep.pipeline import Progress
from acestep.planner_api import (
    CreateSampleResult,
    FormatSampleResult,
    UnderstandResult,
    create_sample,
    format_sample,
    understand_music,
)
from acestep.tasks.task_types import TEXT2MUSIC
from acestep.timing.clock import Clock
from acestep.timing.time_costs import LM_PARTS, time_costs

__all__ = [
    "CreateSampleResult",
    "FormatSampleResult",
    "GenerationConfig",
    "GenerationParams",
    "GenerationResult",
    "UnderstandResult",
    "create_sample",
    "format_sample",
    "generate_music",
    "understand_music",
]

logger = logging.getLogger(__name__)


def generate_music(
    dit_handler: AceStepHandler,
    llm_handler: LLMHandler | None,
    params: GenerationParams,
    config: GenerationConfig,
    save_dir: str | None = None,
    progress: Progress | None = None,
) -> GenerationResult:
    """Make ``config.batch_size`` pieces of music.

    Args:
        dit_handler: initialised synthesizer.
        llm_handler: initialised planner; needed for ``params.thinking``. Without one the chain-of-thought switches
            have nothing to act on.
        params: what to make. Its ``cot_*`` fields are filled in with what the planner chose.
        config: how many, which seeds, which file format.
        save_dir: where audio files go (made if it is not there); None saves none.
        progress: called as ``progress(fraction, desc=text)``.

    Returns:
        The pieces, or a failure with ``error``. Audio that was made is returned even if saving it failed.
    """
    clock = Clock(dit_handler.device)
    start = clock.now()
    report = progress or no_progress
    try:
        params.validate()
        config.validate()
        plan = _plan(dit_handler, llm_handler, params, config, report)
        made = _synthesize(dit_handler, params, plan, clock, report)
        if not made["success"]:
            return _failure(made["error"])
        with outside_limit():
            audios, save_error = _finish(made["audios"], params, config, plan, save_dir, clock)
    except (ValueError, OSError, RuntimeError) as error:
        logger.debug("generate_music failed", exc_info=True)
        return _failure(str(error))
    extra = made["extra_outputs"]
    extra["counts"] |= plan.counts
    extra["lm_metadata"] = plan.metadata
    extra["time_costs"] = time_costs(clock, plan.times, clock.now() - start)
    return GenerationResult(
        audios=audios,
        status_message=" ".join([*plan.notes, save_error or made["status_message"]]),
        extra_outputs=extra,
        success=save_error is None,
        error=save_error,
    )


@dataclass
class _Plan:
    """What the synthesizer is to do: the caller's wishes, completed by the planner."""

    seeds: list[int]
    retake_seeds: list[int]
    caption: str
    lyrics: str
    language: str
    bpm: int | None
    keyscale: str
    timesignature: str
    duration_s: float | None
    codes: list[str]
    metadata: dict[str, Any] | None = None
    times: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def _plan(
    dit: AceStepHandler,
    llm: LLMHandler | None,
    params: GenerationParams,
    config: GenerationConfig,
    report: Progress,
) -> _Plan:
    batch = config.batch_size or 1
    seed = params.seed if config.seeds is None else config.seeds
    seeds, _ = dit.prepare_seeds(batch, seed, config.use_random_seed)
    retake_seeds, _ = dit.prepare_seeds(batch, params.retake_seed, params.retake_seed is None)
    plan = _Plan(
        seeds=seeds,
        retake_seeds=retake_seeds,
        caption=params.caption,
        lyrics=params.lyrics,
        language=params.vocal_language,
        bpm=params.bpm,
        keyscale=params.keyscale,
        timesignature=params.timesignature,
        duration_s=params.requested_duration,
        codes=[params.audio_codes] * batch,
    )
    wants_codes = params.thinking and not params.audio_codes.strip()
    wants_cot = params.use_cot_metas or params.use_cot_caption or params.use_cot_language
    if params.task_type != TEXT2MUSIC:
        return plan
    if llm is not None and llm.llm_initialized:
        if wants_codes or wants_cot:
            _think(llm, params, config, plan, report)
    elif wants_codes:
        raise ValueError(
            "thinking=True needs a planner, and LLM not initialized: call LLMHandler.initialize first, or set "
            "thinking=False."
        )
    elif wants_cot:
        plan.notes.append("No planner is initialized: metadata, caption and language stay as given.")
    return plan


def _think(llm: LLMHandler, params: GenerationParams, config: GenerationConfig, plan: _Plan, report: Progress) -> None:
    """Let the planner complete *plan*, chunk by chunk; all chunks share the metadata that the first one wrote."""
    wants_codes = params.thinking and not params.audio_codes.strip()
    chunk = config.lm_batch_chunk_size or len(plan.seeds)
    codes: list[str] = []
    for start in range(0, len(plan.seeds), chunk):
        seeds = plan.seeds[start : start + chunk]
        result = llm.generate_with_stop_condition(
            caption=params.caption,
            lyrics=params.lyrics,
            infer_type="llm_dit" if wants_codes else "dit",
            temperature=params.lm_temperature,
            cfg_scale=params.lm_cfg_scale,
            negative_prompt=params.lm_negative_prompt,
            top_k=params.lm_top_k or None,
            top_p=params.lm_top_p if 0 < params.lm_top_p < 1 else None,
            use_constrained_decoding=params.use_constrained_decoding,
            constrained_decoding_debug=config.constrained_decoding_debug,
            target_duration=plan.duration_s,
            user_metadata=plan.metadata or _user_metadata(plan) or None,
            use_cot_metas=params.use_cot_metas,
            use_cot_caption=params.use_cot_caption,
            use_cot_language=params.use_cot_language,
            batch_size=len(seeds),
            seeds=seeds,
            progress=report,
        )
        if not result["success"]:
            raise RuntimeError(f"LM generation failed: {result['error']}")
        _add_costs(plan, result["extra_outputs"])
        metadata = result["metadata"]
        if plan.metadata is None:
            plan.metadata = metadata[0] if isinstance(metadata, list) else metadata
            _merge(params, plan, plan.metadata)
        new = result["audio_codes"]
        codes.extend(new if isinstance(new, list) else [new])
    if wants_codes:
        plan.codes = codes


def _user_metadata(plan: _Plan) -> dict[str, Any]:
    given = {
        "bpm": plan.bpm,
        "keyscale": plan.keyscale,
        "timesignature": plan.timesignature,
        "duration": int(plan.duration_s) if plan.duration_s else None,
    }
    return {key: value for key, value in given.items() if value}


def _add_costs(plan: _Plan, extra: Mapping[str, Any]) -> None:
    costs = extra["time_costs"]
    new = {
        "lm_phase1_time": costs["phase1_time"],
        "lm_phase2_time": costs.get("phase2_time", 0.0),
        "lm_total_time": costs["total_time"],
        **{part: costs[part.removeprefix("lm_")] for part in LM_PARTS},
    }
    plan.times = {key: plan.times.get(key, 0.0) + value for key, value in new.items()}
    counts = {f"lm_{key}": value for key, value in extra["counts"].items()}
    plan.counts = {key: plan.counts.get(key, 0) + value for key, value in counts.items()}


def _merge(params: GenerationParams, plan: _Plan, metadata: Mapping[str, Any]) -> None:
    """Fill what the caller left open with the planner's *metadata*, and note it in ``params.cot_*``."""
    if plan.bpm is None and isinstance(metadata.get("bpm"), int):
        plan.bpm = params.cot_bpm = metadata["bpm"]
    if not plan.keyscale and metadata.get("keyscale"):
        plan.keyscale = params.cot_keyscale = metadata["keyscale"]
    if not plan.timesignature and metadata.get("timesignature"):
        plan.timesignature = params.cot_timesignature = str(metadata["timesignature"])
    if plan.duration_s is None and isinstance(metadata.get("duration"), int):
        plan.duration_s = params.cot_duration = float(metadata["duration"])
    if params.use_cot_caption and metadata.get("caption"):
        plan.caption = params.cot_caption = metadata["caption"]
    if params.use_cot_language and metadata.get("language", "unknown") != "unknown":
        plan.language = params.cot_vocal_language = metadata["language"]


def _synthesize(
    dit: AceStepHandler, params: GenerationParams, plan: _Plan, clock: Clock, report: Progress
) -> dict[str, Any]:
    return dit.generate_music(
        captions=plan.caption,
        lyrics=plan.lyrics,
        global_caption=params.global_caption,
        bpm=plan.bpm,
        key_scale=plan.keyscale,
        time_signature=plan.timesignature,
        vocal_language=plan.language,
        inference_steps=params.inference_steps,
        guidance_scale=params.guidance_scale,
        use_random_seed=False,
        seed=plan.seeds,
        reference_audio=params.reference_audio,
        audio_duration=plan.duration_s,
        batch_size=len(plan.seeds),
        src_audio=params.src_audio,
        audio_code_string=plan.codes,
        repainting_start=params.repainting_start,
        repainting_end=params.repainting_end,
        instruction=params.instruction,
        audio_cover_strength=params.audio_cover_strength,
        cover_noise_strength=params.cover_noise_strength,
        task_type=params.task_type,
        track_name=params.track_name,
        complete_track_classes=params.complete_track_classes,
        use_adg=params.use_adg,
        cfg_interval_start=params.cfg_interval_start,
        cfg_interval_end=params.cfg_interval_end,
        shift=params.shift,
        infer_method=params.infer_method,
        sampler_mode=params.sampler_mode,
        velocity_norm_threshold=params.velocity_norm_threshold,
        velocity_ema_factor=params.velocity_ema_factor,
        timesteps=params.timesteps,
        dcw_enabled=params.dcw_enabled,
        dcw_mode=params.dcw_mode,
        dcw_scaler=params.dcw_scaler,
        dcw_high_scaler=params.dcw_high_scaler,
        dcw_wavelet=params.dcw_wavelet,
        chunk_mask_mode=params.chunk_mask_mode,
        repaint_mode=params.repaint_mode,
        repaint_strength=params.repaint_strength,
        retake_seed=plan.retake_seeds,
        retake_variance=params.retake_variance,
        latent_shift=params.latent_shift,
        latent_rescale=params.latent_rescale,
        progress=report,
        clock=clock,
    )


def _finish(
    made: list[dict[str, Any]],
    params: GenerationParams,
    config: GenerationConfig,
    plan: _Plan,
    save_dir: str | None,
    clock: Clock,
) -> tuple[list[dict[str, Any]], str | None]:
    """Level, fade and save every waveform; returns the audios and what went wrong in saving, if anything."""
    audios: list[dict[str, Any]] = []
    error: str | None = None
    for item, audio in enumerate(made):
        with clock.span("post_process"):
            waveform = _level(audio["tensor"], params)
        described = _describe(params, config, plan, item)
        key = _key(described)
        path = ""
        if save_dir is not None and error is None:
            taken = any(other["key"] == key for other in audios)
            name = f"{key}-{item}" if taken else key
            with clock.span("audio_save"):
                path, error = _save(waveform, Path(save_dir), name, config)
        audios.append(
            {
                "path": path,
                "tensor": waveform,
                "key": key,
                "sample_rate": audio["sample_rate"],
                "params": described,
            }
        )
    return audios, error


def _level(waveform: Tensor, params: GenerationParams) -> Tensor:
    if params.enable_normalization:
        waveform = normalize_peak(waveform, params.normalization_db)
    return fade(waveform, params.fade_in_duration, params.fade_out_duration)


def _describe(params: GenerationParams, config: GenerationConfig, plan: _Plan, item: int) -> dict[str, Any]:
    described = params.to_dict() | {"seed": plan.seeds[item], "audio_format": config.audio_format}
    if params.retake_variance > 0:
        described["retake_seed"] = plan.retake_seeds[item]
    if plan.codes[item]:
        described["audio_codes"] = plan.codes[item]
    if config.audio_format == "mp3":
        described |= {"mp3_bitrate": config.mp3_bitrate, "mp3_sample_rate": config.mp3_sample_rate}
    return described


def _key(described: dict[str, Any]) -> str:
    """32 hex digits of the SHA-256 of the parameters, grouped 8-4-4-4-12."""
    digest = hashlib.sha256(json.dumps(described, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


def _save(waveform: Tensor, folder: Path, name: str, config: GenerationConfig) -> tuple[str, str | None]:
    path = folder / f"{name}.{file_suffix(config.audio_format)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save(
            waveform,
            path,
            config.audio_format,
            mp3_bitrate=config.mp3_bitrate,
            mp3_sample_rate=config.mp3_sample_rate,
        )
    except OSError as error:
        return "", f"The audio was made but not saved: {error}. Choose another save_dir or make room."
    return str(path), None


def _failure(error: str) -> GenerationResult:
    return GenerationResult(status_message=f"Error: {error}", success=False, error=error)
