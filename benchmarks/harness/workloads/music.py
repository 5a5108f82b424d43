"""The workload of the matrix `generate`: text2music, with and without the planner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.harness.adapters import package
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import Sample, TakeSample, Unsupported
from benchmarks.harness.workloads.generation import (
    CODES_PER_SECOND,
    SAMPLE_RATE,
    GenerationRequest,
    as_sample,
    generate,
)
from benchmarks.harness.workloads.models import checkpoints, load_dit, load_lm, workload_digest

SIXTEEN_TIMES = [
    *(1, 21 / 22, 9 / 10, 7 / 8, 6 / 7, 5 / 6, 3 / 4, 2 / 3),
    *(5 / 8, 6 / 11, 1 / 2, 2 / 5, 3 / 8, 3 / 10, 1 / 4, 1 / 8),
]
"""Timesteps for 16 steps of a turbo model, which by itself runs at most 8; it accepts each of these."""


@dataclass(frozen=True)
class Handlers:
    """The loaded models.

    Attributes:
        dit: handler of the synthesizer.
        lm: handler of the planner; None if it cannot be loaded.
        lm_missing: why there is no planner, or None.
        device: device of both.
        workload: digest of the checkpoints.
    """

    dit: Any
    lm: Any
    lm_missing: Unsupported | None
    device: str
    workload: str = ""


class Music:
    """Calls `generate_music` once a sample. Seeds, prompts and the work to be done are fixed."""

    limit_s = 1800.0
    memory = True

    def load(self, settings: Settings) -> Handlers:
        """Load synthesizer and planner."""
        package.public("generate_music")
        root, digest = checkpoints(settings), workload_digest(settings)
        dit = load_dit(settings, root)
        try:
            return Handlers(dit, load_lm(settings, root), None, settings.device, digest)
        except Unsupported as error:
            return Handlers(dit, None, error, settings.device, digest)

    def facts(self, state: Handlers) -> Mapping[str, Scalar]:
        """Return the dtype, the planner's engine and the digest of the checkpoints."""
        engine = getattr(state.lm, "llm_backend", "none")
        return {"dtype": str(state.dit.dtype), "engine": engine, "workload": state.workload}

    def weight(self, cell: Cell) -> float:
        """Return the seconds of audio, with a surcharge for the planner and for more steps."""
        audio_s = float(cell["duration"]) * float(cell["batch"])
        return audio_s * (1.3 if cell["thinking"] else 1.0) * (1.1 if cell["steps"] == 16 else 1.0)

    def prepare(self, state: Handlers, cell: Cell) -> TakeSample:
        """Return a function that calls `generate_music` once; raises Unsupported if a planner is needed and missing."""
        if cell["thinking"] and state.lm_missing is not None:
            raise state.lm_missing
        return partial(_sample, state, request_for(cell, turbo=state.dit.is_turbo_model()))


def request_for(cell: Cell, *, turbo: bool) -> GenerationRequest:
    """Return the request for *cell*; *turbo* says whether the model is a turbo one."""
    thinking, steps, batch, duration = bool(cell["thinking"]), int(cell["steps"]), int(cell["batch"]), cell["duration"]
    params = {
        "duration": float(duration),
        "inference_steps": steps,
        "timesteps": SIXTEEN_TIMES if turbo and steps == 16 else None,
        "shift": 3.0,
        "thinking": thinking,
        "use_cot_metas": thinking,
        "use_cot_caption": thinking,
        "use_cot_language": thinking,
        "lm_temperature": 0.85,
        "lm_cfg_scale": 2.0,
    }
    work: dict[str, Scalar] = {
        "audios": batch,
        "files": batch,
        "audio_samples": int(duration) * SAMPLE_RATE,
        "codes": CODES_PER_SECOND * int(duration) * batch if thinking else 0,
        "steps": steps,
    }
    return GenerationRequest(params, batch, work)


def _sample(state: Handlers, asked: GenerationRequest) -> Sample:
    return as_sample(generate(state.dit, state.lm, state.device, asked), state.dit, asked)
