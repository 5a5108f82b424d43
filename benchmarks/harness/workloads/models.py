"""Loads the handlers of the commit under measurement from the checkpoints of the chosen scale."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from benchmarks.harness.adapters import package, probe
from benchmarks.harness.frozen import tree
from benchmarks.harness.settings import DIT_FOLDER, LM_FOLDER, Settings
from benchmarks.harness.workload import Unavailable

TURBO = ("turbo",)
PARTS = ("vae", "Qwen3-Embedding-0.6B", LM_FOLDER)
"""The folders that are loaded besides those of the diffusion models."""
CONTENT_BYTES = 1_000_000
"""Largest size of a file that counts with its content in `workload_digest`."""


def checkpoints(settings: Settings, dits: tuple[str, ...] = TURBO) -> Path:
    """Return the checkpoints folder of the scale, which is written first if it is a synthetic one.

    The tiny ones are the frozen workload, the same at every commit. The full ones take gigabytes and are written by the
    commit itself. *dits* are variants of the diffusion model; Unavailable where one is missing.
    """
    if settings.scale == "tiny":
        return tree.cached()
    if settings.scale == "full":
        if dits == TURBO:
            return probe.synthetic_checkpoints("full", planners=("0.6B",), variants=dits)
        return probe.synthetic_checkpoints("full", planners=(), variants=dits)
    root = Path(settings.scale)
    missing = [dit_folder(dit) for dit in dits if not (root / dit_folder(dit)).is_dir()]
    if missing and dits != TURBO:
        raise Unavailable(f"{root} has no {', '.join(missing)}")
    return root


def workload_digest(settings: Settings, dits: tuple[str, ...] = TURBO) -> str:
    """Return which checkpoints `checkpoints` returns: numbers that were measured on others are not comparable.

    It is the digest of every byte of the frozen workload. Of other scales it covers what is loaded: the content of
    small files (configurations, tokenizers), and the names and sizes of those above `CONTENT_BYTES`.
    """
    if settings.scale == "tiny":
        return tree.frozen_digest()
    root = checkpoints(settings, dits)
    digest = hashlib.sha256()
    for folder in (*map(dit_folder, dits), *PARTS):
        for path in sorted(file for file in (root / folder).rglob("*") if file.is_file()):
            size = path.stat().st_size
            digest.update(f"{path.relative_to(root).as_posix()} {size}\n".encode())
            digest.update(path.read_bytes() if size <= CONTENT_BYTES else b"")
    return digest.hexdigest()[:12]


def dit_folder(family: str) -> str:
    """Return the folder of a diffusion model, as released."""
    return f"acestep-v15-{family}"


def load_dit(settings: Settings, root: Path, folder: str = DIT_FOLDER, **options: Any) -> Any:
    """Return a synthesizer initialised with *options*; RuntimeError with its report if it cannot load.

    Unsupported where the commit does not take one of *options*, or is older than the variant in *folder*.
    """
    return package.load_synthesizer(root, folder, settings.device, **options)


def load_lm(settings: Settings, root: Path, engine: str = "pt") -> Any:
    """Return a planner initialised on *engine*; RuntimeError with its report if it cannot load.

    Unsupported where the commit, Unavailable where the checkpoints or the environment do not have what it takes.
    """
    package.public("LLMHandler")
    if not (root / LM_FOLDER).is_dir():
        raise Unavailable(f"{root} has no {LM_FOLDER}")
    return package.load_planner(root, LM_FOLDER, engine, settings.device)
