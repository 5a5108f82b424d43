"""The planner's stages, each alone, on its engine."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.harness.record import Cell
from benchmarks.harness.settings import LM_FOLDER, Settings
from benchmarks.harness.workload import CellFailed, Unsupported, require
from benchmarks.harness.workloads.models import checkpoints
from benchmarks.harness.workloads.music import FIRST_SEED

STEPS = 100
"""Codes that a sample of `decode_step` writes for each piece."""
PROMPT_TOKENS = 16


def load_engine(settings: Settings) -> Any:
    """Return the engine of the planner's checkpoint; Unsupported where commit or checkpoints have none."""
    engine, vocabulary = require("acestep.planner.engines.pt", "PtEngine", "Vocabulary")
    folder = checkpoints(settings) / LM_FOLDER
    if not folder.is_dir():
        raise Unsupported(f"there is no {folder}")
    dtype = require("acestep.devices", "default_dtype")(settings.device)
    return engine(folder, vocabulary(folder), device=settings.device, dtype=dtype)


def prefill(engine: Any, cell: Cell) -> partial[None]:
    """Read prompts of `prompt_tokens` tokens, two with guidance, and write the first code."""
    return _writing(engine, int(cell["prompt_tokens"]), bool(cell["guidance"]), batch=1, count=1)


def decode_step(engine: Any, cell: Cell) -> partial[None]:
    """Write STEPS codes for each piece of the batch."""
    return _writing(engine, PROMPT_TOKENS, bool(cell["guidance"]), batch=int(cell["batch"]), count=STEPS)


def _writing(engine: Any, prompt_tokens: int, guidance: bool, *, batch: int, count: int) -> partial[None]:
    request_class = require("acestep.planner.engines.base", "CodesRequest")
    sampling = require("acestep.planner.sampling", "Sampling")(temperature=0.85, top_p=0.9)
    prompt = [7 + 3 * token % 190 for token in range(prompt_tokens)]
    request = request_class(
        prompt=prompt,
        unconditional=prompt[::-1] if guidance else None,
        scale=2.0 if guidance else 1.0,
        count=count,
        limit=count,
        sampling=sampling,
        seeds=[FIRST_SEED + item for item in range(batch)],
    )
    return partial(_write, engine, request)


def _write(engine: Any, request: Any) -> None:
    written = [len(codes) for codes in engine.write_codes(request).codes]
    if written != [request.count] * len(request.seeds):
        raise CellFailed(f"the planner wrote {written} codes instead of {request.count} for each seed")
