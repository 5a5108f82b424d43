"""How much memory vLLM may take: enough for the requests, and no more, for the synthesizer needs the rest."""

from __future__ import annotations

from typing import Final

import psutil
import torch
from transformers import PretrainedConfig

from acestep.planner import PlannerError

ROWS: Final = 16
"""Requests at once: eight guided samples."""
STEP_TOKENS: Final = 4096
"""Tokens that one call of the model reads: more than a block of the prefix cache for each row."""
WANTED_TOKENS: Final = 4 * 2 * 4096
"""Keys and values for four guided samples of usual length."""
SLACK_TOKENS: Final = 256
"""A request's last block of the cache may be nearly empty, and one block serves vLLM itself."""
WORK_BYTES: Final = 300_000_000
"""For what a call of the model computes."""
OTHERS_BYTES: Final = 2_000_000_000
"""What stays free on the device for the synthesizer's own work."""


def cache_bytes(weights: int, token: int, positions: int, device: str) -> tuple[int, float]:
    """Size of the key/value cache, and the share of the device that the engine takes with it.

    Args:
        weights: bytes of them. token: bytes of a token's keys and values. positions: a request's largest number of
        tokens; the cache holds a guided pair of that length, or the engine is not started. device: where.

    Raises:
        PlannerError: there is not enough free memory.
    """
    free, total = _memory(device)
    room = free - weights - WORK_BYTES - OTHERS_BYTES
    least = 2 * (positions + SLACK_TOKENS) * token
    if room < least:
        need = (weights + least + WORK_BYTES + OTHERS_BYTES) / 1e9
        raise PlannerError(
            f"the vllm engine needs {need:.1f} GB of free memory on {device} (2 GB of it for the synthesizer), but "
            f"{free / 1e9:.1f} GB are free: end other programs, take a smaller planner or backend='pt'."
        )
    size = min(room, max(least, WANTED_TOKENS * token))
    return size, min(0.95, (weights + size + WORK_BYTES) / total)


def token_bytes(config: PretrainedConfig, head_dim: int, dtype: torch.dtype) -> int:
    """Bytes of one token's keys and values."""
    return 2 * int(config.num_hidden_layers) * int(config.num_key_value_heads) * head_dim * dtype.itemsize


def _memory(device: str) -> tuple[int, int]:
    """Free and total bytes."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)
    memory = psutil.virtual_memory()
    return memory.available, memory.total
