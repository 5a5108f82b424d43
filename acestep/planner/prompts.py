"""What the planner is asked: prompts of both phases, and how its answer is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from transformers import PreTrainedTokenizerFast

from acestep.checkpoints import CheckpointError
from acestep.constants import INSTRUCTION_PLANNER, NO_USER_INPUT
from acestep.planner.codes import CODE_TOKEN
from acestep.planner.metadata import Metadata, read_yaml, write_yaml

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
    return _with_thought(metadata_prompt(tokenizer, caption, lyrics), write_yaml(metadata))


def unconditional_prompt(tokenizer: PreTrainedTokenizerFast, negative_prompt: str = NO_USER_INPUT) -> Prompt:
    """Phase 2's counterpart for guidance: the negative prompt alone, an empty chain of thought."""
    user = negative_prompt if negative_prompt.strip() else NO_USER_INPUT
    return _with_thought(ask(tokenizer, INSTRUCTION_PLANNER, user), "")


def _with_thought(prompt: Prompt, thought: str) -> Prompt:
    *head, tail = prompt.pieces
    return Prompt((*head, f"{tail}<think>", f"\n{thought}\n", "</think>\n\n"))


def parse_answer(text: str) -> tuple[Metadata, str]:
    """Metadata and code tokens in the planner's output *text*.

    The metadata stand between ``<think>`` and ``</think>``, else between ``<reasoning>`` and
    ``</reasoning>``, else before the first audio code. ``<|im_end|>`` ends them wherever it stands.
    """
    codes = "".join(match[0] for match in CODE_TOKEN.finditer(text))
    for tag in ("think", "reasoning"):
        block = re.search(rf"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)
        if block:
            return read_yaml(_before_end(block[1])), codes
    thought = CODE_TOKEN.split(text, maxsplit=1)[0]
    return read_yaml(_before_end(thought)), codes


def _before_end(text: str) -> str:
    return text.partition("<|im_end|>")[0]
