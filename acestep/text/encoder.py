"""Text conditions of the synthesizer: the two prompts, their tokens, and the text encoder's states."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from acestep.checkpoints.config_checks import check_kinds, exactly
from acestep.checkpoints.config_rules import check_qwen3
from acestep.checkpoints.files import damage, read_config, read_json, read_shapes, read_tensors
from acestep.checkpoints.folders import CheckpointError, build_empty, fill
from acestep.checkpoints.tokenizer_files import read_tokenizer
from acestep.constants import MAX_CAPTION_TOKENS, MAX_LYRIC_TOKENS


@dataclass(frozen=True)
class Metadata:
    """What the caption prompt says about the piece; `None` and empty print as ``N/A``."""

    bpm: int | None = None
    timesignature: str = ""
    keyscale: str = ""
    duration_s: float | None = None

    def block(self) -> str:
        """Four lines, each ended by a newline; an unknown duration prints as 30 seconds."""
        duration = 30 if self.duration_s is None else int(self.duration_s)
        return (
            f"- bpm: {self.bpm or 'N/A'}\n- timesignature: {self.timesignature or 'N/A'}\n"
            f"- keyscale: {self.keyscale or 'N/A'}\n- duration: {duration} seconds\n"
        )


def caption_prompt(instruction: str, caption: str, metadata: Metadata) -> str:
    """The text encoder's prompt for one caption.

    A caption that already is such a prompt gives only its caption section.
    """
    if not instruction.endswith(":"):
        instruction += ":"
    section = re.search(r"# Caption\n(.*?)(?:# Metas|\Z)", caption, re.DOTALL)
    if "# Instruction" in caption and section:
        caption = section.group(1).strip()
    return f"# Instruction\n{instruction}\n\n# Caption\n{caption}\n\n# Metas\n{metadata.block()}<|endoftext|>\n"


def lego_caption(caption: str, global_caption: str, instruction: str, explicit: bool) -> str:
    """The caption as models with `Family.lego` read it.

    Args:
        caption: of the track.
        global_caption: of the whole piece; left out where *instruction* speaks of a segment.
        instruction: first line of the prompt.
        explicit: whether the model is told which part is made.
    """
    lines = [f"Local: {caption}", f"Mask Control: {str(explicit).lower()}"]
    if "a segment" not in instruction.lower():
        lines.insert(0, f"Global: {global_caption}")
    return "\n".join(lines)


def lyric_prompt(language: str, lyrics: str) -> str:
    """The lyric encoder's prompt for one text."""
    return f"# Languages\n{language}\n\n# Lyric\n{lyrics}<|endoftext|>"


@dataclass(frozen=True)
class TextStates:
    """Text conditions of a batch.

    Attributes:
        text: states of the caption prompts, ``[B, Lt, H]``.
        text_mask: true where a caption prompt has a token, bool ``[B, Lt]``.
        lyrics: embeddings of the lyric prompts, ``[B, Ll, H]``.
        lyrics_mask: the same for lyrics, bool ``[B, Ll]``.
        lyric_ids: token ids of the lyric prompts, int64 ``[B, Ll]``.
    """

    text: Tensor
    text_mask: Tensor
    lyrics: Tensor
    lyrics_mask: Tensor
    lyric_ids: Tensor


def load_text_encoder(folder: Path, *, device: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """Load the Qwen3 text encoder of *folder* and its tokenizer, which a diffusers pipeline keeps in ``tokenizer``.

    Raises:
        CheckpointError: the folder is incomplete or damaged.
    """
    from transformers import Qwen3Config, Qwen3Model

    config, source = read_config(folder), folder / "config.json"
    check_kinds(config, {"model_type": exactly("qwen3")}, source)
    shapes = {key.removeprefix("model."): shape for key, shape in read_shapes(folder).items()}
    checked = check_qwen3(config, shapes, source)
    encoder: Any = build_empty(lambda: Qwen3Model(Qwen3Config(**checked)))
    tensors = {key.removeprefix("model."): tensor for key, tensor in read_tensors(folder).items()}
    fill(encoder, tensors, folder, device=device, dtype=dtype)
    beside = folder.parent / "tokenizer"
    home = beside if folder.name == "text_encoder" and beside.is_dir() else folder
    return encoder, _load_tokenizer(home, encoder.config)


def _load_tokenizer(folder: Path, config: Any) -> Any:
    """The tokenizer in *folder* for an encoder with *config*.

    Raises:
        CheckpointError: a file is missing or damaged, or the encoder knows fewer tokens.
    """
    from transformers import AutoTokenizer

    path = folder / "tokenizer.json"
    read_tokenizer(folder)
    if (folder / "tokenizer_config.json").exists():
        read_json(folder / "tokenizer_config.json")
    with damage(path, f"Download the tokenizer in {folder} again."):
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
    """Tokenize and encode prompts (as `caption_prompt` and `lyric_prompt` make them), padded to the longest.

    The encoder is causal and sees no mask: padding stands on the right and takes real states, which the diffusion
    transformer attends to. Lyrics are looked up in the embedding table only. Caption prompts are padded or cut to
    *caption_tokens* where that is given.
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
