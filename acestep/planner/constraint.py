"""Follows the grammar of one text, token by token, and says which tokens may come next.

The grammar contains no control tokens, because it could not distinguish them from a user's value with the same text.
The constraint itself puts ``<think>`` and ``</think>`` around what the grammar accepts, and lets lyrics follow.

The constraint, not the grammar, limits the tokens of free text: llguidance's ``rule[max_tokens=n]`` would also end it
within a character, which leaves bytes that are no valid UTF-8.
"""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acestep.planner import PlannerError
from acestep.planner.cot_schema import CotSchema
from acestep.planner.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

MAX_NAME_TOKENS = 16
"""Upper bound of the tokens of a field's name with its newline and colon."""


class Constraint:
    """The grammar's state within one text.

    Attributes:
        max_tokens: upper bound of the text's length.
        cut: whether the lyrics were ended because they had reached their limit.
        seconds: time spent in the constraint so far.
    """

    def __init__(self, matcher: Any, vocabulary: Vocabulary, schema: CotSchema, seconds: float) -> None:
        self.max_tokens = schema.max_tokens
        self.cut = False
        self.seconds = seconds
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._opening, self._closing = [vocabulary.think], [vocabulary.end_think]
        self._bits = np.zeros((vocabulary.size + 31) // 32, dtype=np.int32)
        self._free_fields = schema.free_fields
        self._recent: list[int] = []
        self._free_end: list[int] = []
        self._free_tokens_left = 0
        self._lyric_tokens_left = schema.max_lyric_tokens
        self._lyrics_open = schema.lyrics

    @property
    def done(self) -> bool:
        """Whether the text is complete."""
        return not self._closing and not self._lyrics_open

    def forced(self) -> list[int]:
        """Accept and return the tokens that must follow now; the list is empty if there is a choice."""
        started = perf_counter()
        tokens = self._forced_lyrics() if not self._closing else self._forced_cot()
        self.seconds += perf_counter() - started
        return tokens

    def allowed(self) -> NDArray[np.bool_]:
        """Whether each token may follow, ``(vocabulary size,)``; during the lyrics it is always the same array."""
        if not self._closing:
            return self._vocabulary.lyrics_mask
        started = perf_counter()
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        self._check()
        mask = np.unpackbits(self._bits.view(np.uint8), bitorder="little", count=self._vocabulary.size).view(np.bool_)
        self.seconds += perf_counter() - started
        return mask

    def accept(self, token: int) -> None:
        """Accept *token*, which must be an allowed one."""
        started = perf_counter()
        if self._closing:
            self._consume([token])
        else:
            self._lyric_tokens_left -= 1
            self._lyrics_open = token != self._vocabulary.end
        self.seconds += perf_counter() - started

    def _forced_cot(self) -> list[int]:
        tokens, self._opening = self._opening, []
        following = list(self._matcher.compute_ff_tokens()) or self._cut_free_text()
        if following:
            self._consume(following)
        tokens += following
        if self._matcher.is_stopped():
            tokens += self._closing
            self._closing = []
        return tokens

    def _forced_lyrics(self) -> list[int]:
        """The end token, if the lyrics have reached their limit."""
        if not self._lyrics_open or self._lyric_tokens_left > 0:
            return []
        self._lyrics_open, self.cut = False, True
        return [self._vocabulary.end]

    def _consume(self, tokens: list[int]) -> None:
        self._matcher.consume_tokens(tokens)
        self._check()
        self._free_tokens_left -= len(tokens)
        if self._free_fields:
            self._find_free_field(tokens)

    def _find_free_field(self, tokens: list[int]) -> None:
        """Start counting if *tokens* begin the next free field; no other line begins with its name."""
        name, behind, limit = self._free_fields[0]
        window = self._recent + tokens
        if f"\n{name}:" in self._vocabulary.decode(window):
            self._free_end = self._vocabulary.encode_text(f"\n{behind}:")
            self._free_tokens_left = limit
            del self._free_fields[0]
            window = []
        self._recent = window[-MAX_NAME_TOKENS:]

    def _cut_free_text(self) -> list[int]:
        """The tokens that end a free text at its limit; empty below the limit and inside a character."""
        if not self._free_end or self._free_tokens_left > 0:
            return []
        fits = self._matcher.validate_tokens(self._free_end) == len(self._free_end)
        return self._free_end if fits else []

    def _check(self) -> None:
        if self._matcher.is_error():
            raise PlannerError(f"constrained decoding failed: {first_line(self._matcher)}")


class LoggingConstraint(Constraint):
    """A constraint that logs which tokens were forced, which were sampled, and among how many."""

    _choices = 0

    def forced(self) -> list[int]:
        """See `Constraint.forced`."""
        tokens = super().forced()
        if tokens:
            logger.info("constraint: forced %d tokens %r", len(tokens), self._vocabulary.decode(tokens))
        return tokens

    def allowed(self) -> NDArray[np.bool_]:
        """See `Constraint.allowed`."""
        mask = super().allowed()
        self._choices = int(np.count_nonzero(mask))
        return mask

    def accept(self, token: int) -> None:
        """See `Constraint.accept`."""
        logger.info("constraint: chose %r among %d tokens", self._vocabulary.decode([token]), self._choices)
        super().accept(token)


def first_line(matcher: Any) -> str:
    """The first line of *matcher*'s error."""
    return str(matcher.get_error()).partition("\n")[0]
