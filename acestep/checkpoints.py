"""Checkpoint folders in the original layout: finding them, reading them, filling modules with them.

A folder holds ``config.json`` and its weights as one ``*.safetensors`` file or as shards with an index. Tensors are
memory-mapped while they are read and every module is filled strictly: what is missing, unexpected, misshapen or
truncated is a `CheckpointError` that names it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

WEIGHT_NAMES = ("model.safetensors", "diffusion_pytorch_model.safetensors")


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


def read_config(folder: Path) -> dict[str, Any]:
    """The parsed ``config.json`` of *folder*.

    Raises:
        CheckpointError: the file is missing or is not a JSON object.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: {folder} is not a checkpoint folder.") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}. Restore the file from its source.") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} holds a {type(config).__name__}, not a JSON object.")
    return config


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of *folder*, one or all shards named by the index.

    Raises:
        CheckpointError: there is none, or a shard that the index names is missing.
    """
    for name in WEIGHT_NAMES:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            return _shards(index)
    raise CheckpointError(f"{folder} holds no weights: expected {' or '.join(WEIGHT_NAMES)}, or a shard index.")


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{index} is not a shard index: {error!r}.") from error
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise CheckpointError(f"{index.parent} lacks {_some(missing)}, named by {index.name}. Download it again.")
    return [index.parent / name for name in names]


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of *folder* by their stored key, memory-mapped on the CPU.

    Raises:
        CheckpointError: a file is missing, truncated or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for path in weight_files(folder):
        try:
            tensors.update(load_file(path))
        except (SafetensorError, OSError) as error:
            size = path.stat().st_size
            raise CheckpointError(
                f"{path} ({size:,} bytes) is damaged or truncated: {error}. Download or build it again."
            ) from error
    return tensors


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
        raise CheckpointError(f"{source} lacks {_some(missing)}: it is not a complete checkpoint of this model.")
    unexpected = sorted(set(tensors) - set(wanted))
    if unexpected:
        raise CheckpointError(f"{source} has unexpected {_some(unexpected)}: it is another model's checkpoint.")
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


def _some(names: list[str], limit: int = 3) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
