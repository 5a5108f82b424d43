"""Environment variables of the user's shell that would change measurements: not inherited by workers, or recorded."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

_DROPPED = re.compile(
    r"ACESTEP_(?!BENCH_|CACHE_DIR$)\w+"  # options of the measured package; the cache folder says only where files lie
    r"|MAX_[A-Z]+_VRAM"  # the GPU size that acestep simulates
    r"|(OMP|GOMP|KMP|MKL|OPENBLAS|GOTO|BLIS|VECLIB|NUMEXPR|RAYON|TBB)_\w+"  # threads, their binding, their waiting
    r"|(MALLOC|_RJEM_MALLOC|JEMALLOC|TCMALLOC|MIMALLOC)_\w+"  # allocators
    r"|(TORCH|TORCHINDUCTOR|TORCHDYNAMO|PYTORCH|TRITON|VLLM|MLX|DIFFUSERS|SAFETENSORS|LLGUIDANCE)_\w+"
    r"|HF_(ENABLE|DEACTIVATE|PARALLEL)_\w+"  # how transformers and diffusers load weights
    r"|CUDA_(LAUNCH_BLOCKING|MODULE_LOADING|FORCE_PTX_JIT|CACHE_\w+|DEVICE_MAX_CONNECTIONS)"
    r"|(CUBLAS|CUBLASLT|CUDNN)_\w+|NVIDIA_TF32_OVERRIDE"
    r"|PYTHON(?!NOUSERSITE$|USERBASE$|UTF8$|IOENCODING$)\w+"  # how Python runs: optimized, with another allocator
)
"""Names of the variables that workers do not inherit, unless `_INHERITED` matches them, too."""
_INHERITED = re.compile(
    r"PYTHONPATH|PYTHONHOME"
    r"|LD_\w+|DYLD_\w+|GLIBC_TUNABLES"  # libraries that are loaded first, allocators among them
    r"|CUDA_VISIBLE_DEVICES|CUDA_DEVICE_ORDER|HIP_VISIBLE_DEVICES|ROCR_VISIBLE_DEVICES"
    r"|PYTORCH_((CUDA|HIP)_)?ALLOC_CONF|PYTORCH_ENABLE_MPS_FALLBACK|PYTORCH_MPS_(HIGH|LOW)_WATERMARK_RATIO"
    r"|OPENBLAS_CORETYPE|MKL_DEBUG_CPU_TYPE|MKL_ENABLE_INSTRUCTIONS|NVPL_BLAS_DEBUG_CPU_TYPE|BLIS_ARCH_TYPE"
    r"|(ONEDNN|DNNL)_MAX_CPU_ISA|ATEN_CPU_CAPABILITY"  # instruction sets, for a CPU that a library detects wrongly
    r"|MKL_THREADING_LAYER|MKL_SERVICE_FORCE_INTEL|KMP_DUPLICATE_LIB_OK"  # for two OpenMP libraries in one process
)
"""Names of variables that some machines need to run at all or to compute correctly. Records contain them."""


def for_worker(environ: Mapping[str, str], environment: str) -> dict[str, str]:
    """Return *environ* without the variables that would change the measured package or its speed.

    A variable that asv's configuration sets for the environment is inherited: asv's name *environment* contains its
    value, so that the results have curves of their own.
    """
    return {name: value for name, value in environ.items() if not _is_dropped(name) or name in environment}


def recorded(environ: Mapping[str, str]) -> str:
    """Return the variables that workers inherit although they may matter, sorted: `A=1 B=2`, or `none`."""
    inherited = sorted((name, value) for name, value in environ.items() if _INHERITED.fullmatch(name))
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in inherited) or "none"


def _is_dropped(name: str) -> bool:
    return _DROPPED.fullmatch(name) is not None and _INHERITED.fullmatch(name) is None
