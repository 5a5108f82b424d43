"""Runs asv in a process of its own that also prints asv's warnings and errors on standard error.

``python -m scripts.tracker.running.asv_process`` takes the arguments of asv.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from asv.main import main

_ROOT = Path(__file__).resolve().parents[3]


def command(name: str, config: Path, *arguments: str) -> list[str]:
    """Return the command line that runs asv's command *name* with the configuration file *config*."""
    return [sys.executable, "-m", "scripts.tracker.running.asv_process", name, "--config", str(config), *arguments]


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return *environment* with a ``PYTHONPATH`` by which the program of `command` is found from any folder."""
    folders = [str(_ROOT), environment.get("PYTHONPATH", "")]
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, folders))}


def publish(root: Path, config: str, environment: Mapping[str, str]) -> int:
    """Run ``asv publish`` in the folder *root* without its progress output; return its exit status."""
    done = subprocess.run(
        command("publish", root / config),
        cwd=root,
        env=variables(environment),
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode


if __name__ == "__main__":
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)  # asv logs to the root logger
    main()
