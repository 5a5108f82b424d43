"""The interface of an engine: requests, results, and the loops that all engines share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from acestep.planner import PlannerError
from acestep.planner.constraint import Constraint
from acestep.planner.sampling import Sampling

MAX_POSITIONS: Final = 8192
"""Largest number of tokens, prompt and output together: 600 s of codes leave 5,192 for the prompt."""
MAX_FREE_TOKENS: Final = 1024
"""Largest number of new tokens of a text without a grammar."""
END_CHECK_INTERVAL: Final = 16
"""Steps between two checks whether all samples of free length have ended; a check waits for the device."""


@dataclass(frozen=True)
class TextRequest:
    """One text that continues a prompt.

    Attributes:
        prompt: token ids.
        constraint: the grammar's state for this text; None lets the model write any text and control tokens.
        sampling: the sampling options.
        seed: seeds the sampling.
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
    """The text that an engine generated, and its statistics.

    Attributes:
        tokens: ids of the new tokens, including the one that ended the text.
        finish: ``"stop"``, or ``"length"`` if the limit ended the text.
        forwards: calls of the model.
        constrained_s: seconds for grammar and mask; a part of the call's time.
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
        unconditional: token ids of the unconditional prompt; None without guidance.
        scale: guidance scale.
        count: exact number of codes of each sample; None lets the model end each sample, after *limit* at the latest.
        limit: largest number of codes of each sample.
        sampling: the sampling options.
        seeds: one for each sample.
    """

    prompt: list[int]
    unconditional: list[int] | None
    scale: float
    count: int | None
    limit: int
    sampling: Sampling
    seeds: Sequence[int]

    @property
    def free_length(self) -> bool:
        """Whether the model decides when a sample ends."""
        return self.count is None

    @property
    def max_steps(self) -> int:
        """Largest number of codes of a sample."""
        return self.limit if self.count is None else self.count

    @property
    def prompts(self) -> list[list[int]]:
        """The prompt and, with guidance, the unconditional prompt."""
        return [self.prompt] if self.unconditional is None else [self.prompt, self.unconditional]


@dataclass(frozen=True)
class CodesRun:
    """The codes that an engine generated, and their statistics.

    Attributes:
        codes: one list of code numbers (0..63999) for each sample.
        forwards: calls of the model, whatever the number of rows.
        guidance_s: seconds for guidance; a part of the call's time.
    """

    codes: list[list[int]]
    forwards: int
    guidance_s: float


class Engine(Protocol):
    """One loaded model. Calls must not overlap.

    Attributes:
        name: the backend's name.
        model: the model object of the engine's library, for callers who read its weights.
        max_positions: largest number of tokens, prompt and output together.
    """

    name: str
    model: Any
    max_positions: int

    def write_text(self, request: TextRequest) -> TextRun:
        """Generate the text of *request*. Tokens that the grammar forces cost no call of the model.

        Raises:
            PlannerError: prompt and output are too long.
        """
        ...

    def write_codes(self, request: CodesRequest) -> CodesRun:
        """Generate the codes of *request*.

        Raises:
            PlannerError: prompt and output are too long.
        """
        ...

    def on_device(self) -> AbstractContextManager[None]:
        """Make the calls inside the ``with`` block one job: offloaded weights stay on the device until its end."""
        ...

    def close(self) -> None:
        """Free the model's memory; no call may follow."""
        ...


class TextDecoder(Protocol):
    """The state of one text in an engine: key/value cache, sampler and mask."""

    @property
    def forwards(self) -> int:
        """Calls of the model so far."""
        ...

    def update_seen(self, tokens: list[int]) -> None:
        """Count *tokens* as seen before, for the repetition penalty."""
        ...

    def next_token(self, pending: list[int]) -> int:
        """Run the model on *pending*, the tokens that it has not seen yet, and sample the next token."""
        ...

    def check_finite(self) -> None:
        """Check the logits of the last step.

        Raises:
            PlannerError: they are not finite.
        """
        ...


def run_text_loop(request: TextRequest, decoder: TextDecoder) -> TextRun:
    """Generate the text of *request* token by token.

    The logits are checked in the first step, because a constraint cannot follow a token that NaN chose, and in the
    last step (`acestep.planner.engines.numbers`).
    """
    constraint = request.constraint
    tokens: list[int] = []
    pending = list(request.prompt)
    while True:
        forced = constraint.forced() if constraint else []
        if forced:
            decoder.update_seen(forced)
        tokens += forced
        pending += forced
        if (tokens and tokens[-1] in request.stops) or len(tokens) >= request.limit:
            break
        first = decoder.forwards == 0
        token = decoder.next_token(pending)
        if first:
            decoder.check_finite()
        if constraint:
            constraint.accept(token)
        tokens.append(token)
        pending = [token]
    if decoder.forwards:
        decoder.check_finite()
    finish = "stop" if tokens[-1] in request.stops else "length"
    return TextRun(tokens, finish, decoder.forwards, constraint.seconds if constraint else 0.0)


def codes_complete(written: int, request: CodesRequest, all_ended: Callable[[], bool]) -> bool:
    """Whether no step need follow after *written* codes; *all_ended* is asked every `END_CHECK_INTERVAL` steps."""
    if written == request.max_steps:
        return True
    return request.free_length and written % END_CHECK_INTERVAL == 0 and all_ended()


def cut_at_end(row: list[int], end: int) -> list[int]:
    """The codes of *row* before the first *end*."""
    return row[: row.index(end)] if end in row else row


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
