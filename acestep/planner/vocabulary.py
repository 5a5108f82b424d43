"""A checkpoint's tokenizer without its audio codes, and the token ids that the planner needs.

The 65,535 code tokens would make loading, and every structure of the vocabulary's size, several times slower. They are
dropped when the tokenizer is read, because code numbers follow from token ids by subtraction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from acestep.checkpoints.errors import CheckpointError
from acestep.checkpoints.files import as_checkpoint_error, read_json, read_text
from acestep.checkpoints.tokenizer_files import read_tokenizer
from acestep.planner import PlannerError
from acestep.planner.codes import CODE_TOKEN, CodeRange

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast


class Vocabulary:
    """Text and control tokens of a planner, and the range of its codes.

    Attributes:
        codes: the range of the audio codes.
        controls: id of every control token by its text; ``control_ids`` are the ids alone.
        size: one more than the largest id of a text or control token; number of head rows that generate text.
        end: id of ``<|im_end|>``, which ends every output; ``stops`` has the padding token's as well.
        think, end_think: ids of ``<think>`` and ``</think>``.
        tokenizer: the Hugging Face tokenizer, with the chat template and without the code tokens.
        grammar_json: the tokenizer in the JSON format of the ``tokenizers`` library, without code tokens and with a NUL
            before the text of each control token, so that no text matches one.
    """

    def __init__(self, folder: Path) -> None:
        """Read ``tokenizer.json`` and the chat template of *folder*.

        Raises:
            CheckpointError: a file or a token is missing, or the audio codes are not as expected.
        """
        from transformers import PreTrainedTokenizerFast

        content, token_ids = read_tokenizer(folder)
        with as_checkpoint_error(folder / "tokenizer.json"):
            self.codes = CodeRange.find(token_ids, str(folder / "tokenizer.json"))
        _drop_codes(content)
        self.controls: dict[str, int] = {token["content"]: token["id"] for token in content["added_tokens"]}
        self.control_ids = frozenset(self.controls.values())
        self.size = 1 + max(*content["model"]["vocab"].values(), *self.controls.values())
        self.end, self.think, self.end_think, pad = (
            self._control(text, folder) for text in ("<|im_end|>", "<think>", "</think>", "<|endoftext|>")
        )
        self.stops = frozenset((self.end, pad))
        built, template = _build(content, folder), _chat_template(folder)
        with as_checkpoint_error(folder / "tokenizer.json"):
            self.tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
                tokenizer_object=built, chat_template=template, eos_token="<|im_end|>", pad_token="<|endoftext|>"
            )
        self._plain = _build(content | {"added_tokens": [], "post_processor": None}, folder)
        disguised = [token | {"content": f"\0{token['content']}"} for token in content["added_tokens"]]
        self.grammar_json = json.dumps(content | {"added_tokens": disguised, "post_processor": None})
        self._text_ids = list(content["model"]["vocab"].values())
        controls = "|".join(re.escape(text) for text in sorted(self.controls, key=len, reverse=True))
        self._split = re.compile(f"{CODE_TOKEN.pattern}|{controls}")

    @cached_property
    def lyrics_mask(self) -> NDArray[np.bool_]:
        """Whether each token may occur in free text, ``(size,)``: text tokens and the end, no other control token."""
        mask = np.zeros(self.size, dtype=np.bool_)
        mask[self._text_ids] = True
        mask[list(self.control_ids)] = False
        mask[self.end] = True
        return mask

    def _control(self, text: str, folder: Path) -> int:
        if text not in self.controls:
            raise CheckpointError(f"{folder / 'tokenizer.json'} lacks the token {text}: it is no planner's tokenizer.")
        return self.controls[text]

    def encode(self, pieces: Sequence[str]) -> list[int]:
        """Token ids of *pieces* that are alternately the package's own text (from index 0) and somebody else's.

        In the package's own text, control tokens and audio codes become tokens. In the other pieces everything is text,
        so that a caption which contains ``<|im_end|>`` ends nothing. Text that continues across pieces is tokenised as
        one piece.

        Raises:
            PlannerError: the package's own text has an audio code that does not exist.
        """
        ids: list[int] = []
        text = ""
        for index, piece in enumerate(pieces):
            if index % 2:
                text += piece
                continue
            start = 0
            for match in self._split.finditer(piece):
                ids += self.encode_text(text + piece[start : match.start()])
                ids.append(self._code(int(match[1])) if match[1] else self.controls[match[0]])
                text, start = "", match.end()
            text += piece[start:]
        return ids + self.encode_text(text)

    def _code(self, code: int) -> int:
        if code >= self.codes.count:
            raise PlannerError(f"audio code {code} does not exist: this planner knows 0 to {self.codes.count - 1}.")
        return self.codes.first_id + code

    def encode_text(self, text: str) -> list[int]:
        """Token ids of *text*, in which nothing is a control token."""
        return list(self._plain.encode(text, add_special_tokens=False).ids) if text else []

    def decode(self, ids: Iterable[int]) -> str:
        """The text of *ids*, control tokens included."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False))


def _build(content: dict[str, Any], folder: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    with as_checkpoint_error(folder / "tokenizer.json"):
        return Tokenizer.from_str(json.dumps(content))


def _drop_codes(content: dict[str, Any]) -> None:
    content["added_tokens"] = [token for token in content["added_tokens"] if not CODE_TOKEN.fullmatch(token["content"])]
    vocabulary = content["model"]["vocab"]
    for text in [text for text in vocabulary if CODE_TOKEN.fullmatch(text)]:
        del vocabulary[text]


def _chat_template(folder: Path) -> str:
    """The template in ``chat_template.jinja``, else the one in ``tokenizer_config.json``."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return read_text(path)
    settings = folder / "tokenizer_config.json"
    template = read_json(settings).get("chat_template") if settings.is_file() else None
    if template is None:
        raise CheckpointError(f"{folder} has no chat template: chat_template.jinja is missing.")
    if isinstance(template, list):
        with as_checkpoint_error(settings):
            template = next((entry["template"] for entry in template if entry["name"] == "default"), None)
    if not isinstance(template, str):
        raise CheckpointError(f"{settings}: chat_template is not text.")
    return template
