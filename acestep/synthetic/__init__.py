"""Synthetic checkpoints: seeded random weights in the layout of the released ones.

``tiny`` keeps every mechanism of the models alive and is built in seconds; ``full`` has the released
shapes, so its speed and memory are a real checkpoint's. `write` makes a folder of checkpoints, `cached` one
that is shared.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Final, get_args

from acestep.checkpoints.errors import CheckpointError
from acestep.constants import TEXT_ENCODER_FOLDER, VAE_FOLDER
from acestep.synthetic.planner import PlannerSize
from acestep.synthetic.tokenizer import Scale

SCALES: Final[tuple[Scale, ...]] = get_args(Scale)
PLANNER_SIZES: Final[tuple[PlannerSize, ...]] = get_args(PlannerSize)


def write(
    scale: Scale,
    folder: Path,
    planners: Iterable[PlannerSize] = ("0.6B",),
    seed: int = 0,
    dits: Iterable[str] = ("turbo",),
) -> list[Path]:
    """Write the checkpoints of *scale* into *folder* and return their folders.

    Args:
        scale: ``tiny`` or ``full``.
        folder: is made if it is not there.
        planners: sizes of the planner checkpoints.
        seed: the same seed gives the same bytes.
        dits: variants of the diffusion models, ``turbo``, ``base``, ``sft``, ``xl-turbo``, ``xl-base``, ``xl-sft``.

    Raises:
        ValueError: a variant is unknown.
        CheckpointError: *folder* already holds one of them; nothing is overwritten.
        OSError: the folder cannot be written.
    """
    from acestep.checkpoints.variants import variant_named
    from acestep.synthetic.planner import write_planner
    from acestep.synthetic.synthesizer import write_model, write_text_encoder, write_vae

    sizes = {folder / f"acestep-5Hz-lm-{size}": size for size in planners}
    models = {folder / variant.folder: variant for variant in map(variant_named, dits)}
    vae, text_encoder = folder / VAE_FOLDER, folder / TEXT_ENCODER_FOLDER
    targets = [*models, vae, text_encoder, *sizes]
    taken = [target.name for target in targets if target.exists()]
    if taken:
        raise CheckpointError(f"{folder} already holds {', '.join(taken)}; choose an empty folder.")
    for target, variant in models.items():
        write_model(target, scale, seed, variant)
    write_vae(vae, scale, seed)
    write_text_encoder(text_encoder, scale, seed)
    for target, size in sizes.items():
        write_planner(target, size, scale, seed)
    return targets


def cached(scale: Scale, planners: Iterable[PlannerSize] = ("0.6B",), dits: Iterable[str] = ("turbo",)) -> Path:
    """A folder with the checkpoints of *scale*, built the first time it is asked for.

    It lies in ``$ACESTEP_CACHE_DIR`` (default ``~/.cache/acestep``), named by all that its bytes depend on, so
    that other bytes get a folder of their own. Processes that ask at once wait for the one that builds; a folder that
    is there is complete.

    Raises:
        ValueError: a variant is unknown.
        OSError: the cache folder cannot be written.
    """
    from filelock import FileLock

    wanted, variants = sorted(set(planners)), sorted(set(dits))
    cache = Path(os.environ.get("ACESTEP_CACHE_DIR") or Path.home() / ".cache" / "acestep") / "synthetic"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / "-".join([scale, *variants, *wanted, _recipe(scale, variants)])
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            building = Path(tempfile.mkdtemp(prefix="building-", dir=cache))
            try:
                write(scale, building, wanted, dits=variants)
                building.rename(folder)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    return folder


def _recipe(scale: Scale, variants: Iterable[str]) -> str:
    """Short digest of all that the bytes of the checkpoints depend on.

    That is what is stored besides random numbers (see `contents_digest`; the planners' tokenizer is made of the same
    parts as the text encoder's), the code that writes it, and the version of torch, whose generator draws the numbers.
    """
    from acestep.checkpoints.variants import variant_named
    from acestep.synthetic.synthesizer import contents_digest

    digest = hashlib.sha256(contents_digest(scale, map(variant_named, variants)).encode())
    digest.update(version("torch").encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]
