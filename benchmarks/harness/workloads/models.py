"""Checkpoints of the chosen scale, and the handlers that are loaded from them."""

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
"""Folders of the models that are loaded besides the diffusion models."""
CONTENT_BYTES = 1_000_000
"""Size up to which `workload_digest` covers the content of a file; larger files count by name and size."""


def checkpoints(settings: Settings, dits: tuple[str, ...] = TURBO) -> Path:
    """Return the checkpoints folder of the scale; a synthetic one is written first if it does not exist.

    Tiny checkpoints are the frozen workload, the same at every commit. Full ones take gigabytes and are written by the
    commit itself. *dits* are the needed variants of the diffusion model; raises Unavailable if the user's folder lacks
    one.
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
    """Return a digest of the checkpoints that `checkpoints` returns; numbers with another digest are not comparable.

    For the frozen workload it covers every byte. For other scales it covers the folders that are loaded: the content of
    small files (configurations, tokenizers), and the names and sizes of files above `CONTENT_BYTES`.
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
    """Return the name of the folder in which the variant *family* of the diffusion model is released."""
    return f"acestep-v15-{family}"


def load_dit(settings: Settings, root: Path, folder: str = DIT_FOLDER, **options: Any) -> Any:
    """Return the handler of a synthesizer, initialised with *options*.

    Raises RuntimeError with the package's report if it cannot load, Unsupported if the commit does not have one of
    *options* or the variant in *folder*.
    """
    return package.load_synthesizer(root, folder, settings.device, **options)


def load_lm(settings: Settings, root: Path, engine: str = "pt") -> Any:
    """Return the handler of a planner that runs on *engine*.

    Raises RuntimeError with the package's report if it cannot load, Unsupported if the commit has no planner, and
    Unavailable if the checkpoints have none or the environment lacks the engine.
    """
    package.public("LLMHandler")
    if not (root / LM_FOLDER).is_dir():
        raise Unavailable(f"{root} has no {LM_FOLDER}")
    return package.load_planner(root, LM_FOLDER, engine, settings.device)
