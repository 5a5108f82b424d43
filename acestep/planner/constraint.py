"""Which tokens may follow while the planner writes one answer.

The grammar sees no control tokens: they could not be told from a user's value that spells one. ``<think>`` and
``</think>`` are put around what it accepts, and lyrics may follow.
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

NAME_TOKENS = 16
"""No field's name with its newline and colon has more tokens."""


class Constraint:
    """Follows one answer as it is written.

    Attributes:
        max_tokens: an upper bound of the answer's length.
        cut: whether lyrics ended because they had become too long.
        seconds: time spent here so far.
    """

    def __init__(self, matcher: Any, vocabulary: Vocabulary, form: CotSchema, seconds: float) -> None:
        self.max_tokens = form.max_tokens
        self.cut = False
        self.seconds = seconds
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._opening, self._closing = [vocabulary.think], [vocabulary.end_think]
        self._bits = np.zeros((vocabulary.size + 31) // 32, dtype=np.int32)
        self._free_fields = form.free_fields
        self._recent: list[int] = []
        self._free_end: list[int] = []
        self._free_tokens_left = 0
        self._lyric_tokens_left = form.max_lyric_tokens
        self._lyrics_open = form.lyrics

    @property
    def done(self) -> bool:
        """Whether the answer is complete."""
        return not self._closing and not self._lyrics_open

    def forced(self) -> list[int]:
        """The tokens that must follow now, already accepted; empty where there is a choice."""
        started = perf_counter()
        tokens = self._forced_lyrics() if not self._closing else self._forced_thought()
        self.seconds += perf_counter() - started
        return tokens

    def allowed(self) -> NDArray[np.bool_]:
        """Whether each token may follow, ``[vocabulary size]``; one and the same array throughout the lyrics."""
        if not self._closing:
            return self._vocabulary.lyrics_mask
        started = perf_counter()
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        self._check()
        mask = np.unpackbits(self._bits.view(np.uint8), bitorder="little", count=self._vocabulary.size).view(np.bool_)
        self.seconds += perf_counter() - started
        return mask

    def accept(self, token: int) -> None:
        """Go on behind *token*, which must be an allowed one."""
        started = perf_counter()
        if self._closing:
            self._consume([token])
        else:
            self._lyric_tokens_left -= 1
            self._lyrics_open = token != self._vocabulary.end
        self.seconds += perf_counter() - started

    def _forced_thought(self) -> list[int]:
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
        """The end, where lyrics have become too long."""
        if not self._lyrics_open or self._lyric_tokens_left > 0:
            return []
        self._lyrics_open, self.cut = False, True
        return [self._vocabulary.end]

    def _consume(self, tokens: list[int]) -> None:
        self._matcher.consume_tokens(tokens)
        self._check()
        self._free_tokens_left -= len(tokens)
        if self._free_fields:
            self._look_for_free_field(tokens)

    def _look_for_free_field(self, tokens: list[int]) -> None:
        """Start counting where *tokens* open the next free field: no other line begins with its name."""
        name, behind, limit = self._free_fields[0]
        window = self._recent + tokens
        if f"\n{name}:" in self._vocabulary.decode(window):
            self._free_end = self._vocabulary.encode_text(f"\n{behind}:")
            self._free_tokens_left = limit
            del self._free_fields[0]
            window = []
        self._recent = window[-NAME_TOKENS:]

    def _cut_free_text(self) -> list[int]:
        """The tokens that end a text that is too long; none elsewhere, and none inside a character."""
        if not self._free_end or self._free_tokens_left > 0:
            return []
        fits = self._matcher.validate_tokens(self._free_end) == len(self._free_end)
        return self._free_end if fits else []

    def _check(self) -> None:
        if self._matcher.is_error():
            raise PlannerError(f"constrained decoding failed: {first_line(self._matcher)}")


class TracedConstraint(Constraint):
    """Logs every decision: what was forced, what was chosen, and among how many tokens."""

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
