"""Audio codes: their place in a tokenizer's vocabulary and their text form ``<|audio_code_N|>``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from acestep.checkpoints import CheckpointError
from acestep.constants import MAX_AUDIO_CODE

CODE_TOKEN: Final = re.compile(r"<\|audio_code_(\d+)\|>")


@dataclass(frozen=True)
class CodeRange:
    """The valid codes of a planner: code ``c`` has token id ``first_id + c`` for ``0 <= c < count``."""

    first_id: int
    count: int

    @classmethod
    def find(cls, token_ids: Mapping[str, int], source: str) -> CodeRange:
        """Locate the codes among *token_ids* (id by token text) of the tokenizer called *source* in messages.

        Codes above 63,999 may exist; they are left out, for nothing may generate them.

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
    codes = [int(number) for number in CODE_TOKEN.findall(text)]
    for code in codes:
        if code > MAX_AUDIO_CODE:
            raise ValueError(f"audio code {code} does not exist: codes are 0 to {MAX_AUDIO_CODE}.")
    return codes
