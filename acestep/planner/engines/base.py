"""What the planner asks of an engine, and what it gets."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from acestep.planner import PlannerError
from acestep.planner.constraint import Constraint
from acestep.planner.sampling import Sampling

MAX_POSITIONS = 8192
"""Largest number of tokens, prompt and output together: 600 s of codes leave 5,192 for the prompt."""
MAX_FREE_TOKENS = 1024
"""Where text without a grammar is cut off."""


@dataclass(frozen=True)
class TextRequest:
    """One text that continues a prompt.

    Attributes:
        prompt: token ids.
        constraint: what the text must look like; None lets the model write any text and control tokens.
        sampling: how tokens are drawn.
        seed: of the draws.
        limit: largest number of new tokens.
        stops: ids of the tokens that end the text.
    """

    prompt: list[int]
    constraint: Constraint | None
    sampling: Sampling
    seed: int
    limit: int
    stops: frozenset[int]


@dataclass(frozen=True)
class TextRun:
    """Text that an engine wrote, and what it took.

    Attributes:
        tokens: ids of the new tokens, the one that ended the text included.
        finish: ``"stop"``, or ``"length"`` where the limit cut it off.
        forwards: calls of the model.
        constrained_s: seconds for grammar and mask; part of the caller's total.
    """

    tokens: list[int]
    finish: str
    forwards: int
    constrained_s: float


@dataclass(frozen=True)
class CodesRequest:
    """Audio codes for ``len(seeds)`` samples of one prompt.

    Attributes:
        prompt: token ids.
        unconditional: token ids of the guidance prompt; None without guidance.
        scale: of the guidance.
        count: exact number of codes a sample; None lets the model end each sample, at *limit* the latest.
        limit: largest number of codes a sample.
        sampling: how codes are drawn.
        seeds: one a sample.
    """

    prompt: list[int]
    unconditional: list[int] | None
    scale: float
    count: int | None
    limit: int
    sampling: Sampling
    seeds: Sequence[int]


@dataclass(frozen=True)
class CodesRun:
    """Codes that an engine wrote, and what it took.

    Attributes:
        codes: one list of code numbers (0..63999) a sample.
        forwards: calls of the model, however many rows each had.
        guidance_s: seconds for guidance; part of the caller's total.
    """

    codes: list[list[int]]
    forwards: int
    guidance_s: float


class Engine(Protocol):
    """One loaded model. Calls come one at a time.

    Attributes:
        name: by which the engine is chosen.
        model: what the engine's library calls the model; for those who need its weights.
        max_positions: largest number of tokens, prompt and output together.
    """

    name: str
    model: Any
    max_positions: int

    def write_text(self, request: TextRequest) -> TextRun:
        """Write the text that *request* asks for. Tokens that must follow cost no call of the model.

        Raises:
            PlannerError: there is no room for prompt and output.
        """
        ...

    def write_codes(self, request: CodesRequest) -> CodesRun:
        """Write the codes that *request* asks for.

        Raises:
            PlannerError: there is no room for prompt and output.
        """
        ...

    def on_device(self) -> AbstractContextManager[None]:
        """Calls in this context are one job: weights that leave the device between jobs stay there until its end."""
        ...

    def close(self) -> None:
        """Free the memory that the model takes up; no call may follow."""
        ...


def check_length(prompt_tokens: int, new_tokens: int, max_positions: int) -> None:
    """Check that prompt and output together have at most *max_positions* tokens.

    Raises:
        PlannerError: they have more.
    """
    if prompt_tokens + new_tokens > max_positions:
        raise PlannerError(
            f"the prompt has {prompt_tokens} tokens and up to {new_tokens} may follow, but the planner has room for "
            f"{max_positions}: shorten the input."
        )
