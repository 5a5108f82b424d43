"""Writes the checkpoints of the frozen workload into a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.frozen.data import read
from benchmarks.harness.frozen.planner import planner_weight
from benchmarks.harness.frozen.silence import write_silence
from benchmarks.harness.frozen.tokenizer import CODES, vocabulary, write_tokenizer
from benchmarks.harness.frozen.weights import Shapes, signal_preserving, write_safetensors

DITS: Final = {"turbo": "2b", "base": "2b", "xl-turbo": "xl", "xl-base": "xl"}
"""The shapes of each variant of the diffusion model."""


def write(root: Path) -> None:
    """Write every checkpoint below *root*: four diffusion models, VAE, text encoder and planner, 26 MB."""
    for variant, shapes in DITS.items():
        turbo = variant.endswith("turbo")
        folder = _write_model(root / f"acestep-v15-{variant}", shapes, is_turbo=turbo, model_version=_kind(variant))
        write_silence(folder / "silence_latent.pt")
    _write_model(root / "vae", "vae", stem="diffusion_pytorch_model")
    text_encoder = _write_model(root / "Qwen3-Embedding-0.6B", "text_encoder")
    write_tokenizer(text_encoder, ends=True)
    _write_planner(root / "acestep-5Hz-lm-0.6B")


def _kind(variant: str) -> str:
    return variant.removeprefix("xl-")


def _write_model(folder: Path, name: str, stem: str = "model", **config: Any) -> Path:
    data = read(name)
    _write_config(folder, data["config"] | config)
    write_safetensors(folder / f"{stem}.safetensors", _shapes(data), partial(signal_preserving, folder.name))
    return folder


def _write_planner(folder: Path) -> None:
    data = read("planner")
    _write_config(folder, data["config"])
    weight = partial(planner_weight, folder.name, config=data["config"], vocabulary=vocabulary(CODES))
    write_safetensors(folder / "model.safetensors", _shapes(data), weight)
    write_tokenizer(folder, CODES)


def _write_config(folder: Path, config: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes((json.dumps(config, indent=2) + "\n").encode())


def _shapes(data: Mapping[str, Any]) -> Shapes:
    return {key: tuple(shape) for key, shape in data["tensors"].items()}
