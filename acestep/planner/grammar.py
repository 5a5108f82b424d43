"""The grammar of phase 1: which tokens may follow while the planner writes its chain of thought.

A chain of thought is a regular language of fields in a fixed order, compiled by llguidance. Newlines stand
at the start of the literal that follows, for the lexer is greedy: at the end of a caption they would be
taken for the beginning of another line of it. The grammar sees no control tokens: they could not be told
from a user's value that spells one. ``<think>`` and ``</think>`` are put around what it accepts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter
from typing import Any, Final

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from numpy.typing import NDArray

from acestep.constants import BPM_MAX, BPM_MIN, DURATION_MAX_S, DURATION_MIN_S, LANGUAGES, TIME_SIGNATURES
from acestep.planner import PlannerError
from acestep.planner.metadata import Metadata
from acestep.planner.vocabulary import Vocabulary

MAX_CAPTION_TOKENS: Final = 512
FIELDS: Final = ("bpm", "caption", "duration", "keyscale", "language", "timesignature")
MAX_FREE_BYTES: Final = 64
"""More than bpm, duration, keyscale, language and time signature can take together, one token a byte."""

_TEXT = r"[^\s`\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f\u2028\u2029`]*"


@dataclass(frozen=True)
class Form:
    """What one chain of thought must look like.

    Attributes:
        forced: values that the user decided, by field.
        skipped: fields that are left out, unless they are forced.
        max_duration_s: largest duration that the planner may choose.
        max_caption_tokens: where a caption that the planner writes is cut off. Not part of the grammar: llguidance's
            ``max_tokens`` cannot choose between another line of the caption and the next field.
    """

    forced: tuple[tuple[str, str], ...] = ()
    skipped: frozenset[str] = frozenset()
    max_duration_s: int = DURATION_MAX_S
    max_caption_tokens: int = MAX_CAPTION_TOKENS

    @classmethod
    def of(cls, user: Metadata, *, caption: bool, language: bool, max_duration_s: int = DURATION_MAX_S) -> Form:
        """The form in which *user*'s values stand fast and *caption* and *language* are asked for or not."""
        skipped = {name for name, wanted in (("caption", caption), ("language", language)) if not wanted}
        forced = tuple((name, str(user[name])) for name in FIELDS if name in user)
        return cls(forced, frozenset(skipped), max_duration_s)

    @property
    def fields(self) -> list[str]:
        """The fields that are written, in order."""
        return [name for name in FIELDS if name in dict(self.forced) or name not in self.skipped]

    @property
    def field_after_caption(self) -> str | None:
        """The field behind a caption that the planner writes; None without one."""
        if "caption" in self.skipped or "caption" in dict(self.forced):
            return None
        return self.fields[self.fields.index("caption") + 1]

    @property
    def max_tokens(self) -> int:
        """No text of this form has more tokens."""
        forced = dict(self.forced)
        literals = sum(len(f"\n{name}: {forced.get(name, '')}".encode()) for name in self.fields)
        return literals + self.max_caption_tokens + MAX_FREE_BYTES

    def lark(self) -> str:
        """The grammar, in llguidance's Lark dialect, of what stands between ``<think>`` and ``</think>``."""
        forced = dict(self.forced)
        written = (f'"\\n{name}: " {json.dumps(forced[name]) if name in forced else name}' for name in self.fields)
        return "\n".join((f'start: {" ".join(written)} "\\n"', *self._rules()))

    def _rules(self) -> list[str]:
        return [
            f"bpm: /{'|'.join(map(str, range(BPM_MIN, BPM_MAX + 1)))}/",
            "caption: LINE MORE*",
            f"LINE: /{_TEXT}/",
            rf"MORE: /\n[ \t]+{_TEXT}/",
            f"duration: /{'|'.join(map(str, range(DURATION_MIN_S, self.max_duration_s + 1)))}/",
            "keyscale: /[A-G](#|b|♯|♭)? (major|minor)/",
            f"language: /{'|'.join(LANGUAGES)}/",
            f"timesignature: /{'|'.join(TIME_SIGNATURES)}/",
        ]


