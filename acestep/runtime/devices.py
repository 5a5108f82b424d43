"""Devices that models can run on, and the dtype and attention backend that suit each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch

DEVICE_KINDS: Final = ("cuda", "mps", "cpu")
"""Device types that are supported, the preferred one first."""


def resolve_device(device: str) -> str:
    """Check *device*, and return it; ``auto`` is the first of `DEVICE_KINDS` that this machine has.

    Raises:
        ValueError: the name is unknown, or this machine has no such device.
    """
    if device == "auto":
        return next(kind for kind in DEVICE_KINDS if _device_count(kind) > 0)
    kind, _, index = device.partition(":")
    if kind not in DEVICE_KINDS or (index and not index.isdigit()):
        raise ValueError(f"Unknown device {device!r}: use auto, {', '.join(DEVICE_KINDS)} or an index as in cuda:1.")
    if int(index or 0) >= _device_count(kind):
        raise ValueError(f"Device {device!r} is not available on this machine; use device='auto' or 'cpu'.")
    return device


def default_dtype(device: str) -> torch.dtype:
    """The dtype that models compute in on *device*: bfloat16 on CUDA (float16 before Ampere), else float32."""
    import torch

    if not device.startswith("cuda"):
        return torch.float32
    return torch.float16 if _is_before_ampere(device) else torch.bfloat16


def default_attention(device: str) -> str:
    """The attention backend for *device*: ``sdpa``; before Ampere ``eager``, as other kernels overflow in float16."""
    return "eager" if device.startswith("cuda") and _is_before_ampere(device) else "sdpa"


def _is_before_ampere(device: str) -> bool:
    import torch

    return torch.cuda.get_device_capability(device) < (8, 0)


def _device_count(kind: str) -> int:
    """How many devices of type *kind* this machine has."""
    import torch

    if kind == "cpu":
        return 1
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return torch.accelerator.device_count() if accelerator is not None and accelerator.type == kind else 0
