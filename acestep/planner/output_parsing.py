"""Parses what the planner generated, given as tokens or as text, in all modes alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from acestep.planner.codes import CODE_TOKEN
from acestep.planner.metadata import SongMetadata, from_yaml
from acestep.planner.user_metadata import drop_invalid
from acestep.planner.vocabulary import Vocabulary

END = "<|im_end|>"
"""The control token that ends an output."""


@dataclass(frozen=True)
class ParsedOutput:
    """The parts of a planner's output.

    Attributes:
        metadata: the fields of the chain of thought whose values are in range.
        lyrics: the text behind the chain of thought; empty if there is none.
        codes: audio-code tokens, joined.
    """

    metadata: SongMetadata
    lyrics: str
    codes: str = ""


def parse_tokens(vocabulary: Vocabulary, tokens: Sequence[int]) -> ParsedOutput:
    """Parse an output by its token ids. Text that merely looks like a control token is text."""
    cot: list[int] = []
    rest: list[int] = []
    part = cot
    for token in tokens:
        if token == vocabulary.end_think:
            part = rest
        elif token in vocabulary.stops:
            break
        elif token not in vocabulary.control_ids:
            part.append(token)
    return _parse(vocabulary.decode(cot), vocabulary.decode(rest))


def parse_text(text: str) -> ParsedOutput:
    """Parse an output by its text.

    The chain of thought lies between ``<think>`` and ``</think>``, else between ``<reasoning>`` and ``</reasoning>``,
    else before the first audio code. ``<|im_end|>`` ends chain of thought and lyrics wherever it occurs. Lyrics are
    found only behind a closing tag.
    """
    codes = "".join(match[0] for match in CODE_TOKEN.finditer(text))
    cot, rest = CODE_TOKEN.split(text, maxsplit=1)[0], ""
    for tag in ("think", "reasoning"):
        inner, closing, behind = text.partition(f"<{tag}>")[2].partition(f"</{tag}>")
        if closing:
            cot, rest = inner, CODE_TOKEN.sub("", behind)
            break
    return _parse(cot.partition(END)[0], rest.partition(END)[0], codes)


def _parse(cot: str, rest: str, codes: str = "") -> ParsedOutput:
    lyrics = re.sub(r"\A#\s*lyrics?[ \t]*(\n|\Z)", "", rest.strip(), flags=re.IGNORECASE)
    return ParsedOutput(drop_invalid(from_yaml(cot)), lyrics.strip(), codes)
