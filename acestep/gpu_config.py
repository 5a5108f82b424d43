"""Limits and defaults of a GPU by the size of its memory, and the planner that suits it.

Sizes are GiB. A GPU of exactly 8, 12 or 24 GiB belongs to the tier that begins there. torch is imported only when a
function has to query a device.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from acestep.constants import LM_PREFIX
from acestep.gpu.estimates import (
    DIT_INFERENCE_VRAM_PER_BATCH,
    LM_VRAM,
    MODEL_VRAM,
    VRAM_SAFETY_MARGIN_GB,
    estimate_inference_vram,
    get_dit_type_from_path,
    get_lm_gpu_memory_ratio,
    get_lm_model_size,
    per_item_gb,
    resident_gb,
)
from acestep.gpu.probe import (
    DEBUG_MAX_CUDA_VRAM_ENV,
    DEBUG_MAX_MPS_VRAM_ENV,
    DEBUG_MAX_XPU_VRAM_ENV,
    cuda_supports_bfloat16,
    enforce_cap,
    get_available_vram_gb,
    get_cuda_device_capability,
    get_effective_free_vram_gb,
    get_gpu_device_name,
    get_gpu_memory_gb,
    is_cuda_available,
    is_legacy_cuda_gpu,
    is_mps_available,
    is_mps_platform,
    is_rocm_available,
    is_xpu_available,
)
from acestep.gpu.tiers import (
    GPU_TIER_CHOICES,
    GPU_TIER_CONFIGS,
    GPU_TIER_LABELS,
    VRAM_16GB_MIN_GB,
    VRAM_16GB_TOLERANCE_GB,
    GPUConfig,
    get_gpu_tier,
)
from acestep.runtime.environment import flag, whole_number

__all__ = [
    "DEBUG_MAX_CUDA_VRAM_ENV",
    "DEBUG_MAX_MPS_VRAM_ENV",
    "DEBUG_MAX_XPU_VRAM_ENV",
    "DIT_INFERENCE_VRAM_PER_BATCH",
    "GPU_TIER_CHOICES",
    "GPU_TIER_CONFIGS",
    "GPU_TIER_LABELS",
    "LM_VRAM",
    "MODEL_VRAM",
    "SAVE_MEMORY_ENV",
    "VALID_LM_BACKENDS",
    "VRAM_16GB_MIN_GB",
    "VRAM_16GB_TOLERANCE_GB",
    "VRAM_AUTO_OFFLOAD_THRESHOLD_GB",
    "VRAM_SAFETY_MARGIN_GB",
    "GPUConfig",
    "check_batch_size_limit",
    "check_duration_limit",
    "compute_adaptive_config",
    "cuda_supports_bfloat16",
    "estimate_inference_vram",
    "find_best_lm_model_on_disk",
    "get_available_vram_gb",
    "get_cuda_device_capability",
    "get_dit_type_from_path",
    "get_effective_free_vram_gb",
    "get_global_gpu_config",
    "get_gpu_config",
    "get_gpu_config_for_tier",
    "get_gpu_device_name",
    "get_gpu_memory_gb",
    "get_gpu_tier",
    "get_lm_gpu_memory_ratio",
    "get_lm_model_size",
    "get_recommended_lm_model",
    "is_cuda_available",
    "is_legacy_cuda_gpu",
    "is_lm_model_size_allowed",
    "is_lm_model_supported",
    "is_mps_available",
    "is_mps_platform",
    "is_rocm_available",
    "is_xpu_available",
    "print_gpu_config_info",
    "resolve_lm_backend",
    "set_global_gpu_config",
]

logger = logging.getLogger(__name__)

SAVE_MEMORY_ENV: Final = "ACESTEP_SAVE_MEMORY"
"""Variable that sets `GPUConfig.save_memory_mode`."""
MLX_VAE_CHUNK_ENV: Final = "ACESTEP_MLX_VAE_CHUNK"
"""Variable that sets `GPUConfig.mlx_vae_chunk_size`."""
VRAM_AUTO_OFFLOAD_THRESHOLD_GB: Final = 20.0
"""Size below which ACE-Step offloads by default; kept for its callers."""
VALID_LM_BACKENDS: Final = ("vllm", "pt", "mlx")
"""Names of the planner's engines."""
MLX_VAE_CHUNK_MIN: Final = 192
"""Fewest latent frames that MLX decodes at once: fewer would leave nothing between the two overlaps of 64."""


