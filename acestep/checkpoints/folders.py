"""Finding checkpoint folders."""

from __future__ import annotations

import os
from pathlib import Path

from acestep.checkpoints.errors import CheckpointError
from acestep.constants import TEXT_ENCODER_FOLDER, VAE_FOLDER


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


def is_diffusers_layout(folder: Path) -> bool:
    """Whether *folder* was written by `AceStepPipeline.save_pretrained`."""
    return not (folder / "config.json").is_file() and (folder / "transformer" / "config.json").is_file()


def component_folders(root: Path, name: str, vae: str) -> tuple[Path, Path, Path]:
    """Folders of the diffusion model *name*, of a VAE and of the text encoder below *root*.

    A diffusers pipeline holds them all; its own VAE is used unless *vae* names another one.

    Raises:
        CheckpointError: one is not there.
    """
    model = component_folder(root, name)
    if not is_diffusers_layout(model):
        return model, component_folder(root, vae), component_folder(root, TEXT_ENCODER_FOLDER)
    own = component_folder(model if vae == VAE_FOLDER else root, vae)
    return model, own, component_folder(model, "text_encoder")
