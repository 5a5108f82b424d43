"""Engines that run the planner's model. `base.Engine` says what each of them can do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from acestep.planner.engines.base import Engine

if TYPE_CHECKING:
    import torch

    from acestep.planner.vocabulary import Vocabulary

BACKENDS: Final = ("pt", "vllm", "mlx")


def choose(backend: str) -> str:
    """The engine that answers when *backend* (one of `BACKENDS`, or ``auto``) is asked for.

    Raises:
        ValueError: there is no such engine here.
    """
    if backend not in ("auto", *BACKENDS):
        raise ValueError(f"unknown backend {backend!r}: use 'pt' or 'auto'.")
    if backend in ("vllm", "mlx"):
        raise ValueError(f"backend {backend!r} is not available in this version: use 'pt' or 'auto'.")
    return "pt"


def open_engine(backend: str, folder: Path, vocabulary: Vocabulary, *, device: str, dtype: torch.dtype) -> Engine:
    """Load the checkpoint in *folder* into the engine called *backend*, one of `BACKENDS`.

    Raises:
        CheckpointError: the folder is incomplete or damaged, or holds another model.
    """
    from acestep.planner.engines.pt import PtEngine

    kinds: dict[str, Callable[..., Engine]] = {"pt": PtEngine}
    return kinds[backend](folder, vocabulary, device=device, dtype=dtype)