def get_gpu_config(gpu_memory_gb: float | None = None) -> GPUConfig:
    """Return the limits and defaults of a GPU of *gpu_memory_gb* GiB.

    None stands for this machine's GPU, or for the size that ``$MAX_CUDA_VRAM`` simulates. In that case torch's CUDA
    allocator is limited to the simulated size as well.
    """
    if gpu_memory_gb is None:
        gpu_memory_gb = get_gpu_memory_gb()
        enforce_cap()
    return _config(get_gpu_tier(gpu_memory_gb), gpu_memory_gb)


def get_gpu_config_for_tier(tier: str) -> GPUConfig:
    """Return the config of *tier* on this machine. An unknown tier logs a warning, and the machine's own is used."""
    if tier not in GPU_TIER_CONFIGS:
        logger.warning("Unknown tier %r (known: %s); taking this machine's.", tier, ", ".join(GPU_TIER_LABELS))
        return get_gpu_config()
    return _config(tier, get_gpu_memory_gb())


def compute_adaptive_config(total_vram_gb: float, dit_type: str = "turbo") -> GPUConfig:
    """Return the tier's defaults with limits computed for *total_vram_gb* GiB and every model on the GPU.

    No limit is lower on a larger GPU. The largest batch with a planner is computed for the smallest planner.
    """
    available, item = total_vram_gb - resident_gb(dit_type), per_item_gb(dit_type)
    planners = {size: LM_VRAM[size]["weights"] + LM_VRAM[size]["kv_cache_4k"] for size in LM_VRAM}
    fitting = {size: need for size, need in planners.items() if need + item <= available}
    config = _config(get_gpu_tier(total_vram_gb), total_vram_gb)
    listed = [LM_PREFIX + size for size in fitting]
    recommended = config.recommended_lm_model if config.recommended_lm_model in listed else (listed or [""])[-1]
    alone = _batch(available, item)
    with_lm_s, without_lm_s = next(
        seconds
        for least, seconds in (
            (24, (600, 600)),
            (20, (480, 480)),
            (16, (360, 480)),
            (8, (240, 360)),
            (-math.inf, (180, 180)),
        )
        if total_vram_gb >= least
    )
    return replace(
        config,
        max_duration_with_lm=with_lm_s,
        max_duration_without_lm=without_lm_s,
        max_batch_size_with_lm=_batch(available - min(fitting.values()), item) if fitting else 1,
        max_batch_size_without_lm=alone,
        init_lm_default=bool(fitting),
        available_lm_models=listed,
        recommended_lm_model=recommended,
        lm_memory_gb=fitting,
    )


_global: list[GPUConfig] = []
"""This process's config; empty until it is set or needed."""


def get_global_gpu_config() -> GPUConfig:
    """Return this process's config: that of `set_global_gpu_config`, else that of `get_gpu_config`, created once."""
    if not _global:
        _global.append(get_gpu_config())
    return _global[0]


def set_global_gpu_config(config: GPUConfig) -> None:
    """Set this process's config."""
    replace_global_gpu_config(config)


def replace_global_gpu_config(config: GPUConfig | None) -> GPUConfig | None:
    """Set this process's config and return the previous one; None is created anew when it is next needed."""
    before = _global[0] if _global else None
    _global[:] = [] if config is None else [config]
    return before


def resolve_lm_backend(requested_backend: str | None, gpu_config: GPUConfig | None = None) -> str:
    """Return the planner's backend: *requested_backend* if the GPU may use it, else the recommended one."""
    config = gpu_config or get_global_gpu_config()
    recommended = config.recommended_backend if config.recommended_backend in VALID_LM_BACKENDS else "pt"
    backend = (requested_backend or "").strip().lower()
    backend = backend if backend in VALID_LM_BACKENDS else recommended
    if config.lm_backend_restriction == "pt_only":
        return "pt"
    if config.lm_backend_restriction == "pt_mlx_only" and backend == "vllm":
        return recommended if recommended != "vllm" else "pt"
    return backend


def is_lm_model_size_allowed(disk_model_name: str, tier_available_models: Sequence[str]) -> bool:
    """Whether the tier lists a planner of the same size as *disk_model_name*."""
    return get_lm_model_size(disk_model_name) in map(get_lm_model_size, tier_available_models)


def find_best_lm_model_on_disk(recommended_model: str, disk_models: Sequence[str]) -> str | None:
    """Return the planner to use of *disk_models*: the recommended one, else the newest of its size, else the first.

    Of two planners of one size, the one with the longer name counts as newer, because a suffix is a version.
    """
    if recommended_model in disk_models:
        return recommended_model
    size = get_lm_model_size(recommended_model) if recommended_model else None
    same = [name for name in disk_models if get_lm_model_size(name) == size]
    return max(same, key=len) if same else next(iter(disk_models), None)


