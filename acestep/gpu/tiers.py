"""The table of GPU tiers: the limits and defaults of each tier, and the tier of a GPU. Sizes are GiB."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from acestep.constants import LM_PREFIX

logger = logging.getLogger(__name__)

VRAM_16GB_TOLERANCE_GB: Final = 0.5
"""GPUs that are sold with 16 GB report up to this much less."""
VRAM_16GB_MIN_GB: Final = 15.5
"""Smallest reported size that counts as 16 GB."""
GPU_TIER_LABELS: Final = {
    "tier1": "tier1 (≤4GB)",
    "tier2": "tier2 (4-6GB)",
    "tier3": "tier3 (6-8GB)",
    "tier4": "tier4 (8-12GB)",
    "tier5": "tier5 (12-16GB)",
    "tier6a": "tier6a (16-20GB)",
    "tier6b": "tier6b (20-24GB)",
    "unlimited": "unlimited (≥24GB)",
}
"""Text for users, by tier; in ascending order of size."""
GPU_TIER_CHOICES: Final = list(GPU_TIER_LABELS.items())
"""Pairs of tier and text, as in a menu."""


@dataclass(frozen=True)
class GPUConfig:
    """Limits and defaults of a GPU.

    Attributes:
        tier: key of `GPU_TIER_LABELS`.
        gpu_memory_gb: size of the GPU, 0 without one.
        max_duration_with_lm, max_duration_without_lm: longest audio in seconds, with and without a planner.
        max_batch_size_with_lm, max_batch_size_without_lm: largest batch, with and without a planner.
        init_lm_default: whether a planner is loaded unless the user says otherwise.
        available_lm_models: names of the planners that fit, smallest first.
        recommended_lm_model: one of those names, or "".
        lm_backend_restriction: ``all``, ``pt_mlx_only`` or ``pt_only``.
        recommended_backend: engine of the planner.
        offload_to_cpu_default, offload_dit_to_cpu_default, quantization_default, compile_model_default: options that
            are on unless the user says otherwise; the quantization is ``int8_weight_only``.
        lm_memory_gb: memory of each planner's weights and KV cache, by its size.
        save_memory_mode: whether ``$ACESTEP_SAVE_MEMORY`` is on. This package ignores it; the field is part of
            ACE-Step's `GPUConfig`.
        mlx_vae_chunk_size: latent frames that ACE-Step's MLX VAE decodes at once. This package ignores it; the field
            is part of ACE-Step's `GPUConfig`.
    """

    tier: str
    gpu_memory_gb: float
    max_duration_with_lm: int
    max_duration_without_lm: int
    max_batch_size_with_lm: int
    max_batch_size_without_lm: int
    init_lm_default: bool
    available_lm_models: list[str]
    recommended_lm_model: str
    lm_backend_restriction: str
    recommended_backend: str
    offload_to_cpu_default: bool
    offload_dit_to_cpu_default: bool
    quantization_default: bool
    compile_model_default: bool
    lm_memory_gb: dict[str, float]
    save_memory_mode: bool = False
    mlx_vae_chunk_size: int = 512


@dataclass(frozen=True)
class Tier:
    """A row of the tier table: the fields of `GPUConfig` that do not depend on the machine.

    Attributes:
        durations_s, batches: limits with a planner and without one.
        lm_sizes: sizes of the planners that fit, smallest first.
        recommended: one of those sizes, or "".
        offload, offload_dit, quantization: options that are on by default.
    """

    durations_s: tuple[int, int]
    batches: tuple[int, int]
    lm_sizes: tuple[str, ...]
    recommended: str
    offload: bool
    offload_dit: bool
    quantization: bool

    @property
    def fields(self) -> dict[str, Any]:
        """The row under the field names of `GPUConfig`, in newly created objects."""
        return {
            "max_duration_with_lm": self.durations_s[0],
            "max_duration_without_lm": self.durations_s[1],
            "max_batch_size_with_lm": self.batches[0],
            "max_batch_size_without_lm": self.batches[1],
            "init_lm_default": bool(self.lm_sizes),
            "available_lm_models": [LM_PREFIX + size for size in self.lm_sizes],
            "recommended_lm_model": LM_PREFIX + self.recommended if self.recommended else "",
            "lm_backend_restriction": "all",
            "recommended_backend": "vllm",
            "offload_to_cpu_default": self.offload,
            "offload_dit_to_cpu_default": self.offload_dit,
            "quantization_default": self.quantization,
            "compile_model_default": True,
            "lm_memory_gb": {size: _LM_MEMORY_GB[size] for size in self.lm_sizes},
        }


_LM_MEMORY_GB: Final = {"0.6B": 3.0, "1.7B": 8.0, "4B": 12.0}
"""Memory of a planner's weights and KV cache, by its size."""
_SMALL, _MIDDLE, _ALL = ("0.6B",), ("0.6B", "1.7B"), ("0.6B", "1.7B", "4B")
"""Sizes of the planners that fit, for `Tier.lm_sizes`."""
_TIERS: Final = {
    "tier1": Tier((240, 360), (1, 1), (), "", True, True, True),
    "tier2": Tier((480, 600), (1, 1), (), "", True, True, True),
    "tier3": Tier((480, 600), (2, 2), _SMALL, "0.6B", True, True, True),
    "tier4": Tier((480, 600), (2, 4), _SMALL, "0.6B", True, True, True),
    "tier5": Tier((480, 600), (4, 4), _MIDDLE, "1.7B", True, False, True),
    "tier6a": Tier((480, 600), (4, 8), _MIDDLE, "1.7B", True, False, True),
    "tier6b": Tier((480, 480), (8, 8), _ALL, "1.7B", False, False, False),
    "unlimited": Tier((600, 600), (8, 8), _ALL, "4B", False, False, False),
}
GPU_TIER_CONFIGS: Final[dict[str, dict[str, Any]]] = {name: tier.fields for name, tier in _TIERS.items()}
GPU_TIER_CONFIGS["tier6"] = GPU_TIER_CONFIGS["tier6b"]
"""The row of each tier; ``tier6`` is another name for ``tier6b``."""


def get_gpu_tier(gpu_memory_gb: float) -> str:
    """The tier of a GPU of *gpu_memory_gb* GiB. No GPU (0, a negative size or NaN) is ``tier1``."""
    if not gpu_memory_gb > 4:
        return "tier1"
    if gpu_memory_gb <= 6:
        return "tier2"
    if VRAM_16GB_MIN_GB <= gpu_memory_gb < VRAM_16GB_MIN_GB + VRAM_16GB_TOLERANCE_GB:
        logger.info("A GPU that reports %.2f GiB counts as one of 16.", gpu_memory_gb)
    ends = (("tier3", 8), ("tier4", 12), ("tier5", VRAM_16GB_MIN_GB), ("tier6a", 20), ("tier6b", 24))
    return next((tier for tier, end in ends if gpu_memory_gb < end), "unlimited")
