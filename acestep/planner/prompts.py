"""The planner's prompts: of both phases of planning and of the three text tasks."""

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
from acestep.planner.metadata import to_yaml

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

USER_PLACEHOLDER: Final = "\x00user\x00"
"""Placeholder for the user's text while the chat template is rendered."""


@dataclass(frozen=True)
class Prompt:
    """A prompt as pieces that are alternately the package's own text (from index 0) and somebody else's text.

    Control tokens count only in the package's own pieces, see `acestep.planner.vocabulary.Vocabulary.encode`.
    """

    pieces: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole prompt as one string."""
        return "".join(self.pieces)


def chat_prompt(tokenizer: PreTrainedTokenizerFast, instruction: str, user: str) -> Prompt:
    """A chat with *instruction* as the system turn and *user* as the user turn; the assistant's turn is open.

    Raises:
        CheckpointError: the tokenizer's chat template does not contain the user's turn exactly once.
    """
    messages = [
        {"role": "system", "content": f"# Instruction\n{instruction}\n\n"},
        {"role": "user", "content": USER_PLACEHOLDER},
    ]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    before, *after = str(rendered).split(USER_PLACEHOLDER)
    if len(after) != 1:
        raise CheckpointError("the chat template does not repeat the user's turn exactly once; restore the original.")
    return Prompt((before, user, after[0]))


def user_turn(caption: str, lyrics: str) -> str:
    """The user's turn of both phases."""
    return f"# Caption\n{caption}\n\n# Lyric\n{lyrics}\n"


def metadata_prompt(tokenizer: PreTrainedTokenizerFast, caption: str, lyrics: str) -> Prompt:
    """The prompt of phase 1, which asks for the chain of thought."""
    return chat_prompt(tokenizer, INSTRUCTION_PLANNER, user_turn(caption, lyrics))


def codes_prompt(tokenizer: PreTrainedTokenizerFast, caption: str, lyrics: str, metadata: Mapping[str, Any]) -> Prompt:
    """The prompt of phase 2, which contains *metadata* as the chain of thought and asks for codes."""
    return with_cot(metadata_prompt(tokenizer, caption, lyrics), to_yaml(metadata))


def unconditional_prompt(
    tokenizer: PreTrainedTokenizerFast,
    negative_prompt: str = NO_USER_INPUT,
    legacy: tuple[str, str] | None = None,
) -> Prompt:
    """The unconditional prompt of phase 2: `unconditional_chat` with an empty chain of thought."""
    return with_cot(unconditional_chat(tokenizer, negative_prompt, legacy), "")


def unconditional_chat(
    tokenizer: PreTrainedTokenizerFast, negative_prompt: str, legacy: tuple[str, str] | None = None
) -> Prompt:
    """The unconditional prompt before any chain of thought: the negative prompt alone.

    With *legacy* (caption and lyrics of the piece) it keeps the lyrics, and the caption if there is no negative
    prompt, so that guidance amplifies the metadata alone.
    """
    if legacy is None:
        user = negative_prompt if negative_prompt.strip() else NO_USER_INPUT
    else:
        caption, lyrics = legacy
        user = user_turn(negative_prompt if is_meaningful(negative_prompt) else caption, lyrics)
    return chat_prompt(tokenizer, INSTRUCTION_PLANNER, user)


def unconditional_metadata_prompt(tokenizer: PreTrainedTokenizerFast, lyrics: str, negative_prompt: str) -> Prompt:
    """The unconditional prompt of phase 1. It serves callers who compare prompts; phase 1 itself is never guided."""
    user = user_turn(negative_prompt, lyrics) if is_meaningful(negative_prompt) else f"# Lyric\n{lyrics}\n"
    return chat_prompt(tokenizer, INSTRUCTION_PLANNER, user)


def understand_prompt(tokenizer: PreTrainedTokenizerFast, codes: Sequence[int]) -> Prompt:
    """The prompt that asks for a description of *codes*; without codes the planner invents a piece."""
    if not codes:
        return chat_prompt(tokenizer, INSTRUCTION_UNDERSTAND, NO_USER_INPUT)
    before, _, after = chat_prompt(tokenizer, INSTRUCTION_UNDERSTAND, "").pieces
    return Prompt((f"{before}{format_codes(codes)}{after}",))


def inspire_prompt(tokenizer: PreTrainedTokenizerFast, query: str, instrumental: bool) -> Prompt:
    """The prompt that asks for a piece according to *query*."""
    user = f"{query}\n\ninstrumental: {'true' if instrumental else 'false'}"
    return chat_prompt(tokenizer, INSTRUCTION_INSPIRE, user)


def format_prompt(tokenizer: PreTrainedTokenizerFast, caption: str, lyrics: str) -> Prompt:
    """The prompt that asks for a better caption and better lyrics."""
    return chat_prompt(tokenizer, INSTRUCTION_FORMAT, user_turn(caption, lyrics).removesuffix("\n"))


def is_meaningful(negative_prompt: str) -> bool:
    """Whether *negative_prompt* has content, so that it is neither blank nor ``NO USER INPUT``."""
    return negative_prompt.strip() not in ("", NO_USER_INPUT)


def with_cot(prompt: Prompt, cot: str) -> Prompt:
    """*prompt* followed by the chain of thought *cot*; codes may follow."""
    *head, tail = prompt.pieces
    return Prompt((*head, f"{tail}<think>", f"\n{cot}\n", "</think>\n\n"))
