"""What a generation takes up on a GPU, stage by stage, computed from sizes alone: a prediction, in microseconds.

The weights are counted, the activations a formula that was fitted to the released shapes run without storage: fused
attention, 30 to 600 s, batches of 1 to 8, within -4 to 15 % of what was tracked. Sizes are GiB; the driver's own
memory is in none of them, but in the budget (`acestep.gpu.probe.budget_gb`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from acestep.constants import LATENT_RATE
from acestep.gpu.probe import budget_gb
from acestep.gpu.tiers import GPUConfig
from acestep.memory.units import GIB

BATCH_SIZES: Final = (1, 2, 4, 8)
"""Batch sizes that are tried for the largest one."""


@dataclass(frozen=True)
class Dit:
    """Counts of one size of the diffusion model.

    Attributes:
        parameters: of the whole checkpoint.
        quantized: those of them that quantization reaches, the transformer's linear weights.
        condition_bytes: of keys and values of all layers, for a token of the condition in 2-byte numbers.
        token_bytes: of a token of the sequence, while it goes through a layer.
    """

    parameters: int
    quantized: int
    condition_bytes: int
    token_bytes: int


DITS: Final = {
    "2B": Dit(2_393_872_518, 1_573_912_576, 98_304, 61_440),
    "XL": Dit(4_987_310_726, 4_166_778_880, 131_072, 89_088),
}
VAE_PARAMETERS: Final = 168_695_426
TEXT_ENCODER_PARAMETERS: Final = 596_000_000
LM_GB: Final = {"0.6B": 1.235, "1.7B": 3.454, "4B": 7.804}
KV_TOKEN_BYTES: Final = {"0.6B": 114_688, "1.7B": 114_688, "4B": 147_456}
KV_TOKENS: Final = 4096
VAE_FRAME_BYTES: Final = 2_211_840
"""While a latent frame is decoded with 2-byte weights."""
VAE_CHUNKS: Final = ((24, 512), (16, 384), (12, 256), (0, 128))
"""Latent frames that are decoded at once, by the least GiB that are free."""
TEXT_ITEM_GB: Final = 0.05
LM_FORWARD_GB: Final = 0.3


@dataclass(frozen=True)
class ModelSetup:
    """What is loaded, and where it rests.

    Attributes:
        dit: key of `DITS`.
        quantized: the transformer's linear weights take a byte each.
        offload: models are on the GPU only while they work; the planner too, unless it is vLLM's or MLX's.
        offload_dit: the diffusion model too.
        lm: size of the planner, key of `LM_GB`, or None.
        lm_backend: its engine.
    """

    dit: str = "2B"
    quantized: bool = False
    offload: bool = False
    offload_dit: bool = False
    lm: str | None = None
    lm_backend: str = "vllm"

    @classmethod
    def from_config(cls, config: GPUConfig, *, with_lm: bool, dit: str = "2B") -> ModelSetup:
        """What *config* does unless it is told otherwise."""
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
        """Whether the planner is on the GPU beside its stage, too."""
        return self.lm_backend != "pt" or not self.offload

    def variant(self, name: str) -> ModelSetup:
        """The same as ``default``, ``no-quant`` (not quantized) or ``no-offload`` (nor offloaded)."""
        if name == "default":
            return self
        plain = replace(self, quantized=False)
        return plain if name == "no-quant" else replace(plain, offload=False, offload_dit=False)


@dataclass(frozen=True)
class GenerationShape:
    """A generation: seconds, items, tokens of the condition, and whether every step also runs without condition."""

    duration_s: float = 30
    batch: int = 1
    condition_tokens: int = 1024
    guided: bool = False


@dataclass(frozen=True)
class Prediction:
    """What a generation takes up.

    Attributes:
        stages_gb: peak of each stage, in order.
        budget_gb: what there is.
        tile_frames: latent frames that are decoded at once.
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
        """What it takes up."""
        return self.stages_gb[self.peak_stage]

    def fits(self, fragmentation: float = 0.0) -> bool:
        """Whether no stage goes beyond the budget."""
        return self.peak_gb * (1 + fragmentation) <= self.budget_gb


def predict(size_gb: float, setup: ModelSetup, request: GenerationShape = GenerationShape()) -> Prediction:
    """What *request* takes up on a GPU of *size_gb* with *setup*."""
    budget, dit, batch = budget_gb(size_gb), DITS[setup.dit], request.batch
    model = (2 * dit.parameters - (dit.quantized if setup.quantized else 0)) / GIB
    vae, text = 2 * VAE_PARAMETERS / GIB, 2 * TEXT_ENCODER_PARAMETERS / GIB
    planner, stays = planner_gb(setup, batch), setup.planner_stays
    always = (planner if stays else 0.0) + (0.0 if setup.offload_dit else model)
    always += 0.0 if setup.offload else vae + text
    dit_comes, others_come = (model if setup.offload_dit else 0.0), setup.offload
    decoding = always + (vae if others_come else 0.0)
    chunk = next(frames for least, frames in VAE_CHUNKS if budget - decoding >= least or not least)
    chunk = min(chunk, latent_frames(request.duration_s))
    stages = {"load": always}
    if setup.lm:
        stages["lm"] = always + (0.0 if stays else planner) + LM_FORWARD_GB
    stages["text"] = always + (text if others_come else 0.0) + TEXT_ITEM_GB * batch
    stages["diffuse"] = always + dit_comes + diffusion_gb(dit, request)
    stages["decode"] = decoding + VAE_FRAME_BYTES * chunk / GIB
    return Prediction(stages, budget, chunk)


def planner_gb(setup: ModelSetup, batch: int) -> float:
    """Weights of the planner and the keys and values of all its sequences, two a piece under guidance."""
    if setup.lm is None:
        return 0.0
    return LM_GB[setup.lm] + 2 * batch * KV_TOKENS * KV_TOKEN_BYTES[setup.lm] / GIB


def largest_batch(size_gb: float, setup: ModelSetup, duration_s: float = 30) -> int:
    """The largest batch of `BATCH_SIZES` that fits, as do all smaller ones; 0 if none does."""
    largest = 0
    for batch in BATCH_SIZES:
        if not predict(size_gb, setup, GenerationShape(duration_s, batch)).fits():
            break
        largest = batch
    return largest


def diffusion_gb(dit: Dit, request: GenerationShape) -> float:
    """Activations of the transformer under fused attention in 2-byte numbers."""
    rows, tokens = request.batch * (2 if request.guided else 1), -(-latent_frames(request.duration_s) // 2)
    activations = rows * (dit.condition_bytes * request.condition_tokens + dit.token_bytes * tokens)
    return (activations + 4 * tokens**2) / GIB


def latent_frames(duration_s: float) -> int:
    """Latent frames of so many seconds."""
    return int(-(-LATENT_RATE * duration_s // 1))
