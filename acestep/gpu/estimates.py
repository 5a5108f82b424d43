"""ACE-Step's table of GPU memory by model, and the functions that read it. Sizes are GiB.

The table knows neither offloading nor quantization; `acestep.memory.predict` does. It is kept for callers of ACE-Step,
whose public functions return these numbers.
"""

from __future__ import annotations

import re
from typing import Final

from acestep.gpu.probe import free_for_planner_gb

VRAM_SAFETY_MARGIN_GB: Final = 0.5
"""Memory that is left unused."""
MODEL_VRAM: Final = {
    "dit_turbo": 4.7,
    "dit_base": 4.7,
    "dit_xl_turbo": 9.0,
    "dit_xl_base": 9.0,
    "vae": 0.33,
    "text_encoder": 1.2,
    "silence_latent": 0.01,
    "cuda_context": 0.5,
}
"""Weights of each model in 2-byte numbers, and the memory of the CUDA driver (``cuda_context``)."""
LM_VRAM: Final = {
    "0.6B": {"weights": 1.2, "kv_cache_2k": 0.3, "kv_cache_4k": 0.6},
    "1.7B": {"weights": 3.4, "kv_cache_2k": 0.5, "kv_cache_4k": 1.0},
    "4B": {"weights": 8.0, "kv_cache_2k": 0.8, "kv_cache_4k": 1.6},
}
"""Weights of each planner and its KV cache for 2,048 and 4,096 tokens, by its size."""
DIT_INFERENCE_VRAM_PER_BATCH: Final = {"turbo": 0.3, "base": 0.6, "xl_turbo": 0.5, "xl_base": 1.0}
"""Activations of one item of up to a minute, by kind of diffusion model."""
_UNKNOWN_DIT_PER_BATCH: Final = 0.8
"""Activations of one item for any other kind."""
_LM_OVERHEAD_GB: Final = 0.3
"""Memory of a planner beside its weights and KV cache."""
_DIT_RESERVE_GB: Final = 1.5
"""Free memory that a planner leaves to the diffusion model."""


def get_lm_model_size(model_path: str) -> str:
    """The size in a planner's name: ``0.6B``, ``1.7B`` or ``4B``; ``0.6B`` if the name has none."""
    return next((size for size in LM_VRAM if size in model_path), "0.6B")


def get_dit_type_from_path(config_path: str | None) -> str:
    """The key of `DIT_INFERENCE_VRAM_PER_BATCH` for a checkpoint's name or path; sft has the key of base."""
    words = re.split(r"[/\\._-]", (config_path or "").lower())
    return ("xl_" if "xl" in words else "") + ("turbo" if "turbo" in words else "base")


def get_lm_gpu_memory_ratio(model_path: str, total_gpu_memory_gb: float) -> tuple[float, float]:
    """Return the share of the GPU's memory that may be in use once the planner is loaded, and the planner's weights.

    The share includes what other programs and models use. On CUDA the free memory is measured; elsewhere
    *total_gpu_memory_gb* is taken as the size of the GPU, all of it free.
    """
    memory = LM_VRAM[get_lm_model_size(model_path)]
    need = memory["weights"] + memory["kv_cache_4k"] + _LM_OVERHEAD_GB
    least = 0.1
    if (measured := free_for_planner_gb()) is not None:
        free, total = measured
        usable = min(need, max(0.0, free - _DIT_RESERVE_GB - VRAM_SAFETY_MARGIN_GB))
        share = (total - free + usable) / total
    else:
        least = 0.2 if total_gpu_memory_gb >= 24 else 0.1
        share = need / total_gpu_memory_gb if total_gpu_memory_gb > 0 else least
    return max(least, min(0.9, share)), memory["weights"]


def estimate_inference_vram(
    batch_size: int, duration_s: float, dit_type: str = "turbo", with_lm: bool = False, lm_size: str = "0.6B"
) -> float:
    """Estimate of a generation with every model on the GPU; an unknown *dit_type* counts with the weights of turbo."""
    item = per_item_gb(dit_type) * batch_size * max(1.0, duration_s / 60)
    planner = LM_VRAM[lm_size]["weights"] + LM_VRAM[lm_size]["kv_cache_4k"] if with_lm else 0.0
    return resident_gb(dit_type) - MODEL_VRAM["silence_latent"] + item + planner


def resident_gb(dit_type: str) -> float:
    """Weights of all models but the planner, the memory of the driver, and the safety margin."""
    dit = MODEL_VRAM.get(f"dit_{dit_type}", MODEL_VRAM["dit_turbo"])
    others = ("vae", "text_encoder", "silence_latent", "cuda_context")
    return dit + sum(MODEL_VRAM[name] for name in others) + VRAM_SAFETY_MARGIN_GB


def per_item_gb(dit_type: str) -> float:
    """Activations of one item of up to a minute."""
    return DIT_INFERENCE_VRAM_PER_BATCH.get(dit_type, _UNKNOWN_DIT_PER_BATCH)
