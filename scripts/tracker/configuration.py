"""Reads asv's configuration as asv does, in whose folder the process then is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from asv.config import Config
from asv.util import UserError

from scripts.tracker.refusal import RefusalError


def load(config: Path) -> Any:
    """Return asv's configuration in the file *config*, and go to its folder: asv's paths are relative to it.

    Raises:
        RefusalError: there is no such file, or it cannot be read.
    """
    if not config.is_file():
        raise RefusalError(f"There is no {config}. Run this in the repository, or give asv's file with --config.")
    os.chdir(config.resolve().parent)
    try:
        return Config.load(config.name)
    except (UserError, ValueError) as error:  # of JSON that is none; UnicodeDecodeError is one, too
        raise RefusalError(f"{config} cannot be read: {error}") from error
