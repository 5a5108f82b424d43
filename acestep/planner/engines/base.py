"""What the planner asks of an engine, and what it gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from acestep.planner.grammar import Constraint
from acestep.planner.sampling import Sampling

MAX_POSITIONS = 8192
"""Largest number of tokens, prompt and output together: 600 s of codes leave 5,192 for the prompt."""
MAX_FREE_TOKENS = 1024
"""Where text without a grammar is cut off."""


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
    """One loaded model. Calls come one at a time."""

    name: str
    max_positions: int
    """Largest number of tokens, prompt and output together."""

    def write_text(self, prompt: list[int], constraint: Constraint | None, sampling: Sampling, seed: int) -> TextRun:
        """Continue *prompt* as *constraint* allows; without one until a control token or `MAX_FREE_TOKENS`."""
        ...

    def write_codes(self, request: CodesRequest) -> CodesRun:
        """Write the codes that *request* asks for."""
        ...
