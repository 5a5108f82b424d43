"""What a planner's answer must look like, as a grammar in llguidance's Lark dialect.

A chain of thought is a regular language of fields in a fixed order. Newlines stand at the start of the literal
that follows, for the lexer is greedy: at the end of a caption they would be taken for the beginning of another
line of it. Values are spelled as `to_yaml` spells them, so that phase 1 writes what phase 2 reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from acestep.constants import (
    BPM_MAX,
    BPM_MIN,
    DURATION_MAX_S,
    DURATION_MIN_S,
    LANGUAGES,
    MAX_LYRIC_TOKENS,
    TIME_SIGNATURES,
)
from acestep.planner.metadata import FIELDS, SongMetadata, format_field

MAX_COT_CAPTION_TOKENS: Final = 512
MAX_COT_GENRES_TOKENS: Final = 64
MAX_INDENT: Final = 8
"""Spaces before another line of a caption; a bad model would otherwise write nothing else."""
MAX_FREE_BYTES: Final = 64
"""More than the other fields, and finishing a cut character or indent, can take together, one token a byte."""

_FIRST: Final = r"[\p{L}\p{N}\p{P}\p{S}--`]"
_TEXT: Final = _FIRST + r"[^\x00-\x1f\x7f-\x9f\u2028\u2029`]*"


@dataclass(frozen=True)
class CotSchema:
    """What one answer must look like: a chain of thought, and lyrics behind it if they are asked for.

    The limits in tokens are no part of the grammar: llguidance's ``max_tokens`` cannot choose between another line of
    a caption and the next field. `Constraint` sees to them.

    Attributes:
        fixed: values that the user decided, by field.
        skipped: fields that are left out, unless they are forced.
        genres: ask for genres, which are free text on one line.
        lyrics: let free text follow the chain of thought.
        max_duration_s: largest duration that the planner may choose.
        max_caption_tokens, max_genres_tokens, max_lyric_tokens: where text that the planner writes is cut off.
    """

    fixed: tuple[tuple[str, str], ...] = ()
    skipped: frozenset[str] = frozenset()
    genres: bool = False
    lyrics: bool = False
    max_duration_s: int = DURATION_MAX_S
    max_caption_tokens: int = MAX_COT_CAPTION_TOKENS
    max_genres_tokens: int = MAX_COT_GENRES_TOKENS
    max_lyric_tokens: int = MAX_LYRIC_TOKENS

    @classmethod
    def for_phase1(
        cls, user: SongMetadata, *, caption: bool, language: bool, max_duration_s: int = DURATION_MAX_S
    ) -> CotSchema:
        """Phase 1's form, in which *user*'s values stand fast and *caption* and *language* are asked for or not."""
        skipped = {name for name, wanted in (("caption", caption), ("language", language)) if not wanted}
        return cls(cls.fixed_fields(user), frozenset(skipped), max_duration_s=max_duration_s)

    @classmethod
    def for_text_task(cls, user: SongMetadata) -> CotSchema:
        """The form of a whole description: every field, *user*'s values standing fast, then lyrics."""
        return cls(cls.fixed_fields(user), genres=True, lyrics=True)

    @staticmethod
    def fixed_fields(user: SongMetadata) -> tuple[tuple[str, str], ...]:
        """*user*'s values as a form takes them."""
        return tuple((name, str(user[name])) for name in FIELDS if name in user)

    @property
    def fields(self) -> list[str]:
        """The fields that are written, in order."""
        fixed = dict(self.fixed)
        left_out = self.skipped if self.genres else self.skipped | {"genres"}
        return [name for name in FIELDS if name in fixed or name not in left_out]

    @property
    def free_fields(self) -> list[tuple[str, str, int]]:
        """Fields in which the planner writes any text: name, name of the field behind, largest number of tokens."""
        fixed, fields = dict(self.fixed), self.fields
        limits = {"caption": self.max_caption_tokens, "genres": self.max_genres_tokens}
        return [
            (name, behind, limits[name]) for name, behind in pairwise(fields) if name in limits and name not in fixed
        ]

    @property
    def max_tokens(self) -> int:
        """No answer of this form has more tokens."""
        free = sum(limit for _, _, limit in self.free_fields) + MAX_FREE_BYTES
        lyrics = self.max_lyric_tokens + 1 if self.lyrics else 0
        return sum(len(literal.encode()) for literal in self._literals()) + free + lyrics

    def lark(self) -> str:
        """The grammar of what stands between ``<think>`` and ``</think>``."""
        fixed = dict(self.fixed)
        parts = (
            json.dumps(literal) if name in fixed else f"{json.dumps(literal)} {name}"
            for name, literal in zip(self.fields, self._literals(), strict=True)
        )
        return "\n".join((f'start: {" ".join(parts)} "\\n"', *self._rules()))

    def _literals(self) -> list[str]:
        fixed = dict(self.fixed)
        return [f"\n{format_field(name, fixed[name])}" if name in fixed else f"\n{name}: " for name in self.fields]

    def _rules(self) -> list[str]:
        return [
            f"bpm: /{_any(range(BPM_MIN, BPM_MAX + 1))}/",
            "caption: LINE MORE*",
            f"LINE: /{_TEXT}/",
            rf"MORE: /\n[ \t]{{1,{MAX_INDENT}}}{_TEXT}/",
            f"duration: /{_any(range(DURATION_MIN_S, self.max_duration_s + 1))}/",
            "genres: LINE",
            "keyscale: /[A-G](#|b|♯|♭)? (major|minor)/",
            f"language: /{_any(format_field('language', code).removeprefix('language: ') for code in LANGUAGES)}/",
            f"timesignature: /{_any(TIME_SIGNATURES)}/",
        ]


def _any(values: Iterable[object]) -> str:
    return "|".join(re.escape(str(value)) for value in values)
