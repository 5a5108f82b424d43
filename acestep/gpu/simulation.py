"""A simulated GPU of another size, for this process and a limited time."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager

from acestep.gpu.probe import DEBUG_MAX_CUDA_VRAM_ENV, enforce_cap, restore_cap
from acestep.gpu_config import get_gpu_config, replace_global_gpu_config


@contextmanager
def simulated_vram(size_gb: float) -> Iterator[str]:
    """Make this process behave as if its GPU had *size_gb* GiB, inside the ``with`` block.

    Both the process's `GPUConfig` and the cap on torch's CUDA allocator follow the simulated size. The block's value
    is what `enforce_cap` returned. Afterwards everything is as it was before.

    Raises:
        ValueError: the size is not a positive number.
    """
    if not (size_gb > 0 and math.isfinite(size_gb)):
        raise ValueError(f"A simulated GPU of {size_gb} GiB cannot be: give a positive number.")
    before = os.environ.get(DEBUG_MAX_CUDA_VRAM_ENV)
    os.environ[DEBUG_MAX_CUDA_VRAM_ENV] = f"{size_gb:g}"
    previous = replace_global_gpu_config(get_gpu_config(size_gb))
    try:
        yield enforce_cap()
    finally:
        replace_global_gpu_config(previous)
        os.environ.pop(DEBUG_MAX_CUDA_VRAM_ENV)
        if before is not None:
            os.environ[DEBUG_MAX_CUDA_VRAM_ENV] = before
        restore_cap()
