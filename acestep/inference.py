"""The public functions: `generate_music` runs planner and synthesizer and saves the audio.

The functions of `acestep.planner_api`, which need only the planner, can be imported from here.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from acestep.audio.levels import fade, normalize_peak
from acestep.audio.write import file_suffix, save
from acestep.handler import AceStepHandler
from acestep.llm_inference import LLMHandler
from acestep.memory.limit import outside_limit
from acestep.params import GenerationConfig, GenerationParams, GenerationResult
from acestep.planner_api import (
    CreateSampleResult,
    FormatSampleResult,
    UnderstandResult,
    create_sample,
    format_sample,
    understand_music,
)
from acestep.progress import ProgressCallback, no_progress
from acestep.request import GenerationRequest
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
    progress: ProgressCallback | None = None,
) -> GenerationResult:
    """Generate ``config.batch_size`` items of music.

    Args:
        dit_handler: the synthesizer, initialised.
        llm_handler: the planner, initialised; ``params.thinking`` needs one. Without a planner the chain-of-thought
            switches have no effect.
        params: describes the music. Its ``cot_*`` fields are filled in with what the planner chose.
        config: number of items, seeds and file format.
        save_dir: folder for the audio files, which is created if it is missing; None saves none.
        progress: called as ``progress(fraction, desc=text)``.

    Returns:
        The audios, or a failure with ``error``. Audio that could not be saved is returned with the error.
    """
    clock = Clock(dit_handler.device)
    start = clock.now()
    report = progress or no_progress
    try:
        params.validate()
        config.validate()
        plan = _plan(dit_handler, llm_handler, params, config, report)
        request = replace(plan.request, progress=report, clock=clock)
        generated = dit_handler.generate_music(**request.keywords())
        if not generated["success"]:
            return _failure(generated["error"])
        with outside_limit():
            audios, save_error = _finish(generated["audios"], params, config, plan, save_dir, clock)
    except (ValueError, OSError, RuntimeError) as error:
        logger.debug("generate_music failed", exc_info=True)
        return _failure(str(error))
    extra = generated["extra_outputs"]
    extra["counts"] |= plan.counts
    extra["lm_metadata"] = plan.metadata
    extra["time_costs"] = time_costs(clock, plan.times, clock.now() - start)
    return GenerationResult(
        audios=audios,
        status_message=" ".join([*plan.notes, save_error or generated["status_message"]]),
        extra_outputs=extra,
        success=save_error is None,
        error=save_error,
    )


@dataclass
class _Plan:
    """The request to the synthesizer: the caller's parameters, completed by the planner.

    Attributes:
        request: the request.
        seeds: the seed of each item.
        retake_seeds: the seed of each item's retake noise.
        codes: the audio codes of each item as text; empty without codes.
        metadata: what the planner wrote, or None.
        times: the planner's ``time_costs``.
        counts: the planner's counts of tokens and forward passes.
        notes: sentences for the status message.
    """

    request: GenerationRequest
    seeds: list[int]
    retake_seeds: list[int]
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
    report: ProgressCallback,
) -> _Plan:
    batch = config.batch_size or 1
    seed = params.seed if config.seeds is None else config.seeds
    seeds, _ = dit.prepare_seeds(batch, seed, config.use_random_seed)
    retake_seeds, _ = dit.prepare_seeds(batch, params.retake_seed, params.retake_seed is None)
    request = replace(params.request(), batch_size=batch, seed=seeds, retake_seed=retake_seeds, use_random_seed=False)
    plan = _Plan(request, seeds, retake_seeds, codes=[params.audio_codes] * batch)
    wants_codes = params.thinking and not params.audio_codes.strip()
    wants_cot = params.use_cot_metas or params.use_cot_caption or params.use_cot_language
    if params.task_type == TEXT2MUSIC and (wants_codes or wants_cot):
        if llm is not None and llm.llm_initialized:
            _run_planner(llm, params, config, plan, wants_codes, report)
        elif wants_codes:
            raise ValueError(
                "thinking=True needs a planner, and LLM not initialized: call LLMHandler.initialize first, or set "
                "thinking=False."
            )
        else:
            plan.notes.append("No planner is initialized: metadata, caption and language stay as given.")
    plan.request = replace(plan.request, audio_code_string=plan.codes)
    return plan


def _run_planner(
    llm: LLMHandler,
    params: GenerationParams,
    config: GenerationConfig,
    plan: _Plan,
    wants_codes: bool,
    report: ProgressCallback,
) -> None:
    """Complete *plan* with the planner, chunk by chunk; all chunks share the metadata that the first one wrote."""
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
            target_duration=plan.request.audio_duration,
            user_metadata=plan.metadata or _user_metadata(plan.request) or None,
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
            plan.request = _completed(plan.request, params, plan.metadata)
        new = result["audio_codes"]
        codes.extend(new if isinstance(new, list) else [new])
    if wants_codes:
        plan.codes = codes


def _user_metadata(request: GenerationRequest) -> dict[str, Any]:
    """The metadata that the caller gave, as the planner takes it."""
    given = {
        "bpm": request.bpm,
        "keyscale": request.key_scale,
        "timesignature": request.time_signature,
        "duration": int(request.audio_duration) if request.audio_duration else None,
    }
    return {key: value for key, value in given.items() if value}


def _add_costs(plan: _Plan, extra: Mapping[str, Any]) -> None:
    """Add the times and counts of one call of the planner."""
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


def _completed(request: GenerationRequest, params: GenerationParams, metadata: Mapping[str, Any]) -> GenerationRequest:
    """*request* with the planner's *metadata* where the caller gave none; ``params.cot_*`` are set to the same."""
    changes: dict[str, Any] = {}
    if request.bpm is None and isinstance(metadata.get("bpm"), int):
        changes["bpm"] = params.cot_bpm = metadata["bpm"]
    if not request.key_scale and metadata.get("keyscale"):
        changes["key_scale"] = params.cot_keyscale = metadata["keyscale"]
    if not request.time_signature and metadata.get("timesignature"):
        changes["time_signature"] = params.cot_timesignature = str(metadata["timesignature"])
    if request.audio_duration is None and isinstance(metadata.get("duration"), int):
        changes["audio_duration"] = params.cot_duration = float(metadata["duration"])
    if params.use_cot_caption and metadata.get("caption"):
        changes["captions"] = params.cot_caption = metadata["caption"]
    if params.use_cot_language and metadata.get("language", "unknown") != "unknown":
        changes["vocal_language"] = params.cot_vocal_language = metadata["language"]
    return replace(request, **changes)