def is_lm_model_supported(model_path: str, gpu_config: GPUConfig) -> tuple[bool, str]:
    """Whether the GPU's tier lists the planner, and if not, a message that says which it lists."""
    allowed = gpu_config.available_lm_models
    if not allowed:
        return False, f"A GPU of {gpu_config.gpu_memory_gb:g} GiB ({gpu_config.tier}) has no room for a planner."
    size = get_lm_model_size(model_path)
    if any(size in name for name in allowed):
        return True, ""
    return False, f"{model_path} is too large for {gpu_config.tier}: use {' or '.join(allowed)}."


def get_recommended_lm_model(gpu_config: GPUConfig) -> str | None:
    """Return the largest planner that the tier lists, or None."""
    return gpu_config.available_lm_models[-1] if gpu_config.available_lm_models else None


def check_duration_limit(duration: float, gpu_config: GPUConfig, lm_initialized: bool) -> tuple[bool, str]:
    """Whether *duration* seconds are within the GPU's limit, and if not, a warning for the user."""
    limit = gpu_config.max_duration_with_lm if lm_initialized else gpu_config.max_duration_without_lm
    return _within("duration", duration, limit, " s", gpu_config, lm_initialized)


def check_batch_size_limit(batch_size: int, gpu_config: GPUConfig, lm_initialized: bool) -> tuple[bool, str]:
    """Whether a batch of *batch_size* is within the GPU's limit, and if not, a warning for the user."""
    limit = gpu_config.max_batch_size_with_lm if lm_initialized else gpu_config.max_batch_size_without_lm
    return _within("batch size", batch_size, limit, "", gpu_config, lm_initialized)


def print_gpu_config_info(gpu_config: GPUConfig) -> None:
    """Log the GPU's limits and planners."""
    config = gpu_config
    seconds = (config.max_duration_with_lm, config.max_duration_without_lm)
    logger.info("GPU memory: %.1f GiB, %s", config.gpu_memory_gb, GPU_TIER_LABELS.get(config.tier, config.tier))
    logger.info(
        "Longest audio: %d s (%d min) with a planner, %d s (%d min) without",
        *(value for limit in seconds for value in (limit, limit // 60)),
    )
    logger.info(
        "Largest batch: %d with a planner, %d without", config.max_batch_size_with_lm, config.max_batch_size_without_lm
    )
    logger.info("Planner by default: %s", "yes" if config.init_lm_default else "no")
    logger.info("Planners: %s", ", ".join(config.available_lm_models) or "none")


def mlx_vae_chunk_size(gpu_memory_gb: float) -> int:
    """Latent frames that MLX decodes at once: ``$ACESTEP_MLX_VAE_CHUNK``, else by the size of the memory."""
    requested = whole_number(MLX_VAE_CHUNK_ENV)
    if requested is not None:
        return max(MLX_VAE_CHUNK_MIN, requested)
    if gpu_memory_gb <= 16:
        return 256
    return 512 if gpu_memory_gb <= 36 else 1024 if gpu_memory_gb <= 64 else 2048


def _config(tier: str, gpu_memory_gb: float) -> GPUConfig:
    """The config of *tier*, with the changes for this machine's platform."""
    row = {**GPU_TIER_CONFIGS[tier]}
    row["available_lm_models"], row["lm_memory_gb"] = [*row["available_lm_models"]], {**row["lm_memory_gb"]}
    row["save_memory_mode"] = flag(SAVE_MEMORY_ENV, strict=False)
    if is_mps_platform():
        row |= {"lm_backend_restriction": "pt_mlx_only", "recommended_backend": "mlx"}
        row |= dict.fromkeys(("offload_to_cpu_default", "offload_dit_to_cpu_default"), False)
        row |= {"quantization_default": False, "compile_model_default": False}
        row["mlx_vae_chunk_size"] = mlx_vae_chunk_size(gpu_memory_gb)
    if is_legacy_cuda_gpu():
        row |= {"lm_backend_restriction": "pt_only", "recommended_backend": "pt"}
    return GPUConfig(tier=tier, gpu_memory_gb=gpu_memory_gb, **row)


def _batch(available_gb: float, item_gb: float) -> int:
    return max(1, min(8, math.floor(available_gb / item_gb + 1e-9)))


def _within(
    what: str, value: float, limit: int, unit: str, config: GPUConfig, lm_initialized: bool
) -> tuple[bool, str]:
    if value <= limit:
        return True, ""
    planner = "with" if lm_initialized else "without"
    return False, (
        f"A {what} of {value:g}{unit} is above the {limit}{unit} that a GPU of {config.gpu_memory_gb:g} GiB "
        f"({config.tier}) manages {planner} a planner."
    )
