"""Where a measurement was made."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from benchmarks.harness.record import Scalar
from benchmarks.harness.settings import Settings


def usable_cores() -> int:
    """Number of cores this process may use; measuring pins torch to as many threads."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe(settings: Settings) -> dict[str, Scalar]:
    """Return machine, system, commit and, once torch is loaded, its version, device, driver and threads."""
    return {
        "machine": platform.node(),
        "os": f"{platform.system()} {platform.release()}",
        "cpu": _cpu_name(),
        "cores": usable_cores(),
        "python": platform.python_version(),
        "commit": settings.commit or "working tree",
        "environment": settings.environment,
        "scale": settings.scale,
        "device": settings.device,
        **_torch_facts(settings.device),
    }


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _torch_facts(device: str) -> dict[str, Scalar]:
    import sys

    if "torch" not in sys.modules:
        return {}
    import torch

    facts: dict[str, Scalar] = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    if device == "cuda":
        facts["device_name"] = torch.cuda.get_device_name()
        facts["cuda"] = torch.version.cuda or ""
        facts["driver"] = _nvidia_driver()
    return facts


def _nvidia_driver() -> str:
    version = Path("/proc/driver/nvidia/version")
    if not version.exists():
        return "unknown"
    words = version.read_text().splitlines()[0].split()
    return next((word for word in words if word[0].isdigit() and "." in word), "unknown")