def _finish(
    generated: list[dict[str, Any]],
    params: GenerationParams,
    config: GenerationConfig,
    plan: _Plan,
    save_dir: str | None,
    clock: Clock,
) -> tuple[list[dict[str, Any]], str | None]:
    """Normalise, fade and save every waveform; returns the audios, and an error message if saving failed."""
    audios: list[dict[str, Any]] = []
    error: str | None = None
    for item, audio in enumerate(generated):
        with clock.span("post_process"):
            waveform = _post_process(audio["tensor"], params)
        item_params = _item_params(params, config, plan, item)
        key = _key(item_params)
        path = ""
        if save_dir is not None and error is None:
            duplicate = any(other["key"] == key for other in audios)
            name = f"{key}-{item}" if duplicate else key
            with clock.span("audio_save"):
                path, error = _save(waveform, Path(save_dir), name, config)
        audios.append(
            {
                "path": path,
                "tensor": waveform,
                "key": key,
                "sample_rate": audio["sample_rate"],
                "params": item_params,
            }
        )
    return audios, error


def _post_process(waveform: Tensor, params: GenerationParams) -> Tensor:
    if params.enable_normalization:
        waveform = normalize_peak(waveform, params.normalization_db)
    return fade(waveform, params.fade_in_duration, params.fade_out_duration)


def _item_params(params: GenerationParams, config: GenerationConfig, plan: _Plan, item: int) -> dict[str, Any]:
    item_params = params.to_dict() | {"seed": plan.seeds[item], "audio_format": config.audio_format}
    if params.retake_variance > 0:
        item_params["retake_seed"] = plan.retake_seeds[item]
    if plan.codes[item]:
        item_params["audio_codes"] = plan.codes[item]
    if config.audio_format == "mp3":
        item_params |= {"mp3_bitrate": config.mp3_bitrate, "mp3_sample_rate": config.mp3_sample_rate}
    return item_params


def _key(item_params: dict[str, Any]) -> str:
    """The first 32 hex digits of the SHA-256 of the parameters, grouped 8-4-4-4-12."""
    digest = hashlib.sha256(json.dumps(item_params, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
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
