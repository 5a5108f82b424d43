"""Predicts what a generation with the released models takes up on a GPU, stage by stage, without running anything.

The weights are counted (`acestep.memory.released_sizes`); the activations come from formulas that were fitted to the
released shapes under fused attention, 30 to 600 s and batches of 1 to 8, and are within -4 to 15 % of what was
tracked (`acestep.memory.stage_estimates`). Sizes are GiB. The driver's own memory is part of no stage; it is
subtracted from the budget (`acestep.gpu.probe.budget_gb`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from acestep.gpu.probe import budget_gb
from acestep.gpu.tiers import GPUConfig
from acestep.memory.released_sizes import (
    DIT_SIZES,
    KV_TOKEN_BYTES,
    KV_TOKENS,
    LM_GB,
    TEXT_ENCODER_PARAMETERS,
    VAE_PARAMETERS,
)
from acestep.memory.stage_estimates import (
    RELEASED_LM_FORWARD_GB,
    GenerationShape,
    reference_tile_frames,
    released_decode_gb,
    released_diffusion_gb,
    released_text_gb,
)
from acestep.memory.units import GIB

BATCH_SIZES: Final = (1, 2, 4, 8)
"""Batch sizes among which `largest_batch` searches."""

DEFAULT_SHAPE: Final = GenerationShape()
"""The generation that is predicted unless another one is given."""


@dataclass(frozen=True)
class ModelSetup:
    """Which models are loaded, and how.

    Attributes:
        dit: size of the diffusion checkpoint, key of `DIT_SIZES`.
        quantized: whether the transformer's linear weights take one byte each.
        offload: whether text encoder, VAE and a ``pt`` planner are on the GPU only while they run.
        offload_dit: whether the diffusion model is on the GPU only while it runs.
        lm: size of the planner, key of `LM_GB`, or None.
        lm_backend: the planner's engine.
    """

    dit: str = "2B"
    quantized: bool = False
    offload: bool = False
    offload_dit: bool = False
    lm: str | None = None
    lm_backend: str = "vllm"

    @classmethod
    def from_config(cls, config: GPUConfig, *, with_lm: bool, dit: str = "2B") -> ModelSetup:
        """The defaults of *config*, with its recommended planner if *with_lm* and the tier has one."""
        size = config.recommended_lm_model.rpartition("-")[2] if with_lm and config.init_lm_default else ""
        return cls(
            dit=dit,
            quantized=config.quantization_default,
            offload=config.offload_to_cpu_default,
            offload_dit=config.offload_dit_to_cpu_default,
            lm=size or None,
            lm_backend=config.recommended_backend,
        )

    @property
    def planner_stays(self) -> bool:
        """Whether the planner stays on the GPU while other stages run."""
        return self.lm_backend != "pt" or not self.offload

    def variant(self, name: str) -> ModelSetup:
        """This setup as ``default``, as ``no-quant`` (not quantized) or as ``no-offload`` (not offloaded either)."""
        if name == "default":
            return self
        plain = replace(self, quantized=False)
        return plain if name == "no-quant" else replace(plain, offload=False, offload_dit=False)


@dataclass(frozen=True)
class Prediction:
    """What a generation takes up.

    Attributes:
        stages_gb: the peak of each stage, in the order in which they run.
        budget_gb: what the GPU leaves to torch's allocator.
        tile_frames: latent frames that the reference decodes at once.
    """

    stages_gb: dict[str, float]
    budget_gb: float
    tile_frames: int

    @property
    def peak_stage(self) -> str:
        """The stage that takes up most."""
        return max(self.stages_gb, key=lambda stage: self.stages_gb[stage])

    @property
    def peak_gb(self) -> float:
        """The peak of that stage."""
        return self.stages_gb[self.peak_stage]

    def fits(self, fragmentation: float = 0.0) -> bool:
        """Whether the peak fits into the budget; *fragmentation* is the share of it that the allocator loses."""
        return self.peak_gb * (1 + fragmentation) <= self.budget_gb


def predict(size_gb: float, setup: ModelSetup, shape: GenerationShape = DEFAULT_SHAPE) -> Prediction:
    """What a generation of *shape* takes up on a GPU of *size_gb* with *setup*."""
    budget, dit, batch = budget_gb(size_gb), DIT_SIZES[setup.dit], shape.batch
    model = (2 * dit.parameters - (dit.quantized_parameters if setup.quantized else 0)) / GIB
    vae, text = 2 * VAE_PARAMETERS / GIB, 2 * TEXT_ENCODER_PARAMETERS / GIB
    planner, stays = planner_gb(setup, batch), setup.planner_stays
    always = (planner if stays else 0.0) + (0.0 if setup.offload_dit else model)
    always += 0.0 if setup.offload else vae + text
    decode_weights = always + (vae if setup.offload else 0.0)
    tile_frames = reference_tile_frames(budget - decode_weights, shape.frames)
    stages = {"load": always}
    if setup.lm:
        stages["lm"] = always + (0.0 if stays else planner) + RELEASED_LM_FORWARD_GB
    stages["text"] = always + (text if setup.offload else 0.0) + released_text_gb(shape)
    stages["diffuse"] = always + (model if setup.offload_dit else 0.0) + released_diffusion_gb(dit, shape)
    stages["decode"] = decode_weights + released_decode_gb(tile_frames)
    return Prediction(stages, budget, tile_frames)


def planner_gb(setup: ModelSetup, batch: int) -> float:
    """The planner's weights and the KV cache of all its sequences: guidance runs two sequences for each item."""
    if setup.lm is None:
        return 0.0
    return LM_GB[setup.lm] + 2 * batch * KV_TOKENS * KV_TOKEN_BYTES[setup.lm] / GIB


def largest_batch(size_gb: float, setup: ModelSetup, duration_s: float = 30) -> int:
    """The largest of `BATCH_SIZES` that fits, as do all smaller ones; 0 if none does."""
    largest = 0
    for batch in BATCH_SIZES:
        if not predict(size_gb, setup, GenerationShape(duration_s, batch)).fits():
            break
        largest = batch
    return largest
