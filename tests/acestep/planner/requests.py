"""What the tests of this folder ask of engines."""

from __future__ import annotations

from acestep.planner.constraint import Constraint
from acestep.planner.engines.base import MAX_FREE_TOKENS, TextRequest
from acestep.planner.sampling import Sampling
from acestep.planner.vocabulary import Vocabulary

GREEDY = Sampling(temperature=0.0)


def text_request(
    vocabulary: Vocabulary,
    prompt: list[int],
    constraint: Constraint | None = None,
    sampling: Sampling = GREEDY,
    *,
    seed: int = 0,
    limit: int | None = None,
) -> TextRequest:
    """A text that ends as phase 1 does."""
    most = constraint.max_tokens if constraint else MAX_FREE_TOKENS
    return TextRequest(prompt, constraint, sampling, seed, limit or most, vocabulary.stops | {vocabulary.end_think})
