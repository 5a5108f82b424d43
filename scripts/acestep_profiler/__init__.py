"""The command ``acestep-profile`` of an installed package: runs `scripts.profile_inference`.

The wheel holds the profiler and the harness inside this package (see ``setup.py``), because top-level packages named
``scripts`` and ``benchmarks`` would collide with other projects'. In an editable installation the profiler is that of
the repository.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

_ROOT = next(
    folder for folder in Path(__file__).resolve().parents if (folder / "scripts/profile_inference.py").is_file()
)
"""Folder that holds `scripts` and `benchmarks`: this one in an installed wheel, the repository otherwise."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the profiler; returns its exit status."""
    sys.path.insert(0, str(_ROOT))
    from scripts.tracker.profiling.command import main as profile

    return profile(argv)
