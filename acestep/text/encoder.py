"""The text encoder: loads it with its tokenizer, and encodes caption and lyric prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from acestep.checkpoints.config_checks import check_values, equal_to
from acestep.checkpoints.config_schemas import check_qwen3_config
from acestep.checkpoints.errors import CheckpointError
from acestep.checkpoints.files import as_checkpoint_error, read_config, read_json, read_shapes, read_tensors
from acestep.checkpoints.load import build_on_meta, load_tensors
from acestep.checkpoints.tokenizer_files import read_tokenizer
from acestep.constants import MAX_CAPTION_TOKENS, MAX_LYRIC_TOKENS


@dataclass(frozen=True)
class TextStates:
    """Encoded prompts of a batch.

    Attributes:
        text: last hidden states of the caption prompts, ``[B, Lt, H]``.
        text_mask: bool ``[B, Lt]``, false at padding.
        lyrics: token embeddings of the lyric prompts, ``[B, Ll, H]``.
        lyrics_mask: bool ``[B, Ll]``, false at padding.
        lyric_ids: token ids of the lyric prompts, int64 ``[B, Ll]``.
    """

    text: Tensor
    text_mask: Tensor
    lyrics: Tensor
    lyrics_mask: Tensor
    lyric_ids: Tensor


def load_text_encoder(folder: Path, *, device: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """Load the Qwen3 text encoder in *folder* and its tokenizer.

    A diffusers pipeline has the tokenizer in the folder ``tokenizer`` next to ``text_encoder``.

    Raises:
        CheckpointError: the folder is incomplete or damaged.
    """
    from transformers import Qwen3Config, Qwen3Model

    config, source = read_config(folder), folder / "config.json"
    check_values(config, {"model_type": equal_to("qwen3")}, source)
    shapes = {key.removeprefix("model."): shape for key, shape in read_shapes(folder).items()}
    checked = check_qwen3_config(config, shapes, source)
    encoder: Any = build_on_meta(lambda: Qwen3Model(Qwen3Config(**checked)))
    tensors = {key.removeprefix("model."): tensor for key, tensor in read_tensors(folder).items()}
    load_tensors(encoder, tensors, folder, device=device, dtype=dtype)
    separate = folder.parent / "tokenizer"
    tokenizer_folder = separate if folder.name == "text_encoder" and separate.is_dir() else folder
    return encoder, _load_tokenizer(tokenizer_folder, encoder.config)


def _load_tokenizer(folder: Path, config: Any) -> Any:
    """The tokenizer in *folder* for an encoder with *config*.

    Raises:
        CheckpointError: a file is missing or damaged, or the encoder's vocabulary is smaller.
    """
    from transformers import AutoTokenizer

    path = folder / "tokenizer.json"
    read_tokenizer(folder)
    if (folder / "tokenizer_config.json").exists():
        read_json(folder / "tokenizer_config.json")
    with as_checkpoint_error(path, f"Download the tokenizer in {folder} again."):
        tokenizer = AutoTokenizer.from_pretrained(folder, config=config, local_files_only=True, trust_remote_code=False)
        largest = max(tokenizer.get_vocab().values(), default=-1)
    if tokenizer.pad_token_id is None:
        raise CheckpointError(f"{folder} names no padding token. Download the tokenizer again.")
    if largest >= config.vocab_size:
        raise CheckpointError(
            f"{path} has ids up to {largest}, but the text encoder knows {config.vocab_size} tokens: they are of "
            "different checkpoints. Download the tokenizer again."
        )
    return tokenizer


def encode_text(
    encoder: Any,
    tokenizer: Any,
    captions: Sequence[str],
    lyrics: Sequence[str],
    *,
    device: str,
    caption_tokens: int | None = None,
) -> TextStates:
    """Tokenize and encode prompts (of `acestep.text.prompts`), padded on the right to the longest one.

    The encoder is causal and gets no attention mask, so padding has hidden states of its own, which the diffusion
    transformer attends to. Lyrics are only looked up in the embedding table. If *caption_tokens* is given, caption
    prompts are padded or cut to that length.
    """
    text_ids, text_mask = _tokenize(tokenizer, captions, MAX_CAPTION_TOKENS, device)
    if caption_tokens is not None:
        missing = (0, caption_tokens - text_ids.shape[1])
        text_ids, text_mask = pad(text_ids, missing, value=tokenizer.pad_token_id), pad(text_mask, missing)
    lyric_ids, lyrics_mask = _tokenize(tokenizer, lyrics, MAX_LYRIC_TOKENS, device)
    return TextStates(
        text=encoder(input_ids=text_ids, use_cache=False).last_hidden_state,
        text_mask=text_mask,
        lyrics=encoder.embed_tokens(lyric_ids),
        lyrics_mask=lyrics_mask,
        lyric_ids=lyric_ids,
    )


def _tokenize(tokenizer: Any, texts: Sequence[str], limit: int, device: str) -> tuple[Tensor, Tensor]:
    batch = tokenizer(
        list(texts),
        padding="longest",
        padding_side="right",
        truncation=True,
        max_length=limit,
        return_tensors="pt",
    )
    return batch["input_ids"].to(device), batch["attention_mask"].bool().to(device)
