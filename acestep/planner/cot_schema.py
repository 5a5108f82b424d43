"""The schema of a planner's text, as a grammar in llguidance's Lark dialect.

A chain of thought is a regular language of fields in a fixed order. Each newline belongs to the literal that follows,
because the lexer is greedy and would take a newline at the end of a caption for the start of the caption's next line.
Values have the notation of `to_yaml`, so that phase 1 generates what the prompt of phase 2 contains.
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
"""Largest number of tokens of a generated caption."""
MAX_COT_GENRES_TOKENS: Final = 64
"""Largest number of tokens of generated genres."""
MAX_INDENT: Final = 8
"""Largest indentation of a caption's further lines, in spaces; without it a bad model could write spaces for ever."""
EXTRA_TOKENS: Final = 64
"""Upper bound of the tokens of all other fields, and of those that complete a character or indentation at a limit."""

_FIRST: Final = r"[\p{L}\p{N}\p{P}\p{S}--`]"
_TEXT: Final = _FIRST + r"[^\x00-\x1f\x7f-\x9f\u2028\u2029`]*"


@dataclass(frozen=True)
class CotSchema:
    """What one text must look like: a chain of thought and, if asked for, lyrics behind it.

    The limits in tokens are not part of the grammar; `acestep.planner.constraint.Constraint` enforces them.

    Attributes:
        fixed: values that the user fixed, by field.
        skipped: fields that are left out unless they are fixed.
        genres: whether genres are asked for; they are free text on one line.
        lyrics: whether free text follows the chain of thought.
        max_duration_s: largest duration that the planner may choose, in seconds.
        max_caption_tokens, max_genres_tokens, max_lyric_tokens: largest number of generated tokens of each free text.
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
        """The schema of phase 1: *user*'s values are fixed, *caption* and *language* say what is generated."""
        skipped = {name for name, wanted in (("caption", caption), ("language", language)) if not wanted}
        return cls(cls.fixed_fields(user), frozenset(skipped), max_duration_s=max_duration_s)

    @classmethod
    def for_text_task(cls, user: SongMetadata) -> CotSchema:
        """The schema of a text task: every field, with *user*'s values fixed, then lyrics."""
        return cls(cls.fixed_fields(user), genres=True, lyrics=True)

    @staticmethod
    def fixed_fields(user: SongMetadata) -> tuple[tuple[str, str], ...]:
        """The values of *user* in the form of the attribute ``fixed``."""
        return tuple((name, str(user[name])) for name in FIELDS if name in user)

    @property
    def fields(self) -> list[str]:
        """The fields of the chain of thought, in order."""
        fixed = dict(self.fixed)
        left_out = self.skipped if self.genres else self.skipped | {"genres"}
        return [name for name in FIELDS if name in fixed or name not in left_out]

    @property
    def free_fields(self) -> list[tuple[str, str, int]]:
        """The free-text fields: name, name of the next field, largest number of tokens."""
        fixed, fields = dict(self.fixed), self.fields
        limits = {"caption": self.max_caption_tokens, "genres": self.max_genres_tokens}
        return [
            (name, following, limits[name])
            for name, following in pairwise(fields)
            if name in limits and name not in fixed
        ]

    @property
    def max_tokens(self) -> int:
        """Upper bound of the text's tokens; a fixed text counts one token for each byte."""
        free = sum(limit for _, _, limit in self.free_fields) + EXTRA_TOKENS
        lyrics = self.max_lyric_tokens + 1 if self.lyrics else 0
        return sum(len(literal.encode()) for literal in self._literals()) + free + lyrics

    def lark(self) -> str:
        """The grammar of the text between ``<think>`` and ``</think>``."""
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
