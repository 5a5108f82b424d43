"""Where a model runs: device names, what is there, and the number format each device computes in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DEVICE_KINDS = ("cuda", "mps", "cpu")


def resolve_device(device: str) -> str:
    """The device that *device* names; ``auto`` takes the first of `DEVICE_KINDS` that is there.

    Raises:
        ValueError: the name is unknown, or that device is not there.
    """
    if device == "auto":
        return next(kind for kind in DEVICE_KINDS if _count(kind) > 0)
    kind, _, index = device.partition(":")
    if kind not in DEVICE_KINDS or (index and not index.isdigit()):
        raise ValueError(f"Unknown device {device!r}: use auto, {', '.join(DEVICE_KINDS)} or an index as in cuda:1.")
    if int(index or 0) >= _count(kind):
        raise ValueError(f"Device {device!r} is not available on this machine; use device='auto' or 'cpu'.")
    return device


def default_dtype(device: str) -> torch.dtype:
    """The number format models compute in on *device*: bf16 on CUDA (fp16 before Ampere), else fp32."""
    import torch

    if not device.startswith("cuda"):
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16


def default_attention(device: str) -> str:
    """How models attend on *device*: ``sdpa``; ``eager`` before Ampere, where other kernels overflow in fp16."""
    import torch

    old = device.startswith("cuda") and torch.cuda.get_device_capability(device) < (8, 0)
    return "eager" if old else "sdpa"


def _count(kind: str) -> int:
    import torch

    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return 1
