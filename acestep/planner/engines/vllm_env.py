"""What vLLM expects of the process it runs in, and what it must not leave behind there."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

REQUIRED: Final = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_USE_V2_MODEL_RUNNER": "0"}
"""Environment variables that vLLM must find, at import or later.

It runs in this process, so that the logits processor reaches constraints and random streams; and that processor is of
the kind that vLLM's first model runner calls.
"""
USUAL: Final = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
"""What it finds unless the user has set it.

Threads are torch's, bound to no core; nothing is reported to vLLM's makers; its log is quiet.
"""


@contextmanager
def contained() -> Iterator[None]:
    """Set `REQUIRED` and `USUAL`; undo, at the end, what vLLM does to the process beside its own work.

    It replaces `torch.set_num_threads`, preloads libraries into child processes, sets other programs' environment
    variables and freezes the garbage collector. Warnings about the libraries that it stands on are dropped.
    """
    os.environ.update(USUAL | os.environ | REQUIRED)
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
