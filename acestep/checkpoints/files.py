"""The files of a checkpoint folder, read without trust.

``config.json`` is strict JSON of bounded size; weights are one ``*.safetensors`` file or shards with an index. Shapes
come from the headers alone, tensors are memory-mapped. Whatever is wrong with a file is a `CheckpointError` that names
it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from acestep.checkpoints.errors import CheckpointError, first_names

if TYPE_CHECKING:
    from torch import Tensor

WEIGHT_NAMES: Final = ("model.safetensors", "diffusion_pytorch_model.safetensors")
CONFIG_BYTES: Final = 16 * 2**20
"""Largest configuration or shard index that is read; released ones have some kilobytes."""
SMALL_TENSOR: Final = 2**16
"""Elements of the largest tensor whose numbers are looked at when it is read: norms, biases, activations."""
RESTORE: Final = "Restore the file from its source."
MESSAGE_LENGTH: Final = 200
"""Characters of a library's message that are repeated."""


@contextmanager
def as_checkpoint_error(path: Path, remedy: str = "Download it again.") -> Iterator[None]:
    """Turn what a library raises about *path* into a CheckpointError.

    A panic of a library that is written in Rust is no `Exception`, so everything is caught but what ends a program.
    """
    try:
        yield
    except (CheckpointError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        said = " ".join(str(error).split())[:MESSAGE_LENGTH] or type(error).__name__
        raise CheckpointError(f"{path} is damaged: {said}. {remedy}") from error


def read_json(path: Path, most: int = CONFIG_BYTES) -> dict[str, Any]:
    """The JSON object in *path*, a file of at most *most* bytes.

    Raises:
        CheckpointError: the file is missing or too large, or is not a JSON object in which every key is there once.
    """
    text = read_text(path, most)
    try:
        content = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise CheckpointError(f"{path} cannot be read: it is nested too deeply. {RESTORE}") from None
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be read: {error}. {RESTORE}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a JSON object. {RESTORE}")
    return content


def read_text(path: Path, most: int = CONFIG_BYTES) -> str:
    """The text in *path*, a file of at most *most* bytes.

    Raises:
        CheckpointError: the file is missing or too large, or is not UTF-8.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: {path.parent} is not a complete checkpoint folder.")
    size = path.stat().st_size
    if size > most:
        raise CheckpointError(f"{path} has {size:,} bytes, expected at most {most:,}. {RESTORE}")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}. {RESTORE}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice[:MESSAGE_LENGTH]!r} is there twice")
    return found


def read_config(folder: Path) -> dict[str, Any]:
    """The parsed ``config.json`` of *folder*.

    Raises:
        CheckpointError: see `read_json`.
    """
    return read_json(folder / "config.json")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of *folder*, one or all shards named by the index.

    Raises:
        CheckpointError: there is none, or a shard that the index names is missing or outside of *folder*.
    """
    for name in WEIGHT_NAMES:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            return _shards(index)
    raise CheckpointError(f"{folder} holds no weights: expected {' or '.join(WEIGHT_NAMES)}, or a shard index.")


def _shards(index: Path) -> list[Path]:
    placed = read_json(index).get("weight_map")
    if not isinstance(placed, dict) or not placed:
        raise CheckpointError(f"{index} is not a shard index: it has no weight_map. Download it again.")
    for key, name in placed.items():
        if not isinstance(name, str) or not name or Path(name).name != name or "\0" in name:
            said = f"{key[:MESSAGE_LENGTH]} in {str(name)[:MESSAGE_LENGTH]!r}"
            raise CheckpointError(
                f"{index} places {said}, expected the name of a file in {index.parent}. Download it again."
            )
    names = sorted(set(placed.values()))
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise CheckpointError(f"{index.parent} lacks {first_names(missing)}, named by {index.name}. Download it again.")
    return [index.parent / name for name in names]


def read_shapes(folder: Path) -> dict[str, list[int]]:
    """The shapes of all tensors of *folder* by their stored key; only headers are read.

    Raises:
        CheckpointError: a file is missing, truncated or damaged, or a key is in two files.
    """
    from safetensors import safe_open

    shapes: dict[str, list[int]] = {}
    for path in weight_files(folder):
        with _weights(path), safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118  # it is no mapping
                if key in shapes:
                    raise CheckpointError(f"{path}: {key} is in another file of {folder} too. Download it again.")
                shapes[key] = list(file.get_slice(key).get_shape())
    return shapes


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of *folder* by their stored key, memory-mapped on the CPU.

    Numbers are looked at in small tensors alone, so that nothing large has to be read from the disk; what the models
    make of the others shows in their output.

    Raises:
        CheckpointError: a file is missing, truncated or damaged, or a small tensor holds NaN or infinite numbers.
    """
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for path in weight_files(folder):
        with _weights(path):
            found = load_file(path)
        for key, tensor in found.items():
            _check_numbers(key, tensor, path)
        tensors.update(found)
    return tensors


@contextmanager
def _weights(path: Path) -> Iterator[None]:
    with as_checkpoint_error(
        path, f"It may be truncated, at {path.stat().st_size:,} bytes. Download or build it again."
    ):
        yield


def _check_numbers(key: str, tensor: Tensor, path: Path) -> None:
    if not tensor.is_floating_point():
        raise CheckpointError(f"{path}: {key} holds {tensor.dtype}, expected floating-point numbers.")
    if tensor.numel() <= SMALL_TENSOR and not tensor.float().isfinite().all():
        raise CheckpointError(f"{path}: {key} holds NaN or infinite numbers: the file is damaged. Download it again.")
