"""The ``tokenizer.json`` of a checkpoint, read without trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from acestep.checkpoints.config_checks import abbreviated
from acestep.checkpoints.errors import CheckpointError
from acestep.checkpoints.files import read_json

TOKENIZER_BYTES: Final = 256 * 2**20
"""Largest tokenizer that is read; the released planner's has 25 MB."""


def read_tokenizer(folder: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """``tokenizer.json`` of *folder*, and the id of every token in it.

    Raises:
        CheckpointError: the file is missing or damaged, or a token is no text or its id no whole number.
    """
    path = folder / "tokenizer.json"
    content = read_json(path, TOKENIZER_BYTES)
    try:
        added = {token["content"]: token["id"] for token in content["added_tokens"]}
        token_ids: dict[str, int] = content["model"]["vocab"] | added
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is no tokenizer's: {error!r}. Download it again.") from error
    for text, token in token_ids.items():
        if not isinstance(text, str) or type(token) is not int or token < 0:
            raise CheckpointError(
                f"{path}: the token {abbreviated(text)} has the id {abbreviated(token)}, expected a text and a whole "
                "number from 0 on. Download it again."
            )
    if not content["model"]["vocab"]:
        raise CheckpointError(f"{path} knows no text: its vocabulary is empty. Download it again.")
    return content, token_ids
