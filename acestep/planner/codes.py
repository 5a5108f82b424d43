"""Audio codes: their token ids in a tokenizer and their text form ``<|audio_code_N|>``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from acestep.checkpoints.errors import CheckpointError
from acestep.constants import MAX_AUDIO_CODE

CODE_TOKEN: Final = re.compile(r"<\|audio_code_(\d+)\|>")
"""Matches the text of one code token; group 1 is the code number."""


@dataclass(frozen=True)
class CodeRange:
    """The valid codes of a planner: code ``c`` has token id ``first_id + c`` for ``0 <= c < count``."""

    first_id: int
    count: int

    @classmethod
    def find(cls, token_ids: Mapping[str, int], source: str) -> CodeRange:
        """Locate the codes among *token_ids* (id by token text) of the tokenizer called *source* in messages.

        Codes above 63,999 may exist; they are left out, because nothing may generate them.

        Raises:
            CheckpointError: there are no codes, or their ids are not consecutive from code 0 on.
        """
        by_code = dict(code_tokens(token_ids))
        valid = sorted(code for code in by_code if code <= MAX_AUDIO_CODE)
        if not valid:
            raise CheckpointError(
                f"{source} has no <|audio_code_N|> tokens: it is not a planner's tokenizer. "
                "Use a checkpoint whose name starts with acestep-5Hz-lm-."
            )
        found = cls(first_id=by_code[valid[0]] - valid[0], count=len(valid))
        for position, code in enumerate(valid):
            if code != position or by_code[code] != found.first_id + code:
                raise CheckpointError(
                    f"{source}: audio codes must have consecutive ids from code 0 on, but code {position} "
                    f"is followed or replaced by code {code} with id {by_code[code]}. Download the tokenizer again."
                )
        return found


def code_tokens(token_ids: Mapping[str, int]) -> Iterable[tuple[int, int]]:
    """Code number and token id of every ``<|audio_code_N|>`` in *token_ids*, valid or not."""
    for text, token in token_ids.items():
        match = CODE_TOKEN.fullmatch(text)
        if match:
            yield int(match[1]), token


def format_codes(codes: Iterable[int]) -> str:
    """The public text form of *codes*: their tokens, joined without separators."""
    return "".join(f"<|audio_code_{code}|>" for code in codes)


def parse_codes(text: str) -> list[int]:
    """The codes in *text*, in order; anything between them is ignored.

    Raises:
        ValueError: a code is above 63,999.
    """
    numbers = [number.lstrip("0") or "0" for number in CODE_TOKEN.findall(text)]
    for number in numbers:
        if len(number) > len(str(MAX_AUDIO_CODE)) or int(number) > MAX_AUDIO_CODE:
            raise ValueError(f"audio code {_shortened(number)} does not exist: codes are 0 to {MAX_AUDIO_CODE}.")
    return [int(number) for number in numbers]


def parse_codes_strict(text: str) -> list[int]:
    """The codes in *text*, which may hold nothing else but blanks and commas between them.

    Raises:
        ValueError: something else is there, or a code is above 63,999.
    """
    strange = re.sub(r"[\s,]+", " ", CODE_TOKEN.sub("", text)).strip()
    if strange:
        raise ValueError(
            f"audio_codes hold {_shortened(strange)!r}; expected <|audio_code_N|> tokens and nothing else."
        )
    return parse_codes(text)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"
