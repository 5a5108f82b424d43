"""Loads the handlers of the commit under measurement from the checkpoints of the chosen scale."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks.harness.settings import DIT_FOLDER, LM_FOLDER, SCALES, Settings
from benchmarks.harness.workload import Unsupported, require, require_keywords


def checkpoints(settings: Settings) -> Path:
    """Return the checkpoints folder of the scale, built first if it is a synthetic one."""
    if settings.scale not in SCALES:
        return Path(settings.scale)
    return Path(require("acestep.synthetic", "cached")(settings.scale))


def load_dit(settings: Settings, root: Path) -> Any:
    """Return an initialised AceStepHandler; RuntimeError with its report if it cannot load."""
    os.environ["ACESTEP_CHECKPOINTS_DIR"] = str(root)
    handler = require("acestep.handler", "AceStepHandler")()
    report, loaded = handler.initialize_service(str(root.parent), DIT_FOLDER, device=settings.device)
    if not loaded:
        raise RuntimeError(report)
    return handler


def load_lm(settings: Settings, root: Path, engine: str = "pt") -> Any:
    """Return an LLMHandler initialised on *engine*; RuntimeError with its report if it cannot load.

    Unsupported where the commit, the checkpoints or the environment do not have what it takes.
    """
    handler = require("acestep.llm_inference", "LLMHandler")()
    if not (root / LM_FOLDER).is_dir():
        raise Unsupported(f"{root} has no {LM_FOLDER}")
    if engine != "pt":
        require_engine(engine, settings.device)
    report, loaded = handler.initialize(str(root), LM_FOLDER, backend=engine, device=settings.device)
    if not loaded:
        raise RuntimeError(report)
    return handler


def require_engine(name: str, device: str) -> None:
    """Raise Unsupported, with the package's own sentence, if commit or environment have no such engine for *device*."""
    choose = require("acestep.planner.engines", "choose")
    require_keywords(choose, "device")
    try:
        choose(name, device=device)
    except ValueError as error:
        raise Unsupported(str(error)) from error
