"""Engines that run the planner's model; `base.Engine` is their interface."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from acestep.planner.engines.backend_selection import BACKENDS, Selection, select_backend
from acestep.planner.engines.base import Engine

if TYPE_CHECKING:
    import torch

    from acestep.planner.vocabulary import Vocabulary

__all__ = ["BACKENDS", "Engine", "Selection", "open_engine", "select_backend"]


def open_engine(
    name: str, folder: Path, vocabulary: Vocabulary, *, device: str, dtype: torch.dtype, offload: bool = False
) -> Engine:
    """Load the checkpoint in *folder* into the engine *name*, which `select_backend` has returned.

    With *offload* the weights are on the device only inside `Engine.on_device`, if the device has its own memory.

    Raises:
        CheckpointError: the folder is incomplete or damaged, or holds another model.
        PlannerError: the device has too little free memory.
    """
    if name == "vllm":
        from acestep.planner.engines.vllm import VllmEngine

        return VllmEngine(folder, vocabulary, device=device, dtype=dtype, offload=offload)
    if name == "mlx":
        from acestep.planner.engines.mlx import MlxEngine

        return MlxEngine(folder, vocabulary, device=device, dtype=dtype)
    from acestep.planner.engines.pt import PtEngine

    return PtEngine(folder, vocabulary, device=device, dtype=dtype, offload=offload)
