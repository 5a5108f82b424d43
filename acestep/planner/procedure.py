"""The two phases of planning, on whatever engine is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import floor
from typing import Any

from acestep.clock import Clock
from acestep.constants import CODE_RATE, DURATION_MAX_S
from acestep.planner import PlannerError, prompts
from acestep.planner.codes import format_codes
from acestep.planner.engines.base import MAX_FREE_TOKENS, CodesRequest, Engine, TextRequest
from acestep.planner.grammar import Form, Grammar
from acestep.planner.metadata import Metadata, clamp_duration, clean_metadata, read_yaml
from acestep.planner.sampling import Sampling
from acestep.planner.vocabulary import Vocabulary


@dataclass(frozen=True)
class Request:
    """One call of `acestep.llm_inference.LLMHandler.generate_with_stop_condition`, whose arguments these are."""

    caption: str
    lyrics: str
    wants_codes: bool
    sampling: Sampling
    scale: float
    negative_prompt: str
    constrained: bool
    target_s: float | None
    user: Mapping[str, Any]
    plans: bool
    plans_caption: bool
    plans_language: bool
    seeds: Sequence[int]


@dataclass
class Result:
    """What a request has yielded so far, and what that took.

    Attributes:
        clock: has the spans ``phase1`` and ``phase2``.
        metadata: of the piece.
        codes: code numbers of each sample; None where none were asked for or written.
        constrained_s: seconds for grammar and masks, inside phase 1.
        guidance_s: seconds for guidance, inside phase 2.
    """

    clock: Clock
    metadata: Metadata = field(default_factory=dict)
    codes: list[list[int]] | None = None
    constrained_s: float = 0.0
    guidance_s: float = 0.0
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("prompt_tokens", "cot_tokens", "code_tokens", "forwards"), 0)
    )

    @property
    def time_costs(self) -> dict[str, float]:
        """Seconds; token generation, constrained decoding and guidance add up to the total of the two phases."""
        phase1, phase2 = self.clock.seconds("phase1"), self.clock.seconds("phase2")
        return {
            "phase1_time": phase1,
            "phase2_time": phase2,
            "total_time": phase1 + phase2,
            "token_generation_time": phase1 + phase2 - self.constrained_s - self.guidance_s,
            "constrained_decoding_time": self.constrained_s,
            "cfg_time": self.guidance_s,
        }

    def public(self, seeds: Sequence[int], error: str | None) -> dict[str, Any]:
        """The dictionary that callers get; lists of metadata and codes where there is more than one seed."""
        batched = len(seeds) > 1
        texts = [format_codes(row) for row in self.codes] if self.codes else [""] * len(seeds)
        counts = [len(row) for row in self.codes or ()]
        extra: dict[str, Any] = {"time_costs": self.time_costs, "counts": self.counts, "seeds": list(seeds)}
        if self.codes is not None:
            extra |= {"codes_counts": counts, "total_codes": sum(counts)} if batched else {"codes_count": counts[0]}
        return {
            "metadata": [dict(self.metadata) for _ in seeds] if batched else self.metadata,
            "audio_codes": texts if batched else texts[0],
            "success": error is None,
            "error": error,
            "extra_outputs": extra,
        }


class Planner:
    """An engine, its vocabulary, and the phases that use them.

    Attributes:
        engine: is given; whoever drops the planner closes it.
    """

    def __init__(self, engine: Engine, vocabulary: Vocabulary) -> None:
        self.engine = engine
        self._vocabulary = vocabulary
        self._grammar = Grammar(vocabulary)

    def run(self, request: Request, result: Result, progress: Callable[[float, str], None]) -> None:
        """Fulfil *request*, filling *result* as far as it gets.

        Raises:
            PlannerError: the request cannot be fulfilled.
        """
        user = clean_metadata(request.user)
        seconds: float | None = None
        if request.target_s is not None and not request.target_s <= 0:
            seconds = clamp_duration(request.target_s)
            user["duration"] = int(seconds)
        result.metadata = user
        if request.plans:
            progress(0.1, "Planning metadata")
            with result.clock.span("phase1"):
                result.metadata = self._plan_metadata(request, user, result)
        if request.wants_codes:
            if seconds is None and isinstance(result.metadata.get("duration"), int):
                seconds = clamp_duration(result.metadata["duration"])
            progress(0.5, "Planning audio codes")
            with result.clock.span("phase2"):
                result.codes = self._write_codes(request, seconds, result)

    def _plan_metadata(self, request: Request, user: Metadata, result: Result) -> Metadata:
        """Phase 1: let the model write the metadata around those of *user*."""
        form = Form.of(user, caption=request.plans_caption, language=request.plans_language)
        constraint = self._grammar.constraint(form) if request.constrained else None
        prompt = prompts.metadata_prompt(self._vocabulary.tokenizer, request.caption, request.lyrics)
        run = self.engine.write_text(
            TextRequest(
                prompt=self._encode(prompt, result),
                constraint=constraint,
                sampling=request.sampling,
                seed=request.seeds[0],
                limit=constraint.max_tokens if constraint else MAX_FREE_TOKENS,
                stops=self._vocabulary.stops | {self._vocabulary.end_think},
            )
        )
        result.constrained_s += run.constrained_s
        result.counts["cot_tokens"] += len(run.tokens)
        result.counts["forwards"] += run.forwards
        controls = self._vocabulary.controls.values()
        thought = self._vocabulary.decode(token for token in run.tokens if token not in controls)
        return read_yaml(thought) | user

    def _write_codes(self, request: Request, seconds: float | None, result: Result) -> list[list[int]]:
        """Phase 2: five codes for each of *seconds*, or as many as the model likes if there are none."""
        tokenizer = self._vocabulary.tokenizer
        prompt = prompts.codes_prompt(tokenizer, request.caption, request.lyrics, result.metadata)
        unconditional: list[int] | None = None
        if request.scale > 1.0:
            unconditional = self._encode(prompts.unconditional_prompt(tokenizer, request.negative_prompt), result)
        run = self.engine.write_codes(
            CodesRequest(
                prompt=self._encode(prompt, result),
                unconditional=unconditional,
                scale=request.scale,
                count=None if seconds is None else floor(CODE_RATE * seconds),
                limit=CODE_RATE * DURATION_MAX_S,
                sampling=request.sampling,
                seeds=request.seeds,
            )
        )
        result.guidance_s += run.guidance_s
        result.counts["code_tokens"] += sum(map(len, run.codes))
        result.counts["forwards"] += run.forwards
        return run.codes

    def _encode(self, prompt: prompts.Prompt, result: Result) -> list[int]:
        ids = self._vocabulary.encode(prompt.pieces)
        result.counts["prompt_tokens"] += len(ids)
        if len(ids) >= self.engine.max_positions:
            raise PlannerError(
                f"the prompt has {len(ids)} tokens, the planner reads at most {self.engine.max_positions}: "
                "shorten caption or lyrics."
            )
        return ids
