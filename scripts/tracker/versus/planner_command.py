"""``python -m scripts.versus planner``: its options, its checkpoint, and its result."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.tracker.versus.shared_options import add_shared, check_range, check_shared, numbers, use_threads

SUMMARY = "this package's engine against transformers.generate"
DESCRIPTION = (
    "Time this package's engine against transformers.generate on the same work: same checkpoint, prompts, guidance, "
    "masks and threads, in float32, interleaved. First both must generate the same greedy tokens."
)
PLANNER = "acestep-5Hz-lm-0.6B"
MAX_TOKENS = 3000
MAX_BATCH = 64
TOKENS = {"tiny": 100, "full": 50}
"""Default number of codes of a sample, by scale."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the planner's options to *parser*."""
    parser.add_argument(
        "--scale", default="tiny", help="tiny (default), full (the 0.6B shape), or a checkpoint's folder"
    )
    parser.add_argument("--tokens", type=int, help="codes of a sample (default 100, full 50)")
    parser.add_argument("--batch", default="1,4", help="batch sizes, separated by commas (default 1,4)")
    parser.add_argument("--engine", default="pt", help="pt (default), vllm or mlx")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, mps or auto")
    add_shared(parser, "1, full: all cores")


def check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Fill in the defaults that depend on the scale, and refuse invalid values."""
    if arguments.tokens is None:
        arguments.tokens = TOKENS.get(arguments.scale, TOKENS["full"])
    arguments.batch = numbers(parser, "batch", arguments.batch, MAX_BATCH)
    check_range(parser, arguments, "tokens", MAX_TOKENS)
    check_shared(parser, arguments)


def prepare(arguments: argparse.Namespace) -> Callable[[], str]:
    """Load both sides and check that they agree; return a function that times them and returns the result as text.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        DisagreementError: the two sides generated different tokens.
        ValueError: the engine or the device is not available here.
    """
    import torch

    from acestep.runtime.devices import resolve_device
    from benchmarks.harness.host import usable_cores
    from scripts.tracker.progress import say
    from scripts.tracker.versus.alternation import Spread
    from scripts.tracker.versus.planner import PlannerSides
    from scripts.tracker.versus.planner_variants import time_variants
    from scripts.tracker.versus.rendering import planner_json, planner_tables

    threads = use_threads(arguments.threads or (1 if arguments.scale == "tiny" else usable_cores()))
    device = resolve_device(arguments.device)
    with _checkpoint(arguments.scale) as folder:
        options = {"engine": arguments.engine, "tokens": arguments.tokens, "batches": arguments.batch}
        sides = PlannerSides(folder, **options, device=device)
        variants, comparisons = sides.variants(say)

    def run() -> str:
        bandwidths = time_variants(variants, arguments.rounds, device, sides.weights_bytes)
        bandwidth = Spread.of(bandwidths)
        conditions = {
            "scale": arguments.scale,
            "device": device,
            "threads": threads,
            "torch": torch.__version__,
            "tokens": arguments.tokens,
            "rounds": len(bandwidths),
            "weights_bytes": sides.weights_bytes,
            "bandwidth_bytes_per_s": vars(bandwidth),
        }
        if arguments.json:
            return planner_json(conditions, variants, comparisons)
        return planner_tables(conditions, bandwidth, variants, comparisons)

    return run


@contextmanager
def _checkpoint(scale: str) -> Iterator[Path]:
    """Yield the planner's folder for *scale*; the full one is written for this run, in less than a minute."""
    from acestep.checkpoints.errors import CheckpointError
    from acestep.synthetic import SCALES, cached
    from acestep.synthetic.planner import write_planner
    from scripts.tracker.progress import say

    if scale == "tiny":
        yield cached("tiny") / PLANNER
        return
    if scale == "full":
        with TemporaryDirectory(prefix="versus-") as root:
            folder = Path(root) / PLANNER
            say("writing a full-size checkpoint of random weights")
            write_planner(folder, "0.6B", "full")
            yield folder
        return
    folder = Path(scale).expanduser()
    if not (folder / "config.json").is_file():
        raise CheckpointError(
            f"--scale {scale!r} is neither {' nor '.join(SCALES)} nor a planner's folder with a config.json."
        )
    yield folder
