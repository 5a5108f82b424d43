"""The planner's engine against transformers' ``generate``: codes with guidance, and the chain of thought."""

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
from scripts.tracker.versus.plain import Plain
from scripts.tracker.versus.variants import Lane

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
NEVER_TWICE = Sampling(temperature=0.0, repetition_penalty=1e6)
"""Greedy, but not the one code that the random weights of a synthetic checkpoint like best again and again."""


@dataclass(frozen=True)
class Comparison:
    """Two lanes, and what the first is to the second."""

    text: str
    lane: Lane
    against: Lane


class PlannerRace:
    """Both sides loaded from one checkpoint, and the work that they are given.

    Attributes:
        weights_bytes: of the weights that a step of the codes phase needs: all layers and the rows of the codes.
    """

    def __init__(self, folder: Path, *, engine: str, tokens: int, batches: Sequence[int], device: str) -> None:
        """Load *folder* twice, in float32.

        Raises:
            CheckpointError: the folder is incomplete or damaged, or holds another model.
            ValueError: there is no such engine here.
        """
        self._vocabulary = Vocabulary(folder)
        options = {"device": device, "dtype": torch.float32}
        self._engine: Engine = open_engine(engine, folder, self._vocabulary, **options)  # type: ignore[arg-type]
        self._plain = Plain(folder, self._vocabulary, **options)  # type: ignore[arg-type]
        self._grammar = Grammar(self._vocabulary)
        self._tokens, self._batches = tokens, batches
        self.weights_bytes = self._needed(self._vocabulary.codes.count)

    def lanes(self, say: Callable[[str], None]) -> tuple[list[Lane], list[Comparison]]:
        """The lanes, after checking (and so warming up) that they agree, and which of them are compared.

        Raises:
            DisagreementError: the two sides wrote different tokens.
        """
        lanes, comparisons, alone = [], [], None
        for batch in self._batches:
            say(f"warming up and comparing tokens: codes, batch {batch}")
            ours, theirs = self._codes_lanes(batch)
            lanes += [ours, theirs]
            comparisons.append(Comparison(f"codes, batch {batch}", ours, theirs))
            if batch == 1:
                alone = theirs
            elif alone is not None:
                comparisons.append(Comparison(f"codes, batch {batch}, against one after another", ours, alone))
        say("warming up and comparing tokens: chain of thought")
        ours, theirs = self._text_lanes()
        return [*lanes, ours, theirs], [*comparisons, Comparison("chain of thought", ours, theirs)]

    def _codes_lanes(self, batch: int) -> tuple[Lane, Lane]:
        request = self._codes_request(batch)
        greedy = replace(request, sampling=NEVER_TWICE)
        run = self._engine.write_codes(greedy)
        _compare(f"codes, batch {batch}", run.codes, self._plain.write_codes(greedy, repeats=False))
        tokens, needed = batch * self._tokens, run.forwards * self.weights_bytes
        name = self._engine.name
        return (
            Lane(f"{name}: codes, batch {batch}", tokens, needed, lambda: self._engine.write_codes(request)),
            Lane(f"generate: codes, batch {batch}", tokens, needed, lambda: self._plain.write_codes(request)),
        )

    def _text_lanes(self) -> tuple[Lane, Lane]:
        run = self._engine.write_text(self._text_request())
        _compare("chain of thought", [run.tokens], [self._plain.write_text(self._text_request())])
        needed = run.forwards * self._needed(self._vocabulary.size)
        name, tokens = self._engine.name, len(run.tokens)
        return (
            Lane(f"{name}: chain of thought", tokens, needed, lambda: self._engine.write_text(self._text_request())),
            Lane("generate: chain of thought", tokens, needed, lambda: self._plain.write_text(self._text_request())),
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

    def _needed(self, rows: int) -> int:
        """Bytes of the weights that a call of the model reads if its head has *rows* rows."""
        model = self._plain.model
        row_bytes: int = model.lm_head.weight[0].nbytes
        layers: Iterable[Tensor] = model.model.layers.parameters()
        return sum(weight.nbytes for weight in layers) + rows * row_bytes


def _compare(work: str, ours: list[list[int]], theirs: list[list[int]]) -> None:
    for row, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        if mine != other:
            pairs = enumerate(zip(mine, other, strict=False))
            place = next((place for place, (a, b) in pairs if a != b), min(len(mine), len(other)))
            raise DisagreementError(
                f"{work}: greedy tokens of sample {row} differ from place {place} on, "
                f"{mine[place : place + 3]} against generate's {other[place : place + 3]}."
            )
