"""Loads the handlers of the commit under measurement from the checkpoints of the chosen scale."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks.harness.settings import DIT_FOLDER, LM_FOLDER, SCALES, Settings
from benchmarks.harness.workload import Unavailable, require, require_keywords

TURBO = ("turbo",)


def checkpoints(settings: Settings, dits: tuple[str, ...] = TURBO) -> Path:
    """Return the checkpoints folder of the scale, built first if it is a synthetic one.

    *dits* are families of diffusion models; only where they are others than turbo alone, they may be missing
    (Unavailable) and there need be no planner.
    """
    given = settings.scale not in SCALES
    if dits == TURBO:
        return Path(settings.scale if given else require("acestep.synthetic", "cached")(settings.scale))
    if not given:
        cached = require("acestep.synthetic", "cached")
        require_keywords(cached, "dits")
        return Path(cached(settings.scale, planners=(), dits=dits))
    missing = [dit_folder(family) for family in dits if not Path(settings.scale, dit_folder(family)).is_dir()]
    if missing:
        raise Unavailable(f"{settings.scale} has no {', '.join(missing)}")
    return Path(settings.scale)


def dit_folder(family: str) -> str:
    """Return the folder of a diffusion model, as released."""
    return f"acestep-v15-{family}"


def load_dit(settings: Settings, root: Path, folder: str = DIT_FOLDER, **options: Any) -> Any:
    """Return an AceStepHandler initialised with *options*; RuntimeError with its report if it cannot load.

    Unsupported where the commit does not take one of *options*.
    """
    os.environ["ACESTEP_CHECKPOINTS_DIR"] = str(root)
    handler = require("acestep.handler", "AceStepHandler")()
    require_keywords(handler.initialize_service, *options)
    report, loaded = handler.initialize_service(str(root.parent), folder, device=settings.device, **options)
    if not loaded:
        raise RuntimeError(report)
    return handler


def load_lm(settings: Settings, root: Path, engine: str = "pt") -> Any:
    """Return an LLMHandler initialised on *engine*; RuntimeError with its report if it cannot load.

    Unsupported where the commit, Unavailable where the checkpoints or the environment do not have what it takes.
    """
    handler = require("acestep.llm_inference", "LLMHandler")()
    if not (root / LM_FOLDER).is_dir():
        raise Unavailable(f"{root} has no {LM_FOLDER}")
    if engine != "pt":
        require_engine(engine, settings.device)
    report, loaded = handler.initialize(str(root), LM_FOLDER, backend=engine, device=settings.device)
    if not loaded:
        raise RuntimeError(report)
    return handler


def require_engine(name: str, device: str) -> None:
    """Raise Unavailable, with the package's own sentence, if the environment has no such engine for *device*."""
    choose = require("acestep.planner.engines", "choose")
    require_keywords(choose, "device")
    try:
        choose(name, device=device)
    except ValueError as error:
        raise Unavailable(str(error)) from error
