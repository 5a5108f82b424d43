"""Sizes vLLM's memory: enough for the planner's requests, and no more, because the synthesizer needs the rest."""

from __future__ import annotations

from typing import Final

import psutil
import torch
from transformers import PretrainedConfig

from acestep.planner import PlannerError

ROWS: Final = 16
"""Largest number of requests at once: eight guided samples."""
STEP_TOKENS: Final = 4096
"""Largest number of tokens in one call of the model: more than a block of the prefix cache for each row."""
WANTED_TOKENS: Final = 4 * 2 * 4096
"""Tokens that the key/value cache holds if memory allows: four guided samples of usual length."""
SLACK_TOKENS: Final = 256
"""Tokens that are added for each request: its last block may be nearly empty, and vLLM uses one block itself."""
WORK_BYTES: Final = 300_000_000
"""Bytes for the intermediate results of one call of the model."""
RESERVED_BYTES: Final = 2_000_000_000
"""Bytes that stay free on the device for the synthesizer."""


def cache_bytes(weights_bytes: int, bytes_per_token: int, positions: int, device: str) -> tuple[int, float]:
    """The size of the key/value cache, and the share of the device's memory that the whole engine takes.

    Args:
        weights_bytes: size of the weights.
        bytes_per_token: size of one token's keys and values.
        positions: largest number of tokens of a request. The cache must hold a guided pair of that length.
        device: where vLLM runs.

    Raises:
        PlannerError: there is not enough free memory.
    """
    free, total = _memory(device)
    available = free - weights_bytes - WORK_BYTES - RESERVED_BYTES
    smallest = 2 * (positions + SLACK_TOKENS) * bytes_per_token
    if available < smallest:
        need = (weights_bytes + smallest + WORK_BYTES + RESERVED_BYTES) / 1e9
        raise PlannerError(
            f"the vllm engine needs {need:.1f} GB of free memory on {device} (2 GB of it for the synthesizer), but "
            f"{free / 1e9:.1f} GB are free: end other programs, take a smaller planner or backend='pt'."
        )
    size = min(available, max(smallest, WANTED_TOKENS * bytes_per_token))
    return size, min(0.95, (weights_bytes + size + WORK_BYTES) / total)


def token_bytes(config: PretrainedConfig, head_dim: int, dtype: torch.dtype) -> int:
    """Size of one token's keys and values in bytes."""
    return 2 * int(config.num_hidden_layers) * int(config.num_key_value_heads) * head_dim * dtype.itemsize


def _memory(device: str) -> tuple[int, int]:
    """Free and total bytes of *device*."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)
    memory = psutil.virtual_memory()
    return memory.available, memory.total
