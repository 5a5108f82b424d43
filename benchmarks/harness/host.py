"""Facts about the machine and the process that measure, and the threads that they use."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from pathlib import Path

from benchmarks.harness import variables
from benchmarks.harness.record import Scalar
from benchmarks.harness.settings import Settings


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pinned_threads(settings: Settings) -> int:
    """Return the number of threads that torch may use while cells are measured.

    It is one for the tiny models, whose work is too small to divide: waiting for a second core would dominate the time.
    It is the number of usable cores for all others.
    """
    return 1 if settings.scale == "tiny" else usable_cores()


def pin_threads(settings: Settings) -> None:
    """Set torch's threads to `pinned_threads`, whatever else has set them; nothing happens before torch is imported."""
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(pinned_threads(settings))


def shared_core(settings: Settings) -> int | None:
    """Return the core that alternating workers share: the last usable one; None if they use several threads.

    They share one because two cores differ in speed while other programs, or virtual machines on the same host, use
    them.
    """
    if pinned_threads(settings) > 1 or not hasattr(os, "sched_getaffinity"):
        return None
    return max(os.sched_getaffinity(0))


def describe(settings: Settings) -> dict[str, Scalar]:
    """Return facts about machine, system and commit and, once torch is imported, its version, device and threads."""
    return {
        **machine_facts(settings),
        "python": platform.python_version(),
        "commit": settings.commit or "working tree",
        "environment": settings.environment,
        "scale": settings.scale,
        "device": settings.device,
        **_torch_facts(settings.device),
    }


def machine_facts(settings: Settings) -> dict[str, Scalar]:
    """Return facts that identify this machine since its last boot.

    Among them `kernel` is the build of the kernel, `affinity` the numbers of the usable cores, and `variables` the
    environment variables of the user's shell that workers inherit although they may matter.
    """
    return {
        "machine": platform.node(),
        "os": f"{platform.system()} {platform.release()}",
        "kernel": platform.version(),
        "boot": _boot(),
        "cpu": _cpu_name(),
        "cores": usable_cores(),
        "affinity": _affinity(),
        "threads": pinned_threads(settings),
        "variables": variables.recorded(os.environ),
    }


def _boot() -> str:
    """Return the id or the time of the last boot; empty if neither is known."""
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    if boot_id.exists():
        return boot_id.read_text().strip()
    try:
        return f"{importlib.import_module('psutil').boot_time():.0f}"
    except ImportError:
        return ""


def _affinity() -> str:
    """Return the numbers of the usable cores, such as `0-3,8`; empty where the system does not report them."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("Cpus_allowed_list:")), "")


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _torch_facts(device: str) -> dict[str, Scalar]:
    if "torch" not in sys.modules:
        return {}
    import torch

    facts: dict[str, Scalar] = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    if device == "cuda":
        facts["device_name"] = _nvidia_name()
        facts["cuda"] = torch.version.cuda or ""
        facts["driver"] = _nvidia_driver()
    return facts


def _nvidia_name() -> str:
    """Return the device's name without initialising CUDA: a process that has done so must not fork."""
    import torch

    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch leaves it so
        return torch.cuda.get_device_name()
    for information in Path("/proc/driver/nvidia/gpus").glob("*/information"):
        return information.read_text().splitlines()[0].partition(":")[2].strip()
    return "unknown"


def _nvidia_driver() -> str:
    version = Path("/proc/driver/nvidia/version")
    if not version.exists():
        return "unknown"
    words = version.read_text().splitlines()[0].split()
    return next((word for word in words if word[0].isdigit() and "." in word), "unknown")
