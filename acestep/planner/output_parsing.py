"""How the planner's answers are read: one way for all modes, whether they come as tokens or as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from acestep.planner.codes import CODE_TOKEN
from acestep.planner.metadata import Metadata, read_yaml
from acestep.planner.user_metadata import keep_sound
from acestep.planner.vocabulary import Vocabulary

END = "<|im_end|>"


@dataclass(frozen=True)
class Answer:
    """What a planner wrote.

    Attributes:
        metadata: the fields that are in range.
        lyrics: text behind the chain of thought; empty if there is none.
        codes: audio-code tokens, joined.
    """

    metadata: Metadata
    lyrics: str
    codes: str = ""


def read_tokens(vocabulary: Vocabulary, tokens: Sequence[int]) -> Answer:
    """Read an answer by its tokens, so that text that merely spells a control token is text."""
    thought: list[int] = []
    rest: list[int] = []
    part = thought
    for token in tokens:
        if token == vocabulary.end_think:
            part = rest
        elif token in vocabulary.stops:
            break
        elif token not in vocabulary.control_ids:
            part.append(token)
    return _read(vocabulary.decode(thought), vocabulary.decode(rest))


def read_text(text: str) -> Answer:
    """Read an answer by its text.

    The metadata stand between ``<think>`` and ``</think>``, else between ``<reasoning>`` and ``</reasoning>``, else
    before the first audio code. ``<|im_end|>`` ends thought and lyrics wherever it stands. Lyrics need ``</think>``.
    """
    codes = "".join(match[0] for match in CODE_TOKEN.finditer(text))
    thought, rest = CODE_TOKEN.split(text, maxsplit=1)[0], ""
    for tag in ("think", "reasoning"):
        inner, closing, behind = text.partition(f"<{tag}>")[2].partition(f"</{tag}>")
        if closing:
            thought, rest = inner, CODE_TOKEN.sub("", behind)
            break
    return _read(thought.partition(END)[0], rest.partition(END)[0], codes)


def _read(thought: str, rest: str, codes: str = "") -> Answer:
    lyrics = re.sub(r"\A#\s*lyrics?[ \t]*(\n|\Z)", "", rest.strip(), flags=re.IGNORECASE)
    return Answer(keep_sound(read_yaml(thought)), lyrics.strip(), codes)
