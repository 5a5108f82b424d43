"""asv as a command of its own, whose warnings and errors also go to standard error, once each.

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
    """Return the command that runs asv's *name* with a configuration."""
    return [sys.executable, "-m", "scripts.tracker.running.asv_process", name, "--config", str(config), *arguments]


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return *environment* with what `command` needs to be found from any folder."""
    folders = [str(_ROOT), environment.get("PYTHONPATH", "")]
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, folders))}


def publish(root: Path, config: str, environment: Mapping[str, str]) -> int:
    """Run ``asv publish`` in *root* and return its exit status. Its progress is not shown."""
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
    logging.getLogger().addHandler(handler)  # asv logs to the root
    main()
