"""Sides that need no build: a folder with the package, run by this interpreter."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.harness.process import Installed
from benchmarks.harness.settings import Settings
from scripts.tracker.comparison.revisions import Revision
from scripts.tracker.comparison.sides import Side

ROOT = Path(__file__).resolve().parents[3]
"""Root of this repository."""


def local_side(name: str, folder: Path = ROOT) -> Side:
    """Return a side called *name* with the package in *folder*, the tiny checkpoints, and the CPU."""
    scratch = tempfile.gettempdir()
    settings = Settings("tiny", "cpu", "quick", "", "none", scratch, scratch)
    return Side(Revision("", name, folder.name, stored=False), Installed(sys.executable, folder), settings)
