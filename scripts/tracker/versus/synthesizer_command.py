"""``python -m scripts.versus synthesizer``: its options, its checkpoints, and its result."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.tracker.versus.shared_options import add_shared, check_range, check_shared, numbers, use_threads

SUMMARY = "this package's synthesizer against the parts of diffusers' AceStepPipeline"
DESCRIPTION = (
    "Time this package's synthesizer against the parts of diffusers' AceStepPipeline on the same work: same weights, "
    "inputs and threads, a batch of one, in float32 on the CPU, interleaved. First both must make the same output."
)
PARTS = ("dit", "vae")
LAYERS = {"full": 2}
"""Default number of layers that are kept of the transformer, by scale; at other scales all are kept."""
CONDITION_TOKENS = 1024
MAX_SECONDS = 600
MAX_CONDITION_TOKENS = 4096
MAX_LAYERS = 64


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the synthesizer's options to *parser*."""
    parser.add_argument(
        "--scale", default="tiny", help="tiny (default), full (released shapes), or a folder of checkpoints"
    )
    parser.add_argument("--seconds", default="30,240", help="durations of audio, separated by commas (default 30,240)")
    parser.add_argument("--parts", default="dit,vae", help="dit, vae, or both separated by a comma (default dit,vae)")
    parser.add_argument("--layers", type=int, help="layers to keep of the transformer (default: all, full: 2)")
    parser.add_argument("--condition-tokens", type=int, help="tokens of the DiT's condition (default 1024)")
    add_shared(parser, "all cores")


def check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Fill in the defaults that depend on the scale, and refuse invalid values."""
    arguments.seconds = numbers(parser, "seconds", arguments.seconds, MAX_SECONDS)
    parts = set(arguments.parts.split(","))
    if not parts <= set(PARTS):
        parser.error(f"--parts is {arguments.parts!r}, expected {' or '.join(PARTS)}, or both as in {','.join(PARTS)}")
    for name, part in (("layers", "dit"), ("condition_tokens", "dit")):
        if getattr(arguments, name) and part not in parts:
            parser.error(
                f"--{name.replace('_', '-')} is about {part}, but --parts is {arguments.parts!r}: leave one out"
            )
    arguments.parts = [part for part in PARTS if part in parts]
    check_range(parser, arguments, "layers", MAX_LAYERS)
    check_range(parser, arguments, "condition_tokens", MAX_CONDITION_TOKENS)
    check_shared(parser, arguments)
    arguments.condition_tokens = arguments.condition_tokens or CONDITION_TOKENS
    arguments.layers = arguments.layers or LAYERS.get(arguments.scale)


def prepare(arguments: argparse.Namespace) -> Callable[[], str]:
    """Load both sides and check that they agree; return a function that times them and returns the result as text.

    Raises:
        CheckpointError: a checkpoint cannot be used.
        DisagreementError: the two sides made different outputs.
        ValueError: the transformer has fewer layers than were asked for.
    """
    import diffusers
    import torch

    from benchmarks.harness.host import usable_cores
    from scripts.tracker.progress import say
    from scripts.tracker.versus.rendering import synthesizer_json, synthesizer_table
    from scripts.tracker.versus.synthesizer import SynthesizerSides
    from scripts.tracker.versus.synthesizer_variants import time_variants

    threads, layers = use_threads(arguments.threads or usable_cores()), arguments.layers
    work = {"seconds": arguments.seconds, "condition_tokens": arguments.condition_tokens, "parts": arguments.parts}
    with _checkpoints(arguments.scale, arguments.parts, layers) as root:
        sides = SynthesizerSides(root, **work, layers=layers)
        pairs, once = sides.variants(say)

    def run() -> str:
        variants = [variant for pair in pairs for variant in (pair.ours, pair.theirs)]
        conditions = {
            "scale": arguments.scale,
            "threads": threads,
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "parts": arguments.parts,
            "layers": sides.layers,
            "cut": layers is not None,
            "condition_tokens": arguments.condition_tokens,
            "rounds": time_variants([*variants, *once], arguments.rounds),
        }
        return (synthesizer_json if arguments.json else synthesizer_table)(conditions, pairs, once)

    return run


@contextmanager
def _checkpoints(scale: str, parts: Collection[str], layers: int | None) -> Iterator[Path]:
    """Yield the checkpoints folder for *scale*; of the full scale only the timed parts are written, for this run."""
    from acestep.checkpoints.errors import CheckpointError
    from acestep.constants import DEFAULT_DIT, VAE_FOLDER
    from acestep.synthetic import SCALES, cached
    from acestep.synthetic.synthesizer import write_model, write_vae
    from scripts.tracker.progress import say

    if scale == "tiny":
        yield cached("tiny")
        return
    if scale == "full":
        with TemporaryDirectory(prefix="versus-") as folder:
            root = Path(folder)
            say("writing full-size checkpoints of random weights")
            if "dit" in parts:
                write_model(root / DEFAULT_DIT, "full", layers=layers)
            if "vae" in parts:
                write_vae(root / VAE_FOLDER, "full")
            yield root
        return
    root = Path(scale).expanduser()
    needed = [folder for folder, part in ((DEFAULT_DIT, "dit"), (VAE_FOLDER, "vae")) if part in parts]
    if not all((root / folder).is_dir() for folder in needed):
        raise CheckpointError(
            f"--scale {scale!r} is neither {' nor '.join(SCALES)} nor a folder that holds {' and '.join(needed)}."
        )
    yield root
