"""The adapter of `acestep`, at the commit under measurement."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks.harness.adapters.lookup import attribute, find, require_keywords
from benchmarks.harness.adapters.ours.before_probe import BEFORE_PROBE
from benchmarks.harness.workload import CellFailed, Unavailable, Unsupported

PUBLIC = {
    "generate_music": "acestep.inference",
    "understand_music": "acestep.inference",
    "create_sample": "acestep.inference",
    "format_sample": "acestep.inference",
    "GenerationParams": "acestep.inference",
    "GenerationConfig": "acestep.inference",
    "AceStepHandler": "acestep.handler",
    "LLMHandler": "acestep.llm_inference",
    "get_gpu_config": "acestep.gpu_config",
    "estimate_inference_vram": "acestep.gpu_config",
    "GPU_TIER_LABELS": "acestep.gpu_config",
}
"""The module of each public name."""

MODULES = {
    "acestep": ("acestep",),
    "inference": ("acestep.inference", "acestep.handler", "acestep.llm_inference"),
}
"""The modules that a user imports, by what for."""

PROBE_VERSIONS = (1,)
"""Versions of `acestep.probe` whose functions the workloads can call."""

TURBO_ONLY = ("this version runs turbo checkpoints only", "this version makes music with turbo models only")
"""What the load report of a commit says if it cannot load other variants of the diffusion model yet."""


class Ours:
    """Finds the names of `acestep`, also at commits that had them elsewhere."""

    def public(self, name: str) -> Any:
        """Return the public function or class *name*."""
        return find(f"{PUBLIC[name]}:{name}")

    def stage(self, name: str) -> Any:
        """Return the function *name* of `acestep.probe`; at a commit without that module, what did its work there."""
        try:
            module = find("acestep.probe")
        except Unsupported:
            return BEFORE_PROBE[name].find()
        if module.PROBE_VERSION not in PROBE_VERSIONS:
            raise CellFailed(
                f"acestep.probe has version {module.PROBE_VERSION}, but the benchmarks know {PROBE_VERSIONS} only: "
                "teach benchmarks/harness/adapters/ours the new one"
            )
        return attribute(module, name)

    def modules(self, target: str) -> tuple[str, ...]:
        """Return the modules that a user imports for *target*."""
        for module in MODULES[target]:
            find(module)
        return MODULES[target]

    def load_synthesizer(self, root: Path, folder: str, device: str, **options: Any) -> Any:
        """Return an AceStepHandler; see `Package`."""
        os.environ["ACESTEP_CHECKPOINTS_DIR"] = str(root)
        handler = self.public("AceStepHandler")()
        require_keywords(handler.initialize_service, *options)
        report, loaded = handler.initialize_service(str(root.parent), folder, device=device, **options)
        if not loaded and any(sentence in report for sentence in TURBO_ONLY):
            raise Unsupported(report)
        if not loaded:
            raise RuntimeError(report)
        return handler

    def load_planner(self, root: Path, folder: str, engine: str, device: str) -> Any:
        """Return an LLMHandler; see `Package`."""
        handler = self.public("LLMHandler")()
        if engine != "pt":  # which every environment has
            check = self.stage("check_backend")
            try:
                check(engine, device)
            except ValueError as error:
                raise Unavailable(str(error)) from error
        report, loaded = handler.initialize(str(root), folder, backend=engine, device=device)
        if not loaded:
            raise RuntimeError(report)
        return handler
