"""One stage of the synthesizer a cell, each alone."""

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
"""Runs a stage once."""


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
"""How to prepare each stage from the synthesizer."""

CHECK_STAGE: dict[str, Callable[[Any, Cell, Any], dict[str, float]]] = {
    "VAEWindows": vae.decoded_batch,
    "VAEEncode": vae.encoded,
    "DiTStep": dit_variants.check_dit_step,
}
"""How to check what the synthesizer has done and returned, and the further series that this gives."""
FILES = ("AudioSave",)
"""Stages that return a path: of what they write, some formats have a random number in every file."""
ENCODING = 50.0
"""How much longer it takes than decoding, with the tiny models, whose encoder is not small."""


class Stages:
    """Runs the stage that the cell names, on inputs made beforehand."""

    limit_s = 1800.0
    memory = True

    def load(self, settings: Settings) -> SynthesizerCache:
        """Load the synthesizer of most cells."""
        return SynthesizerCache(settings)

    def facts(self, state: SynthesizerCache) -> Mapping[str, Scalar]:
        """Return number format and checkpoints."""
        return {"dtype": str(state.synthesizer("turbo").dtype), "workload": state.workload}

    def weight(self, cell: Cell) -> float:
        """Audio seconds where there are any; the other stages take about as long as ten of them."""
        times = ENCODING if cell["stage"] == "VAEEncode" else 1.0
        return times * float(cell.get("duration", 10)) * float(cell.get("batch", 1)) + 30

    def prepare(self, state: SynthesizerCache, cell: Cell) -> TakeSample:
        """Make the inputs of the stage and return a function that runs it.

        The harness knows the memory of what `load` loads; where a cell names a family, that is counted.
        """
        import torch

        stage = str(cell["stage"])
        dit = state.synthesizer(str(cell.get("family", "turbo")))
        with torch.inference_mode():
            call = PREPARE_STAGE[stage](dit, cell)

        def take() -> Sample:
            with torch.inference_mode():
                run = observe(state.device, call)
            told = CHECK_STAGE[stage](dit, cell, run.result) if stage in CHECK_STAGE else {}
            series, work = {"time": run.time_s, **told}, {**cell, **told}
            output = None if stage in FILES else run.result
            return Sample(series, work, run.time_s, run.peak_bytes, output=output, wait_s=run.wait_s)

        return with_memory(take, state.device, state.loaded_bytes) if "family" in cell else take
