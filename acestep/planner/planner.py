"""The planner: an engine with its vocabulary and grammar, which writes text and audio codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from acestep.constants import CODE_RATE, DURATION_MAX_S, MAX_LYRIC_TOKENS
from acestep.planner.cot_schema import CotSchema
from acestep.planner.engines.base import MAX_FREE_TOKENS, CodesRequest, Engine, TextRequest
from acestep.planner.grammar import Grammar
from acestep.planner.options import DecodingOptions
from acestep.planner.prompts import Prompt
from acestep.planner.sampling import Sampling
from acestep.planner.stats import RequestStats
from acestep.planner.vocabulary import Vocabulary


@dataclass(frozen=True)
class CodesGuidance:
    """Classifier-free guidance of the codes: the unconditional prompt and the guidance scale."""

    prompt: Prompt
    scale: float


class Planner:
    """An engine, its vocabulary and its grammar.

    Attributes:
        engine: runs the model. The planner does not close it; its owner does.
        vocabulary: belongs to the engine's checkpoint.
        grammar: compiled for the vocabulary.
    """

    def __init__(self, engine: Engine, vocabulary: Vocabulary) -> None:
        self.engine = engine
        self.vocabulary = vocabulary
        self.grammar = Grammar(vocabulary)

    def write_text(
        self, prompt: Prompt, schema: CotSchema, options: DecodingOptions, seed: int, stats: RequestStats
    ) -> list[int]:
        """Generate the text of *schema* behind *prompt*; returns its token ids.

        Raises:
            PlannerError: prompt and text are too long for the engine, or a sampling option is out of range.
        """
        vocabulary = self.vocabulary
        limit = schema.max_tokens
        if not options.constrained:
            limit = MAX_FREE_TOKENS + (MAX_LYRIC_TOKENS if schema.lyrics else 0)
        constraint = self.grammar.constraint(schema, debug=options.debug) if options.constrained else None
        run = self.engine.write_text(
            TextRequest(
                prompt=self._encode(prompt, stats),
                constraint=constraint,
                sampling=options.sampling,
                seed=seed,
                limit=limit,
                stops=vocabulary.stops if schema.lyrics else vocabulary.stops | {vocabulary.end_think},
            )
        )
        stats.constrained_s += run.constrained_s
        stats.counts["cot_tokens"] += len(run.tokens)
        stats.counts["forwards"] += run.forwards
        stats.finish["phase1"] = "length" if constraint and constraint.cut else run.finish
        return run.tokens

    def write_codes(
        self,
        prompt: Prompt,
        guidance: CodesGuidance | None,
        duration_s: float | None,
        sampling: Sampling,
        seeds: Sequence[int],
        stats: RequestStats,
    ) -> list[list[int]]:
        """Generate audio codes, five for each second of *duration_s*; returns one list for each seed.

        With *duration_s* None the model decides when a sample ends.

        Raises:
            PlannerError: prompt and codes are too long for the engine.
        """
        limit = CODE_RATE * DURATION_MAX_S
        count = None if duration_s is None else floor(CODE_RATE * duration_s)
        run = self.engine.write_codes(
            CodesRequest(
                prompt=self._encode(prompt, stats),
                unconditional=None if guidance is None else self._encode(guidance.prompt, stats),
                scale=1.0 if guidance is None else guidance.scale,
                count=count,
                limit=limit,
                sampling=sampling,
                seeds=seeds,
            )
        )
        stats.guidance_s += run.guidance_s
        stats.counts["code_tokens"] += sum(map(len, run.codes))
        stats.counts["forwards"] += run.forwards
        ended = ["stop" if len(row) < limit else "length" for row in run.codes]
        stats.finish["phase2"] = ended if count is None else ["count"] * len(run.codes)
        return run.codes

    def _encode(self, prompt: Prompt, stats: RequestStats) -> list[int]:
        ids = self.vocabulary.encode(prompt.pieces)
        stats.counts["prompt_tokens"] += len(ids)
        return ids
