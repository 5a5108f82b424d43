"""The workload of the matrix `stages`: each stage of the synthesizer alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.harness.device import observe
from benchmarks.harness.record import Cell, Scalar
from benchmarks.harness.settings import Settings
from benchmarks.harness.workload import Sample, TakeSample
from benchmarks.harness.workloads import dit_variants, synthesizer, vae
from benchmarks.harness.workloads.dit_variants import SynthesizerCache
from benchmarks.harness.workloads.memory import with_memory

Call = Callable[[], object]
"""A function that runs a stage once."""


PREPARE_STAGE: dict[str, Callable[[Any, Cell], Call]] = {
    "TextEncode": synthesizer.text_encode,
    "ConditionEncode": synthesizer.condition_encode,
    "DiTForward": synthesizer.dit_forward,
    "VAEDecode": synthesizer.vae_decode,
    "VAEWindows": vae.decode_batch,
    "VAEEncode": vae.encode,
    "AudioSave": synthesizer.audio_save,
    "DiTStep": dit_variants.dit_step,
}
"""What makes the function that runs the stage, from the synthesizer and a cell, by the class in `benchmarks.stages`."""

CHECK_STAGE: dict[str, Callable[[Any, Cell, Any], dict[str, float]]] = {
    "VAEWindows": vae.check_decode,
    "VAEEncode": vae.check_encode,
    "DiTStep": dit_variants.check_dit_step,
}
"""What checks a finished stage from the synthesizer, the cell and the result, and returns further series."""
WITHOUT_OUTPUT = ("AudioSave",)
"""Stages whose output is not compared: some audio formats write a random number into every file."""
ENCODE_WEIGHT = 50.0
"""Time of encoding relative to decoding with the tiny models, whose encoder has the width of the released one."""


class Stages:
    """Runs the stage that the cell names, on inputs that are made beforehand."""

    limit_s = 1800.0
    memory = True

    def load(self, settings: Settings) -> SynthesizerCache:
        """Load the turbo variant, which most cells use."""
        return SynthesizerCache(settings)

    def facts(self, state: SynthesizerCache) -> Mapping[str, Scalar]:
        """Return the dtype and the digest of the checkpoints."""
        return {"dtype": str(state.synthesizer("turbo").dtype), "workload": state.workload}

    def weight(self, cell: Cell) -> float:
        """Return the seconds of audio; stages without any take about as long as ten."""
        times = ENCODE_WEIGHT if cell["stage"] == "VAEEncode" else 1.0
        return times * float(cell.get("duration", 10)) * float(cell.get("batch", 1)) + 30

    def prepare(self, state: SynthesizerCache, cell: Cell) -> TakeSample:
        """Make the inputs of the stage and return a function that runs it once.

        The harness counts the memory of the models that `load` loads; for a cell that loads another variant it is
        counted here.
        """
        import torch

        stage = str(cell["stage"])
        dit = state.synthesizer(str(cell.get("family", "turbo")))
        with torch.inference_mode():
            call = PREPARE_STAGE[stage](dit, cell)

        def take() -> Sample:
            with torch.inference_mode():
                run = observe(state.device, call)
            further = CHECK_STAGE[stage](dit, cell, run.result) if stage in CHECK_STAGE else {}
            series, work = {"time": run.time_s, **further}, {**cell, **further}
            output = None if stage in WITHOUT_OUTPUT else run.result
            return Sample(series, work, run.time_s, run.peak_bytes, output=output, wait_s=run.wait_s)

        return with_memory(take, state.device, state.loaded_bytes) if "family" in cell else take
