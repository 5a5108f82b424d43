"""A synthetic checkpoint of a module: its configuration, and random weights of a size that keeps signals alive."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from acestep.checkpoints.load import build_on_meta
from acestep.synthetic.weights import Dtype, Shapes, write_weights


@dataclass(frozen=True)
class SyntheticCheckpoint:
    """A synthetic checkpoint before it is written.

    Attributes:
        config: contents of ``config.json``.
        build: makes the module whose state dict is stored.
        dtype: number format of the weights.
        stem: of the weights' file name.
        rename: from a key of the module to the stored one.
    """

    config: dict[str, Any]
    build: Callable[[], nn.Module]
    dtype: Dtype
    stem: str = "model"
    rename: Callable[[str], str] = lambda key: key

    def slots(self) -> dict[str, Tensor]:
        """Every tensor to store, without storage, by its key in the module."""
        state: dict[str, Tensor] = build_on_meta(self.build).state_dict()
        return state

    def shapes(self, slots: dict[str, Tensor]) -> Shapes:
        """The shapes of *slots* by their stored keys."""
        return {self.rename(key): tuple(slot.shape) for key, slot in slots.items()}

    def write(self, folder: Path, seed: int) -> None:
        """Write the configuration and the weights; *folder* is made if it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config, indent=2) + "\n", encoding="utf-8")
        slots = self.slots()
        write_weights(folder, self.shapes(slots), _tensors(slots, self.dtype, seed), self.dtype, self.stem)


def _tensors(slots: dict[str, Tensor], dtype: Dtype, seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    for key, slot in slots.items():
        yield _scaled(key, torch.randn(slot.shape, generator=generator, dtype=getattr(torch, dtype)))


def _scaled(key: str, noise: Tensor) -> Tensor:
    """Give standard normal *noise* the size that the parameter *key* has in a signal-preserving model."""
    name = key.rsplit(".", 1)[-1]
    if name in ("weight", "weight_v") and noise.ndim > 1:
        fan_in = noise.shape[0] if "proj_out_conv" in key else math.prod(noise.shape[1:])
        return noise.mul_(1 / math.sqrt(fan_in))
    if name == "weight":
        return noise.mul_(0.1).add_(1)
    if name == "weight_g":
        return noise.mul_(0.1).add_(0.7)
    return noise.mul_(0.1)
