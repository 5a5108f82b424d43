"""Write synthetic checkpoints: ``python -m acestep.synthetic tiny DIR``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from acestep.checkpoints.errors import CheckpointError
from acestep.checkpoints.variants import VARIANTS
from acestep.synthetic import PLANNER_SIZES, SCALES, write


def main(argv: list[str] | None = None) -> int:
    """Parse *argv*, write the checkpoints, list what was written; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m acestep.synthetic",
        description="Write seeded random checkpoints in the layout of the released ones.",
    )
    parser.add_argument("scale", choices=SCALES, help="tiny: seconds, < 25 MB; full: released shapes, ~8 GB, bf16")
    parser.add_argument("folder", type=Path, help="where the checkpoint folders go")
    parser.add_argument(
        "--planner",
        action="append",
        choices=PLANNER_SIZES,
        metavar="SIZE",
        help=f"planner to write, can be repeated: {', '.join(PLANNER_SIZES)} (default 0.6B)",
    )
    parser.add_argument(
        "--dit",
        action="append",
        choices=[variant.name for variant in VARIANTS],
        metavar="VARIANT",
        help=f"diffusion model to write, can be repeated: {', '.join(variant.name for variant in VARIANTS)} "
        "(default turbo; a full xl one takes 20 GB)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the weights (default 0)")
    args = parser.parse_args(argv)
    try:
        written = write(args.scale, args.folder, args.planner or ["0.6B"], args.seed, args.dit or ["turbo"])
    except (CheckpointError, OSError) as error:
        print(f"Cannot write the checkpoints: {error}", file=sys.stderr)
        return 1
    for folder in written:
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(f"{size / 1e6:10,.1f} MB  {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
