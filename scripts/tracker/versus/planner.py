"""The planner's engine and transformers' ``generate`` on the same work: codes with guidance, and chain of thought."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from acestep.planner import prompts
from acestep.planner.cot_schema import CotSchema
from acestep.planner.engines import open_engine
from acestep.planner.engines.base import CodesRequest, Engine, TextRequest
from acestep.planner.grammar import Grammar
from acestep.planner.sampling import Sampling
from acestep.planner.vocabulary import Vocabulary
from scripts.tracker.versus.alternation import DisagreementError
from scripts.tracker.versus.planner_variants import PlannerVariant
from scripts.tracker.versus.transformers_planner import TransformersPlanner

CAPTION = "a calm piano ballad with soft strings and a slow build"
LYRICS = "[Verse]\nslow night, the rain is falling\n[Chorus]\nhold on to the light"
METADATA = {
    "bpm": 84,
    "caption": CAPTION,
    "duration": 60,
    "keyscale": "C major",
    "language": "en",
    "timesignature": "4",
}
SAMPLING = Sampling(temperature=0.85, top_p=0.9)
GUIDANCE = 2.0
NO_REPEATS = Sampling(temperature=0.0, repetition_penalty=1e6)
"""Greedy sampling without repeated codes. Otherwise a checkpoint with random weights would repeat one code."""


@dataclass(frozen=True)
class ComparedVariants:
    """Two variants whose speeds are compared, and the name of their work."""

    work: str
    variant: PlannerVariant
    against: PlannerVariant


class PlannerSides:
    """The engine and transformers' model, loaded from one checkpoint, with the work for both.

    Attributes:
        weights_bytes: bytes of the weights that one step of the codes phase reads: all layers, and the rows of the
            codes.
    """

    def __init__(self, folder: Path, *, engine: str, tokens: int, batches: Sequence[int], device: str) -> None:
        """Load *folder* twice, in float32.

        Raises:
            CheckpointError: the folder is incomplete or damaged, or holds another model.
            ValueError: the engine is not available here.
        """
        self._vocabulary = Vocabulary(folder)
        options = {"device": device, "dtype": torch.float32}
        self._engine: Engine = open_engine(engine, folder, self._vocabulary, **options)  # type: ignore[arg-type]
        self._theirs = TransformersPlanner(folder, self._vocabulary, **options)  # type: ignore[arg-type]
        self._grammar = Grammar(self._vocabulary)
        self._tokens, self._batches = tokens, batches
        self.weights_bytes = self._needed_bytes(self._vocabulary.codes.count)

    def variants(self, say: Callable[[str], None]) -> tuple[list[PlannerVariant], list[ComparedVariants]]:
        """Return all variants, and those that are compared. A check that both sides agree also warms them up.

        Raises:
            DisagreementError: the two sides generated different tokens.
        """
        variants, comparisons, single = [], [], None
        for batch in self._batches:
            say(f"warming up and comparing tokens: codes, batch {batch}")
            ours, theirs = self._codes_variants(batch)
            variants += [ours, theirs]
            comparisons.append(ComparedVariants(f"codes, batch {batch}", ours, theirs))
            if batch == 1:
                single = theirs
            elif single is not None:
                comparisons.append(
                    ComparedVariants(f"codes, batch {batch}, against one sample at a time", ours, single)
                )
        say("warming up and comparing tokens: chain of thought")
        ours, theirs = self._text_variants()
        return [*variants, ours, theirs], [*comparisons, ComparedVariants("chain of thought", ours, theirs)]

    def _codes_variants(self, batch: int) -> tuple[PlannerVariant, PlannerVariant]:
        request = self._codes_request(batch)
        greedy = replace(request, sampling=NO_REPEATS)
        run = self._engine.write_codes(greedy)
        _require_equal(f"codes, batch {batch}", run.codes, self._theirs.write_codes(greedy, repeats=False))
        name, tokens, needed_bytes = self._engine.name, batch * self._tokens, run.forwards * self.weights_bytes

        def variant(side: str, generate: Callable[[], object]) -> PlannerVariant:
            return PlannerVariant(f"{side}: codes, batch {batch}", generate, tokens=tokens, needed_bytes=needed_bytes)

        return (
            variant(name, lambda: self._engine.write_codes(request)),
            variant("generate", lambda: self._theirs.write_codes(request)),
        )

    def _text_variants(self) -> tuple[PlannerVariant, PlannerVariant]:
        run = self._engine.write_text(self._text_request())
        _require_equal("chain of thought", [run.tokens], [self._theirs.write_text(self._text_request())])
        name, tokens = self._engine.name, len(run.tokens)
        needed_bytes = run.forwards * self._needed_bytes(self._vocabulary.size)

        def variant(side: str, generate: Callable[[], object]) -> PlannerVariant:
            return PlannerVariant(f"{side}: chain of thought", generate, tokens=tokens, needed_bytes=needed_bytes)

        return (
            variant(name, lambda: self._engine.write_text(self._text_request())),
            variant("generate", lambda: self._theirs.write_text(self._text_request())),
        )

    def _codes_request(self, batch: int) -> CodesRequest:
        tokenizer, encode = self._vocabulary.tokenizer, self._vocabulary.encode
        return CodesRequest(
            prompt=encode(prompts.codes_prompt(tokenizer, CAPTION, LYRICS, METADATA).pieces),
            unconditional=encode(prompts.unconditional_prompt(tokenizer).pieces),
            scale=GUIDANCE,
            count=self._tokens,
            limit=self._tokens,
            sampling=SAMPLING,
            seeds=range(batch),
        )

    def _text_request(self) -> TextRequest:
        constraint = self._grammar.constraint(CotSchema.for_phase1({}, caption=True, language=True))
        prompt = prompts.metadata_prompt(self._vocabulary.tokenizer, CAPTION, LYRICS)
        return TextRequest(
            prompt=self._vocabulary.encode(prompt.pieces),
            constraint=constraint,
            sampling=Sampling(temperature=0.0),
            seed=0,
            limit=constraint.max_tokens,
            stops=self._vocabulary.stops | {self._vocabulary.end_think},
        )

    def _needed_bytes(self, rows: int) -> int:
        """Return the bytes of the weights that one forward pass reads if the head has *rows* rows."""
        model = self._theirs.model
        row_bytes: int = model.lm_head.weight[0].nbytes
        layers: Iterable[Tensor] = model.model.layers.parameters()
        return sum(weight.nbytes for weight in layers) + rows * row_bytes


def _require_equal(work: str, ours: list[list[int]], theirs: list[list[int]]) -> None:
    for row, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        if mine != other:
            pairs = enumerate(zip(mine, other, strict=False))
            position = next((position for position, (a, b) in pairs if a != b), min(len(mine), len(other)))
            raise DisagreementError(
                f"{work}: greedy tokens of sample {row} differ from position {position} on, "
                f"{mine[position : position + 3]} against generate's {other[position : position + 3]}."
            )
