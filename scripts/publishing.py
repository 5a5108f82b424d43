"""Publishes the site with asv, and shows what asv warns of."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from asv.main import main


def publish(root: Path, config: str, environment: Mapping[str, str]) -> int:
    """Run ``asv publish`` in *root* and return its exit status.

    Its progress is not shown. Its warnings and errors are, once each, on standard error.
    """
    command = [sys.executable, "-m", "scripts.publishing", "publish", "--config", str(root / config)]
    places = [str(Path(__file__).resolve().parents[1]), environment.get("PYTHONPATH", "")]
    variables = {**environment, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    done = subprocess.run(command, cwd=root, env=variables, stdout=subprocess.DEVNULL, check=False)
    return done.returncode


if __name__ == "__main__":
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)  # asv logs to the root
    main()
