"""What the planner is asked: the prompts of both phases of planning and of the three descriptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from acestep.checkpoints.errors import CheckpointError
from acestep.constants import (
    INSTRUCTION_FORMAT,
    INSTRUCTION_INSPIRE,
    INSTRUCTION_PLANNER,
    INSTRUCTION_UNDERSTAND,
    NO_USER_INPUT,
)
from acestep.planner.codes import format_codes
from acestep.planner.metadata import write_yaml

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

USER_SLOT: Final = "\x00user\x00"
"""Stands for the user's text while the chat template is rendered."""


@dataclass(frozen=True)
class Prompt:
    """Text whose pieces are alternately ours (from index 0) and somebody else's.

    Control tokens count only in ours; see `acestep.planner.vocabulary.Vocabulary.encode`.
    """

    pieces: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole prompt as one string."""
        return "".join(self.pieces)


def ask(tokenizer: PreTrainedTokenizerFast, instruction: str, user: str) -> Prompt:
    """The chat of one system turn with *instruction* and one *user* turn, open for the assistant's answer.

    Raises:
        CheckpointError: the tokenizer's chat template does not pass the user's turn on as it is.
    """
    messages = [
        {"role": "system", "content": f"# Instruction\n{instruction}\n\n"},
        {"role": "user", "content": USER_SLOT},
    ]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    before, *after = str(rendered).split(USER_SLOT)
    if len(after) != 1:
        raise CheckpointError("the chat template does not repeat the user's turn exactly once; restore the original.")
    return Prompt((before, user, after[0]))


def describe(caption: str, lyrics: str) -> str:
    """The user's turn of both phases."""
    return f"# Caption\n{caption}\n\n# Lyric\n{lyrics}\n"


def metadata_prompt(tokenizer: PreTrainedTokenizerFast, caption: str, lyrics: str) -> Prompt:
    """Phase 1: asks for the chain of thought."""
    return ask(tokenizer, INSTRUCTION_PLANNER, describe(caption, lyrics))


def codes_prompt(tokenizer: PreTrainedTokenizerFast, caption: str, lyrics: str, metadata: Mapping[str, Any]) -> Prompt:
    """Phase 2: asks for codes, the chain of thought of *metadata* already given."""
    return with_thought(metadata_prompt(tokenizer, caption, lyrics), write_yaml(metadata))


def unconditional_prompt(
    tokenizer: PreTrainedTokenizerFast,
    negative_prompt: str = NO_USER_INPUT,
    legacy: tuple[str, str] | None = None,
) -> Prompt:
    """Phase 2's counterpart for guidance: an empty chain of thought behind `unconditional_chat`."""
    return with_thought(unconditional_chat(tokenizer, negative_prompt, legacy), "")


def unconditional_chat(
    tokenizer: PreTrainedTokenizerFast, negative_prompt: str, legacy: tuple[str, str] | None = None
) -> Prompt:
    """Asks for what guidance leads away from: the negative prompt alone.

    With *legacy*, caption and lyrics of the piece, it keeps the lyrics, and the caption where there is no negative
    prompt, so that guidance amplifies the metadata alone.
    """
    if legacy is None:
        user = negative_prompt if negative_prompt.strip() else NO_USER_INPUT
    else:
        caption, lyrics = legacy
        user = describe(negative_prompt if is_meaningful(negative_prompt) else caption, lyrics)
    return ask(tokenizer, INSTRUCTION_PLANNER, user)


def unconditional_metadata_prompt(tokenizer: PreTrainedTokenizerFast, lyrics: str, negative_prompt: str) -> Prompt:
    """Phase 1's counterpart, for those who compare prompts: phase 1 itself is never guided."""
    user = describe(negative_prompt, lyrics) if is_meaningful(negative_prompt) else f"# Lyric\n{lyrics}\n"
    return ask(tokenizer, INSTRUCTION_PLANNER, user)


def understand_prompt(tokenizer: PreTrainedTokenizerFast, codes: Sequence[int]) -> Prompt:
    """Asks for the description of a piece that consists of *codes*; without any, for one of no piece in particular."""
    if not codes:
        return ask(tokenizer, INSTRUCTION_UNDERSTAND, NO_USER_INPUT)
    before, _, after = ask(tokenizer, INSTRUCTION_UNDERSTAND, "").pieces
    return Prompt((f"{before}{format_codes(codes)}{after}",))


def inspire_prompt(tokenizer: PreTrainedTokenizerFast, query: str, instrumental: bool) -> Prompt:
    """Asks for the description of a piece that *query* wishes for."""
    wish = f"{query}\n\ninstrumental: {'true' if instrumental else 'false'}"
    return ask(tokenizer, INSTRUCTION_INSPIRE, wish)


def format_prompt(tokenizer: PreTrainedTokenizerFast, caption: str, lyrics: str) -> Prompt:
    """Asks for a better caption and better lyrics."""
    return ask(tokenizer, INSTRUCTION_FORMAT, describe(caption, lyrics).removesuffix("\n"))


def is_meaningful(negative_prompt: str) -> bool:
    """Whether *negative_prompt* says what to lead away from."""
    return negative_prompt.strip() not in ("", NO_USER_INPUT)


def with_thought(prompt: Prompt, thought: str) -> Prompt:
    """*prompt* with the chain of thought *thought*, open for codes."""
    *head, tail = prompt.pieces
    return Prompt((*head, f"{tail}<think>", f"\n{thought}\n", "</think>\n\n"))
