"""Planning a piece in two phases: its metadata (phase 1), then its audio codes (phase 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from acestep.planner import prompts
from acestep.planner.codes import format_codes
from acestep.planner.cot_schema import CotSchema
from acestep.planner.metadata import SongMetadata, has_all_metas
from acestep.planner.options import DecodingOptions
from acestep.planner.output_parsing import parse_tokens
from acestep.planner.planner import CodesGuidance, Planner
from acestep.planner.stats import RequestStats
from acestep.planner.user_metadata import check_text, clamp_duration, clamp_target, clean_metadata


@dataclass(frozen=True)
class PlanRequest:
    """One call of `acestep.llm_inference.LLMHandler.generate_with_stop_condition`.

    Attributes:
        caption, lyrics: the user's texts.
        with_codes: whether phase 2 runs.
        options: the decoding options of both phases.
        guidance_scale: guidance of phase 2; it is applied above 1.
        negative_prompt: what the unconditional prompt says.
        legacy_prompt: whether the unconditional prompt keeps the lyrics, and the caption without a negative prompt.
        target_duration: seconds; None or not positive leaves the duration open.
        user_metadata: fields that the user fixed.
        run_phase1: whether phase 1 may run; it is skipped if the user fixed all of its required fields.
        with_caption, with_language: whether phase 1 writes a caption and the language.
        seeds: one for each sample; phase 1 uses the first.
    """

    caption: str
    lyrics: str
    with_codes: bool
    options: DecodingOptions
    guidance_scale: float
    negative_prompt: str
    legacy_prompt: bool
    target_duration: float | None
    user_metadata: Mapping[str, Any] | None
    run_phase1: bool
    with_caption: bool
    with_language: bool
    seeds: Sequence[int]


@dataclass
class PlanResult:
    """The result of a `PlanRequest`, filled in phase by phase.

    Attributes:
        stats: statistics of both phases.
        metadata: the metadata of the piece.
        codes: code numbers of each sample; None if phase 2 did not run or failed.
    """

    stats: RequestStats
    metadata: SongMetadata = field(default_factory=dict)
    codes: list[list[int]] | None = None

    def as_dict(self, seeds: Sequence[int], error: str | None) -> dict[str, Any]:
        """The dictionary that callers get; metadata and codes are lists if there is more than one seed."""
        batched = len(seeds) > 1
        texts = [format_codes(row) for row in self.codes] if self.codes else [""] * len(seeds)
        counts = [len(row) for row in self.codes or ()]
        extra: dict[str, Any] = {**self.stats.extra_outputs, "seeds": list(seeds)}
        if self.codes is not None:
            extra |= {"codes_counts": counts, "total_codes": sum(counts)} if batched else {"codes_count": counts[0]}
        return {
            "metadata": [dict(self.metadata) for _ in seeds] if batched else self.metadata,
            "audio_codes": texts if batched else texts[0],
            "success": error is None,
            "error": error,
            "extra_outputs": extra,
        }


def generate_plan(
    planner: Planner, request: PlanRequest, result: PlanResult, progress: Callable[[float, str], None]
) -> None:
    """Run the phases of *request* and store what they yield in *result*.

    Raises:
        PlannerError: the request is invalid or too long; *result* holds what was generated before.
    """
    for name in ("caption", "lyrics", "negative_prompt"):
        check_text(name, getattr(request, name))
    user = clean_metadata(request.user_metadata)
    run_phase1 = request.run_phase1 and not has_all_metas(user)
    duration_s = clamp_target(request.target_duration)
    if duration_s is not None:
        user["duration"] = int(duration_s)
    result.metadata = user
    if run_phase1:
        progress(0.1, "Planning metadata")
        with result.stats.clock.span("phase1"):
            result.metadata = _generate_metadata(planner, request, user, result.stats)
    if request.with_codes:
        if duration_s is None and "duration" in result.metadata:
            duration_s = clamp_duration(result.metadata["duration"])
        progress(0.5, "Planning audio codes")
        with result.stats.clock.span("phase2"):
            result.codes = _generate_codes(planner, request, result.metadata, duration_s, result.stats)


def _generate_metadata(planner: Planner, request: PlanRequest, user: SongMetadata, stats: RequestStats) -> SongMetadata:
    """Phase 1: generate the metadata; the fields of *user* are fixed."""
    schema = CotSchema.for_phase1(user, caption=request.with_caption, language=request.with_language)
    prompt = prompts.metadata_prompt(planner.vocabulary.tokenizer, request.caption, request.lyrics)
    tokens = planner.write_text(prompt, schema, request.options, request.seeds[0], stats)
    return parse_tokens(planner.vocabulary, tokens).metadata | user


def _generate_codes(
    planner: Planner, request: PlanRequest, metadata: SongMetadata, duration_s: float | None, stats: RequestStats
) -> list[list[int]]:
    """Phase 2: generate the audio codes, with guidance if its scale is above 1."""
    tokenizer = planner.vocabulary.tokenizer
    piece = request.caption, request.lyrics
    guidance: CodesGuidance | None = None
    if request.guidance_scale > 1.0:
        legacy = piece if request.legacy_prompt else None
        unconditional = prompts.unconditional_prompt(tokenizer, request.negative_prompt, legacy)
        guidance = CodesGuidance(unconditional, request.guidance_scale)
    prompt = prompts.codes_prompt(tokenizer, *piece, metadata)
    return planner.write_codes(prompt, guidance, duration_s, request.options.sampling, request.seeds, stats)
