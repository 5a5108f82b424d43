"""The two phases of planning, and the text of descriptions, on whatever engine is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from acestep.constants import CODE_RATE, DURATION_MAX_S, MAX_LYRIC_TOKENS
from acestep.planner import PlannerError
from acestep.planner.cot_schema import Form
from acestep.planner.engines.base import MAX_FREE_TOKENS, CodesRequest, Engine, TextRequest
from acestep.planner.grammar import Grammar
from acestep.planner.prompts import Prompt
from acestep.planner.sampling import Sampling
from acestep.planner.stats import Costs
from acestep.planner.vocabulary import Vocabulary


@dataclass(frozen=True)
class Decoding:
    """How text is written: how tokens are drawn, held to its form or not, with every decision logged or not."""

    sampling: Sampling
    constrained: bool = True
    debug: bool = False


@dataclass(frozen=True)
class Guidance:
    """Away from what, and how far, codes are led: *prompt* is the unconditional one."""

    prompt: Prompt
    scale: float


class Planner:
    """An engine, its vocabulary and its grammar.

    Attributes:
        engine: is given; whoever drops the planner closes it.
        vocabulary: of the engine's checkpoint.
        grammar: for the vocabulary.
    """

    def __init__(self, engine: Engine, vocabulary: Vocabulary) -> None:
        self.engine = engine
        self.vocabulary = vocabulary
        self.grammar = Grammar(vocabulary)

    def write_text(self, prompt: Prompt, form: Form, how: Decoding, seed: int, costs: Costs) -> list[int]:
        """The tokens of one answer of *form*.

        Raises:
            PlannerError: there is no room for prompt and answer.
        """
        vocabulary = self.vocabulary
        limit = form.max_tokens if how.constrained else MAX_FREE_TOKENS + (MAX_LYRIC_TOKENS if form.lyrics else 0)
        ids = self._encode(prompt, limit, costs)
        constraint = self.grammar.constraint(form, debug=how.debug) if how.constrained else None
        run = self.engine.write_text(
            TextRequest(
                prompt=ids,
                constraint=constraint,
                sampling=how.sampling,
                seed=seed,
                limit=limit,
                stops=vocabulary.stops if form.lyrics else vocabulary.stops | {vocabulary.end_think},
            )
        )
        costs.constrained_s += run.constrained_s
        costs.counts["cot_tokens"] += len(run.tokens)
        costs.counts["forwards"] += run.forwards
        costs.finish["phase1"] = "length" if constraint and constraint.cut else run.finish
        return run.tokens

    def write_codes(
        self,
        prompt: Prompt,
        guidance: Guidance | None,
        seconds: float | None,
        sampling: Sampling,
        seeds: Sequence[int],
        costs: Costs,
    ) -> list[list[int]]:
        """Five codes for each of *seconds*, or as many as the model likes if there are none; one row a seed.

        Raises:
            PlannerError: there is no room for prompt and codes.
        """
        limit = CODE_RATE * DURATION_MAX_S
        count = None if seconds is None else floor(CODE_RATE * seconds)
        run = self.engine.write_codes(
            CodesRequest(
                prompt=self._encode(prompt, count or limit, costs),
                unconditional=None if guidance is None else self._encode(guidance.prompt, count or limit, costs),
                scale=1.0 if guidance is None else guidance.scale,
                count=count,
                limit=limit,
                sampling=sampling,
                seeds=seeds,
            )
        )
        costs.guidance_s += run.guidance_s
        costs.counts["code_tokens"] += sum(map(len, run.codes))
        costs.counts["forwards"] += run.forwards
        ended = ["stop" if len(row) < limit else "length" for row in run.codes]
        costs.finish["phase2"] = ended if count is None else ["count"] * len(run.codes)
        return run.codes

    def _encode(self, prompt: Prompt, new: int, costs: Costs) -> list[int]:
        ids = self.vocabulary.encode(prompt.pieces)
        costs.counts["prompt_tokens"] += len(ids)
        if len(ids) + new > self.engine.max_positions:
            raise PlannerError(
                f"the prompt has {len(ids)} tokens and up to {new} may follow, but the planner has room for "
                f"{self.engine.max_positions}: shorten what it is given."
            )
        return ids
