"""Checkpoint folders: finding them, and filling modules with their tensors.

Every module is filled strictly: what is missing, unexpected or misshapen is a `CheckpointError` that names it. How the
files are read is `acestep.checkpoints.files`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class CheckpointError(Exception):
    """A checkpoint folder cannot be used; the message says which one, why, and what to do."""


def checkpoints_root(project_root: str | os.PathLike[str] | None) -> Path:
    """The folder that holds the checkpoint folders.

    ``$ACESTEP_CHECKPOINTS_DIR`` wins; else ``checkpoints`` below *project_root*, ``$ACESTEP_PROJECT_ROOT`` or the
    current directory, the first that is given.
    """
    explicit = os.environ.get("ACESTEP_CHECKPOINTS_DIR")
    if explicit:
        return Path(explicit).expanduser().absolute()
    base = project_root or os.environ.get("ACESTEP_PROJECT_ROOT") or os.getcwd()
    return Path(base).expanduser().absolute() / "checkpoints"


def component_folder(root: Path, name: str) -> Path:
    """The folder of component *name*: below *root*, or where *name* says if it is an absolute path.

    Raises:
        CheckpointError: it is not there; the message lists what is.
    """
    folder = root / name
    if folder.is_dir():
        return folder
    present = sorted(entry.name for entry in root.iterdir() if entry.is_dir()) if root.is_dir() else []
    found = f"it holds {', '.join(present)}" if present else "that folder is empty or does not exist"
    raise CheckpointError(
        f"Checkpoint {name!r} not found in {root} ({found}). Set ACESTEP_CHECKPOINTS_DIR to the folder that holds "
        f"{name!r}, download it there from https://huggingface.co/ACE-Step, or write a synthetic one with "
        f"`python -m acestep.synthetic tiny {root}`."
    )


def build_empty(factory: Callable[[], nn.Module]) -> Any:
    """The module that *factory* makes, its parameters without storage (buffers are real)."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        return factory()


def check_tensors(wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor], source: Path) -> None:
    """See that *tensors*, read from *source*, have the keys and shapes of *wanted*.

    Raises:
        CheckpointError: they have not; the message names keys and *source*.
    """
    missing = sorted(set(wanted) - set(tensors))
    if missing:
        raise CheckpointError(f"{source} lacks {some(missing)}: it is not a complete checkpoint of this model.")
    unexpected = sorted(set(tensors) - set(wanted))
    if unexpected:
        raise CheckpointError(f"{source} has unexpected {some(unexpected)}: it is another model's checkpoint.")
    for key, slot in wanted.items():
        if slot.shape != tensors[key].shape:
            raise CheckpointError(
                f"{source}: {key} has shape {list(tensors[key].shape)}, config.json asks for {list(slot.shape)}."
            )


def fill(module: nn.Module, tensors: Mapping[str, Tensor], source: Path, *, device: str, dtype: torch.dtype) -> None:
    """Give *module* its parameters: exactly the keys and shapes of its state dict, cast and moved.

    Raises:
        CheckpointError: keys are missing or unexpected, or a shape differs; the message names them and *source*.
    """
    import torch

    check_tensors(module.state_dict(), tensors, source)
    placed = {
        key: tensor.to(device, dtype if tensor.is_floating_point() else None, copy=True)
        for key, tensor in tensors.items()
    }
    module.load_state_dict(placed, strict=True, assign=True)
    for buffer_owner in module.modules():
        for name, buffer in buffer_owner.named_buffers(recurse=False):
            setattr(buffer_owner, name, buffer.to(device))
    module.eval().requires_grad_(False)
    if any(parameter.device == torch.device("meta") for parameter in module.parameters()):
        raise CheckpointError(f"{source}: some parameters share storage that the checkpoint does not hold.")


def some(names: list[str], limit: int = 3) -> str:
    """The first *limit* of *names*, and how many more there are."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
