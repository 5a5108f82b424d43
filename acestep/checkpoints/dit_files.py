"""The layouts that a diffusion model is stored in, read as one: configuration, tensors by our keys, silence.

The original layout is one folder with ``config.json``, weights and ``silence_latent.pt``. What
`AceStepPipeline.save_pretrained` writes has a folder for each part, and the silence among the condition encoder's
weights.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from acestep.checkpoints.config_checks import check_values, integer_from
from acestep.checkpoints.errors import CheckpointError
from acestep.checkpoints.files import as_checkpoint_error, read_config, read_shapes, read_tensors
from acestep.checkpoints.folders import is_diffusers_layout
from acestep.checkpoints.key_map import module_key
from acestep.checkpoints.variants import ENCODER_FIELDS

_PARTS: Final = {
    "transformer": "decoder",
    "condition_encoder": "encoder",
    "audio_tokenizer": "tokenizer",
    "audio_token_detokenizer": "detokenizer",
}
"""diffusers' folder of each of our parts."""


@dataclass(frozen=True)
class StoredModel:
    """The contents of a checkpoint: tensors by their keys in `AceStepModel`, and the silence ``[1, T, C]``."""

    tensors: dict[str, Tensor]
    silence: Tensor


def read_dit_config(folder: Path) -> dict[str, Any]:
    """The configuration of the model in *folder*, under the original's names.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    if not is_diffusers_layout(folder):
        return read_config(folder)
    parts = {name: read_config(folder / name) for name in _PARTS}
    model, encoder = parts["transformer"], parts["condition_encoder"]
    turbo = bool(model.get("is_turbo")) or model.get("model_version") == "turbo"
    merged = {"model_type": "acestep", **parts["audio_tokenizer"], **encoder, **model, "is_turbo": turbo}
    merged.pop("encoder_hidden_size", None)
    own = {name: name.removeprefix("encoder_") for name in ENCODER_FIELDS}
    check_values(encoder, dict.fromkeys(own.values(), integer_from()), folder / "condition_encoder" / "config.json")
    if encoder["hidden_size"] != model.get("hidden_size"):
        merged |= {name: encoder[field] for name, field in own.items()}
    return {name: value for name, value in merged.items() if not name.startswith("_")}


def config_source(folder: Path) -> Path:
    """What messages call the configuration of the model in *folder*: a file, or the pattern of several."""
    return folder / "*" / "config.json" if is_diffusers_layout(folder) else folder / "config.json"


def read_dit_shapes(folder: Path) -> dict[str, list[int]]:
    """The shapes of the tensors of the model in *folder* by their keys in `AceStepModel`; only headers are read.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    if not is_diffusers_layout(folder):
        return {module_key(key): shape for key, shape in read_shapes(folder).items()}
    return {
        f"{ours}.{key}": shape for theirs, ours in _PARTS.items() for key, shape in read_shapes(folder / theirs).items()
    }


def read_dit_tensors(folder: Path, channels: int) -> StoredModel:
    """Read the weights of the model in *folder*, whose latents have *channels*.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    if not is_diffusers_layout(folder):
        silence = _read_silence(folder, channels).transpose(1, 2)
        return StoredModel({module_key(key): tensor for key, tensor in read_tensors(folder).items()}, silence)
    tensors = {
        f"{ours}.{key}": tensor
        for theirs, ours in _PARTS.items()
        for key, tensor in read_tensors(folder / theirs).items()
    }
    name = "encoder.silence_latent"
    if name not in tensors:
        raise CheckpointError(f"{folder}/condition_encoder lacks silence_latent. Convert the checkpoint again.")
    silence = tensors.pop(name)
    _check_silence(silence.transpose(1, 2) if silence.ndim == 3 else silence, channels, folder / "condition_encoder")
    return StoredModel(tensors, silence)


def _read_silence(folder: Path, channels: int) -> Tensor:
    """``silence_latent.pt`` as stored: fp32 ``[1, channels, T]``."""
    path = folder / "silence_latent.pt"
    if not path.is_file():
        raise CheckpointError(f"{path} is missing. It is part of every released checkpoint: download it again.")
    with as_checkpoint_error(path):
        _check_archive(path)
        silence = torch.load(path, map_location="cpu", weights_only=True)
    _check_silence(silence, channels, path)
    return silence  # type: ignore[no-any-return]


def _check_archive(path: Path) -> None:
    """See that reading *path*, as torch writes it, takes no more memory than the file has bytes.

    Raises:
        ValueError: something in it is compressed.
        BadZipFile: it is no archive.
    """
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{entry.filename} is compressed, which torch.save never does")


def _check_silence(silence: Any, channels: int, path: Path) -> None:
    """See that *silence*, read from *path*, is latents ``[1, channels, T]`` that are in the memory that they take up.

    Raises:
        CheckpointError: it is not.
    """
    if (
        not isinstance(silence, Tensor)
        or silence.ndim != 3
        or silence.shape[:2] != (1, channels)
        or not silence.numel()
    ):
        shape = list(silence.shape) if isinstance(silence, Tensor) else type(silence).__name__
        raise CheckpointError(f"{path} holds {shape}, expected a tensor [1, {channels}, frames]. Download it again.")
    if silence.nbytes > silence.untyped_storage().nbytes():
        raise CheckpointError(
            f"{path} claims {silence.shape[2]:,} frames and has the numbers of fewer. Download it again."
        )
    if not silence.is_floating_point() or not silence.float().isfinite().all():
        raise CheckpointError(f"{path} holds other than finite floating-point numbers. Download it again.")
