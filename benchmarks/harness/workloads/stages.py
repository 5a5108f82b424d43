"""One stage a cell, each alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.harness.device import observe
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import Sample, TakeSample, Unsupported
from benchmarks.harness.workloads import planner, synthesizer
from benchmarks.harness.workloads.models import checkpoints, load_dit

Call = Callable[[], object]
"""Runs a stage once."""


@dataclass(frozen=True)
class Stage:
    """How to prepare a stage from the models it belongs to, and how many steps of it one call makes."""

    models: str
    prepare: Callable[[Any, Cell], Call]
    steps: int = 1


STAGES = {
    "TextEncode": Stage("synthesizer", synthesizer.text_encode),
    "ConditionEncode": Stage("synthesizer", synthesizer.condition_encode),
    "DiTForward": Stage("synthesizer", synthesizer.dit_forward),
    "VAEDecode": Stage("synthesizer", synthesizer.vae_decode),
    "AudioSave": Stage("synthesizer", synthesizer.audio_save),
    "LMPrefill": Stage("planner", planner.prefill),
    "LMDecodeStep": Stage("planner", planner.decode_step, steps=planner.STEPS),
}


@dataclass(frozen=True)
class Models:
    """The loaded models by name; in place of those that the commit does not have, the reason."""

    loaded: Mapping[str, Any]
    device: str


class Stages:
    """Runs the stage that the cell names, on inputs made beforehand."""

    limit_s = 900.0
    memory = True

    def load(self, settings: Settings) -> Models:
        """Load synthesizer and planner."""
        try:
            engine = planner.load_engine(settings)
        except Unsupported as error:
            engine = error
        dit = load_dit(settings, checkpoints(settings))
        return Models({"synthesizer": dit, "planner": engine}, settings.device)

    def facts(self, state: Models) -> Mapping[str, Scalar]:
        """Return the number format."""
        return {"dtype": str(state.loaded["synthesizer"].dtype)}

    def weight(self, cell: Cell) -> float:
        """Audio seconds where there are any; the other stages take about as long as ten of them."""
        return float(cell.get("duration", 10)) * float(cell.get("batch", 1)) + 30

    def prepare(self, state: Models, cell: Cell) -> TakeSample:
        """Make the inputs of the stage and return a function that runs it."""
        import torch

        stage = STAGES[str(cell["stage"])]
        models = state.loaded[stage.models]
        if isinstance(models, Unsupported):
            raise models
        with torch.inference_mode():
            call = stage.prepare(models, cell)

        def take() -> Sample:
            with torch.inference_mode():
                run = observe(state.device, call)
            return Sample({"time": run.time_s / stage.steps}, dict(cell), run.time_s, run.peak_bytes)

        return take
