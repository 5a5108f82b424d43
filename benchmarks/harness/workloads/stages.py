"""One stage of the synthesizer a cell, each alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.harness.device import observe
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import Sample, TakeSample
from benchmarks.harness.workloads import synthesizer
from benchmarks.harness.workloads.models import checkpoints, load_dit

Call = Callable[[], object]
"""Runs a stage once."""


STAGES: dict[str, Callable[[Any, Cell], Call]] = {
    "TextEncode": synthesizer.text_encode,
    "ConditionEncode": synthesizer.condition_encode,
    "DiTForward": synthesizer.dit_forward,
    "VAEDecode": synthesizer.vae_decode,
    "AudioSave": synthesizer.audio_save,
}
"""How to prepare each stage from the synthesizer."""


@dataclass(frozen=True)
class Models:
    """The loaded synthesizer, and where it runs."""

    synthesizer: Any
    device: str


class Stages:
    """Runs the stage that the cell names, on inputs made beforehand."""

    limit_s = 900.0
    memory = True

    def load(self, settings: Settings) -> Models:
        """Load the synthesizer."""
        return Models(load_dit(settings, checkpoints(settings)), settings.device)

    def facts(self, state: Models) -> Mapping[str, Scalar]:
        """Return the number format."""
        return {"dtype": str(state.synthesizer.dtype)}

    def weight(self, cell: Cell) -> float:
        """Audio seconds where there are any; the other stages take about as long as ten of them."""
        return float(cell.get("duration", 10)) * float(cell.get("batch", 1)) + 30

    def prepare(self, state: Models, cell: Cell) -> TakeSample:
        """Make the inputs of the stage and return a function that runs it."""
        import torch

        with torch.inference_mode():
            call = STAGES[str(cell["stage"])](state.synthesizer, cell)

        def take() -> Sample:
            with torch.inference_mode():
                run = observe(state.device, call)
            return Sample({"time": run.time_s}, dict(cell), run.time_s, run.peak_bytes)

        return take
