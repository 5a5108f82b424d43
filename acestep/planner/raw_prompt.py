"""Continuing a prompt that the caller has rendered, for those who want a model's text and not its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from acestep.constants import NO_USER_INPUT
from acestep.planner import PlannerError, prompts
from acestep.planner.codes import format_codes
from acestep.planner.cot_schema import Form
from acestep.planner.output_parsing import END, read_tokens
from acestep.planner.planner import Decoding, Guidance, Planner
from acestep.planner.prompts import Prompt, with_thought
from acestep.planner.sampling import Sampling
from acestep.planner.stats import Costs
from acestep.planner.user_metadata import check_text, clamp_duration, clean_metadata

PHASES: Final = ("cot", "codes", "understand")


@dataclass(frozen=True)
class Settings:
    """How a prompt is continued; the keys of *cfg* in `LLMHandler.generate_from_formatted_prompt`.

    Attributes:
        temperature, top_k, top_p, repetition_penalty: see `acestep.planner.sampling.Sampling`.
        cfg_scale, negative_prompt: guidance of codes.
        target_duration: seconds of codes, and the duration in the chain of thought; None leaves both open.
        user_metadata: fields that stand fast in the chain of thought.
        skip_caption, skip_language, skip_genres: fields that are left out of it.
        generation_phase: ``"cot"`` (a chain of thought, then codes), ``"codes"`` or ``"understand"`` (a chain of
            thought, then lyrics).
        caption, lyrics: of the piece, for the legacy unconditional prompt.
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
    def of(cls, cfg: Mapping[str, Any] | None) -> Settings:
        """The settings in *cfg*.

        Raises:
            PlannerError: a key or a phase is unknown.
        """
        unknown = sorted(set(cfg or {}) - set(cls.__dataclass_fields__))
        if unknown:
            raise PlannerError(f"unknown cfg key {unknown[0]!r}; known are {', '.join(cls.__dataclass_fields__)}.")
        return cls(**(cfg or {}))

    @property
    def sampling(self) -> Sampling:
        """How tokens are drawn."""
        return Sampling(self.temperature, self.top_k, self.top_p, self.repetition_penalty)

    @property
    def seconds(self) -> float | None:
        """The target, within the planner's limits."""
        open_ended = self.target_duration is None or self.target_duration <= 0
        return None if open_ended else clamp_duration(self.target_duration)

    @property
    def form(self) -> Form:
        """What the text must look like."""
        user = clean_metadata(self.user_metadata)
        if self.seconds is not None:
            user["duration"] = int(self.seconds)
        return Form(
            forced=Form.forced_by(user),
            skipped=frozenset(name for name in ("caption", "language") if getattr(self, f"skip_{name}")),
            genres=not self.skip_genres,
            lyrics=self.generation_phase == "understand",
        )


def complete(
    planner: Planner,
    formatted_prompt: str,
    settings: Settings,
    how: Decoding,
    *,
    stop_at_reasoning: bool,
    legacy_prompt: bool,
    seed: int,
    costs: Costs,
) -> str:
    """The new text behind *formatted_prompt*, control tokens included.

    Raises:
        PlannerError: the request cannot be fulfilled.
    """
    prompt = Prompt((check_text("formatted_prompt", formatted_prompt),))
    text, seconds = "", settings.seconds
    if settings.generation_phase != "codes":
        with costs.clock.span("phase1"):
            tokens = planner.write_text(prompt, settings.form, how, seed, costs)
        text = planner.vocabulary.decode(tokens)
        if settings.generation_phase == "understand" or stop_at_reasoning:
            return text
        controls = planner.vocabulary.control_ids
        thought = planner.vocabulary.decode(token for token in tokens if token not in controls)
        prompt = with_thought(prompt, thought.strip("\n"))
        planned = read_tokens(planner.vocabulary, tokens).metadata.get("duration")
        seconds = float(planned) if seconds is None and planned is not None else seconds
        text += "\n\n"
    guidance: Guidance | None = None
    if settings.cfg_scale > 1.0:
        legacy = (settings.caption, settings.lyrics) if legacy_prompt else None
        unconditional = prompts.unconditional_prompt(planner.vocabulary.tokenizer, settings.negative_prompt, legacy)
        guidance = Guidance(unconditional, settings.cfg_scale)
    with costs.clock.span("phase2"):
        (codes,) = planner.write_codes(prompt, guidance, seconds, how.sampling, [seed], costs)
    return f"{text}{format_codes(codes)}{END}"
