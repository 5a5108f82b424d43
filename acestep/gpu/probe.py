"""The GPU of this machine: which one it is, how large its memory is, and how much of that is free. Sizes are GiB.

``$MAX_CUDA_VRAM`` simulates a size: `get_gpu_memory_gb` then returns it, with or without a GPU, and `enforce_cap`
limits torch's CUDA allocator to it.
"""

from __future__ import annotations

import logging
import math
import os
import platform
from collections.abc import Callable
from typing import Any, Final

from acestep.memory.units import GIB

DEBUG_MAX_CUDA_VRAM_ENV: Final = "MAX_CUDA_VRAM"
DEBUG_MAX_MPS_VRAM_ENV: Final = "MAX_MPS_VRAM"
DEBUG_MAX_XPU_VRAM_ENV: Final = "MAX_XPU_VRAM"
CONTEXT_GB: Final = 0.5
"""Memory that the CUDA driver of a consumer GPU takes for itself."""

logger = logging.getLogger(__name__)


def is_cuda_available() -> bool:
    """Whether torch can use CUDA, or ROCm, which torch calls CUDA as well."""
    return bool(_probe(lambda torch: torch.cuda.is_available(), False))


def is_rocm_available() -> bool:
    """Whether what torch calls CUDA is ROCm."""
    return bool(_probe(lambda torch: torch.cuda.is_available() and torch.version.hip is not None, False))


def is_mps_available() -> bool:
    """Whether torch can use Metal."""
    return bool(_probe(lambda torch: torch.backends.mps.is_available(), False))


def is_xpu_available() -> bool:
    """Whether torch can use an Intel GPU."""
    return bool(_probe(lambda torch: torch.xpu.is_available(), False))


def is_mps_platform() -> bool:
    """Whether this is a Mac with Metal."""
    return platform.system() == "Darwin" and is_mps_available()


def get_cuda_device_capability(device_index: int = 0) -> tuple[int, int] | None:
    """Compute capability of a CUDA device, or None."""
    if not is_cuda_available():
        return None
    found: tuple[int, int] | None = _probe(lambda torch: torch.cuda.get_device_capability(device_index), None)
    return found


def cuda_supports_bfloat16(device_index: int | None = None) -> bool:
    """Whether the CUDA device is Ampere or newer."""
    capability = get_cuda_device_capability(device_index or 0)
    return capability is not None and capability[0] >= 8


def is_legacy_cuda_gpu(device_index: int = 0) -> bool:
    """Whether the CUDA device is older than Volta."""
    capability = get_cuda_device_capability(device_index)
    return capability is not None and capability[0] < 7 and not is_rocm_available()


def get_gpu_memory_gb() -> float:
    """The size of the GPU's memory, simulated or real; 0 without a GPU. The call has no side effects."""
    for name in (DEBUG_MAX_CUDA_VRAM_ENV, DEBUG_MAX_MPS_VRAM_ENV, DEBUG_MAX_XPU_VRAM_ENV):
        if (simulated := simulated_gb(name)) is not None:
            return simulated
    if is_cuda_available():
        return _total_gb()
    if is_xpu_available():
        return float(_probe(lambda torch: torch.xpu.get_device_properties(0).total_memory / GIB, 0.0))
    if is_mps_available():
        return float(_probe(lambda torch: torch.mps.recommended_max_memory() / GIB, 0.0)) or _host_share_gb()
    return 0.0


def get_effective_free_vram_gb(device_index: int = 0) -> float:
    """Memory that new tensors may take on a CUDA device, within a simulated size; 0 without CUDA means unknown."""
    if not is_cuda_available():
        return 0.0

    def measure(torch: Any) -> float:
        free, total = (size / GIB for size in torch.cuda.mem_get_info(device_index))
        reserved = torch.cuda.memory_reserved(device_index) / GIB
        allocated = torch.cuda.memory_allocated(device_index) / GIB
        free += max(0.0, reserved - allocated)
        simulated = simulated_gb()
        if simulated is not None and simulated < total:
            free = min(free, budget_gb(simulated) - allocated)
        return max(0.0, float(free))

    return float(_probe(measure, 0.0))


get_available_vram_gb = get_effective_free_vram_gb
"""ACE-Step's other name for the same function."""


def get_gpu_device_name() -> str:
    """The GPU's name, to be shown to users."""
    if is_cuda_available():
        return str(_probe(lambda torch: torch.cuda.get_device_name(0), "CUDA device"))
    if is_xpu_available():
        return str(_probe(lambda torch: torch.xpu.get_device_name(0), "Intel XPU"))
    if is_mps_available():
        return f"{platform.processor() or 'Apple'} (MPS)"
    return "CPU only"


def budget_gb(simulated_gb: float) -> float:
    """Memory that a GPU of *simulated_gb* leaves to torch's allocator."""
    return max(0.5, simulated_gb - CONTEXT_GB)


def cap_fraction(simulated_gb: float, total_gb: float) -> float:
    """The share of a real GPU of *total_gb* that torch's allocator may take, to simulate one of *simulated_gb*."""
    if simulated_gb >= total_gb:
        return 1.0
    return max(0.01, min(1.0, budget_gb(simulated_gb) / total_gb))


def enforce_cap() -> str:
    """Limit torch's CUDA allocator to the simulated size; return ``cuda-cap``, or ``none`` if nothing was enforced."""
    simulated = simulated_gb()
    if simulated is None:
        return "none"
    if not is_cuda_available():
        logger.info("%s=%g: there is no CUDA, so the limit is not enforced.", DEBUG_MAX_CUDA_VRAM_ENV, simulated)
        return "none"
    import torch

    torch.cuda.set_per_process_memory_fraction(cap_fraction(simulated, _total_gb()))
    return "cuda-cap"


def restore_cap() -> None:
    """Limit torch's CUDA allocator to the size that the environment simulates now, or remove the limit."""
    if is_cuda_available() and enforce_cap() == "none":
        import torch

        torch.cuda.set_per_process_memory_fraction(1.0)


def free_for_planner_gb() -> tuple[float, float] | None:
    """Free and total memory that a planner may count on, of the simulated or the real GPU; None without CUDA."""
    if not is_cuda_available():
        return None

    def measure(torch: Any) -> tuple[float, float]:
        free, total = (size / GIB for size in torch.cuda.mem_get_info())
        simulated = simulated_gb()
        if simulated is not None and simulated < total:
            return max(0.0, budget_gb(simulated) - torch.cuda.memory_reserved() / GIB), simulated
        return free, total

    found: tuple[float, float] | None = _probe(measure, None)
    return found


def simulated_gb(name: str = DEBUG_MAX_CUDA_VRAM_ENV) -> float | None:
    """The size that the environment variable *name* simulates; None if it is unset, or its text is no size."""
    text = os.environ.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value >= 0 and math.isfinite(value)):
        logger.warning("%s=%r is no size in GiB; it is ignored.", name, text)
        return None
    return value


def _total_gb() -> float:
    return float(_probe(lambda torch: torch.cuda.get_device_properties(0).total_memory / GIB, 0.0))


def _host_share_gb() -> float:
    """Three quarters of the host's memory, which is what macOS lets the GPU use."""
    import psutil

    return float(psutil.virtual_memory().total) * 0.75 / GIB


def _probe(query: Callable[[Any], Any], default: Any) -> Any:
    """What *query* returns for the module torch, or *default* if torch, its backend or the driver is missing."""
    try:
        import torch

        return query(torch)
    except (ImportError, AttributeError, RuntimeError, AssertionError):
        return default
