"""Planning a piece: its metadata (phase 1), then its audio codes (phase 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from acestep.planner import prompts
from acestep.planner.codes import format_codes
from acestep.planner.cot_schema import Form
from acestep.planner.metadata import Metadata, has_all_metas
from acestep.planner.output_parsing import read_tokens
from acestep.planner.planner import Decoding, Guidance, Planner
from acestep.planner.stats import Costs
from acestep.planner.user_metadata import check_text, clamp_duration, clean_metadata


@dataclass(frozen=True)
class Request:
    """One call of `acestep.llm_inference.LLMHandler.generate_with_stop_condition`, whose arguments these are."""

    caption: str
    lyrics: str
    wants_codes: bool
    how: Decoding
    scale: float
    negative_prompt: str
    legacy_prompt: bool
    target_s: float | None
    user: Mapping[str, Any] | None
    plans: bool
    plans_caption: bool
    plans_language: bool
    seeds: Sequence[int]


@dataclass
class Result:
    """What a request has yielded so far, and what that took.

    Attributes:
        costs: of both phases.
        metadata: of the piece.
        codes: code numbers of each sample; None where none were asked for or written.
    """

    costs: Costs
    metadata: Metadata = field(default_factory=dict)
    codes: list[list[int]] | None = None

    def public(self, seeds: Sequence[int], error: str | None) -> dict[str, Any]:
        """The dictionary that callers get; lists of metadata and codes where there is more than one seed."""
        batched = len(seeds) > 1
        texts = [format_codes(row) for row in self.codes] if self.codes else [""] * len(seeds)
        counts = [len(row) for row in self.codes or ()]
        extra: dict[str, Any] = {**self.costs.public, "seeds": list(seeds)}
        if self.codes is not None:
            extra |= {"codes_counts": counts, "total_codes": sum(counts)} if batched else {"codes_count": counts[0]}
        return {
            "metadata": [dict(self.metadata) for _ in seeds] if batched else self.metadata,
            "audio_codes": texts if batched else texts[0],
            "success": error is None,
            "error": error,
            "extra_outputs": extra,
        }


def plan(planner: Planner, request: Request, result: Result, progress: Callable[[float, str], None]) -> None:
    """Fulfil *request*, filling *result* as far as it gets.

    Raises:
        PlannerError: the request cannot be fulfilled.
    """
    for name in ("caption", "lyrics", "negative_prompt"):
        check_text(name, getattr(request, name))
    user = clean_metadata(request.user)
    plans = request.plans and not has_all_metas(user)
    seconds: float | None = None
    if request.target_s is not None and not request.target_s <= 0:
        seconds = clamp_duration(request.target_s)
        user["duration"] = int(seconds)
    result.metadata = user
    if plans:
        progress(0.1, "Planning metadata")
        with result.costs.clock.span("phase1"):
            result.metadata = _plan_metadata(planner, request, user, result.costs)
    if request.wants_codes:
        if seconds is None and "duration" in result.metadata:
            seconds = clamp_duration(result.metadata["duration"])
        progress(0.5, "Planning audio codes")
        with result.costs.clock.span("phase2"):
            result.codes = _write_codes(planner, request, result.metadata, seconds, result.costs)


def _plan_metadata(planner: Planner, request: Request, user: Metadata, costs: Costs) -> Metadata:
    """Phase 1: let the model write the metadata around those of *user*."""
    form = Form.of(user, caption=request.plans_caption, language=request.plans_language)
    prompt = prompts.metadata_prompt(planner.vocabulary.tokenizer, request.caption, request.lyrics)
    tokens = planner.write_text(prompt, form, request.how, request.seeds[0], costs)
    return read_tokens(planner.vocabulary, tokens).metadata | user


def _write_codes(
    planner: Planner, request: Request, metadata: Metadata, seconds: float | None, costs: Costs
) -> list[list[int]]:
    """Phase 2, led away from the negative prompt if the scale is above 1."""
    tokenizer = planner.vocabulary.tokenizer
    piece = request.caption, request.lyrics
    guidance: Guidance | None = None
    if request.scale > 1.0:
        legacy = piece if request.legacy_prompt else None
        guidance = Guidance(prompts.unconditional_prompt(tokenizer, request.negative_prompt, legacy), request.scale)
    prompt = prompts.codes_prompt(tokenizer, *piece, metadata)
    return planner.write_codes(prompt, guidance, seconds, request.how.sampling, request.seeds, costs)
