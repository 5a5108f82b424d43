"""What vLLM expects of the process it runs in, and what it must not leave behind there."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

SETTINGS: Final = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_USE_V2_MODEL_RUNNER": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}
"""Environment variables that vLLM reads, at import or later.

The engine runs in this process, so that the logits processor reaches constraints and random streams; the processor is
of the kind that vLLM's first model runner calls; threads are torch's, bound to no core; nothing is reported to vLLM's
makers; its log is quiet. The first two must be so; the others stay as they are where they are set.
"""
REQUIRED: Final = 2


@contextmanager
def contained() -> Iterator[None]:
    """Set `SETTINGS`; undo, at the end, what vLLM does to the process beside its own work.

    It replaces `torch.set_num_threads`, preloads libraries into child processes, sets other programs' environment
    variables and freezes the garbage collector. Warnings about the libraries that it stands on are dropped.
    """
    for index, (name, value) in enumerate(SETTINGS.items()):
        os.environ[name] = value if index < REQUIRED else os.environ.get(name, value)
    before, set_num_threads, threads = dict(os.environ), torch.set_num_threads, torch.get_num_threads()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads = set_num_threads
        torch.set_num_threads(threads)
        gc.unfreeze()
        own = {name: value for name, value in os.environ.items() if name.startswith("VLLM_")}
        os.environ.clear()
        os.environ.update(before | own)