class Grammar:
    """Compiles forms for one tokenizer. Making it takes seconds for a large vocabulary, a form milliseconds."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._tokenizer = LLTokenizer(vocabulary.grammar_json, n_vocab=vocabulary.size, eos_token=vocabulary.end)
        self._compiled = lru_cache(maxsize=64)(self._compile)

    def constraint(self, form: Form) -> Constraint:
        """A fresh constraint that accepts one text of *form*; a form compiled before is not compiled again.

        Raises:
            PlannerError: llguidance rejects the grammar.
        """
        started = perf_counter()
        matcher = self._compiled(form).deep_copy()
        return Constraint(matcher, self._vocabulary, form, perf_counter() - started)

    def _compile(self, form: Form) -> Any:
        matcher = LLMatcher(self._tokenizer, form.lark())
        if matcher.is_error():
            raise PlannerError(f"the metadata {dict(form.forced)} cannot be written: {_first_line(matcher)}")
        return matcher


class Constraint:
    """Which tokens may follow those of one text so far.

    Attributes:
        max_tokens: an upper bound of the text's length.
        seconds: time spent here so far.
    """

    def __init__(self, matcher: Any, vocabulary: Vocabulary, form: Form, seconds: float) -> None:
        self.max_tokens = form.max_tokens
        self.seconds = seconds
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._opening, self._closing = [vocabulary.think], [vocabulary.end_think]
        self._bits = np.zeros((vocabulary.size + 31) // 32, dtype=np.int32)
        after = form.field_after_caption
        self._caption_end = vocabulary.encode_text(f"\n{after}:") if after else []
        self._max_caption_tokens = form.max_caption_tokens
        self._before_caption: list[int] = []
        self._caption_tokens = -1 if after else 0

    @property
    def done(self) -> bool:
        """Whether the text is complete."""
        return not self._closing

    def forced(self) -> list[int]:
        """The tokens that must follow now, already accepted; empty where there is a choice."""
        started = perf_counter()
        tokens, self._opening = self._opening, []
        following = list(self._matcher.compute_ff_tokens()) or self._cut_caption()
        if following:
            self._consume(following)
        tokens += following
        if self._matcher.is_stopped():
            tokens += self._closing
            self._closing = []
        self.seconds += perf_counter() - started
        return tokens

    def allowed(self) -> NDArray[np.bool_]:
        """Whether each token may follow, ``[vocabulary size]``."""
        started = perf_counter()
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        self._check()
        mask = np.unpackbits(self._bits.view(np.uint8), bitorder="little", count=self._vocabulary.size).view(np.bool_)
        self.seconds += perf_counter() - started
        return mask

    def accept(self, token: int) -> None:
        """Go on behind *token*, which must be an allowed one."""
        started = perf_counter()
        self._consume([token])
        self.seconds += perf_counter() - started

    def _consume(self, tokens: list[int]) -> None:
        self._matcher.consume_tokens(tokens)
        self._check()
        if self._caption_tokens >= 0:
            self._caption_tokens += len(tokens)
        else:
            self._before_caption += tokens
            if "caption:" in self._vocabulary.decode(self._before_caption):
                self._caption_tokens = 0

    def _cut_caption(self) -> list[int]:
        """The tokens that end a caption that is too long; none elsewhere, and none inside a character."""
        if not self._caption_end or self._caption_tokens < self._max_caption_tokens:
            return []
        fits = self._matcher.validate_tokens(self._caption_end) == len(self._caption_end)
        return self._caption_end if fits else []

    def _check(self) -> None:
        if self._matcher.is_error():
            raise PlannerError(f"constrained decoding failed: {_first_line(self._matcher)}")


def _first_line(matcher: Any) -> str:
    return str(matcher.get_error()).partition("\n")[0]
