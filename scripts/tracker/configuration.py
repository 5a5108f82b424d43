"""Reads asv's configuration and changes to its folder, as asv does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from asv.config import Config
from asv.util import UserError

from scripts.tracker.refusal import RefusalError


def load(config: Path) -> Any:
    """Return asv's configuration in the file *config*, and change to its folder: asv's paths are relative to it.

    Raises:
        RefusalError: the file does not exist or cannot be read.
    """
    if not config.is_file():
        raise RefusalError(f"There is no {config}. Run this in the repository, or give asv's file with --config.")
    os.chdir(config.resolve().parent)
    try:
        return Config.load(config.name)
    except (UserError, ValueError) as error:  # ValueError: invalid JSON or invalid UTF-8
        raise RefusalError(f"{config} cannot be read: {error}") from error
