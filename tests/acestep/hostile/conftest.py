"""Copies of the tiny checkpoints that a test may damage, and what loading them leads to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

MODEL, VAE, TEXT, PLANNER = "acestep-v15-turbo", "vae", "Qwen3-Embedding-0.6B", "acestep-5Hz-lm-0.6B"


@pytest.fixture
def root(tiny_root: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoints; weights are links, which a test replaces and does not write to."""
    copy = tmp_path / "checkpoints"
    shutil.copytree(tiny_root, copy, copy_function=_linked)
    return copy


def _linked(source: str, target: str) -> None:
    if source.endswith((".safetensors", "tokenizer.json")):
        Path(target).symlink_to(source)
    else:
        shutil.copy(source, target)


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    [path] = folder.glob("*.safetensors")
    tensors = {key: tensor.clone() for key, tensor in load_file(path).items()}
    change(tensors)
    path.unlink()
    save_file(tensors, path)


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)
