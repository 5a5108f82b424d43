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

from acestep.checkpoints.config_checks import check_kinds, whole
from acestep.checkpoints.files import damage, read_config, read_shapes, read_tensors
from acestep.checkpoints.folders import CheckpointError, component_folder
from acestep.checkpoints.variants import ENCODER_FIELDS
from acestep.constants import TEXT_ENCODER_FOLDER, VAE_FOLDER

_RENAMES: Final = (
    (".proj_in.1.", ".proj_in_conv."),
    (".proj_out.1.", ".proj_out_conv."),
    (".q_proj.", ".to_q."),
    (".k_proj.", ".to_k."),
    (".v_proj.", ".to_v."),
    (".o_proj.", ".to_out.0."),
    (".q_norm.", ".norm_q."),
    (".k_norm.", ".norm_k."),
)
_PARTS: Final = {
    "transformer": "decoder",
    "condition_encoder": "encoder",
    "audio_tokenizer": "tokenizer",
    "audio_token_detokenizer": "detokenizer",
}
"""diffusers' folder of each of our parts."""


@dataclass(frozen=True)
class Stored:
    """The contents of a checkpoint: tensors by their keys in `AceStepModel`, and the silence ``[1, T, C]``."""

    tensors: dict[str, Tensor]
    silence: Tensor


def is_diffusers(folder: Path) -> bool:
    """Whether *folder* was written by `AceStepPipeline.save_pretrained`."""
    return not (folder / "config.json").is_file() and (folder / "transformer" / "config.json").is_file()


def component_folders(root: Path, name: str, vae: str) -> tuple[Path, Path, Path]:
    """Folders of the diffusion model *name*, of a VAE and of the text encoder below *root*.

    A diffusers pipeline holds them all; its own VAE is used unless *vae* names another one.

    Raises:
        CheckpointError: one is not there.
    """
    model = component_folder(root, name)
    if not is_diffusers(model):
        return model, component_folder(root, vae), component_folder(root, TEXT_ENCODER_FOLDER)
    own = component_folder(model if vae == VAE_FOLDER else root, vae)
    return model, own, component_folder(model, "text_encoder")


def model_config(folder: Path) -> dict[str, Any]:
    """The configuration of the model in *folder*, under the original's names.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    if not is_diffusers(folder):
        return read_config(folder)
    parts = {name: read_config(folder / name) for name in _PARTS}
    model, encoder = parts["transformer"], parts["condition_encoder"]
    turbo = bool(model.get("is_turbo")) or model.get("model_version") == "turbo"
    merged = {"model_type": "acestep", **parts["audio_tokenizer"], **encoder, **model, "is_turbo": turbo}
    merged.pop("encoder_hidden_size", None)
    own = {name: name.removeprefix("encoder_") for name in ENCODER_FIELDS}
    check_kinds(encoder, dict.fromkeys(own.values(), whole()), folder / "condition_encoder" / "config.json")
    if encoder["hidden_size"] != model.get("hidden_size"):
        merged |= {name: encoder[field] for name, field in own.items()}
    return {name: value for name, value in merged.items() if not name.startswith("_")}


def config_source(folder: Path) -> Path:
    """What messages call the configuration of the model in *folder*: a file, or the pattern of several."""
    return folder / "*" / "config.json" if is_diffusers(folder) else folder / "config.json"


def model_shapes(folder: Path) -> dict[str, list[int]]:
    """The shapes of the tensors of the model in *folder* by their keys in `AceStepModel`; only headers are read.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    if not is_diffusers(folder):
        return {module_key(key): shape for key, shape in read_shapes(folder).items()}
    return {
        f"{ours}.{key}": shape for theirs, ours in _PARTS.items() for key, shape in read_shapes(folder / theirs).items()
    }


def read_model(folder: Path, channels: int) -> Stored:
    """Read the weights of the model in *folder*, whose latents have *channels*.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    if not is_diffusers(folder):
        silence = _read_silence(folder, channels).transpose(1, 2)
        return Stored({module_key(key): tensor for key, tensor in read_tensors(folder).items()}, silence)
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
    return Stored(tensors, silence)


def module_key(key: str) -> str:
    """The name in `AceStepModel` of the tensor that the original checkpoint calls *key*."""
    if key == "null_condition_emb":
        return "encoder.null_condition_emb"
    for original, ours in _RENAMES:
        key = key.replace(original, ours)
    return key


def original_key(key: str) -> str:
    """The inverse of `module_key`: what the original checkpoint calls the tensor *key* of `AceStepModel`."""
    if key == "encoder.null_condition_emb":
        return "null_condition_emb"
    for original, ours in _RENAMES:
        key = key.replace(ours, original)
    return key


def _read_silence(folder: Path, channels: int) -> Tensor:
    """``silence_latent.pt`` as stored: fp32 ``[1, channels, T]``."""
    path = folder / "silence_latent.pt"
    if not path.is_file():
        raise CheckpointError(f"{path} is missing. It is part of every released checkpoint: download it again.")
    with damage(path):
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
