"""Raw completion: text and codes behind a prompt that the caller has rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from acestep.constants import NO_USER_INPUT
from acestep.planner import PlannerError, prompts
from acestep.planner.codes import format_codes
from acestep.planner.cot_schema import CotSchema
from acestep.planner.options import DecodingOptions
from acestep.planner.output_parsing import END, parse_tokens
from acestep.planner.planner import CodesGuidance, Planner
from acestep.planner.prompts import Prompt, with_cot
from acestep.planner.stats import RequestStats
from acestep.planner.user_metadata import check_text, clamp_target, clean_metadata

PHASES: Final = ("cot", "codes", "understand")
"""Values of ``generation_phase``."""


@dataclass(frozen=True)
class RawPromptConfig:
    """The keys of *cfg* in `LLMHandler.generate_from_formatted_prompt`, and their defaults.

    Attributes:
        temperature, top_k, top_p, repetition_penalty: see `acestep.planner.sampling.Sampling`.
        cfg_scale, negative_prompt: guidance of the codes; it is applied if the scale is above 1.
        target_duration: seconds of codes, and the duration in the chain of thought; None leaves both open.
        user_metadata: fields whose values are fixed in the chain of thought.
        skip_caption, skip_language, skip_genres: leave the field out of the chain of thought.
        generation_phase: ``"cot"`` (a chain of thought, then codes), ``"codes"`` or ``"understand"`` (a chain of
            thought, then lyrics).
        caption, lyrics: the user's texts, for the legacy unconditional prompt.
    """

    temperature: float = 0.6
    cfg_scale: float = 1.0
    negative_prompt: str = NO_USER_INPUT
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0
    target_duration: float | None = None
    user_metadata: Mapping[str, Any] | None = None
    skip_caption: bool = False
    skip_language: bool = False
    skip_genres: bool = False
    generation_phase: str = "cot"
    caption: str = ""
    lyrics: str = ""

    def __post_init__(self) -> None:
        if self.generation_phase not in PHASES:
            shown = ", ".join(map(repr, PHASES))
            raise PlannerError(f"generation_phase {self.generation_phase!r} is not known: use one of {shown}.")

    @classmethod
    def from_cfg(cls, cfg: Mapping[str, Any] | None) -> RawPromptConfig:
        """Make a configuration of the dictionary *cfg*.

        Raises:
            PlannerError: a key or a phase is unknown.
        """
        unknown = sorted(set(cfg or {}) - set(cls.__dataclass_fields__))
        if unknown:
            raise PlannerError(f"unknown cfg key {unknown[0]!r}; known are {', '.join(cls.__dataclass_fields__)}.")
        return cls(**(cfg or {}))

    def decoding(self, *, constrained: bool, debug: bool) -> DecodingOptions:
        """The decoding options of all phases."""
        return DecodingOptions(
            self.temperature, self.top_k, self.top_p, self.repetition_penalty, constrained=constrained, debug=debug
        )

    @property
    def duration_s(self) -> float | None:
        """The target duration in seconds, clamped to the planner's limits; None if it is open."""
        return clamp_target(self.target_duration)

    @property
    def schema(self) -> CotSchema:
        """The schema of the text in the phases ``cot`` and ``understand``.

        Raises:
            PlannerError: a value in the user's metadata is invalid.
        """
        user = clean_metadata(self.user_metadata)
        if self.duration_s is not None:
            user["duration"] = int(self.duration_s)
        skips = {"caption": self.skip_caption, "language": self.skip_language}
        return CotSchema(
            fixed=CotSchema.fixed_fields(user),
            skipped=frozenset(name for name, skip in skips.items() if skip),
            genres=not self.skip_genres,
            lyrics=self.generation_phase == "understand",
        )


def complete_raw_prompt(
    planner: Planner,
    formatted_prompt: str,
    config: RawPromptConfig,
    options: DecodingOptions,
    *,
    stop_at_reasoning: bool,
    legacy_prompt: bool,
    seed: int,
    stats: RequestStats,
) -> str:
    """Generate what follows *formatted_prompt*; returns the new text, control tokens included.

    Raises:
        PlannerError: the request is invalid or too long.
    """
    prompt = Prompt((check_text("formatted_prompt", formatted_prompt),))
    text, duration_s = "", config.duration_s
    if config.generation_phase != "codes":
        with stats.clock.span("phase1"):
            tokens = planner.write_text(prompt, config.schema, options, seed, stats)
        text = planner.vocabulary.decode(tokens)
        if config.generation_phase == "understand" or stop_at_reasoning:
            return text
        controls = planner.vocabulary.control_ids
        cot = planner.vocabulary.decode(token for token in tokens if token not in controls)
        prompt = with_cot(prompt, cot.strip("\n"))
        planned = parse_tokens(planner.vocabulary, tokens).metadata.get("duration")
        duration_s = float(planned) if duration_s is None and planned is not None else duration_s
        text += "\n\n"
    guidance: CodesGuidance | None = None
    if config.cfg_scale > 1.0:
        legacy = (config.caption, config.lyrics) if legacy_prompt else None
        unconditional = prompts.unconditional_prompt(planner.vocabulary.tokenizer, config.negative_prompt, legacy)
        guidance = CodesGuidance(unconditional, config.cfg_scale)
    with stats.clock.span("phase2"):
        (codes,) = planner.write_codes(prompt, guidance, duration_s, options.sampling, [seed], stats)
    return f"{text}{format_codes(codes)}{END}"
