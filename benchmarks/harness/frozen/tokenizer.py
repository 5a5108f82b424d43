"""The frozen tokenizers: byte-level BPE with Qwen3's pre-tokenizer, its control tokens and a chat template.

The planner's has 1024 audio codes besides, and two that exist but must never be generated.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.frozen.data import read

CODES: Final = (*range(1024), 64_000, 64_001)


def vocabulary(codes: tuple[int, ...] = ()) -> dict[str, int]:
    """Return the number of every token: bytes, what merges make, control tokens, and audio *codes*."""
    data = read("tokenizer")
    merged = [pair.replace(" ", "") for pair in data["merges"]]
    controls = [*data["special_tokens"], *data["plain_tokens"]]
    tokens = [*data["alphabet"], *merged, *controls, *(f"<|audio_code_{code}|>" for code in codes)]
    return {token: number for number, token in enumerate(tokens)}


def write_tokenizer(folder: Path, codes: tuple[int, ...] = (), *, ends: bool = False) -> None:
    """Write ``tokenizer.json``, its settings and the chat template to *folder*.

    With *ends*, ``<|endoftext|>`` follows every text that is encoded, as the text encoder wants it.
    """
    data = read("tokenizer")
    numbers = vocabulary(codes)
    base = len(data["alphabet"]) + len(data["merges"])
    added = [
        {"id": number, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        | {"special": token in data["special_tokens"]}
        for token, number in numbers.items()
        if number >= base
    ]
    model = {
        "vocab": {token: number for token, number in numbers.items() if number < base},
        "merges": [pair.split(" ") for pair in data["merges"]],
    }
    tokenizer: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": data["normalizer"],
        "pre_tokenizer": data["pre_tokenizer"],
        "post_processor": data["text_encoder_post_processor"] if ends else None,
        "decoder": data["decoder"],
        "model": data["model"] | model,
    }
    texts = {
        "tokenizer.json": json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")),
        "tokenizer_config.json": json.dumps(data["settings"], indent=2) + "\n",
        "chat_template.jinja": data["chat_template"],
    }
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
