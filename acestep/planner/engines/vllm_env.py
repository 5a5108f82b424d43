"""Prepares the process for vLLM, and undoes vLLM's changes to it."""

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

vLLM runs in this process, so that its logits processor can reach constraints and generators; and only vLLM's first
model runner calls logits processors of this kind.
"""
DEFAULTS: Final = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
"""Environment variables that are set unless the user has set them.

They leave threads to torch, bound to no core, report nothing to vLLM's makers, and keep vLLM's log quiet.
"""


@contextmanager
def contained() -> Iterator[None]:
    """Set `REQUIRED` and `DEFAULTS` for the ``with`` block; at its end undo what vLLM changes in the process.

    vLLM replaces `torch.set_num_threads`, preloads libraries into child processes, sets environment variables of other
    programs and freezes the garbage collector. Warnings about libraries that vLLM uses are dropped.
    """
    os.environ.update(DEFAULTS | os.environ | REQUIRED)
    before, set_num_threads, threads = dict(os.environ), torch.set_num_threads, torch.get_num_threads()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads = set_num_threads
        torch.set_num_threads(threads)
        gc.unfreeze()
        vllms_own = {name: value for name, value in os.environ.items() if name.startswith("VLLM_")}
        os.environ.clear()
        os.environ.update(before | vllms_own)
